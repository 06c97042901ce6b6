"""Everything talkhead raises on purpose, with the exit code of the command line.

TalkheadError
├── UsageError             2   an option out of range, or options that contradict each other
├── InputError             3   a file or folder given cannot be used
│   ├── NoFaceError        3   no face that can be animated
│   ├── AudioError         3   no speech that can be used
│   └── BatchFileError     3   a manifest that cannot be used
├── PresetError            4   a preset is unknown or holds a wrong key or value
├── WeightsError           5   a weight bundle is missing or damaged
├── MediaError             6   ffmpeg is missing, failed or hung
│   └── DiskFull           6   there is no room where something is to be written
└── DeviceError            7   there is no such device
    └── OutOfMemory        7   it has too little memory

Messages are one sentence that says what, which file, and what to do next. Every class takes the message as its only
argument, so that errors survive the way back from a worker process.
"""

from __future__ import annotations

import errno
from pathlib import Path

EXIT_DONE = 0
EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_INPUT = 3
EXIT_PRESET = 4
EXIT_WEIGHTS = 5
EXIT_MEDIA = 6
EXIT_DEVICE = 7
EXIT_ROWS_FAILED = 8
EXIT_UNMARKED = 9
"""Of `talkhead verify`: a file that can be read, without all of its marks."""
EXIT_INTERRUPTED = 130


class TalkheadError(Exception):
    """Base of all errors that are the user's to mend; never raised itself."""

    exit_code = EXIT_BUG


class UsageError(TalkheadError):
    """An option is out of range, or options contradict each other."""

    exit_code = EXIT_USAGE


class InputError(TalkheadError):
    """A file or folder that was given cannot be used."""

    exit_code = EXIT_INPUT


class NoFaceError(InputError):
    """The portrait shows no face that can be animated."""


class AudioError(InputError):
    """The audio file holds no speech that can be used."""


class BatchFileError(InputError):
    """A batch manifest cannot be used."""


class PresetError(TalkheadError):
    """A preset is unknown, or holds a wrong key or value."""

    exit_code = EXIT_PRESET


class WeightsError(TalkheadError):
    """A weight bundle is missing, damaged or tampered with."""

    exit_code = EXIT_WEIGHTS


class MediaError(TalkheadError):
    """ffmpeg is missing or failed."""

    exit_code = EXIT_MEDIA


class DiskFull(MediaError):
    """There is no room left where something is to be written."""


class DeviceError(TalkheadError):
    """The device asked for does not exist or ran out of memory."""

    exit_code = EXIT_DEVICE


class OutOfMemory(DeviceError):
    """The device has too little memory."""


FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says when a disk, or a user's share of it, is full."""

NO_MEMORY = ("can't allocate memory", "Insufficient memory", "bad_alloc", "Cannot allocate memory")
"""What torch, OpenCV, C++ and the system say when there is no memory."""


def write_error(
    path: Path | str, error: OSError, what: str = "cannot be written", remedy: str = ""
) -> TalkheadError:
    """The error for something that could not be written.

    Args:
        path: of the file or folder.
        error: the system's.
        what: could not be done, where it is not for want of room.
        remedy: further words for that, with what they begin with.
    """
    if error.errno in FULL:
        return DiskFull(f"{path}: the disk is full; free some space and try again")
    if error.errno == errno.EFBIG:
        return MediaError(
            f"{path}: would become larger than its file system or a limit (ulimit -f) allows; write it elsewhere"
        )
    return InputError(f"{path}: {what} ({error.strerror}){remedy}")


def known_error(error: BaseException) -> TalkheadError | None:
    """What an error from below means to the user, where that is plain whatever was being done; else None."""
    if isinstance(error, OSError) and error.errno in FULL:
        return DiskFull(
            f"{error.filename or 'the temporary folder'}: the disk is full; free some space and try again"
        )
    if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
        return OutOfMemory(
            "the machine ran out of memory; close other programs, or give a smaller --size or fewer --workers"
        )
    return None
