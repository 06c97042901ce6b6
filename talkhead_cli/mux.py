"""Pictures that are encoded already: joined, and brought together with their sound, without encoding them again."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkhead_cli.encoding import TAGGED, container_options
from talkhead_cli.errors import DiskFull, MediaError
from talkhead_cli.ffmpeg_binary import PROTOCOLS, file_url, run_captured
from talkhead_cli.formats import MUXERS
from talkhead_cli.paths import temporary_beside
from talkhead_cli.reading import (
    MAX_BLOCK,
    duration_of,
    input_options,
    probe_media,
    reading_command,
    without_levels,
)
from talkhead_cli.sound import audio_arguments, encoded_arguments
from talkhead_cli.watchdog import run_watched

if TYPE_CHECKING:
    from talkhead_cli.marking.stamp import Stamp

log = logging.getLogger(__name__)

LISTENING_SECONDS = 600
"""To decode the sound of a finished video: hours of it, on a slow machine."""

MAX_OVERHANG_SECONDS = 0.1
"""Audio that is this much longer than the video was stored with the wrong time stamps."""


def with_global_options(command: list[str], further: Sequence[str] = ()) -> list[str]:
    """The command with the options that every run of ours has."""
    usual = ["-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-max_alloc", str(MAX_BLOCK)]
    given = [os.fsdecode(text.encode("latin-1")) if is_url(text) else text for text in command[1:]]
    return [command[0], *usual, *further, *given]


def builder_url(path: Path) -> str:
    """A path as ffmpeg-python takes it, which wants text: each byte as a character; `with_global_options` undoes it."""
    return os.fsencode(file_url(path)).decode("latin-1")


def is_url(text: str) -> bool:
    """Whether an argument was made by `builder_url`: nothing else of ours begins so."""
    return text.startswith("file:")


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
    # The one list of files that is read; its own safety check refuses names that are not plain.
    pictures = builder.input(
        builder_url(names),
        format="concat",
        protocol_whitelist=PROTOCOLS,
        format_whitelist="concat,mov,matroska",
    )
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
        streams.append(builder.input(builder_url(audio), **input_options())["a:0"])
        info = probe_media(audio, ffmpeg)
        options.update(audio_arguments(info.audio_codec, info.audio_rate, muxer))
    command = builder.output(*streams, builder_url(target), **options).compile(ffmpeg)
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
    audio: Path | None,
    seconds: Fraction,
    ffmpeg: str,
    name: str,
    stamp: Stamp | None = None,
) -> None:
    """Encode the audio anew where a copy of it is damaged, or longer than the video: its time stamps have gaps.

    Args:
        path: the video, which is replaced.
        audio: where its sound comes from; None where it came through a pipe and only the copy is left.
        seconds: length of the pictures.
        ffmpeg: to run.
        name: of the output, for messages.
        stamp: whose tags the file carries.

    Raises:
        MediaError: ffmpeg failed.
    """
    import ffmpeg as builder

    told = listen(path)
    late = audio is not None and (duration_of(told) or 0.0) > seconds + MAX_OVERHANG_SECONDS
    if not late and not damaged(told):
        return
    muxer = MUXERS[path.suffix.lower()]
    log.info("%s: damaged, or time stamps with gaps, so that the audio is encoded anew", audio)
    pictures = builder.input(builder_url(path), **input_options())["v:0"]
    source = builder.input(builder_url(audio or path), **input_options())["a:0"]
    options: dict[str, Any] = {"vcodec": "copy", **laid_out(muxer, stamp)}
    options.update(encoded_arguments(probe_media(audio or path, ffmpeg).audio_rate, muxer))
    mended = temporary_beside(path)
    try:
        output = builder.output(pictures, source, builder_url(mended), map_metadata=-1, **options)
        command = with_global_options(output.compile(ffmpeg))
        run_quietly(command, f"{name}: the audio could not be encoded")
        mended.replace(path)
    finally:
        mended.unlink(missing_ok=True)


def listen(path: Path) -> str:
    """What ffmpeg prints about a file and while it decodes its sound, which takes a thousandth of its length."""
    command = reading_command(path, "-nostats", "-loglevel", "level+info")
    text = run_captured([*command, "-map", "0:a:0?", "-f", "null", "-"], LISTENING_SECONDS)
    return without_levels(text)


def damaged(text: str) -> bool:
    """Whether sound could not be decoded, by what `listen` was told."""
    return re.search(r"^(\[[^\]]*\] )*\[(error|fatal)\] ", text, re.MULTILINE) is not None


def run_quietly(command: list[str], problem: str) -> None:
    """Run ffmpeg to its end.

    Raises:
        MediaError: it failed; the message is the problem with its last line.
    """
    try:
        result = run_watched(command, problem)
    except OSError as error:
        raise MediaError(f"{problem}: {command[0]} cannot be run ({error.strerror})") from error
    text = result.stderr.decode("utf-8", "replace")
    if "No space left on device" in text:
        raise DiskFull(f"{problem}: the disk is full; free some space and render again")
    if result.returncode != 0:
        raise MediaError(f"{problem} ({''.join(text.strip().splitlines()[-1:])})")
