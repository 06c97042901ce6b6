"""How decoded motion is paced within a latent step and joined from chunk to chunk.

Two things tell frames at the start of a chunk from others, and both are put right by the frame before and the chunk
alone, so that a stream stays a stream:

- the decoder makes four frames of each latent and moves most in the first of them, least in the last, for real motion
  that it encodes itself as for generated motion; each frame is put back a little towards the one before, until the four
  steps are of one size;
- a network that remembers little of its past makes a chunk that does not begin quite where the last one ended; a share
  of that jump is taken back in the first frames and given out over those that follow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkhead_models.motion import EXPRESSION_SIZE, GEOMETRY_SIZE

Array = NDArray[np.float32]

POSE = slice(EXPRESSION_SIZE + 4, GEOMETRY_SIZE)
"""Rotation and translation among a motion frame's numbers."""

PACE = (1.32, 1.07, 0.89, 0.72)
"""Relative steps into the four frames of a latent. Real motion, encoded and decoded, has 1.25, 1.07, 0.92, 0.76; a
little more, for the steps are not all in one direction."""

HELD_BACK = (0.12, 0.22, 0.22, 0.18, 0.13, 0.08, 0.04)
"""Share of the jump into a chunk that its first frames are held back by; most of it where lips would not be late."""

HEAD_FRAMES = 20
"""Frames over which the head makes good what it is held back by: it is heavy, and nothing it does must be on time."""


def delays_of(pace: tuple[float, ...]) -> Array:
    """By how much of a frame each frame of a latent must come later for even steps, (len(pace),), the last 0.

    Args:
        pace: relative steps into the frames.
    """
    reached = np.cumsum(pace) / np.sum(pace)
    even = (np.arange(len(pace)) + 1) / len(pace)
    return np.asarray((reached - even) * np.sum(pace) / np.array(pace), np.float32)


DELAYS = delays_of(PACE)


def join(motion: Array, before: Array) -> Array:
    """A decoded chunk as it goes on from the frame before it.

    Args:
        motion: (T, D) float32 from the decoder, T a multiple of four.
        before: (D,) float32, the frame decoded before it.

    Returns:
        (T, D) float32.
    """
    earlier = np.concatenate([before[None], motion[:-1]])
    share = np.resize(DELAYS, len(motion))[:, None]
    result = motion + share * (earlier - motion)
    held = np.array(HELD_BACK[: len(motion)], np.float32)
    result[: len(held)] -= held[:, None] * (motion[0] - before)
    result[:, POSE] = join_head(motion[:, POSE], before[POSE])
    return np.asarray(result, np.float32)


def join_head(pose: Array, before: Array) -> Array:
    """The head's pose as it goes on from the frame before; its pace within latents is left to smoothing in time.

    As the decoder spreads a jump over a latent, the way of the first counts as a jump where it is longer than the
    second's.

    Args:
        pose: (T, 6) float32, T at least two latents.
        before: (6,) float32.

    Returns:
        (T, 6) float32.
    """
    size = len(PACE)
    first = float(np.linalg.norm(pose[size - 1] - before))
    second = float(np.linalg.norm(pose[2 * size - 1] - pose[size - 1]))
    jumped = np.float32(np.clip(1 - second / max(first, 1e-9), 0, 1))
    count = min(HEAD_FRAMES, len(pose))
    passed = (np.arange(count, dtype=np.float32) + 1) / (HEAD_FRAMES + 1)
    share = (1 - passed * passed * (3 - 2 * passed))[:, None]
    way = pose[np.minimum(np.arange(count), size - 1)] - before
    result = pose.copy()
    result[:count] -= share * (jumped * way + (1 - jumped) * (pose[0] - before))
    return result
