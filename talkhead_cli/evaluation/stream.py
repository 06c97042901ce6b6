"""Frames of any video, one after another at a constant rate: memory is one frame, whatever the length."""

from __future__ import annotations

import logging
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import InputError
from talkhead_cli.ffmpeg_binary import run_captured
from talkhead_cli.paths import check_input, check_regular
from talkhead_cli.reading import (
    REFUSED,
    Stalled,
    describe_file,
    duration_of,
    patient,
    reading_command,
)
from talkhead_cli.settings import NTSC_RATES
from talkhead_cli.watchdog import Watch, end_process, start_ffmpeg

log = logging.getLogger(__name__)

Frame = NDArray[np.uint8]

FASTEST = 240
"""Frames a second beyond which a header is not believed."""

LONGEST_SECONDS = 7200
"""Of a film: two pictures that say that they are years apart would make a constant rate of billions."""

DECODING_SECONDS = 600
"""To decode a whole film for its length."""

ENCODER_NAMES = ("h264", "hevc", "av1")


@dataclass(frozen=True)
class VideoHeader:
    """What a file says of its first moving picture.

    Attributes:
        path: the file.
        fps: frames a second; of a variable rate the average.
        codec: ffmpeg's name of it.
        seconds: length of the container; None where unknown.
        has_audio: whether there is sound.
    """

    path: Path
    fps: Fraction
    codec: str
    seconds: float | None
    has_audio: bool

    @property
    def expected_frames(self) -> int:
        """Frames by the header; 0 where it does not say."""
        return round(Fraction(self.seconds or 0.0) * self.fps)


def read_video_header(path: Path) -> VideoHeader:
    """Find the moving picture of a file.

    Raises:
        InputError: there is no such file, or no moving picture in it.
        MediaError: ffmpeg is missing.
    """
    check_input(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give a video file")
    check_regular(path)
    text = describe_file(path)
    if REFUSED in text:
        raise InputError(f"{path}: is of a format that is not opened; give a film such as mp4")
    lines = re.findall(r"^\s+Stream #0:.*?: Video: (.*)$", text, re.MULTILINE)
    lines = [line for line in lines if "(attached pic)" not in line]
    fps = stream_rate(lines[0]) if lines else None
    if fps is None:
        raise InputError(f"{path}: holds no moving picture that ffmpeg can decode; give a video")
    sound = re.search(r"^\s+Stream #0:.*?: Audio: ", text, re.MULTILINE) is not None
    return VideoHeader(path, fps, lines[0].split()[0].rstrip(","), duration_of(text), sound)


def stream_rate(line: str) -> Fraction | None:
    """Frames a second from ffmpeg's line on a stream: the average, else the time base's rate."""
    for unit in ("fps", "tbr"):
        found = re.search(rf", ([\d.]+)(k?) {unit}\b", line)
        if found:
            value = Fraction(found.group(1)) * (1000 if found.group(2) else 1)
            if 1 <= value <= FASTEST:
                return NTSC_RATES.get(float(value), value)
    return None


class VideoReader:
    """Decodes a video to RGB frames at a constant rate; a context manager and an iterator.

    Rotation, pixel shapes and colour tags are obeyed; variable rates are made constant as a player would show them.

    Args:
        path: the video.
        fps: frames a second wanted.
        filters: ffmpeg's, in place of the usual ones; they must make the rate constant.

    Attributes:
        num_frames: frames given so far.
        complaint: ffmpeg's first words where it found the file damaged, after the last frame.
    """

    def __init__(self, path: Path, fps: Fraction, filters: str | None = None) -> None:
        self.path = path
        self.fps = fps
        self.num_frames = 0
        self.complaint: str | None = None
        self._command = [*reading_command(path, "-v", "error", pictures=True), "-map", "0:V:0"]
        # Counted from the file's beginning, so that a picture that starts after its sound stays late; square pixels.
        usual = f"fps={fps}:start_time=0,scale=w='max(2,trunc(iw*sar))':h=ih"
        self._command += ["-vf", filters or usual, "-f", "image2pipe"]
        self._command += ["-c:v", "ppm", "-pix_fmt", "rgb24"]
        self._process: subprocess.Popen[bytes] | None = None
        self._pictures: IO[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._watch: Watch | None = None

    def __enter__(self) -> VideoReader:
        self._errors = tempfile.TemporaryFile()
        command = [*self._command, "-"]
        try:
            self._process = start_ffmpeg(
                command, subprocess.DEVNULL, subprocess.PIPE, self._errors, bufsize=0
            )
        except BaseException:
            self._errors.close()
            raise
        self._watch = Watch(self._process).__enter__()
        assert self._process.stdout is not None
        self._pictures = patient(self._process.stdout)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._errors is not None
        assert self._watch is not None
        if self._process.poll() is None:
            end_process(self._process)
        if self._pictures is not None:
            self._pictures.close()
        self._process.wait()
        self._watch.__exit__(None, None, None)
        self._errors.close()

    def __iter__(self) -> Iterator[Frame]:
        """Frames (H, W, 3) uint8 RGB.

        Raises:
            InputError: not one frame can be decoded, or the next takes too long, or there are too many.
            MediaError: ffmpeg was killed, or hung.
        """
        assert self._process is not None
        assert self._pictures is not None
        assert self._watch is not None
        while True:
            with self._watch.waiting:
                frame = self._next(self._pictures)
            if frame is None:
                break
            self.num_frames += 1
            if self.num_frames > LONGEST_SECONDS * self.fps:
                raise InputError(f"{self.path}: is longer than {LONGEST_SECONDS} seconds; cut it")
            yield frame
        self._watch.wait(self.path)
        self.complaint = self._first_words()
        if self.num_frames == 0:
            raise InputError(
                f"{self.path}: not one frame can be decoded ({self.complaint or 'no reason given'})"
            )

    def _next(self, pictures: IO[bytes]) -> Frame | None:
        try:
            return read_ppm(pictures)
        except Stalled as error:
            raise InputError(f"{self.path}: cannot be decoded ({error}); convert it") from error

    def _first_words(self) -> str | None:
        assert self._errors is not None
        self._errors.seek(0)
        lines = self._errors.read(2000).decode("utf-8", "replace").strip().splitlines()
        return lines[0].strip() if lines else None


def read_ppm(stream: IO[bytes]) -> Frame | None:
    """The next picture of a stream of binary PPM files, (H, W, 3) uint8; None at the end or where it is cut off."""
    if stream.readline().strip() != b"P6":
        return None
    width, height = map(int, stream.readline().split())
    stream.readline()  # the largest value, 255
    data = stream.read(width * height * 3)
    if len(data) < width * height * 3:
        return None
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def decoded_seconds(path: Path, stream: str) -> float | None:
    """Length of a stream as decoded, not as the container claims; None where there is none.

    Args:
        path: the file.
        stream: as ffmpeg's -map names it: "0:v" or "0:a".
    """
    command = [*reading_command(path, pictures=True), "-map", stream, "-f", "null", "-"]
    times = re.findall(r"time=(\d+):(\d+):([\d.]+)", run_captured(command, DECODING_SECONDS))
    if not times:
        return None
    hours, minutes, seconds = times[-1]
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
