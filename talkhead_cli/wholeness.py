"""Whether a video that ffmpeg says is finished really is: encoders, disks and ffmpeg itself have been known to lie.

Only the frame of the file is read, not the pictures: a few kilobytes, whatever its length.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from talkhead_cli.errors import MediaError
from talkhead_cli.marking.boxes import read_boxes
from talkhead_cli.marking.limits import MarkError

MP4_SUFFIXES = (".mp4", ".mov", ".m4v")
NESTED = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
"""Boxes on the way to the sizes of the pictures."""

SEGMENT = 0x18538067
"""Matroska's element that holds all but the header."""


def check_whole(file: Path, name: object, num_frames: int) -> None:
    """Insist that a file is not cut off, and in MP4 and QuickTime that it holds every picture.

    Args:
        file: just written by ffmpeg; its suffix tells the container.
        name: of the output, for messages.
        num_frames: that it must hold.

    Raises:
        MediaError: it does not.
    """
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        if file.suffix.lower() in MP4_SUFFIXES:
            found = count_pictures(stream, size)
        else:
            found = num_frames if is_whole_matroska(stream, size) else None
    if found is None:
        raise MediaError(
            f"{name}: ffmpeg said it was done and left a file that is cut off; try again"
        )
    if found != num_frames:
        raise MediaError(
            f"{name}: ffmpeg said it was done and left {found} of {num_frames} frames; try again"
        )


def count_pictures(stream: BinaryIO, size: int) -> int | None:
    """Pictures of an MP4 file's first video; None where the file is cut off or has none."""
    try:
        kinds = {box.kind for box in read_boxes(stream, 0, size)}
        counts = count_samples(stream, 0, size) if b"mdat" in kinds else []
    except MarkError:
        return None
    return counts[0] if counts else None


def count_samples(stream: BinaryIO, start: int, end: int, video: bool = False) -> list[int]:
    """Samples of each video track between two places of an MP4 file."""
    found: list[int] = []
    for box in read_boxes(stream, start, end):
        if not box.size:
            raise MarkError("a box without a size: whoever wrote it did not come to its end")
        kind, begin = box.kind, box.start + box.header
        if kind == b"hdlr":
            stream.seek(begin + 8)
            video = video or stream.read(4) == b"vide"  # QuickTime has a second one further in
        elif kind == b"stsz" and video:
            stream.seek(begin + 8)
            found.append(int.from_bytes(stream.read(4), "big"))
        elif kind in NESTED:
            found += count_samples(stream, begin, box.start + box.size, video)
    return found


def is_whole_matroska(stream: BinaryIO, size: int) -> bool:
    """Whether a Matroska or WebM file reaches as far as its elements say."""
    place, seen = 0, set()
    while place < size:
        stream.seek(place)
        head = stream.read(12)
        width = 9 - head[0].bit_length()
        if width > 4 or len(head) <= width or not head[width]:
            return False
        length = 9 - head[width].bit_length()
        body = int.from_bytes(head[width : width + length], "big") & ((1 << 7 * length) - 1)
        seen.add(int.from_bytes(head[:width], "big"))
        if (
            body == (1 << 7 * length) - 1
        ):  # of unknown length: whoever wrote it did not come to its end
            return False
        place += width + length + body
    return place == size and SEGMENT in seen
