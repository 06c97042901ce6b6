"""Finding the invisible watermark in a picture: of any size, between black bars, or cropped a little.

The picture is best the mean of several frames, for the watermark does not move and people do.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from talkhead_models.watermark import WEIGHTS
from talkhead_models.watermark_code import SYMBOLS, decode_payload
from talkhead_models.watermark_pattern import (
    GRID,
    STEP,
    Floats,
    Spectrum,
    correlate,
    flatten,
    to_grid,
    whiten,
)

CERTAIN = 5.0
"""Standard deviations from which a watermark is there: by chance once in three million pictures."""

SEARCHED = 6.5
"""The same where some ten thousand positions were tried."""

SIGNED = 3.0
"""The same where symbols with a right checksum are there as well, by chance once in a thousand times 65,536."""

SIGNED_SEARCHED = 4.5

LIKELY = 3
"""Places of a symbol that are tried: the best ones."""

MOST_CROPPED = 0.1
CROP_STEP = 0.0075
"""Share of a side that may have been cut off, and by how much one try differs from the next."""

BLACK = 24
"""Luma up to which a border is a bar."""


class Finding(NamedTuple):
    """What a picture says.

    Attributes:
        found: whether there is a watermark.
        score: standard deviations by which the picture agrees with it more than by chance.
        payload: None where it cannot be read.
    """

    found: bool
    score: float
    payload: int | None


def find_watermark(luma: Floats) -> Finding:
    """Look for the watermark in the mean of frames, (H, W) in levels of 255."""
    inner = without_bars(luma)
    readings = [aligned(each) for each in ([luma] if inner is luma else [luma, inner])]
    if not any(reading.found for reading in readings):
        readings.append(searched(inner))
    # A reading that was searched for has a higher score by chance alone.
    return max(readings, key=lambda each: (each.found, each is readings[0], each.score))


def aligned(luma: Floats) -> Finding:
    """The watermark of a whole picture, whatever its size."""
    height, width = luma.shape
    spectrum = whiten(flatten(to_grid(luma)), width, height)
    return judge(spectrum, (0, 0), CERTAIN, SIGNED)


def searched(luma: Floats) -> Finding:
    """The watermark of a picture that may have been cropped."""
    height, width = luma.shape
    flat = flatten(to_grid(luma))
    best, spectrum, corner = -np.inf, None, (0, 0)
    kept = 1 - np.arange(0, MOST_CROPPED + CROP_STEP / 2, CROP_STEP)
    for down, across in product(kept, kept):
        tried = whiten(cropped(flat, down, across), width, height)
        rows, columns = (round((1 - share) * GRID) + 1 for share in (down, across))
        # The picture lies at the grid's corner: what was cut off before it is where the pattern begins.
        found = np.roll(correlate(tried, 0), (rows - 1, columns - 1), (0, 1))[:rows, :columns]
        place = np.unravel_index(int(found.argmax()), found.shape)
        if found[place] > best:
            best, spectrum = float(found[place]), tried
            corner = int(place[0]) - rows + 1, int(place[1]) - columns + 1
    assert spectrum is not None
    return judge(spectrum, corner, SEARCHED, SIGNED_SEARCHED)


def cropped(flat: Floats, down: float, across: float) -> Floats:
    """A flattened picture put on the grid at the size it had before parts of that size were cut out of a larger one."""
    matrix = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]])
    return np.asarray(cv2.warpAffine(flat, matrix, (GRID, GRID)), np.float32)


def judge(spectrum: Spectrum, corner: tuple[int, int], certain: float, signed: float) -> Finding:
    """What a whitened picture says.

    Args:
        spectrum: of the picture.
        corner: shift of the patterns, in cells.
        certain: score from which the watermark is there.
        signed: the same where the checksum fits as well.
    """
    score = float(correlate(spectrum, 0)[corner])
    candidates = []
    for index in range(1, 1 + SYMBOLS):
        places = np.roll(correlate(spectrum, index), (-corner[0], -corner[1]), (0, 1))
        likely = np.argsort(-places[::STEP, ::STEP], axis=None)[:LIKELY]
        candidates.append([int(place) for place in likely])
    strict = decode_payload([each[:1] for each in candidates])
    found = score >= certain or (strict is not None and score >= signed)
    payload = (strict if strict is not None else decode_payload(candidates)) if found else None
    return Finding(found, score, payload)


def without_bars(luma: Floats) -> Floats:
    """A picture without the black bars that it was put between; the same array where there are none."""
    rows, columns = (np.flatnonzero(luma.max(axis) > BLACK) for axis in (1, 0))
    if len(rows) < GRID // 4 or len(columns) < GRID // 4:
        return luma
    if len(rows) == luma.shape[0] and len(columns) == luma.shape[1]:
        return luma
    return luma[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def mean_luma(frames: Iterable[NDArray[np.uint8]]) -> Floats:
    """The mean of frames (H, W, 3) uint8 RGB of one size, (H, W); those of other sizes are left out.

    Raises:
        ValueError: there is no frame.
    """
    total: NDArray[np.float32] | None = None
    count = 0
    for frame in frames:
        luma = cv2.transform(frame.astype(np.float32), np.array([WEIGHTS], np.float32))
        luma = luma.reshape(frame.shape[:2])
        if total is None:
            total = np.zeros_like(luma)
        if luma.shape == total.shape:
            total += luma
            count += 1
    if total is None:
        raise ValueError("there is no frame")
    return total / count
