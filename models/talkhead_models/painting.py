"""Painting of one patch of one portrait: what the refiner (and, on large faces, the detail network) adds to each frame.

The mouth's inside is painted at 96 pixels and doubled until it fits the portrait: 96, 192 or 384 (`detail`). What is
painted takes on the portrait's sharpness and grain, so that a canvas does not end at the lips.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from talkhead_models.basis import Pose
from talkhead_models.body import Placed
from talkhead_models.detail import WINDOW, Detail, fine_structure
from talkhead_models.patches import (
    PIXELS_PER_UNIT,
    Patch,
    PatchSource,
    PatchSpec,
    crop_patch,
    patch_frame,
    show_through,
    warp_patch,
)
from talkhead_models.refiner import Refiner, Residuals, compose, half_precision, own_share
from talkhead_models.rig import FaceRig
from talkhead_models.sharpening import Box, Sharp, Sharpener, finer, window_at, window_frame
from talkhead_models.warp import box_of, coverage, invert_affine, transform

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]

LEVEL_FROM = (1.35, 2.7)
"""Portrait pixels per patch pixel from which the inside is painted at 192 and at 384 pixels."""

GRAIN_BOXES = ((34, 60, 3, 17), (34, 60, 79, 93), (80, 94, 34, 62))
"""Rows and columns of the patch (cheeks, chin) where the portrait's grain may be read; the calmest of them counts."""

GRAIN_FLOOR = 1.2
"""Deviation in levels of 255 below which there is no grain to speak of."""

CRISP = 0.42
"""A sharp picture's finest octave over the next; from here on detail is added in full."""


CHEEKS = (50, 280, 205, 425)
"""Mesh points where the skin's colour is read."""

TYPICAL_SKIN = (1.24, 0.93, 0.78)
"""Red, green and blue of photographed skin over their mean, about the middle of all complexions."""

USUAL_TINT = (0.88, 1.15)
"""Ratios to it that complexions and lamps account for; what is beyond is paint, varnish or a coloured light."""

OUTLINE = 0.06
"""Outer-eye distances inside the outline of a person cut out that nothing is painted."""


class Painted(NamedTuple):
    """One patch of one frame.

    Attributes:
        frame: (2, 3) from picture pixels to those of `skin`.
        skin: (h, w, 3) float32, residual in levels.
        inside: (h', w', 3) float32 levels: a residual, or with `inside_frame` what shows through the hole itself.
        inside_frame: (2, 3) from picture pixels to those of `inside`.
    """

    frame: Array
    skin: Array
    inside: Array
    inside_frame: Array | None = None


def to_tensor(picture: Bytes, tint: Array) -> Tensor:
    """(1, 3, h, w) float from -1 up of a picture (h, w, 3) divided by its tint."""
    value = torch.from_numpy(picture / tint).permute(2, 0, 1)[None].float()
    return value / 127.5 - 1


def tint_of(whole: PatchSource) -> Array:
    """(3,) float32: how far the portrait's skin is from any photograph's, a channel each; ones for photographs."""
    height, width = whole.image.shape[:2]
    points = np.rint(whole.mesh[list(CHEEKS), :2]).astype(int)
    radius = max(1, round(0.03 * float(np.ptp(whole.mesh[:, 0]))))
    colours = []
    for x, y in np.clip(points, 0, (width - 1, height - 1)):
        box = whole.image[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
        colours.append(np.median(box.reshape(-1, 3), 0))
    skin = np.median(colours, 0) + 1.0
    ratio = skin / skin.mean() / np.array(TYPICAL_SKIN)
    return np.asarray(np.clip(ratio / np.clip(ratio, *USUAL_TINT), 0.5, 2), np.float32)


@dataclass
class PatchPainter:
    """Paints one patch of one portrait. Make it with `create`.

    Attributes:
        spec: the patch.
        source: what skin is warped from, at the patch's resolution or the portrait's if that is lower.
        whole: the portrait at its own resolution.
        neutral: (478, 3) canonical face.
        triangles: (N, 3) of the mesh.
        refiner: the network; None leaves the patch as warped.
        crop, hole: the portrait's own patch (1, 3, h, w) and hole (1, 1, h, w).
        levels: how often the inside's resolution is doubled: 0, 1 or 2.
        sharpener: does that; None for no levels.
        grain: (h', w') float32 in levels, of the portrait, in the window at the finest level; None for none.
        tint: (3,) float32; the networks, who learned from photographs, see the picture divided by it.
        share: (h, w, 1) float32 in [0, 1], how much of the skin's residual is shown; None for all of it.
    """

    spec: PatchSpec
    source: PatchSource
    whole: PatchSource
    neutral: Array
    triangles: NDArray[np.int32]
    refiner: Refiner | None
    crop: Tensor
    hole: Tensor
    levels: int = 0
    sharpener: Sharpener | None = None
    grain: Array | None = None
    tint: Array = field(default_factory=lambda: np.ones(3, np.float32))
    share: Array | None = None

    @classmethod
    def create(
        cls,
        spec: PatchSpec,
        whole: PatchSource,
        skin_mesh: Array,
        rig: FaceRig,
        refiner: Refiner | None,
        detail: Detail | None = None,
        device: torch.device | str = "cpu",
    ) -> PatchPainter:
        """Prepare a patch of a portrait.

        Args:
            spec: the patch.
            whole: the portrait at its own resolution, its mesh and dark.
            skin_mesh: (478, 3), the mesh as skin is taken from it, see `rig.inset_lips`.
            rig: its face.
            refiner: network of this patch.
            detail: network for large faces; used for the mouth alone.
            device: where the networks lie.
        """
        small = shrink(spec, whole, rig, PIXELS_PER_UNIT)
        hole = hole_of(spec, small)
        source = shrink(spec, whole._replace(mesh=skin_mesh), rig, PIXELS_PER_UNIT)
        tint = tint_of(whole)
        crop = to_tensor(crop_patch(spec, source.image, source.frame), tint)
        painter = cls(
            spec,
            source,
            whole,
            rig.neutral,
            rig.basis.triangles,
            refiner,
            crop.to(device),
            hole.to(device),
            tint=tint,
        )
        if refiner is not None and refiner.config.own_inside:
            painter._prepare_inside(rig, detail, device)
        return painter

    def _prepare_inside(
        self, rig: FaceRig, detail: Detail | None, device: torch.device | str
    ) -> None:
        ratio = rig.unit / PIXELS_PER_UNIT
        self.levels = sum(ratio >= start for start in LEVEL_FROM) if detail else 0
        share = own_share(self.hole)
        own = []
        picture = self.crop
        for level in range(1, self.levels + 1):
            picture = self._crop_at(rig, level).to(device)
            share = F.interpolate(share, scale_factor=2.0, mode="bilinear", align_corners=False)
            rows, columns = window_at(level)
            own.append((fine_structure(picture)[..., rows, columns], share[..., rows, columns]))
        if detail is not None and own:
            self.sharpener = Sharpener(detail, own, crispness_of(picture))
        self.grain = grain_of(picture, self.levels)

    def _crop_at(self, rig: FaceRig, level: int) -> Tensor:
        """The portrait's own patch at 2**level of the patch's resolution, (1, 3, h, w)."""
        fine = shrink(self.spec, self.whole, rig, PIXELS_PER_UNIT * 2**level)
        size = (self.spec.width << level, self.spec.height << level)
        spec = self.spec._replace(width=size[0], height=size[1])
        return to_tensor(crop_patch(spec, fine.image, finer(fine.frame, level)), self.tint)

    def keep_inside(self, matte: Array, rig: FaceRig) -> None:
        """Paint nothing beside a person cut out by (H, W) float32 in [0, 1]: what lies there is not the picture's."""
        width = max(1, round(OUTLINE * rig.unit))
        solid = cv2.GaussianBlur(cv2.erode(matte, np.ones((2 * width + 1,) * 2)), (0, 0), width / 2)
        frame, size = (
            patch_frame(self.spec, self.neutral, rig.pose),
            (self.spec.width, self.spec.height),
        )
        self.share = np.asarray(cv2.warpAffine(solid, frame, size), np.float32)[..., None]

    @torch.inference_mode()
    def paint(
        self, placed: Sequence[Placed], threads: int, sources: Sequence[PatchSource] | None = None
    ) -> list[Painted]:
        """The patch in some frames, networks run on all at once; `sources` are what each one's skin is warped from."""
        refiner = self.refiner
        if refiner is None:
            raise ValueError(f"there is no network for the {self.spec.name} patch")
        device, spec = self.crop.device, self.spec
        frames = [patch_frame(spec, self.neutral, frame.pose) for frame in placed]

        def warp(index: int) -> Patch:
            to, source = placed[index], sources[index] if sources else self.source
            return warp_patch(spec, source, to.mesh, frames[index], self.triangles, to.gaze)

        if threads == 1:
            patches = [warp(index) for index in range(len(placed))]
        else:
            with ThreadPoolExecutor(threads) as pool:
                patches = list(pool.map(warp, range(len(placed))))
        tint = torch.from_numpy(127.5 * self.tint).to(device)
        skin, inside = (
            (
                torch.from_numpy(np.stack([getattr(p, name) for p in patches])).to(device) / tint
            ).permute(0, 3, 1, 2)
            - 1
            for name in ("skin", "inside")
        )
        hole = torch.from_numpy(np.stack([p.hole for p in patches]))[:, None].to(device)
        size = len(patches)
        crop, own_hole = (value.expand(size, -1, -1, -1) for value in (self.crop, self.hole))
        code = None
        if refiner.config.code_size:
            code = torch.from_numpy(np.stack([frame.code for frame in placed])).to(device)
        base = refiner.base(inside, crop, own_hole)
        inputs = (skin, base, hole, crop, own_hole)
        with half_precision(device):
            laid = (part.contiguous(memory_format=torch.channels_last) for part in inputs)
            residuals = Residuals(*(part.float() for part in refiner(*laid, code)))
        skin_levels = to_levels(residuals.skin) * self.tint
        if self.share is not None:
            skin_levels *= self.share
        if not refiner.config.own_inside:
            values = to_levels(residuals.inside) * self.tint
            return [Painted(frames[i], skin_levels[i], values[i]) for i in range(size)]
        rows, columns = WINDOW
        if self.sharpener is None:
            painted = (base + residuals.inside)[..., rows, columns]
            box = Box(0, painted.shape[2], 0, painted.shape[3])
            fine = [Sharp(painted[i : i + 1], box) for i in range(size)]
        else:
            whole = compose(skin, base, hole, residuals)[..., rows, columns]
            outline = list(self.spec.holes[0])
            fine = [
                self.sharpener.sharpen(whole[i : i + 1], placed[i].mesh[outline, :2], frames[i])
                for i in range(size)
            ]
        return [
            Painted(frames[i], skin_levels[i], *self._finish(fine[i], frames[i]))
            for i in range(size)
        ]

    def _finish(self, sharp: Sharp, frame: Array) -> tuple[Array, Array]:
        """Levels (h', w', 3) of the inside of a mouth, the portrait's grain over them, and their frame (2, 3)."""
        values = (to_levels(sharp.picture)[0] + 127.5) * self.tint
        rows, columns = sharp.box.slices
        if self.grain is not None:
            values += self.grain[rows, columns, None] * (0.3 + 0.7 * values / 255)
        place = window_frame(frame, self.levels)
        place[:, 2] -= (columns.start, rows.start)
        return values, place

    def paste(
        self, out: Bytes, frame: Placed, painted: Painted | None
    ) -> tuple[int, int, int, int]:
        """Compose the patch's holes and residuals into a frame (H, W, 3), in place; the box x0, y0, x1, y1 of it."""
        height, width = out.shape[:2]
        spec = self.spec
        matrix = painted.frame if painted else patch_frame(spec, self.neutral, frame.pose)
        corners = np.array(
            [[0, 0], [spec.width - 1, 0], [0, spec.height - 1], [spec.width - 1, spec.height - 1]]
        )
        box = box_of(
            transform(corners.astype(np.float32), invert_affine(matrix)), 1, (width, height)
        )
        x0, y0, x1, y1 = box
        region = out[y0:y1, x0:x1]
        size = (x1 - x0, y1 - y0)
        origin = np.array([x0, y0], np.float32)
        points = frame.mesh[:, :2] - origin
        inside, hole = show_through(spec, points, size, self.whole, frame.gaze)
        skin_value, inside_value = region.astype(np.float32), inside.astype(np.float32)
        if painted:
            skin_value += place_patch(painted.skin, matrix, origin, size)
            if painted.inside_frame is None:
                inside_value += place_patch(painted.inside, matrix, origin, size)
            else:
                inside_value = place_patch(painted.inside, painted.inside_frame, origin, size)
        skin_value += (inside_value - skin_value) * hole[..., None]
        out[y0:y1, x0:x1] = np.clip(skin_value + 0.5, 0, 255).astype(np.uint8)
        return box


def shrink(
    spec: PatchSpec, whole: PatchSource, rig: FaceRig, pixels_per_unit: float
) -> PatchSource:
    """The portrait at a resolution, never above its own, with its patch frame."""
    zoom = min(1.0, pixels_per_unit / rig.unit)
    image = whole.image
    if zoom < 1:
        image = np.asarray(
            cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA), np.uint8
        )
    # Pixel centres at integers: shrinking moves them by half a pixel.
    mesh = whole.mesh.copy()
    mesh[:, :2] = (mesh[:, :2] + 0.5) * zoom - 0.5
    pose = rig.pose
    offset = pose.offset * zoom
    offset[:2] += zoom / 2 - 0.5
    frame = patch_frame(spec, rig.neutral, Pose(pose.scale * zoom, pose.rotation, offset))
    return PatchSource(image, mesh, frame, whole.dark)


def hole_of(spec: PatchSpec, source: PatchSource) -> Tensor:
    """The portrait's own hole, (1, 1, h, w)."""
    points = transform(source.mesh[:, :2], source.frame)
    size = (spec.width, spec.height)
    hole = np.max([coverage(points[list(outline)], size) for outline in spec.holes], 0)
    return torch.from_numpy(np.asarray(hole, np.float32))[None, None]


def to_levels(picture: Tensor) -> Array:
    """(B, 3, h, w) in units of 127.5 levels to (B, h, w, 3) float32 levels."""
    return np.asarray((picture * 127.5).permute(0, 2, 3, 1).contiguous().cpu().numpy(), np.float32)


def place_patch(picture: Array, frame: Array, origin: Array, size: tuple[int, int]) -> Array:
    """A patch (h, w, 3) in a region of the picture, zeros outside of it.

    Args:
        picture: float32.
        frame: (2, 3) from picture pixels to its pixels.
        origin: the region's first pixel.
        size: the region's width and height.
    """
    local = frame.copy()
    local[:, 2] += frame[:, :2] @ origin
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, local, size, flags=flags), np.float32)


def crispness_of(picture: Tensor) -> float:
    """How sharp a portrait's mouth (1, 3, h, w) is at this resolution, in [0, 1]: its finest octave over the next."""
    coarser = fine_structure(F.avg_pool2d(picture, 2)).abs().mean().clamp(min=1e-4)
    return float((fine_structure(picture).abs().mean() / coarser / CRISP).clamp(0.2, 1))


def grain_of(picture: Tensor, level: int) -> Array | None:
    """The portrait's grain over the mouth's window, (h', w') float32 in levels; None where there is none.

    Args:
        picture: (1, 3, h, w), the portrait's patch at 2**level of the patch's resolution.
        level: see there.
    """
    grey = (picture[0].mean(0) * 127.5).cpu().numpy().astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 1.5)
    best: Array | None = None
    least = np.inf
    for top, bottom, left, right in GRAIN_BOXES:
        box = fine[top << level : bottom << level, left << level : right << level]
        spread = 1.4826 * float(np.median(np.abs(box - np.median(box))))
        if spread < least:
            best, least = box - box.mean(), spread
    if best is None or least < GRAIN_FLOOR:
        return None
    rows, columns = window_at(level)
    size = (rows.stop - rows.start, columns.stop - columns.start)
    calm = np.clip(best, -2.5 * least, 2.5 * least)
    spare = [(0, max(0, want - have)) for want, have in zip(size, calm.shape, strict=True)]
    return np.asarray(np.pad(calm, spare, mode="reflect")[: size[0], : size[1]], np.float32)
