"""The little geometry of a batch that is done on the CPU, for all frames at once: outlines, eyes, boxes.

It is a few thousand numbers a frame. The boxes must be known there anyway, as they are sizes of tensors; they are
common to a batch, since a head moves little within a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.body import Placed
from talkhead_models.patches import FACET_PIXELS, PIXELS_PER_UNIT, PatchSpec
from talkhead_models.rig import LID_INSET, SHUT_BELOW
from talkhead_models.sharpening import window_at
from talkhead_models.warp import box_of

Array = NDArray[np.float32]
Box = tuple[int, int, int, int]

AWAY = -1000.0
"""Pixels; polygons that do not show are put there."""


class Batch(NamedTuple):
    """T frames of `body.Placed`, an array for each of its fields."""

    mesh: Array
    rings: Array
    gaze: Array
    code: Array
    breath: Array

    @classmethod
    def of(cls, placed: Sequence[Placed]) -> Batch:
        """Side by side."""
        return cls(
            np.stack([frame.mesh for frame in placed]),
            np.stack([frame.rings for frame in placed]),
            np.stack([frame.gaze for frame in placed]),
            np.stack([frame.code for frame in placed]),
            np.array([frame.breath for frame in placed], np.float32),
        )


def frames_of(spec: PatchSpec, neutral: Array, placed: Sequence[Placed]) -> Array:
    """Patch frames (T, 2, 3), as `patches.patch_frame`."""
    centre = neutral[list(spec.anchors)].mean(0) + np.array([0, spec.drop, 0], np.float32)
    scales = np.array([frame.pose.scale for frame in placed], np.float32)
    rotations = np.stack([frame.pose.rotation for frame in placed])
    offsets = np.stack([frame.pose.offset for frame in placed])
    x, y = (scales[:, None] * (rotations @ centre) + offsets)[:, :2].T
    roll = np.arctan2(rotations[:, 1, 0], rotations[:, 0, 0])
    cos, sin = np.cos(roll) * PIXELS_PER_UNIT / scales, np.sin(roll) * PIXELS_PER_UNIT / scales
    right, down = (spec.width - 1) / 2, (spec.height - 1) / 2
    first = np.stack([cos, sin, right - cos * x - sin * y], -1)
    second = np.stack([-sin, cos, down + sin * x - cos * y], -1)
    return np.stack([first, second], 1).astype(np.float32)


def window_frames(matrices: Array, level: int) -> Array:
    """As `sharpening.window_frame`, for patch frames (T, 2, 3)."""
    rows, columns = window_at(level)
    frames = matrices * np.float32(2**level)
    frames[..., 2] += (2**level - 1) / 2 - np.array([columns.start, rows.start], np.float32)
    return frames


def transformed(points: Array, matrices: Array) -> Array:
    """Points (T, N, 2) through affine maps (T, 2, 3)."""
    turned = points @ np.swapaxes(matrices[..., :2], 1, 2)
    return np.asarray(turned + matrices[:, None, :, 2], np.float32)


def patch_box(spec: PatchSpec, matrices: Array, limit: Box) -> Box:
    """The box of the picture that patches with these frames (T, 2, 3) lie in, cut to another."""
    right, bottom = spec.width - 1, spec.height - 1
    corners = np.array([[0, 0], [right, 0], [0, bottom], [right, bottom]], np.float32)
    inverse = np.linalg.inv(matrices[..., :2])
    places = (corners - matrices[:, None, :, 2]) @ np.swapaxes(inverse, 1, 2)
    return within(places.reshape(-1, 2), 1, limit)


def within(points: Array, margin: float, limit: Box) -> Box:
    """As `warp.box_of`, cut to a box x0, y0, x1, y1."""
    x, y = limit[:2]
    local = box_of(points - np.array([x, y], np.float32), margin, (limit[2] - x, limit[3] - y))
    return local[0] + x, local[1] + y, local[2] + x, local[3] + y


def lid_insets(source: Array, target: Array) -> Array:
    """As `rig.inset_lids`, for targets (T, 478, 3): the source's (T, 478, 2) places."""
    inset = np.repeat(source[None, :, :2], len(target), 0)
    for eye in range(2):
        upper, lower = list(topo.UPPER_LIDS[eye]), list(topo.LOWER_LIDS[eye])
        opening = np.linalg.norm((source[lower] - source[upper])[:, :2], axis=-1)
        wanted = np.linalg.norm((target[:, lower] - target[:, upper])[..., :2], axis=-1)
        shut = np.clip(1 - wanted / np.maximum(SHUT_BELOW * opening, 1e-3), 0, 1)
        for margins, rings, share in LID_INSET:
            margin, ring = list(margins[eye]), list(rings[eye])
            way = (source[ring] - source[margin])[:, :2]
            length = np.maximum(np.linalg.norm(way, axis=1), 1e-3)
            inset[:, margin] += (shut * np.minimum(share * opening / length, 0.6))[..., None] * way
    return np.asarray(inset, np.float32)


def eye_outlines(points: Array, eye: int) -> tuple[Array, NDArray[np.bool_]]:
    """As `patches.eye_opening`, for meshes (T, 478, 2): outlines (T, N, 2), and which eyes are open (T,)."""
    left, right = (points[:, [corner]] for corner in topo.EYE_CORNERS[eye])
    upper, lower = points[:, list(topo.UPPER_LIDS[eye])], points[:, list(topo.LOWER_LIDS[eye])]
    normal = np.concatenate([(left - right)[..., 1:], (right - left)[..., :1]], -1)
    height, least = ((lower - upper) * normal).sum(-1), 1e-3 * (normal * normal).sum(-1)
    crossed = (height <= least)[..., None]
    middle = (upper + lower) / 2
    upper, lower = np.where(crossed, middle, upper), np.where(crossed, middle, lower)
    outline = np.concatenate([left, upper, right, lower[:, ::-1]], 1)
    return np.asarray(outline, np.float32), ~crossed[..., 0].all(1)


def smooth_curves(lines: Array, steps: int = 6) -> Array:
    """As `warp.smooth_curve`, for lines (T, N, 2)."""
    first, last = 2 * lines[:, :1] - lines[:, 1:2], 2 * lines[:, -1:] - lines[:, -2:-1]
    padded = np.concatenate([first, lines, last], 1)[:, :, None]
    before, start, end, after = padded[:, :-3], padded[:, 1:-2], padded[:, 2:-1], padded[:, 3:]
    t = (np.arange(steps, dtype=np.float32) / steps)[:, None]
    curve = start + 0.5 * t * (
        end - before
        + t * (2 * before - 5 * start + 4 * end - after)
        + t**2 * (3 * (start - end) + after - before)
    )  # fmt: skip
    flat = curve.reshape(len(lines), -1, 2)
    return np.concatenate([flat, lines[:, -1:]], 1).astype(np.float32)


class Hole(NamedTuple):
    """One hole of a patch in T frames.

    Attributes:
        polygons: (T, N, 2) each; what any of them covers belongs to the hole. Those that do not show are `AWAY`.
        box: where they show; None where no frame shows any.
    """

    polygons: Sequence[Array]
    box: Box | None


def hole_of(edges: Array, shown: NDArray[np.bool_], limit: Box, margin: int = 2) -> Hole:
    """As `patches.hole_coverage`.

    Args:
        edges: (T, N, 2) outlines, corners first and halfway.
        shown: (T,).
        limit: box that pixels are wanted of.
        margin: pixels around the outlines that belong to the hole's box.
    """
    if not shown.any():
        return Hole((), None)
    half = edges.shape[1] // 2
    polygons, seen = [np.where(shown[:, None, None], edges, np.float32(AWAY))], [edges[shown]]
    wide = shown & (np.linalg.norm(edges[:, half] - edges[:, 0], axis=-1) >= FACET_PIXELS * half)
    if wide.any():
        runs = (edges[:, : half + 1], np.concatenate([edges[:, half:], edges[:, :1]], 1))
        rounded = np.concatenate([smooth_curves(run)[:, :-1] for run in runs], 1)
        polygons.append(np.where(wide[:, None, None], rounded, np.float32(AWAY)))
        seen.append(rounded[wide])
    points = np.concatenate([part.reshape(-1, 2) for part in seen])
    return Hole(polygons, within(points, margin, limit))


def longest_edge(polygons: Array, supersample: int = 4) -> int:
    """Sub-samples that the longest edge of polygons (T, N, 2) goes through, for `coverage.cover`."""
    seen = polygons[:, 0, 0] != AWAY
    ways = np.abs(polygons[seen] - np.roll(polygons[seen], -1, 1))
    return int(np.ceil(ways.max(initial=0) * supersample)) + 3


def eye_maps(target: Array, source: Array, eye: int, gaze: Array) -> Array:
    """As `patches.EyeMap.between`, for targets (T, 478, 2) and gaze (T, 2).

    Returns:
        (T, 8) float32: a pixel x, y lies `r0 x + r1 y + r2` along the eye from its middle and `r3 x + r4 y + r5` across
        it in the source; `r6 r7` is the shift by gaze.
    """
    corners = list(topo.EYE_CORNERS[eye])
    to, own = target[:, corners], source[corners, :2]
    before, after = to[:, 1] - to[:, 0], own[1] - own[0]
    square = np.maximum((before * before).sum(-1), 1e-9)
    a = (before @ after) / square
    b = (before[:, 0] * after[1] - before[:, 1] * after[0]) / square
    linear = np.stack([np.stack([a, -b], -1), np.stack([b, a], -1)], -2)
    offset = own[0] - (linear @ to[:, 0, :, None])[..., 0] - own.mean(0)
    width = max(float(np.linalg.norm(after)), 1e-6)
    axis = after / width
    normal = np.array([-axis[1], axis[0]], np.float32)
    upper, lower = list(topo.UPPER_LIDS[eye][2:5]), list(topo.LOWER_LIDS[eye][2:5])
    opening = np.linalg.norm((target[:, lower] - target[:, upper]).mean(1), axis=-1)
    usual = float(np.linalg.norm((source[lower, :2] - source[upper, :2]).mean(0)))
    widen = np.clip(opening * np.hypot(a, b) / max(usual, 1e-3), 1, 3)
    along = np.concatenate([axis @ linear, (offset @ axis)[:, None]], -1)
    across = np.concatenate([normal @ linear, (offset @ normal)[:, None]], -1)
    shift = (gaze[:, :1] * axis + gaze[:, 1:] * normal) * width
    return np.concatenate([along, across / widen[:, None], shift], -1).astype(np.float32)


def eye_constants(source: Array, eye: int) -> Array:
    """(5,) float32 of a source's eye: its middle x, y, its unit direction x, y, half its width."""
    corners = source[list(topo.EYE_CORNERS[eye]), :2]
    across = corners[1] - corners[0]
    width = max(float(np.linalg.norm(across)), 1e-6)
    return np.concatenate([corners.mean(0), across / width, [width / 2]]).astype(np.float32)
