"""Colours through every codec's own filter chain and back, and what the files say of them."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkhead_cli.encoding import PIXELS, matrix_of, picture_filter
from talkhead_cli.formats import ALPHA, ENCODERS, FITS, PLANAR
from talkhead_cli.media import VideoWriter, ffmpeg_path, run_captured
from talkhead_models.planes import planes_of

BLOCK = 16
CHART = """
735244 c29682 627a9d 576c43 8580b1 67bdaa
d67e2c 505ba6 c15a63 5e3c6c 9dbc40 e0a32e
383d96 469449 af363c e7c71f bb5695 0885a1
f3f3f2 c8c8c8 a0a0a0 7a7a79 555555 343434
"""
"""The 24 patches of a ColorChecker in sRGB."""


def blocks(colours: np.ndarray) -> np.ndarray:
    """Colours (h, w, 3) as a picture of blocks."""
    return np.ascontiguousarray(colours.repeat(BLOCK, 0).repeat(BLOCK, 1), np.uint8)


def patches() -> np.ndarray:
    """(20, 16, 3): a grey for each level, then the chart."""
    grey = np.arange(256).reshape(16, 16, 1).repeat(3, 2)
    chart = np.array([list(bytes.fromhex(patch)) for patch in CHART.split()])
    return np.concatenate([grey, np.resize(chart, (4, 16, 3))])


def middles(picture: np.ndarray) -> np.ndarray:
    """The middle (h, w, 4, 4, C) of each block, away from the neighbours' chroma."""
    height, width, channels = picture.shape
    parts = picture.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, channels)
    return parts[:, 6:10, :, 6:10].swapaxes(1, 2)


def convert(picture: bytes, size: str, source: str, chain: str, target: str) -> np.ndarray:
    """Raw pictures from one pixel format to another, by a filter chain."""
    raw = ["-f", "rawvideo", "-pix_fmt"]
    command = [ffmpeg_path(), "-v", "error", *raw, source, "-s", size, "-i", "-", "-vf", chain]
    done = subprocess.run(
        [*command, "-pix_fmt", target, "-f", "rawvideo", "-"],
        input=picture,
        capture_output=True,
        check=True,
    )
    return np.frombuffer(done.stdout, np.uint8)


def to_rgb(planes: np.ndarray, matrix: str, bits: int) -> np.ndarray:
    """Limited range Y, Cb, Cr (3, h, w) of so many bits as RGB (h, w, 3), by the definition of the matrix."""
    red, blue = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    level = planes.astype(float) / 2 ** (bits - 8)
    luma, cb, cr = (level[0] - 16) / 219, (level[1] - 128) / 224, (level[2] - 128) / 224
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    return np.stack([r, (luma - red * r - blue * b) / (1 - red - blue), b], -1) * 255


@pytest.mark.parametrize("codec", ENCODERS)
@pytest.mark.parametrize("hardware", [False, True])
def test_grey_ramp_and_chart_come_back(codec: str, hardware: bool) -> None:
    picture = blocks(patches())
    height, width, _ = picture.shape
    pixels = "nv12" if hardware else PIXELS.get(codec, "yuv420p")
    source, whole = picture, "yuv444p10le" if "p10" in pixels else "yuv444p"
    if pixels.startswith("yuva"):
        source, whole = (
            np.concatenate([picture, picture[..., :1]], -1),
            whole.replace("yuv", "yuva"),
        )
    size = f"{width}x{height}"
    given = "rgba" if source.shape[-1] == 4 else "rgb24"
    coded = convert(source.tobytes(), size, given, picture_filter(codec, pixels), pixels)
    # Every pixel its own chroma, nothing else is changed.
    planes = convert(coded.tobytes(), size, pixels, "null", whole)
    bits = 10 if "p10" in pixels else 8
    levels = planes.view(np.uint16 if bits == 10 else np.uint8).reshape(-1, height, width)
    seen = to_rgb(levels[:3], matrix_of(codec)[0], bits)
    error = np.abs(middles(seen) - middles(picture)).max()
    assert error <= (2 if bits == 8 else 0.75)
    if len(levels) == 4:
        full = 2**bits - 1
        assert np.abs(levels[3] * (255 / full) - source[..., 3]).max() <= 1


@pytest.mark.parametrize("pixels", ["yuv420p", "nv12"])
@pytest.mark.parametrize("codec", sorted(PLANAR))
def test_planes_pass_as_they_are(codec: str, pixels: str) -> None:
    picture = blocks(patches())
    size = f"{picture.shape[1]}x{picture.shape[0]}"
    planes = planes_of(picture)
    coded = convert(
        planes.tobytes(), size, "yuv420p", picture_filter(codec, pixels, planes=True), pixels
    )
    back = convert(coded.tobytes(), size, pixels, "null", "yuv420p")
    np.testing.assert_array_equal(back, planes.reshape(-1))
    whole = convert(back.tobytes(), size, "yuv420p", "null", "yuv444p")
    levels = whole.reshape(3, *picture.shape[:2])
    error = np.abs(middles(to_rgb(levels, matrix_of(codec)[0], 8)) - middles(picture)).max()
    assert error <= 2


def files() -> list[tuple[str, str]]:
    fits = [(codec, suffix) for codec, suffixes in FITS.items() for suffix in suffixes]
    return [*fits, *((codec, suffix) for suffix, codec in ALPHA.items())]


@pytest.mark.parametrize(("codec", "suffix"), files())
def test_files_say_what_their_colours_are(codec: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, 128, 128, Fraction(25), codec=codec) as writer:
        writer.write(np.full((3, 128, 128, writer.channels), 90, np.uint8))
    text = run_captured([ffmpeg_path(), "-hide_banner", "-i", str(path)])
    # ffmpeg shows range, then matrix/primaries/transfer, in one word where they are the same.
    tags = re.search(r"\(tv, ([\w/]+)", text)
    assert tags is not None, text
    matrix = matrix_of(codec)[1]
    assert tags[1] == ("bt709" if matrix == "bt709" else f"{matrix}/bt709/bt709")
    named = {"prores4444": r"prores \(4444\)", "prores": r"prores \(HQ\)"}
    assert re.search(f"Video: {named.get(codec, codec)}", text)
