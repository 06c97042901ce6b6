"""The speech encoder's training data: labels from phone times, pitch, augmentation."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest

from talkhead_cli.mel import MEL_FLOOR, log_mel

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "training"))

from speech_augment import CENTRES, augment_crop, hz_to_mel, mel_to_hz, noise_only, warp_frequency
from speech_labels import frame_pitch, frame_visemes
from speech_texts import OTHER_LANGUAGES, english_sentence, other_sentence

RATE = 16_000


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    parts = [np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 6)]
    return (0.1 * np.sum(parts, axis=0)).astype(np.float32)


def test_visemes_share_the_time_of_their_phone() -> None:
    loud = np.zeros(100)
    labels = frame_visemes([(0.2, (0,)), (0.4, (12, 14)), (0.5, (1,))], loud)
    assert labels[:20].tolist() == [0] * 20
    assert labels[20:40].tolist() == [12] * 10 + [14] * 10
    assert labels[40:50].tolist() == [1] * 10
    assert not labels[50:].any()


def test_undecided_segments_follow_the_energy() -> None:
    energy = np.where(np.arange(60) < 40, -20.0, -90.0)
    labels = frame_visemes([(0.3, (12,)), (0.6, ())], energy)
    assert labels[30:40].tolist() == [12] * 10
    assert not labels[40:].any()


@pytest.mark.parametrize("hertz", [80.0, 120.0, 210.0, 330.0])
def test_pitch_of_a_tone(hertz: float) -> None:
    aperiodicity, pitch = frame_pitch(tone(hertz), 100)
    assert np.median(aperiodicity[10:90]) < 0.1
    np.testing.assert_allclose(np.median(pitch[10:90]), hertz, rtol=0.03)


def test_noise_is_not_voiced() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert np.median(frame_pitch(noise, 100)[0]) > 0.4


def test_mel_scale_is_that_of_the_filters() -> None:
    """A tone at a band's centre is loudest in that band."""
    np.testing.assert_allclose(hz_to_mel(mel_to_hz(np.linspace(1, 45, 50))), np.linspace(1, 45, 50))
    for band in (20, 45, 70):
        time = np.arange(RATE) / RATE
        wave = (0.1 * np.sin(2 * np.pi * CENTRES[band] * time)).astype(np.float32)
        assert abs(int(log_mel(wave)[50].argmax()) - band) <= 1


def test_frequency_warp_moves_a_peak() -> None:
    mel = np.full((10, 80), -5.0, np.float32)
    mel[:, 40] = 0
    warped = warp_frequency(mel, 1.2)
    expected = np.abs(CENTRES - 1.2 * CENTRES[40]).argmin()
    assert abs(int(warped[5].argmax()) - int(expected)) <= 1


def crop_of(frames: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "mel": rng.normal(-2, 1, (frames, 80)).astype(np.float32),
        "viseme": (np.arange(frames) // 10 % 16).astype(np.uint8),
        "voiced": np.ones(frames, np.float32),
        "pitch": np.zeros(frames, np.float32),
    }


def test_augmentation_is_seeded_and_keeps_shapes() -> None:
    def babble() -> np.ndarray:
        return crop_of(200)["mel"]

    for seed in range(30):
        items = [
            augment_crop(np.random.default_rng(seed), crop_of(280), babble, 200) for _ in range(2)
        ]
        for key, value in items[0].items():
            np.testing.assert_array_equal(value, items[1][key])
        mel = items[0]["mel"]
        assert mel.shape == (200, 80)
        assert mel.dtype == np.float32
        assert np.isfinite(mel).all()
        assert mel.min() >= np.float32(np.log10(MEL_FLOOR))
        assert items[0]["viseme"].shape == (200,)


def test_noise_items_are_silence() -> None:
    item = noise_only(np.random.default_rng(0), 100)
    assert not item["viseme"].any()
    assert np.isfinite(item["mel"]).all()


def test_texts_are_filled_in() -> None:
    rng = random.Random(0)
    for _ in range(50):
        text = english_sentence(rng, ["bamboo"])
        assert "{" not in text
        assert len(text) > 10
    assert all(other_sentence(rng, language) for language in OTHER_LANGUAGES)
