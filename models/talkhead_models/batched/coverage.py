"""How far polygons cover pixels, for many frames at once: the twin of `warp.coverage`.

Each pixel has some sub-samples. A sub-sample belongs to a polygon that an odd number of its edges lie to the left of,
or whose outline, drawn as `cv2.fillPoly` draws it, passes through: lips that touch leave a line of one sub-sample.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SUBPIXELS = 16.0
"""Corners are rounded to this many parts of a sub-sample, as OpenCV's are."""


def cover(polygons: Tensor, size: tuple[int, int], steps: int, supersample: int = 4) -> Tensor:
    """Share of each pixel that each polygon covers.

    Args:
        polygons: (P, N, 2) float32 pixels; what lies outside of the picture covers nothing.
        size: width, height.
        steps: at least the sub-samples that the longest edge goes through, see `longest_edge`.
        supersample: sub-rows and sub-columns a pixel.

    Returns:
        (P, height, width) float32 in [0, 1].
    """
    width, height = size[0] * supersample, size[1] * supersample
    points = ((polygons + 0.5) * supersample - 0.5).clamp(-16384, 16384)
    points = torch.round(points * SUBPIXELS) / SUBPIXELS
    rows = torch.floor(points[..., 1] + 0.5)
    step = torch.arange(steps, device=points.device, dtype=points.dtype)
    inner = _inner(points[..., 0], rows, step, (width, height))
    _outline(torch.floor(points[..., 0] + 0.5), rows, step, inner)
    return F.avg_pool2d(inner.float()[:, None], supersample)[:, 0]


def _inner(columns: Tensor, rows: Tensor, step: Tensor, size: tuple[int, int]) -> Tensor:
    """The even-odd inside (P, height, width) bool of polygons with corners (P, N) at whole rows."""
    width, height = size
    next_columns, next_rows = columns.roll(-1, 1), rows.roll(-1, 1)
    top, bottom = torch.minimum(rows, next_rows), torch.maximum(rows, next_rows)
    slope = (next_columns - columns) / torch.where(next_rows == rows, 1.0, next_rows - rows)
    start = top.clamp(min=0)
    row = start[..., None] + step
    crossed = (row < bottom[..., None]) & (row < height)
    x = columns[..., None] + (row - rows[..., None]) * slope[..., None]
    column = torch.ceil(x).clamp(0, width)
    # One row and one column to spare take what is outside.
    place = torch.where(crossed, row, height).long() * (width + 1) + column.long()
    counts = torch.zeros(
        (len(columns), (height + 1) * (width + 1)), dtype=torch.int32, device=columns.device
    )
    place = place.flatten(1)
    counts.scatter_add_(1, place, torch.ones_like(place, dtype=torch.int32))
    counts = counts.view(-1, height + 1, width + 1)[:, :height, :width]
    return (counts.cumsum(-1, dtype=torch.int32) & 1).bool()


def _outline(columns: Tensor, rows: Tensor, step: Tensor, inner: Tensor) -> None:
    """Draw the edges between whole corners (P, N) into a picture (P, height, width) bool, in place."""
    height, width = inner.shape[1:]
    across, down = columns.roll(-1, 1) - columns, rows.roll(-1, 1) - rows
    length = torch.maximum(across.abs(), down.abs()).clamp(min=1)[..., None]
    share = torch.minimum(step, length) / length
    x = torch.floor(columns[..., None] + share * across[..., None] + 0.5)
    y = torch.floor(rows[..., None] + share * down[..., None] + 0.5)
    seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    first = torch.arange(len(inner), device=inner.device)[:, None, None] * (height * width)
    place = first + (y * width + x).long()
    drawn = torch.zeros(inner.numel() + 1, dtype=torch.bool, device=inner.device)
    drawn.scatter_(0, torch.where(seen, place, inner.numel()).flatten(), True)
    inner |= drawn[:-1].view_as(inner)
