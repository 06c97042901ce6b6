"""Loudness and pauses: quiet recordings drive the lips fully, silence and room noise do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_cli.loudness import FeatureStream, mel_energy
from talkhead_models.speech import LOUDNESS, LOUDNESS_STEP, NUM_VISEMES, PITCH, VOICING

SPEECH, PAUSE = 12, 0


def steps(pattern: list[tuple[int, int, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, prosody and energy from (viseme, number of steps, dB)."""
    visemes = np.concatenate([np.full(count, viseme) for viseme, count, _ in pattern])
    energy = np.concatenate([np.full(count, level) for _, count, level in pattern])
    energy = energy + np.random.default_rng(0).normal(0, 0.5, len(energy))
    logits = 8 * np.eye(NUM_VISEMES)[visemes]
    voiced = np.where(visemes == SPEECH, 4.0, -4.0)
    prosody = np.stack([voiced, np.full(len(voiced), 0.3)], axis=1)
    return logits.astype(np.float32), prosody.astype(np.float32), energy.astype(np.float32)


def features(pattern: list[tuple[int, int, float]], sizes: list[int] | None = None) -> np.ndarray:
    logits, prosody, energy = steps(pattern)
    stream, parts, start = FeatureStream(), [], 0
    for size in [*(sizes or []), len(energy)]:
        part = slice(start, start + size)
        parts.append(stream.push(logits[part], prosody[part], energy[part]))
        start += size
    return np.concatenate([*parts, stream.finish()])


TALK = [
    (PAUSE, 30, -40.0),
    (SPEECH, 60, 10.0),
    (PAUSE, 30, -40.0),
    (SPEECH, 60, 10.0),
    (PAUSE, 30, -40.0),
]


@pytest.mark.parametrize("gain", [-35.0, -20.0, 0.0, 12.0])
def test_level_does_not_matter(gain: float) -> None:
    quieter = [(viseme, count, level + gain) for viseme, count, level in TALK]
    loudness = features(quieter)[:, LOUDNESS]
    assert loudness[35:85].mean() > 0.75
    assert loudness[5:25].max() == 0
    assert loudness[125:175].mean() > 0.75


def test_level_follows_somebody_who_moves_away() -> None:
    syllables = [(SPEECH, 15, 10.0), (PAUSE, 5, -40.0)] * 20
    far = [(viseme, count, level - 22) for viseme, count, level in syllables] * 4
    loudness = features([*syllables, *far])[-400:, LOUDNESS]
    assert np.percentile(loudness, 80) > 0.7


def test_room_noise_does_not_drive_the_lips() -> None:
    noisy = [(viseme, count, max(level, -8.0)) for viseme, count, level in TALK]
    loudness = features(noisy)[:, LOUDNESS]
    assert loudness[125:175].mean() > 0.6
    assert loudness[95:115].max() < 0.05


def test_pauses_are_silence_whatever_the_encoder_says() -> None:
    mistaken = [(SPEECH if v == PAUSE else v, n, level) for v, n, level in TALK]
    posterior = features(mistaken)[:, 0]
    assert (posterior[95:112] == 1).all()
    assert posterior[40:80].max() < 0.1


def test_closure_of_a_stop_is_left_alone() -> None:
    """Five quiet steps between vowels are a closure, not a pause."""
    result = features([(SPEECH, 60, 10.0), (1, 5, -40.0), (SPEECH, 60, 10.0)])
    assert result[60:65, 1].min() > 0.9


def test_digital_silence_is_all_rest() -> None:
    result = features([(SPEECH, 100, -57.0)])
    assert (result[5:, 0] == 1).all()
    assert not result[:, LOUDNESS].any()


def test_pitch_follows_the_median_and_rests_unvoiced() -> None:
    logits, prosody, energy = steps(TALK)
    prosody[150:, 1] += 0.5
    result = FeatureStream()
    array = np.concatenate([result.push(logits, prosody, energy), result.finish()])
    assert abs(array[60, PITCH]) < 1e-6
    assert array[152, PITCH] == pytest.approx(0.5, abs=1e-3)
    assert array[:25, PITCH].any() == False  # noqa: E712 - numpy's own truth value
    assert array[60, VOICING] > 0.9


def test_difference_is_that_of_loudness() -> None:
    result = features(TALK)
    np.testing.assert_allclose(np.diff(result[:, LOUDNESS]), result[1:, LOUDNESS_STEP], atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=8))
def test_block_sizes_do_not_matter(sizes: list[int]) -> None:
    np.testing.assert_array_equal(features(TALK, sizes), features(TALK))


def test_mel_energy_of_known_power() -> None:
    mel = np.full((4, 80), -2.0, np.float32)
    np.testing.assert_allclose(mel_energy(mel), 10 * np.log10(0.8), atol=1e-4)
