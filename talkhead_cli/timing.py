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
    """Sends progress events, a few a second."""

    def __init__(self, emit: OnEvent, num_frames: int) -> None:
        self.emit = emit
        self.num_frames = num_frames
        self.done = 0
        self.start = self.last = time.perf_counter()

    def advance(self, count: int) -> None:
        """Count frames that are done."""
        self.done += count
        now = time.perf_counter()
        if now - self.last < PROGRESS_SECONDS and self.done < self.num_frames:
            return
        self.last = now
        rate = self.done / max(now - self.start, 1e-9)
        event = {
            "event": "progress",
            "frames": self.done,
            "num_frames": self.num_frames,
            "frames_per_second": round(rate, 2),
            "seconds_left": round((self.num_frames - self.done) / rate, 1),
        }
        self.emit(event)
