"""The face of a film, followed from frame to frame, and whether the film's end leads on to its beginning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.drive import MAX_LOST, MIN_FRAMES
from talkhead_cli.errors import InputError, NoFaceError

Pixels = NDArray[np.uint8]
Array = NDArray[np.float32]
Flags = NDArray[np.bool_]

END_SLACK = 1.5
"""How often its usual step from frame to frame a film may jump from its end to its beginning to be played in a loop."""

SAME_PLACE = 0.03
"""Outer-eye distances that the face may be off its first place at the end of such a film."""


def least_face() -> int:
    """Pixels that a face must be wide in the video."""
    from talkhead_cli.face.portrait import MIN_SCALED_FACE

    return MIN_SCALED_FACE


def small_face(path: Path | str, width: float) -> str:
    """What to say of a narrower one."""
    return (
        f"{path}: the face is only {width:.0f} pixels wide, at least {least_face()} are needed; "
        "use a larger film or a closer crop"
    )


class Track:
    """The face of a film, frame after frame, in the pixels of the video.

    Args:
        path: the film.
        shape: of the video's pictures, (H, W, 3).
        choice: of the face, in the video's pixels.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], choice: str) -> None:
        self.path = path
        self.shape = shape
        self.choice = choice
        self.meshes: list[Array | None] = []
        self.thumbs: list[Pixels] = []
        self.sharpness: list[float] = []
        self.steps: list[float] = []
        self.first: Pixels | None = None
        self.last: Pixels | None = None

    def push(self, picture: Pixels) -> None:
        """The next frame, possibly smaller than the video's."""
        from talkhead_cli.evaluation.tracker import FaceTracker
        from talkhead_cli.face.landmarks import face_basis
        from talkhead_models.film_looks import THUMB, look_at

        factors = [have / want for have, want in zip(picture.shape, self.shape[:2], strict=False)]
        if self.last is None:
            self.first = picture
            choice = scaled_choice(self.choice, factors[1], factors[0])
            self.tracker = FaceTracker("film", picture, choice)
        else:
            self.steps.append(difference(picture, self.last))
        self.last = picture
        mesh = self.tracker.find(picture)
        look = None if mesh is None else look_at(picture, mesh, face_basis().mean)
        self.thumbs.append(look.thumb if look else np.zeros((THUMB, THUMB, 3), np.uint8))
        self.sharpness.append(look.sharpness if look else 0.0)
        if mesh is not None:
            half = np.array([0.5, 0.5, 0], np.float32)
            scale = np.array([factors[1], factors[0], factors[1]], np.float32)
            mesh = np.asarray((mesh + half) / scale - half, np.float32)
        self.meshes.append(mesh)

    def result(self) -> tuple[Array, Flags]:
        """Meshes (T, 478, 3) float32 pixels, zeros where no face is seen, and where one is seen (T,).

        Raises:
            InputError: too few frames.
            NoFaceError: no face, or too seldom, or too small.
        """
        tracked = np.array([mesh is not None for mesh in self.meshes])
        if len(tracked) < MIN_FRAMES:
            raise InputError(
                f"{self.path} has only {len(tracked)} frames to use: give a longer film, or longer speech"
            )
        lost = 1 - tracked.mean()
        if lost == 1:
            raise NoFaceError(f"{self.path}: no face is seen; give a film of one talking person")
        if lost > MAX_LOST:
            raise NoFaceError(
                f"{self.path}: no face is seen in {lost:.0%} of the frames; "
                "give a film that shows one face throughout"
            )
        nothing = np.zeros((478, 3), np.float32)
        meshes = np.stack([nothing if mesh is None else mesh for mesh in self.meshes])
        width = float(np.median(np.ptp(meshes[tracked][:, :, 0], axis=1)))
        if width < least_face():
            raise NoFaceError(small_face(self.path, width))
        return meshes, tracked

    def looks(self) -> tuple[Pixels, Array]:
        """Small pictures (T, 24, 24, 3) uint8 RGB of all mouths and how sharp they are (T,); zeros without a face."""
        return np.stack(self.thumbs), np.array(self.sharpness, np.float32)

    def ends_meet(self) -> bool:
        """Whether the last frame leads on to the first as any frame leads on to the next."""
        start, end = self.meshes[0], self.meshes[-1]
        if start is None or end is None or not self.steps:
            return False
        assert self.first is not None
        assert self.last is not None
        eyes = [mesh[[33, 263], :2] for mesh in (start, end)]
        unit = float(np.linalg.norm(eyes[0][1] - eyes[0][0]))
        moved = float(np.linalg.norm(eyes[1] - eyes[0], axis=1).max())
        jump = difference(self.first, self.last)
        return moved < SAME_PLACE * unit and jump < END_SLACK * float(np.median(self.steps)) + 0.5


def scaled_choice(choice: str, across: float, down: float) -> str:
    """A choice of a face by its place, in the pixels of a picture of another size."""
    if "," not in choice:
        return choice
    x, y = (float(part) for part in choice.split(","))
    return f"{x * across:.2f},{y * down:.2f}"


def difference(first: Pixels, second: Pixels) -> float:
    """Mean difference of two pictures in levels, every fourth pixel looked at."""
    thin = [picture[::4, ::4].astype(np.int16) for picture in (first, second)]
    return float(np.abs(thin[0] - thin[1]).mean())
