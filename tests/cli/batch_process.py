"""`talkhead batch` as a process: a manifest of stand-in rows, command lines about it, and a run that is followed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

PATIENCE = 60.0
"""Seconds within which anything must happen, on however busy a machine."""


@dataclass
class Batch:
    """A manifest of stand-in rows, and the command lines about it."""

    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def manifest(self) -> Path:
        return self.folder / "jobs.jsonl"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def write(self, *rows: dict[str, Any]) -> None:
        self.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def command(self, *options: object) -> list[str]:
        words = ["batch", self.manifest, "--out-dir", self.out, "--devices", "cpu", *options]
        return [sys.executable, "-m", "tests.cli.batch_command", *map(str, words)]

    def run(self, *options: object) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        return subprocess.run(
            self.command(*options),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, "FORCE_COLOR": "1"},
        )

    def start(self, *options: object) -> Following:
        """Start with --json, as the first of a group of processes: a terminal signals all of it."""
        process = subprocess.Popen(
            self.command("--json", *options),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return Following(process)


class Following:
    """A run that goes on, and its events so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []

    def until(self, kind: str, **values: Any) -> dict[str, Any]:
        """Read events up to one with these values."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            self.events.append(event)
            if event["event"] == kind and all(event[key] == values[key] for key in values):
                return event
        raise AssertionError(f"no {kind} {values} in {self.events}")

    def signal(self, number: signal.Signals) -> None:
        """To the whole group, as a terminal does."""
        os.killpg(self.process.pid, number)

    def finish(self) -> tuple[int, str]:
        """Read to the end; the exit code and what standard error got."""
        # Not with communicate(), which knows nothing of what the stream has read ahead.
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.events += [json.loads(line) for line in self.process.stdout]
        err = self.process.stderr.read()
        return self.process.wait(PATIENCE), err

    def workers(self) -> set[int]:
        """Process ids of all workers heard of."""
        names = {event["worker"] for event in self.events if event.get("worker")}
        return {int(name.rpartition(":")[2]) for name in names}

    def states(self) -> dict[int, str]:
        """Rows to what was said of them last."""
        return {event["row"]: event["state"] for event in self.events if event["event"] == "row"}


def alive(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + PATIENCE
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, "workers are left"
        time.sleep(0.05)


def results(out: Path) -> dict[int, str]:
    with (out / "results.csv").open() as file:
        return {int(row["row"]): row["state"] for row in csv.DictReader(file)}
