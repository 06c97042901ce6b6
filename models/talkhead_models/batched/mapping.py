"""Maps of positions and what is read through them, for many frames at once: the twin of `warp`'s affine maps.

Positions in a picture are kept as `grid_sample` wants them, from -1 to 1 between the middles of its outermost pixels,
from the first: scaling them later would be another pass over every pixel.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from talkhead_models.body import COARSE


def normalised(positions: Tensor, size: tuple[int, int]) -> Tensor:
    """Positions (..., 2) in pixels of a picture (width, height) as `grid_sample` counts them."""
    scale = constant(2 / max(1, size[0] - 1), 2 / max(1, size[1] - 1), device=positions.device)
    return positions * scale - 1


@lru_cache(maxsize=256)
def constant(*values: float, device: torch.device) -> Tensor:
    """A small tensor, made once: putting numbers on a GPU waits for all that it has yet to do."""
    return torch.tensor(values, dtype=torch.float32, device=device)


def affines_between(target: Tensor, source: Tensor) -> Tensor:
    """As `warp.triangle_affines`: (..., N, 3, 2) corners where drawn and where taken, to (..., N, 6)."""
    first = target[..., 0, :]
    edge1, edge2 = target[..., 1, :] - first, target[..., 2, :] - first
    det = edge1[..., 0] * edge2[..., 1] - edge1[..., 1] * edge2[..., 0]
    flat = det.abs() <= 1e-6
    inverse = torch.where(flat, 0.0, 1 / torch.where(flat, 1.0, det))[..., None]
    side1 = source[..., 1, :] - source[..., 0, :]
    side2 = source[..., 2, :] - source[..., 0, :]
    along_x = (side1 * edge2[..., 1:] - side2 * edge1[..., 1:]) * inverse
    along_y = (side2 * edge1[..., :1] - side1 * edge2[..., :1]) * inverse
    constant = source[..., 0, :] - along_x * first[..., :1] - along_y * first[..., 1:]
    return torch.stack([along_x, along_y, constant], -1).flatten(-2)


def pixels(size: tuple[int, int], like: Tensor, origin: tuple[float, float] = (0, 0)) -> Tensor:
    """Positions (height, width, 2) of a picture's pixels, from `origin` on."""
    x = torch.arange(size[0], device=like.device, dtype=torch.float32) + origin[0]
    y = torch.arange(size[1], device=like.device, dtype=torch.float32) + origin[1]
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def through_triangles(
    ranks: Tensor, affines: Tensor, into: Tensor, origin: tuple[float, float] = (0, 0)
) -> Tensor:
    """A map with the positions of covered pixels replaced.

    Args:
        ranks: (T, h, w) int32 from `raster.raster_last`.
        affines: (T, N, 6), by rank.
        into: (T or 1, h, w, 2).
        origin: position of the raster's first pixel in the coordinates of `affines`.

    Returns:
        (T, h, w, 2).
    """
    frames, height, width = ranks.shape
    first = torch.arange(frames, device=ranks.device)[:, None, None] * affines.shape[1]
    maps = affines.reshape(-1, 2, 3)
    chosen = maps[first + ranks.clamp(min=0)]
    place = pixels((width, height), ranks, origin)
    position = chosen[..., 0] * place[..., :1] + chosen[..., 1] * place[..., 1:] + chosen[..., 2]
    return torch.where((ranks >= 0)[..., None], position, into)


def through_matrices(matrices: Tensor, size: tuple[int, int], origin: tuple[int, int]) -> Tensor:
    """Positions (T, h, w, 2) of a region's pixels through affine maps (T, 2, 3)."""
    place = pixels(size, matrices, origin)
    columns = matrices[:, None, None]
    return columns[..., 0] * place[..., :1] + columns[..., 1] * place[..., 1:] + columns[..., 2]


def read(picture: Tensor, positions: Tensor, beyond: str = "border") -> Tensor:
    """Pixels (T, C, h, w) of a picture (T or 1, C, H, W) at positions (T, h, w, 2), linearly.

    Args:
        picture: float32.
        positions: `normalised`.
        beyond: what lies outside of it, "border" or "zeros".
    """
    if len(picture) != len(positions):
        picture = picture.expand(len(positions), -1, -1, -1)
    return F.grid_sample(picture, positions, "bilinear", beyond, align_corners=True)


def enlarge(coarse: Tensor, size: tuple[int, int]) -> Tensor:
    """As `body.enlarge`: (T, C, h, w) on the coarse grid to (T, C, height, width) of the box."""
    fine = F.interpolate(coarse, scale_factor=float(COARSE), mode="bilinear", align_corners=False)
    return fine[..., COARSE : COARSE + size[1], COARSE : COARSE + size[0]]
