"""What each ARKit blendshape moves, told by a few points of the mesh, and the expression that moves them so.

ARKit describes a face by 52 coefficients from 0 (neutral) to 1 (as far as it goes), each with a name and a sentence on
what moves (Apple, "ARFaceAnchor.BlendShapeLocation"; left and right are the face's own). There are no meshes to copy.
So each shape is told here by how far a few points go, in outer-eye distances (about 9 cm), and is taken to be the most
likely expression of the face model that moves them so: coefficients of the expression basis are independent with unit
variance, hence a least-squares fit with that prior.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.basis import FaceBasis

Array = NDArray[np.float32]

# fmt: off
SHAPES = (
    "EyeBlinkLeft", "EyeLookDownLeft", "EyeLookInLeft", "EyeLookOutLeft", "EyeLookUpLeft", "EyeSquintLeft",
    "EyeWideLeft", "EyeBlinkRight", "EyeLookDownRight", "EyeLookInRight", "EyeLookOutRight", "EyeLookUpRight",
    "EyeSquintRight", "EyeWideRight", "JawForward", "JawLeft", "JawRight", "JawOpen", "MouthClose", "MouthFunnel",
    "MouthPucker", "MouthLeft", "MouthRight", "MouthSmileLeft", "MouthSmileRight", "MouthFrownLeft", "MouthFrownRight",
    "MouthDimpleLeft", "MouthDimpleRight", "MouthStretchLeft", "MouthStretchRight", "MouthRollLower", "MouthRollUpper",
    "MouthShrugLower", "MouthShrugUpper", "MouthPressLeft", "MouthPressRight", "MouthLowerDownLeft",
    "MouthLowerDownRight", "MouthUpperUpLeft", "MouthUpperUpRight", "BrowDownLeft", "BrowDownRight", "BrowInnerUp",
    "BrowOuterUpLeft", "BrowOuterUpRight", "CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft",
    "NoseSneerRight", "TongueOut",
)
"""The 52 shapes in Apple's order, spelled as Live Link Face does (Apple writes the first letter small)."""

ROTATIONS = (
    "HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch",
    "RightEyeRoll",
)
"""The nine angles that Live Link Face adds, radians."""
# fmt: on

# fmt: off
ABSENT = (
    "EyeSquintLeft", "EyeSquintRight", "CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft",
    "NoseSneerRight", "TongueOut",
)
# fmt: on
"""Shapes that the face model has no motion for, or none that it can tell from others': written as 0, read over."""

NAMED_NOISE, REST_NOISE = 0.006, 0.09
"""How exactly a shape's named points, and all others, are to go where they are told, in outer-eye distances."""


class Move(NamedTuple):
    """Points that go somewhere: outer-eye distances to the picture's right, down and away from the camera."""

    points: tuple[int, ...]
    x: float | None
    y: float | None
    z: float | None = None


# fmt: off
# Points of the face's own left half, which is the right one in the picture.
CORNER = (291, 308, 306, 292)
UPPER_SIDE, UPPER_RED = (310, 311, 312), (267, 269, 270)
LOWER_SIDE, LOWER_RED = (317, 402, 318), (314, 405, 321)
UPPER_INNER, UPPER_OUTER, LOWER_INNER, LOWER_OUTER = (13,), (0,), (14,), (17,)
CHIN = (152, 148, 377, 175)
CHIN_SKIN = (199, 200)
CHEEK = (425, 280, 411)
BROW_INNER, BROW_MIDDLE, BROW_OUTER = (285, 336, 295), (334, 282, 296), (300, 276, 283)

BOTH: dict[str, tuple[Move, ...]] = {
    "JawForward": (
        Move(CHIN, 0, 0, -0.08), Move(CHIN_SKIN, 0, 0, -0.08), Move(LOWER_INNER, 0, 0, -0.06),
        Move(LOWER_OUTER, 0, 0, -0.06), Move(UPPER_INNER, 0, 0, 0), Move(UPPER_OUTER, 0, 0, 0),
    ),
    "JawOpen": (
        Move(CHIN, 0, 0.36), Move(LOWER_INNER, 0, 0.38), Move(LOWER_OUTER, 0, 0.37), Move(LOWER_SIDE, None, 0.31),
        Move(LOWER_RED, None, 0.32), Move(UPPER_INNER, 0, 0), Move(UPPER_OUTER, 0, 0), Move(UPPER_SIDE, None, 0.01),
        Move(CORNER, -0.02, 0.13),
    ),
    "MouthClose": (
        Move(CHIN, 0, 0), Move(LOWER_INNER, 0, -0.3), Move(LOWER_OUTER, 0, -0.27), Move(LOWER_SIDE, None, -0.24),
        Move(LOWER_RED, None, -0.22), Move(UPPER_INNER, 0, 0.08), Move(UPPER_OUTER, 0, 0.05),
        Move(UPPER_SIDE, None, 0.06), Move(CORNER, 0, -0.06),
    ),
    "MouthFunnel": (
        Move(CORNER, -0.07, 0), Move(UPPER_INNER, 0, -0.04), Move(UPPER_OUTER, 0, -0.06, -0.05),
        Move(LOWER_INNER, 0, 0.06), Move(LOWER_OUTER, 0, 0.06, -0.05), Move(CHIN, 0, 0.03),
    ),
    "MouthPucker": (
        Move(CORNER, -0.11, 0), Move(UPPER_INNER, 0, 0.0), Move(UPPER_OUTER, 0, -0.01, -0.05),
        Move(LOWER_INNER, 0, 0.0), Move(LOWER_OUTER, 0, 0.0, -0.05), Move(CHIN, 0, 0),
    ),
    "MouthRollLower": (
        Move(LOWER_INNER, 0, 0), Move(LOWER_SIDE, None, 0), Move(LOWER_OUTER, 0, -0.05, 0.02),
        Move(LOWER_RED, None, -0.04), Move(CORNER, 0, 0),
    ),
    "MouthRollUpper": (
        Move(UPPER_INNER, 0, 0), Move(UPPER_SIDE, None, 0), Move(UPPER_OUTER, 0, 0.04, 0.02),
        Move(UPPER_RED, None, 0.03), Move(CORNER, 0, 0),
    ),
    "MouthShrugLower": (
        Move(LOWER_INNER, 0, -0.01), Move(LOWER_OUTER, 0, 0.05), Move(LOWER_RED, None, 0.045),
        Move(CHIN_SKIN, 0, -0.05), Move(CHIN, 0, -0.09), Move(UPPER_INNER, 0, -0.01), Move(CORNER, 0, 0),
    ),
    "MouthShrugUpper": (
        Move(UPPER_INNER, 0, -0.04), Move(UPPER_OUTER, 0, -0.05), Move(UPPER_RED, None, -0.04),
        Move(LOWER_INNER, 0, -0.04), Move(CHIN, 0, 0), Move(CORNER, 0, 0.01),
    ),
    "BrowInnerUp": (Move(BROW_INNER, 0, -0.08), Move(BROW_MIDDLE, 0, -0.05), Move(BROW_OUTER, 0, -0.01)),
}
"""Shapes that are the same on both sides: told for the left half and the middle, mirrored to the right one."""

LEFT: dict[str, tuple[Move, ...]] = {
    "JawLeft": (
        Move(CHIN, 0.11, None), Move(LOWER_INNER, 0.06, 0), Move(LOWER_OUTER, 0.08, 0), Move(UPPER_INNER, 0, 0),
        Move(UPPER_OUTER, 0, 0),
    ),
    "MouthLeft": (
        Move(UPPER_OUTER, 0.08, 0), Move(UPPER_INNER, 0.08, 0), Move(LOWER_INNER, 0.09, 0),
        Move(LOWER_OUTER, 0.09, 0), Move(CORNER, 0.07, None), Move(CHIN, 0, 0),
    ),
    "MouthSmileLeft": (
        Move(CORNER, 0.07, -0.09), Move(CHEEK, 0.02, -0.03), Move(UPPER_INNER, None, 0), Move(LOWER_INNER, None, 0),
        Move(CHIN, 0, 0),
    ),
    "MouthFrownLeft": (
        Move(CORNER, 0.0, 0.08), Move(UPPER_INNER, 0, 0), Move(LOWER_INNER, 0, 0), Move(CHIN, 0, 0),
    ),
    "MouthDimpleLeft": (
        Move(CORNER, 0.06, -0.01, 0.03), Move(UPPER_INNER, None, 0), Move(LOWER_INNER, None, 0), Move(CHIN, 0, 0),
    ),
    "MouthStretchLeft": (
        Move(CORNER, 0.08, 0.03), Move(UPPER_INNER, None, 0), Move(LOWER_INNER, None, 0.02),
        Move(LOWER_SIDE, None, 0.03), Move(CHIN, 0, 0.01),
    ),
    "MouthPressLeft": (
        Move(UPPER_RED, None, 0.03), Move(LOWER_RED, None, -0.03), Move(UPPER_SIDE, None, 0.01),
        Move(LOWER_SIDE, None, -0.01), Move(CORNER, 0.01, 0),
    ),
    "MouthLowerDownLeft": (
        Move(LOWER_SIDE, None, 0.09), Move(LOWER_RED, None, 0.08), Move(LOWER_INNER, None, 0.06),
        Move(LOWER_OUTER, None, 0.05), Move(UPPER_INNER, None, 0), Move(CORNER, 0.01, 0.02), Move(CHIN, 0, 0),
    ),
    "MouthUpperUpLeft": (
        Move(UPPER_SIDE, None, -0.07), Move(UPPER_RED, None, -0.07), Move(UPPER_INNER, None, -0.045),
        Move(UPPER_OUTER, None, -0.04), Move(LOWER_INNER, None, 0), Move(CORNER, 0, -0.01), Move(CHIN, 0, 0),
    ),
    "BrowDownLeft": (
        Move(BROW_INNER, -0.02, 0.06), Move(BROW_MIDDLE, None, 0.06), Move(BROW_OUTER, None, 0.03),
    ),
    "BrowOuterUpLeft": (
        Move(BROW_OUTER, None, -0.08), Move(BROW_MIDDLE, None, -0.06), Move(BROW_INNER, None, -0.01),
    ),
}
"""Shapes of the left side; those of the right are their mirror images."""
# fmt: on


def mirrored(moves: tuple[Move, ...], basis: FaceBasis) -> tuple[Move, ...]:
    """The same on the other half of the face."""
    found = []
    for move in moves:
        points = tuple(int(basis.mirror_points[point]) for point in move.points)
        found.append(Move(points, None if move.x is None else -move.x, move.y, move.z))
    return tuple(found)


def shape_moves(basis: FaceBasis) -> dict[str, tuple[Move, ...]]:
    """What each shape that the face model has motion for asks for, by name."""
    moves = {name: told + mirrored(told, basis) for name, told in BOTH.items()}
    for name, told in LEFT.items():
        moves[name] = told
        moves[name.removesuffix("Left") + "Right"] = mirrored(told, basis)
    return moves


def shape_expression(moves: tuple[Move, ...], basis: FaceBasis) -> Array:
    """The most likely expression (K,) that moves points so; points that are not named had better stay."""
    size = len(basis.expression)
    target = np.zeros((topo.NUM_POINTS, 3))
    weight = np.full((topo.NUM_POINTS, 3), 1 / REST_NOISE**2)
    weight[topo.NUM_FACE_POINTS :] = 0
    for move in moves:
        for axis, value in enumerate((move.x, move.y, move.z)):
            points = list(move.points)
            target[points, axis] = 0 if value is None else value
            weight[points, axis] = 0 if value is None else 1 / NAMED_NOISE**2
    vectors = basis.expression.reshape(size, -1).astype(np.float64)
    weights = weight.ravel()
    gram = (vectors * weights) @ vectors.T + np.eye(size)
    return np.linalg.solve(gram, (vectors * weights) @ target.ravel()).astype(np.float32)
