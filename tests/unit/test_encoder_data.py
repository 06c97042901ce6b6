"""The wider training speech of the encoder: faults of recordings, song and laughter, closures, the teacher."""

from __future__ import annotations

import copy
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "training"))

from average_speech import average
from festival_voices import voice_visemes
from language_texts import LANGUAGE_TEXTS
from manners import breath, join, laughter, pause, sung_vowels, voiced
from sound_faults import (
    babble_of,
    clicks,
    coloured,
    hum,
    mixed,
    music,
    overdriven,
    resampled,
    room,
    speech_level,
    spoiled,
    telephone,
)
from speech_labels import frame_pitch, label
from speech_texts import OTHER_LANGUAGES
from train_speech import BILABIAL, SHORTEST_CLOSURE, soft_targets, widen_closures
from world_texts import WORLD_TEXTS, invented_sentence

from talkhead_models.phones import ipa_visemes
from talkhead_models.speech import NUM_VISEMES, VISEMES, SpeechConfig, SpeechEncoder

RATE = 16_000


def speech_like(seconds: float = 1.0) -> np.ndarray:
    """Bursts of a noisy tone with pauses."""
    time = np.arange(int(seconds * RATE)) / RATE
    rng = np.random.default_rng(3)
    tone = np.sin(2 * np.pi * 700 * time) + 0.3 * rng.standard_normal(len(time))
    return (0.2 * tone * (np.sin(2 * np.pi * 3 * time) > 0)).astype(np.float32)


def delay(wave: np.ndarray, reference: np.ndarray) -> int:
    """Samples by which a wave comes later, by its envelope."""
    size = 2 * len(reference)
    spectra = [np.fft.rfft(np.abs(one) - np.abs(one).mean(), size) for one in (wave, reference)]
    cross = np.fft.irfft(spectra[0] * np.conj(spectra[1]))
    return (int(cross.argmax()) + size // 2) % size - size // 2


@pytest.mark.parametrize("way", [room, telephone, overdriven, resampled])
def test_a_fault_keeps_the_time_of_the_speech(way) -> None:
    wave = speech_like()
    heard = way(wave.astype(np.float64), np.random.default_rng(0))
    assert heard.shape == wave.shape
    assert abs(delay(heard, wave)) < 0.01 * RATE
    assert not np.allclose(heard, wave, atol=1e-3)


@pytest.mark.parametrize(
    "source", [coloured, hum, clicks, music, babble_of(speech_like)], ids=lambda s: s.__name__
)
def test_noise_is_as_loud_as_asked(source) -> None:
    wave = speech_like()
    noise = source(len(wave), np.random.default_rng(1))
    added = mixed(wave, noise, 10.0) - wave
    level = 20 * np.log10(speech_level(wave) / np.sqrt((added**2).mean()))
    assert level == pytest.approx(10.0, abs=0.1)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_spoiled_speech_is_finite_seeded_and_in_range(seed: int) -> None:
    wave = speech_like(0.6)
    waves = [spoiled(wave, np.random.default_rng(seed), lambda: wave) for _ in range(2)]
    np.testing.assert_array_equal(*waves)
    assert waves[0].shape == wave.shape
    assert np.isfinite(waves[0]).all()
    assert 0.01 < np.abs(waves[0]).max() < 0.75


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None)
def test_manners_are_labelled_to_their_end(seed: int) -> None:
    rng = random.Random(seed)
    parts = [make(rng) for make in (sung_vowels, pause, laughter, breath)]
    wave, segments = join(parts)
    ends = [end for end, _ in segments]
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx(len(wave) / RATE, abs=0.01)
    visemes = label(wave, segments)["viseme"]
    first = round(100 * len(parts[0][0]) / RATE)
    assert (visemes[: first - 1] != 0).mean() > 0.9, "song is not silence"
    second = round(100 * len(parts[1][0]) / RATE)
    assert not visemes[first + 1 : first + second - 1].any(), "a pause is"


def test_a_sung_note_has_its_pitch() -> None:
    wave = voiced(random.Random(0), "a", np.full(RATE // 2, 220.0), 1.0)
    aperiodicity, pitch = frame_pitch(wave.astype(np.float32), 50)
    assert np.median(aperiodicity[10:40]) < 0.2
    assert np.median(pitch[10:40]) == pytest.approx(220, rel=0.03)


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(1, 12)), min_size=1, max_size=20))
def test_closures_grow_and_nothing_else_is_touched(runs: list[tuple[int, int]]) -> None:
    viseme = np.concatenate([np.full(count, index, np.uint8) for index, count in runs])
    widened = widen_closures(viseme)
    closed, before = widened == BILABIAL, viseme == BILABIAL
    assert (closed >= before).all(), "what was closed stays closed"
    np.testing.assert_array_equal(widened[~closed], viseme[~closed])
    edges = np.flatnonzero(np.diff(np.pad(closed.astype(np.int8), 1))).reshape(-1, 2)
    for start, end in edges:
        assert end - start >= SHORTEST_CLOSURE or start == 0 or end == len(viseme)
    places = np.flatnonzero(before)
    near = np.abs(np.arange(len(viseme))[:, None] - places) <= SHORTEST_CLOSURE
    assert near[closed].any(axis=1).all(), "it grows by no more than its shortest length"


def test_the_teacher_is_asked_where_it_may_know_better() -> None:
    torch.manual_seed(0)
    average = copy.deepcopy(SpeechEncoder(SpeechConfig(channels=16))).eval()
    clean = torch.randn(1, 40, 80)
    said = average(clean).visemes.softmax(-1)
    labels = torch.zeros(1, 20, NUM_VISEMES)
    labels[:, :10, BILABIAL] = 1
    labels[:, 10:, VISEMES.index("AA")] = 1
    known = torch.ones(1, 20)
    known[:, 15:] = 0
    target = soft_targets(average, {"clean": clean, "viseme": labels, "labelled": known})
    torch.testing.assert_close(target.sum(-1), torch.ones(1, 20))
    assert (target[:, :10, BILABIAL] > 0.98).all(), "closures are labels alone"
    assert (target[:, 10:15].argmax(-1) == VISEMES.index("AA")).all()
    assert not torch.allclose(target[:, 10:15], 0.98 * labels[:, 10:15] + 0.02 / NUM_VISEMES)
    torch.testing.assert_close(target[:, 15:], said[:, 15:])


def test_training_texts_are_not_those_that_judge() -> None:
    training = {text for texts in WORLD_TEXTS.values() for text in texts}
    training |= {text for texts in OTHER_LANGUAGES.values() for text in texts}
    assert not training & {text for texts in LANGUAGE_TEXTS.values() for text in texts}
    assert not {"it", "ko", "sv"} & set(WORLD_TEXTS)
    assert len(WORLD_TEXTS.keys() | OTHER_LANGUAGES.keys()) >= 50


def test_invented_words_close_the_lips_often() -> None:
    rng = random.Random(1)
    letters = "".join(filter(str.isalpha, " ".join(invented_sentence(rng) for _ in range(50))))
    assert sum(letters.count(one) for one in "pbm") / len(letters) > 0.15


def test_phones_of_the_voices() -> None:
    assert voice_visemes("cs", "s~") == (VISEMES.index("SH"),)
    assert voice_visemes("fi", "m:") == (BILABIAL,)
    assert voice_visemes("ca", "O1") == (VISEMES.index("OH"),)
    assert voice_visemes("ru", "#") == ()
    with pytest.raises(KeyError):
        voice_visemes("ru", "ψ")
    assert ipa_visemes("ε") == ipa_visemes("ɛ"), "Danish is written with the Greek letter"


def test_the_mean_of_two_encoders_with_closures_lifted() -> None:
    torch.manual_seed(1)
    first, second = (SpeechEncoder(SpeechConfig()).eval() for _ in range(2))
    states = [first.state_dict(), second.state_dict()]
    made = average(states, [3.0, 1.0], 0.5)
    name = "project.weight"
    wanted = 0.75 * states[0][name] + 0.25 * states[1][name]
    torch.testing.assert_close(made.state_dict()[name], wanted)
    plain = average(states, [3.0, 1.0], 0.0)
    mel = torch.randn(1, 20, 80) - 3
    lifted = made(mel).visemes - plain(mel).visemes
    expected = torch.zeros(NUM_VISEMES)
    expected[BILABIAL] = 0.5
    torch.testing.assert_close(lifted, expected.expand_as(lifted), atol=1e-5, rtol=0)
