"""FaceMotion as ARKit blendshapes and back: the numbers that animation tools read.

An expression is taken apart into the shapes of `talkhead_models.arkit_shapes` with weights from 0 to 1, by bounded
least squares over the mesh and the gap between the lips; the way back is their sum. What the shapes do not reach is
lost, and so are head translation and appearance, for which ARKit has no name.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.arkit_shapes import ROTATIONS, SHAPES, shape_expression, shape_moves
from talkhead_models.basis import FaceBasis, point_weights
from talkhead_models.motion import FaceMotion

Array = NDArray[np.float32]
Wide = NDArray[np.float64]

CURVES = (*SHAPES, *ROTATIONS)
"""Names of the 61 columns of a motion."""

WIDE_LIDS = 0.4
"""Negative lid closure of eyes as wide as they go."""

LOOK = (0.24, 0.14)
"""Iris offsets in eye widths, to a side and up or down, of a look as far as it goes."""

EYE_RADIUS = 0.4
"""Radius of the circle that the iris goes round on, in eye widths: 12 mm of 30."""

GAP_WEIGHTS = (1.0, 1.0, 2.0, 4.0, 16.0, 4.0, 2.0, 1.0, 1.0)
"""Weights of the nine inner-lip gaps beside those of the points: closed lips must stay closed, and seen to be open."""

AXIS_WEIGHTS = (1.0, 1.0, 0.4)
"""Weights of displacements across, down, and in depth, of which a picture shows little and a mesh knows little."""

RIDGE = 0.02
"""Weight of the squared coefficients against the squared error: what makes them unique, and so steady in time."""

SWEEPS, TOLERANCE = 400, 1e-5


@dataclass(frozen=True)
class ArkitShapes:
    """The shapes that the face model has, as expressions.

    Attributes:
        names: N of `SHAPES`.
        expressions: (N, K) float32, the expression of each at 1.
        metric: (K, K) float64; ``x @ metric @ x`` is the weighted squared displacement of an expression x.
    """

    names: tuple[str, ...]
    expressions: Array
    metric: Wide

    @classmethod
    def of(cls, basis: FaceBasis) -> ArkitShapes:
        """Those of a face model."""
        moves = shape_moves(basis)
        names = tuple(name for name in SHAPES if name in moves)
        expressions = np.stack([shape_expression(moves[name], basis) for name in names])
        size = len(basis.expression)
        weights = point_weights()[:, None] * np.array(AXIS_WEIGHTS, np.float32)
        points = (basis.expression * weights).reshape(size, -1)
        upper, lower = list(topo.UPPER_INNER_LIP), list(topo.LOWER_INNER_LIP)
        gaps = np.array(GAP_WEIGHTS) * (
            basis.expression[:, lower, 1] - basis.expression[:, upper, 1]
        )
        terms = np.concatenate([points, gaps], 1).astype(np.float64)
        return cls(names, expressions, np.einsum("kp,lp->kl", terms, terms))

    def weights(self, expression: Array) -> Array:
        """Weights (T, N) in [0, 1] of the shapes whose sum is nearest to expressions (T, K), by coordinate descent."""
        shapes = self.expressions.astype(np.float64)
        gram = shapes @ self.metric @ shapes.T + RIDGE * np.eye(len(shapes))
        right = expression.astype(np.float64) @ self.metric @ shapes.T
        found = np.zeros_like(right)
        for _ in range(SWEEPS):
            change = 0.0
            for i in range(len(shapes)):
                step = (right[:, i] - found @ gram[i]) / gram[i, i]
                moved = np.clip(found[:, i] + step, 0, 1)
                change = max(change, float(np.abs(moved - found[:, i]).max(initial=0)))
                found[:, i] = moved
            if change < TOLERANCE:
                break
        return found.astype(np.float32)


def to_arkit(motion: FaceMotion, basis: FaceBasis) -> Array:
    """The 61 curves of a motion (T, 61) float32: shapes in [0, 1], angles in radians; see docs/motion.md for signs.

    Args:
        motion: any motion.
        basis: the face model.
    """
    shapes = ArkitShapes.of(basis)
    curves = dict(zip(shapes.names, shapes.weights(motion.expression).T, strict=True))
    # The eye on the picture's left is the face's right one.
    for eye, side in enumerate(("Right", "Left")):
        lid = motion.lids[:, eye]
        curves[f"EyeBlink{side}"] = lid
        curves[f"EyeWide{side}"] = -lid / WIDE_LIDS
        across, down = motion.gaze[:, 0] / LOOK[0], motion.gaze[:, 1] / LOOK[1]
        outwards = across if side == "Left" else -across
        curves[f"EyeLookOut{side}"], curves[f"EyeLookIn{side}"] = outwards, -outwards
        curves[f"EyeLookDown{side}"], curves[f"EyeLookUp{side}"] = down, -down
    curves = {name: np.clip(values, 0, 1) for name, values in curves.items()}
    pitch, yaw, roll = motion.rotation.T
    curves |= {"HeadYaw": yaw, "HeadPitch": -pitch, "HeadRoll": -roll}
    angles = np.arcsin(np.clip(motion.gaze / EYE_RADIUS, -1, 1))
    for side in ("Left", "Right"):
        curves |= {f"{side}EyeYaw": angles[:, 0], f"{side}EyePitch": -angles[:, 1]}
    nothing = np.zeros(motion.num_frames, np.float32)
    # Adding 0 makes a negative zero a plain one.
    return np.stack([curves.get(name, nothing) for name in CURVES], 1).astype(np.float32) + 0


def from_arkit(curves: Array, basis: FaceBasis, fps: Fraction) -> FaceMotion:
    """The motion of curves (T, 61), the angles of the eyes left out; no translation, appearance not known.

    Args:
        curves: in the order of `CURVES`; shapes a little beyond [0, 1] go a little further.
        basis: the face model.
        fps: frames a second.
    """
    shapes = ArkitShapes.of(basis)
    named = dict(zip(CURVES, curves.T, strict=True))
    weights = np.stack([named[name] for name in shapes.names], 1)
    lids, gaze = [], []
    for side, outwards in (("Right", -1), ("Left", 1)):
        lids.append(named[f"EyeBlink{side}"] - WIDE_LIDS * named[f"EyeWide{side}"])
        across = outwards * (named[f"EyeLookOut{side}"] - named[f"EyeLookIn{side}"])
        down = named[f"EyeLookDown{side}"] - named[f"EyeLookUp{side}"]
        gaze.append(np.stack([across * LOOK[0], down * LOOK[1]], 1))
    rotation = np.stack([-named["HeadPitch"], named["HeadYaw"], -named["HeadRoll"]], 1)
    return FaceMotion(
        expression=np.asarray(weights @ shapes.expressions, np.float32),
        lids=np.stack(lids, 1).astype(np.float32),
        gaze=np.mean(gaze, 0).astype(np.float32),
        rotation=rotation.astype(np.float32),
        translation=np.zeros((len(curves), 3), np.float32),
        fps=fps,
    )
