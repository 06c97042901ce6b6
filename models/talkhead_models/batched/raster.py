"""Which triangle covers each pixel, for many frames at once: the twin of `warp.raster_ids`.

`cv2.fillConvexPoly` fills what lies within half a pixel of a triangle, measured along x for steep edges and along y for
flat ones, so that neighbours leave no gap; so do these. Painter's order is a maximum: the last of the triangles that
cover a pixel has it.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from talkhead_models.batched.mapping import constant

log = logging.getLogger(__name__)

SUBPIXELS = 16.0
"""Corners are rounded to this many parts of a pixel, as OpenCV's are."""

MOST_PAIRS = 1 << 23
"""Pairs of a triangle and a pixel that are looked at in one go: about a gigabyte of memory."""

ENGINES = ("torch", "triton")


class Edges(NamedTuple):
    """Triangles as half planes, of F frames with N triangles each.

    Attributes:
        planes: (F, N, 9) float32, three times `a b c`: a pixel x, y is inside where a x + b y + c >= 0.
        low, high: (F, N, 2) int32, first and last pixel that may be covered; nothing where high < low.
    """

    planes: Tensor
    low: Tensor
    high: Tensor


def edges_of(corners: Tensor, size: tuple[int, int]) -> Edges:
    """Half planes and boxes of triangles.

    Args:
        corners: (F, N, 3, 2) float32 pixels.
        size: width, height of the raster.
    """
    limit = constant(size[0] - 1.0, size[1] - 1.0, device=corners.device)
    seen = ((corners.amax(2) >= 0) & (corners.amin(2) <= limit)).all(-1)
    points = torch.round(corners.clamp(-16384, 16384) * SUBPIXELS) / SUBPIXELS
    low = torch.floor(points.amin(2) + 0.5).clamp(min=0)
    high = torch.minimum(torch.floor(points.amax(2) + 0.5), limit)
    high = torch.where(seen[..., None], high, -1)
    first, second = points, points.roll(-1, 2)
    way = second - first
    # Twice the area: its sign turns normals inwards.
    turn = way[:, :, 0, 0] * way[:, :, 1, 1] - way[:, :, 0, 1] * way[:, :, 1, 0]
    side = torch.where(turn < 0, -1.0, 1.0)[..., None]
    a, b = -way[..., 1] * side, way[..., 0] * side
    c = -(a * first[..., 0] + b * first[..., 1]) + 0.5 * torch.maximum(a.abs(), b.abs())
    # What only rounding keeps out is in.
    planes = torch.stack([a, b, c + 1e-3], -1).flatten(2)
    return Edges(planes, low.int(), high.int())


def raster_last(corners: Tensor, size: tuple[int, int], engine: str = "torch") -> Tensor:
    """The last triangle that covers each pixel.

    Args:
        corners: (F, N, 3, 2) float32 pixels of the raster, in the order of drawing.
        size: width, height.
        engine: one of `ENGINES`; "triton" needs CUDA and triton.

    Returns:
        (F, height, width) int32, -1 where there is none.
    """
    edges = edges_of(corners, size)
    if engine == "triton":
        from talkhead_models.batched.raster_triton import fill_triton

        return fill_triton(edges, size)
    return fill_torch(edges, size)


def fill_torch(edges: Edges, size: tuple[int, int]) -> Tensor:
    """All pairs of a triangle and a pixel of its box, tested at once; see `raster_last`."""
    frames = len(edges.low)
    width, height = size
    target = edges.low.new_full((frames, height * width), -1)
    extent = (edges.high - edges.low + 1).clamp(min=0).long()
    # The one wait for the device: how many pairs there are.
    totals = extent.prod(2).sum(1).cpu().tolist()
    start = 0
    while start < frames:
        stop, pairs = start + 1, totals[start]
        while stop < frames and pairs + totals[stop] <= MOST_PAIRS:
            pairs += totals[stop]
            stop += 1
        if pairs:
            part = Edges(*(value[start:stop] for value in edges))
            _fill_pairs(part, extent[start:stop].flatten(0, 1), pairs, target[start:stop], width)
        start = stop
    return target.view(frames, height, width)


def _fill_pairs(edges: Edges, extent: Tensor, pairs: int, target: Tensor, width: int) -> None:
    """Raise `target` (F, height * width), in place.

    Args:
        edges: of F frames.
        extent: (F * N, 2) int64, width and height of the boxes.
        pairs: pixels in all of them.
        target: see there.
        width: of the picture.
    """
    frames, count = edges.low.shape[:2]
    device = extent.device
    counts = extent.prod(1)
    every = torch.arange(frames * count, device=device)
    triangle = torch.repeat_interleave(every, counts, output_size=pairs)
    nth = torch.arange(pairs, device=device) - (counts.cumsum(0) - counts)[triangle]
    across = extent[:, 0][triangle]
    low = edges.low.flatten(0, 1).long()
    row = nth // across
    x, y = nth - row * across + low[:, 0][triangle], row + low[:, 1][triangle]
    fx, fy = x.float(), y.float()
    inside = torch.ones_like(x, dtype=torch.bool)
    planes = edges.planes.flatten(0, 1).T.contiguous()
    for edge in range(3):
        a, b, c = (coefficient[triangle] for coefficient in planes[3 * edge : 3 * edge + 3])
        inside &= a * fx + b * fy + c >= 0
    frame = triangle // count
    place = (frame * target.shape[1] + y * width + x)[inside]
    last = (triangle - frame * count)[inside].int()
    target.view(-1).scatter_reduce_(0, place, last, "amax")


Raster = Callable[[Tensor, tuple[int, int]], Tensor]
"""Draws triangles: `raster_last` with an engine chosen."""


def choose_engine(device: torch.device) -> str:
    """The fastest engine that works on a device."""
    return "triton" if device.type == "cuda" and triton_works(device) else "torch"


@lru_cache(maxsize=16)
def triton_works(device: torch.device) -> bool:
    """Whether triton draws what torch draws: it may not be there, or lack the C compiler that it needs."""
    if importlib.util.find_spec("triton") is None:
        return False
    corners = torch.tensor(
        [[[0.0, 0.0], [30.0, 4.0], [9.0, 40.0]], [[20.0, 9.0], [8.0, 8.0], [50.0, 20.0]]]
    )
    try:
        drawn = [raster_last(corners.to(device)[None], (40, 30), engine) for engine in ENGINES]
    except Exception as error:  # whatever a compiler may raise
        log.warning("triton does not work here (%s): torch draws triangles, a little slower", error)
        return False
    return torch.equal(*drawn)
