"""Detail: a tiny network that doubles the resolution of a painted mouth, as often as the portrait's size asks for.

Clips to learn from are small, portraits are not. A step edge looks the same at every scale, so what is learned from
48 to 96 pixels is applied from 96 to 192 and to 384 (a Laplacian pyramid: Denton et al., NeurIPS 2015; learned across
scales of one picture: Shocher et al., "Zero-shot super-resolution", CVPR 2018). It sees the rough mouth, the hole at
the fine resolution and the fine structure of the portrait's own teeth where it shows them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkhead_models.bundle import fitting, load_bundle, restore
from talkhead_models.refiner import Block

WINDOW = (slice(24, 80), slice(12, 84))
"""Rows and columns of the 96-pixel patch in which mouths open."""


@dataclass(frozen=True)
class DetailConfig:
    """Sizes of the network.

    Attributes:
        channels: feature width at half the fine resolution.
        blocks: residual blocks.
    """

    channels: int = 24
    blocks: int = 2


def enlarge(picture: Tensor) -> Tensor:
    """Twice the size, bicubic, (B, C, 2 h, 2 w)."""
    return F.interpolate(picture, scale_factor=2.0, mode="bicubic", align_corners=False)


def fine_structure(picture: Tensor) -> Tensor:
    """What a picture (B, C, h, w) loses when it is halved and enlarged again."""
    return picture - enlarge(F.avg_pool2d(picture, 2))


class Detail(nn.Module):
    """The network: rough to fine."""

    def __init__(self, config: DetailConfig) -> None:
        super().__init__()
        self.config = config
        self.unshuffle = nn.PixelUnshuffle(2)
        self.stem = nn.Conv2d(8 * 4, config.channels, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(config.channels) for _ in range(config.blocks)))
        self.head = nn.Conv2d(config.channels, 3 * 4, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        nn.init.zeros_(self.head.weight)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)

    def forward(self, rough: Tensor, hole: Tensor, own: Tensor, share: Tensor) -> Tensor:
        """What shows through the hole at the fine resolution, (B, 3, h, w) in about [-1, 1].

        Args:
            rough: (B, 3, h, w), the painted mouth enlarged to the fine resolution.
            hole: (B, 1, h, w) in [0, 1].
            own: (B, 3, h, w), fine structure of the portrait's own mouth.
            share: (B, 1, h, w), how far that mouth shows what is inside.
        """
        x = self.unshuffle(torch.cat([rough, hole, own * share, share], 1))
        x = x.contiguous(memory_format=torch.channels_last)
        out: Tensor = self.shuffle(self.head(F.relu(self.blocks(self.stem(x)))))
        return rough + out

    def metadata(self) -> dict[str, Any]:
        """The config as JSON-able sizes."""
        return asdict(self.config)


def load_detail(name: str = "detail") -> Detail:
    """The network from its bundle, in evaluation mode.

    Raises:
        BundleError: the bundle is missing, damaged or does not fit.
    """
    bundle = load_bundle(name)
    with fitting(bundle.name, "a network of detail"):
        return restore(Detail(DetailConfig(**bundle.config)), bundle)
