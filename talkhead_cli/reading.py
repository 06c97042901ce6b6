"""How ffmpeg is let read a file that came from outside: what it may open, how much it may take, how long.

Containers can name other files: playlists, concat scripts, session descriptions, numbered pictures, DVD indices. None
of their formats is opened, whatever a file is called, so that a file stands for nothing but itself.
"""

from __future__ import annotations

import io
import os
import re
import select
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from talkhead_cli.ffmpeg_binary import PROTOCOLS, ffmpeg_path, file_url, run_captured
from talkhead_cli.patience import LONGEST_STEP, ffmpeg_patience

FORMATS = (
    # Sound.
    "aac,ac3,ac4,aiff,alaw,amr,amrnb,amrwb,ape,aptx,aptx_hd,au,caf,codec2,dsf,dss,dts,dtshd,"
    "eac3,flac,g722,g723_1,g726,g728,g729,gsm,iamf,ilbc,ircam,lc3,loas,mlp,mp3,mpc,mpc8,mulaw,"
    "nistsphere,oma,qcp,qoa,rso,sbc,shn,sln,sox,spdif,tak,truehd,tta,voc,vqf,w64,wav,wavarc,"
    "wsd,wv,xwma,"
    # Films, and sound in the containers of films.
    "apng,asf,asf_o,av1,avi,avs2,avs3,cavsvideo,dirac,dnxhd,dv,evc,flv,gif,gxf,h261,h263,h264,"
    "hevc,ivf,jpegxl_anim,live_flv,m4v,matroska,mjpeg,mov,mpeg,mpegts,mpegvideo,mxf,nsv,nut,"
    "obu,ogg,pva,rm,ser,vc1,vvc,webm,webp_anim,wtv,yuv4mpegpipe,"
    # Samples that come through a pipe, of which we say what they are.
    "f32le,f64le,s16le,s24le,s32le,u8"
)
"""The demuxers that may be used, none of which opens a second file."""

MAX_PIXELS = 8192 * 8192
"""Of a moving picture; as of a still one."""

MAX_BLOCK = 1 << 30
"""Bytes that ffmpeg may allocate at once."""

HEADER_SECONDS = 30
"""Of processor time, and of waiting, until ffmpeg must have said what a file is."""

STALLS = 1.5
"""So many times the patience with ffmpeg may a decoder that works keep us waiting for its next picture or sound."""

REFUSED = "not on whitelist"
"""What ffmpeg says of a file of another format."""


def input_options() -> dict[str, Any]:
    """Options of an input, by name, as ffmpeg-python takes them."""
    return {"protocol_whitelist": PROTOCOLS, "format_whitelist": FORMATS}


def picture_options() -> dict[str, Any]:
    """As `input_options`, of an input whose pictures are decoded."""
    return {**input_options(), "max_pixels": MAX_PIXELS}


def arguments(options: dict[str, Any]) -> list[str]:
    """Options by name as a command line has them."""
    return [text for name, value in options.items() for text in (f"-{name}", str(value))]


def reading_command(path: Path, *before: str, pictures: bool = False) -> list[str]:
    """An ffmpeg command up to and with its input.

    Args:
        path: the file.
        before: options of the input, or global ones.
        pictures: moving pictures are decoded.
    """
    options = picture_options() if pictures else input_options()
    command = [ffmpeg_path(), "-hide_banner", "-nostdin", "-max_alloc", str(MAX_BLOCK), *before]
    return [*command, *arguments(options), "-i", file_url(path)]


def describe_file(path: Path, ffmpeg: str | None = None) -> str:
    """What ffmpeg prints of a file's header; nothing where it takes too long.

    The file's own name is left out: it may hold anything, lines that look like ffmpeg's included.
    """
    command = reading_command(path, "-timelimit", str(HEADER_SECONDS), pictures=True)
    if ffmpeg is not None:
        command[0] = ffmpeg
    return run_captured(command, HEADER_SECONDS).replace(shown(file_url(path)), "")


def without_levels(text: str) -> str:
    """What ffmpeg printed with `-loglevel level+info`, its plain lines as they are without that."""
    return re.sub(r"^(\[[^\]]*\] )*\[info\] ", "", text, flags=re.MULTILINE)


def shown(text: str) -> str:
    """Text that may stand for bytes that are none, as it is read back from ffmpeg."""
    return os.fsencode(text).decode("utf-8", "replace")


@dataclass(frozen=True)
class MediaInfo:
    """What ffmpeg says of a file.

    Attributes:
        duration_seconds: of the container; None where unknown.
        audio_codec: such as "aac"; None without an audio stream.
        audio_rate: samples a second.
        has_video: whether there is a moving or still picture.
    """

    duration_seconds: float | None
    audio_codec: str | None
    audio_rate: int | None
    has_video: bool


def probe_media(path: Path, ffmpeg: str | None = None) -> MediaInfo:
    """Read a file's header. ffprobe is not needed: the wheel that brings ffmpeg does not have it."""
    text = describe_file(path, ffmpeg)
    audio = re.search(r"^\s+Stream #0:.*?: Audio: (\w+)(?:.*?, (\d+) Hz)?", text, re.MULTILINE)
    return MediaInfo(
        duration_of(text),
        audio.group(1) if audio else None,
        int(audio.group(2)) if audio and audio.group(2) else None,
        re.search(r"^\s+Stream #0:.*?: Video:", text, re.MULTILINE) is not None,
    )


def duration_of(text: str) -> float | None:
    """Seconds of a file, from what ffmpeg prints about it; None where it does not know."""
    found = re.search(r"^  Duration: (\d+):(\d+):([\d.]+)", text, re.MULTILINE)
    if not found:
        return None
    hours, minutes, rest = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


class Stalled(TimeoutError):
    """A decoder gave nothing for too long, although it works: what it decodes is to blame."""


def patient(stream: IO[bytes], seconds: float | None = None) -> io.BufferedReader:
    """A process's standard output, to be read instead of it: waiting for it has an end.

    Args:
        stream: unbuffered, or never read from; closing what is given back closes it.
        seconds: to wait; None waits longer than the watch of a process does that shows no sign of life.
    """
    wait = STALLS * ffmpeg_patience() if seconds is None else seconds
    return io.BufferedReader(_Patient(stream, wait), 1 << 20)


class _Patient(io.RawIOBase):
    """The raw side of `patient`."""

    def __init__(self, stream: IO[bytes], seconds: float) -> None:
        self._stream = stream
        self._seconds = seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is, once there is something.

        Raises:
            Stalled: there is nothing for too long.
        """
        descriptor = self._stream.fileno()
        left = self._seconds
        # In steps, so that the time in which we were stopped ourselves does not count.
        while not select.select([descriptor], [], [], min(LONGEST_STEP, max(0.0, left)))[0]:
            if left <= 0:
                raise Stalled(f"nothing has come for {self._seconds:.0f} seconds")
            left -= LONGEST_STEP
        return os.readv(descriptor, [buffer])

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
