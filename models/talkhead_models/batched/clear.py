"""The person on transparency, for many frames: the twin of `cutout.Cutout.moved` and `straight`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from talkhead_models.batched.mapping import read
from talkhead_models.cutout import Cutout


class ClearPerson:
    """One portrait's person on a device.

    Attributes:
        still: (H, W, 4) uint8, the portrait at rest, alpha not multiplied in.
    """

    def __init__(
        self, cutout: Cutout, box: tuple[int, int, int, int], device: torch.device
    ) -> None:
        x0, y0, x1, y1 = box
        self.bleed = cutout.bleed
        self.moving = to_planes(cutout.moving.pixels, device)
        fixed = cutout.fixed
        self.fixed = None if fixed is None else to_planes(fixed[y0:y1, x0:x1], device)
        colours, alpha = cutout.straight(cutout.layer)
        self.still = torch.tensor(np.concatenate([colours, alpha[..., None]], -1), device=device)

    def moved(self, places: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """Colours (T, 3, h, w) and alpha (T, 1, h, w) of the moving box, in levels.

        Args:
            places: (T, h, w, 2) from `head.PreparedHead.map`.
            weight: (T, 1, h, w), the share of what is moved; None is all.
        """
        layer = read(self.moving, places)
        if weight is not None:
            layer = layer * weight
            if self.fixed is not None:
                layer = layer + self.fixed * (1 - weight)
        return self.straight(layer)

    def straight(self, layer: Tensor) -> tuple[Tensor, Tensor]:
        """Colours (T, 3, h, w), not multiplied by alpha, and alpha (T, 1, h, w) of layers (T, 4, h, w)."""
        own = layer[:, 3:]
        alpha = torch.round(own).clamp(0, 255)
        near = mean_around(layer, self.bleed)
        # A transparent pixel has no colour of its own: it takes that of what is near.
        seen = alpha > 0
        front = torch.where(seen, layer[:, :3], near[:, :3])
        # A long kernel overshoots: what is more than opaque is opaque, and of the same colour.
        own = torch.where(alpha < 255, alpha, own.clamp(min=255))
        share = torch.where(seen, own, near[:, 3:])
        colours = torch.where(share > 1e-3, front * 255 / share.clamp(min=1e-3), 0.0)
        return colours.clamp(0, 255), alpha


def mean_around(picture: Tensor, radius: int) -> Tensor:
    """Mean of the square around each pixel of (T, C, h, w), border pixels repeated, as `cv2.blur`."""
    side = 2 * radius + 1
    rows = F.avg_pool2d(F.pad(picture, (0, 0, radius, radius), mode="replicate"), (side, 1), 1)
    return F.avg_pool2d(F.pad(rows, (radius, radius, 0, 0), mode="replicate"), (1, side), 1)


def to_planes(picture: NDArray[np.generic], device: torch.device) -> Tensor:
    """(1, C, H, W) float32 of a picture (H, W, C) or (H, W)."""
    planes = picture if picture.ndim == 3 else picture[..., None]
    return torch.tensor(np.ascontiguousarray(planes.transpose(2, 0, 1)), device=device).float()[
        None
    ]
