"""How far a run is: what runs at this moment, and when all will be done."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from talkhead_cli.batch.job import Job, Status
from talkhead_cli.batch.worker import STATUS, read_status
from talkhead_cli.console import Event

LOOKED_AHEAD = 4
"""Rows that may be started before earlier ones, beyond twice the workers: clusters do not keep the order."""


class Progress:
    """Follows the rows of a run.

    Args:
        jobs: to be rendered by this run.
        workers: at work at once.
        estimate_seconds: for all of them, before anything is measured.
    """

    def __init__(self, jobs: Sequence[Job], workers: int, estimate_seconds: float) -> None:
        self.to_do = len(jobs)
        self.done = 0
        self.failed = 0
        self.running: dict[int, Status] = {}
        self.workers = max(1, workers)
        self._estimate = estimate_seconds
        self._unfinished = {job.row: job for job in jobs}
        self._cost = sum(map(cost_of, jobs))
        self._finished_cost = 0.0
        self._began = time.monotonic()

    def enter_round(self, jobs: Iterable[Job]) -> None:
        """Rows are dealt out in this order now."""
        self._unfinished = {job.row: job for job in jobs}
        self.running.clear()

    def look(self) -> list[tuple[Job, Status]]:
        """Look at what runs; the rows that were not seen running before."""
        started: list[tuple[Job, Status]] = []
        window = 2 * self.workers + LOOKED_AHEAD
        for job in list(islice(self._unfinished.values(), window)):
            status = None if job.folder is None else read_status(job.folder)
            if status is None:
                continue
            if job.row not in self.running:
                started.append((job, status))
            self.running[job.row] = status
        return started

    def end(self, job: Job, state: str) -> None:
        """A row has ended; one that was lost comes again in another round."""
        self._unfinished.pop(job.row, None)
        self.running.pop(job.row, None)
        if job.folder is not None:
            # What a worker that died said of itself is true no more.
            Path(job.folder, STATUS).unlink(missing_ok=True)
        if state == "lost":
            return
        self._finished_cost += cost_of(job)
        self.done += state == "done"
        self.failed += state == "failed"

    def event(self) -> Event:
        """The state as a `batch_progress` event."""
        running = [asdict(status) for status in self.running.values()]
        left = self.seconds_left()
        return {
            "event": "batch_progress",
            "done": self.done,
            "failed": self.failed,
            "to_do": self.to_do,
            "running": running,
            "frames_per_second": round(sum(one["frames_per_second"] for one in running), 2),
            "seconds_left": None if left is None else round(left, 1),
        }

    def seconds_left(self) -> float | None:
        """Seconds until all rows have ended, from the pace so far; None where nothing can be said."""
        elapsed = time.monotonic() - self._began
        parts = {row: self._part(row, status) for row, status in self.running.items()}
        made = self._finished_cost + sum(parts.values())
        if made <= 0 or self._cost <= 0:
            return max(0.0, self._estimate - elapsed) if self._estimate > 0 else None
        pace = made / elapsed
        left = max(0.0, self._cost - made) / pace
        # At the end workers run out of rows; the longest of those that run says when that is.
        rests = [cost_of(self._unfinished[row]) - part for row, part in parts.items()]
        busy = min(self.workers, self.to_do)
        return max([left, *(rest * busy / pace for rest in rests)])

    def _part(self, row: int, status: Status) -> float:
        """What of a running row's cost is spent."""
        share = status.frames / status.num_frames if status.num_frames else 0.0
        return min(1.0, share) * cost_of(self._unfinished[row])


def cost_of(job: Job) -> float:
    """What a job is sorted by; never 0."""
    return max(job.cost, 1e-3)


def longest_first(jobs: Iterable[Job]) -> list[Job]:
    """In the order that leaves the fewest workers idle at the end; equal ones as in the manifest."""
    return sorted(jobs, key=lambda job: (-job.cost, job.row))
