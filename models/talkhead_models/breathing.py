"""Breathing: the chest and shoulders rise a little and sink, a dozen times a minute.

A function of the time in the clip and the seed alone, so that chunks join exactly.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from talkhead_models.sampling import number_for

Array = NDArray[np.float32]

RATE = (12.0, 16.0)
"""Breaths a minute of people at rest, the seed chooses."""

LIFT = 0.03
"""How far the shoulders rise, in outer-eye distances: about 3 mm."""

BELOW_CHIN = (0.05, 1.0)
"""Outer-eye distances below the chin at which the lift begins and is full."""

REACH = (1.1, 1.9)
"""Outer-eye distances to the side of the chin up to which the lift is full, and where it has died out."""

FADE = 0.6
"""Outer-eye distances over which it dies out towards the bottom of the moving box."""


def breathing(seed: int, first_frame: int, num_frames: int, fps: Fraction) -> Array:
    """How far breath is drawn in, (T,) float32 in [0, 1], of a run of frames.

    Args:
        seed: of the clip; chooses rate and phase.
        first_frame: number of the run's first frame in the clip.
        num_frames: T.
        fps: frames a second.
    """
    rng = np.random.default_rng(number_for(seed, "breathing", 0))
    rate, phase = rng.uniform(*RATE) / 60, rng.uniform(0, 2 * np.pi)
    seconds = (first_frame + np.arange(num_frames)) / float(fps)
    angle = 2 * np.pi * rate * seconds + phase
    # In a little faster than out.
    return np.asarray(0.5 - 0.5 * np.cos(angle + 0.35 * np.sin(angle)), np.float32)


def breath_lift(grid: Array, chin: Array, unit: float, bottom: float) -> Array:
    """Pixels (h, w) float32 that a full breath lifts each place by.

    Args:
        grid: (h, w, 2) places.
        chin: (>=2,) the chin's.
        unit: outer-eye distance in pixels.
        bottom: lowest row that may move.
    """

    def step(x: Array) -> Array:
        x = np.clip(x, 0, 1)
        return np.asarray(x * x * (3 - 2 * x), np.float32)

    down = (grid[..., 1] - chin[1]) / unit
    aside = np.abs(grid[..., 0] - chin[0]) / unit
    lift = step((down - BELOW_CHIN[0]) / (BELOW_CHIN[1] - BELOW_CHIN[0]))
    lift = lift * step((REACH[1] - aside) / (REACH[1] - REACH[0]))
    return np.asarray(
        LIFT * unit * lift * step((bottom - grid[..., 1]) / (FADE * unit)), np.float32
    )
