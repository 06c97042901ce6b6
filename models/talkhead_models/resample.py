"""FaceMotion at another frame rate: motion is continuous in time, so frames are computed, never repeated or dropped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from talkhead_models.motion import FaceMotion

Array = NDArray[np.float32]


def frame_positions(
    first: int, count: int, fps: Fraction, motion_fps: Fraction
) -> NDArray[np.float64]:
    """Positions, in motion frames, of output frames `first` to `first + count`; frame middles coincide in time."""
    numbers = np.arange(first, first + count, dtype=np.float64)
    return (numbers + 0.5) * float(motion_fps / fps) - 0.5


def interpolate(array: Array, positions: NDArray[np.float64]) -> Array:
    """Catmull-Rom interpolation of rows (T, D) at fractional positions; ends are held.

    Catmull and Rom, "A class of local interpolating splines", 1974.
    """
    base = np.floor(positions).astype(np.int64)
    t = (positions - base).astype(np.float32)[:, None]
    last = len(array) - 1
    p0, p1, p2, p3 = (array[np.clip(base + shift, 0, last)] for shift in (-1, 0, 1, 2))
    curve = p1 + 0.5 * t * (
        p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))
    )
    return np.asarray(curve, np.float32)


def resample_stream(
    chunks: Iterable[FaceMotion], fps: Fraction, num_frames: int | Callable[[], int]
) -> Iterator[FaceMotion]:
    """Exactly `num_frames` frames at `fps` from a stream of motion, as soon as each can be computed.

    Args:
        chunks: consecutive motion, all of one rate; the last frame is held if there is too little of it.
        fps: output rate.
        num_frames: output frames; what tells them when there are no more chunks, where it is not known before.

    Yields:
        Consecutive motion at `fps`, the same whatever the lengths of the incoming chunks.
    """
    kept: Array | None = None
    start, done = 0, 0
    motion_fps = Fraction(25)
    for chunk in chunks:
        motion_fps = chunk.fps
        array = chunk.to_array()
        kept = array if kept is None else np.concatenate([kept, array])
        # A frame at position p needs motion frames up to floor(p) + 2.
        available = start + len(kept) - 3
        ready = (
            math.floor((Fraction(available) + Fraction(1, 2)) * fps / motion_fps - Fraction(1, 2))
            + 1
        )
        count = (ready if callable(num_frames) else min(ready, num_frames)) - done
        if count > 0:
            positions = frame_positions(done, count, fps, motion_fps) - start
            yield FaceMotion.from_array(interpolate(kept, positions), fps)
            done += count
            # Keep what the next frame can still reach back to.
            drop = max(0, int(np.floor(frame_positions(done, 1, fps, motion_fps)[0])) - 1 - start)
            kept, start = kept[drop:], start + drop
        if done == num_frames:
            return
    if kept is None:
        raise ValueError("there is no motion to resample")
    missing = (num_frames() if callable(num_frames) else num_frames) - done
    if missing > 0:
        positions = frame_positions(done, missing, fps, motion_fps) - start
        yield FaceMotion.from_array(interpolate(kept, positions), fps)
