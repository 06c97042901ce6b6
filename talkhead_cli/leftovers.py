"""Temporary files: held by a lock while their process lives, so that the next run can tell which ones are left over.

A process that is killed cannot clean up after itself. The system gives its locks back, and what no lock holds is
nobody's any more.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import threading
from contextlib import suppress
from pathlib import Path

PREFIX = ".talkhead-tmp-"
"""Beside outputs."""

PRIVATE_PREFIX = "talkhead-tmp-"
"""In the system's folder for temporary files."""

NAME = re.compile(r"\.?talkhead-tmp-[a-z0-9_]{8}(\.\w{1,8})?")
"""What `tempfile` makes of the prefixes."""

_held: dict[Path, int] = {}
"""Temporary files of this process and the descriptors that hold them."""

_changing = threading.Lock()


def hold(path: Path) -> bool:
    """Hold a new temporary file or folder of ours until it is gone or renamed, or this process ends.

    File systems without locks hold nothing, and let nothing be removed either.

    Returns:
        False where another process took it for a leftover before it was held: a new one is to be made.
    """
    with _changing:
        for other in [other for other in _held if not is_there(other, _held[other])]:
            os.close(_held.pop(other))
        try:
            descriptor = take(path)
        except BlockingIOError:
            return False
        if descriptor is None:
            return path.exists()
        if not is_there(path, descriptor):
            os.close(descriptor)
            return False
        _held[path] = descriptor
        return True


def let_go(path: Path) -> None:
    """Hold a temporary file no longer; harmless for what is not held."""
    with _changing:
        if (descriptor := _held.pop(path, None)) is not None:
            os.close(descriptor)


def take(path: Path) -> int | None:
    """A descriptor that locks a file or folder; None where it cannot be locked at all.

    Raises:
        BlockingIOError: somebody else holds it.
    """
    try:
        import fcntl

        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def is_there(path: Path, descriptor: int) -> bool:
    """Whether a path still leads to the file of a descriptor."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files and folders that killed processes have left in a folder; what is in use stays."""
    with suppress(OSError):
        for path in [path for path in folder.iterdir() if NAME.fullmatch(path.name)]:
            with suppress(OSError):
                status = path.lstat()
                mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
                kind = stat.S_IFMT(status.st_mode)
                if mine and kind in (stat.S_IFREG, stat.S_IFDIR):
                    remove_if_free(path)


def remove_if_free(path: Path) -> None:
    """Remove a temporary file or folder.

    Raises:
        BlockingIOError: somebody holds it.
    """
    descriptor = take(path)
    if descriptor is None:
        return
    try:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
