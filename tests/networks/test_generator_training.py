"""Trainings of the generator at tiny sizes: recipes, losses, runs that are taken up again."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "training"))

from generator_data import Batch, WindowPool, conditions_of, draw
from generator_training import Limit, Run, distil, load_weights, take_over, train_teacher
from motion_data import Clip, WindowSampler
from recipes import RECIPES, Recipe, small
from splits import SINGLE_SPEAKER
from student_losses import (
    Networks,
    chunks_of,
    critic_loss,
    draw_jumps,
    own_past,
    set_scene,
    student_losses,
)
from teacher_losses import teacher_loss

from talkhead_models.autoencoder import AutoencoderConfig, MotionAutoencoder
from talkhead_models.bundle import save_bundle
from talkhead_models.denoiser import Denoiser, DenoiserConfig
from talkhead_models.motion import EXPRESSION_SIZE, MOTION_SIZE
from talkhead_models.speech_kinds import WIDE_SIZE

AUTOENCODER = MotionAutoencoder(
    AutoencoderConfig(motion_size=MOTION_SIZE, latent_size=8, width=16, frame_width=8)
).eval()
AUTOENCODER.requires_grad_(False)
LIPS = torch.randn(EXPRESSION_SIZE, 6, generator=torch.Generator().manual_seed(0)) * 0.01


def tiny(recipe: Recipe, **options: object) -> Recipe:
    config = replace(
        recipe.denoiser, latent_size=8, width=16, layers=2, heads=2, speech_width=4, **options
    )
    return replace(recipe, denoiser=config)


def make_sampler(feature_size: int = 20) -> WindowSampler:
    rng = np.random.default_rng(0)

    def clip(person: str) -> Clip:
        motion = rng.normal(0, 0.3, (240, MOTION_SIZE)).astype(np.float32).cumsum(0) * 0.05
        features = rng.random((480, feature_size)).astype(np.float32)
        return Clip("clip", person, motion, features, np.ones(9, np.float32), False, False)

    basis = SimpleNamespace(mirror=np.eye(EXPRESSION_SIZE, dtype=np.float32))
    return WindowSampler([clip(SINGLE_SPEAKER), clip("other")], basis, 0)


@pytest.fixture(scope="module")
def pool() -> WindowPool:
    return WindowPool(make_sampler(WIDE_SIZE), AUTOENCODER, 12)


def make_draw(pool: WindowPool):
    rng = np.random.default_rng(0)

    def batches(config: DenoiserConfig, rows: int, chunks: int) -> Batch:
        return pool.batch(config, rows, rng, chunks=chunks)

    return batches


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_its_teacher_and_its_student(name: str, pool: WindowPool) -> None:
    recipe = tiny(RECIPES[name])
    batches = make_draw(pool)
    torch.manual_seed(0)
    run = Run(Denoiser(recipe.teacher), 1e-3)
    before = run.model.output.weight.clone()
    train_teacher(run, Limit(run, steps=3), batches, recipe, AUTOENCODER, LIPS, batch=4)
    assert run.step == 3
    assert not torch.equal(run.model.output.weight, before)
    student = Denoiser(recipe.denoiser)
    take_over(run.average.state_dict(), student, recipe.teacher)
    learner = Run(student, 1e-3)
    fixed = (run.average.eval(), AUTOENCODER, LIPS)
    distil(learner, Limit(learner, steps=3), batches, recipe, fixed, batch=4)
    assert all(bool(p.isfinite().all()) for p in learner.average.parameters())
    assert not torch.equal(learner.model.output.weight, run.average.output.weight)


def networks_of(recipe: Recipe) -> Networks:
    torch.manual_seed(0)
    student, teacher = Denoiser(recipe.denoiser), Denoiser(recipe.teacher).eval()
    teacher.requires_grad_(False)
    critic = Denoiser(recipe.denoiser) if recipe.matching else None
    average = Denoiser(recipe.denoiser).eval()
    return Networks(student, average, teacher, critic, AUTOENCODER, LIPS)


def test_losses_are_those_of_the_recipe(pool: WindowPool) -> None:
    batches = make_draw(pool)
    everything = {"jump", "lips", "anchor", "temporal", "matching"}
    for name, expected in (
        ("rest", {"jump", "lips"}),
        ("temposyncdiff", everything - {"matching"}),
        ("asymtalker", {"jump", "lips", "matching"}),
        ("talkhead", {"jump", "lips"}),
        ("talkhead-all", everything),
    ):
        recipe = tiny(RECIPES[name])
        networks = networks_of(recipe)
        batch = batches(recipe.denoiser, 24, chunks_of(recipe))
        losses, scene = student_losses(networks, batch, recipe, np.random.default_rng(0))
        assert set(losses) == expected
        assert all(bool(loss.isfinite()) for loss in losses.values())
        if recipe.matching:
            critic_loss(networks, scene, recipe).backward()
            assert networks.critic is not None
            assert networks.critic.output.weight.grad is not None
            assert networks.student.output.weight.grad is None  # the critic's loss is its own


def test_the_student_learns_behind_its_own_past(pool: WindowPool) -> None:
    recipe = tiny(RECIPES["asymtalker"])
    networks = networks_of(recipe)
    batch = make_draw(pool)(recipe.denoiser, 6, 3)
    guidance = torch.ones(6)
    past = own_past(networks.average, batch, 2, guidance, recipe)
    assert past.shape == (6, 3, 8)
    assert not torch.allclose(past, batch.before(16, 3))
    assert torch.equal(own_past(networks.average, batch, 0, guidance, recipe), batch.before(0, 3))
    taught = replace(recipe, own_past=False)
    scenes = [set_scene(networks, batch, taught, np.random.default_rng(i)) for i in range(6)]
    for scene in scenes:  # the true past with a little noise
        assert float((scene.past - scene.true_past).abs().mean()) < 0.2


def test_conditions_belong_to_their_chunk(pool: WindowPool) -> None:
    config = replace(tiny(RECIPES["talkhead"]).denoiser, feature_size=20)
    batch = make_draw(pool)(config, 4, 3)
    keep = torch.ones(4, dtype=torch.bool)
    clean, speech, motion = batch.chunk(8, 8)
    assert motion.shape == (4, 32, MOTION_SIZE)
    conditions = conditions_of(batch, batch.before(8, 8), 8, config, keep)
    first, first_speech, _ = batch.chunk(0, 8)
    assert torch.equal(conditions.past, first)
    assert torch.equal(conditions.past_speech, first_speech)
    assert not torch.equal(clean, first)
    # Windows overlap: what a step hears ahead is what the next one hears as its own.
    ahead = config.speech_past + 8
    torch.testing.assert_close(speech[:, 0, ahead : ahead + 8], speech[:, 1, ahead - 8 : ahead])


def test_a_batch_needs_no_pool() -> None:
    config = tiny(RECIPES["talkhead"]).denoiser
    batch = draw(make_sampler(), AUTOENCODER, config, 3, chunks=2)
    assert batch.latents.shape == (3, 8 + 16, 8)
    assert batch.windows.shape == (3, 24, config.window, 20)
    assert batch.motion.shape == (3, 96, MOTION_SIZE)


def test_hidden_speech_is_not_scored_by_the_lips(pool: WindowPool) -> None:
    recipe = tiny(RECIPES["talkhead"])
    batch = make_draw(pool)(recipe.denoiser, 4, 1)
    silent = replace(batch, spoken=torch.zeros(4, dtype=torch.bool))
    model = Denoiser(recipe.teacher)
    generator = torch.Generator().manual_seed(0)
    _, lips = teacher_loss(model, AUTOENCODER, silent, LIPS, recipe, generator)
    assert float(lips.detach()) == 0


def test_jumps_fit_the_walk() -> None:
    rng = np.random.default_rng(0)
    origin, goal = draw_jumps(500, (1, 2, 4), rng)
    assert set(goal - origin) == {8, 4, 2}
    assert ((origin % (goal - origin)) == 0).all()
    assert goal.max() == 8
    assert (draw_jumps(50, (4,), rng)[1] - draw_jumps(50, (4,), rng)[0]).size == 50


@pytest.mark.parametrize("name", RECIPES)
def test_what_two_networks_share_is_taken_over(name: str) -> None:
    source = Denoiser(tiny(RECIPES["talkhead"]).denoiser)
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter)
    recipe = tiny(RECIPES[name])
    target = Denoiser(recipe.denoiser)
    take_over(source.state_dict(), target, source.config)
    assert torch.equal(target.output.weight, source.output.weight)
    assert torch.equal(target.positions[-8:], source.positions[-8:])
    assert torch.equal(target.positions[0], source.positions[0])
    same = Denoiser(source.config)
    take_over(source.state_dict(), same, source.config)
    assert all(
        torch.equal(a, b) for a, b in zip(same.parameters(), source.parameters(), strict=True)
    )


def test_new_inputs_begin_without_effect() -> None:
    config = tiny(RECIPES["talkhead"]).denoiser
    narrow = Denoiser(replace(config, latent_size=6))
    wide = Denoiser(config)
    take_over(narrow.state_dict(), wide, narrow.config)
    assert not wide.latent_input.weight[:, 6:].any()
    assert torch.equal(wide.latent_input.weight[:, :6], narrow.latent_input.weight)


def test_a_stored_run_goes_on(tmp_path: Path, pool: WindowPool) -> None:
    recipe = tiny(RECIPES["talkhead"])

    def go(steps: int, path: Path) -> Run:
        torch.manual_seed(0)
        run = Run(Denoiser(recipe.teacher), 1e-3, path)
        limit = Limit(run, steps=steps)
        train_teacher(run, limit, make_draw(pool), recipe, AUTOENCODER, LIPS, batch=4)
        return run

    first = go(2, tmp_path / "run.pt")
    second = go(4, tmp_path / "run.pt")
    assert (first.step, second.step) == (2, 4)
    stored = torch.load(tmp_path / "run.pt", weights_only=True)
    assert DenoiserConfig(**stored["config"]) == recipe.teacher
    assert torch.equal(stored["average"]["output.weight"], second.average.output.weight)
    finished = go(4, tmp_path / "run.pt")  # nothing is left to do
    assert torch.equal(finished.model.output.weight, second.model.output.weight)


def test_training_is_fixed_by_its_seed(pool: WindowPool) -> None:
    recipe = tiny(RECIPES["temposyncdiff"])
    weights = []
    for _ in range(2):
        torch.manual_seed(5)
        run = Run(Denoiser(recipe.teacher), 1e-3)
        limit = Limit(run, steps=2)
        train_teacher(run, limit, make_draw(pool), recipe, AUTOENCODER, LIPS, batch=4, seed=5)
        weights.append(run.average.output.weight)
    assert torch.equal(*weights)


def test_small_networks_keep_the_mechanisms() -> None:
    for recipe in RECIPES.values():
        config = small(recipe.denoiser)
        assert config.width < recipe.denoiser.width
        assert (
            replace(config, width=recipe.denoiser.width, layers=4, heads=5, speech_width=48)
            == recipe.denoiser
        )


def test_weights_come_from_a_run_or_from_a_bundle(tmp_path: Path) -> None:
    recipe = tiny(RECIPES["rest"])
    run = Run(Denoiser(recipe.teacher), 1e-3, tmp_path / "run.pt")
    run.save()
    tensors = {f"denoiser.{name}": t.half() for name, t in run.average.state_dict().items()}
    config = {"denoiser": asdict(recipe.teacher)}
    save_bundle(tmp_path / "teacher.safetensors", tensors, config, {})
    for path in (tmp_path / "run.pt", tmp_path / "teacher.safetensors"):
        weights, found = load_weights(path)
        assert found == recipe.teacher
        torch.testing.assert_close(
            weights["output.weight"], run.average.output.weight, atol=1e-3, rtol=1e-3
        )
