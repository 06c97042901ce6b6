"""What is known of a run that goes on, folded from its events; its size does not grow with the number of rows."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from talkhead_cli.console import Event
from talkhead_cli.console import printable as printable

KEPT_FINISHED = 50
"""Other finished rows that are remembered: more than any terminal shows."""

KEPT_FAILURES = 50
"""Failed rows that are remembered with their message; all are in the results."""


@dataclass(frozen=True)
class Finished:
    """A row that ended.

    Attributes:
        row: its number.
        output: the video, as shown.
        state: "done", "failed" or "lost".
        text: what was made, or what went wrong.
    """

    row: int
    output: str
    state: str
    text: str


@dataclass
class Board:
    """A run at a glance.

    Attributes:
        manifest: as shown.
        out_dir: as shown.
        where: workers and devices, in words.
        rows: in the manifest.
        to_do: rows that this run has or had to render.
        skipped: rows done by an earlier run.
        done: rows rendered by this run.
        failed: rows that cannot be rendered.
        running: what is known of each running row, keys of `Status`, by row.
        frames_per_second: of all workers together.
        seconds_left: until the end; None while unknown.
        finished: the last rows that ended without failing.
        failures: the last rows that failed.
        checked: files looked at before the run, and their number.
        stopping: "" or what the run is doing about a signal.
    """

    manifest: str = ""
    out_dir: str = ""
    where: str = ""
    rows: int = 0
    to_do: int = 0
    skipped: int = 0
    done: int = 0
    failed: int = 0
    running: dict[int, Event] = field(default_factory=dict)
    frames_per_second: float = 0.0
    seconds_left: float | None = None
    finished: deque[Finished] = field(default_factory=lambda: deque(maxlen=KEPT_FINISHED))
    failures: deque[Finished] = field(default_factory=lambda: deque(maxlen=KEPT_FAILURES))
    checked: tuple[int, int] = (0, 0)
    stopping: str = ""
    _outputs: dict[int, str] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """Rows that this run has no more to do with."""
        return self.done + self.failed

    @property
    def waiting(self) -> int:
        """Rows that have not been started."""
        return max(0, self.to_do - self.ended - len(self.running))

    def take(self, event: Event) -> Finished | None:
        """Take in one event; the row that ended with it, if one did."""
        kind = event["event"]
        if kind == "batch_start":
            self._begin(event)
        elif kind == "batch_check":
            self.checked = event["checked"], event["files"]
        elif kind == "batch_progress":
            self._progress(event)
        elif kind == "row":
            return self._row(event)
        return None

    def output_of(self, row: int) -> str:
        """The output of a running row, as shown; "" where it is not known."""
        return self._outputs.get(row, "")

    def _begin(self, event: Event) -> None:
        self.out_dir = str(event["out_dir"])
        self.rows, self.to_do = event["rows"], event["to_do"]
        self.skipped = event["skipped"]
        self.where = where(event)
        self.seconds_left = event.get("estimate_seconds")

    def _progress(self, event: Event) -> None:
        self.done, self.failed = event["done"], event["failed"]
        self.to_do = event.get("to_do", self.to_do)
        self.running = {status["row"]: status for status in event["running"]}
        self.frames_per_second = event["frames_per_second"] or 0.0
        # An estimate that is used up before anything could be measured says nothing.
        self.seconds_left = event["seconds_left"] or None

    def _row(self, event: Event) -> Finished | None:
        row, state = event["row"], event["state"]
        output = self.relative(event.get("output") or "")
        if state in {"skipped", "waiting"}:
            return None
        if state == "running":
            self._outputs[row] = output
            self.running.setdefault(row, {**event, "stage": "start"})
            return None
        self.running.pop(row, None)
        self._outputs.pop(row, None)
        ended = Finished(row, output, state, made_words(event) if state == "done" else why(event))
        self.done += state == "done"
        self.failed += state == "failed"
        (self.failures if state == "failed" else self.finished).append(ended)
        return ended

    def relative(self, output: str) -> str:
        """An output as people know it: within the output folder, safe to print."""
        path = Path(output)
        if self.out_dir:
            for folder in (Path(self.out_dir), Path(self.out_dir).absolute()):
                if path.is_relative_to(folder):
                    return printable(str(path.relative_to(folder)))
        return printable(output)


def where(event: Event) -> str:
    """Workers and devices of a run, in words."""
    devices = event["devices"]
    named = devices if isinstance(devices, str) else ", ".join(dict.fromkeys(devices))
    backend = "" if event["backend"] == "local" else f" of {event['backend']}"
    return f"{count(event['workers'], 'worker')}{backend} ({named})"


def why(event: Event) -> str:
    """What went wrong with a row, on one line."""
    return printable(" ".join(str(event.get("message") or event.get("kind") or "").split()))


def made_words(event: Event) -> str:
    """What a row made, in words."""
    made: dict[str, Any] = event.get("made") or {}
    frames, elapsed = made.get("num_frames"), made.get("elapsed_seconds")
    if not frames or not elapsed:
        return ""
    return f"{count(frames, 'frame')} in {elapsed:.1f} s, {frames / elapsed:.1f} frames/s"


def count(number: int, noun: str) -> str:
    """A number with its noun, such as "1 row" or "10,000 rows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration_words(seconds: float) -> str:
    """A duration as people say it: "45 s", "12 min", "2 h 10 min", "3 days 4 h"."""
    whole = round(max(0.0, seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(whole / 3600), 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def bytes_words(size: float) -> str:
    """A size as people say it: "850 kB", "3.2 GB"."""
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 1000:
            return f"{size:.2g} {unit}" if size < 10 else f"{size:.0f} {unit}"
    return f"{size / 1000:.1f} TB"


def ending_words(seconds_left: float, now: float) -> str:
    """When a run ends, by the clock on the wall: "ends about 03:41 (in 2 h 10 min)".

    Args:
        seconds_left: until the end.
        now: seconds since the epoch.
    """
    end = time.localtime(now + seconds_left)
    pattern = "%H:%M"
    if end[:3] != time.localtime(now)[:3]:
        pattern = "%a %H:%M" if seconds_left < 6 * 86400 else "%d %b %H:%M"
    return f"ends about {time.strftime(pattern, end)} (in {duration_words(seconds_left)})"
