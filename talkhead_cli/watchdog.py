"""An ffmpeg that hangs is ended, and the error says so; one that is slow, paused or held up by others is left alone.

It is watched only while somebody waits for it: a live stream whose sound is silent expects nothing of it.
"""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Any

from talkhead_cli.errors import MediaError
from talkhead_cli.patience import PATIENCE_VARIABLE, Patience, ffmpeg_patience

log = logging.getLogger(__name__)

UNABLE = (126, 127)
"""What shells and loaders end with that cannot run a program."""

REMEDY = (
    f"try again, reinstall ffmpeg if it does so once more, or give a slow disk more time with {PATIENCE_VARIABLE} "
    "(seconds)"
)


def never() -> bool:
    """Somebody who is always to blame."""
    return False


class Watch:
    """Watches a process of ffmpeg while somebody waits for it, and ends it when it hangs; a context manager.

    Args:
        process: started as the first of a session.
        blameless: whether somebody else holds it up at the moment.

    Raises:
        UsageError: the patience that is asked for is none.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], blameless: Callable[[], bool] = never
    ) -> None:
        self._process = process
        self._blameless = blameless
        self._patience = Patience(ffmpeg_patience())
        self._waiting = False
        self._waits = 0
        self._ended = threading.Event()
        self._hung = ""
        self._thread = threading.Thread(target=self._watch, name="talkhead-watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def waiting(self) -> Waiting:
        """Enter this for as long as something is waited for; every time that ends, ffmpeg has got on."""
        return Waiting(self)

    def wait(self, name: object, signals: bool = True) -> int:
        """Wait until it has ended; its exit status.

        Args:
            name: of what it was reading or writing, for messages.
            signals: being killed by one is an error.

        Raises:
            MediaError: it hung, or was killed.
        """
        with self.waiting:
            code = self._process.wait()
        if self._hung and code != 0:
            raise MediaError(f"{name}: {self._hung}")
        if code < 0 and signals:
            raise MediaError(f"{name}: ffmpeg was killed by signal {-code}; try again")
        if code in UNABLE and signals:
            raise MediaError(f"{name}: ffmpeg cannot be run (exit status {code}): reinstall ffmpeg")
        return code

    def _watch(self) -> None:
        patience = self._patience
        while not self._ended.wait(patience.step):
            idle = not self._waiting or self._blameless()
            if patience.is_over(self._process.pid, self._waits, idle):
                self._hung = say_hung(patience)
                log.debug("%s: %s", self._process.args, self._hung)
                end_process(self._process)
                return


class Waiting:
    """The time that somebody waits for a watched process."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __enter__(self) -> None:
        self._watch._waiting = True

    def __exit__(self, *_: object) -> None:
        self._watch._waiting = False
        self._watch._waits += 1


def say_hung(patience: Patience) -> str:
    """What is wrong with an ffmpeg that was waited for long enough."""
    return f"ffmpeg hung: it had {patience.describe()} and was ended; {REMEDY}"


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all of its session: a script in ffmpeg's place may have started the real one."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def start_ffmpeg(
    command: Sequence[str], stdin: int, stdout: int, errors: IO[bytes] | int, **options: Any
) -> subprocess.Popen[bytes]:
    """Start ffmpeg in a session of its own: Ctrl-C in the terminal must reach us and not it, which would finish.

    Args:
        command: its arguments, itself the first.
        stdin: as `subprocess.Popen` takes it.
        stdout: likewise.
        errors: where its standard error goes.
        options: further ones of `subprocess.Popen`.

    Raises:
        MediaError: it cannot be run.
    """
    pipes: dict[str, Any] = {"stdin": stdin, "stdout": stdout, "stderr": errors}
    try:
        return subprocess.Popen(command, start_new_session=True, **pipes, **options)
    except OSError as error:
        raise MediaError(
            f"{command[0]} cannot be run ({error.strerror}): reinstall ffmpeg"
        ) from error


def read_output(watch: Watch, stream: IO[bytes], num_bytes: int, name: object) -> Iterator[bytes]:
    """What ffmpeg writes to its standard output, to its end.

    Args:
        watch: of the process.
        stream: its standard output; it is closed.
        num_bytes: to read at once.
        name: of what it reads, for messages.

    Raises:
        MediaError: it was killed, or hung.
    """
    with stream:
        while True:
            with watch.waiting:
                data = stream.read(num_bytes)
            if not data:
                break
            yield data
    watch.wait(name)


def run_watched(
    command: Sequence[str], name: object, *, merged: bool = False, seconds: float = math.inf
) -> subprocess.CompletedProcess[bytes]:
    """Run ffmpeg to its end, and keep what it says.

    Args:
        command: its arguments, itself the first.
        name: of what it reads or writes, for messages.
        merged: standard error goes where standard output goes.
        seconds: that it may take although it works; who did nothing all that time hung.

    Raises:
        MediaError: it hung.
        OSError: it cannot be run.
        subprocess.TimeoutExpired: it took longer than `seconds`.
    """
    patience = Patience(min(ffmpeg_patience(), seconds))
    spent = 0.0
    # A session of its own: Ctrl-C in the terminal must not end it under a batch's row that is to be finished.
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merged else subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            while True:
                try:
                    out, err = process.communicate(timeout=patience.step)
                    break
                except subprocess.TimeoutExpired:
                    spent += patience.step
                    if patience.is_over(process.pid, None):
                        raise MediaError(f"{name}: {say_hung(patience)}") from None
                    if spent > seconds:
                        raise
        except BaseException:
            end_process(process)
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def is_full(descriptor: int) -> bool:
    """Whether who reads a pipe does not, so that who writes to it has to wait; files are never full."""
    if not hasattr(select, "poll"):
        return True  # nobody can tell
    asked = select.poll()
    asked.register(descriptor, select.POLLOUT)
    return not asked.poll(0)
