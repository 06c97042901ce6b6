"""Sharpening of a painted mouth: twice the resolution, and twice again, where the lips are open and nowhere else.

The detail network is a few convolutions, so that a pixel depends on its neighbourhood alone: what lies further from the
hole than that is never computed. A closed mouth costs a strip along the lips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkhead_models.detail import WINDOW, Detail, enlarge
from talkhead_models.refiner import half_precision
from talkhead_models.warp import coverage, transform

Array = NDArray[np.float32]

MARGIN = 16
"""Fine pixels around the hole: twelve that the network looks around itself, and some that show through soft edges."""

STEP = 8
"""Boxes are multiples of this many fine pixels: there are fewer sizes, and the networks' kernels are made once each."""

AROUND = 4
"""Rough pixels around a box that bicubic enlargement looks at, and to spare."""


class Box(NamedTuple):
    """Rows and columns of a picture."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """For the last two axes of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


class Sharp(NamedTuple):
    """The inside of one mouth.

    Attributes:
        picture: (1, 3, h, w) in about [-1, 1].
        box: of the window at the finest level that it fills.
    """

    picture: Tensor
    box: Box


@dataclass
class Sharpener:
    """Doubles the resolution of one portrait's painted mouths.

    Attributes:
        detail: the network.
        own: the portrait's fine structure in the window, and how far its own mouth shows, a level each.
        crispness: how much detail the portrait bears, in [0, 1].
    """

    detail: Detail
    own: Sequence[tuple[Tensor, Tensor]]
    crispness: float = 1.0

    def sharpen(self, whole: Tensor, outline: Array, frame: Array) -> Sharp:
        """The inside of one mouth at the finest level.

        Args:
            whole: (1, 3, h, w), the refined patch's window.
            outline: (N, 2) float32, the lips' inner edge in pixels of the picture.
            frame: (2, 3) from picture pixels to those of the patch.
        """
        box = Box(0, whole.shape[2], 0, whole.shape[3])
        for level, (own, share) in enumerate(self.own, 1):
            points = transform(outline, window_frame(frame, level))
            inner = box_around(points, (own.shape[3], own.shape[2]))
            rough = enlarge_part(whole, box, inner)
            rows, columns = inner.slices
            origin = np.array([inner.left, inner.top], np.float32)
            hole = coverage(points - origin, (rough.shape[3], rough.shape[2]), 2)
            cover = torch.from_numpy(hole)[None, None].to(whole.device)
            parts = own[..., rows, columns], share[..., rows, columns]
            with half_precision(whole.device):
                fine = self.detail(rough, cover, *parts).float()
            fine = rough + (fine - rough) * self.crispness
            whole, box = rough + (fine - rough) * cover, inner
        return Sharp(fine, box)


def box_around(points: Array, size: tuple[int, int]) -> Box:
    """The box of a window (width, height) that matters to a hole with this outline (N, 2); never empty."""
    low = np.floor((points.min(0) - MARGIN) / STEP) * STEP
    high = np.ceil((points.max(0) + MARGIN) / STEP) * STEP
    limits = np.array(size) - STEP
    left, top = np.clip(low, 0, limits).astype(int).tolist()
    right, bottom = np.clip(high, np.array([left, top]) + STEP, size).astype(int).tolist()
    return Box(top, bottom, left, right)


def enlarge_part(whole: Tensor, box: Box, inner: Box) -> Tensor:
    """A part of a picture at twice its resolution, as if all of it had been enlarged.

    Args:
        whole: (1, 3, h, w).
        box: where it lies, at its own resolution.
        inner: the part, at twice the resolution; even, and not near edges of `box` that are not the window's.
    """
    top, left = max(box.top, inner.top // 2 - AROUND), max(box.left, inner.left // 2 - AROUND)
    bottom = min(box.bottom, inner.bottom // 2 + AROUND)
    right = min(box.right, inner.right // 2 + AROUND)
    part = whole[..., top - box.top : bottom - box.top, left - box.left : right - box.left]
    large = enlarge(part)
    rows = slice(inner.top - 2 * top, inner.bottom - 2 * top)
    columns = slice(inner.left - 2 * left, inner.right - 2 * left)
    return large[..., rows, columns]


def finer(frame: Array, levels: int) -> Array:
    """A patch frame (2, 3) at 2**levels of the resolution; pixel centres are at integers."""
    factor = 2.0**levels
    result = frame * factor
    result[:, 2] += (factor - 1) / 2
    return np.asarray(result, np.float32)


def window_at(level: int) -> tuple[slice, slice]:
    """Rows and columns of the mouth's window at 2**level of the patch's resolution."""
    rows, columns = (slice(s.start << level, s.stop << level) for s in WINDOW)
    return rows, columns


def window_frame(frame: Array, level: int) -> Array:
    """From picture pixels to pixels of the window at 2**level of the patch's resolution."""
    result = finer(frame, level)
    rows, columns = window_at(level)
    result[:, 2] -= (columns.start, rows.start)
    return result
