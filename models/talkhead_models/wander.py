"""Slow random motion that never repeats: smooth noise that is a function of the seed and the time alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkhead_models.sampling import number_for

Array = NDArray[np.float32]

BLOCK = 64
"""Knots drawn at once."""


def knots(seed: int, label: str, first: int, count: int) -> NDArray[np.float64]:
    """Standard normal numbers `first` to `first + count` of an endless row; `first` may be negative."""
    drawn = []
    for block in range(first // BLOCK, (first + count - 1) // BLOCK + 1):
        rng = np.random.default_rng(number_for(seed, label, block))
        drawn.append(rng.standard_normal(BLOCK))
    start = first - first // BLOCK * BLOCK
    return np.concatenate(drawn)[start : start + count]


def wander(seed: int, label: str, frames: Array, spacing: float) -> Array:
    """Noise of mean 0 and deviation about 1 at some times, (T,) float32.

    Cubic B-spline through random knots: smooth up to its second derivative, so that heads do not jerk, and each knot
    of its own, so that no stretch comes twice.

    Args:
        seed: of the clip.
        label: another label is another row.
        frames: (T,) numbers of the frames, rising.
        spacing: frames from knot to knot.
    """
    position = frames.astype(np.float64) / spacing
    base = np.floor(position).astype(np.int64)
    first = int(base[0]) - 1
    row = knots(seed, label, first, int(base[-1]) - first + 3)
    t = position - base
    shares = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    index = base - first
    value = sum(
        share * row[index + shift] for shift, share in zip((-1, 0, 1, 2), shares, strict=True)
    )
    # The spline's mean deviation over the places between two knots.
    return np.asarray(value / 6 / 0.69, np.float32)
