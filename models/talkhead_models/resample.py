"""FaceMotion at another frame rate: motion is continuous in time, so frames are computed, never repeated or dropped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from talkhead_models.motion import MOTION_FPS, FaceMotion

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


@dataclass(frozen=True)
class ResampleState:
    """Where a stream of motion stands between two chunks; stepping from a stored state is never having stopped.

    Attributes:
        kept: (n, D) float32, the newest motion frames, as far as the next output frame can reach back.
        start: number of the first of them.
        done: output frames made.
        motion_fps: rate of the motion.
    """

    kept: Array | None = None
    start: int = 0
    done: int = 0
    motion_fps: Fraction = Fraction(MOTION_FPS)


def resample_step(
    state: ResampleState, chunk: FaceMotion, fps: Fraction, num_frames: int | None
) -> tuple[FaceMotion | None, ResampleState]:
    """The output frames that one more chunk of motion makes possible.

    Args:
        state: from the chunk before.
        chunk: of motion.
        fps: output rate.
        num_frames: no more than so many in all.

    Returns:
        Motion at `fps`, None where there is none yet, and the state after it.
    """
    array, motion_fps, start, done = chunk.to_array(), chunk.fps, state.start, state.done
    kept = array if state.kept is None else np.concatenate([state.kept, array])
    # A frame at position p needs motion frames up to floor(p) + 2.
    available = start + len(kept) - 3
    ready = (
        math.floor((Fraction(available) + Fraction(1, 2)) * fps / motion_fps - Fraction(1, 2)) + 1
    )
    count = (ready if num_frames is None else min(ready, num_frames)) - done
    if count <= 0:
        return None, ResampleState(kept, start, done, motion_fps)
    positions = frame_positions(done, count, fps, motion_fps) - start
    made = FaceMotion.from_array(interpolate(kept, positions), fps)
    done += count
    # Keep what the next frame can still reach back to.
    drop = max(0, int(np.floor(frame_positions(done, 1, fps, motion_fps)[0])) - 1 - start)
    return made, ResampleState(kept[drop:], start + drop, done, motion_fps)


def resample_rest(state: ResampleState, fps: Fraction, num_frames: int) -> FaceMotion | None:
    """The output frames that are missing when there is no more motion; its last frame is held.

    Raises:
        ValueError: there was no motion at all.
    """
    if state.kept is None:
        raise ValueError("there is no motion to resample")
    missing = num_frames - state.done
    if missing <= 0:
        return None
    positions = frame_positions(state.done, missing, fps, state.motion_fps) - state.start
    return FaceMotion.from_array(interpolate(state.kept, positions), fps)


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
    state = ResampleState()
    limit = None if callable(num_frames) else num_frames
    for chunk in chunks:
        made, state = resample_step(state, chunk, fps, limit)
        if made is not None:
            yield made
        if state.done == limit:
            return
    rest = resample_rest(state, fps, num_frames() if callable(num_frames) else num_frames)
    if rest is not None:
        yield rest
