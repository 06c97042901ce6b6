"""Refiner: a small U-Net that paints what a warped portrait cannot show, inside a feathered mask.

It sees a warped patch (`talkhead_models.patches`), the hole's coverage and the portrait's own patch, and returns two
residuals: one for the skin around, one for what shows through the hole (teeth, tongue, the dark of the mouth; the
eyeball under moving lids). They are composed along the hole's exact edge, so that a lip's edge is as sharp as the
picture it comes from even where the painted inside is enlarged. An appearance code (`talkhead_models.appearance`) tells
the mouth's refiner what the mesh cannot: whether teeth show, where the tongue is.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkhead_models.bundle import fitting, load_bundle, restore


@dataclass(frozen=True)
class RefinerConfig:
    """Sizes of a refiner.

    Attributes:
        width, height: patch pixels; multiples of 16.
        channels: feature widths at 1/2, 1/4 and 1/8 of the patch.
        blocks: residual blocks at the lowest resolution.
        feather: share of the patch's half size over which the mask falls from 1 to 0.
        code_size: numbers of the appearance code that it listens to; 0 = none.
        own_inside: what the portrait itself shows through its hole (its own teeth) is the base of the inside.
    """

    width: int = 96
    height: int = 96
    channels: tuple[int, int, int] = (40, 80, 144)
    blocks: int = 2
    feather: float = 0.3
    code_size: int = 0
    own_inside: bool = False

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


class Modulation(nn.Module):
    """Scales and shifts feature maps by a code (Perez et al., "FiLM", AAAI 2018); starts as the identity."""

    def __init__(self, code_size: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(code_size, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """(B, C, H, W) under a code (B, A)."""
        scale, shift = self.linear(code)[:, :, None, None].chunk(2, 1)
        return x * (1 + scale) + shift


def own_inside(inside: Tensor, source: Tensor, source_hole: Tensor) -> Tensor:
    """The base of what shows through the hole: the portrait's own mouth where that is open, fixed in the head.

    Upper teeth do not move against the skull, and a patch follows the skull.

    Args:
        inside: (B, 3, h, w), the dark of the mouth.
        source: (B, 3, h, w), the portrait's patch.
        source_hole: (B, 1, h, w), its hole.
    """
    return inside + (source - inside) * own_share(source_hole)


def own_share(source_hole: Tensor) -> Tensor:
    """How far the portrait's own mouth shows, (B, 1, h, w): 1 within its hole, fading to 0 at the lips."""
    padded = F.pad(source_hole, (2, 2, 2, 2), mode="replicate")
    return (2 * F.avg_pool2d(padded, 5, stride=1) - 1).clamp(0, 1)


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
        if config.code_size:
            # Teeth have a place in the head, which convolutions alone do not know.
            place = torch.zeros(1, high, config.height // 8, config.width // 8)
            self.place = nn.Parameter(place)
            self.modulate = nn.ModuleList(
                Modulation(config.code_size, size) for size in (high, mid, low)
            )
        self.shuffle = nn.PixelShuffle(2)
        nn.init.zeros_(self.head.weight)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)
        self.register_buffer(
            "mask", feather_mask(config.height, config.width, config.feather), persistent=False
        )

    def forward(
        self,
        skin: Tensor,
        inside: Tensor,
        hole: Tensor,
        source: Tensor,
        source_hole: Tensor,
        code: Tensor | None = None,
    ) -> Residuals:
        """Residuals of a batch of patches.

        Args:
            skin, inside, source: (B, 3, h, w) float in [-1, 1]; `inside` as from `base`.
            hole, source_hole: (B, 1, h, w) float in [0, 1].
            code: (B, code_size) appearance code; None is all zeros, an unknown mouth.
        """
        x = torch.cat([skin, inside, hole, source, source_hole], 1)
        level1 = self.encode1(self.stem(self.unshuffle(x)))
        level2 = self.encode2(self.down1(level1))
        low = self.down2(level2)
        if self.config.code_size:
            if code is None:
                code = x.new_zeros(len(x), self.config.code_size)
            low = self.modulate[0](low + self.place, code)
        low = self.middle(low)
        level2 = level2 + self.up2(F.interpolate(low, scale_factor=2.0))
        if self.config.code_size:
            level2 = self.modulate[1](level2, code)
        level2 = self.decode2(level2)
        level1 = level1 + self.up1(F.interpolate(level2, scale_factor=2.0))
        if self.config.code_size:
            level1 = self.modulate[2](level1, code)
        level1 = self.decode1(level1)
        out = self.shuffle(self.head(F.relu(level1)))
        mask = self.mask
        return Residuals(out[:, :3] * mask, out[:, 3:] * mask)

    def base(self, inside: Tensor, source: Tensor, source_hole: Tensor) -> Tensor:
        """What the network starts from inside the hole; see `own_inside`."""
        return own_inside(inside, source, source_hole) if self.config.own_inside else inside

    def metadata(self) -> dict[str, Any]:
        """The config as JSON-able sizes."""
        return asdict(self.config)


def compose(skin: Tensor, inside: Tensor, hole: Tensor, residuals: Residuals) -> Tensor:
    """(B, 3, h, w): refined skin outside the hole, refined inside within it."""
    return (1 - hole) * (skin + residuals.skin) + hole * (inside + residuals.inside)


def half_precision(device: torch.device) -> AbstractContextManager[object]:
    """Bfloat16 convolutions on CPUs that have them in hardware: twice as fast, within half a level of 255."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    if device.type == "cpu" and supported():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


def load_refiner(name: str) -> Refiner:
    """A refiner from its bundle, in evaluation mode.

    Raises:
        BundleError: the bundle is missing, damaged or does not fit.
    """
    bundle = load_bundle(name)
    with fitting(bundle.name, "a refiner"):
        sizes = {**bundle.config, "channels": tuple(bundle.config["channels"])}
        network = restore(Refiner(RefinerConfig(**sizes)), bundle)
    # A fifth faster on a CPU; the same numbers.
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network
