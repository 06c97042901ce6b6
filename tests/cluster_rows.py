"""Batches on real clusters, for tests: rows that are rendered, and stand-in rows that are quick."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import soundfile

from talkhead_cli.batch.cluster import ClusterBackend
from talkhead_cli.batch.job import Control, Job, Outcome
from tests.batch_stand_in import make_job
from tests.conftest import ROOT

STAND_IN = "tests.batch_stand_in:stand_in"

COUNT = 6
"""Rows."""

PATIENCE = 120.0
"""Seconds within which anything must end, on however busy a machine."""


@dataclass(frozen=True)
class Killed:
    """A batch of rendered rows, one of whose workers was killed.

    Attributes:
        code: exit code.
        events: from standard output, of which there is nothing else.
        err: from standard error.
        victim: "host:pid".
        processes: that the batch had when the worker was killed.
    """

    code: int
    events: list[dict[str, Any]]
    err: str
    victim: str
    processes: list[psutil.Process]

    def rows(self, state: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["event"] == "row" and e["state"] == state]

    def left_running(self) -> list[psutil.Process]:
        """Processes that outlived the batch."""
        _, alive = psutil.wait_procs(self.processes, timeout=10)
        return alive


def write_manifest(folder: Path, portrait: Path, speech: Path, count: int = COUNT) -> Path:
    """Rows of 1.2 s, each with another part of the speech."""
    samples, rate = soundfile.read(speech)
    lines = ["portrait,audio,output,size"]
    for row in range(1, count + 1):
        start = round(row * 0.5 * rate)
        soundfile.write(
            folder / f"speech{row}.wav", samples[start : start + round(1.2 * rate)], rate
        )
        lines.append(f"{portrait},speech{row}.wav,row{row}.mp4,256")
    manifest = folder / "jobs.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def check_rendered(manifest: Path, out: Path, decode: Callable[[Path], int], *options: str) -> None:
    """Render a manifest of two rows on one worker, and insist on both, and on nothing left."""
    command = [sys.executable, "-m", "talkhead_cli", "batch", str(manifest), "--out-dir", str(out)]
    done = subprocess.run(
        [*command, "--devices", "cpu", "--workers", "1", "--json", *options],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    ended = {
        e["row"]: e["state"] for e in events if e["event"] == "row" and e["state"] != "running"
    }
    assert ended == {1: "done", 2: "done"}
    # A worker loads once.
    assert events[-1]["loads"] == 1
    assert [decode(out / f"row{row}.mp4") for row in (1, 2)] == [30, 30]


def render_and_kill(manifest: Path, out: Path, *options: str) -> Killed:
    """Run the command line, and kill a worker in the middle of a row when another row is done."""
    command = [sys.executable, "-m", "talkhead_cli", "batch", str(manifest), "--out-dir", str(out)]
    process = subprocess.Popen(
        [*command, "--devices", "cpu", "--workers", "2", "--json", *options],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    events, victim, processes = [], "", []
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        for line in process.stdout:
            events.append(event := json.loads(line))
            done = any(e["event"] == "row" and e["state"] == "done" for e in events)
            # One that has most of its row before it: what is told is half a second old.
            running = [r for r in event.get("running", []) if r["frames"] <= r["num_frames"] / 3]
            if running and done and not victim:
                victim = running[0]["worker"]
                processes = psutil.Process(process.pid).children(recursive=True)
                os.kill(int(victim.rpartition(":")[2]), signal.SIGKILL)
        code = process.wait(PATIENCE)
        return Killed(code, events, process.stderr.read(), victim, processes)
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()


def check_all_made(batch: Killed, out: Path, decode: Callable[[Path], int]) -> None:
    """Insist that all rows are there, once, and that the killed one was made again elsewhere.

    Args:
        batch: that has ended.
        out: its output folder.
        decode: number of frames in a file.
    """
    assert batch.code == 0, batch.err
    assert batch.err == ""
    assert batch.victim
    done = {event["row"]: event for event in batch.rows("done")}
    assert sorted(event["row"] for event in batch.rows("done")) == list(range(1, COUNT + 1))
    [lost] = batch.rows("lost")
    assert lost["worker"] == batch.victim
    assert batch.rows("failed") == []
    assert done[lost["row"]]["attempts"] == 2
    assert done[lost["row"]]["worker"] != batch.victim
    # A worker loads once, and one took the place of the dead one, if only when all other rows were done.
    assert 2 <= batch.events[-1]["loads"] <= 3
    assert [decode(out / f"row{row}.mp4") for row in range(1, COUNT + 1)] == [30] * COUNT
    assert batch.left_running() == []


def stand_in_jobs(folder: Path, count: int = COUNT, **settings: Any) -> list[Job]:
    """Quick rows."""
    folder.mkdir(exist_ok=True)
    return [make_job(folder, row, **settings) for row in range(1, count + 1)]


def run_all(
    backend: ClusterBackend,
    jobs: list[Job],
    control: Control | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Outcomes in the order in which rows ended."""
    found: list[Outcome] = []
    deadline = time.monotonic() + PATIENCE
    for outcome in backend.run(jobs, control or Control()):
        assert time.monotonic() < deadline
        if outcome is not None:
            found.append(outcome)
            if on_outcome is not None:
                on_outcome(outcome)
    return found


def started(jobs: list[Job]) -> set[int]:
    """Rows that a worker has begun with."""
    return {job.row for job in jobs if job.folder and Path(job.folder, "starts").exists()}


def until(condition: Callable[[], bool]) -> None:
    """Wait for something."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes(*commands: list[str], **options: Any) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are ended with the test."""
    running = [subprocess.Popen(command, **options) for command in commands]
    try:
        yield running
    finally:
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
