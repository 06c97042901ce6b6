"""The motion generator at tiny sizes: shapes, streaming, determinism, options."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from talkhead_models.articulation import MARGIN, Articulation
from talkhead_models.autoencoder import AutoencoderConfig, JointAutoencoder, MotionAutoencoder
from talkhead_models.bundle import BundleError, load_bundle, save_bundle
from talkhead_models.denoiser import Conditions, Denoiser, DenoiserConfig
from talkhead_models.generator import GenerateOptions, GeneratorParts, MotionGenerator
from talkhead_models.generator_bundle import bundle_contents, generator_from_bundle
from talkhead_models.lip_guide import LipGuide, LipGuideConfig
from talkhead_models.liveliness import EventConfig
from talkhead_models.motion import (
    APPEARANCE_SIZE,
    EXPRESSION_SIZE,
    GEOMETRY_SIZE,
    MOTION_SIZE,
    FaceMotion,
)
from talkhead_models.streaming import StreamState, chunk_features, silence, speech_windows

FEATURE_SIZE = 20
AUTOENCODER = AutoencoderConfig(latent_size=8, width=16, frame_width=8)
DENOISER = DenoiserConfig(
    latent_size=8, width=24, layers=2, heads=2, past_bottleneck=4, speech_width=8
)


def make_parts(distilled: bool = True) -> GeneratorParts:
    rng = np.random.default_rng(0)
    gaps = rng.normal(0, 0.02, (EXPRESSION_SIZE, 9)).astype(np.float32)
    moves = np.linalg.pinv(gaps).astype(np.float32)
    articulation = Articulation(gaps, np.zeros(9, np.float32), moves, 0.05)
    return GeneratorParts(
        articulation, EventConfig(), np.ones(DENOISER.style_size, np.float32), distilled
    )


def make_generator(config: DenoiserConfig = DENOISER, distilled: bool = True) -> MotionGenerator:
    torch.manual_seed(0)
    denoiser = Denoiser(config)
    for block in denoiser.blocks:  # gates start at zero; a network that does nothing tests nothing
        torch.nn.init.normal_(block.modulation, std=0.5)
    torch.nn.init.normal_(denoiser.no_speech, std=0.5)
    return MotionGenerator(MotionAutoencoder(AUTOENCODER), denoiser, make_parts(distilled))


@pytest.fixture(scope="module")
def generator() -> MotionGenerator:
    return make_generator()


def make_features(length: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    features = rng.random((length, FEATURE_SIZE)).astype(np.float32)
    features[:, :16] = rng.dirichlet(np.full(16, 0.2), length)
    return features


def collect(generator: MotionGenerator, features: np.ndarray, **options: object) -> np.ndarray:
    parts = generator.generate(features, 3, GenerateOptions(**options))
    return np.concatenate([part.to_array() for part in parts])


def test_every_parameter_of_the_autoencoder_gets_a_gradient() -> None:
    model = MotionAutoencoder(AUTOENCODER)
    context = AUTOENCODER.encoder_context + AUTOENCODER.decoder_context
    motion = torch.randn(2, 4 * (context + 3), GEOMETRY_SIZE)
    output = model.decode(model.encode(motion))
    assert output.shape == (2, 12, GEOMETRY_SIZE)
    output.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_autoencoder_is_causal_and_chunked_equals_whole() -> None:
    model = MotionAutoencoder(AUTOENCODER).eval()
    context = AUTOENCODER.decoder_context
    latents = torch.randn(1, context + 12, AUTOENCODER.latent_size)
    whole = model.decode(latents)
    parts = [model.decode(latents[:, start : start + context + 4]) for start in (0, 4, 8)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)
    changed = latents.clone()
    changed[:, -1] += 1
    assert torch.equal(model.decode(changed)[:, :-4], whole[:, :-4])
    motion = torch.randn(1, 4 * (AUTOENCODER.encoder_context + 6), GEOMETRY_SIZE)
    changed_motion = motion.clone()
    changed_motion[:, -4:] += 1
    assert torch.equal(model.encode(changed_motion)[:, :-1], model.encode(motion)[:, :-1])


def test_autoencoder_refuses_wrong_shapes() -> None:
    model = MotionAutoencoder(AUTOENCODER)
    with pytest.raises(ValueError, match="motion must be"):
        model.encode(torch.zeros(1, 21, GEOMETRY_SIZE))
    with pytest.raises(ValueError, match="more than"):
        model.decode(torch.zeros(1, AUTOENCODER.decoder_context, AUTOENCODER.latent_size))


@pytest.mark.parametrize(
    "config",
    [
        DENOISER,
        dataclasses.replace(DENOISER, viseme_tokens=True, prediction="noise"),
        dataclasses.replace(DENOISER, past_bottleneck=0, reference_steps=8),
        dataclasses.replace(DENOISER, context_steps=0, reference_steps=0, prediction="clean"),
    ],
    ids=["talkhead", "temposyncdiff", "asymtalker", "alone"],
)
def test_every_mechanism_runs_and_learns(config: DenoiserConfig) -> None:
    torch.manual_seed(0)
    model = Denoiser(config)
    for block in model.blocks:
        torch.nn.init.normal_(block.modulation, std=0.5)
    size = 4
    keep = torch.tensor([True, False, True, False])
    windows = torch.rand(
        size, config.context_steps + config.chunk_steps, config.window, FEATURE_SIZE
    )
    conditions = Conditions(
        torch.randn(size, config.context_steps, 8),
        windows[:, : config.context_steps],
        torch.randn(size, config.reference_steps, 8),
        torch.rand(size, config.style_size),
        keep,
    )
    noisy = torch.randn(size, config.chunk_steps, 8)
    times = (torch.rand(size), torch.rand(size), torch.ones(size))
    output = model(
        noisy, windows[:, config.context_steps :], keep, times, model.context(conditions)
    )
    assert output.shape == noisy.shape
    output.square().mean().backward()
    unused = {
        name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().sum() == 0
    }
    # Without a past, nothing passes through its bottleneck.
    allowed = {"past_bottleneck", "past_input"} if not config.context_steps else set()
    assert {name.split(".")[0] for name in unused} <= allowed


def test_hidden_speech_is_not_seen(generator: MotionGenerator) -> None:
    model = generator.denoiser
    keep = torch.tensor([False])
    past = torch.randn(1, 8, 8)
    outputs = []
    for seed in (0, 1):
        windows = speech_windows(torch.from_numpy(make_features(152, seed))[None], model.config)
        conditions = Conditions(
            past, windows[:, :8], past[:, :1], torch.ones(1, DENOISER.style_size), keep
        )
        times = (torch.full((1,), 0.5),) * 3
        outputs.append(model(past, windows[:, 8:], keep, times, model.context(conditions)))
    assert torch.equal(*outputs)


def test_streaming_by_hand_equals_generating(generator: MotionGenerator) -> None:
    features = make_features(64 * 3 + 11)
    together = collect(generator, features)
    assert together.shape == (102, MOTION_SIZE)
    state = generator.start(3)
    parts = []
    for index in range(4):
        # A state that has been stored and restored goes on as if nothing had happened.
        state = StreamState.from_bytes(state.to_bytes())
        motion, state = generator.step(
            state, chunk_features(features, index, generator.denoiser.config)
        )
        parts.append(motion.to_array())
    assert np.array_equal(np.concatenate(parts)[:102], together)


def test_step_leaves_its_state_alone(generator: MotionGenerator) -> None:
    state = generator.start(3)
    before = state.to_bytes()
    chunk = chunk_features(make_features(64), 0, generator.denoiser.config)
    first, _ = generator.step(state, chunk)
    second, _ = generator.step(state, chunk)
    assert state.to_bytes() == before
    assert np.array_equal(first.to_array(), second.to_array())


def test_only_a_bounded_lookahead_matters(generator: MotionGenerator) -> None:
    features = make_features(64 * 3)
    changed = features.copy()
    changed[64 + generator.lookahead :] = silence(
        len(changed) - 64 - generator.lookahead, FEATURE_SIZE
    )
    assert np.array_equal(collect(generator, features)[:32], collect(generator, changed)[:32])


def test_motion_does_not_depend_on_the_thread_count(generator: MotionGenerator) -> None:
    features, before = make_features(128), torch.get_num_threads()
    runs = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            runs.append(collect(generator, features))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*runs)


def test_seed_decides(generator: MotionGenerator) -> None:
    features = make_features(128)
    runs = [
        np.concatenate([m.to_array() for m in generator.generate(features, seed)])
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize("distilled", [True, False])
def test_options_have_an_effect(distilled: bool) -> None:
    generator = make_generator(distilled=distilled)
    features = make_features(128)
    plain = collect(generator, features, guidance_scale=1.0)
    for options in (
        {"guidance_scale": 3.0},
        {"guidance_scale": 1.0, "num_inference_steps": 2},
        {"guidance_scale": 1.0, "articulation": 0.0},
        {"guidance_scale": 1.0, "drawn_events": False},
    ):
        assert not np.array_equal(collect(generator, features, **options), plain), options
    assert np.isfinite(plain).all()


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="num_inference_steps"):
        GenerateOptions(num_inference_steps=0)
    with pytest.raises(ValueError, match="guidance_scale"):
        GenerateOptions(guidance_scale=-1)


def test_wrong_features_are_refused(generator: MotionGenerator) -> None:
    with pytest.raises(ValueError, match="features of a chunk"):
        generator.step(generator.start(0), np.zeros((64, FEATURE_SIZE), np.float32))


def test_a_reference_is_where_the_clip_starts(generator: MotionGenerator) -> None:
    reference = FaceMotion.from_array(np.full((3, MOTION_SIZE), 0.5, np.float32))
    started = generator.start(0, reference)
    assert started.latents.shape == (8, 8)
    assert not np.array_equal(started.latents, generator.start(0).latents)


def test_bundle_round_trip(tmp_path: Path, generator: MotionGenerator) -> None:
    tensors, config = bundle_contents(generator)
    save_bundle(tmp_path / "tiny.safetensors", tensors, config, {"data_tier": "none"})
    restored = generator_from_bundle(load_bundle(tmp_path / "tiny.safetensors"))
    assert restored.denoiser.config == generator.denoiser.config
    features = make_features(64)
    # Half precision in the file.
    assert np.abs(collect(restored, features) - collect(generator, features)).max() < 0.1
    assert np.array_equal(restored.parts.style, generator.parts.style)
    del tensors["denoiser.no_speech"]
    save_bundle(tmp_path / "broken.safetensors", tensors, config, {})
    with pytest.raises(BundleError, match=r"not? (a )?motion generator"):
        generator_from_bundle(load_bundle(tmp_path / "broken.safetensors"))
    save_bundle(tmp_path / "other.safetensors", tensors, {"kind": "other"}, {})
    with pytest.raises(BundleError, match=r"not? (a )?motion generator"):
        generator_from_bundle(load_bundle(tmp_path / "other.safetensors"))


def test_margins_agree(generator: MotionGenerator) -> None:
    assert generator.lookahead >= MARGIN
    assert generator.frames_per_chunk == 32


def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        DenoiserConfig(width=100, heads=3)
    with pytest.raises(ValueError, match="latent_size"):
        MotionGenerator(
            MotionAutoencoder(AutoencoderConfig(latent_size=4)), Denoiser(DENOISER), make_parts()
        )


def test_joint_autoencoder_keeps_its_parts_apart() -> None:
    appearance = dataclasses.replace(AUTOENCODER, motion_size=APPEARANCE_SIZE, latent_size=6)
    joint = JointAutoencoder(MotionAutoencoder(AUTOENCODER), MotionAutoencoder(appearance)).eval()
    assert joint.config.motion_size == MOTION_SIZE
    assert joint.config.latent_size == AUTOENCODER.latent_size + 6
    steps = joint.config.encoder_context + joint.config.decoder_context + 3
    motion = torch.randn(2, 4 * steps, MOTION_SIZE)
    with torch.inference_mode():
        whole = joint.decode(joint.encode(motion))
        other = motion.clone()
        other[..., GEOMETRY_SIZE:] += 1
        changed = joint.decode(joint.encode(other))
    assert whole.shape == (2, 12, MOTION_SIZE)
    assert torch.equal(whole[..., :GEOMETRY_SIZE], changed[..., :GEOMETRY_SIZE])
    assert not torch.allclose(whole[..., GEOMETRY_SIZE:], changed[..., GEOMETRY_SIZE:])
    with pytest.raises(ValueError, match="differ in frames_per_step"):
        JointAutoencoder(
            MotionAutoencoder(AUTOENCODER),
            MotionAutoencoder(dataclasses.replace(appearance, frames_per_step=2)),
        )


def guided_generator() -> MotionGenerator:
    """One with a lip guide, whose look-ahead is the denoiser's."""
    plain = make_generator()
    torch.manual_seed(1)
    guide = LipGuide(LipGuideConfig(("visemes",), width=4, hidden=8, strength=1.0, amplitude=0.1))
    parts = dataclasses.replace(plain.parts, guide=guide)
    return MotionGenerator(plain.autoencoder, plain.denoiser, parts)


def test_a_guide_moves_the_lips_and_nothing_else(tmp_path: Path) -> None:
    plain, guided = make_generator(), guided_generator()
    features = make_features(150)
    ours, theirs = collect(guided, features), collect(plain, features)
    assert not np.allclose(ours[:, :EXPRESSION_SIZE], theirs[:, :EXPRESSION_SIZE])
    assert np.array_equal(ours[:, EXPRESSION_SIZE:], theirs[:, EXPRESSION_SIZE:])
    free = {"articulation": 0.0}
    assert np.array_equal(collect(guided, features, **free), collect(plain, features, **free))
    tensors, config = bundle_contents(guided)
    save_bundle(tmp_path / "guided.safetensors", tensors, config, {})
    restored = generator_from_bundle(load_bundle(tmp_path / "guided.safetensors"))
    assert restored.parts.guide is not None
    assert np.abs(collect(restored, features) - ours).max() < 0.1


@pytest.mark.parametrize("context_steps", [0, 8, 16])
def test_a_streaming_network_keeps_its_cache_in_the_state(context_steps: int) -> None:
    config = dataclasses.replace(DENOISER, block_causal=True, context_steps=context_steps)
    generator = make_generator(config)
    features = make_features(64 * 3)
    together = collect(generator, features)
    state = generator.start(3)
    assert state.sink.shape == (2, 2, 2, 1 + config.reference_steps, 12)
    parts = []
    for index in range(3):
        state = StreamState.from_bytes(state.to_bytes())
        motion, state = generator.step(state, chunk_features(features, index, config))
        parts.append(motion.to_array())
        assert state.remembered.size == 2 * 2 * 2 * context_steps * 12  # bounded
    assert np.array_equal(np.concatenate(parts), together)
    # Without the kept keys and values everything is computed anew, to the same end.
    forgetful = make_generator(config)
    forgetful.__class__ = Forgetful
    np.testing.assert_allclose(collect(forgetful, features), together, atol=1e-4)


class Forgetful(MotionGenerator):
    """Computes the whole context for every chunk."""

    @property
    def keeps_cache(self) -> bool:
        return False
