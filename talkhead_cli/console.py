"""What reaches the terminal: one console on standard error, results alone on standard output.

A `Reporter` is the one sink of a command. It takes events (dictionaries with an "event" key) and shows them as its mode
says: a progress bar and short notes for people, one JSON object a line for programs, or nothing.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from talkhead_cli.result import RenderResult

log = logging.getLogger(__name__)

Event = dict[str, Any]
OnEvent = Callable[[Event], None]
Mode = Literal["human", "json", "quiet"]

DEBUG_VARIABLE = "TALKHEAD_DEBUG"


def debugging() -> bool:
    """Whether the user wants traces and the raw output of native libraries."""
    return os.environ.get(DEBUG_VARIABLE, "") not in {"", "0"}


def error_console() -> Console:
    """A console on standard error; it follows `sys.stderr` when that is replaced."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False)


def write_result(text: str) -> None:
    """One line of result on standard output; a path that is no text is written as the bytes that it is.

    A terminal gets no control characters; programs get paths as they are.
    """
    if sys.stdout.isatty():
        text = "\n".join(map(printable, text.split("\n")))
    try:
        sys.stdout.write(text + "\n")
    except UnicodeEncodeError:
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(text + "\n"))
    sys.stdout.flush()


def write_json(value: object) -> None:
    """One JSON object on one line of standard output; what is no text in a path is escaped."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(value, default=str)
    write_result(text)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on standard output; columns without any heading get no heading line."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(printable(title)) if title else None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        show_header=any(columns),
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # As text: paths may look like markup.
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # no wrapping in logs and pipes
    console.print(table)


def printable(text: str) -> str:
    """A text without control characters: file names may hold any, and logs and terminals obey them."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def write_message(text: str) -> None:
    """One line on standard error, as plain text, so that paths are never taken for markup."""
    lines = text.expandtabs().split("\n")
    sys.stderr.write("\n".join(map(printable, lines)) + "\n")
    sys.stderr.flush()


def setup_logging(verbose: bool = False) -> None:
    """Send log records to standard error: ours from INFO when verbose, warnings otherwise."""
    logging.captureWarnings(True)
    root = logging.getLogger()
    for handler in [item for item in root.handlers if isinstance(item, StderrHandler)]:
        root.removeHandler(handler)
    handler = StderrHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    # Other libraries' warnings are about their own code; a user of ours can do nothing about them.
    root.setLevel(logging.INFO if verbose else logging.ERROR)
    own = logging.DEBUG if debugging() else logging.INFO if verbose else logging.WARNING
    for name in ("talkhead_cli", "talkhead_models"):
        logging.getLogger(name).setLevel(own)


class StderrHandler(logging.Handler):
    """Writes to whatever `sys.stderr` is at that moment, so that silencing the native one does not lose records."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            write_message(self.format(record))
        except (OSError, ValueError):
            self.handleError(record)


_native_lock = threading.RLock()
_native_depth = 0


@contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Keep what C++ libraries write to file descriptor 2 out of the terminal; our own standard error keeps working.

    What they wrote goes to the debug log. Nested use is harmless. With TALKHEAD_DEBUG set nothing is silenced, so that
    a crash inside a library can be read.
    """
    global _native_depth
    with _native_lock:
        if debugging() or _native_depth or not _is_open(2):
            yield
            return
        _native_depth += 1
        try:
            with _descriptor_two_redirected():
                yield
        finally:
            _native_depth -= 1


@contextmanager
def _descriptor_two_redirected() -> Iterator[None]:
    saved = os.dup(2)
    own: TextIO | None = None
    previous = sys.stderr
    with tempfile.TemporaryFile() as sink:
        try:
            if _writes_to(previous, 2):
                previous.flush()
                own = os.fdopen(
                    os.dup(saved), "w", encoding="utf-8", errors="backslashreplace", buffering=1
                )
                sys.stderr = own
            os.dup2(sink.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            if own is not None:
                if sys.stderr is own:
                    sys.stderr = previous
                own.close()
            sink.seek(0)
            for line in sink.read().decode("utf-8", "replace").splitlines():
                log.debug("native: %s", line)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _writes_to(stream: TextIO | None, descriptor: int) -> bool:
    try:
        return stream is not None and stream.fileno() == descriptor
    except (OSError, ValueError, AttributeError):
        return False


class Reporter:
    """Shows the events of one command; a context manager, since it owns the progress bar."""

    def __init__(self, mode: Mode = "human", verbose: bool = False) -> None:
        self.mode = mode
        self.verbose = verbose
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the progress bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self.mode == "json":
            write_json(event)
        elif self.mode == "human":
            self._show(event)

    def _show(self, event: Event) -> None:
        kind = event["event"]
        if kind == "progress":
            self._advance(event)
        elif kind == "warning":
            self.note(f"warning: {event['message']}")
        elif kind in {"done", "error"}:
            self.close()
        elif self.verbose:
            values = (f"{key}={value}" for key, value in event.items() if key != "event")
            self.note(f"{kind}: {' '.join(values)}")

    def finish_render(self, result: RenderResult) -> None:
        """The result of a render: its path on standard output, what was made on standard error."""
        made = (
            f"{result.num_frames} frames of {result.width}x{result.height} at {float(result.fps):g} frames/s, "
            f"{result.duration_seconds:.2f} s of speech"
        )
        if result.dry_run:
            return self.note(f"ready: would make {made}")
        if result.output is None:
            return self.note(f"{made}; in {result.elapsed_seconds:.1f} s")
        self.note(
            f"{made}; made in {result.elapsed_seconds:.1f} s, {result.frames_per_second:.1f} frames/s"
        )
        if self.mode == "human":
            write_result(str(result.output))
        return None

    def note(self, text: str) -> None:
        """A short line for people; nothing in the other modes."""
        if self.mode == "human":
            write_message(text)

    def _advance(self, event: Event) -> None:
        if not sys.stderr.isatty():
            return
        if self._progress is None:
            self._progress = make_progress()
            self._task = self._progress.add_task("rendering", total=event["num_frames"], rate="")
            self._progress.start()
        assert self._task is not None
        rate = f"{event['frames_per_second']:.1f} frames/s"
        self._progress.update(self._task, completed=event["frames"], rate=rate)


def make_progress() -> Progress:
    """A progress bar with frames, frames/s and time left, on standard error."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=error_console(), transient=True)
