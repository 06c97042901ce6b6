"""Reading the invisible watermark back from a video, a folder of pictures, or one picture.

A few frames are decoded and averaged; `talkhead_models.watermark_search` looks for the watermark in their mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from talkhead_cli.errors import InputError
from talkhead_cli.paths import PICTURE_NAME, check_input

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FRAMES = 24
"""Frames that are averaged."""

SECONDS = 20
"""Of a video's beginning that they are taken from."""

LARGEST = 1024
"""Pixels of the longer side that frames are scaled down to before they are averaged: more tell no more."""


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
    from talkhead_models.watermark_code import show_payload
    from talkhead_models.watermark_search import find_watermark, mean_luma

    finding = find_watermark(mean_luma(read_frames(path)))
    payload = None if finding.payload is None else show_payload(finding.payload)
    return WatermarkReading(finding.found, finding.score, payload)


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
