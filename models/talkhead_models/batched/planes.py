"""Frames as planes of luma and halved chroma, for many frames at once: the twin of `talkhead_models.planes`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from talkhead_models.batched.clear import to_planes
from talkhead_models.planes import CHROMA, LUMA, even_box, planes_of


class PlaneWriter:
    """What does not move of one portrait, as planes on a device.

    Attributes:
        ground: (3 H / 2, W) uint8, the still picture.
        box: x0, y0, x1, y1 of whole chroma pixels around what moves.
    """

    def __init__(
        self, picture: NDArray[np.uint8], box: tuple[int, int, int, int], device: torch.device
    ) -> None:
        """Prepare a picture (H, W, 3) uint8 RGB of even size with a moving box x0, y0, x1, y1."""
        self.size = (picture.shape[1], picture.shape[0])
        self.ground = torch.tensor(planes_of(picture), device=device)
        self.box = even_box(box, *self.size)
        x0, y0, x1, y1 = self.box
        self.rim = to_planes(picture[y0:y1, x0:x1], device)
        self.inner = (slice(box[1] - y0, box[3] - y0), slice(box[0] - x0, box[2] - x0))

    def write(self, levels: Tensor) -> Tensor:
        """Frames (T, 3 H / 2, W) uint8 of their moving box (T, 3, h, w) in whole levels."""
        (width, height), (x0, y0, x1, y1) = self.size, self.box
        pixels = self.rim.expand(len(levels), -1, -1, -1).clone()
        pixels[..., self.inner[0], self.inner[1]] = levels
        frames = self.ground.expand(len(levels), -1, -1).clone()
        frames[:, y0:y1, x0:x1] = converted(pixels, [LUMA])[:, 0]
        # A view: the halves of a row of chroma lie one after the other.
        halves = frames[:, height:].view(len(levels), 2, height // 2, width // 2)
        chroma = converted(torch.round(F.avg_pool2d(pixels, 2)), CHROMA)
        halves[..., y0 // 2 : y1 // 2, x0 // 2 : x1 // 2] = chroma
        return frames


def converted(pixels: Tensor, rows: Sequence[tuple[float, ...]]) -> Tensor:
    """Sums (T, N, h, w) uint8 of channels (T, 3, h, w), by rows of a matrix with a constant at the end, times 255."""
    planes = []
    for red, green, blue, one in rows:
        plane = pixels[:, 0] * (red / 255)
        plane.add_(pixels[:, 1], alpha=green / 255).add_(pixels[:, 2], alpha=blue / 255)
        planes.append(plane.add_(one / 255))
    return torch.stack(planes, 1).round_().clamp_(0, 255).to(torch.uint8)
