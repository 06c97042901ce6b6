"""Cutout: the person without the background, soft at the hair, moving as the pixels do.

The portrait is taken apart once: I = a F + (1 - a) B, with the background B from the plate. What is warped is the layer
(a F, a), in which colours are multiplied by their share. Warping is linear, so that the moved layer laid over any
colour is what the renderer makes of the person standing before that colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from talkhead_models.doubled import Doubled

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Colour = tuple[int, int, int]

# Depths and distances from the outline are in outer-eye distances.
BELIEVED, SOLID = 0.04, 0.14
"""Depths inside the outline up to which the mask is believed, and from which a person is opaque whatever it says: skin
and clothes have colours of the background, too."""

CORE, AWAY = 0.10, 0.07
"""Depth from which colours are the person's for certain, distance from which they are the background's."""

REACH, FADE = 0.09, 0.06
"""Distance up to which strands of hair are looked for, and over how much of it the search fades."""

SPREAD, WIDE_SPREAD = 0.12, 0.5
"""Standard deviations of the places whose colours stand for the person's, and where there are none nearby."""

CONTRAST = 80.0
"""Difference of person and background in levels, all three channels together, at which alpha is half by colour."""

FLOOR, FULL = 0.06, 0.9
"""Shares by colour that count as none and as all: neither side has one colour."""

FAINT = (0.02, 0.12)
"""Alphas up to which a pixel's colour is that of the person nearby, and from which it is its own: what is left of a
pixel without its background is mostly noise."""

MOVING = (100, 240)
"""Values of the mask of what moves at which there is nothing of the person, and from which there may be all."""

BLEED = 0.08
"""Outer-eye distances that colours reach into the transparent surroundings, for codecs that blur colour."""


@dataclass(frozen=True)
class Cutout:
    """One portrait's person. Make it with `create`.

    Attributes:
        layer: (H, W, 4) float32, colours 0 to 255 multiplied by their alpha, and alpha 0 to 255.
        moving: the layer as it is warped, as the opaque picture is.
        fixed: (H, W, 4) float32 likewise, what does not move with the person; None where that is nothing.
        bleed: pixels that colours reach beyond the outline.
    """

    layer: Array
    moving: Doubled[Array]
    fixed: Array | None
    bleed: int

    @classmethod
    def create(
        cls,
        image: Bytes,
        matte: Array,
        behind: Bytes,
        moving: Bytes,
        unit: float,
        own: bool,
        box: tuple[int, int, int, int],
    ) -> Cutout:
        """Take a portrait apart.

        Args:
            image: (H, W, 3) uint8 RGB.
            matte: (H, W) float32 in [0, 1], the person's share of each pixel.
            behind: (H, W, 3) uint8, the background, under the person as well.
            moving: (H, W) uint8, 0 where nothing ever moves.
            unit: outer-eye distance in pixels.
            own: the matte is the picture's own transparency: it is taken as it is, and all that it shows is kept.
            box: x0, y0, x1, y1 of what moves.
        """
        colours, wall = image.astype(np.float32), behind.astype(np.float32)
        person = None
        if not own:
            matte, person = by_contrast(solid(matte, unit), colours, wall, unit)
            # What moves in the opaque picture moves here, and nothing else.
            matte = np.minimum(matte, ramp(moving.astype(np.float32), *MOVING))
        share = matte[..., None]
        front = np.clip(colours - (1 - share) * wall, 0, 255 * share)
        if person is not None:
            front += (person * share - front) * (1 - ramp(share, *FAINT))
        layer = np.concatenate([front, 255 * share], -1).astype(np.float32)
        fixed = np.where(moving[..., None] == 0, layer, np.float32(0)) if own else None
        warped = Doubled.of(layer, box, cv2.INTER_LANCZOS4)
        if own:
            # A long kernel overshoots at sharp edges, which would show as a rim before other colours: beyond clear and
            # opaque, and beyond black and white.
            np.clip(warped.pixels[..., 3], 0, 255, out=warped.pixels[..., 3])
            np.clip(warped.pixels[..., :3], 0, warped.pixels[..., 3:], out=warped.pixels[..., :3])
        return cls(layer, warped, fixed, max(1, round(BLEED * unit)))

    def moved(
        self, maps: Sequence[NDArray[Any]], weight: Array | None, corner: tuple[int, int]
    ) -> Array:
        """The layer of a frame's moving box, (h, w, 4) float32.

        Args:
            maps: where in `moving` each pixel comes from, in OpenCV's fixed point.
            weight: (h, w) float32, the share of what is moved; None is all.
            corner: x, y of the box.
        """
        warped = self.moving.warp(maps)
        if weight is not None:
            warped *= weight[..., None]
            if self.fixed is not None:
                height, width = weight.shape
                x, y = corner
                warped += self.fixed[y : y + height, x : x + width] * (1 - weight[..., None])
        return np.asarray(warped, np.float32)

    def straight(self, layer: Array) -> tuple[Bytes, Bytes]:
        """Colours (h, w, 3) uint8, not multiplied by alpha, and alpha (h, w) uint8 of a layer."""
        alpha = np.clip(np.rint(layer[..., 3:]), 0, 255)
        side = 2 * self.bleed + 1
        near = cv2.blur(layer, (side, side), borderType=cv2.BORDER_REPLICATE)
        # A transparent pixel has no colour of its own: it takes that of what is near.
        seen = alpha > 0
        front = np.where(seen, layer[..., :3], near[..., :3])
        # A long kernel overshoots: what is more than opaque is opaque, and of the same colour.
        own = np.where(alpha < 255, alpha, np.maximum(layer[..., 3:], 255))
        share = np.where(seen, own, near[..., 3:])
        colours = np.where(share > 1e-3, front * 255 / np.maximum(share, 1e-3), 0)
        return np.clip(np.rint(colours), 0, 255).astype(np.uint8), alpha[..., 0].astype(np.uint8)

    def flattened(
        self, colour: Colour, box: tuple[int, int, int, int]
    ) -> tuple[Doubled[Bytes], Bytes]:
        """A picture of its own transparency before a colour: what is warped, and what lies still in the box (h, w, 3).

        Flattened here, after the interpolation, an opaque frame is the transparent one laid over the colour; a picture
        that is flattened before would ring at its outline, where it meets the colour.
        """
        x0, y0, x1, y1 = box
        still = (
            np.zeros_like(self.layer[y0:y1, x0:x1])
            if self.fixed is None
            else self.fixed[y0:y1, x0:x1]
        )
        moving = Doubled(laid_over(self.moving.pixels, colour), self.moving.origin)
        return moving, laid_over(still, colour)


def laid_over(layer: Array, colour: Colour) -> Bytes:
    """A layer (h, w, 4) over a colour: (h, w, 3) uint8."""
    clear = 1 - layer[..., 3:] / np.float32(255)
    mixed = layer[..., :3] + clear * np.asarray(colour, np.float32)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def depths(matte: Array, unit: float) -> tuple[Array, Array]:
    """Depth inside the outline and distance from it outside, (H, W) float32 in outer-eye distances."""
    inside = (matte > 0.5).astype(np.uint8)
    depth, distance = (
        cv2.distanceTransform(part, cv2.DIST_L2, 5) / np.float32(unit)
        for part in (inside, 1 - inside)
    )
    return np.asarray(depth, np.float32), np.asarray(distance, np.float32)


def solid(matte: Array, unit: float) -> Array:
    """The matte (H, W), opaque well inside its outline."""
    depth, _ = depths(matte, unit)
    return np.asarray(np.maximum(matte, ramp(depth, BELIEVED, SOLID)), np.float32)


def ramp(values: Array, low: float, high: float) -> Array:
    """From 0 at `low` to 1 at `high`, straight and clipped."""
    return np.asarray(np.clip((values - low) / (high - low), 0, 1), np.float32)


def by_contrast(matte: Array, colours: Array, behind: Array, unit: float) -> tuple[Array, Array]:
    """The matte with its edge where the colours change, and the person's colours (H, W, 3) near the outline.

    What counts is how far each pixel is from the background's colour to the person's. Where the two are alike the mask
    stands: colours tell nothing there.

    Args:
        matte: (H, W) float32 in [0, 1].
        colours: (H, W, 3) float32, the picture.
        behind: (H, W, 3) float32, its background; near the outline the true one is taken.
        unit: outer-eye distance in pixels.
    """
    depth, distance = depths(matte, unit)
    core = (depth > CORE).astype(np.float32)
    person, certain = mean_nearby(colours, core, SPREAD * unit)
    wide, _ = mean_nearby(colours, core, WIDE_SPREAD * unit)
    person = wide + (person - wide) * certain
    outside, certain = mean_nearby(colours, (distance > AWAY).astype(np.float32), SPREAD * unit)
    outside = behind + (outside - behind) * certain
    way = person - outside
    square = (way * way).sum(-1)
    share = ((colours - outside) * way).sum(-1) / np.maximum(square, 1)
    trust = square**2 / (square**2 + np.float32(CONTRAST**4))
    trust *= (1 - ramp(depth, CORE - 0.02, SOLID)) * (1 - ramp(distance, REACH - FADE, REACH))
    refined = matte + trust * (ramp(share, FLOOR, FULL) - matte)
    return np.asarray(refined, np.float32), np.asarray(person, np.float32)


def mean_nearby(colours: Array, weight: Array, sigma: float) -> tuple[Array, Array]:
    """Mean colour (H, W, 3) of the places nearby that have weight (H, W), and how far it can be relied on (H, W, 1)."""
    total = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
    mean = cv2.GaussianBlur(colours * weight[..., None], (0, 0), sigma) / np.maximum(total, 1e-4)
    return np.asarray(mean, np.float32), ramp(np.asarray(total, np.float32), 0, 0.02)
