"""One run an output folder: locks that the system lets go of when a process ends, however it ends."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from talkhead_cli.errors import InputError, TalkheadError, write_error

RUN_LOCK = "lock"
"""Held by the run alone; says who it is."""

WORKERS_LOCK = "workers.lock"
"""Shared by the run's workers: free only when the last of them has ended."""

GLANCE_SECONDS = 1.0
"""How long a lock may look taken because somebody else looks whether it is."""

ORPHAN_SECONDS = 60.0
"""How long workers of a killed run may take to end; they look for their parent twice a second."""

PAUSE_SECONDS = 0.05

_held: list[IO[str]] = []
"""Locks of this process that only its end gives back."""


@dataclass(frozen=True)
class Holder:
    """Who holds a folder.

    Attributes:
        pid: of the process.
        host: its machine.
        started: when, in seconds since 1970.
    """

    pid: int
    host: str
    started: float


class RunLock:
    """Makes sure that nothing else writes into a run's folder; a context manager.

    Args:
        folder: the run's folder; it must exist.
        out_dir: what the folder belongs to, for messages.
    """

    def __init__(self, folder: Path, out_dir: Path) -> None:
        self.folder = folder
        self.out_dir = out_dir
        self._file: IO[str] | None = None

    def __enter__(self) -> RunLock:
        """Take the lock, and wait until workers of a killed run have ended.

        Raises:
            InputError: another run holds it, or its workers do not end, or the folder cannot be locked.
        """
        file = open_lock(self.folder / RUN_LOCK)
        try:
            if not wait_for(file, GLANCE_SECONDS):
                raise InputError(f"{self.out_dir}: {describe(read_holder(file))}")
            if not same_file(file, self.folder / RUN_LOCK):
                raise InputError(f"{self.out_dir}: was removed by another batch; try again")
            self._wait_for_workers()
            file.truncate(0)
            try:
                holder = Holder(os.getpid(), socket.gethostname(), time.time())
                # Not by way of the buffer, which would be written again, and fail again, when the file is closed.
                os.write(file.fileno(), json.dumps(asdict(holder)).encode())
            except OSError as error:
                raise write_error(self.folder / RUN_LOCK, error) from error
        except BaseException:
            file.close()
            raise
        self._file = file
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _wait_for_workers(self) -> None:
        with open_lock(self.folder / WORKERS_LOCK) as file:
            if not wait_for(file, ORPHAN_SECONDS):
                raise InputError(
                    f"{self.out_dir}: workers of an earlier batch are still running; try again when they have ended"
                )


def hold_as_worker(folder: Path) -> None:
    """Hold a run's folder until this process ends; what cannot be locked is not.

    Args:
        folder: the run's folder.
    """
    import fcntl

    # The run itself holds its lock; this one only guards against its violent end, so that it may be missing.
    with suppress(TalkheadError, OSError), ExitStack() as stack:
        file = stack.enter_context(open_lock(folder / WORKERS_LOCK))
        fcntl.flock(file, fcntl.LOCK_SH)
        _held.append(file)
        stack.pop_all()


def find_holder(folder: Path) -> Holder | None:
    """Who is rendering into an output folder at this moment, None where nobody is.

    Args:
        folder: the run's folder.
    """
    import fcntl

    try:
        with (folder / RUN_LOCK).open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return read_holder(file)
    except OSError:
        pass
    return None


def open_lock(path: Path) -> IO[str]:
    """A lock's file, made where it is missing.

    Raises:
        InputError: it cannot be written.
    """
    try:
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise write_error(path, error, remedy="; choose another --out-dir") from error


def wait_for(file: IO[str], seconds: float) -> bool:
    """Try to hold a file alone for some time; whether that worked.

    Raises:
        InputError: this file system knows no locks.
    """
    import fcntl

    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSE_SECONDS)
        except OSError as error:
            raise InputError(
                f"{file.name}: cannot be locked ({error.strerror}); choose an --out-dir on another file system"
            ) from error
        else:
            return True


def same_file(file: IO[str], path: Path) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def read_holder(file: IO[str]) -> Holder | None:
    """Who wrote into a lock's file."""
    try:
        file.seek(0)
        return Holder(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None  # it is just being written


def describe(holder: Holder | None) -> str:
    """One sentence on who else is there."""
    who = f"process {holder.pid} on {holder.host}" if holder else "another process"
    return f"{who} is rendering a batch into this folder; wait until it has ended, or choose another --out-dir"
