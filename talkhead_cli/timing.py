"""Clocks: seconds by stage, and progress a few times a second."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from talkhead_cli.console import OnEvent

PROGRESS_SECONDS = 0.2
"""Shortest time between two progress events."""


class Clock:
    """Adds up seconds by stage."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.timings: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside towards a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.perf_counter() - start

    def count(self, timings: Mapping[str, float], before: Mapping[str, float]) -> None:
        """Take over what another clock has counted since a certain state of it."""
        for name, seconds in timings.items():
            since = seconds - before.get(name, 0.0)
            self.timings[name] = self.timings.get(name, 0.0) + since

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.start


class Ticker:
    """Sends progress events, a few a second; `num_frames` is None where they are not known beforehand.

    Args:
        emit: the sink.
        num_frames: in all.
        begin: made by an earlier render.
    """

    def __init__(self, emit: OnEvent, num_frames: int | None, begin: int = 0) -> None:
        self.emit = emit
        self.num_frames = num_frames
        self.done = self.begin = begin
        self.start = self.last = time.perf_counter()

    def advance(self, count: int) -> None:
        """Count frames that are done."""
        self.done += count
        now = time.perf_counter()
        if now - self.last >= PROGRESS_SECONDS or self.done == self.num_frames:
            self.last = now
            self._send()

    def finish(self) -> None:
        """Tell the number of frames, now that it is known, where it was not."""
        if self.num_frames is None:
            self.num_frames = self.done
            self._send()

    def _send(self) -> None:
        rate = (self.done - self.begin) / max(time.perf_counter() - self.start, 1e-9)
        left = None if self.num_frames is None else round((self.num_frames - self.done) / rate, 1)
        event = {
            "event": "progress",
            "frames": self.done,
            "num_frames": self.num_frames,
            "frames_per_second": round(rate, 2),
            "seconds_left": left,
        }
        self.emit(event)
