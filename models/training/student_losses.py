"""What a student learns from: the teacher's walk, its own past, and the losses of the recipes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from generator_data import Batch, conditions_of
from recipes import Recipe
from teacher_losses import blur_past
from torch import Tensor

from talkhead_models.autoencoder import Autoencoder, JointAutoencoder
from talkhead_models.denoiser import Conditions, Denoiser, Prediction
from talkhead_models.distillation import (
    distribution_matching,
    identity_anchor,
    jump_loss,
    matching_times,
    temporal_regularisation,
    trajectory,
)
from talkhead_models.motion import EXPRESSION_SIZE as K
from talkhead_models.motion import GEOMETRY_SIZE
from talkhead_models.sampling import (
    FIRST_TIME,
    Predict,
    add_noise,
    clean_and_noise,
    sample,
    schedule,
    step_to,
    student_predict,
    training_target,
)

TEACHER_STEPS = 8
"""Steps of the teacher's walk; a multiple of all the student's."""


@dataclass(frozen=True)
class Networks:
    """What a distillation holds.

    Attributes:
        student: learns.
        average: its running average, which generates the past.
        teacher: frozen.
        critic: learns what the student makes, for distribution matching; None without.
        autoencoder: frozen.
        lips: (K, P) expression to lip points.
    """

    student: Denoiser
    average: Denoiser
    teacher: Denoiser
    critic: Denoiser | None
    autoencoder: Autoencoder
    lips: Tensor


@dataclass(frozen=True)
class Scene:
    """One batch as the student meets it.

    Attributes:
        batch: the windows.
        first: step at which the chunk begins.
        past: (B, C, Z) what the student sees.
        true_past: (B, C, Z).
        guidance: (B,).
    """

    batch: Batch
    first: int
    past: Tensor
    true_past: Tensor
    guidance: Tensor


def chunks_of(recipe: Recipe) -> int:
    """Chunks a student's batch holds: two it may run through, its own, and what its teacher sees
    beyond."""
    return 4 if recipe.asynchronous else 3


def guided(model: Denoiser, conditions: Conditions, speech: Tensor, guidance: Tensor) -> Predict:
    """A teacher with classifier-free guidance (arXiv 2207.12598, eq. 6), a scale a row (B,)."""
    hidden = torch.zeros_like(conditions.keep_speech)
    said_cache = model.context(conditions)
    unsaid_cache = model.context(conditions._replace(keep_speech=hidden))
    scale = guidance[:, None, None]

    def predict(noisy: Tensor, time: Tensor, target: Tensor) -> Tensor:
        three = (time, time, torch.ones_like(guidance))
        said = model(noisy, speech, conditions.keep_speech, three, said_cache)
        unsaid = model(noisy, speech, hidden, three, unsaid_cache)
        return unsaid + scale * (said - unsaid)

    return predict


def asynchronous(model: Denoiser, scene: Scene, recipe: Recipe, keep: Tensor) -> Predict:
    """A non-streaming teacher at the stream's chunk: the chunk before it is clean, the one behind it
    is noise, and the whole window's speech is heard (REST, arXiv 2512.11229)."""
    chunk = recipe.denoiser.chunk_steps
    start = scene.batch.lead + scene.first
    speech = scene.batch.windows[:, start - chunk : start + 2 * chunk]
    before = scene.past[:, -chunk:]
    if before.shape[1] < chunk:  # a student without a past; the teacher has one
        before = scene.batch.before(scene.first, chunk)
    nothing = scene.past[:, :0]
    conditions = Conditions(nothing, speech[:, :0], scene.batch.reference, scene.batch.style, keep)
    predict = guided(model, conditions, speech, scene.guidance)
    return in_the_middle(predict, before, torch.randn_like(before))


def in_the_middle(predict: Predict, before: Tensor, behind: Tensor) -> Predict:
    """A prediction of three chunks as one of the chunk between a clean one and noise, (B, N, Z) each."""
    chunk = before.shape[1]

    def at_work(noisy: Tensor, time: Tensor, target: Tensor) -> Tensor:
        whole = torch.cat([before, noisy, behind], dim=1)
        levels = torch.stack([torch.zeros_like(time), time, torch.full_like(time, FIRST_TIME)], 1)
        times = levels.repeat_interleave(chunk, dim=1)
        return predict(whole, times, times)[:, chunk : 2 * chunk]

    return at_work


@torch.no_grad()
def own_past(
    student: Denoiser, batch: Batch, chunks: int, guidance: Tensor, recipe: Recipe
) -> Tensor:
    """The past (B, C, Z) behind which the student will learn: the true one, then `chunks` chunks
    of its own."""
    config = student.config
    past = batch.before(0, config.context_steps)
    for index in range(chunks):
        first = index * config.chunk_steps
        conditions = conditions_of(batch, past, first, config, batch.spoken)
        clean, speech, _ = batch.chunk(first, config.chunk_steps)
        predict = student_predict(student, conditions, speech, guidance)
        made = sample(predict, torch.randn_like(clean), recipe.steps[-1], config.prediction)
        past = torch.cat([past, made], dim=1)[:, made.shape[1] :]
    return past


def set_scene(networks: Networks, batch: Batch, recipe: Recipe, rng: np.random.Generator) -> Scene:
    """Let the student run up to two chunks, if the recipe says so, and stop before the next."""
    config = networks.student.config
    low, high = recipe.guidance
    guidance = torch.from_numpy(rng.uniform(low, high, len(batch.latents)).astype(np.float32))
    chunks = int(rng.choice((0, 1, 2), p=(0.2, 0.3, 0.5)))
    first = chunks * config.chunk_steps
    true_past = batch.before(first, config.context_steps)
    if not recipe.own_past or chunks == 0:
        return Scene(batch, first, blur_past(true_past, 0.1), true_past, guidance)
    past = own_past(networks.average, batch, chunks, guidance, recipe)
    return Scene(batch, first, past, true_past, guidance)


def teacher_at(networks: Networks, scene: Scene, recipe: Recipe, speech: Tensor) -> Predict:
    """The guided teacher of a scene's chunk."""
    batch, teacher = scene.batch, networks.teacher
    if recipe.asynchronous:
        return asynchronous(teacher, scene, recipe, batch.spoken)
    past = scene.true_past if recipe.asymmetric else scene.past
    conditions = conditions_of(batch, past, scene.first, teacher.config, batch.spoken)
    return guided(teacher, conditions, speech, scene.guidance)


def draw_jumps(
    size: int, steps: tuple[int, ...], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A jump for each row, as indices into the teacher's walk (from, to); the last number of steps
    is drawn as often as all others together."""
    weights = np.ones(len(steps))
    weights[-1] = max(1, len(steps) - 1)
    chosen = rng.choice(steps, size, p=weights / weights.sum())
    which = (rng.random(size) * chosen).astype(int)
    stride = TEACHER_STEPS // chosen
    return which * stride, (which + 1) * stride


def student_losses(
    networks: Networks, batch: Batch, recipe: Recipe, rng: np.random.Generator
) -> tuple[dict[str, Tensor], Scene]:
    """All losses of one batch of `chunks_of(recipe)` chunks by name, and its scene."""
    student = networks.student
    config, kind = student.config, student.config.prediction
    scene = set_scene(networks, batch, recipe, rng)
    clean, speech, _ = batch.chunk(scene.first, config.chunk_steps)
    with torch.no_grad():
        teacher = teacher_at(networks, scene, recipe, speech)
        theirs = networks.teacher.config.prediction
        points = trajectory(teacher, torch.randn_like(clean), TEACHER_STEPS, theirs)
    origin, goal = draw_jumps(len(clean), recipe.steps, rng)
    grid, rows = torch.tensor(schedule(TEACHER_STEPS)), torch.arange(len(clean))
    here, there = points[torch.from_numpy(origin), rows], points[torch.from_numpy(goal), rows]
    times = grid[torch.from_numpy(origin)], grid[torch.from_numpy(goal)]
    conditions = conditions_of(batch, scene.past, scene.first, config, batch.spoken)
    predict = student_predict(student, conditions, speech, scene.guidance)
    prediction = predict(here, *times)
    losses = {"jump": jump_loss(prediction, here, there, times, kind)}
    # Jumps that end in clean latents are judged as motion as well.
    ends = torch.from_numpy(np.flatnonzero(goal == TEACHER_STEPS))
    if len(ends):
        at = (times[0][ends], times[1][ends])
        reached = step_to(prediction[ends], here[ends], *at, kind)
        pair = (reached, there[ends])
        losses |= motion_losses(networks, scene, recipe, pair, ends)
    if recipe.matching:
        losses["matching"] = recipe.matching * matching_loss(networks, scene, recipe, predict)
    return losses, scene


def motion_losses(
    networks: Networks,
    scene: Scene,
    recipe: Recipe,
    latents: tuple[Tensor, Tensor],
    rows: Tensor,
) -> dict[str, Tensor]:
    """Losses on decoded motion.

    Args:
        networks: of the distillation.
        scene: of the batch.
        recipe: the mechanisms.
        latents: (B', N, Z) reached by the student, and wanted by the teacher.
        rows: of the batch, (B',).
    """
    autoencoder, context = networks.autoencoder, networks.autoencoder.config.decoder_context
    behind = scene.batch.before(scene.first, context)[rows]
    seen = scene.past[rows][:, -context:]
    if seen.shape[1]:
        behind = torch.cat([behind[:, : context - seen.shape[1]], seen], dim=1)
    made, wanted = (autoencoder.decode(torch.cat([behind, one], dim=1)) for one in latents)
    moved = (made - wanted)[..., :K] @ networks.lips / 0.02
    lips = moved.square().mean() + 2 * moved.diff(dim=1).square().mean()
    losses = {"lips": 0.3 * lips}
    if recipe.anchor:
        scale = motion_scale(autoencoder)
        anchor = identity_anchor(made, scene.batch.motion[rows], scale)
        losses["anchor"] = recipe.anchor * anchor
    if recipe.temporal:
        mouth, rest = (part @ networks.lips / 0.02 for part in (made[..., :K], wanted[..., :K]))
        pose = slice(K, GEOMETRY_SIZE)
        weight = 1 / motion_scale(autoencoder)[pose].clamp_min(1e-3)
        unsteady = temporal_regularisation(mouth, rest, torch.ones(mouth.shape[-1]))
        # The mouth counts in full, the head and the eyes by a third.
        unsteady = unsteady + 0.3 * temporal_regularisation(
            made[..., pose], wanted[..., pose], weight
        )
        losses["temporal"] = recipe.temporal * unsteady
    return losses


def motion_scale(autoencoder: Autoencoder) -> Tensor:
    """Deviations of the motion's numbers in the training data, (D,); appearance counts nothing."""
    if not isinstance(autoencoder, JointAutoencoder):
        return autoencoder.motion_std
    return torch.cat(
        [autoencoder.geometry.motion_std, torch.zeros_like(autoencoder.appearance.motion_std)]
    )


def matching_loss(networks: Networks, scene: Scene, recipe: Recipe, predict: Predict) -> Tensor:
    """Distribution matching of what the student makes in all its steps, with a gradient through the
    last one: the teacher judges it behind the true past, the critic behind the student's."""
    kind, critic = networks.student.config.prediction, networks.critic
    assert critic is not None
    batch, config = scene.batch, networks.student.config
    clean, speech, _ = batch.chunk(scene.first, config.chunk_steps)
    made = last_step(predict, torch.randn_like(clean), recipe.steps[-1], kind)
    time = matching_times(len(clean))
    noisy = add_noise(made.detach(), torch.randn_like(clean), time)
    with torch.no_grad():
        real = teacher_at(networks, scene, recipe, speech)(noisy, time, time)
        seen = conditions_of(batch, scene.past, scene.first, config, batch.spoken)
        fake = student_predict(critic, seen, speech, scene.guidance)(noisy, time, time)
        theirs = networks.teacher.config.prediction
        real_clean, _ = clean_and_noise(real, noisy, time, theirs)
        fake_clean, _ = clean_and_noise(fake, noisy, time, kind)
    return distribution_matching(made, real_clean, fake_clean)


def last_step(predict: Predict, noise: Tensor, steps: int, kind: Prediction) -> Tensor:
    """Sampling whose last step alone has a gradient."""
    times = schedule(steps)
    latents = noise
    for index in range(steps):
        at = torch.full((len(noise),), times[index])
        to = torch.full_like(at, times[index + 1])
        with torch.set_grad_enabled(index == steps - 1):
            latents = step_to(predict(latents, at, to), latents, at, to, kind)
    return latents


def critic_loss(networks: Networks, scene: Scene, recipe: Recipe) -> Tensor:
    """The critic's denoising of what the student now makes (DMD, arXiv 2311.18828, eq. 6)."""
    critic, student = networks.critic, networks.student
    assert critic is not None
    batch, config = scene.batch, critic.config
    clean, speech, _ = batch.chunk(scene.first, config.chunk_steps)
    conditions = conditions_of(batch, scene.past, scene.first, config, batch.spoken)
    with torch.no_grad():
        predict = student_predict(student, conditions, speech, scene.guidance)
        made = sample(predict, torch.randn_like(clean), recipe.steps[-1], config.prediction)
    time, noise = matching_times(len(clean)), torch.randn_like(clean)
    noisy = add_noise(made, noise, time)
    prediction = student_predict(critic, conditions, speech, scene.guidance)(noisy, time, time)
    return (prediction - training_target(made, noise, time, config.prediction)).square().mean()
