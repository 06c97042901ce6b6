"""FaceRig: FaceMotion back to meshes in the picture, for one portrait.

The portrait's mesh is split into pose, neutral face with closed lips, and the expression that it shows (a smile, an
open mouth). Motion is added to the neutral face, so a smiling portrait can close its lips; what it keeps of its own
expression is a matter of `keep`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.basis import NECK_PIVOT, FaceBasis, Pose, fit_pose, lip_gaps, rotation_matrix
from talkhead_models.motion import FaceMotion
from talkhead_models.unfold import unfold_chin

Array = NDArray[np.float32]

LIP_RINGS: tuple[tuple[tuple[int, ...], float], ...] = (
    (topo.UPPER_INNER_LIP, 0.5),
    (topo.LOWER_INNER_LIP, -0.5),
    (topo.UPPER_MIDDLE_LIP[:9], 0.45),
    (topo.LOWER_MIDDLE_LIP[:9], -0.45),
    (topo.UPPER_MIDDLE_LIP[9:], 0.35),
    (topo.LOWER_MIDDLE_LIP[9:], -0.35),
    (topo.UPPER_OUTER_LIP, 0.25),
    (topo.LOWER_OUTER_LIP, -0.25),
)
"""Rings of lip points and the share of a change of the inner gap that moves each, positive = down."""

LID_RINGS = ((topo.ABOVE_LIDS, 0.5), (topo.HIGH_LIDS, 0.12))
CLOSED_LID_LINE = 0.03
"""Where lids meet, from the lower lid (0) to the upper (1)."""

MAX_SLOPE = 1.5
"""Steepest depth a head turn is done with, in pixels of depth a pixel of the portrait."""


def ease_depth(points: Array, slope: float = MAX_SLOPE) -> Array:
    """Points (P, 3) with depths that rise no steeper than `slope` away from the camera, seen from the front.

    A portrait shows the side of a cheek or a nose as a sliver; turned by its true depth towards the camera it would be
    a smear of stretched pixels, turned away a fold. The largest such depth below the true one: an infimal convolution.
    """
    flat = points[:, :2]
    across = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    eased = points.copy()
    eased[:, 2] = (points[:, 2] + slope * across).min(1)
    return np.asarray(eased, np.float32)


LID_INSET = ((topo.UPPER_LIDS, topo.ABOVE_LIDS, 0.1), (topo.LOWER_LIDS, topo.BELOW_LIDS, 0.3))
"""Margins of the lids, the rings that they are drawn towards for taking pixels when shut, and how far, as a share of
the eye's opening: tracked margins lie a little inside the eye."""

SHUT_BELOW = 0.5
"""Openings, as a share of the portrait's, below which pixels are taken from further in the lids."""


def inset_lids(source: Array, target: Array) -> Array:
    """A portrait's mesh (478, 3) with the margins of its eyes drawn into the lids where the target's are nearly shut.

    Without it shut lids would show a rim of the eye's white between their lashes.
    """
    inset = source.copy()
    for eye in range(2):
        upper, lower = list(topo.UPPER_LIDS[eye]), list(topo.LOWER_LIDS[eye])
        opening, wanted = (
            np.linalg.norm((mesh[lower] - mesh[upper])[:, :2], axis=1) for mesh in (source, target)
        )
        shut = np.clip(1 - wanted / np.maximum(SHUT_BELOW * opening, 1e-3), 0, 1)
        for margins, rings, share in LID_INSET:
            margin, ring = list(margins[eye]), list(rings[eye])
            way = source[ring] - source[margin]
            length = np.maximum(np.linalg.norm(way[:, :2], axis=1), 1e-3)
            inset[margin] += (shut * np.minimum(share * opening / length, 0.6))[:, None] * way
    return inset


def change_gap(mesh: Array, change: Array) -> None:
    """Open (positive) or close the inner lips of canonical meshes (T, 478, 3) in place by (T, 9)."""
    for ring, share in LIP_RINGS:
        mesh[:, list(ring), 1] -= change * share


def settle_lips(mesh: Array, slack: float = 0.012) -> None:
    """Let nearly closed lips meet and crossed lips touch, in place.

    Gaps of canonical meshes (T, 478, 3) below `slack` are shrunk smoothly to zero: a slit of a pixel is noise of the
    tracker that the motion was learned from, and lips that do not quite meet on p, b, m are what viewers see first.
    """
    gaps = lip_gaps(mesh)
    ratio = np.clip(gaps / slack, 0, 2) / 2
    wanted = np.maximum(gaps, 0) * ratio**2 * (3 - 2 * ratio)
    change_gap(mesh, wanted - gaps)


def inset_lips(mesh: Array, unit: float, share: float = 0.5) -> Array:
    """The portrait's mesh (478, 3) with the inner edge of parted lips drawn into the lips, for taking pixels from.

    The tracked edge of an open mouth lies a little on the teeth; their rim would stay on the lips when they close.

    Args:
        mesh: pixels.
        unit: pixels per canonical unit.
        share: of the way to the next ring, for lips parted by 0.06 units or more; closed lips stay as they are.
    """
    inset = mesh.copy()
    upper, lower = mesh[list(topo.UPPER_INNER_LIP)], mesh[list(topo.LOWER_INNER_LIP)]
    parted = np.linalg.norm((lower - upper)[:, :2], axis=1) / unit
    # Towards the corners the gap narrows, but what is tracked there is as often the dark of the mouth.
    parted = np.maximum(parted, 0.7 * parted.max())
    amount = (share * np.clip(parted / 0.06, 0, 1))[:, None]
    for inner, ring in (
        (topo.UPPER_INNER_LIP, topo.UPPER_MIDDLE_LIP[:9]),
        (topo.LOWER_INNER_LIP, topo.LOWER_MIDDLE_LIP[:9]),
    ):
        inset[list(inner)] += amount * (mesh[list(ring)] - mesh[list(inner)])
    return np.asarray(inset, np.float32)


def close_lids(mesh: Array, closure: Array) -> None:
    """Lower the upper lids (and raise the lower a little) of canonical meshes (T, 478, 3) in place.

    Args:
        mesh: canonical meshes.
        closure: (T, 2), 0 = as in the mesh, 1 = closed, negative = wider.
    """
    for eye in range(2):
        upper, lower = list(topo.UPPER_LIDS[eye]), list(topo.LOWER_LIDS[eye])
        top, bottom = mesh[:, upper].copy(), mesh[:, lower].copy()
        line = bottom + (top - bottom) * CLOSED_LID_LINE
        amount = closure[:, eye, None, None]
        mesh[:, upper] = top + amount * (line - top)
        mesh[:, lower] = bottom + amount * (line - bottom)
        for rings, share in LID_RINGS:
            mesh[:, list(rings[eye])] += amount * share * (line - top)
        mesh[:, list(topo.BELOW_LIDS[eye])] += amount * 0.4 * (line - bottom)


@dataclass(frozen=True)
class FaceRig:
    """One portrait's face, ready to be posed.

    Attributes:
        basis: the linear face model.
        pose: pose of the portrait in its picture.
        neutral: (478, 3) float32, canonical face with closed lips.
        shown: (K,) float32, the expression that the portrait shows.
        mesh: (478, 3) float32 pixels, the portrait as it is.
        eased: likewise with the depths that the head turns with, see `ease_depth`.
    """

    basis: FaceBasis
    pose: Pose
    neutral: Array
    shown: Array
    mesh: Array
    eased: Array

    @classmethod
    def fit(cls, mesh: Array, basis: FaceBasis, keep: float = 0.35) -> FaceRig:
        """From the portrait's mesh.

        Args:
            mesh: (478, 3) float32 pixels.
            basis: the linear face model.
            keep: share of the shown expression that stays in the neutral face (a smile stays a hint of a smile);
                the lips close all the same.
        """
        mesh = np.asarray(mesh, np.float32)
        pose = fit_pose(mesh, basis.mean)
        canonical = pose.invert(mesh)
        _, shown = basis.split_portrait(canonical)
        # A second pose fit against the person's own expressionless face keeps expression out of the pose.
        neutral = canonical - (1 - keep) * basis.deltas(shown[None])[0]
        closed = neutral[None].copy()
        change_gap(closed, -lip_gaps(closed))
        return cls(basis, pose, np.asarray(closed[0], np.float32), shown, mesh, ease_depth(mesh))

    @property
    def unit(self) -> float:
        """Pixels per canonical unit (outer-eye distance of a frontal face)."""
        return float(self.pose.scale)

    def canonical(self, motion: FaceMotion) -> Array:
        """Canonical meshes (T, 478, 3) of a motion, pose left out."""
        mesh = self.neutral + self.basis.deltas(motion.expression)
        settle_lips(mesh)
        unfold_chin(mesh, self.neutral)
        close_lids(mesh, motion.lids)
        return np.asarray(mesh, np.float32)

    def place(self, canonical: Array, motion: FaceMotion) -> Array:
        """Canonical meshes (T, 478, 3) to pixels (T, 478, 3) under the portrait's pose and the motion's."""
        points = self.pose.apply(canonical)
        points[..., 2] += self.eased[:, 2] - self.mesh[:, 2]
        return self.move(points, motion)

    def move(self, points: Array, motion: FaceMotion) -> Array:
        """Carry points of the portrait (P, 3) or (T, P, 3), in pixels, along the motion's head pose."""
        pivot = self.pose.offset + self.unit * (self.pose.rotation @ NECK_PIVOT)
        turned = (points - pivot) @ np.swapaxes(rotation_matrix(motion.rotation), 1, 2)
        scaled = turned * np.exp(motion.translation[:, 2])[:, None, None]
        shift = np.concatenate(
            [motion.translation[:, :2], np.zeros_like(motion.translation[:, :1])], 1
        )
        return np.asarray(scaled + pivot + shift[:, None] * self.unit, np.float32)

    def meshes(self, motion: FaceMotion) -> Array:
        """Meshes in the picture (T, 478, 3) of a motion."""
        return self.place(self.canonical(motion), motion)
