"""FaceMotion: what moves in a talking head, as numbers that belong to no particular face.

The mesh of a frame is ``pose(neutral + expression @ basis + lids + ...)``: see `talkhead_models.basis` for the way back
to points. Everything is relative to the reference (the portrait), so that all zeros is the portrait at rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

EXPRESSION_SIZE = 32
"""Number of expression coefficients K."""

GEOMETRY_SIZE = EXPRESSION_SIZE + 10
"""Numbers of a frame that move the mesh: expression, lids (2), gaze (2), rotation (3), translation (3)."""

APPEARANCE_SIZE = 12
"""Numbers of a frame that say what the mesh cannot: teeth showing, tongue, the wet of the lips."""

MOTION_SIZE = GEOMETRY_SIZE + APPEARANCE_SIZE
"""Width D of a motion frame: geometry, then appearance."""

MOTION_FPS = 25
"""Frames a second of generated motion; other rates are resampled from it."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class FaceMotion:
    """Motion of one face over T frames.

    Attributes:
        expression: (T, K) float32, coefficients of the expression basis in standard deviations of the training data,
            0 = neutral face with closed lips.
        lids: (T, 2) float32, closure of the left-of-picture and right-of-picture eye, 0 = open as in the reference,
            1 = closed; slightly negative = widened.
        gaze: (T, 2) float32, offset of the irises from the reference in eye widths, x right, y down.
        rotation: (T, 3) float32 radians, pitch (nod, positive = down), yaw (positive = towards picture right), roll
            (positive = clockwise in the picture), relative to the reference.
        translation: (T, 3) float32, x and y in interocular distances (outer eye corners) and the natural log of the
            scale, relative to the reference.
        fps: frames a second.
        appearance: (T, A) float32, the mouth's appearance code (`talkhead_models.appearance`); 0 = not known.
    """

    expression: Array
    lids: Array
    gaze: Array
    rotation: Array
    translation: Array
    fps: Fraction = Fraction(MOTION_FPS)
    appearance: Array = field(default_factory=lambda: np.zeros((0, APPEARANCE_SIZE), np.float32))

    def __post_init__(self) -> None:
        """Fill in an appearance that was not given."""
        if len(self.appearance) != len(self.expression):
            if len(self.appearance):
                raise ValueError(
                    f"{len(self.appearance)} appearance codes for {len(self.expression)} frames"
                )
            filled = np.zeros((len(self.expression), APPEARANCE_SIZE), np.float32)
            object.__setattr__(self, "appearance", filled)

    @property
    def num_frames(self) -> int:
        """T."""
        return int(self.expression.shape[0])

    def to_array(self) -> Array:
        """All fields side by side, (T, D) float32: expression, lids, gaze, rotation, translation, appearance."""
        parts = (
            self.expression,
            self.lids,
            self.gaze,
            self.rotation,
            self.translation,
            self.appearance,
        )
        return np.concatenate(parts, axis=1).astype(np.float32)

    @classmethod
    def from_array(cls, array: Array, fps: Fraction | int = MOTION_FPS) -> FaceMotion:
        """The inverse of `to_array`; arrays of GEOMETRY_SIZE columns have no appearance.

        Raises:
            ValueError: the array is not (T, D) or (T, GEOMETRY_SIZE).
        """
        if array.ndim != 2 or array.shape[1] not in (MOTION_SIZE, GEOMETRY_SIZE):
            raise ValueError(f"motion must be (T, {MOTION_SIZE}), got {array.shape}")
        array = np.asarray(array, np.float32)
        cuts = np.cumsum([EXPRESSION_SIZE, 2, 2, 3, 3])
        expression, lids, gaze, rotation, translation, appearance = np.split(array, cuts, axis=1)
        if not appearance.shape[1]:
            appearance = np.zeros((len(array), APPEARANCE_SIZE), np.float32)
        return cls(expression, lids, gaze, rotation, translation, Fraction(fps), appearance)

    @classmethod
    def load(cls, path: Path | str) -> FaceMotion:
        """Read a .npz file of motion, as `save` and `talkhead render --motion-out` write it.

        Raises:
            OSError: the file cannot be read.
            ValueError: it holds no motion of a face, or more than ten minutes.
        """
        from talkhead_models.motion_npz import MAX_SECONDS, UNREADABLE, check_motion, read_npz

        try:
            motion = read_npz(Path(path)).motion
            check_motion(motion, MAX_SECONDS)
        except UNREADABLE as error:
            raise ValueError(f"{path}: not a motion file that can be used ({error})") from error
        return motion

    def save(self, path: Path | str) -> None:
        """Write a .npz file, which `talkhead render --motion-in` and `load` read; an existing one is replaced.

        Raises:
            OSError: it cannot be written.
            ValueError: the name ends otherwise.
        """
        from talkhead_models.motion_npz import StoredMotion, write_npz

        if Path(path).suffix.lower() != ".npz":
            raise ValueError(f"{path}: the name of a motion file ends in .npz")
        path = Path(path)
        unfinished = path.with_name(f".{path.name}.part")
        try:
            with unfinished.open("wb") as file:
                write_npz(file, StoredMotion(self))
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def __getitem__(self, index: slice) -> FaceMotion:
        """A run of frames."""
        parts = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "fps"}
        return FaceMotion(**parts, fps=self.fps)
