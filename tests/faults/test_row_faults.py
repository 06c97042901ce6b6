"""Workers that die, hang or have no memory, and runs that are killed: rows are tried again, or fail alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from talkhead_cli.batch import worker
from talkhead_cli.batch.backends import open_backend
from talkhead_cli.batch.job import BatchRequest, Control
from talkhead_cli.batch.pool import LocalBackend, Slot
from talkhead_cli.devices import model_errors
from talkhead_cli.errors import EXIT_BUG, EXIT_DEVICE, EXIT_WEIGHTS, OutOfMemory, UsageError
from tests.batch_stand_in import make_job, stand_in
from tests.cli.batch_process import Batch, alive, results, wait_until_gone
from tests.conftest import ROOT


def test_a_worker_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = Slot("cpu", 1, None, patience=0.3)
    job = make_job(tmp_path, 1)
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        slot._process = process
        monkeypatch.setattr(slot, "_submit", lambda task, job: Future())
        monkeypatch.setattr(slot, "kill", process.kill)
        outcome = slot.render(stand_in, job)
        assert process.wait() == -signal.SIGKILL
    assert (outcome.state, outcome.kind, outcome.exit_code) == ("lost", "WorkerHung", EXIT_BUG)
    assert outcome.message.startswith("the worker hung: it had done nothing for 0.3")
    assert outcome.worker.endswith(f":{process.pid}")


@pytest.mark.slow
def test_a_worker_that_hangs_is_killed_and_the_next_does_the_row(tmp_path: Path) -> None:
    jobs = [make_job(tmp_path, 1, hang_until=1)]
    # Long enough for the process to start, in whose first seconds it works.
    with LocalBackend(1, ["cpu"], None, stand_in, patience=2.0) as backend:
        first = next(filter(None, backend.run(jobs, Control())))
        assert (first.state, first.kind) == ("lost", "WorkerHung")
        assert "hung: it had done nothing for 2" in first.message
        assert not alive(int(first.worker.rpartition(":")[2]))
        second = next(filter(None, backend.run(jobs, Control())))
    assert (second.state, second.attempts) == ("done", 2)


@pytest.mark.slow
def test_a_batch_outlives_workers_that_hang_or_crash(batch: Batch) -> None:
    batch.write(
        {"hang_until": 99},
        {"seconds": 0.1},
        {"hang_until": 1},
        {"die_until": 1, "signal": int(signal.SIGSEGV)},
        {"die_until": 1},
        {"fail": True},
    )
    run = batch.start("--workers", 2, "--row-timeout", 2)
    code, _ = run.finish()
    assert code == 8
    assert results(batch.out) == {
        1: "failed",
        2: "done",
        3: "done",
        4: "done",
        5: "done",
        6: "failed",
    }
    ends = {event["row"]: event for event in run.events if event["event"] == "row"}
    assert ends[1]["kind"] == "WorkerDied"
    assert "hung: it had done nothing" in ends[1]["message"]
    assert ends[1]["exit_code"] == EXIT_BUG
    lost = [event for event in run.events if event.get("state") == "lost"]
    assert {(event["row"], event["kind"]) for event in lost} >= {
        (3, "WorkerHung"),
        (4, "WorkerLost"),
    }
    assert any("SIGSEGV" in event["message"] for event in lost)
    wait_until_gone(run.workers())


@pytest.mark.slow
def test_a_row_that_is_paused_or_takes_long_is_left_alone(batch: Batch) -> None:
    # Says nothing and works; and is stopped for several times the patience.
    batch.write({"seconds": 1, "status": True, "busy": 8})
    run = batch.start("--workers", 1, "--row-timeout", 5)
    event = run.until("row", state="running")
    pid = int(event["worker"].rpartition(":")[2])
    os.kill(pid, signal.SIGSTOP)
    time.sleep(12)
    os.kill(pid, signal.SIGCONT)
    assert run.finish()[0] == 0
    assert "lost" not in {event.get("state") for event in run.events}


def test_row_timeout_is_for_workers_of_this_machine(tmp_path: Path) -> None:
    request = BatchRequest("-", tmp_path, devices=("cpu",), row_timeout=5.0)
    backend = open_backend(request)
    assert isinstance(backend, LocalBackend)
    assert [slot.patience for slot in backend._slots] == [5.0]
    with pytest.raises(UsageError, match="--row-timeout"):
        open_backend(replace(request, backend="dask"))


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGSEGV])
def test_workers_end_with_their_run(kill: signal.Signals, batch: Batch) -> None:
    batch.write(*[{"seconds": 1000, "status": True}] * 2)
    run = batch.start("--workers", 2)
    run.until("row", state="running", row=2)
    os.kill(run.process.pid, kill)
    run.finish()
    assert len(run.workers()) >= 1
    wait_until_gone(run.workers())


# Memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_no_memory_is_told_as_that(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutOfMemory, match="the machine ran out of memory"), model_errors():
        raise error

    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(worker, "render_row", fail)
    outcome = worker.render_job(make_job(tmp_path, 1), "cpu")
    assert (outcome.state, outcome.kind, outcome.exit_code) == (
        "failed",
        "OutOfMemory",
        EXIT_DEVICE,
    )
    assert "bug" not in outcome.message


LITTLE_MEMORY = """
import resource, sys
import numpy as np
import talkhead_cli.pipeline
from talkhead_cli import app
from tests.cli.stand_in import StandInPipeline

class Greedy(StandInPipeline):
    def render(self, portrait, *arguments, **options):
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20), used + (100 << 20)))
        yield from super().render(portrait, *arguments, **options)
        np.ones(1 << 28)

talkhead_cli.pipeline.TalkingHeadPipeline = Greedy
app.main()
"""
"""A render that is allowed 100 MB more than it has once its frames are made, and wants 2 GB."""


@pytest.mark.slow
def test_a_render_that_runs_out_of_memory_says_so_and_leaves_nothing(
    astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    words = ["render", astronaut_png, short_wav, "-o", tmp_path / "out.mp4"]
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == EXIT_DEVICE, done.stderr
    assert done.stderr.startswith("error: the machine ran out of memory")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# Weights that are replaced while a batch runs


def test_weights_that_were_replaced_meanwhile_fail_the_row(tmp_path: Path) -> None:
    loaded = {"talkhead": "a" * 64, "detail": "b" * 64}
    sums = {"generator": "a" * 64, "detail.safetensors": "b" * 64}
    job = replace(make_job(tmp_path, 1), bundles=sums)
    worker.check_bundles(job, "talkhead", loaded)
    worker.check_bundles(make_job(tmp_path, 1), "talkhead", loaded)
    for name in loaded:
        with pytest.raises(
            Exception, match=f"bundle {name} was replaced while the batch ran"
        ) as caught:
            worker.check_bundles(job, "talkhead", loaded | {name: "c" * 64})
        assert caught.value.exit_code == EXIT_WEIGHTS  # type: ignore[attr-defined]
