"""Reading marks back from files that may come from anywhere.

What a file is is told by its first bytes, never by its name; ffmpeg is told which demuxer to take, so that no playlist
is followed. Nothing is decoded here, and nothing is read without a limit.
"""

from __future__ import annotations

import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

from talkhead_cli.errors import InputError, MediaError
from talkhead_cli.ffmpeg_binary import ffmpeg_path, file_url
from talkhead_cli.marking.limits import MAX_TAG_BYTES, READ_SECONDS, MarkError

Kind = Literal["mov", "matroska", "png"]
"""Of a file; the first two are ffmpeg's names of their demuxers."""

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
EBML_MAGIC = b"\x1aE\xdf\xa3"
FIRST_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"mdat", b"wide", b"free", b"skip"})

SECTION = "["
COMMENT = ";"


def kind_of(path: Path) -> Kind:
    """What a file is.

    Raises:
        InputError: it cannot be read, or is none of the kinds that talkhead writes.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: is not a regular file; give a video or a picture")
        with path.open("rb") as file:
            head = file.read(16)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot be read ({reason})") from error
    if head.startswith(PNG_MAGIC):
        return "png"
    if head.startswith(EBML_MAGIC):
        return "matroska"
    if head[4:8] in FIRST_BOXES:
        return "mov"
    raise InputError(f"{path}: is no MP4, QuickTime, Matroska, WebM or PNG file; give one of these")


def read_tags(path: Path, kind: Kind) -> dict[str, str]:
    """A file's own tags, names in small letters.

    Raises:
        InputError: it is damaged.
        MediaError: ffmpeg cannot be run.
        MarkError: the tags are more than any file has.
    """
    if kind == "png":
        return {key.lower(): value for key, value in picture_texts(path).items()}
    command = [ffmpeg_path(), "-hide_banner", "-nostdin", "-loglevel", "error"]
    command += ["-protocol_whitelist", "file", "-f", kind, "-i", file_url(path)]
    command += ["-map_chapters", "-1", "-map_metadata", "0", "-bitexact", "-f", "ffmetadata", "-"]
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                timeout=READ_SECONDS,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{path}: cannot be read within {READ_SECONDS:.0f} s") from error
        except OSError as error:
            raise MediaError(f"{command[0]} cannot be run ({error.strerror})") from error
        output.seek(0)
        text = output.read(MAX_TAG_BYTES + 1)
    if done.returncode != 0:
        raise InputError(f"{path}: is damaged: ffmpeg cannot read its header; make it anew")
    if len(text) > MAX_TAG_BYTES:
        raise MarkError("there are more tags than are read")
    return parse_tags(text.decode("utf-8", "replace"))


def parse_tags(text: str) -> dict[str, str]:
    """The global tags of what ffmpeg's muxer ffmetadata has written, names in small letters.

    It escapes `=`, `;`, `#`, a backslash and line breaks by a backslash before them.
    """
    found: dict[str, str] = {}
    for line in logical_lines(text):
        if line.startswith(SECTION):
            break
        if line and not line.startswith(COMMENT):
            key, value = split_tag(line)
            found[key.lower()] = value
    return found


def logical_lines(text: str) -> list[str]:
    """Lines that end where a line break is not escaped; escapes are left in."""
    lines: list[str] = []
    held: list[str] = []
    for line in text.split("\n"):
        held.append(line)
        if (len(line) - len(line.rstrip("\\"))) % 2 == 0:
            lines.append("\n".join(held))
            held = []
    return [*lines, "\n".join(held)]


def split_tag(line: str) -> tuple[str, str]:
    """Name and value of a tag, without escapes."""
    parts: list[list[str]] = [[]]
    characters = iter(line)
    for character in characters:
        if character == "\\":
            parts[-1].append(next(characters, ""))
        elif character == "=" and len(parts) == 1:
            parts.append([])
        else:
            parts[-1].append(character)
    key, value = ("".join(part) for part in (*parts, [])[:2])
    return key, value


def picture_texts(path: Path) -> dict[str, str]:
    """Keyword to text of a PNG picture's text chunks that stand before its pixels.

    Raises:
        InputError: it is damaged.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return {
                key: str(value) for key, value in picture.info.items() if isinstance(value, str)
            }
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: is damaged: its header cannot be read; make it anew") from error
