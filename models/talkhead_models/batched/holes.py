"""Holes of the patches in many frames, and the eyeballs in them: the twin of `patches.show_through`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkhead_models.batched.coverage import cover
from talkhead_models.batched.geometry import (
    Box,
    eye_constants,
    eye_maps,
    eye_outlines,
    hole_of,
    longest_edge,
)
from talkhead_models.batched.mapping import constant, normalised, pixels, read
from talkhead_models.batched.upload import Parcel
from talkhead_models.patches import PatchSpec

Array = NDArray[np.float32]


class PreparedHole:
    """One hole in T frames.

    Attributes:
        box: x0, y0, x1, y1 where it shows in any of them.
    """

    def __init__(self, edges: Array, shown: NDArray[np.bool_], limit: Box, parcel: Parcel) -> None:
        hole = hole_of(edges, shown, limit)
        self.box, self.parcel = hole.box, parcel
        self.parts = []
        for polygons in hole.polygons:
            local = polygons - np.array(limit[:2] if self.box is None else self.box[:2], np.float32)
            self.parts.append((parcel.add(local), longest_edge(polygons)))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the box."""
        assert self.box is not None
        return self.box[2] - self.box[0], self.box[3] - self.box[1]

    def share(self) -> Tensor:
        """How far it covers the pixels of its box, (T, h, w)."""
        covers = [cover(self.parcel[number], self.size, steps) for number, steps in self.parts]
        return covers[0] if len(covers) == 1 else torch.maximum(*covers)


class Eye:
    """Where an eyeball takes its pixels in T frames; see `patches.EyeMap`."""

    def __init__(
        self, points: Array, source: Array, eye: int, gaze: Array, picture: Tensor, parcel: Parcel
    ) -> None:
        self.numbers = parcel.add(eye_maps(points, source, eye, gaze)), parcel
        self.constants = eye_constants(source, eye).tolist()
        self.picture = picture

    def colours(self, box: Box) -> Tensor:
        """Pixels (T, 3, h, w) of a box of the picture that the eye is in."""
        number, parcel = self.numbers
        maps = parcel[number][:, None, None]
        middle_x, middle_y, axis_x, axis_y, half = self.constants
        place = pixels((box[2] - box[0], box[3] - box[1]), maps, box[:2])
        x, y = place[..., 0], place[..., 1]
        along = maps[..., 0] * x + maps[..., 1] * y + maps[..., 2]
        across = maps[..., 3] * x + maps[..., 4] * y + maps[..., 5]
        # Gaze moves the iris, not the corners of the eye.
        fade = (1 - (along / half) ** 2).clamp(0, 1)
        where = torch.stack(
            [
                middle_x + along * axis_x - across * axis_y - fade * maps[..., 6],
                middle_y + along * axis_y + across * axis_x - fade * maps[..., 7],
            ],
            -1,
        )
        size = (self.picture.shape[3], self.picture.shape[2])
        return read(self.picture, normalised(where, size))


class PreparedHoles:
    """All holes of a patch in T frames, with what shows through them before refinement."""

    def __init__(
        self,
        spec: PatchSpec,
        points: Array,
        limit: Box,
        source: tuple[Array, Tensor, Array],
        gaze: Array,
        parcel: Parcel,
    ) -> None:
        """Prepare them.

        Args:
            spec: the patch.
            points: (T, 478, 2) meshes in pixels of the result.
            limit: box of the result.
            source: mesh (478, >=2) and picture (1, 3, H, W) that eyeballs come from, and the dark of the mouth (3,).
            gaze: (T, 2).
            parcel: takes what goes to the device.
        """
        mesh, picture, dark = source
        self.limit = limit
        self.dark = np.floor(np.clip(dark, 0, 255)).tolist()
        self.holes: list[tuple[PreparedHole, Eye | None]] = []
        for index, outline in enumerate(spec.holes):
            eye = None
            if spec.name == "eyes":
                edges, shown = eye_outlines(points, index)
                eye = Eye(points, mesh, index, gaze, picture, parcel)
            else:
                edges, shown = points[:, list(outline)], np.ones(len(points), np.bool_)
            hole = PreparedHole(edges, shown, limit, parcel)
            if hole.box is not None:
                self.holes.append((hole, eye))

    def whole(self, frames: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """What shows through (T, 3, h, w) in levels, and how far holes cover each pixel (T, 1, h, w), of the limit."""
        x0, y0, x1, y1 = self.limit
        cover = like.new_zeros((frames, 1, y1 - y0, x1 - x0))
        dark = constant(*self.dark, device=like.device)[:, None, None]
        inside = dark.expand(frames, 3, y1 - y0, x1 - x0)
        inside = inside.clone()
        for hole, eye in self.holes:
            assert hole.box is not None
            left, top, right, bottom = hole.box
            rows, columns = slice(top - y0, bottom - y0), slice(left - x0, right - x0)
            share = hole.share()[:, None]
            part = cover[..., rows, columns]
            torch.maximum(part, share, out=part)
            if eye is not None:
                near = torch.nn.functional.max_pool2d(share, 3, 1, 1) > 0
                region = inside[..., rows, columns]
                region.copy_(torch.where(near, eye.colours(hole.box), region))
        return inside, cover
