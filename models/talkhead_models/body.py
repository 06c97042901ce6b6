"""Body: the portrait's head, neck and background as they move with the head's pose and the face's mesh.

Backward warp: exact triangles in the face, a coarse map on the rings around; the warped person lies over a still
background plate. The border of the picture never moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.basis import Pose, rotation_matrix
from talkhead_models.breathing import breath_lift
from talkhead_models.cutout import Cutout
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
        columns = np.arange(-(-(x1 - x0) // COARSE) + 1, dtype=np.float32) * COARSE + x0
        rows = np.arange(-(-(y1 - y0) // COARSE) + 1, dtype=np.float32) * COARSE + y0
        self.coarse_grid = np.stack(np.meshgrid(columns, rows), -1)
        oval = self.rig.mesh[self.oval, :2]
        ramps = border_ramps(oval, (width, height), self.rig.unit, border_gaps(mask, oval))
        self.anchor = border_anchor(self.coarse_grid, (width, height), ramps)
        cut = {ramp.side: ramp.length / self.rig.unit for ramp in ramps if ramp.cuts}
        self.limits = MotionLimits.of(self.rig.pose.rotation, cut)
        chin = self.rig.mesh[CHIN_POINT]
        self.lift = breath_lift(self.coarse_grid, chin, self.rig.unit, y1 - 1) * self.anchor
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

    def _map(self, frame: Placed) -> tuple[Array, Bytes]:
        """Source position (h, w, 2) of each pixel of the moving box, and how still it is (h, w) uint8, 255 = still."""
        x0, y0, x1, y1 = self.box
        grid = self.coarse_grid
        points = ring_points(frame.mesh[self.oval], frame.rings)
        # The raster's pixel (i, j) stands for the picture's (x0 + 4 i, y0 + 4 j).
        corners = (points[self.rings.triangles] - np.array([x0, y0], np.float32)) / COARSE
        ids = raster_ids(corners, (grid.shape[1], grid.shape[0]))
        coarse = grid.copy()
        apply_affines(ids, triangle_affines(corners, self.ring_corners), coarse)
        coarse = grid + (coarse - grid) * self.anchor[..., None]
        coarse[..., 1] += frame.breath * self.lift
        moved = np.abs(coarse - grid)
        shift = np.maximum(moved[..., 0], moved[..., 1])
        size = (x1 - x0, y1 - y0)
        share = np.clip((STILL[1] - shift) / (STILL[1] - STILL[0]), 0, 1)
        still = enlarge(np.rint(share * 255).astype(np.uint8), size)
        fine = enlarge(coarse, size)
        height, width = self.image.shape[:2]
        bx0, by0, bx1, by1 = box_of(frame.mesh[: topo.NUM_FACE_POINTS, :2], 1, (width, height))
        bx0, by0, bx1, by1 = max(bx0, x0), max(by0, y0), min(bx1, x1), min(by1, y1)
        corners = frame.mesh[:, :2][self.rig.basis.triangles]
        depth = frame.mesh[self.rig.basis.triangles, 2].mean(1)
        # What faces away lies behind everything else.
        depth[signed_areas(corners) * self.facing < 0] += 10 * self.rig.unit
        source = inset_lids(self.source_mesh, frame.mesh)[:, :2][self.rig.basis.triangles]
        face_ids = raster_ids(
            corners - np.array([bx0, by0], np.float32), (bx1 - bx0, by1 - by0), np.argsort(-depth)
        )
        apply_affines(
            face_ids,
            triangle_affines(corners, source),
            fine[by0 - y0 : by1 - y0, bx0 - x0 : bx1 - x0],
            (bx0, by0),
        )
        return fine, still

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
        return Cutout.create(self.image, matte, behind, self.full_mask, self.rig.unit, own)

    def compose_cutout(self, cutout: Cutout, frame: Placed, out: Bytes, alpha: Bytes) -> None:
        """As `compose`, of the person alone: colours (H, W, 3) and their alpha (H, W), in place."""
        x0, y0, x1, y1 = self.box
        position, still = self._map(frame)
        weight = self._weight(position, still)
        layer = cutout.moved(position, weight, (x0, y0))
        out[y0:y1, x0:x1], alpha[y0:y1, x0:x1] = cutout.straight(layer)
        self.lashes.draw(frame.mesh, out)

    def compose(self, frame: Placed, out: Bytes) -> None:
        """Draw the moving box of a frame over the portrait (H, W, 3), in place."""
        x0, y0, x1, y1 = self.box
        position, still = self._map(frame)
        # Cubic: twice a linear warp's time, and no softer face than the portrait's.
        warped = cv2.remap(
            self.image, position, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        weight = self._weight(position, still)
        if weight is not None:
            warped = cv2.blendLinear(warped, self.plate, weight, 1 - weight)
        out[y0:y1, x0:x1] = warped
        self.lashes.draw(frame.mesh, out)

    def _weight(self, position: Array, still: Bytes) -> Array | None:
        """Share of the warped picture (h, w) float32 against the background; None where there is no background."""
        if not self.has_background:
            return None
        mask = cv2.remap(
            self.full_mask, position, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        # Where the mask's soft edge does not move, the portrait shows as it is, not the plate.
        edge = cv2.compare(mask, 0, cv2.CMP_GT)
        weight = cv2.max(mask, cv2.bitwise_and(still, edge)).astype(np.float32)
        weight *= np.float32(1 / 255)
        return np.asarray(weight, np.float32)


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
    """A map at 1/COARSE of the resolution, enlarged linearly to width, height."""
    matrix = np.array([[1 / COARSE, 0, 0], [0, 1 / COARSE, 0]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    fine = cv2.warpAffine(coarse, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cast("Pixels", fine)
