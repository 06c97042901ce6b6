"""The raster as a Triton kernel: one program a triangle, which goes through its box tile by tile.

Beside `raster.fill_torch` it needs no list of pairs, so no wait for the device and no memory but the result.
"""

from contextlib import nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from talkhead_models.batched.raster import Edges

TILE = 16
"""Rows and columns that are tested at once."""


# Triton refuses annotations that it does not know.
@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _fill(planes, low, high, target, triangles, width, height, tile: tl.constexpr):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913
    """Raise the pixels that triangle number `program_id` covers to its number in the frame."""
    index = tl.program_id(0)
    frame = (index // triangles).to(tl.int64)
    x0, y0 = tl.load(low + 2 * index), tl.load(low + 2 * index + 1)
    x1, y1 = tl.load(high + 2 * index), tl.load(high + 2 * index + 1)
    base = planes + 9 * index.to(tl.int64)
    a0, b0, c0 = tl.load(base), tl.load(base + 1), tl.load(base + 2)
    a1, b1, c1 = tl.load(base + 3), tl.load(base + 4), tl.load(base + 5)
    a2, b2, c2 = tl.load(base + 6), tl.load(base + 7), tl.load(base + 8)
    picture = target + frame * height * width
    step = tl.arange(0, tile)
    for top in range(y0, y1 + 1, tile):
        y = top + step[:, None]
        fy = y.to(tl.float32)
        for left in range(x0, x1 + 1, tile):
            x = left + step[None, :]
            fx = x.to(tl.float32)
            inside = (x <= x1) & (y <= y1)
            inside &= a0 * fx + b0 * fy + c0 >= 0
            inside &= a1 * fx + b1 * fy + c1 >= 0
            inside &= a2 * fx + b2 * fy + c2 >= 0
            raised = tl.zeros((tile, tile), tl.int32) + index % triangles
            tl.atomic_max(picture + y * width + x, raised, mask=inside)


def fill_triton(edges: Edges, size: tuple[int, int]) -> Tensor:
    """The last triangle that covers each pixel, (F, height, width) int32; see `raster.raster_last`."""
    frames, count = edges.low.shape[:2]
    width, height = size
    target = edges.low.new_full((frames, height, width), -1)
    # Of its device, which need not be the current one.
    with torch.cuda.device(target.device) if target.is_cuda else nullcontext():
        _fill[(frames * count,)](
            edges.planes.contiguous(),
            edges.low.contiguous(),
            edges.high.contiguous(),
            target,
            count,
            width,
            height,
            tile=TILE,
        )
    return target
