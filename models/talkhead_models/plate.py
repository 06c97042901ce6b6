"""The still background behind the person: inpainted once, shown where the moving head uncovers it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def soft_mask(person_mask: Array, oval: Array, unit: float) -> Bytes:
    """Person mask widened by a rim and feathered, with the face in it for certain.

    The rim moves with the head: without it half-transparent hair would leave a copy of itself on the background.

    Args:
        person_mask: (H, W) float32 in [0, 1].
        oval: (36, 2) float32, the face's outline.
        unit: outer-eye distance in pixels, which sets the rim's width.

    Returns:
        (H, W) uint8, 255 = person.
    """
    mask = np.rint(np.clip(person_mask, 0, 1) * 255).astype(np.uint8)
    cv2.fillPoly(mask, [np.rint(oval).astype(np.int32)], 255)
    radius = max(1, round(0.05 * unit))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(
        cv2.GaussianBlur(cv2.dilate(mask, kernel), (0, 0), max(0.8, 0.02 * unit)), np.uint8
    )


def background_plate(image: Bytes, mask: Bytes) -> Bytes:
    """The picture with the person filled in from around, by push and pull over an image pyramid.

    Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4. Pixels where the mask is zero stay as they are.

    Args:
        image: (h, w, 3) uint8.
        mask: (h, w) uint8, 255 = person.
    """
    known = (mask == 0).astype(np.float32)
    if not known.any():
        return image.copy()
    levels = [(image.astype(np.float32) * known[..., None], known)]
    while min(levels[-1][1].shape) > 2 and len(levels) < 12:
        colour, weight = levels[-1]
        size = ((weight.shape[1] + 1) // 2, (weight.shape[0] + 1) // 2)
        colour, weight = (
            cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in (colour, weight)
        )
        levels.append((colour, weight))
    colour, weight = levels[-1]
    filled = colour / np.maximum(weight, 1e-4)[..., None]
    for colour, weight in reversed(levels[:-1]):
        size = (weight.shape[1], weight.shape[0])
        wide = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR)
        share = np.minimum(weight * 4, 1)[..., None]
        filled = wide + (colour / np.maximum(weight, 1e-4)[..., None] - wide) * share
    plate = np.where(known[..., None] > 0, image, np.clip(filled + 0.5, 0, 255).astype(np.uint8))
    return np.asarray(plate, np.uint8)
