"""Rings around the face: they carry the head's motion on to hair, neck and shoulders with a falling weight.

Each ring copies the face oval at a larger radius. The skull's hair moves with the head; sideways and down the motion
dies out, and the outermost ring stays where it is, so that the warp ends without a seam.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.rig import FaceRig

Array = NDArray[np.float32]

# Radius (of the oval's), weight of the head's pose, weight of the jaw's and cheeks' motion; a row a ring.
UP = ((1.12, 1.0, 0.5), (1.35, 1.0, 0.15), (1.75, 0.97, 0.0), (2.25, 0.6, 0.0), (3.0, 0.0, 0.0))
SIDE = ((1.08, 1.0, 0.6), (1.25, 0.97, 0.3), (1.5, 0.82, 0.1), (1.9, 0.4, 0.0), (2.5, 0.0, 0.0))
DOWN = ((1.10, 0.94, 0.7), (1.35, 0.75, 0.4), (1.75, 0.45, 0.15), (2.3, 0.17, 0.0), (3.1, 0.0, 0.0))
DEPTHS = (0.03, 0.1, 0.2, 0.25, 0.25)
"""How far behind the oval each ring lies, in canonical units."""


class Rings(NamedTuple):
    """The ring points of one portrait; R = 5 rings x 36 points.

    Attributes:
        points: (R, 3) float32 pixels in the portrait.
        pose_weight: (R,) share of the head's motion.
        face_weight: (R,) share of the expression's motion of the oval point inwards of it.
        triangles: (360, 3) int32 into the oval's 36 points followed by the ring points.
    """

    points: Array
    pose_weight: Array
    face_weight: Array
    triangles: NDArray[np.int32]


def make_rings(rig: FaceRig) -> Rings:
    """Rings of a portrait."""
    oval = rig.mesh[list(topo.FACE_OVAL)]
    centre = oval.mean(0)
    offset = oval - centre
    # Directions are taken upright: a tilted head has its hair where its forehead points.
    upright = offset @ rig.pose.rotation
    vertical = upright[:, 1] / np.linalg.norm(upright[:, :2], axis=1)
    up, down = np.clip(-vertical, 0, 1)[:, None] ** 1.5, np.clip(vertical, 0, 1)[:, None] ** 1.5
    tables = [np.array(table, np.float32) for table in (UP, SIDE, DOWN)]
    points, pose, face = [], [], []
    for ring, depth in enumerate(DEPTHS):
        row = up * tables[0][ring] + down * tables[2][ring] + (1 - up - down) * tables[1][ring]
        points.append(
            np.concatenate(
                [centre[:2] + offset[:, :2] * row[:, :1], oval[:, 2:] + depth * rig.unit], 1
            )
        )
        pose.append(row[:, 1])
        face.append(row[:, 2])
    size = len(oval)
    first = np.arange(size)
    second = (first + 1) % size
    strips = []
    for ring in range(len(DEPTHS)):
        inner, outer = ring * size, (ring + 1) * size
        strips.append(np.stack([inner + first, inner + second, outer + first], 1))
        strips.append(np.stack([inner + second, outer + second, outer + first], 1))
    return Rings(
        np.concatenate(points).astype(np.float32),
        np.concatenate(pose).astype(np.float32),
        np.concatenate(face).astype(np.float32),
        np.concatenate(strips).astype(np.int32),
    )


def move_rings(rings: Rings, rigid: Array, oval_rigid: Array, oval: Array) -> Array:
    """Ring points (R, 2) of one frame.

    Args:
        rings: of the portrait.
        rigid: (R, 3) ring points under the full head pose.
        oval_rigid: (36, 3) the portrait's oval under the full head pose.
        oval: (36, 3) the oval as it is in the frame.
    """
    repeat = len(rings.points) // len(oval)
    face = np.tile((oval - oval_rigid)[:, :2], (repeat, 1)) * rings.face_weight[:, None]
    pose = (rigid - rings.points)[:, :2] * rings.pose_weight[:, None]
    return np.asarray(rings.points[:, :2] + pose + face, np.float32)
