"""The schedule, the sampler and the plan of chunks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from talkhead_models.denoiser import DenoiserConfig
from talkhead_models.sampling import (
    FIRST_TIME,
    add_noise,
    chunk_noise,
    clean_and_noise,
    noise_level,
    number_for,
    sample,
    schedule,
    signal,
    step_to,
    target_for_step,
    training_target,
)
from talkhead_models.streaming import ChunkPlan, StreamState, chunk_features, speech_windows

KINDS = ("velocity", "noise", "clean")


@pytest.mark.parametrize("kind", KINDS)
def test_the_true_prediction_is_taken_apart_into_the_truth(kind) -> None:
    clean, noise = torch.randn(2, 5, 4, 3).unbind()
    time = torch.linspace(0.1, 0.9, 5)
    noisy = add_noise(clean, noise, time)
    found_clean, found_noise = clean_and_noise(
        training_target(clean, noise, time, kind), noisy, time, kind
    )
    torch.testing.assert_close(found_clean, clean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found_noise, noise, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 2, 4, 50])
def test_a_perfect_prediction_is_sampled_exactly(kind, steps) -> None:
    clean, noise = torch.randn(2, 1, 4, 3).unbind()
    start = add_noise(clean, noise, torch.tensor([FIRST_TIME]))

    def predict(noisy, time, target):
        return training_target(clean, noise, time, kind)

    torch.testing.assert_close(sample(predict, start, steps, kind), clean, atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_learned_step_goes_where_it_should(kind) -> None:
    noisy, reached = torch.randn(2, 3, 4, 5).unbind()
    time, target = torch.tensor([0.9, 0.5, 0.98]), torch.tensor([0.4, 0.0, 0.0])
    wanted = target_for_step(noisy, reached, time, target, kind)
    torch.testing.assert_close(
        step_to(wanted, noisy, time, target, kind), reached, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_may_have_its_own_time(kind) -> None:
    clean, noise = torch.randn(2, 2, 4, 3).unbind()
    times = torch.tensor([[0.1, 0.3, 0.5, 0.7], [0.6, 0.2, 0.4, 0.8]])
    together = add_noise(clean, noise, times)
    for row in range(2):
        for step in range(4):
            alone = add_noise(clean[row : row + 1], noise[row : row + 1], times[row, step][None])
            torch.testing.assert_close(together[row, step], alone[0, step])
    wanted = training_target(clean, noise, times, kind)
    found, _ = clean_and_noise(wanted, together, times, kind)
    torch.testing.assert_close(found, clean, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_sampler_recovers_a_known_gaussian(kind) -> None:
    """Latents of mean m and deviation s: the best prediction is linear in what is seen, and many
    steps with it end in that distribution."""
    mean, deviation = 0.7, 0.4

    def predict(noisy, time, target):
        a, b = signal(time)[:, None, None], noise_level(time)[:, None, None]
        share = a * deviation**2 / (a**2 * deviation**2 + b**2)
        clean = mean + share * (noisy - a * mean)
        return training_target(clean, (noisy - a * clean) / b.clamp_min(1e-6), time, kind)

    torch.manual_seed(0)
    made = sample(predict, torch.randn(4000, 2, 1), 50, kind)
    assert float(made.mean()) == pytest.approx(mean, abs=0.02)
    # From time 0.98 on a little of the mean is taken for noise; the deviation tells.
    assert float(made.std()) == pytest.approx(deviation, rel=0.04)


@given(st.integers(1, 60))
def test_the_schedule_falls_to_zero(steps: int) -> None:
    times = schedule(steps)
    assert len(times) == steps + 1
    assert (times[0], times[-1]) == (FIRST_TIME, 0)
    assert all(a > b for a, b in pairwise(times))


def test_no_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        schedule(0)


def test_noise_belongs_to_the_seed_and_the_chunk() -> None:
    assert torch.equal(chunk_noise(1, 2, 8, 4), chunk_noise(1, 2, 8, 4))
    assert not torch.equal(chunk_noise(1, 2, 8, 4), chunk_noise(1, 3, 8, 4))
    assert not torch.equal(chunk_noise(2, 2, 8, 4), chunk_noise(1, 2, 8, 4))
    assert number_for(1, 23) != number_for(12, 3)


@given(st.integers(1, 2000), st.integers(1, 64))
def test_chunks_cover_each_frame_once(frames: int, per_chunk: int) -> None:
    plan = ChunkPlan(frames, per_chunk)
    counts = [plan.frames_of(index) for index in range(plan.num_chunks)]
    assert sum(counts) == frames
    assert all(0 < count <= per_chunk for count in counts)


@given(st.integers(1, 400))
def test_chunk_features_join_to_the_clip_and_end_in_silence(length: int) -> None:
    config = DenoiserConfig()
    features = np.random.default_rng(0).random((length, 20)).astype(np.float32)
    own = config.chunk_steps * 8
    chunks = [chunk_features(features, index, config) for index in range(-(-length // own))]
    joined = np.concatenate([chunk[:own] for chunk in chunks])
    assert np.array_equal(joined[:length], features)
    assert (joined[length:, 0] == 1).all()
    assert (joined[length:, 1:] == 0).all()
    assert all(len(chunk) == own + config.speech_ahead for chunk in chunks)


def test_windows_hold_a_step_and_its_neighbours() -> None:
    config = DenoiserConfig()
    length = config.speech_past + 3 * 8 + config.speech_ahead
    features = torch.arange(length).float()[None, :, None].expand(1, length, 20)
    windows = speech_windows(features, config)
    assert windows.shape == (1, 3, config.window, 20)
    assert windows[0, 1, config.speech_past, 0] == config.speech_past + 8
    with pytest.raises(ValueError, match="whole steps"):
        speech_windows(features[:, :-1], config)


def test_bytes_that_are_no_state_are_refused() -> None:
    with pytest.raises(ValueError, match="no stream state"):
        StreamState.from_bytes(b"nonsense")
