"""Body: the portrait's head, neck and background as they move with the head's pose and the face's mesh.

Backward warp: exact triangles in the face, a coarse map on the rings around; the warped person lies over a still
background plate. The border of the picture never moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.basis import Pose, rotation_matrix
from talkhead_models.breathing import breath_lift
from talkhead_models.cutout import Cutout
from talkhead_models.doubled import Doubled
from talkhead_models.lashes import Lashes
from talkhead_models.limits import MotionLimits
from talkhead_models.motion import FaceMotion
from talkhead_models.plate import background_plate, soft_mask
from talkhead_models.rig import FaceRig, inset_lids, inset_lips
from talkhead_models.rings import make_rings, move_rings
from talkhead_models.warp import apply_affines, box_of, raster_ids, signed_areas, triangle_affines

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Pixels = TypeVar("Pixels", Array, Bytes)

COARSE = 4
"""The rings' map is drawn at 1/COARSE of the resolution: it is smooth."""

BAND = 256
"""Rows that are warped at once; a multiple of COARSE."""

BORDER_STRIP = 0.045
"""Share of the picture's shorter side that never moves at its border."""

BORDER_RAMP = 0.9
"""Outer-eye distances over which motion grows from the strip to full."""

HEAD_LEVEL = 40
"""Mask value from which a pixel counts as the head's when its distance to the border is taken."""

SIDES = ("left", "right", "top", "bottom")
CHIN_POINT = 152

STILL = (0.3, 1.2)
"""Pixels of motion up to which a place counts as still, and from which as moving."""


class Placed(NamedTuple):
    """One frame: mesh (478, 3), ring points (R, 2), pose, gaze change (2,), appearance code (A,), breath in [0, 1]."""

    mesh: Array
    rings: Array
    pose: Pose
    gaze: Array
    code: Array
    breath: float = 0.0


@dataclass
class Body:
    """Geometry of one portrait. Make it with `create`."""

    image: Bytes
    rig: FaceRig

    @classmethod
    def create(cls, image: Bytes, rig: FaceRig, person_mask: Array) -> Body:
        """Prepare a portrait.

        Args:
            image: (H, W, 3) uint8 RGB.
            rig: of its face.
            person_mask: (H, W) float32 in [0, 1].
        """
        body = cls(image, rig)
        body._prepare(person_mask)
        return body

    def _prepare(self, person_mask: Array) -> None:
        height, width = self.image.shape[:2]
        self.oval = list(topo.FACE_OVAL)
        mask = soft_mask(person_mask, self.rig.mesh[self.oval, :2], self.rig.unit)
        self.full_mask = mask
        self.rings = make_rings(self.rig, mask)
        self.box = box_of(self.rings.points[:, :2], 2, (width, height))
        x0, y0, x1, y1 = self.box
        self.mask = np.ascontiguousarray(mask[y0:y1, x0:x1])
        self.coarse_origin = np.array([x0, y0], np.float32) - (COARSE + 1) / 2
        columns = np.arange(-(-(x1 - x0) // COARSE) + 2, dtype=np.float32)
        rows = np.arange(-(-(y1 - y0) // COARSE) + 2, dtype=np.float32)
        self.coarse_grid = np.stack(np.meshgrid(columns, rows), -1) * COARSE + self.coarse_origin
        oval = self.rig.mesh[self.oval, :2]
        ramps = border_ramps(oval, (width, height), self.rig.unit, border_gaps(mask, oval))
        self.anchor = border_anchor(self.coarse_grid, (width, height), ramps)
        cut = {ramp.side: ramp.length / self.rig.unit for ramp in ramps if ramp.cuts}
        self.limits = MotionLimits.of(self.rig.pose.rotation, cut)
        chin = self.rig.mesh[CHIN_POINT]
        self.lift = breath_lift(self.coarse_grid, chin, self.rig.unit, y1 - 1) * self.anchor
        self.picture = Doubled.of(self.image, self.box, cv2.INTER_LANCZOS4)
        self.person = Doubled.of(mask, self.box, cv2.INTER_LINEAR)
        around = np.ones((4 * COARSE + 1, 4 * COARSE + 1), np.uint8)
        self.vicinity = np.asarray(cv2.dilate((mask > 0).astype(np.uint8), around), np.uint8)
        self.plate = background_plate(self.image[y0:y1, x0:x1], self.mask, self.rig.unit)
        self.has_background = bool((self.mask < 250).any())
        self.source_mesh = inset_lips(self.rig.mesh, self.rig.unit)
        self.lashes = Lashes.of(self.image, self.rig.mesh, self.rig.unit)
        self.facing = signed_areas(self.rig.basis.mean[:, :2][self.rig.basis.triangles])
        self.ring_corners = ring_points(oval, self.rings.points)[self.rings.triangles]

    def place(self, motion: FaceMotion, breath: Array | None = None) -> list[Placed]:
        """Meshes, rings and poses of each frame; `breath` (T,) in [0, 1] is how far breath is drawn in."""
        breath = np.zeros(motion.num_frames, np.float32) if breath is None else breath
        meshes = self.rig.meshes(motion)
        rigid = self.rig.move(self.rings.points, motion)
        oval_rigid = self.rig.move(self.rig.eased[self.oval], motion)
        rotation = rotation_matrix(motion.rotation) @ self.rig.pose.rotation
        offset = self.rig.move(self.rig.pose.offset[None], motion)[:, 0]
        scale = self.rig.pose.scale * np.exp(motion.translation[:, 2])
        placed = []
        for i in range(motion.num_frames):
            rings = move_rings(self.rings, rigid[i], oval_rigid[i], meshes[i, self.oval])
            placed.append(
                Placed(
                    meshes[i],
                    rings,
                    Pose(scale[i], rotation[i], offset[i]),
                    motion.gaze[i],
                    motion.appearance[i],
                    float(breath[i]),
                )
            )
        return placed

    def _rings(self, frame: Placed) -> tuple[Array, Bytes, NDArray[np.bool_]]:
        """The coarse map of all but the face.

        Returns:
            At 1/COARSE of the box: places in `picture` (h, w, 2), how still they are (h, w) uint8, 255 = still, and
            where the person can be seen (h, w).
        """
        grid = self.coarse_grid
        points = ring_points(frame.mesh[self.oval], frame.rings)
        corners = (points[self.rings.triangles] - self.coarse_origin) / COARSE
        ids = raster_ids(corners, (grid.shape[1], grid.shape[0]))
        coarse = grid.copy()
        apply_affines(ids, triangle_affines(corners, self.ring_corners), coarse)
        shift = (coarse - grid) * self.anchor[..., None]
        shift[..., 1] += frame.breath * self.lift
        moved = np.abs(shift)
        share = (STILL[1] - np.maximum(moved[..., 0], moved[..., 1])) / (STILL[1] - STILL[0])
        still = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
        places = self.picture.places(grid + shift)
        near = cv2.remap(self.vicinity, grid + shift, None, cv2.INTER_NEAREST)
        return places, still, np.asarray(near) > 0

    def _face(self, frame: Placed) -> Face:
        """The exact map of the face."""
        x0, y0, x1, y1 = self.box
        height, width = self.image.shape[:2]
        fx0, fy0, fx1, fy1 = box_of(frame.mesh[: topo.NUM_FACE_POINTS, :2], 1, (width, height))
        fx0, fy0, fx1, fy1 = max(fx0, x0), max(fy0, y0), min(fx1, x1), min(fy1, y1)
        corners = frame.mesh[:, :2][self.rig.basis.triangles]
        depth = frame.mesh[self.rig.basis.triangles, 2].mean(1)
        # What faces away lies behind everything else.
        depth[signed_areas(corners) * self.facing < 0] += 10 * self.rig.unit
        source = inset_lids(self.source_mesh, frame.mesh)[:, :2][self.rig.basis.triangles]
        ids = raster_ids(
            corners - np.array([fx0, fy0], np.float32), (fx1 - fx0, fy1 - fy0), np.argsort(-depth)
        )
        origin = np.array([x0, y0], np.float32)
        affines = triangle_affines(corners - origin, self.picture.places(source))
        return Face((fx0 - x0, fy0 - y0, fx1 - x0, fy1 - y0), ids, affines)

    def cut_out(self, matte: Array, colour: tuple[int, int, int] | None = None) -> Cutout:
        """The person without the background, for `compose_cutout`.

        Args:
            matte: (H, W) float32 in [0, 1], the person's share of each pixel.
            colour: what the picture's own transparency, which the matte then is, was laid over; None for opaque
                pictures, whose background is the plate.
        """
        if colour is not None:
            behind = np.full_like(self.image, colour)
        else:
            # Of the whole picture: the moving box's own plate would leave a seam at its border.
            behind = background_plate(self.image, self.full_mask, self.rig.unit)
        own = colour is not None
        return Cutout.create(
            self.image, matte, behind, self.full_mask, self.rig.unit, own, self.box
        )

    def whole_map(self, frame: Placed) -> tuple[Sequence[NDArray[Any]], Array | None]:
        """The map of the whole moving box, and the share (h, w) of the warped picture; None for all of it."""
        x0, y0, x1, y1 = self.box
        size = (x1 - x0, y1 - y0)
        places, still, _ = self._rings(frame)
        fine = enlarge(places, size)
        self._face(frame).draw(Area(0, size[1], 0, size[0]), fine)
        maps = cv2.convertMaps(fine, None, cv2.CV_16SC2)
        return maps, self._weight(maps, enlarge(still, size)) if self.has_background else None

    def compose_cutout(self, cutout: Cutout, frame: Placed, out: Bytes, alpha: Bytes) -> None:
        """As `compose`, of the person alone: colours (H, W, 3) and their alpha (H, W), in place."""
        x0, y0, x1, y1 = self.box
        layer = cutout.moved(*self.whole_map(frame), (x0, y0))
        out[y0:y1, x0:x1], alpha[y0:y1, x0:x1] = cutout.straight(layer)
        self.lashes.draw(frame.mesh, out)

    def compose(self, frame: Placed, out: Bytes) -> None:
        """Draw the moving box of a frame over the portrait (H, W, 3), in place."""
        x0, y0, x1, y1 = self.box
        places, still, near = self._rings(frame)
        face = self._face(frame)
        fx0, fy0, fx1, fy1 = (edge // COARSE for edge in face.box)
        near[fy0 : fy1 + 3, fx0 : fx1 + 3] = True
        # In bands, whose maps and pixels stay in the processor's cache.
        for top in range(0, y1 - y0, BAND):
            bottom = min(y1 - y0, top + BAND)
            coarse = slice(top // COARSE, -(-bottom // COARSE) + 2)
            band = out[y0 + top : y0 + bottom, x0:x1]
            left, right = 0, x1 - x0
            if self.has_background:
                left, right = seen_columns(near[coarse], right)
                band[:, :left] = self.plate[top:bottom, :left]
                band[:, right:] = self.plate[top:bottom, right:]
            if left < right:
                columns = slice(left // COARSE, -(-right // COARSE) + 2)
                area = Area(top, bottom, left, right)
                part = places[coarse, columns], still[coarse, columns]
                band[:, left:right] = self._warped(area, *part, face)
        self.lashes.draw(frame.mesh, out)

    def _warped(self, area: Area, places: Array, still: Bytes, face: Face) -> Bytes:
        """An area of the moving box (h, w, 3); `places` and `still` are the coarse maps of it."""
        size = (area.right - area.left, area.bottom - area.top)
        fine = enlarge(places, size)
        face.draw(area, fine)
        # Once to fixed point, for both.
        maps = cv2.convertMaps(fine, None, cv2.CV_16SC2)
        warped = self.picture.warp(maps)
        if not self.has_background:
            return warped
        weight = self._weight(maps, enlarge(still, size))
        plate = self.plate[area.top : area.bottom, area.left : area.right]
        return np.asarray(cv2.blendLinear(warped, plate, weight, 1 - weight), np.uint8)

    def _weight(self, maps: Sequence[NDArray[Any]], still: Bytes) -> Array:
        """Share of the warped picture against the background, (h, w) float32."""
        mask = self.person.warp(maps)
        # Where the mask's soft edge does not move, the portrait shows as it is, not the plate.
        edge = cv2.compare(mask, 0, cv2.CMP_GT)
        weight = cv2.max(mask, cv2.bitwise_and(still, edge)).astype(np.float32)
        weight *= np.float32(1 / 255)
        return np.asarray(weight, np.float32)


class Area(NamedTuple):
    """Rows and columns of the moving box."""

    top: int
    bottom: int
    left: int
    right: int


class Face(NamedTuple):
    """The exact map of one frame's face.

    Attributes:
        box: x0, y0, x1, y1 in the moving box.
        ids: (h, w) int32, the triangle that each of its pixels lies in, -1 = none.
        affines: (N, 6) float32, from pixels of the moving box to places.
    """

    box: tuple[int, int, int, int]
    ids: NDArray[np.int32]
    affines: Array

    def draw(self, area: Area, into: Array) -> None:
        """Write the part of the map that lies in an area over the area's map (h, w, 2)."""
        x0, y0, x1, y1 = self.box
        left, top = max(x0, area.left), max(y0, area.top)
        right, bottom = min(x1, area.right), min(y1, area.bottom)
        if left < right and top < bottom:
            ids = self.ids[top - y0 : bottom - y0, left - x0 : right - x0]
            part = into[top - area.top : bottom - area.top, left - area.left : right - area.left]
            apply_affines(ids, self.affines, part, (left, top))


def seen_columns(near: NDArray[np.bool_], width: int) -> tuple[int, int]:
    """The first and the one after the last column of a band that the person may cover, multiples of COARSE.

    Args:
        near: (h, w), the coarse map's cells where the person can be seen.
        width: of the band.
    """
    cells = np.flatnonzero(near.any(0))
    if not len(cells):
        return width, width
    left = max(0, COARSE * (int(cells[0]) - 2))
    return min(left, width), min(COARSE * (int(cells[-1]) + 1), width)


def ring_points(oval: Array, rings: Array) -> Array:
    """The points (N, 2) that `Rings.triangles` index: oval (36, >=2), rings (R, >=2), middle of the oval."""
    return np.concatenate([oval[:, :2], rings[:, :2], oval[:, :2].mean(0, keepdims=True)])


def border_gaps(mask: Bytes, oval: Array) -> tuple[int, int, int, int]:
    """Pixels between the person's head and the picture's left, right, top and bottom border; 0 where it touches.

    Args:
        mask: (H, W) uint8, 255 = person.
        oval: (36, 2) float32, the face's outline. Below it there are shoulders, which hardly move.
    """
    head = mask[: max(1, int(oval[:, 1].max()))] > HEAD_LEVEL
    columns, rows = np.flatnonzero(head.any(0)), np.flatnonzero(head.any(1))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(mask.shape[1] - 1 - columns[-1]), int(rows[0]), 0


class BorderRamp(NamedTuple):
    """Where motion grows from none to full, inwards of one border.

    Attributes:
        side: "left", "right", "top" or "bottom".
        strip: pixels from the border that never move.
        length: pixels of the ramp.
        cuts: the ramp lies in the person, whom the border cuts off, not in the background.
    """

    side: str
    strip: float
    length: float
    cuts: bool


def border_ramps(
    oval: Array, size: tuple[int, int], unit: float, gaps: tuple[int, int, int, int]
) -> list[BorderRamp]:
    """The ramps of a picture.

    A head that reaches the border would otherwise drag the border's pixels in and out of the picture. A ramp ends
    before the face's oval; a border that the face itself reaches is left alone. Where the head keeps clear of the
    strip, the ramp lies in the background between them and the hair moves as one.

    Args:
        oval: (36, 2) float32, the face's outline.
        size: width and height of the picture.
        unit: outer-eye distance in pixels.
        gaps: from `border_gaps`.
    """
    strip = BORDER_STRIP * min(size)
    low, high = oval.min(0), oval.max(0)
    rooms = (low[0], size[0] - 1 - high[0], low[1], size[1] - 1 - high[1])
    ramps = []
    for side, room, gap in zip(SIDES, rooms, gaps, strict=True):
        length = min(BORDER_RAMP * unit, 0.9 * (float(room) - strip))
        clear = gap - strip
        if clear > COARSE:
            length = min(length, clear)
        cuts = side != "bottom" and clear <= COARSE
        ramps.append(BorderRamp(side, strip, length, cuts))
    return ramps


def border_anchor(grid: Array, size: tuple[int, int], ramps: list[BorderRamp]) -> Array:
    """Share of the motion that each place keeps, (h, w) float32 in [0, 1].

    Args:
        grid: (h, w, 2) float32 places.
        size: width and height of the picture.
        ramps: from `border_ramps`.
    """
    share = np.ones(grid.shape[:2], np.float32)
    x, y = grid[..., 0], grid[..., 1]
    distances = {"left": x, "right": size[0] - 1 - x, "top": y, "bottom": size[1] - 1 - y}
    for ramp in ramps:
        if ramp.length >= 1:
            along = np.clip((distances[ramp.side] - ramp.strip) / ramp.length, 0, 1)
            share *= along * along * (3 - 2 * along)
    return share


def enlarge(coarse: Pixels, size: tuple[int, int]) -> Pixels:
    """A map of `Body.coarse_grid`, enlarged linearly to the width and height of the box."""
    height, width = coarse.shape[:2]
    fine = cv2.resize(coarse, (COARSE * width, COARSE * height), interpolation=cv2.INTER_LINEAR)
    return cast("Pixels", fine[COARSE : COARSE + size[1], COARSE : COARSE + size[0]])
