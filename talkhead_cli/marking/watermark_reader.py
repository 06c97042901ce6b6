"""Reading the invisible watermark back from a video, a folder of pictures, or one picture.

A few frames are averaged, for the watermark does not move and people do; what remains of the mean when the picture is
taken off is correlated with the known patterns. Pictures that were cropped a little are tried at other scales.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import InputError
from talkhead_cli.paths import PICTURE_NAME, check_input
from talkhead_models.watermark import WEIGHTS
from talkhead_models.watermark_code import SYMBOLS, decode_payload, show_payload
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

FRAMES = 24
"""Frames that are averaged."""

SECONDS = 20
"""Of a video's beginning that they are taken from."""

LARGEST = 1024
"""Pixels of the longer side that frames are scaled down to before they are averaged: more tell no more."""

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


@dataclass(frozen=True)
class WatermarkReading:
    """What was found.

    Attributes:
        found: whether there is a watermark of talkhead's.
        score: standard deviations by which the picture agrees with it more than by chance; see docs/watermark.md.
        payload: eight hexadecimal digits, the version and seven of the settings' hash; None where they cannot be read.
    """

    found: bool
    score: float
    payload: str | None


def read_watermark(path: Path) -> WatermarkReading:
    """Look for the watermark in a video, a folder of numbered pictures, or a picture.

    Raises:
        InputError: there is nothing that can be decoded.
        MediaError: ffmpeg is missing.
    """
    return find_watermark(mean_luma(read_frames(path)))


def find_watermark(luma: Floats) -> WatermarkReading:
    """Look for the watermark in the mean of frames, (H, W) in levels of 255."""
    inner = without_bars(luma)
    readings = [aligned(each) for each in ([luma] if inner is luma else [luma, inner])]
    if not any(reading.found for reading in readings):
        readings.append(searched(inner))
    # A reading that was searched for has a higher score by chance alone.
    return max(readings, key=lambda each: (each.found, each is readings[0], each.score))


def aligned(luma: Floats) -> WatermarkReading:
    """The watermark of a whole picture, whatever its size."""
    height, width = luma.shape
    spectrum = whiten(flatten(to_grid(luma)), width, height)
    return judge(spectrum, (0, 0), CERTAIN, SIGNED)


def searched(luma: Floats) -> WatermarkReading:
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


def judge(
    spectrum: Spectrum, corner: tuple[int, int], certain: float, signed: float
) -> WatermarkReading:
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
    return WatermarkReading(found, score, None if payload is None else show_payload(payload))


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


def read_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """A few frames (H, W, 3) uint8 RGB, spread over the beginning.

    Raises:
        InputError: there is nothing that can be decoded.
        MediaError: ffmpeg is missing.
    """
    from talkhead_cli.face.image import open_image, read_portrait_image

    check_input(path)
    if path.is_dir():
        names = sorted(each for each in path.iterdir() if re.fullmatch(PICTURE_NAME, each.name))
        if not names:
            raise InputError(
                f"{path}: a folder without numbered pictures; give a video or pictures"
            )
        step = max(1, len(names) // FRAMES)
        return (read_portrait_image(each).pixels for each in names[::step][:FRAMES])
    try:
        open_image(path).close()
    except InputError:
        return video_frames(path)
    return iter([read_portrait_image(path).pixels])


def video_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Frames spread over the beginning of a video, not larger than is of use."""
    from talkhead_cli.evaluation.stream import VideoReader, read_video_header

    header = read_video_header(path)
    seconds = min(header.seconds or SECONDS, SECONDS)
    rate = min(header.fps, Fraction(FRAMES / max(seconds, 0.1)).limit_denominator(1000))
    shrink = f"w='min({LARGEST},iw)':h='min({LARGEST},ih)'"
    # Luma alone: where ffmpeg scales and converts to RGB at once, it loses single levels.
    filters = f"fps={rate},format=gray,scale={shrink}:force_original_aspect_ratio=decrease"
    with VideoReader(path, rate, filters) as reader:
        for _, frame in zip(range(FRAMES), reader, strict=False):
            yield frame
