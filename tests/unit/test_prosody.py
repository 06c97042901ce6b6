"""Accents, pauses and phrase starts found in speech features, and what head, brows and lids make of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_models.accents import (
    BREAKPOINT_SECONDS,
    blink_pace,
    brow_heights,
    head_drift,
    nod_rotation,
)
from talkhead_models.prosody import AHEAD, HISTORY, Prosody, listen
from talkhead_models.speech import LOUDNESS, PITCH, VOICING
from talkhead_models.streaming import silence
from talkhead_models.style import made_up_speech
from talkhead_models.wander import wander

SPEECH = made_up_speech(20, 12.0)
FRAMES = len(SPEECH) // 2
PADDED = np.concatenate([silence(HISTORY, 20), SPEECH, silence(AHEAD + 400, 20)])


def heard(first: int, count: int, features: np.ndarray = PADDED) -> Prosody:
    around = features[2 * first : 2 * first + HISTORY + 2 * count + AHEAD]
    return listen(around, HISTORY, first, count)


def monotone(frames: int) -> np.ndarray:
    """One long vowel of one loudness between two and a half seconds of silence and enough of it."""
    features = np.concatenate(
        [silence(HISTORY + 60, 20), np.zeros((2 * frames, 20), np.float32), silence(600, 20)]
    )
    said = slice(HISTORY + 60, HISTORY + 60 + 2 * frames)
    features[said, 12] = 1
    features[said, LOUDNESS] = 0.4
    features[said, VOICING] = 1
    return features


@settings(max_examples=6)
@given(st.lists(st.integers(1, 120), min_size=1, max_size=8), st.integers(0, 3))
def test_everything_is_the_same_wherever_chunks_are_cut(sizes: list[int], seed: int) -> None:
    whole, first = heard(0, FRAMES), 0
    wanted = all_of(whole, seed)
    for size in [*sizes, FRAMES]:
        count = min(size, FRAMES - first)
        if count <= 0:
            break
        found = all_of(heard(first, count), seed)
        np.testing.assert_allclose(found, wanted[first : first + count], atol=2e-6)
        first += count


def all_of(prosody: Prosody, seed: int) -> np.ndarray:
    columns = [prosody.voice, prosody.silent, prosody.pursed, blink_pace(prosody)]
    columns += [*nod_rotation(prosody, seed).T, *head_drift(prosody, seed).T]
    return np.stack([*columns, brow_heights(prosody, seed)], axis=1)


def test_a_loud_high_syllable_is_an_accent_and_an_even_vowel_has_none() -> None:
    features = monotone(150)
    even = heard(0, 250, features)
    # The onset may be one; afterwards nothing stands out.
    assert all(accent.frame < 40 for accent in even.accents)
    loud = features.copy()
    peak = HISTORY + 60 + 140
    loud[peak - 4 : peak + 5, LOUDNESS] += 0.4 * np.hanning(11)[1:-1]
    loud[peak - 4 : peak + 5, PITCH] += 0.3 * np.hanning(11)[1:-1]
    found = [accent for accent in heard(0, 250, loud).accents if accent.frame > 40]
    assert len(found) == 1
    assert found[0].frame == pytest.approx((peak - HISTORY) / 2, abs=1)
    assert found[0].pitch > 0.1


def test_accents_move_head_and_brows_around_their_moment_only() -> None:
    prosody = heard(0, FRAMES)
    assert len(prosody.accents) > 8
    one = Prosody(0, prosody.accents[4:5], (), (), prosody.voice, prosody.silent, prosody.pursed)
    at = one.accents[0].frame
    moved = one.pulses(0.16, 0.5, np.ones(1, np.float32))
    frames = np.arange(FRAMES)
    assert moved.max() == pytest.approx(1, abs=0.05)
    assert abs(int(moved.argmax()) - at) <= 4
    assert not moved[(frames < at - 3) | (frames > at + 25)].any()
    nods = [np.degrees(nod_rotation(prosody, seed)) for seed in range(4)]
    assert all(0.5 < np.abs(nod[:, 0]).max() < 12 for nod in nods)
    # A nod, mostly; each seed its own.
    assert np.mean([nod[:, 0].mean() for nod in nods]) > 0
    assert np.abs(nods[0] - nods[1]).max() > 0.3


def test_a_pause_is_where_blinks_are_likely() -> None:
    features = monotone(100)
    prosody = heard(0, 300, features)
    begin = 30 + 100
    assert prosody.pauses == pytest.approx([begin], abs=2)
    assert prosody.starts == pytest.approx([30], abs=2)
    pace = blink_pace(prosody)
    at_once = slice(begin + 3, begin + round(25 * BREAKPOINT_SECONDS) - 3)
    assert pace[at_once].min() > 2 * pace[60:100].max()
    assert pace[begin + 40 :].max() < pace[at_once].min()


def test_a_plosives_closure_is_no_pause() -> None:
    features = monotone(100)
    middle = HISTORY + 60 + 100
    features[middle : middle + 5] = silence(5, 20)
    prosody = heard(0, 200, features)
    assert len(prosody.pauses) == 1
    assert len(prosody.starts) == 1


@given(st.integers(0, 5), st.integers(0, 10_000), st.floats(4, 120))
def test_wandering_is_smooth_and_the_same_from_anywhere(
    seed: int, first: int, spacing: float
) -> None:
    frames = first + np.arange(60, dtype=np.float32)
    whole = wander(seed, "x", frames, spacing)
    np.testing.assert_allclose(wander(seed, "x", frames[20:], spacing), whole[20:], atol=1e-6)
    assert np.abs(np.diff(whole, n=3)).max() < 60 / spacing**3 + 1e-5


def test_wandering_never_comes_back() -> None:
    row = wander(1, "x", np.arange(15_000, dtype=np.float32), 40.0)
    assert row.std() == pytest.approx(1, abs=0.15)
    row = row - row.mean()
    spectrum = np.abs(np.fft.rfft(row, 2 * len(row))) ** 2
    overlap = np.fft.irfft(spectrum)[: len(row) // 2] / np.arange(len(row), len(row) // 2, -1)
    assert np.abs(overlap[250:] / overlap[0]).max() < 0.35


def test_too_little_speech_is_refused() -> None:
    with pytest.raises(ValueError, match="too little"):
        listen(PADDED[:100], 90, 0, 2)
