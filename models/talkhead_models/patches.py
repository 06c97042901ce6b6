"""Canonical patches of the mouth and the eyes: what the refiner sees, in training and in use alike.

A patch is a similarity crop that follows the head but not the lips. In it the portrait is warped on to the moving mesh
(`skin`); holes (the open mouth, the eyeballs between the lids) get a base of their own (`inside`). The refiner adds to
both, and the two are put together along the hole's exact edge at whatever resolution the picture has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.basis import Pose
from talkhead_models.warp import (
    apply_affines,
    coverage,
    invert_affine,
    pick,
    raster_ids,
    similarity,
    smooth_curve,
    transform,
    triangle_affines,
)

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]

PIXELS_PER_UNIT = 87.0
"""Patch pixels per outer-eye distance: about the resolution of the training clips."""

FACET_PIXELS = 8.0
"""Mean length of a hole's outline segments from which they would be seen."""


class PatchSpec(NamedTuple):
    """Size and place of a patch.

    Attributes:
        name: of the refiner's bundle suffix.
        width, height: pixels.
        anchors: mesh points whose neutral mean is the patch's centre.
        drop: downward shift of the centre in canonical units.
        holes: polygons of mesh points that skin does not cover.
    """

    name: str
    width: int
    height: int
    anchors: tuple[int, ...]
    drop: float
    holes: tuple[tuple[int, ...], ...]


def eye_outline(eye: int) -> tuple[int, ...]:
    """Closed polygon of the lid margins of an eye."""
    left, right = topo.EYE_CORNERS[eye]
    return (left, *topo.UPPER_LIDS[eye], right, *reversed(topo.LOWER_LIDS[eye]))


MOUTH = PatchSpec("mouth", 96, 96, (*topo.INNER_CORNERS, 0, 17), 0.05, (topo.INNER_LIPS,))
EYES = PatchSpec(
    "eyes",
    112,
    48,
    (*topo.EYE_CORNERS[0], *topo.EYE_CORNERS[1]),
    0.0,
    (eye_outline(0), eye_outline(1)),
)


class Patch(NamedTuple):
    """One warped patch; h, w as in the spec.

    Attributes:
        skin: (h, w, 3) uint8 RGB, the portrait on the moving mesh.
        inside: (h, w, 3) uint8 RGB, what shows through the holes before refinement.
        hole: (h, w) float32 in [0, 1], coverage of the holes.
    """

    skin: Bytes
    inside: Bytes
    hole: Array


def patch_frame(
    spec: PatchSpec, neutral: Array, pose: Pose, pixels_per_unit: float = PIXELS_PER_UNIT
) -> Array:
    """(2, 3) float32 similarity from picture pixels to patch pixels.

    Args:
        spec: the patch.
        neutral: (478, 3) canonical neutral face.
        pose: pose of the frame (scalars and (3, 3), not batched).
        pixels_per_unit: patch pixels per canonical unit.
    """
    centre = neutral[list(spec.anchors)].mean(0) + np.array([0, spec.drop, 0], np.float32)
    x, y = pose.apply(centre[None])[0, :2]
    roll = np.arctan2(pose.rotation[1, 0], pose.rotation[0, 0])
    zoom = pixels_per_unit / PIXELS_PER_UNIT
    scale = pixels_per_unit / pose.scale
    cos, sin = np.cos(roll) * scale, np.sin(roll) * scale
    middle = (zoom * (spec.width - 1) / 2, zoom * (spec.height - 1) / 2)
    return np.array(
        [[cos, sin, middle[0] - cos * x - sin * y], [-sin, cos, middle[1] + sin * x - cos * y]],
        np.float32,
    )


@dataclass(frozen=True)
class EyeMap:
    """Where the eyeball between the lids takes its pixels: fixed in the head, shifted by gaze, never squeezed.

    Attributes:
        matrix: (2, 3) from target pixels to source pixels.
        centre: (2,) middle of the source eye; half: its half width; axis: (2,) its unit direction.
        shift: (2,) source pixels that gaze moves the iris by.
        widen: vertical compression where the eye opens wider than in the source, >= 1.
    """

    matrix: Array
    centre: Array
    axis: Array
    half: float
    shift: Array
    widen: float

    @classmethod
    def between(cls, target: Array, source: Array, eye: int, gaze: Array) -> EyeMap:
        """From meshes (478, >=2) and the gaze change (2,) in eye widths."""
        corners_target, corners_source = (
            pick(mesh, topo.EYE_CORNERS[eye]) for mesh in (target, source)
        )
        matrix = similarity(corners_target, corners_source)
        across = corners_source[1] - corners_source[0]
        width = max(float(np.linalg.norm(across)), 1e-6)
        axis = across / width
        normal = np.array([-axis[1], axis[0]], np.float32)

        def opening(mesh: Array) -> float:
            upper, lower = pick(mesh, topo.UPPER_LIDS[eye]), pick(mesh, topo.LOWER_LIDS[eye])
            return float(np.linalg.norm((lower - upper)[2:5].mean(0)))

        zoom = float(np.linalg.norm(matrix[0, :2]))
        widen = max(1.0, opening(target) * zoom / max(opening(source), 1e-3))
        shift = (gaze[0] * axis + gaze[1] * normal) * width
        return cls(
            matrix,
            corners_source.mean(0),
            axis,
            width / 2,
            np.asarray(shift, np.float32),
            min(widen, 3.0),
        )

    def positions(self, points: Array) -> Array:
        """Source positions (N, 2) of target pixels (N, 2)."""
        mapped = transform(points, self.matrix) - self.centre
        normal = np.array([-self.axis[1], self.axis[0]], np.float32)
        along, across = mapped @ self.axis, (mapped @ normal) / self.widen
        # Gaze moves the iris, not the corners of the eye.
        fade = np.clip(1 - (along / self.half) ** 2, 0, 1)[:, None]
        return np.asarray(
            self.centre + along[:, None] * self.axis + across[:, None] * normal - fade * self.shift,
            np.float32,
        )


def dark_of(image: Bytes, mesh: Array) -> Array:
    """(3,) float32 colour of the dark of the mouth: a third of the lips' mean colour, which carries the light."""
    height, width = image.shape[:2]
    points = np.rint(pick(mesh, (*topo.UPPER_MIDDLE_LIP, *topo.LOWER_MIDDLE_LIP))).astype(int)
    points = np.clip(points, 0, (width - 1, height - 1))
    return np.asarray(image[points[:, 1], points[:, 0]].mean(0) * 0.3, np.float32)


class PatchSource(NamedTuple):
    """What patches are warped from.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mesh: (478, 3) float32 pixels of it.
        frame: (2, 3) its own patch frame.
        dark: (3,) colour of the dark of the mouth.
    """

    image: Bytes
    mesh: Array
    frame: Array
    dark: Array


def eye_opening(points: Array, eye: int) -> Array | None:
    """Outline (N, 2) of what shows between the lids of a mesh (478, >=2), None where they are shut.

    Where lids have crossed, upper and lower outline meet halfway.
    """
    left, right = pick(points, topo.EYE_CORNERS[eye])
    upper, lower = pick(points, topo.UPPER_LIDS[eye]), pick(points, topo.LOWER_LIDS[eye])
    normal = np.array([left[1] - right[1], right[0] - left[0]], np.float32)
    crossed = ((lower - upper) @ normal <= 1e-3 * (normal @ normal))[:, None]
    if crossed.all():
        return None
    middle = (upper + lower) / 2
    upper, lower = np.where(crossed, middle, upper), np.where(crossed, middle, lower)
    return np.concatenate([left[None], upper, right[None], lower[::-1]])


def hole_coverage(edge: Array, size: tuple[int, int]) -> Array:
    """Share of each pixel (h, w) that a hole covers, its edge rounded where it has visible facets.

    Args:
        edge: (N, 2) float32 closed outline, the hole's corners first and halfway.
        size: width and height of the result.
    """
    share = coverage(edge, size)
    half = len(edge) // 2
    if np.linalg.norm(edge[half] - edge[0]) < FACET_PIXELS * half:
        return share
    runs = (edge[: half + 1], np.concatenate([edge[half:], edge[:1]]))
    rounded = np.concatenate([smooth_curve(run)[:-1] for run in runs])
    # Skin ends at the facets, so that a round edge inside them would leave a gap.
    return np.maximum(share, coverage(rounded, size))


def show_through(
    spec: PatchSpec, points: Array, size: tuple[int, int], source: PatchSource, gaze: Array
) -> tuple[Bytes, Array]:
    """What shows through a patch's holes before refinement, and how far they cover each pixel.

    Args:
        spec: the patch.
        points: (478, 2) float32 mesh in the pixels of the result.
        size: width and height of the result.
        source: where eyeballs take their pixels, and the dark of the mouth.
        gaze: (2,) change of gaze from source to target in eye widths.

    Returns:
        (h, w, 3) uint8 RGB, meaningful where covered, and (h, w) float32 in [0, 1].
    """
    hole = np.zeros(size[::-1], np.float32)
    inside = np.empty((*size[::-1], 3), np.uint8)
    inside[:] = np.clip(source.dark, 0, 255).astype(np.uint8)
    for index, outline in enumerate(spec.holes):
        edge = eye_opening(points, index) if spec.name == "eyes" else points[list(outline)]
        if edge is None:
            continue
        share = hole_coverage(edge, size)
        hole = np.maximum(hole, share)
        if spec.name != "eyes":
            continue
        rows, columns = np.nonzero(cv2.dilate(share, np.ones((3, 3), np.uint8)) > 0)
        if len(rows):
            mapping = EyeMap.between(points, source.mesh, index, gaze)
            where = mapping.positions(np.stack([columns, rows], 1).astype(np.float32))
            colours = cv2.remap(
                source.image,
                where[None],
                None,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            inside[rows, columns] = colours[0]
    return inside, hole


def warp_patch(
    spec: PatchSpec,
    source: PatchSource,
    target: Array,
    frame: Array,
    triangles: NDArray[np.int32],
    gaze: Array,
) -> Patch:
    """Warp the source on to a target mesh, in the target's patch frame.

    Args:
        spec: the patch.
        source: picture, mesh and frame that pixels come from.
        target: (478, 3) float32 mesh in the target picture's pixels.
        frame: (2, 3) target picture to patch.
        triangles: (N, 3) int32.
        gaze: (2,) change of gaze from source to target in eye widths.
    """
    size = (spec.width, spec.height)
    points = transform(target[:, :2], frame)
    corners = points[triangles]
    affines = triangle_affines(corners, source.mesh[:, :2][triangles])
    columns, rows = np.meshgrid(
        np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32)
    )
    grid = np.stack([columns, rows], -1)
    position = transform(grid, invert_affine(source.frame))
    depth = target[triangles, 2].mean(1)
    ids = raster_ids(corners, size, np.argsort(-depth))
    apply_affines(ids, affines, position)
    skin = cv2.remap(
        source.image, position, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    inside, hole = show_through(spec, points, size, source, gaze)
    return Patch(np.asarray(skin, np.uint8), inside, hole)


def crop_patch(spec: PatchSpec, image: Bytes, frame: Array) -> Bytes:
    """The unwarped patch (h, w, 3) of a picture."""
    size = (spec.width, spec.height)
    return np.asarray(
        cv2.warpAffine(image, frame, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )
