"""The still background behind the person: inpainted once, shown where the moving head uncovers it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]

PLATE_UNIT = 64.0
"""Pixels per outer-eye distance of the copy that is inpainted."""

GRAIN_SIGMA = 0.03
"""Outer-eye distances up to which structure counts as texture."""

GRAIN_LIMIT = 20.0
"""Largest texture, in levels: what is stronger is an edge, and an edge mirrored is seen."""

BAND = 0.5
"""Outer-eye distances from the outline that a turning head can uncover."""


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


def background_plate(image: Bytes, mask: Bytes, unit: float) -> Bytes:
    """The picture with the person filled in from around. Pixels where the mask is zero stay as they are.

    Edges of the background run on under the person (Telea, "An image inpainting technique based on the fast marching
    method", 2004, on a small copy); grain and fine texture are mirrored at the person's outline. Only a band along the
    outline is ever uncovered.

    Args:
        image: (h, w, 3) uint8.
        mask: (h, w) uint8, 255 = person.
        unit: outer-eye distance in pixels.
    """
    known = mask == 0
    if known.all() or not known.any():
        return image.copy()
    filled = run_on(image, known, unit).astype(np.float32)
    detail, distance = mirrored_detail(image, known, GRAIN_SIGMA * unit)
    fade = np.clip(2 - distance / (BAND * unit), 0, 1)[..., None]
    filled += detail * fade
    plate = np.where(known[..., None], image, np.clip(filled + 0.5, 0, 255).astype(np.uint8))
    return np.asarray(plate, np.uint8)


def run_on(image: Bytes, known: NDArray[np.bool_], unit: float) -> Bytes:
    """The unknown pixels of a picture (h, w, 3) inpainted at `PLATE_UNIT` pixels an outer-eye distance."""
    height, width = known.shape
    zoom = min(1.0, PLATE_UNIT / unit)
    size = (max(8, round(width * zoom)), max(8, round(height * zoom)))
    # A small pixel is known only where all of it is.
    weight = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    hole = np.where(weight > 0.999, 0, 255).astype(np.uint8)
    radius = max(2.0, 0.06 * PLATE_UNIT)
    filled = cv2.inpaint(small, hole, radius, cv2.INPAINT_TELEA)
    # Far under the person runs meet in sharp rays: soften what is hardly ever seen.
    depth = cv2.distanceTransform(hole, cv2.DIST_L2, 3)[..., None] / (BAND * PLATE_UNIT)
    soft = cv2.GaussianBlur(filled, (0, 0), 0.12 * PLATE_UNIT)
    share = np.clip(depth - 0.5, 0, 1)
    filled = np.clip(filled + (soft.astype(np.float32) - filled) * share, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def mirrored_detail(image: Bytes, known: NDArray[np.bool_], sigma: float) -> tuple[Array, Array]:
    """Fine texture of the known pixels, mirrored at their border into the unknown ones.

    Args:
        image: (h, w, 3).
        known: (h, w).
        sigma: pixels above which structure is not texture.

    Returns:
        (h, w, 3) float32 to be added, and the distance (h, w) to the nearest known pixel.
    """
    height, width = known.shape
    weight = known.astype(np.float32)
    total = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None] + 1e-3
    colour = image.astype(np.float32)
    smooth = cv2.GaussianBlur(colour * weight[..., None], (0, 0), sigma) / total
    detail = np.clip(colour - smooth, -GRAIN_LIMIT, GRAIN_LIMIT) * weight[..., None]
    distance, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros((int(labels.max()) + 1, 2), np.int32)
    nearest[labels[known]] = np.argwhere(known)
    rows, columns = np.nonzero(~known)
    edge = nearest[labels[rows, columns]]
    mirror = 2 * edge - np.stack([rows, columns], 1)
    mirror = np.clip(mirror, 0, (height - 1, width - 1))
    # Detail is zero where the mirror image falls on the person.
    detail[rows, columns] = detail[mirror[:, 0], mirror[:, 1]]
    return detail, np.asarray(distance, np.float32)
