"""Chunks go on where the one before ended, and move at one pace."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_models.joining import HEAD_FRAMES, PACE, POSE, delays_of, join, join_head
from talkhead_models.motion import EXPRESSION_SIZE, MOTION_SIZE

FACE = slice(0, EXPRESSION_SIZE)


def walk(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (count, MOTION_SIZE)).cumsum(0).astype(np.float32)


@given(st.lists(st.floats(0.2, 3.0), min_size=2, max_size=6))
def test_delays_make_any_pace_even(pace: list[float]) -> None:
    way = np.cumsum(pace)
    before = np.concatenate([[0.0], way[:-1]])
    moved = way + delays_of(tuple(pace)) * (before - way)
    assert np.allclose(np.diff(moved, prepend=0), way[-1] / len(pace), atol=1e-4)


def test_steps_of_a_decoder_that_hurries_become_even() -> None:
    steps = np.resize(np.array(PACE, np.float32), 32)
    motion = np.cumsum(steps)[:, None] * np.ones(MOTION_SIZE, np.float32)
    result = join(motion, motion[0] - PACE[0])
    inner = np.diff(result[8:, FACE], axis=0)
    assert np.allclose(inner, np.mean(PACE), atol=1e-3)
    assert np.diff(motion[8:, FACE], axis=0).max() > 1.25


@settings(max_examples=25)
@given(st.integers(6, 8), st.integers(0, 1000))
def test_a_chunk_ends_where_the_decoder_says(latents: int, seed: int) -> None:
    """So that the next one may begin from the decoder's frame, whatever was done here."""
    motion = walk(4 * latents, seed)
    result = join(motion, walk(1, seed + 1)[0])
    assert result.shape == motion.shape
    assert result.dtype == np.float32
    assert np.allclose(result[-1], motion[-1], atol=1e-4)


def test_a_jump_is_spread_and_the_head_makes_it_good_in_a_second() -> None:
    before = np.zeros(MOTION_SIZE, np.float32)
    motion = np.ones((32, MOTION_SIZE), np.float32)
    result = join(motion, before)
    face, head = result[:, FACE].mean(1), result[:, POSE].mean(1)
    # The face is there at once but for a share; the head hardly begins, and never steps by more than a tenth.
    assert 0.5 < face[0] < 0.75
    assert np.abs(face[8:] - 1).max() < 1e-6
    assert head[0] < 0.05
    assert np.diff(head, prepend=0).max() < 0.1
    assert np.all(np.diff(head) >= 0)
    assert head[HEAD_FRAMES:] == pytest.approx(1)


def test_a_jump_that_the_decoder_spreads_is_seen_and_a_steady_turn_is_none() -> None:
    before = np.zeros(6, np.float32)
    spread = np.minimum(np.arange(1, 33), 4)[:, None] / 4 * np.ones(6, np.float32)
    assert np.diff(spread[:, 0], prepend=0).max() == 0.25
    assert np.diff(join_head(spread, before)[:, 0], prepend=0).max() < 0.1
    turn = np.arange(1, 33)[:, None] * np.full(6, 0.1, np.float32)
    steps = np.diff(join_head(turn, before)[:, 0], prepend=0)
    assert steps.min() > 0
    assert steps.max() < 0.115


def test_a_still_face_stays_still() -> None:
    frame = walk(1)[0]
    motion = np.repeat(frame[None], 32, 0)
    assert np.allclose(join(motion, frame), motion, atol=1e-6)
