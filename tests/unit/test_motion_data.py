"""The training windows: speech stays with its motion through cutting, stretching and mirroring."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from talkhead_models.motion import EXPRESSION_SIZE, MOTION_SIZE

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "training"))

from motion_data import Clip, WindowSampler, interpolate, mirrored
from splits import SINGLE_SPEAKER, is_held_out, is_validation_clip

BASIS = SimpleNamespace(mirror=np.eye(EXPRESSION_SIZE, dtype=np.float32)[::-1].copy())


def make_clip(person: str, num_frames: int = 120, *, spoken: bool = True) -> Clip:
    """A clip whose first expression and loudness both count the time in frames."""
    motion = np.zeros((num_frames, MOTION_SIZE), np.float32)
    motion[:, 0] = np.arange(num_frames)
    features = np.zeros((2 * num_frames, 20), np.float32)
    features[:, 16] = (np.arange(2 * num_frames) + 0.5) / 2 - 0.5
    style = np.ones(9, np.float32)
    return Clip("clip", person, motion, features if spoken else None, style, False, False)


def test_the_split_is_by_person_and_never_moves() -> None:
    assert not is_held_out(SINGLE_SPEAKER)
    assert is_held_out("rizkiarm_evaluation_samples_GRID_bbaf2n")
    assert is_held_out("MeiGen_AI_examples_single_ref_video")
    clips = [is_validation_clip(SINGLE_SPEAKER, f"clip{i}") for i in range(1000)]
    assert 60 < sum(clips) < 140


def test_mirrored_twice_is_the_same() -> None:
    motion = np.random.default_rng(0).standard_normal((5, MOTION_SIZE)).astype(np.float32)
    once = mirrored(motion, BASIS)
    assert np.array_equal(once[:, EXPRESSION_SIZE], motion[:, EXPRESSION_SIZE + 1])
    assert np.array_equal(once[:, EXPRESSION_SIZE + 5], -motion[:, EXPRESSION_SIZE + 5])
    np.testing.assert_allclose(mirrored(once, BASIS), motion, atol=1e-6)


def test_interpolation_holds_the_ends() -> None:
    values = np.arange(4, dtype=np.float32)[:, None]
    found = interpolate(values, np.array([-2.0, 0.5, 2.25, 9.0]))
    np.testing.assert_allclose(found[:, 0], [0, 0.5, 2.25, 3])


@pytest.mark.parametrize("seed", range(8))
def test_speech_stays_with_its_motion(seed: int) -> None:
    sampler = WindowSampler([make_clip(SINGLE_SPEAKER)], BASIS, seed)
    motion, features, spoken = sampler.cut(sampler.single[0], 40, 0)
    assert spoken
    inside = features[:, 0] == 0
    # The mean of a frame's two vectors is the frame's own time.
    said = features[:, 16].reshape(40, 2).mean(1)
    both = inside.reshape(40, 2).all(1)
    np.testing.assert_allclose(said[both], motion[both, 0], atol=1e-3)


def test_clips_without_speech_are_marked() -> None:
    sampler = WindowSampler([make_clip("somebody", spoken=False)], BASIS, 0)
    windows = sampler.batch(3, 40, 0)
    assert not windows.spoken.any()
    assert windows.motion.shape == (3, 40, MOTION_SIZE)
    assert windows.features.shape == (3, 80, 20)
