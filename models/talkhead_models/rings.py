"""Rings around the face: they carry the head's motion on to hair, neck and shoulders with a falling weight.

Each ring copies the face oval at a larger radius. The skull's hair moves with the head; sideways and down the motion
dies out, and the outermost ring stays where it is, so that the warp ends without a seam.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.rig import FaceRig, ease_depth

Array = NDArray[np.float32]

# Radius (of the oval's), weight of the head's pose, weight of the jaw's and cheeks' motion, and how far the depth has
# gone from the oval's to that of the skull's outline; a row a ring. Radii above the face are stretched to the hair's.
UP = (
    (1.12, 1.0, 0.5, 0.05),
    (1.35, 1.0, 0.15, 0.2),
    (1.7, 1.0, 0.0, 0.6),
    (2.1, 1.0, 0.0, 1.0),
    (3.0, 0.0, 0.0, 1.0),
)
SIDE = (
    (1.08, 1.0, 0.6, 0.1),
    (1.25, 0.97, 0.3, 0.5),
    (1.5, 0.82, 0.1, 1.0),
    (1.9, 0.4, 0.0, 1.0),
    (2.5, 0.0, 0.0, 1.0),
)
DOWN = (
    (1.10, 0.94, 0.7, 0.2),
    (1.35, 0.75, 0.4, 0.6),
    (1.75, 0.45, 0.15, 0.9),
    (2.3, 0.17, 0.0, 1.0),
    (3.1, 0.0, 0.0, 1.0),
)
HAIR_RADIUS = 1.9
"""Outline of the hair, in radii of the oval, for which `UP` is written."""
OUTLINE_DEPTH = 0.62
"""Canonical depth of the outline of skull and neck: the head turns about a line a little behind it."""


class Rings(NamedTuple):
    """The ring points of one portrait; R = 5 rings x 36 points.

    Attributes:
        points: (R, 3) float32 pixels in the portrait.
        pose_weight: (R,) share of the head's motion.
        face_weight: (R,) share of the expression's motion of the oval point inwards of it.
        triangles: (396, 3) int32 into the oval's 36 points followed by the ring points and the oval's middle; those of
            the middle carry the map on across the oval, under the face.
    """

    points: Array
    pose_weight: Array
    face_weight: Array
    triangles: NDArray[np.int32]


def hair_stretch(mask: NDArray[np.uint8], centre: Array, offset: Array) -> Array:
    """How much higher the hair reaches than `UP` is written for, (36,) from 1 to 1.5, one a direction of the oval.

    Args:
        mask: (H, W) uint8, 255 = person.
        centre: (2,) of the oval.
        offset: (36, 2) from there to the oval's points.
    """
    radii = np.arange(1.2, 1.5 * HAIR_RADIUS, 0.05, dtype=np.float32)
    places = centre + offset[:, None] * radii[:, None]
    x, y = np.rint(places).astype(int).transpose(2, 0, 1)
    seen = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    clipped = (np.clip(y, 0, mask.shape[0] - 1), np.clip(x, 0, mask.shape[1] - 1))
    reach = np.where((mask[clipped] > 64) & seen, radii, 1).max(1)
    # Neighbouring directions agree, or a single hair would bend the rest.
    reach = np.mean([np.roll(reach, shift) for shift in range(-3, 4)], 0)
    return np.asarray(np.clip((reach + 0.1) / HAIR_RADIUS, 1, 1.5), np.float32)


def at_depth(rig: FaceRig, places: Array, depth: Array) -> Array:
    """Pixels (N, 3) of points seen at `places` (N, 2) whose canonical depth is `depth` (N,)."""
    rotation, scale = rig.pose.rotation, rig.unit
    # x and y in the head's frame follow from where the point is seen.
    seen = (places - rig.pose.offset[:2]) / scale - depth[:, None] * rotation[:2, 2]
    across = seen @ np.linalg.inv(rotation[:2, :2]).T
    z = np.concatenate([across, depth[:, None]], 1) @ rotation[2] * scale + rig.pose.offset[2]
    return np.asarray(np.concatenate([places, z[:, None]], 1), np.float32)


def make_rings(rig: FaceRig, mask: NDArray[np.uint8]) -> Rings:
    """Rings of a portrait.

    Args:
        rig: of its face.
        mask: (H, W) uint8, 255 = person.
    """
    oval = rig.mesh[list(topo.FACE_OVAL)]
    oval_depth = rig.pose.invert(oval)[:, 2]
    centre = oval.mean(0)
    offset = oval - centre
    # Directions are taken upright: a tilted head has its hair where its forehead points.
    upright = offset @ rig.pose.rotation
    vertical = upright[:, 1] / np.linalg.norm(upright[:, :2], axis=1)
    up, down = np.clip(-vertical, 0, 1)[:, None] ** 1.5, np.clip(vertical, 0, 1)[:, None] ** 1.5
    tables = [np.array(table, np.float32) for table in (UP, SIDE, DOWN)]
    stretch = hair_stretch(mask, centre[:2], offset[:, :2])[:, None]
    points, pose, face = [], [], []
    for ring in range(len(UP)):
        hair = np.repeat(tables[0][ring : ring + 1], len(oval), 0)
        hair[:, :1] = 1 + (hair[:, :1] - 1) * stretch
        row = up * hair + down * tables[2][ring] + (1 - up - down) * tables[1][ring]
        depth = oval_depth + row[:, 3] * (np.maximum(oval_depth, OUTLINE_DEPTH) - oval_depth)
        places = centre[:2] + offset[:, :2] * row[:, :1]
        points.append(at_depth(rig, places, depth))
        pose.append(row[:, 1])
        face.append(row[:, 2])
    size = len(oval)
    first = np.arange(size)
    second = (first + 1) % size
    strips = []
    for ring in range(len(UP)):
        inner, outer = ring * size, (ring + 1) * size
        strips.append(np.stack([inner + first, inner + second, outer + first], 1))
        strips.append(np.stack([inner + second, outer + second, outer + first], 1))
    middle = np.full(size, (len(UP) + 1) * size)
    strips.append(np.stack([first, second, middle], 1))
    eased = ease_depth(np.concatenate([rig.eased, *points]))[len(rig.eased) :]
    return Rings(
        eased,
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
