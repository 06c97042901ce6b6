"""What a face detector must offer, and the choice of one face among several."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import NoFaceError, UsageError
from talkhead_cli.face.landmarks import Box, Mesh

BACKENDS = ("mediapipe", "face-alignment")


@dataclass(frozen=True)
class Face:
    """One face found in a picture.

    Attributes:
        box: (x0, y0, x1, y1) pixels, tight around the mesh.
        score: confidence in [0, 1].
        mesh: (478, 3) float32 pixels, see `talkhead_cli.face.landmarks`.
        means: how it was found, e.g. "full-range" or "short-range, contrast raised".
    """

    box: Box
    score: float
    mesh: Mesh
    means: str = ""

    @property
    def width(self) -> float:
        """Pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """Pixels."""
        return self.box[3] - self.box[1]

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height


class FaceBackend(Protocol):
    """A detector that fits the 478-point mesh to every face of a picture."""

    @property
    def name(self) -> str:
        """Name as in the setting `face_backend`."""

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        """All faces of a picture, (H, W, 3) uint8 RGB, from left to right; empty when there are none."""

    def close(self) -> None:
        """Free what the backend holds; using it again opens it again."""


def get_backend(name: str = "mediapipe") -> FaceBackend:
    """The process's one backend of that name.

    Raises:
        UsageError: there is no such backend.
    """
    if name == "mediapipe":
        from talkhead_cli.face.mediapipe_backend import shared_mediapipe_backend

        return shared_mediapipe_backend()
    if name == "face-alignment":
        from talkhead_cli.face.alignment_backend import shared_alignment_backend

        return shared_alignment_backend()
    raise UsageError(f"there is no face backend {name!r}; choose one of {', '.join(BACKENDS)}")


def select_face(faces: list[Face], choice: str = "largest", where: str = "") -> Face:
    """The face a person asked for.

    Args:
        faces: faces from left to right.
        choice: "largest", the number N of a face counted from the left (1 is the leftmost), or "X,Y" in pixels: the
            face at that point, or else the one whose box is nearest within half its size.
        where: file name for messages.

    Raises:
        UsageError: the choice cannot be read.
        NoFaceError: there are no faces, fewer than N, or none at X,Y.
    """
    prefix = f"{where}: " if where else ""
    text = str(choice).strip().lower()
    number = re.fullmatch(r"\d+", text)
    point = re.fullmatch(r"(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)", text)
    if not (text == "largest" or number or point):
        raise UsageError(
            f"{choice!r} does not choose a face; give 'largest', a number from the left (1, 2, ...) or X,Y in pixels"
        )
    if not faces:
        raise NoFaceError(f"{prefix}no face found; use a picture with a clearly visible face")
    ordered = sorted(faces, key=lambda face: face.box[0] + face.box[2])
    if number:
        wanted = int(text)
        if not 1 <= wanted <= len(ordered):
            raise NoFaceError(
                f"{prefix}face {wanted} was asked for but {count(len(ordered))} found; "
                "faces are numbered from 1 at the left"
            )
        return ordered[wanted - 1]
    if point:
        return face_at(ordered, float(point[1]), float(point[2]), prefix)
    return max(ordered, key=lambda face: face.area)


def face_at(faces: list[Face], x: float, y: float, prefix: str = "") -> Face:
    """The smallest face whose box holds the point, else the nearest box within half its size.

    Raises:
        NoFaceError: no face is near.
    """

    def gap(face: Face) -> float:
        across = max(face.box[0] - x, x - face.box[2], 0.0)
        down = max(face.box[1] - y, y - face.box[3], 0.0)
        return float(np.hypot(across, down)) / max(face.width, face.height)

    best = min(faces, key=lambda face: (gap(face), face.area))
    if gap(best) > 0.5:
        centres = "; ".join(
            f"{(f.box[0] + f.box[2]) / 2:.0f},{(f.box[1] + f.box[3]) / 2:.0f}" for f in faces[:8]
        )
        raise NoFaceError(
            f"{prefix}no face at {x:g},{y:g}; {count(len(faces))} found, at {centres}"
        )
    return best


def count(number: int) -> str:
    """ "1 face was" or "3 faces were"."""
    return "1 face was" if number == 1 else f"{number} faces were"
