"""Refiner: a small U-Net that paints what a warped portrait cannot show, inside a feathered mask.

It sees a warped patch (`talkhead_models.patches`), the hole's coverage and the portrait's own patch, and returns two
residuals: one for the skin around, one for what shows through the hole (teeth, tongue, the dark of the mouth; the
eyeball under moving lids). They are composed along the hole's exact edge, so that a lip's edge is as sharp as the
picture it comes from even where the painted inside is enlarged.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkhead_models.bundle import load_bundle


@dataclass(frozen=True)
class RefinerConfig:
    """Sizes of a refiner.

    Attributes:
        width, height: patch pixels; multiples of 16.
        channels: feature widths at 1/2, 1/4 and 1/8 of the patch.
        blocks: residual blocks at the lowest resolution.
        feather: share of the patch's half size over which the mask falls from 1 to 0.
    """

    width: int = 96
    height: int = 96
    channels: tuple[int, int, int] = (40, 80, 144)
    blocks: int = 2
    feather: float = 0.3

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ValueError: a size is not a positive multiple of 16.
        """
        if self.width % 16 or self.height % 16 or min(self.width, self.height) <= 0:
            raise ValueError(
                f"patch size must be multiples of 16, got {self.width} x {self.height}"
            )


class Residuals(NamedTuple):
    """What the refiner adds, each (B, 3, h, w) in units of pixels / 127.5, already masked."""

    skin: Tensor
    inside: Tensor


class Block(nn.Module):
    """Residual block: two 3x3 convolutions, no norm (a third of the time on a CPU), second one starting at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return x + self.conv2(F.relu(self.conv1(x)))


def feather_mask(height: int, width: int, feather: float) -> Tensor:
    """(1, 1, height, width) mask: 1 in the middle, a raised cosine to 0 at the border of a rounded rectangle."""
    y = torch.linspace(-1, 1, height).abs()[:, None]
    x = torch.linspace(-1, 1, width).abs()[None]
    distance = (x**4 + y**4) ** 0.25
    ramp = ((1 - distance) / feather).clamp(0, 1)
    return (0.5 - 0.5 * torch.cos(torch.pi * ramp))[None, None]


class Refiner(nn.Module):
    """The network. Weights only: composition is `compose`."""

    IN_CHANNELS = 11

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.config = config
        low, mid, high = config.channels
        self.unshuffle = nn.PixelUnshuffle(2)
        self.stem = nn.Conv2d(self.IN_CHANNELS * 4, low, 3, padding=1)
        self.encode1 = Block(low)
        self.down1 = nn.Conv2d(low, mid, 3, stride=2, padding=1)
        self.encode2 = Block(mid)
        self.down2 = nn.Conv2d(mid, high, 3, stride=2, padding=1)
        self.middle = nn.Sequential(*(Block(high) for _ in range(config.blocks)))
        self.up2 = nn.Conv2d(high, mid, 1)
        self.decode2 = Block(mid)
        self.up1 = nn.Conv2d(mid, low, 1)
        self.decode1 = Block(low)
        self.head = nn.Conv2d(low, 6 * 4, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        nn.init.zeros_(self.head.weight)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)
        self.register_buffer(
            "mask", feather_mask(config.height, config.width, config.feather), persistent=False
        )

    def forward(
        self, skin: Tensor, inside: Tensor, hole: Tensor, source: Tensor, source_hole: Tensor
    ) -> Residuals:
        """Residuals of a batch of patches.

        Args:
            skin, inside, source: (B, 3, h, w) float in [-1, 1].
            hole, source_hole: (B, 1, h, w) float in [0, 1].
        """
        x = torch.cat([skin, inside, hole, source, source_hole], 1)
        level1 = self.encode1(self.stem(self.unshuffle(x)))
        level2 = self.encode2(self.down1(level1))
        low = self.middle(self.down2(level2))
        level2 = self.decode2(level2 + self.up2(F.interpolate(low, scale_factor=2.0)))
        level1 = self.decode1(level1 + self.up1(F.interpolate(level2, scale_factor=2.0)))
        out = self.shuffle(self.head(F.relu(level1)))
        mask = self.mask
        return Residuals(out[:, :3] * mask, out[:, 3:] * mask)

    def metadata(self) -> dict[str, Any]:
        """The config as JSON-able sizes."""
        return asdict(self.config)


def compose(skin: Tensor, inside: Tensor, hole: Tensor, residuals: Residuals) -> Tensor:
    """(B, 3, h, w): refined skin outside the hole, refined inside within it."""
    return (1 - hole) * (skin + residuals.skin) + hole * (inside + residuals.inside)


def load_refiner(name: str) -> Refiner:
    """A refiner from its bundle, in evaluation mode.

    Raises:
        BundleError: the bundle is missing, damaged or does not fit.
    """
    bundle = load_bundle(name)
    sizes = {**bundle.config, "channels": tuple(bundle.config["channels"])}
    network = Refiner(RefinerConfig(**sizes))
    network.load_state_dict({key: value.float() for key, value in bundle.tensors.items()})
    return network.eval()
