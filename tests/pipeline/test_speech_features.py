"""The shipped speech encoder on the built-in example, as a render hears it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from talkhead_cli.audio import extract_features
from talkhead_models.speech import (
    LOUDNESS,
    PITCH,
    VISEMES,
    VOICING,
    SpeechEncoder,
    load_speech_encoder,
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "speech.wav"


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    return load_speech_encoder()


@pytest.fixture(scope="module")
def features(encoder: SpeechEncoder) -> np.ndarray:
    return extract_features(EXAMPLE, encoder).array


def test_speech_is_recognised(features: np.ndarray) -> None:
    assert features[:, 0].mean() < 0.5
    assert (features[:, VISEMES.index("PBM")] > 0.5).any()
    assert np.percentile(features[:, LOUDNESS], 75) > 0.5
    assert 0.3 < (features[:, VOICING] > 0.5).mean() < 0.95
    assert features[:, PITCH].std() > 0.02


@pytest.mark.parametrize("gain", [0.03, 0.3])
def test_level_does_not_matter(
    encoder: SpeechEncoder, features: np.ndarray, tmp_path: Path, gain: float
) -> None:
    wave, rate = soundfile.read(EXAMPLE)
    path = tmp_path / "quiet.wav"
    soundfile.write(path, wave * gain, rate, subtype="FLOAT")
    quiet = extract_features(path, encoder).array
    agree = quiet[:, :16].argmax(1) == features[:, :16].argmax(1)
    assert agree.mean() > 0.75
    assert np.abs(quiet[:, LOUDNESS] - features[:, LOUDNESS]).mean() < 0.15


@pytest.mark.parametrize("level", [0.0, 1e-4, 3e-3])
def test_room_noise_rests(encoder: SpeechEncoder, tmp_path: Path, level: float) -> None:
    noise = np.random.default_rng(0).normal(0, 1, 5 * 16_000) * level
    path = tmp_path / "room.wav"
    soundfile.write(path, noise, 16_000, subtype="FLOAT")
    array = extract_features(path, encoder).array
    assert array[:, 0].mean() > 0.8
    assert array[:, LOUDNESS].mean() < 0.05
