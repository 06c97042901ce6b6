"""Eyes, head and steps of the face from what the tracker saw: a few numbers a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo

Array = NDArray[np.float64]
Mesh = NDArray[np.float32]

CHUNK_SECONDS = 32 / 25
"""The motion generator works in chunks of 32 frames at 25 frames a second."""

CLOSED = 0.5
"""Eyes narrower than this share of their median opening are in a blink."""

JUDGED_POINTS = (1, 152, 33, 263)
"""Nose tip, chin, outer eye corners: points that tell of the head."""

MOVING_POINTS = tuple(
    sorted(set(range(topo.NUM_FACE_POINTS)) - set(topo.lid_points()) - set(topo.STABLE))
)
"""Points whose steps tell of the expression: not the lids, which may blink anywhere, nor those that hold the pose."""


class FaceFrame(NamedTuple):
    """One frame with its face.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mesh: (478, 3) float32 pixels; of a lost frame the mesh before.
        canonical: (478, 3) float32, the mesh without its pose.
        patch_frame: (2, 3) float32, picture to mouth patch.
        lost: the tracker saw no face.
    """

    image: NDArray[np.uint8]
    mesh: Mesh
    canonical: Mesh
    patch_frame: NDArray[np.float32]
    lost: bool


@dataclass(frozen=True)
class FaceTrack:
    """What is kept of T frames.

    Attributes:
        gap: (T,) inner-lip gap at the middle, in outer-eye distances.
        eyes: (T,) lid opening, mean of both eyes, in outer-eye distances.
        unit: (T,) outer-eye distance in pixels.
        points: (T, 4, 2) pixels of `JUDGED_POINTS`.
        steps: (T,) mean way of the face's points since the frame before, pose left out, in outer-eye distances.
        lost: (T,) bool.
        fps: frames a second.
    """

    gap: Array
    eyes: Array
    unit: Array
    points: Array
    steps: Array
    lost: NDArray[np.bool_]
    fps: float


class TrackRecorder:
    """Reduces frames to a `FaceTrack`."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._rows: list[list[float]] = []
        self._lost: list[bool] = []
        self._before: Mesh | None = None

    def push(self, frame: FaceFrame) -> None:
        """Take the next frame."""
        mesh = frame.mesh[:, :2].astype(np.float64)
        unit = max(distance(mesh, 33, 263), 1e-6)
        gap = distance(mesh, 13, 14) / unit
        eyes = (distance(mesh, 159, 145) + distance(mesh, 386, 374)) / (2 * unit)
        moving = frame.canonical[list(MOVING_POINTS), :2]
        step = 0.0
        if self._before is not None:
            step = float(np.linalg.norm(moving - self._before, axis=1).mean())
        self._before = moving
        self._rows.append([gap, eyes, unit, step, *mesh[list(JUDGED_POINTS)].ravel()])
        self._lost.append(frame.lost)

    def finish(self) -> FaceTrack:
        """The track of all frames pushed."""
        rows = np.array(self._rows, np.float64)
        points = rows[:, 4:].reshape(len(rows), len(JUDGED_POINTS), 2)
        gap, eyes, unit, steps = rows[:, :4].T
        return FaceTrack(gap, eyes, unit, points, steps, np.array(self._lost), self._fps)


def distance(mesh: Array, first: int, second: int) -> float:
    """Distance of two points of a mesh."""
    return float(np.linalg.norm(mesh[first] - mesh[second]))


@dataclass(frozen=True)
class FaceMeasures:
    """Eyes, head and steps; None where it cannot be told. Definitions: docs/metrics.md.

    Attributes:
        num_blinks: blinks in the clip.
        blinks_per_minute: their rate.
        blink_opening: median over the blinks of the smallest lid opening as a share of open eyes.
        blink_opening_worst: the largest of these.
        head_motion: standard deviation of the nose tip in outer-eye distances.
        jerk: mean absolute third difference of head points in outer-eye distances.
        lost_frames: frames without a face.
        chunk_step: median step of the face across chunk boundaries over the median step elsewhere.
    """

    num_blinks: int | None = None
    blinks_per_minute: float | None = None
    blink_opening: float | None = None
    blink_opening_worst: float | None = None
    head_motion: float | None = None
    jerk: float | None = None
    lost_frames: int | None = None
    chunk_step: float | None = None


def measure_face(track: FaceTrack) -> FaceMeasures:
    """All measures of a track of T >= 1 frames."""
    count = len(track.unit)
    spans = blink_spans(track.eyes)
    opened = max(float(np.median(track.eyes)), 1e-6)
    shares = [float(track.eyes[start:end].min()) / opened for start, end in spans]
    head = track.points[:, 0] / track.unit[:, None]
    jerk = None
    if count > 3:
        jerk = float(np.abs(np.diff(track.points, n=3, axis=0)).mean() / track.unit.mean())
    return FaceMeasures(
        num_blinks=len(spans),
        blinks_per_minute=60 * len(spans) * track.fps / count,
        blink_opening=float(np.median(shares)) if shares else None,
        blink_opening_worst=max(shares) if shares else None,
        head_motion=float(head.std(0).mean()),
        jerk=jerk,
        lost_frames=int(track.lost.sum()),
        chunk_step=chunk_step(track.steps, track.fps),
    )


def blink_spans(eyes: Array) -> list[tuple[int, int]]:
    """First frame and frame behind the last of every blink; one that is under way at the start is left out.

    Args:
        eyes: (T,) lid openings.
    """
    closed = eyes < CLOSED * np.median(eyes)
    starts = np.flatnonzero(closed[1:] & ~closed[:-1]) + 1
    spans = []
    for start in starts.tolist():
        opened = np.flatnonzero(~closed[start:])
        spans.append((start, start + int(opened[0]) if len(opened) else len(eyes)))
    return spans


def chunk_step(steps: Array, fps: float) -> float | None:
    """Median step across the chunk boundaries over the median step elsewhere; None with less than two boundaries.

    Args:
        steps: (T,) way of the face since the frame before.
        fps: frames a second.
    """
    count = len(steps)
    last = int((count - 1) / (CHUNK_SECONDS * fps))
    borders = sorted({round(number * CHUNK_SECONDS * fps) for number in range(1, last + 1)})
    borders = [border for border in borders if 0 < border < count]
    within = np.delete(steps, [0, *borders])
    if len(borders) < 2 or not len(within) or np.median(within) < 1e-9:
        return None
    return float(np.median(steps[borders]) / np.median(within))
