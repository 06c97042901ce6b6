"""Pictures that are encoded already: joined, and brought together with their sound, without encoding them again."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkhead_cli.encoding import TAGGED, container_options
from talkhead_cli.errors import MediaError
from talkhead_cli.ffmpeg_binary import PROTOCOLS, file_url, probe_media
from talkhead_cli.formats import MUXERS
from talkhead_cli.paths import temporary_beside
from talkhead_cli.sound import audio_arguments, encoded_arguments

if TYPE_CHECKING:
    from talkhead_cli.marking.stamp import Stamp

log = logging.getLogger(__name__)

MAX_OVERHANG_SECONDS = 0.1
"""Audio that is this much longer than the video was stored with the wrong time stamps."""


def with_global_options(command: list[str], further: Sequence[str] = ()) -> list[str]:
    """The command with the options that every run of ours has."""
    usual = ["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
    return [command[0], *usual, *further, *command[1:]]


def join_segments(
    segments: Sequence[Path],
    audio: Path | None,
    target: Path,
    ffmpeg: str,
    tag: str | None = None,
    stamp: Stamp | None = None,
) -> None:
    """One file of consecutive videos of one encoder's settings, and their sound; no picture is encoded again.

    Args:
        segments: files with plain names in one folder, where a list of them is written for ffmpeg meanwhile.
        audio: file whose first audio stream goes with the pictures; None = silent video.
        target: what to write; its suffix decides the container.
        ffmpeg: to run.
        tag: of the video stream, where players insist on one.
        stamp: whose tags the file carries.

    Raises:
        MediaError: ffmpeg failed.
    """
    import ffmpeg as builder

    muxer = MUXERS[target.suffix.lower()]
    names = segments[0].parent / "segments.txt"
    names.write_text("".join(f"file '{path.name}'\n" for path in segments), encoding="utf-8")
    pictures = builder.input(file_url(names), format="concat", safe=0, protocol_whitelist=PROTOCOLS)
    streams = [pictures["v:0"]]
    options: dict[str, Any] = {
        "vcodec": "copy",
        "map_metadata": -1,
        "map_chapters": -1,
        **laid_out(muxer, stamp),
    }
    if tag is not None and muxer in TAGGED:
        options["vtag"] = tag
    if audio is not None:
        streams.append(builder.input(file_url(audio), protocol_whitelist=PROTOCOLS)["a:0"])
        info = probe_media(audio, ffmpeg)
        options.update(audio_arguments(info.audio_codec, info.audio_rate, muxer))
    command = builder.output(*streams, file_url(target), **options).compile(ffmpeg)
    try:
        run_quietly(with_global_options(command), f"{target}: the video could not be joined")
    finally:
        names.unlink(missing_ok=True)


def laid_out(muxer: str, stamp: Stamp | None) -> dict[str, Any]:
    """ffmpeg's options for a container and its tags."""
    marks = {} if stamp is None else stamp.marks.ffmpeg_options(muxer)
    return {**container_options(muxer, stamp is not None), **marks}


def mend_audio(
    path: Path,
    audio: Path,
    seconds: Fraction,
    ffmpeg: str,
    name: str,
    stamp: Stamp | None = None,
) -> None:
    """Encode the audio anew where a copy of it came out longer than the video: its time stamps have gaps.

    Args:
        path: the video, which is replaced.
        audio: where its sound comes from.
        seconds: length of the pictures.
        ffmpeg: to run.
        name: of the output, for messages.
        stamp: whose tags the file carries.

    Raises:
        MediaError: ffmpeg failed.
    """
    import ffmpeg as builder

    length = probe_media(path, ffmpeg).duration_seconds or 0.0
    if length <= seconds + MAX_OVERHANG_SECONDS:
        return
    log.info("%s: time stamps with gaps, so that the audio is encoded anew", audio)
    pictures = builder.input(file_url(path))["v:0"]
    sound = builder.input(file_url(audio), protocol_whitelist=PROTOCOLS)["a:0"]
    muxer = MUXERS[path.suffix.lower()]
    options: dict[str, Any] = {"vcodec": "copy", **laid_out(muxer, stamp)}
    options.update(encoded_arguments(probe_media(audio, ffmpeg).audio_rate, muxer))
    mended = temporary_beside(path)
    try:
        output = builder.output(pictures, sound, file_url(mended), map_metadata=-1, **options)
        command = with_global_options(output.compile(ffmpeg))
        run_quietly(command, f"{name}: the audio could not be encoded")
        mended.replace(path)
    finally:
        mended.unlink(missing_ok=True)


def run_quietly(command: list[str], problem: str) -> None:
    """Run ffmpeg to its end.

    Raises:
        MediaError: it failed; the message is the problem with its last line.
    """
    # A session of its own: Ctrl-C in the terminal must not end it under a batch's row that is to be finished.
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        start_new_session=True,
    )
    text = result.stderr.decode("utf-8", "replace")
    if "No space left on device" in text:
        raise MediaError(f"{problem}: the disk is full; free some space and render again")
    if result.returncode != 0:
        raise MediaError(f"{problem} ({''.join(text.strip().splitlines()[-1:])})")
