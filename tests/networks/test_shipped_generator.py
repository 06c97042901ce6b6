"""The shipped motion generator: what its weights must do, without any speech file."""

from __future__ import annotations

import numpy as np
import pytest

from talkhead_models.basis import FaceBasis
from talkhead_models.bundle import bundle_path, verify_bundle
from talkhead_models.generator import GenerateOptions, MotionGenerator
from talkhead_models.generator_bundle import load_motion_generator
from talkhead_models.streaming import silence

OPEN, BILABIAL, LOUDNESS, VOICING = 12, 1, 16, 18


@pytest.fixture(scope="module")
def generator() -> MotionGenerator:
    return load_motion_generator()


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


def syllables(num_seconds: int) -> np.ndarray:
    """ "ma ma ma" twice a second between two seconds of silence, (L, 20)."""
    features = silence(50 * num_seconds, 20)
    for index in range(100, len(features) - 100):
        consonant = index % 25 < 6
        features[index, 0] = 0
        features[index, BILABIAL if consonant else OPEN] = 1
        features[index, LOUDNESS] = 0.5 if consonant else 0.9
        features[index, VOICING] = 1
    return features


def test_bundle_is_small_and_says_where_it_comes_from() -> None:
    bundle = verify_bundle("talkhead")
    assert bundle_path("talkhead").stat().st_size < 12e6
    assert bundle.metadata["data_tier"] == "permissive"
    assert {"licence", "training_command"} <= set(bundle.metadata)


@pytest.mark.parametrize("seed", [0, 1])
def test_lips_follow_syllables_and_rest_in_silence(
    generator: MotionGenerator, basis: FaceBasis, seed: int
) -> None:
    features = syllables(10)
    parts = [part.to_array() for part in generator.generate(features, seed, GenerateOptions())]
    motion = np.concatenate(parts)
    gap = basis.lip_gap(motion[:, :32])
    assert len(gap) == 250
    assert np.isfinite(motion).all()
    spoken = gap[55:195]
    opened = np.percentile(spoken, 90)
    assert 0.04 < opened < 0.3
    assert np.concatenate([gap[5:45], gap[210:]]).mean() < 0.12 * opened
    # Each closure and each opening is there: the smallest and the largest gap of each syllable.
    for start in np.arange(55, 180, 12.5).astype(int):
        syllable = gap[start : start + 13]
        assert syllable.min() < max(0.02, 0.15 * opened)
        assert syllable.max() > 0.35 * opened


def test_the_head_moves_and_stays(generator: MotionGenerator) -> None:
    features = np.tile(syllables(10), (6, 1))
    turn = np.degrees(np.concatenate([part.rotation for part in generator.generate(features, 0)]))
    assert 0.5 < turn.std(0).mean() < 5
    assert np.abs(turn).max() < 20
    assert np.abs(turn.mean(0)).max() < 3
