"""The face of every frame of a video: one tracker a process and role, reused, since each new one keeps memory."""

from __future__ import annotations

import atexit
import logging
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.console import native_stderr_silenced
from talkhead_cli.errors import InputError, NoFaceError
from talkhead_cli.evaluation.face import FaceFrame
from talkhead_cli.evaluation.stream import Frame, VideoReader
from talkhead_cli.face.backend import Face, get_backend, select_face
from talkhead_cli.face.landmarks import NUM_POINTS, Box, Mesh, face_basis
from talkhead_models.basis import FaceBasis, fit_pose
from talkhead_models.patches import MOUTH, patch_frame

log = logging.getLogger(__name__)

SMALL_FACE = 0.2
"""Faces narrower than this share of the picture's shorter side are tracked in a region of their own."""
REGION_SCALE = 3.0
"""Side of that region over the longer side of the face."""
SETTLING = 4
"""Looks at a still picture after which the tracker stands where it would in a film."""
SMOOTH_SECONDS = 4 / 25
"""Reach of the smoothing of the mouth's patch: the head moves more slowly."""
FEWEST_FRAMES = 3
LEAST_SIDE = 32
"""Pictures smaller than this are not searched for faces."""

FaceChoice = str | tuple[float, float]
"""Words as `talkhead_cli.face.select_face` takes them, or a place as shares of the picture's width and height."""

_trackers: dict[str, Any] = {}


def shared_tracker(role: str) -> Any:
    """The process's one mediapipe face mesh for a role, ready for another video."""
    from talkhead_cli.face.graphs import import_mediapipe

    if role in _trackers:
        _trackers[role].reset()
    else:
        mesh = import_mediapipe().solutions.face_mesh
        _trackers[role] = mesh.FaceMesh(refine_landmarks=True, max_num_faces=1)
    return _trackers[role]


@atexit.register
def close_trackers() -> None:
    """Stop all trackers."""
    for tracker in _trackers.values():
        tracker.close()
    _trackers.clear()


class FaceTracker:
    """Tracks one face through frames, in a region of them where it is small or not alone.

    Args:
        role: videos that are tracked side by side need roles of their own.
        first: (H, W, 3) uint8 RGB, the frame in which the face is chosen.
        face: which.
    """

    def __init__(self, role: str, first: Frame, face: FaceChoice = "largest") -> None:
        self._role = role
        self._tracker: Any = None
        self._region = choose_region(first, face)

    def find(self, image: Frame) -> Mesh | None:
        """The mesh of the next frame, (478, 3) float32 pixels; None where no face is seen."""
        left, top = 0, 0
        if self._region is not None:
            left, top, right, bottom = self._region
            image = np.ascontiguousarray(image[top:bottom, left:right])
        height, width = image.shape[:2]
        found = self._process(image).multi_face_landmarks
        if not found:
            return None
        points = np.array([(p.x, p.y, p.z) for p in found[0].landmark], np.float32)
        assert len(points) == NUM_POINTS
        scale = np.array([width, height, width], np.float32)
        shift = np.array([left - 0.5, top - 0.5, 0], np.float32)
        return np.asarray(points * scale + shift, np.float32)

    def _process(self, image: Frame) -> Any:
        if self._tracker is not None:
            return self._tracker.process(image)
        # Starting or resetting a graph makes its threads write to descriptor 2 until they have seen a picture.
        with native_stderr_silenced():
            self._tracker = shared_tracker(self._role)
            return self._tracker.process(image)

    def settle(self, image: Frame) -> Mesh | None:
        """The mesh of a still picture as the tracker sees it within a film."""
        found = None
        for _ in range(SETTLING):
            found = self.find(image)
        return found


def choose_region(image: Frame, face: FaceChoice) -> tuple[int, int, int, int] | None:
    """The part of the picture to track a face in, x0 y0 x1 y1; None for all of it.

    Raises:
        NoFaceError: the face asked for in words is not there.
        UsageError: the choice cannot be read.
    """
    faces = get_backend("mediapipe").detect(image) if min(image.shape[:2]) >= LEAST_SIDE else []
    if (not faces and not isinstance(face, str)) or (face == "largest" and not faces):
        return None
    chosen = pick_face(faces, face, image.shape)
    side = max(chosen.width, chosen.height)
    if len(faces) == 1 and chosen.width >= SMALL_FACE * min(image.shape[:2]):
        return None
    return region_around(chosen.box, side * REGION_SCALE, image.shape)


def pick_face(faces: list[Face], face: FaceChoice, shape: tuple[int, ...]) -> Face:
    """The face asked for; the largest where none is at the place given.

    Raises:
        NoFaceError: the face asked for in words is not there.
        UsageError: the choice cannot be read.
    """
    if isinstance(face, str):
        return select_face(faces, face)
    try:
        return select_face(faces, f"{face[0] * shape[1]:.1f},{face[1] * shape[0]:.1f}")
    except NoFaceError:
        return select_face(faces)


def region_around(box: Box, side: float, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Square of a side around a box, cut to the picture."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return (
        max(0, round(x - side / 2)),
        max(0, round(y - side / 2)),
        min(shape[1], round(x + side / 2)),
        min(shape[0], round(y + side / 2)),
    )


class FaceFilm:
    """The frames of a video from the first in which a face is seen, each with its mesh.

    Frames before the first face count as lost and are passed with its mesh.

    Args:
        path: the video.
        fps: frames a second to decode it at.
        role: see `FaceTracker`.
        face: which face, in the first frame.
        neutral: (478, 3) canonical neutral face that poses are fitted to; by default made from the first face.

    Attributes:
        num_frames: frames given so far.
        neutral: as above, once a face has been seen.
        complaint: what ffmpeg said of a damaged file.
    """

    def __init__(
        self,
        path: Path,
        fps: Fraction,
        role: str,
        face: FaceChoice = "largest",
        neutral: NDArray[np.float32] | None = None,
    ) -> None:
        self.path = path
        self.fps = fps
        self.role = role
        self.face = face
        self.neutral = neutral
        self.num_frames = 0
        self.complaint: str | None = None

    def __iter__(self) -> Iterator[FaceFrame]:
        """The frames, the way of the mouth's patch smoothed.

        Raises:
            InputError: not one frame can be decoded, or there are too few.
            NoFaceError: no frame shows a face.
        """
        return smooth_framing(self._track(), max(1, round(SMOOTH_SECONDS * self.fps)))

    def _track(self) -> Iterator[FaceFrame]:
        basis = face_basis()
        mesh: Mesh | None = None
        leading = 0
        with VideoReader(self.path, self.fps) as reader:
            frames = iter(reader)
            first = next(frames, None)
            assert first is not None
            tracker = FaceTracker(self.role, first, self.face)
            for image in chain([first], frames):
                found = tracker.find(image)
                mesh = found if found is not None else mesh
                if mesh is None:
                    leading += 1
                    continue
                frame = self._frame(image, mesh, found is None, basis)
                for _ in range(leading):
                    self.num_frames += 1
                    yield frame._replace(lost=True)
                leading = 0
                self.num_frames += 1
                yield frame
            self.complaint = reader.complaint
            count = reader.num_frames
        if count < FEWEST_FRAMES:
            raise InputError(
                f"{self.path}: has {count} frame(s), at least {FEWEST_FRAMES} are needed: give a video"
            )
        if mesh is None:
            raise NoFaceError(
                f"{self.path}: no face found in any of its {count} frames; give a video of a clearly visible face"
            )

    def _frame(self, image: Frame, mesh: Mesh, lost: bool, basis: FaceBasis) -> FaceFrame:
        if self.neutral is None:
            self.neutral = neutral_of(mesh, basis)
        pose = fit_pose(mesh, self.neutral)
        framing = patch_frame(MOUTH, self.neutral, pose)
        return FaceFrame(image, mesh, pose.invert(mesh), framing, lost)


def smooth_framing(frames: Iterator[FaceFrame], reach: int) -> Iterator[FaceFrame]:
    """Frames whose patch follows the head without the tracker's jitter: a local parabola through `reach` either side.

    The tracker is off by a pixel, differently in every frame, even in a still picture: unsmoothed, that would drown
    every difference between consecutive patches.
    """
    matrices: deque[NDArray[np.float32]] = deque(maxlen=2 * reach + 1)
    waiting: deque[FaceFrame] = deque()
    given = 0

    def settled() -> FaceFrame:
        nonlocal given
        frame = waiting.popleft()
        weights = smoothing_weights(min(reach, given), len(waiting))
        given += 1
        window = np.stack(list(matrices)[-len(weights) :])
        return frame._replace(patch_frame=np.einsum("t,tij->ij", weights, window))

    for frame in frames:
        matrices.append(frame.patch_frame)
        waiting.append(frame)
        if len(waiting) > reach:
            yield settled()
    while waiting:
        yield settled()


@lru_cache(maxsize=256)
def smoothing_weights(behind: int, ahead: int) -> NDArray[np.float32]:
    """(behind + 1 + ahead,) weights that give the value of a fitted parabola at the frame between."""
    offsets = np.arange(-behind, ahead + 1)
    powers = np.vander(offsets, min(3, len(offsets)), increasing=True)
    return np.asarray(np.linalg.pinv(powers)[0], np.float32)


def neutral_of(mesh: Mesh, basis: FaceBasis) -> NDArray[np.float32]:
    """The canonical neutral face (478, 3) of a mesh in pixels."""
    canonical = fit_pose(mesh, basis.mean).invert(mesh)
    return basis.split_portrait(canonical)[0]
