"""Hardware encoders: which of them this machine really has. Only a trial tells: ffmpeg lists all it was built with."""

from __future__ import annotations

import logging
import subprocess
from fractions import Fraction
from functools import lru_cache

from talkhead_cli.encoding import device_arguments, picture_options
from talkhead_cli.errors import MediaError
from talkhead_cli.ffmpeg_binary import ffmpeg_path, list_encoders
from talkhead_cli.formats import ENCODERS
from talkhead_cli.watchdog import run_watched

log = logging.getLogger(__name__)

HARDWARE = {
    "h264": ("h264_nvenc", "h264_videotoolbox", "h264_qsv", "h264_amf", "h264_vaapi"),
    "hevc": ("hevc_nvenc", "hevc_videotoolbox", "hevc_qsv", "hevc_amf", "hevc_vaapi"),
    "av1": ("av1_nvenc", "av1_qsv", "av1_amf", "av1_vaapi"),
    "prores": ("prores_videotoolbox",),
}
"""Hardware encoders by codec, in the order in which they are tried."""

TRIAL_FRAMES = 5
TRIAL_SECONDS = 20


def choose_encoder(codec: str, wish: str, width: int, height: int) -> str:
    """ffmpeg's name of the encoder for a codec.

    Args:
        codec: key of `ENCODERS`.
        wish: "software"; "auto": hardware where it works, else software; "hardware".
        width: of the video; hardware has limits.
        height: of the video.

    Raises:
        MediaError: hardware is insisted on and there is none that works.
    """
    software = ENCODERS[codec]
    if wish == "software":
        return software
    found = find_hardware(ffmpeg_path(software), codec, width, height)
    if found is None and wish == "hardware":
        raise MediaError(
            f"no hardware encoder for {codec} works on this machine at {width}x{height}; "
            "give --encoder auto or software"
        )
    if found is None:
        tell_fallback(codec, width, height)
    return found or software


@lru_cache(maxsize=64)
def tell_fallback(codec: str, width: int, height: int) -> None:
    """Say, once, that software encodes although hardware was wished for."""
    log.warning(
        "no hardware encoder for %s works here at %dx%d: %s encodes",
        codec,
        width,
        height,
        ENCODERS[codec],
    )


@lru_cache(maxsize=64)
def find_hardware(ffmpeg: str, codec: str, width: int, height: int) -> str | None:
    """The first hardware encoder for a codec that works, None where there is none; found out once."""
    listed = list_encoders(ffmpeg)
    for encoder in HARDWARE.get(codec, ()):
        if encoder in listed and works(ffmpeg, codec, encoder, width, height):
            log.info("%s encodes", encoder)
            return encoder
    return None


def works(ffmpeg: str, codec: str, encoder: str, width: int, height: int) -> bool:
    """Whether an encoder makes something of a few frames."""
    import ffmpeg as builder

    source = builder.input(f"color=c=gray:s={width}x{height}:r=25", format="lavfi")
    options = picture_options(codec, encoder, 18, Fraction(25))
    output = builder.output(
        source["v:0"], "pipe:1", **options, **{"frames:v": TRIAL_FRAMES}, f="matroska"
    )
    command = output.compile(ffmpeg)
    before = [*device_arguments(encoder), "-hide_banner", "-nostdin", "-loglevel", "error"]
    try:
        result = run_watched([command[0], *before, *command[1:]], encoder, seconds=TRIAL_SECONDS)
    except (OSError, MediaError, subprocess.TimeoutExpired) as error:
        log.debug("%s: %s", encoder, error)
        return False
    log.debug("%s: %s", encoder, result.stderr.decode("utf-8", "replace").strip()[-300:])
    return result.returncode == 0 and len(result.stdout) > 0
