"""How sound goes into the video file: copied where it can hold it, else encoded; from a file, or through a pipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

COPIED_CODECS = {
    "mp4": frozenset({"aac", "mp3", "alac", "ac3", "eac3", "opus", "flac"}),
    "mov": frozenset({"aac", "mp3", "alac", "ac3", "eac3", "pcm_s16le", "pcm_s24le"}),
    "matroska": frozenset(
        {"aac", "mp3", "alac", "ac3", "eac3", "opus", "flac", "vorbis", "pcm_s16le", "pcm_s24le"}
    ),
    "webm": frozenset({"opus", "vorbis"}),
}
"""Audio that goes into a container untouched."""

# A stream that begins late in its file (a film's sound track, say) is moved to the beginning, as the speech features
# are counted from the first sample; a negative start stays, since that is encoder delay which players skip.
COPIED_FROM_START = "setts=pts=PTS-max(STARTPTS\\,0):dts=DTS-max(STARTPTS\\,0)"

BIT_RATE = 192_000
AAC_RATES = (
    96000,
    88200,
    64000,
    48000,
    44100,
    32000,
    24000,
    22050,
    16000,
    12000,
    11025,
    8000,
    7350,
)

OPUS_FILTER = "asetpts=N/SR/TB,aresample=48000,aformat=channel_layouts=mono|stereo|5.1|7.1"
"""Opus has one rate, and layouts of its own."""


@dataclass(frozen=True)
class PipedSound:
    """Sound that reaches ffmpeg through a pipe while it is being made.

    Attributes:
        descriptor: the pipe's reading end, which ffmpeg inherits.
        codec: ffmpeg's name of what comes through it.
        sample_rate: Hz.
        options: how ffmpeg reads it, as input options.
        is_silent: whether whoever sends the sound sends none at the moment.
    """

    descriptor: int
    codec: str
    sample_rate: int
    options: dict[str, Any] = field(default_factory=dict)
    is_silent: Callable[[], bool] = lambda: False


def audio_arguments(codec: str | None, rate: int | None, muxer: str = "mp4") -> dict[str, Any]:
    """How the delivered audio is stored: copied where the container can hold it, else encoded."""
    if codec in COPIED_CODECS[muxer]:
        return {"acodec": "copy", "bsf:a": COPIED_FROM_START}
    return encoded_arguments(rate, muxer)


def encoded_arguments(rate: int | None, muxer: str = "mp4") -> dict[str, Any]:
    """AAC, in WebM Opus, at 192k and with the channels of the sound, AAC at its rate up to 96 kHz.

    Time stamps are counted from the first sample, so that gaps cannot shift the lips.
    """
    arguments: dict[str, Any] = {"audio_bitrate": BIT_RATE, "af": "asetpts=N/SR/TB"}
    if muxer == "webm":
        return {"acodec": "libopus", **arguments, "af": OPUS_FILTER}
    if rate is not None and rate > AAC_RATES[0]:
        arguments["ar"] = AAC_RATES[0]
    return {"acodec": "aac", **arguments}
