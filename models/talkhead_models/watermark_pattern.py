"""The patterns of the invisible watermark, and how well a picture correlates with them.

Everything here happens on a square grid of 256 x 256 cells that any picture is scaled to, so that the size of a video
does not matter. The patterns are noise of unit amplitude and pseudo-random phase in a band of middle frequencies
(spread spectrum: Cox, Kilian, Leighton and Shamoon 1997), placed by circular shifts and found by correlation of phases
alone (Kalker, Depovere, Haitsma and Maes 1999).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

from talkhead_models.watermark_code import PLACES, SYMBOLS, encode_payload

Floats = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

GRID = 256
"""Cells of a side."""

PLACES_A_SIDE = 64
STEP = GRID // PLACES_A_SIDE
"""Cells between two places of a pattern: further apart than a pattern resembles itself."""

NAME = "talkhead watermark 1, pattern {}"
"""What the phases are derived from; the first pattern is always in its own place, the others say symbols."""

LOWEST, HIGHEST = 20, 80
"""The band, in cycles over the geometric mean of a picture's sides: coarser would show as blotches, finer would not
outlast the encoding of small pictures."""

SMOOTH, LOCAL = 2.0, 1.5
"""Cells: sigma of what is taken off a picture as its contents, and of what its texture is measured over."""

LEAST_TEXTURE = 0.25
"""Levels of 255 below which a difference is not made larger."""

LIMIT = 1.5
"""Local standard deviations that a cell counts for at most: edges must not outweigh everything."""

assert PLACES_A_SIDE**2 == PLACES


@lru_cache(maxsize=1)
def phasors() -> Spectrum:
    """Phases of all patterns, (1 + SYMBOLS, GRID, GRID / 2 + 1) complex numbers of size 1.

    From SHAKE-256: generators of random numbers may change from one version of a library to the next.
    """
    shape = (GRID, GRID // 2 + 1)
    found = []
    for index in range(1 + SYMBOLS):
        count = 2 * shape[0] * shape[1]
        digest = hashlib.shake_256(NAME.format(index).encode()).digest(count)
        angles = np.frombuffer(digest, "<u2").reshape(shape) * (2 * np.pi / 65536)
        found.append(np.exp(1j * angles).astype(np.complex64))
    return np.stack(found)


@lru_cache(maxsize=8)
def band(width: int, height: int) -> Floats:
    """Amplitudes of the patterns' frequencies, (GRID, GRID / 2 + 1) in [0, 1], for a picture of that shape.

    A circle in the frequencies of the picture, an ellipse in those of the grid, whose cells are smaller across the
    shorter side.
    """
    mean = np.sqrt(width * height)
    down = np.fft.fftfreq(GRID, 1 / GRID)[:, None] * (mean / height)
    across = np.fft.rfftfreq(GRID, 1 / GRID)[None] * (mean / width)
    radius = np.hypot(down, across)
    rising = np.clip((radius - 0.8 * LOWEST) / (0.4 * LOWEST), 0, 1)
    falling = np.clip((1.1 * HIGHEST - radius) / (0.2 * HIGHEST), 0, 1)
    return (rising * falling).astype(np.float32)


def make_patterns(payload: int, width: int, height: int) -> Floats:
    """The patterns that say a payload, (1 + SYMBOLS, GRID, GRID), each of standard deviation 1."""
    spectra = phasors() * band(width, height)
    patterns = irfft2(spectra, s=(GRID, GRID))
    patterns /= patterns.std(axis=(1, 2), keepdims=True)
    for index, symbol in enumerate(encode_payload(payload), 1):
        patterns[index] = np.roll(patterns[index], place_of(symbol), (0, 1))
    return patterns.astype(np.float32)


def place_of(symbol: int) -> tuple[int, int]:
    """Rows and columns that a symbol's pattern is shifted by."""
    return STEP * (symbol // PLACES_A_SIDE), STEP * (symbol % PLACES_A_SIDE)


def to_grid(luma: Floats) -> Floats:
    """A picture (H, W) in levels of 255, scaled to the grid."""
    size = (GRID, GRID)
    # Each way on its own: means where there is more than a pixel to a cell.
    tall = cv2.resize(luma, (luma.shape[1], GRID), interpolation=_scaling(luma.shape[0]))
    return np.asarray(cv2.resize(tall, size, interpolation=_scaling(luma.shape[1])), np.float32)


def _scaling(pixels: int) -> int:
    return cv2.INTER_AREA if pixels > GRID else cv2.INTER_CUBIC


def flatten(cells: Floats) -> Floats:
    """What is left of a picture (GRID, GRID) when its contents are taken off: textures of equal strength everywhere."""
    rest = cells - blur(cells, SMOOTH)
    strength = np.sqrt(blur(rest * rest, LOCAL) + LEAST_TEXTURE**2)
    return np.clip(rest / strength, -LIMIT, LIMIT)


def blur(cells: Floats, sigma: float) -> Floats:
    """A Gaussian blur, cells beyond the edge mirrored."""
    return np.asarray(cv2.GaussianBlur(cells, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))


def whiten(flat: Floats, width: int, height: int) -> Spectrum:
    """The spectrum of a flattened picture, every ring of frequencies as strong as every other, times the band."""
    spectrum = rfft2(flat - flat.mean())
    size = np.abs(spectrum)
    rings, count = _rings()
    mean = np.bincount(rings.ravel(), size.ravel(), len(count)) / count
    return (spectrum / np.maximum(mean, 1e-6)[rings] * band(width, height)).astype(np.complex64)


@lru_cache(maxsize=1)
def _rings() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The ring of each frequency, and how many frequencies each ring has."""
    down = np.fft.fftfreq(GRID, 1 / GRID)[:, None]
    rings = np.hypot(down, np.fft.rfftfreq(GRID, 1 / GRID)[None]).astype(np.intp)
    return rings, np.maximum(np.bincount(rings.ravel()), 1)


def correlate(spectrum: Spectrum, index: int) -> Floats:
    """How much a pattern is in a whitened picture at every shift, (GRID, GRID), in standard deviations of chance."""
    found = irfft2(spectrum * np.conj(phasors()[index]), s=(GRID, GRID))
    deviation = float(found.std())
    if deviation == 0:  # a picture of one colour
        return np.zeros((GRID, GRID), np.float32)
    return (found / deviation).astype(np.float32)
