"""What a render is written as: which codec goes into which file, and how its name tells."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from talkhead_cli.errors import UsageError

if TYPE_CHECKING:
    from talkhead_cli.settings import RenderSettings

STDOUT = "-"

MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""ffmpeg's name of the container, by the suffix of an output."""

NAMES = {"mp4": "MP4", "mov": "QuickTime", "matroska": "Matroska", "webm": "WebM"}

ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "prores": "prores_ks",
    "prores4444": "prores_ks",
    "vp9": "libvpx-vp9",
}
"""ffmpeg's software encoders; the last two are for transparency only."""

FITS = {
    "h264": (".mp4", ".m4v", ".mov", ".mkv"),
    "hevc": (".mp4", ".m4v", ".mov", ".mkv"),
    "av1": (".mp4", ".m4v", ".mkv", ".webm"),
    "prores": (".mov", ".mkv"),
}
"""Suffixes of the containers that can hold a codec."""

ALPHA = {".mov": "prores4444", ".webm": "vp9"}
"""Codecs that hold transparency, by suffix."""

TRANSPARENT = frozenset(ALPHA.values())
"""Codecs of RGBA frames."""

PLANAR = frozenset({"h264", "hevc", "av1"})
"""Codecs that halve chroma and take BT.601: their frames may come as planes, see `talkhead_models.planes`."""

PICTURES = "png"
"""In place of a codec: a folder of PNG pictures."""


def check_format(output: Path | str, settings: RenderSettings) -> None:
    """Refuse what cannot be written.

    Args:
        output: a path, or "-" for standard output.
        settings: `video_codec` and `alpha` matter.

    Raises:
        UsageError: there is no such combination.
    """
    problem = unfit(output, settings)
    if problem is not None:
        raise UsageError(problem)


def codec_of(target: Path | None, settings: RenderSettings) -> str:
    """Key of `ENCODERS`, or `PICTURES`, for an output that `check_format` has passed; None is standard output."""
    if not settings.alpha or target is None:
        return settings.video_codec
    return ALPHA.get(target.suffix.lower(), PICTURES)


def is_folder(output: Path | str) -> bool:
    """Whether an output is a folder by its name, or is one already."""
    ends = (os.sep, os.altsep or os.sep)
    suffix = Path(output).suffix.lower()
    if str(output).endswith(ends) or not suffix:
        return True
    return suffix not in MUXERS and Path(output).is_dir()


def unfit(output: Path | str, settings: RenderSettings, cell: str | None = None) -> str | None:
    """Why pictures cannot be written so, in one sentence; None where they can.

    Args:
        output: a path, or "-" for standard output.
        settings: `video_codec` and `alpha` matter.
        cell: how a batch shows the name of a row's output, which must be a file; None outside batches.
    """
    in_batch = cell is not None
    codec, alpha = settings.video_codec, settings.alpha
    shown = cell or str(output)
    if alpha and codec not in {"h264", "prores"}:
        return f"--alpha: {codec} holds no transparency; leave --video-codec out"
    if str(output) == STDOUT and not in_batch:
        held, good = (None, ".mov or .webm") if alpha else (codec, FITS[codec][0])
        if held is not None and ".mp4" in FITS[held]:
            return None
        what = "transparency" if alpha else codec
        return f"-o -: standard output is MP4, which cannot hold {what}; give a file that ends in {good}"
    suffix = Path(output).suffix.lower()
    if alpha:
        if codec == "prores" and suffix != ".mov":
            return f"{shown}: ProRes with --alpha is a QuickTime file, so its name must end in .mov"
        if suffix in ALPHA or (is_folder(output) and not in_batch):
            return None
        folder = "" if in_batch else ", or in a slash for a folder of PNG pictures"
        return (
            f"{shown}: --alpha needs a name that ends in .mov (ProRes 4444) or .webm (VP9){folder}"
        )
    if suffix in FITS[codec]:
        return None
    if suffix in MUXERS:
        others = [name for name, fits in FITS.items() if suffix in fits]
        return (
            f"{shown}: {NAMES[MUXERS[suffix]]} cannot hold {codec}; end the name in {FITS[codec][0]}, "
            f"or choose the codec {' or '.join(others)}"
        )
    if codec == "prores":
        return f"{shown}: ProRes is written to QuickTime files, so its name must end in .mov"
    rest = "" if in_batch else " (or give - for standard output)"
    return f"{shown}: the output is an MP4 file, so its name must end in .mp4{rest}"


def usual_suffix(settings: RenderSettings) -> str:
    """The suffix of a name that is made up."""
    return ".mov" if settings.alpha else FITS[settings.video_codec][0]
