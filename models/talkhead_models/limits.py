"""How far one still picture's head can turn and shift: smooth limits that depend on the portrait."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from talkhead_models.basis import rotation_angles
from talkhead_models.motion import FaceMotion

Array = NDArray[np.float32]

ROTATION_LIMIT = np.radians([10.0, 13.0, 11.0])
"""Largest pitch, yaw and roll of a face that looks at the camera and has room around it."""

SHIFT_LIMIT = np.array([0.25, 0.2, 0.12])
"""Largest shift to the side and up or down in outer-eye distances, and of the scale's logarithm."""

TURNED = np.radians(30.0)
"""A face turned by this much in the portrait bears half as much turning on, and a quarter more turning back."""

SHEAR = 0.45
"""Largest shift of the hair between the face and a border that it is cut by, per length of what joins them."""

ROTATION_LEVERS = {"top": (0.95, 0.95, 1.8), "side": (0.6, 0.5, 1.2)}
SHIFT_LEVERS = {"top": (1.0, 1.0, 1.8), "side": (1.0, 1.0, 0.9)}
"""How far pitch, yaw and roll, or shift and scale, carry the face's edge at the top or side, in outer-eye distances a
radian, or a unit."""

LEAST_ROOM = 0.1
"""A face at the border itself still moves as if it had this much room, in outer-eye distances."""


@dataclass(frozen=True)
class MotionLimits:
    """Bounds that head motion nears but never reaches, all positive.

    Attributes:
        low: (6,) float32, of negative rotation (radians) and translation, in the order of FaceMotion.
        high: (6,) of positive.
    """

    low: Array
    high: Array

    @classmethod
    def of(cls, rotation: Array, joins: dict[str, float]) -> MotionLimits:
        """Limits of a portrait.

        Args:
            rotation: (3, 3) the head's own in the picture.
            joins: by side of the picture ("top", "left", "right") at which the head's hair is cut, the length between
                the face and the still border strip in outer-eye distances.
        """
        own = np.clip(rotation_angles(rotation).astype(np.float64) / TURNED, -1, 1)
        own[2] = 0.0  # A tilt costs nothing: it is seen in full.
        further, back = 1 - 0.5 * np.abs(own), 1 + 0.25 * np.abs(own)
        high = np.concatenate([ROTATION_LIMIT * np.where(own > 0, further, back), SHIFT_LIMIT])
        low = np.concatenate([ROTATION_LIMIT * np.where(own > 0, back, further), SHIFT_LIMIT])
        bound = np.full(6, np.inf)
        for side, length in joins.items():
            kind = "top" if side == "top" else "side"
            levers = np.array([*ROTATION_LEVERS[kind], *SHIFT_LEVERS[kind]])
            bound = np.minimum(bound, SHEAR * max(length, LEAST_ROOM) / levers)
        return cls(
            np.minimum(low, bound).astype(np.float32), np.minimum(high, bound).astype(np.float32)
        )

    def apply(self, motion: FaceMotion) -> FaceMotion:
        """The motion within the limits: small motion unchanged, larger motion more and more held back."""
        pose = np.concatenate([motion.rotation, motion.translation], 1)
        limit = np.where(pose > 0, self.high, self.low)
        pose = np.asarray(limit * np.tanh(pose / limit), np.float32)
        return replace(motion, rotation=pose[:, :3], translation=pose[:, 3:])
