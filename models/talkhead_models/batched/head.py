"""Head and background of many frames: the twin of `body.Body.compose`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkhead_models import topology as topo
from talkhead_models.batched.clear import ClearPerson, to_planes
from talkhead_models.batched.geometry import Batch, Box, lid_insets, within
from talkhead_models.batched.mapping import (
    affines_between,
    enlarge,
    normalised,
    read,
    through_triangles,
)
from talkhead_models.batched.raster import Raster
from talkhead_models.batched.upload import Parcel
from talkhead_models.body import COARSE, STILL, Body
from talkhead_models.lashes import DRAWN_BELOW, Lashes, Stroke

Array = NDArray[np.float32]


class Head:
    """One portrait's moving box on a device.

    Attributes:
        body: what it was made from.
        device: where it lies.
        raster: draws triangles.
    """

    def __init__(self, body: Body, device: torch.device, raster: Raster) -> None:
        self.body, self.device, self.raster = body, device, raster
        self.box: Box = body.box
        self.size = (self.box[2] - self.box[0], self.box[3] - self.box[1])
        basis = body.rig.basis
        self.triangles = self._put(basis.triangles).long()
        self.facing = self._put(body.facing)
        self.ring_triangles = self._put(body.rings.triangles).long()
        self.oval = torch.tensor(body.oval, device=device)
        # The mask is a fourth channel: it is read at the same places.
        self.picture = torch.cat(
            [to_planes(body.picture.pixels, device), to_planes(body.person.pixels, device)], 1
        )
        self.wide = (self.picture.shape[3], self.picture.shape[2])
        self.origin = self._put(body.picture.origin)
        self.grid = self._put(body.coarse_grid)
        self.grid_origin = self._put(body.coarse_origin)
        self.anchor, self.lift = self._put(body.anchor), self._put(body.lift)
        self.ring_corners = self._put(body.ring_corners)
        self.plate = to_planes(body.plate, device)

    def _put(self, array: NDArray[np.generic]) -> Tensor:
        return torch.tensor(np.ascontiguousarray(array), device=self.device)

    def places(self, positions: Tensor) -> Tensor:
        """Positions (..., 2) in the portrait as `mapping.read` wants them of the doubled picture."""
        return normalised((positions - self.origin) * 2, self.wide)

    def prepare(self, batch: Batch, parcel: Parcel) -> PreparedHead:
        """What is done on the CPU."""
        height, width = self.body.image.shape[:2]
        faces = batch.mesh[:, : topo.NUM_FACE_POINTS, :2].reshape(-1, 2)
        face = within(faces, 1, (0, 0, width, height))
        x0, y0, x1, y1 = self.box
        face = (max(face[0], x0), max(face[1], y0), min(face[2], x1), min(face[3], y1))
        source = lid_insets(self.body.source_mesh, batch.mesh)
        strokes = []
        lashes = self.body.lashes
        for index in np.flatnonzero(nearly_shut(batch.mesh, lashes)):
            for stroke in lashes.strokes(batch.mesh[index], (width, height)):
                strokes.append((int(index), stroke, parcel.add(stroke.share)))
        return PreparedHead(self, batch, parcel, face, parcel.add(source), strokes)


class PreparedHead:
    """A batch's head, all of whose numbers are, or are about to be, on the device."""

    def __init__(
        self,
        head: Head,
        batch: Batch,
        parcel: Parcel,
        face: Box,
        source: int,
        strokes: Sequence[tuple[int, Stroke, int]],
    ) -> None:
        self.head, self.parcel, self.face = head, parcel, face
        self.source, self.strokes = source, strokes
        self.mesh, self.rings = parcel.add(batch.mesh), parcel.add(batch.rings)
        self.breath = parcel.add(batch.breath)

    def orders(self) -> tuple[Tensor, Tensor]:
        """Mean depth (T, N) of each triangle and its corners (T, N, 3, 2)."""
        corners = self.parcel[self.mesh][:, self.head.triangles]
        return corners[..., 2].mean(2), corners[..., :2]

    def draw(self, places: Tensor) -> Tensor:
        """The moving box, (T, 3, h, w) float32 levels; `places` from `map`."""
        moved, weight = self.warp(places)
        plate = self.head.plate
        out = plate + (moved - plate) * weight if self.head.body.has_background else moved
        return self.lashes(out.contiguous())

    def draw_clear(self, places: Tensor, person: ClearPerson) -> tuple[Tensor, Tensor]:
        """The moving box of the person alone: colours (T, 3, h, w) and alpha (T, 1, h, w), levels."""
        weight = self.warp(places)[1] if self.head.body.has_background else None
        colours, alpha = person.moved(places[..., :2], weight)
        return self.lashes(colours.contiguous()), alpha

    def map(self) -> Tensor:
        """Where each pixel comes from (T, h, w, 2), `normalised`, and how still it is (T, h, w, 1), 255 = still."""
        head = self.head
        fine = (
            enlarge(self._rings().permute(0, 3, 1, 2), head.size).permute(0, 2, 3, 1).contiguous()
        )
        x0, y0, x1, y1 = self.face
        left, top = x0 - head.box[0], y0 - head.box[1]
        rows, columns = slice(top, y1 - head.box[1]), slice(left, x1 - head.box[0])
        ranks, affines = self._face()
        part = fine[:, rows, columns, :2]
        fine[:, rows, columns, :2] = through_triangles(ranks, affines, part, (x0, y0))
        return fine

    def _rings(self) -> Tensor:
        """As `Body._rings`: (T, h, w, 3), places and how still they are."""
        head, mesh, rings = self.head, self.parcel[self.mesh], self.parcel[self.rings]
        oval = mesh[:, head.oval, :2]
        points = torch.cat([oval, rings, oval.mean(1, keepdim=True)], 1)
        corners = (points[:, head.ring_triangles] - head.grid_origin) / COARSE
        height, width = head.grid.shape[:2]
        ranks = head.raster(corners, (width, height))
        affines = affines_between(corners, head.ring_corners)
        moved = through_triangles(ranks, affines, head.grid[None])
        shift = (moved - head.grid) * head.anchor[..., None]
        shift[..., 1] += self.parcel[self.breath][:, None, None] * head.lift
        share = (STILL[1] - shift.abs().amax(-1)) / (STILL[1] - STILL[0])
        still = torch.round(share.clamp(0, 1) * 255)
        return torch.cat([head.places(head.grid + shift), still[..., None]], -1)

    def _face(self) -> tuple[Tensor, Tensor]:
        """As `Body._face`: ranks of the triangles in the face's box, and affine maps by rank."""
        head = self.head
        depth, corners = self.orders()
        first, second = (
            corners[..., 1, :] - corners[..., 0, :],
            corners[..., 2, :] - corners[..., 0, :],
        )
        area = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
        # What faces away lies behind everything else.
        depth = depth + (area * head.facing < 0) * (10 * head.body.rig.unit)
        order = torch.argsort(-depth, dim=1, stable=True)
        source = head.places(self.parcel[self.source][:, head.triangles])
        affines = affines_between(corners, source)
        x0, y0, x1, y1 = self.face
        local = by_rank(corners, order)
        local = torch.stack([local[..., 0] - x0, local[..., 1] - y0], -1)
        ranks = head.raster(local, (x1 - x0, y1 - y0))
        return ranks, by_rank(affines, order)

    def warp(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """The portrait as it has moved (T, 3, h, w), and its share against the background (T, 1, h, w)."""
        moved = read(self.head.picture, places[..., :2])
        mask = torch.round(moved[:, 3:])
        # Where the mask's soft edge does not move, the portrait shows as it is, not the plate.
        still = torch.where(mask > 0, torch.round(places[..., 2])[:, None], 0.0)
        return moved[:, :3], torch.maximum(mask, still) / 255

    def lashes(self, out: Tensor) -> Tensor:
        """Lines of shut lids drawn into frames (T, 3, h, w), in place."""
        left, top, right, bottom = self.head.box
        for index, stroke, number in self.strokes:
            x0, y0 = max(stroke.box[0], left), max(stroke.box[1], top)
            x1, y1 = min(stroke.box[2], right), min(stroke.box[3], bottom)
            if x0 >= x1 or y0 >= y1:
                continue
            x, y = stroke.box[:2]
            share = self.parcel[number][y0 - y : y1 - y, x0 - x : x1 - x]
            region = out[index, :, y0 - top : y1 - top, x0 - left : x1 - left]
            for channel, level in zip(region, stroke.colour.tolist(), strict=True):
                channel += share * (level - channel).clamp(max=0)
        return out


def nearly_shut(meshes: Array, lashes: Lashes) -> NDArray[np.bool_]:
    """Which meshes (T, 478, >=2) may have an eye so far shut that its lashes are drawn."""
    shut = np.zeros(len(meshes), np.bool_)
    for eye, opening in enumerate(lashes.openings):
        upper, lower = list(topo.UPPER_LIDS[eye]), list(topo.LOWER_LIDS[eye])
        way = meshes[:, lower, :2] - meshes[:, upper, :2]
        # A little more than is needed: sums differ in the last digit.
        shut |= np.linalg.norm(way, axis=2).mean(1) < 1.001 * DRAWN_BELOW * max(opening, 1e-3)
    return shut


def by_rank(values: Tensor, order: Tensor) -> Tensor:
    """Values (T, N, ...) of triangles in the order (T, N) in which they are drawn."""
    index = order.view(*order.shape, *[1] * (values.dim() - 2)).expand_as(values)
    return values.gather(1, index)
