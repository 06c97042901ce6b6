"""A picture at twice its resolution: what is warped linearly, and nearly as sharp as by a long kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Pixels = TypeVar("Pixels", Array, Bytes)

MARGIN = 16
"""Pixels around the box that warps may reach into."""


@dataclass(frozen=True)
class Doubled(Generic[Pixels]):
    """A part of a picture at twice its resolution, to be warped linearly.

    A cubic warp of the picture itself takes five times as long and is hardly sharper: its half pixels are ready here,
    by a longer kernel, and only what lies between them is interpolated linearly. Whole pixels stay as they are.

    Attributes:
        pixels: (h, w) or (h, w, C); pixel (i, j) lies at `origin` + (i, j) / 2 of the picture.
        origin: (2,) float32.
    """

    pixels: Pixels
    origin: Array

    @classmethod
    def of(
        cls, image: Pixels, box: tuple[int, int, int, int], interpolation: int
    ) -> Doubled[Pixels]:
        """The part of a picture (H, W) or (H, W, C), uint8 or float32, in and around a box x0, y0, x1, y1."""
        height, width = image.shape[:2]
        x0, y0 = max(0, box[0] - MARGIN), max(0, box[1] - MARGIN)
        x1, y1 = min(width, box[2] + MARGIN), min(height, box[3] + MARGIN)
        half = np.array([[0.5, 0, x0], [0, 0.5, y0]], np.float32)
        size = (2 * (x1 - x0) - 1, 2 * (y1 - y0) - 1)
        flags = interpolation | cv2.WARP_INVERSE_MAP
        pixels = cv2.warpAffine(image, half, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return cls(cast("Pixels", pixels), np.array([x0, y0], np.float32))

    def places(self, positions: Array) -> Array:
        """Positions (..., 2) in the picture as places in `pixels`."""
        return np.asarray((positions - self.origin) * 2, np.float32)

    def warp(self, maps: Sequence[NDArray[Any]]) -> Pixels:
        """Pixels at places, which OpenCV has made fixed-point maps of."""
        warped = cv2.remap(self.pixels, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return cast("Pixels", warped)
