"""Whole runs over stand-in rows: real processes, locks and ledgers; only the rendering is short."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from talkhead_cli.batch.job import RUN_FOLDER, Backend, BatchRequest, BatchSummary, Control
from talkhead_cli.batch.ledger import Ledger
from talkhead_cli.batch.lock import RunLock, find_holder
from talkhead_cli.batch.pool import LocalBackend
from talkhead_cli.batch.records import Record
from talkhead_cli.batch.run import run_batch
from talkhead_cli.errors import BatchFileError, InputError
from tests.batch_stand_in import stand_in, stand_in_backend, stand_in_plan
from tests.conftest import ROOT

Event = dict[str, Any]


class Batch:
    """A manifest, an output folder, and what was told of the last run."""

    def __init__(self, folder: Path) -> None:
        self.manifest = folder / "rows.jsonl"
        self.out_dir = folder / "out"
        self.request = BatchRequest(self.manifest, self.out_dir, devices=("cpu",), workers=1)
        self.events: list[Event] = []
        self.control = Control()
        self.on_event: Callable[[Event], None] = lambda event: None

    def write(self, *rows: dict[str, Any]) -> None:
        self.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(self, **changes: Any) -> BatchSummary:
        self.events = []
        self.control = Control()

        def take(event: Event) -> None:
            self.events.append(event)
            self.on_event(event)

        return run_batch(replace(self.request, **changes), take, self.control)

    def resume(self, **changes: Any) -> BatchSummary:
        return self.run(resume=True, **changes)

    def told(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["event"] == kind]

    def states(self, state: str) -> list[int]:
        return sorted(event["row"] for event in self.told("row") if event["state"] == state)

    @property
    def videos(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.out_dir.glob("*.mp4"))}

    @property
    def records(self) -> list[Record]:
        with Ledger(self.out_dir, read_only=True) as ledger:
            return list(ledger.records())

    @property
    def results(self) -> list[dict[str, str]]:
        with (self.out_dir / "results.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    @property
    def row_folders(self) -> list[Path]:
        return list((self.out_dir / RUN_FOLDER / "rows").glob("*"))


class KeptBackend(LocalBackend):
    """One worker that is kept from run to run, to save the time of starting it."""

    def __exit__(self, *error: object) -> None:
        pass


@pytest.fixture(scope="module")
def kept() -> Iterator[KeptBackend]:
    backend = KeptBackend(1, ["cpu"], None, stand_in)
    yield backend
    super(KeptBackend, backend).__exit__(None, None, None)


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: KeptBackend) -> Batch:
    """Rows are done by one kept worker, or by fresh ones where there are to be more."""

    def open_backend(request: BatchRequest) -> Backend:
        return kept if request.workers == 1 else stand_in_backend(request)

    monkeypatch.setattr("talkhead_cli.batch.run.plan_batch", stand_in_plan)
    monkeypatch.setattr("talkhead_cli.batch.run.open_backend", open_backend)
    return Batch(tmp_path)


def test_all_rows_once_longest_first(batch):
    batch.write(*({"cost": cost, "seconds": 0.02} for cost in (1, 5, 3, 9)))
    summary = batch.run(workers=1)
    assert (summary.rows, summary.done, summary.left, summary.exit_code) == (4, 4, 0, 0)
    assert summary.loads == 1
    order = [event["row"] for event in batch.told("row") if event["state"] == "done"]
    assert order == [4, 2, 3, 1]
    assert len(batch.videos) == 4
    assert [record.state for record in batch.records] == ["done"] * 4
    assert [record.attempts for record in batch.records] == [1] * 4
    assert batch.row_folders == []
    start, done = batch.told("batch_start")[0], batch.told("batch_done")[0]
    assert (start["to_do"], start["workers"], start["devices"]) == (4, 1, ["cpu"])
    assert (done["done"], done["exit_code"]) == (4, 0)
    assert done["results_csv"] == str(batch.out_dir / "results.csv")
    rows = batch.results
    assert [row["state"] for row in rows] == ["done"] * 4
    for row in rows:
        content = (batch.out_dir / row["output"]).read_bytes()
        assert row["output_sha256"] == hashlib.sha256(content).hexdigest()


def test_a_dead_worker_costs_its_row_one_attempt(batch):
    batch.write(
        {}, {"die_until": 1}, {}, {"die_until": 2}, {"die_late": True}, {"die_between": True}
    )
    summary = batch.run()
    assert (summary.done, summary.failed) == (6, 0)
    assert [record.attempts for record in batch.records] == [1, 2, 1, 3, 1, 2]
    assert batch.states("lost") == [2, 4, 4, 6]
    # The fifth row's worker died with the video in place: it is not made again.
    assert batch.states("done") == [1, 2, 3, 4, 5, 6]


def test_a_row_that_kills_every_worker_fails_alone(batch):
    batch.write({"die_until": 99}, {"seconds": 0.02}, {"fail": True})
    summary = batch.run(max_attempts=2)
    assert (summary.done, summary.failed, summary.left, summary.exit_code) == (1, 2, 0, 8)
    killer, _, failed = batch.results
    assert (killer["kind"], killer["attempts"]) == ("WorkerDied", "2")
    assert "died each of the 2 times" in killer["message"]
    assert "SIGKILL" in killer["message"]
    assert (failed["kind"], failed["exit_code"]) == ("AudioError", "3")
    # They stay failed until asked for.
    assert batch.resume().done == 0
    again = batch.resume(retry_failed=True, max_attempts=1)
    assert (again.done, again.failed, again.skipped) == (0, 2, 1)
    assert batch.records[0].attempts == 3


@pytest.mark.slow
def test_when_all_workers_die_the_run_stops(batch):
    batch.write(*({"die_until": 99} for _ in range(20)))
    summary = batch.run(workers=2)
    assert (summary.left, summary.failed, summary.exit_code) == (20, 0, 8)
    assert len(batch.states("lost")) in (7, 8)
    assert not summary.interrupted
    assert "workers died" in batch.told("warning")[0]["message"]


def test_max_failures(batch):
    batch.write(*({"fail": True, "seed": seed} for seed in range(12)))
    assert batch.run(max_failures=1).failed == 1
    summary = batch.run(workers=2, max_failures=3)
    assert 3 <= summary.failed <= 4  # what the other worker was at is finished
    assert summary.left == 12 - summary.failed
    assert (summary.exit_code, summary.interrupted) == (8, False)
    assert {row["state"] for row in batch.results} == {"failed", "waiting"}


def test_resume_renders_what_is_missing_or_changed(batch):
    batch.write({"seed": 1}, {"seed": 2}, {"seed": 3}, {"seed": 4})
    batch.run()
    before = batch.videos
    times = {path: path.stat().st_mtime_ns for path in batch.out_dir.glob("*.mp4")}
    batch.write({"seed": 1}, {"seed": 22}, {"seed": 3}, {"seed": 4}, {"seed": 5})
    (batch.out_dir / "row3.mp4").unlink()
    os.utime(batch.out_dir / "row4.mp4", ns=(1, 1))  # as after a copy: the content tells
    summary = batch.resume()
    assert (summary.done, summary.skipped, summary.rows) == (3, 2, 5)
    assert batch.states("done") == [2, 3, 5]
    assert batch.states("skipped") == [1, 4]
    after = batch.videos
    assert {name for name in before if before[name] != after[name]} == {"row2.mp4"}
    first = batch.out_dir / "row1.mp4"
    assert first.stat().st_mtime_ns == times[first]
    assert batch.resume().done == 0


def test_resume_never_replaces_what_another_made(batch):
    batch.write({}, {})
    batch.run()
    (batch.out_dir / "row1.mp4").write_text("cut by hand")
    with pytest.raises(BatchFileError, match=r"1 of 2 rows cannot be rendered.*--skip-faulty"):
        batch.resume()
    assert batch.told("fault")[0]["column"] == "output"
    assert batch.videos["row1.mp4"] == "cut by hand"
    assert batch.resume(overwrite=True).done == 1
    assert batch.videos["row1.mp4"] != "cut by hand"


def test_rows_are_known_by_their_output_when_numbers_shift(batch):
    rows = [{"seed": seed, "output": f"{seed}.mp4"} for seed in range(4)]
    batch.write(*rows)
    batch.run()
    batch.write(*rows[2:])
    # The stand-in's key holds the row's number, as a real one does not.
    assert batch.resume().done == 2
    assert len(batch.records) == 2
    with Ledger(batch.out_dir, read_only=True) as ledger:
        assert len(list(ledger.records(everything=True))) == 4


def test_faults_stop_the_run_before_it_begins(batch):
    batch.write({}, {"fault": "no such file"}, {"fault": "silence"})
    with pytest.raises(BatchFileError, match="2 of 3 rows cannot be rendered"):
        batch.run()
    assert [fault["row"] for fault in batch.told("fault")] == [2, 3]
    assert not batch.out_dir.exists()
    summary = batch.run(skip_faulty=True)
    assert (summary.done, summary.failed, summary.exit_code) == (1, 2, 8)
    assert [row["message"] for row in batch.results] == [
        "",
        "audio: no such file",
        "audio: silence",
    ]


def test_dry_run_writes_nothing(batch):
    batch.write({}, {})
    summary = batch.run(dry_run=True)
    assert (summary.rows, summary.left, summary.done) == (2, 2, 0)
    assert not batch.out_dir.exists()
    batch.run()
    before = {path: path.stat().st_mtime_ns for path in batch.out_dir.rglob("*")}
    batch.write({}, {}, {})
    summary = batch.resume(dry_run=True)
    assert (summary.left, summary.skipped) == (1, 2)
    assert batch.told("batch_start")[0]["to_do"] == 1
    assert {path: path.stat().st_mtime_ns for path in batch.out_dir.rglob("*")} == before


def test_stop_finishes_what_runs_and_resume_does_the_rest(batch):
    batch.write(*({"seconds": 0.1, "seed": seed} for seed in range(4)))

    def stop(event: Event) -> None:
        if event["event"] == "row":
            batch.control.stop()

    batch.on_event = stop
    summary = batch.run()
    assert (summary.interrupted, summary.exit_code, summary.failed) == (True, 130, 0)
    assert summary.done == 1
    assert {record.state for record in batch.records} == {"done", "waiting"}
    assert {row["state"] for row in batch.results} == {"done", "waiting"}
    batch.on_event = lambda event: None
    later = batch.resume()
    assert later.done + later.skipped == 4
    assert later.skipped == summary.done


def test_abort_costs_running_rows_nothing(batch):
    batch.write({"seconds": 60}, {"seconds": 60}, {})

    def abort(event: Event) -> None:
        if event["event"] == "batch_progress":
            batch.control.abort()

    batch.on_event = abort
    began = time.monotonic()
    summary = batch.run()
    assert time.monotonic() - began < 40
    assert (summary.exit_code, summary.failed) == (130, 0)
    assert batch.states("lost") == []
    assert "failed" not in {record.state for record in batch.records}


def test_an_error_of_ours_ends_workers_and_keeps_what_is_done(batch):
    batch.write({"cost": 2}, {"seconds": 60})

    def fail(event: Event) -> None:
        if event["event"] == "row" and event["state"] == "done":
            raise BrokenPipeError

    batch.on_event = fail
    with pytest.raises(BrokenPipeError):
        batch.run(workers=2)
    assert [row["state"] for row in batch.results] == ["done", "waiting"]
    with RunLock(batch.out_dir / RUN_FOLDER, batch.out_dir):  # so no worker is left
        pass


def test_two_runs_on_one_folder(batch, monkeypatch):
    monkeypatch.setattr("talkhead_cli.batch.lock.GLANCE_SECONDS", 0.1)
    batch.write({})
    batch.run()
    folder = batch.out_dir / RUN_FOLDER
    assert find_holder(folder) is None
    with RunLock(folder, batch.out_dir):
        holder = find_holder(folder)
        assert holder is not None
        assert holder.pid == os.getpid()
        with pytest.raises(
            InputError, match=f"process {os.getpid()} on .* wait until it has ended"
        ):
            batch.resume()
    assert batch.resume().skipped == 1


def test_running_rows_are_seen(batch):
    batch.write({"seconds": 0.8, "status": True}, {"seconds": 0.8, "status": True})
    batch.run(workers=2)
    seen = [event["running"] for event in batch.told("batch_progress")]
    assert {one["row"] for running in seen for one in running} == {1, 2}
    states = [(event["row"], event["state"]) for event in batch.told("row")]
    assert states.index((1, "running")) < states.index((1, "done"))
    last = batch.told("batch_progress")[-1]
    assert last["seconds_left"] is not None


def test_kill_9_loses_nothing_and_makes_nothing_twice(tmp_path):
    rows = [{"seed": seed, "seconds": 0.1, "log": str(tmp_path / "log")} for seed in range(6)]
    manifest = tmp_path / "rows.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out_dir = tmp_path / "out"
    command = [sys.executable, "-m", "tests.batch_stand_in", str(manifest), str(out_dir)]
    dice = random.Random(0)
    kills = 0
    for attempt in range(3):
        process = subprocess.Popen(
            command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(0.35 + 0.5 * dice.random())
        except subprocess.TimeoutExpired:
            kills += 1
            if attempt % 2:  # everything at once; else the workers are left to themselves
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.wait()
    assert kills
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    with Ledger(out_dir, read_only=True) as ledger:
        records = list(ledger.records())
    assert [record.state for record in records] == ["done"] * 6
    for record in records:
        content = (out_dir / record.output).read_bytes()
        assert content == f"{record.key}\n".encode()
        assert hashlib.sha256(content).hexdigest() == record.sha256
    made = (tmp_path / "log").read_text().split()
    assert len(made) == len(set(made)) == 6
    assert sorted(path.name for path in out_dir.iterdir()) == sorted(
        [RUN_FOLDER, "results.csv", "results.json", *(f"row{row}.mp4" for row in range(1, 7))]
    )
