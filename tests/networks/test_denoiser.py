"""The denoiser's mechanisms at tiny sizes: kept keys and values, bottleneck, references, speech."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from talkhead_models.denoiser import Conditions, Denoiser, DenoiserConfig
from talkhead_models.motion import MOTION_SIZE
from talkhead_models.sampling import sample, student_predict
from talkhead_models.speech_kinds import KINDS, WIDE_SIZE
from talkhead_models.streaming import array_to_cache, cache_to_array

TINY = DenoiserConfig(
    latent_size=8, width=24, layers=2, heads=2, past_bottleneck=4, speech_width=8, chunk_steps=4
)
STREAMING = replace(TINY, block_causal=True, context_steps=8, reference_steps=2)


def lively(config: DenoiserConfig, seed: int = 0) -> Denoiser:
    torch.manual_seed(seed)
    model = Denoiser(config)
    for block in model.blocks:  # gates start at zero; a network that does nothing tests nothing
        torch.nn.init.normal_(block.modulation, std=0.5)
    if config.block_causal:
        torch.nn.init.normal_(model.ages, std=0.5)
    torch.nn.init.normal_(model.output.weight, std=0.3)
    return model.eval()


def conditions_for(config: DenoiserConfig, size: int = 2) -> tuple[Conditions, torch.Tensor]:
    torch.manual_seed(1)
    steps = config.context_steps + config.chunk_steps
    windows = torch.rand(size, steps, config.window, config.feature_size)
    split = config.context_steps
    conditions = Conditions(
        torch.randn(size, split, config.latent_size),
        windows[:, :split],
        torch.randn(size, config.reference_steps, config.reference_size),
        torch.rand(size, config.style_size),
        torch.ones(size, dtype=torch.bool),
    )
    return conditions, windows[:, split:]


def run(model: Denoiser, conditions: Conditions, speech: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(2)
    size = len(speech)
    noisy = torch.randn(size, model.config.chunk_steps, model.config.latent_size)
    times = (torch.full((size,), 0.6), torch.full((size,), 0.2), torch.ones(size))
    return model(noisy, speech, conditions.keep_speech, times, model.context(conditions))


def test_a_kept_cache_equals_the_full_forward() -> None:
    """Chunk by chunk, with keys and values kept, against the context computed anew."""
    model = lively(STREAMING)
    torch.manual_seed(3)
    steps, chunk = 24, STREAMING.chunk_steps
    windows = torch.rand(1, steps, STREAMING.window, STREAMING.feature_size)
    latents = torch.randn(1, steps, 8)
    reference, style = torch.randn(1, 2, 8), torch.rand(1, STREAMING.style_size)
    keep = torch.ones(1, dtype=torch.bool)
    sink = model.sink(reference, style)
    kept = model.remember(latents[:, :8], windows[:, :8], keep, sink)
    for start in range(8, steps, chunk):
        past, speech = latents[:, start - 8 : start], windows[:, start : start + chunk]
        conditions = Conditions(past, windows[:, start - 8 : start], reference, style, keep)
        cache = model.attend_to(sink, kept)
        guidance = torch.ones(1)
        noise = torch.randn(1, chunk, 8)
        with_cache = sample(
            student_predict(model, conditions, speech, guidance, cache), noise, 2, "velocity"
        )
        full = sample(student_predict(model, conditions, speech, guidance), noise, 2, "velocity")
        torch.testing.assert_close(with_cache, full, atol=1e-5, rtol=1e-5)
        own = latents[:, start : start + chunk]
        made = model.remember(own, speech, keep, sink)
        kept = kept.followed_by(made).last(8)


def test_what_leaves_the_context_is_forgotten_and_the_sink_stays() -> None:
    model = lively(STREAMING)
    conditions, speech = conditions_for(STREAMING)
    before = run(model, conditions, speech)
    newer = conditions.past.clone()
    newer[:, -1] += 1
    assert not torch.allclose(run(model, conditions._replace(past=newer), speech), before)
    other = conditions._replace(reference=conditions.reference + 1)
    assert not torch.allclose(run(model, other, speech), before)
    # Keys and values of a past chunk do not depend on another one.
    older = conditions.past.clone()
    older[:, 0] += 1
    kept = [model.context(conditions._replace(past=past)) for past in (conditions.past, older)]
    newest = STREAMING.chunk_steps
    for first, second in zip(kept[0].keys, kept[1].keys, strict=True):
        assert torch.equal(first[:, :, -newest:], second[:, :, -newest:])
        assert not torch.equal(first, second)


def test_age_tells_past_chunks_apart() -> None:
    model = lively(STREAMING)
    conditions, speech = conditions_for(STREAMING)
    swapped = conditions._replace(
        past=conditions.past.roll(4, dims=1), past_speech=conditions.past_speech.roll(4, dims=1)
    )
    assert not torch.allclose(run(model, swapped, speech), run(model, conditions, speech))
    torch.nn.init.zeros_(model.ages)
    torch.testing.assert_close(
        run(model, swapped, speech), run(model, conditions, speech), atol=1e-5, rtol=1e-5
    )


def test_a_cache_survives_as_an_array() -> None:
    model = lively(STREAMING)
    conditions, _ = conditions_for(STREAMING, size=1)
    cache = model.context(conditions)
    restored = array_to_cache(cache_to_array(cache), torch.device("cpu"))
    for ours, theirs in zip(cache, restored, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_the_bottleneck_is_bounded_and_noisy_in_training_only() -> None:
    model = lively(replace(TINY, bottleneck_noise=0.5))
    past = 100 * torch.randn(3, TINY.context_steps, 8)
    quiet = model.narrow_past(past)
    assert torch.equal(quiet, model.narrow_past(past))
    model.train()
    assert not torch.equal(model.narrow_past(past), model.narrow_past(past))
    wide = model.past_input.weight.abs().sum(1) + model.past_input.bias.abs()
    assert bool((quiet.abs() <= wide + 1e-4).all())  # whatever the past, within [-1, 1]


def test_one_frame_can_be_the_reference() -> None:
    config = replace(TINY, reference_encoding="frame")
    model = lively(config)
    conditions, speech = conditions_for(config)
    assert conditions.reference.shape[-1] == MOTION_SIZE
    other = conditions._replace(reference=conditions.reference + 1)
    assert not torch.allclose(run(model, other, speech), run(model, conditions, speech))


@pytest.mark.parametrize("kinds", [("visemes",), ("mel",), ("lips",), ("visemes", "lips")])
def test_only_the_named_kinds_are_heard(kinds: tuple[str, ...]) -> None:
    config = replace(TINY, feature_size=WIDE_SIZE, speech_kinds=kinds)
    model = lively(config)
    conditions, speech = conditions_for(config)
    before = run(model, conditions, speech)
    for kind, columns in KINDS.items():
        changed = speech.clone()
        changed[..., columns] += 0.5
        assert torch.equal(run(model, conditions, changed), before) == (kind not in kinds)


def test_tokens_hide_all_but_the_class() -> None:
    model = lively(replace(TINY, viseme_tokens=True))
    conditions, speech = conditions_for(model.config)
    surer = speech.clone()
    best = speech[..., :16].argmax(-1, keepdim=True)
    surer[..., :16].scatter_add_(-1, best, torch.ones_like(surer[..., :1]))
    surer[..., 16:] += 1
    assert torch.equal(run(model, conditions, surer), run(model, conditions, speech))


def test_a_noise_teacher_is_a_velocity_network_with_a_bypass() -> None:
    velocity, noise = lively(TINY), lively(replace(TINY, prediction="noise"))
    noise.load_state_dict(velocity.state_dict())
    conditions, speech = conditions_for(TINY)
    torch.manual_seed(2)
    noisy = torch.randn(2, 4, 8)
    angle = torch.tensor(0.6 * np.pi / 2)
    expected = torch.sin(angle) * noisy + torch.cos(angle) * run(velocity, conditions, speech)
    torch.testing.assert_close(run(noise, conditions, speech), expected, atol=1e-5, rtol=1e-5)


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="no whole chunks"):
        replace(STREAMING, context_steps=6)
    with pytest.raises(ValueError, match="do not fit"):
        replace(TINY, speech_kinds=("lips",))


def test_every_step_may_have_its_own_noise_level() -> None:
    model = lively(replace(TINY, context_steps=0))
    conditions, speech = conditions_for(model.config)
    noisy = torch.randn(2, 4, 8)
    cache = model.context(conditions)
    keep, one = conditions.keep_speech, torch.ones(2)
    level = torch.full((2,), 0.4)
    together = model(noisy, speech, keep, (level, level, one), cache)
    each = level[:, None].expand(-1, 4)
    torch.testing.assert_close(model(noisy, speech, keep, (each, each, one), cache), together)
    mixed = torch.tensor([[0.1, 0.2, 0.3, 0.9]] * 2)
    assert not torch.allclose(model(noisy, speech, keep, (mixed, mixed, one), cache), together)
