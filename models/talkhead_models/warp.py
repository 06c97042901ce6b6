"""Backward warps of a triangle mesh on the CPU: triangle id raster, one affine map a triangle, one gather.

The map is exact inside every triangle, so lips part along the mesh's own edges. `cv2.fillConvexPoly` draws the ids,
the rest is vectorised.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_SUBPIXEL_BITS = 4


def triangle_affines(target: Array, source: Array) -> Array:
    """Affine maps from target to source, one a triangle.

    Args:
        target: (N, 3, 2) float32 corners of the triangles where they are drawn.
        source: (N, 3, 2) float32 corners where they take their pixels.

    Returns:
        (N, 6) float32 ``a b c d e f`` with ``x' = a x + b y + c`` and ``y' = d x + e y + f``. A triangle without area
        maps to its source's first corner.
    """
    edge1, edge2 = target[:, 1] - target[:, 0], target[:, 2] - target[:, 0]
    det = edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0]
    inverse = np.where(np.abs(det) > 1e-6, 1 / np.where(np.abs(det) > 1e-6, det, 1), 0)
    side1, side2 = source[:, 1] - source[:, 0], source[:, 2] - source[:, 0]
    along_x = (side1 * edge2[:, 1:2] - side2 * edge1[:, 1:2]) * inverse[:, None]
    along_y = (side2 * edge1[:, 0:1] - side1 * edge2[:, 0:1]) * inverse[:, None]
    constant = source[:, 0] - along_x * target[:, 0, :1] - along_y * target[:, 0, 1:]
    columns = (
        along_x[:, 0],
        along_y[:, 0],
        constant[:, 0],
        along_x[:, 1],
        along_y[:, 1],
        constant[:, 1],
    )
    return np.stack(columns, 1).astype(np.float32)


def signed_areas(corners: Array) -> Array:
    """Twice the areas (N,) of triangles (N, 3, 2), positive where the corners run clockwise in the picture."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0], np.float32)


def raster_ids(
    corners: Array, size: tuple[int, int], order: NDArray[np.int64] | None = None
) -> NDArray[np.int32]:
    """Which triangle covers each pixel.

    Args:
        corners: (N, 3, 2) float32 pixels of the raster.
        size: width, height.
        order: triangle indices in drawing order (the last wins); default by index.

    Returns:
        (H, W) int32 triangle index, -1 where there is none.
    """
    width, height = size
    ids = np.full((height, width), -1, np.int32)
    limit = 1 << 14
    fixed = np.rint(np.clip(corners, -limit, limit) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    first, second, third = corners[:, 0], corners[:, 1], corners[:, 2]
    low = np.minimum(np.minimum(first, second), third)
    high = np.maximum(np.maximum(first, second), third)
    seen = (
        (high[:, 0] >= 0) & (high[:, 1] >= 0) & (low[:, 0] <= width - 1) & (low[:, 1] <= height - 1)
    )
    draw = cv2.fillConvexPoly
    for index in (np.flatnonzero(seen) if order is None else order[seen[order]]).tolist():
        draw(ids, fixed[index], index, cv2.LINE_8, _SUBPIXEL_BITS)
    return ids


def apply_affines(
    ids: NDArray[np.int32], affines: Array, into: Array, origin: tuple[float, float] = (0, 0)
) -> None:
    """Write the source position of each covered pixel into a map.

    Args:
        ids: (H, W) int32 from `raster_ids`.
        affines: (N, 6) from `triangle_affines`, in the coordinates of the raster plus `origin`.
        into: (H, W, 2) float32, overwritten where an id is set.
        origin: position of the raster's pixel (0, 0).
    """
    covered = ids >= 0
    seen = np.flatnonzero(covered.any(0))
    if not len(seen):
        return
    # All pixels between the first and the last column, covered or not: a coefficient at a time is five times as fast
    # as all six of the covered pixels.
    columns = slice(int(seen[0]), int(seen[-1]) + 1)
    chosen, covered = np.maximum(ids[:, columns], 0), covered[:, columns]
    coefficients = np.ascontiguousarray(affines.T)
    x = np.arange(columns.start, columns.stop, dtype=np.float32) + np.float32(origin[0])
    y = (np.arange(len(ids), dtype=np.float32) + np.float32(origin[1]))[:, None]
    for axis in (0, 1):
        along_x, along_y, constant = coefficients[3 * axis : 3 * axis + 3]
        position = along_x.take(chosen)
        position *= x
        part = along_y.take(chosen)
        part *= y
        position += part
        position += constant.take(chosen)
        np.copyto(into[:, columns, axis], position, where=covered)


def coverage(polygon: Array, size: tuple[int, int], supersample: int = 4) -> Array:
    """Share of each pixel that a polygon covers.

    Args:
        polygon: (N, 2) float32 pixels.
        size: width, height.
        supersample: sub-rows and sub-columns a pixel.

    Returns:
        (H, W) float32 in [0, 1].
    """
    share = np.zeros(size[::-1], np.float32)
    x0, y0, x1, y1 = box_of(polygon, 2, size)
    fine = np.zeros(((y1 - y0) * supersample, (x1 - x0) * supersample), np.uint8)
    scaled = (polygon - np.array([x0, y0], np.float32) + 0.5) * supersample - 0.5
    fixed = np.rint(np.clip(scaled, -(1 << 14), 1 << 14) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(fine, [fixed], 255, cv2.LINE_8, _SUBPIXEL_BITS)
    small = cv2.resize(fine, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    share[y0:y1, x0:x1] = np.asarray(small, np.float32) / np.float32(255)
    return share


def smooth_curve(line: Array, steps: int = 6) -> Array:
    """A Catmull-Rom spline through points (N, 2), `steps` points a segment."""
    padded = np.concatenate([2 * line[:1] - line[1:2], line, 2 * line[-1:] - line[-2:-1]])
    before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(steps, dtype=np.float32) / steps)[:, None, None]
    curve = start + 0.5 * t * (
        end - before
        + t * (2 * before - 5 * start + 4 * end - after)
        + t**2 * (3 * (start - end) + after - before)
    )  # fmt: skip
    return np.concatenate([curve.transpose(1, 0, 2).reshape(-1, 2), line[-1:]]).astype(np.float32)


def similarity(source: Array, target: Array) -> Array:
    """(2, 3) float32 similarity that carries two source points (2, 2) exactly on to two target points."""
    before, after = source[1] - source[0], target[1] - target[0]
    square = max(float(before @ before), 1e-9)
    a = float(before @ after) / square
    b = float(before[0] * after[1] - before[1] * after[0]) / square
    linear = np.array([[a, -b], [b, a]], np.float32)
    return np.concatenate([linear, (target[0] - linear @ source[0])[:, None]], 1)


def invert_affine(matrix: Array) -> Array:
    """Inverse of a (2, 3) affine map."""
    return np.asarray(cv2.invertAffineTransform(matrix), np.float32)


def transform(points: Array, matrix: Array) -> Array:
    """Points (..., 2) through a (2, 3) affine map."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)


def box_of(points: Array, margin: float, limit: tuple[int, int]) -> tuple[int, int, int, int]:
    """Integer box x0, y0, x1, y1 (end exclusive) around points (N, 2), cut to an image of width, height."""
    low, high = np.floor(points.min(0) - margin), np.ceil(points.max(0) + margin) + 1
    x0, y0 = (int(np.clip(low[i], 0, limit[i] - 2)) for i in (0, 1))
    x1, y1 = (int(np.clip(high[i], (x0, y0)[i] + 2, limit[i])) for i in (0, 1))
    return x0, y0, x1, y1


def pick(points: Array, indices: Sequence[int]) -> Array:
    """The (x, y) of chosen mesh points."""
    return np.asarray(points[list(indices), :2], np.float32)
