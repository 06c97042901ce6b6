"""Frames as encoders want them: planes of luma and halved chroma (I420), of which only what moves is converted.

BT.601, limited range, as ITU-R BT.601-7 defines it; chroma is the mean of four pixels. Encoders halve chroma anyway,
and a frame of planes is half as many bytes on its way to them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

LUMA = (65.481, 128.553, 24.966, 16 * 255)
CHROMA = ((-37.797, -74.203, 112, 128 * 255), (112, -93.786, -18.214, 128 * 255))
"""Y, Cb and Cr times 255 of red, green, blue and one."""

# OpenCV has fast code for three results alone: the third is not used.
_TO_CHROMA = np.array((*CHROMA, LUMA)) / 255


def even_box(box: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int, int, int]:
    """The smallest box x0, y0, x1, y1 of whole chroma pixels around a box of a picture of even size."""
    x0, y0, x1, y1 = box
    return x0 & ~1, y0 & ~1, min(width, (x1 + 1) & ~1), min(height, (y1 + 1) & ~1)


def write_planes(pixels: Bytes, corner: tuple[int, int], planes: Bytes) -> None:
    """Convert a part of a picture into the planes of the whole.

    Args:
        pixels: (h, w, 3) uint8 RGB, of even size.
        corner: x and y of its first pixel, even.
        planes: (3 H / 2, W) uint8 of a picture of W x H, even: H rows of luma, then Cb and Cr of H / 2 rows of W / 2
            pixels each. Changed in place.
    """
    (height, width), (x, y) = pixels.shape[:2], corner
    rows, columns = planes.shape[0] * 2 // 3, planes.shape[1]
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420)[:height]
    planes[y : y + height, x : x + width] = luma
    half = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    chroma = cv2.transform(half, _TO_CHROMA)
    halves = planes[rows:].reshape(2, rows // 2, columns // 2)
    part = halves[:, y // 2 : (y + height) // 2, x // 2 : (x + width) // 2]
    part[0], part[1] = cv2.split(chroma)[:2]


def planes_of(picture: Bytes) -> Bytes:
    """A picture (H, W, 3) uint8 RGB of even size as planes (3 H / 2, W)."""
    height, width = picture.shape[:2]
    planes = np.empty((height * 3 // 2, width), np.uint8)
    write_planes(picture, (0, 0), planes)
    return planes


def picture_of(planes: Bytes) -> Bytes:
    """Planes (..., 3 H / 2, W) as pictures (..., H, W, 3) uint8 RGB."""
    flat = planes.reshape(-1, *planes.shape[-2:])
    pictures = np.stack([cv2.cvtColor(each, cv2.COLOR_YUV2RGB_I420) for each in flat])
    return np.asarray(pictures.reshape(*planes.shape[:-2], *pictures.shape[1:]), np.uint8)
