"""Whether inputs are still what they were: a video of one half of each of two recordings is nobody's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from talkhead_cli.errors import InputError, TalkheadError

Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds of a file."""


def read_stamps(paths: Iterable[Path | str]) -> dict[str, Stamp]:
    """The stamps of files by path; what is no regular file, or cannot be opened, has none."""
    found: dict[str, Stamp] = {}
    for path in map(str, paths):
        stamp = read_stamp(path)
        if stamp is not None:
            found[path] = stamp
    return found


def read_stamp(path: str) -> Stamp | None:
    """A file's stamp; it is opened for that, since servers only then tell for certain."""
    try:
        # Not for a pipe: who writes to it would take us for its reader.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            return None
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def check_unchanged(stamps: Mapping[str, Stamp], since: str) -> None:
    """Insist that files are what they were.

    Args:
        stamps: of the files, by path.
        since: when that was, in words.

    Raises:
        InputError: one has changed or is gone.
    """
    for path, stamp in stamps.items():
        now = read_stamp(path)
        if now != stamp:
            how = "is gone" if now is None else "has changed"
            raise InputError(f"{path}: {how} since {since}; render again when it stays as it is")


@contextmanager
def unless_changed(stamps: Mapping[str, Stamp], since: str) -> Iterator[None]:
    """Blame what goes wrong on a file that has changed, where one has; see `check_unchanged`.

    Raises:
        InputError: one has.
    """
    try:
        yield
    except TalkheadError:
        check_unchanged(stamps, since)
        raise
