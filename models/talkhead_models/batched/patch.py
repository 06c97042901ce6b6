"""One patch of many frames, painted and pasted: the twin of `painting.PatchPainter`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkhead_models.batched.clear import to_planes
from talkhead_models.batched.coverage import cover
from talkhead_models.batched.geometry import (
    Batch,
    Box,
    frames_of,
    longest_edge,
    patch_box,
    transformed,
    window_frames,
)
from talkhead_models.batched.head import PreparedHead, by_rank
from talkhead_models.batched.holes import PreparedHoles
from talkhead_models.batched.mapping import (
    affines_between,
    constant,
    normalised,
    pixels,
    read,
    through_matrices,
    through_triangles,
)
from talkhead_models.batched.raster import Raster
from talkhead_models.body import Placed
from talkhead_models.detail import WINDOW
from talkhead_models.painting import PatchPainter
from talkhead_models.refiner import Residuals, compose, half_precision
from talkhead_models.sharpening import Box as Rows
from talkhead_models.sharpening import box_around, enlarge_part
from talkhead_models.warp import invert_affine, transform

Array = NDArray[np.float32]


def precision(device: torch.device, half: bool) -> AbstractContextManager[object]:
    """Half precision for networks: float16 on a GPU, which is finer than bfloat16 and as fast."""
    if device.type == "cuda" or half:
        return torch.autocast(device.type, torch.float16, enabled=half)
    return half_precision(device)


class PatchDevice:
    """What one patch of one portrait needs on the device.

    Attributes:
        painter: what it was made from.
        raster: draws triangles.
        half: networks in float16.
    """

    def __init__(
        self, painter: PatchPainter, device: torch.device, raster: Raster, half: bool
    ) -> None:
        self.painter, self.device, self.raster, self.half = painter, device, raster, half
        source, spec = painter.source, painter.spec
        self.source = to_planes(source.image, device)
        self.whole = to_planes(painter.whole.image, device)
        self.source_size = (source.image.shape[1], source.image.shape[0])
        corners = torch.tensor(source.mesh[:, :2][painter.triangles], device=device)
        self.corners = normalised(corners, self.source_size)
        self.triangles = torch.tensor(painter.triangles, device=device).long()
        # Where the mesh does not cover it, the patch shows the portrait's own.
        own = transform(
            pixels((spec.width, spec.height), torch.zeros(1)).numpy(), invert_affine(source.frame)
        )
        self.own = normalised(torch.from_numpy(own), self.source_size).to(device)
        self.tint = torch.tensor(127.5 * painter.tint, device=device)[:, None, None]
        self.grain = None if painter.grain is None else torch.tensor(painter.grain, device=device)
        share = painter.share
        self.share = None if share is None else torch.tensor(share[..., 0], device=device)

    def prepare(
        self, placed: Sequence[Placed], batch: Batch, head: PreparedHead, limit: Box
    ) -> PreparedPatch:
        """What is done on the CPU; `limit` is the part of the picture that is drawn."""
        return PreparedPatch(self, placed, batch, head, limit)


class PreparedPatch:
    """One patch of a batch."""

    def __init__(
        self,
        patch: PatchDevice,
        placed: Sequence[Placed],
        batch: Batch,
        head: PreparedHead,
        limit: Box,
    ) -> None:
        painter, parcel = patch.painter, head.parcel
        spec = painter.spec
        self.patch, self.head, self.parcel, self.count = patch, head, parcel, len(placed)
        matrices = frames_of(spec, painter.neutral, placed)
        self.matrices = parcel.add(matrices)
        self.box = patch_box(spec, matrices, limit)
        points, source, whole = batch.mesh[..., :2], painter.source, painter.whole
        self.places = PreparedHoles(
            spec, points, self.box, (whole.mesh, patch.whole, whole.dark), batch.gaze, parcel
        )
        self.refined = painter.refiner is not None
        if not self.refined:
            return
        size = (0, 0, spec.width, spec.height)
        self.holes = PreparedHoles(
            spec,
            transformed(points, matrices),
            size,
            (source.mesh, patch.source, source.dark),
            batch.gaze,
            parcel,
        )
        self.code = parcel.add(batch.code)
        self.own_inside = painter.refiner is not None and painter.refiner.config.own_inside
        self.steps = self._prepare_levels(points, matrices) if self.own_inside else []

    def _prepare_levels(self, points: Array, matrices: Array) -> list[tuple[Rows, int, int]]:
        """Boxes that matter at each level of sharpening, and the lips' outlines there."""
        painter, steps = self.patch.painter, []
        outline = points[:, list(painter.spec.holes[0])]
        own = painter.sharpener.own if painter.sharpener is not None else ()
        for level, (picture, _) in enumerate(own, 1):
            frames = window_frames(matrices, level)
            edges = transformed(outline, frames)
            box = box_around(edges.reshape(-1, 2), (picture.shape[3], picture.shape[2]))
            local = edges - np.array([box.left, box.top], np.float32)
            steps.append((box, self.parcel.add(local), longest_edge(local, 2)))
        rows, columns = WINDOW
        self.inner = (
            steps[-1][0]
            if steps
            else Rows(0, rows.stop - rows.start, 0, columns.stop - columns.start)
        )
        frames = window_frames(matrices, painter.levels)
        frames[..., 2] -= (self.inner.left, self.inner.top)
        self.inside_matrices = self.parcel.add(frames)
        return steps

    def warp(self) -> Tensor:
        """The portrait on the moving mesh in the patch, (T, 3, h, w) levels."""
        patch, spec = self.patch, self.patch.painter.spec
        matrices = self.parcel[self.matrices]
        depth, corners = self.head.orders()
        corners = corners @ matrices[:, None, :, :2].mT + matrices[:, None, None, :, 2]
        affines = affines_between(corners, patch.corners)
        order = torch.argsort(-depth, dim=1, stable=True)
        ranks = patch.raster(by_rank(corners, order), (spec.width, spec.height))
        return read(patch.source, through_triangles(ranks, by_rank(affines, order), patch.own))

    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """What the network sees of the frames: skin and inside (T, 3, h, w), and the hole (T, 1, h, w)."""
        skin = self.warp()
        inside, hole = self.holes.whole(self.count, skin)
        return skin / self.patch.tint - 1, inside / self.patch.tint - 1, hole

    def paint(self, seen: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """What the networks add to the skin (T, 3, h, w), and the inside (T, 3, h', w'), levels; see `Painted`.

        Args:
            seen: from `inputs`.
        """
        patch, painter = self.patch, self.patch.painter
        refiner = painter.refiner
        assert refiner is not None
        skin, inside, hole = seen
        crop, own_hole = (v.expand(self.count, -1, -1, -1) for v in (painter.crop, painter.hole))
        code = self.parcel[self.code] if refiner.config.code_size else None
        base = refiner.base(inside, crop, own_hole)
        inputs = (skin, base, hole, crop, own_hole)
        with precision(patch.device, patch.half):
            laid = (part.contiguous(memory_format=torch.channels_last) for part in inputs)
            residuals = Residuals(*(part.float() for part in refiner(*laid, code)))
        levels = residuals.skin * patch.tint
        if patch.share is not None:
            levels = levels * patch.share
        if not refiner.config.own_inside:
            return levels, residuals.inside * patch.tint
        rows, columns = WINDOW
        if painter.sharpener is None:
            fine = (base + residuals.inside)[..., rows, columns]
        else:
            fine = self._sharpen(compose(skin, base, hole, residuals)[..., rows, columns])
        values = (fine + 1) * patch.tint
        if patch.grain is not None:
            grain = patch.grain[self.inner.slices]
            values = values + grain * (0.3 + 0.7 / 255 * values)
        return levels, values

    def _sharpen(self, whole: Tensor) -> Tensor:
        """As `Sharpener.sharpen`, with boxes that hold the mouths of all frames."""
        sharpener = self.patch.painter.sharpener
        assert sharpener is not None
        box = Rows(0, whole.shape[2], 0, whole.shape[3])
        for (inner, number, steps), (own, share) in zip(self.steps, sharpener.own, strict=True):
            rough = enlarge_part(whole, box, inner)
            size = (rough.shape[3], rough.shape[2])
            hole = cover(self.parcel[number], size, steps, 2)[:, None]
            rows, columns = inner.slices
            parts = (v[..., rows, columns].expand(self.count, -1, -1, -1) for v in (own, share))
            with precision(self.patch.device, self.patch.half):
                fine = sharpener.detail(rough, hole, *parts).float()
            fine = rough + (fine - rough) * sharpener.crispness
            whole, box = rough + (fine - rough) * hole, inner
        return whole

    def paste(
        self, canvas: Tensor, corner: tuple[int, int], painted: tuple[Tensor, Tensor] | None
    ) -> None:
        """Compose the patch into frames, in place.

        Args:
            canvas: (T, 3, h, w) levels.
            corner: x, y of its first pixel in the picture.
            painted: from `paint`; None leaves the patch as warped.
        """
        x0, y0, x1, y1 = self.box
        region = canvas[..., y0 - corner[1] : y1 - corner[1], x0 - corner[0] : x1 - corner[0]]
        if painted is not None:
            region += self._placed(painted[0], self.matrices, self.box)
        for hole, eye in self.places.holes:
            box = hole.box
            assert box is not None
            part = region[..., box[1] - y0 : box[3] - y0, box[0] - x0 : box[2] - x0]
            if eye is not None:
                inside = eye.colours(box)
            else:
                inside = constant(*self.places.dark, device=part.device)[:, None, None]
            if painted is not None and self.own_inside:
                inside = self._placed(painted[1], self.inside_matrices, box)
            elif painted is not None:
                inside = inside + self._placed(painted[1], self.matrices, box)
            part += (inside - part) * hole.share()[:, None]

    def _placed(self, picture: Tensor, number: int, box: Box) -> Tensor:
        """Pictures (T, 3, h, w) of the patch in a box of the frames, zeros outside of them; see `place_patch`."""
        size = (picture.shape[3], picture.shape[2])
        where = through_matrices(self.parcel[number], (box[2] - box[0], box[3] - box[1]), box[:2])
        return read(picture, normalised(where, size), "zeros")
