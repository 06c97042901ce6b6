"""How sound goes into the video file: copied where MP4 can hold it, else as AAC; from a file, or through a pipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

COPIED_CODECS = frozenset({"aac", "mp3", "alac", "ac3", "eac3", "opus", "flac"})
"""Audio that goes into MP4 untouched."""

# A stream that begins late in its file (a film's sound track, say) is moved to the beginning, as the speech features
# are counted from the first sample; a negative start stays, since that is encoder delay which players skip.
COPIED_FROM_START = "setts=pts=PTS-max(STARTPTS\\,0):dts=DTS-max(STARTPTS\\,0)"

AAC_BIT_RATE = 192_000
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


@dataclass(frozen=True)
class PipedSound:
    """Sound that reaches ffmpeg through a pipe while it is being made.

    Attributes:
        descriptor: the pipe's reading end, which ffmpeg inherits.
        codec: ffmpeg's name of what comes through it.
        sample_rate: Hz.
        options: how ffmpeg reads it, as input options.
    """

    descriptor: int
    codec: str
    sample_rate: int
    options: dict[str, Any] = field(default_factory=dict)


def audio_arguments(codec: str | None, rate: int | None) -> dict[str, Any]:
    """How the delivered audio is stored: copied where MP4 can hold it, else AAC at its own rate and channels."""
    if codec in COPIED_CODECS:
        return {"acodec": "copy", "bsf:a": COPIED_FROM_START}
    return aac_arguments(rate)


def aac_arguments(rate: int | None) -> dict[str, Any]:
    """AAC at 192k; time stamps counted from the first sample, so that gaps cannot shift the lips."""
    arguments: dict[str, Any] = {
        "acodec": "aac",
        "audio_bitrate": AAC_BIT_RATE,
        "af": "asetpts=N/SR/TB",
    }
    if rate is not None and rate > AAC_RATES[0]:
        arguments["ar"] = AAC_RATES[0]
    return arguments
