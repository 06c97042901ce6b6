"""The local backend with real worker processes and stand-in rows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from talkhead_cli.batch.job import Control, Job, Outcome
from talkhead_cli.batch.lock import WORKERS_LOCK, open_lock, wait_for
from talkhead_cli.batch.pool import LocalBackend, describe_end, share_threads
from tests.batch_stand_in import make_job, stand_in
from tests.cli.batch_process import wait_until_gone
from tests.conftest import ROOT


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / ".talkhead"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBackend]:
    folder = tmp_path_factory.mktemp("run")
    with LocalBackend(2, ["cpu", "cuda:7"], folder, stand_in) as backend:
        yield backend


def outcomes(
    backend: LocalBackend, jobs: list[Job], control: Control | None = None
) -> list[Outcome]:
    return [one for one in backend.run(jobs, control or Control()) if one is not None]


def alive(worker: str) -> bool:
    """Whether the process of a "host:pid" still runs; one that nobody has reaped does not."""
    try:
        status = Path("/proc", worker.rpartition(":")[2], "stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_each_slot_is_one_process_on_its_device(tmp_path, backend):
    ended = outcomes(backend, [make_job(tmp_path, row, seconds=0.1) for row in range(1, 9)])
    assert sorted(one.row for one in ended) == list(range(1, 9))
    assert {one.state for one in ended} == {"done"}
    by_worker = {one.worker: one.device for one in ended}
    assert sorted(by_worker.values()) == ["cpu", "cuda:7"]
    # And in the next round they are the same.
    later = outcomes(backend, [make_job(tmp_path, row) for row in (20, 21, 22)])
    assert {one.worker for one in later} <= by_worker.keys()


def test_a_death_is_its_own_rows(tmp_path, backend):
    jobs = [make_job(tmp_path, row, seconds=0.05) for row in range(1, 10)]
    outcomes(backend, jobs[:2])
    for row in (3, 5, 6):
        jobs[row - 1] = make_job(tmp_path, row, seconds=0.05, die_until=1)
    ended = {one.row: one for one in outcomes(backend, jobs[2:])}
    assert {row for row, one in ended.items() if one.state == "lost"} == {3, 5, 6}
    assert {row for row, one in ended.items() if one.state == "done"} == {4, 7, 8, 9}
    assert ended[3].kind == "WorkerLost"
    assert "SIGKILL" in ended[3].message
    again = outcomes(backend, [jobs[2], jobs[4], jobs[5]])
    assert {one.state for one in again} == {"done"}
    assert {one.attempts for one in again} == {2}


@pytest.mark.slow
def test_deaths_leave_nothing_open(tmp_path, backend):
    outcomes(backend, [make_job(tmp_path, row, seconds=0.05) for row in (1, 2)])
    before = descriptors(), threading.active_count()
    dying = [make_job(tmp_path, row, die_until=1) for row in range(3, 15)]
    assert {one.state for one in outcomes(backend, dying)} == {"lost"}
    outcomes(backend, [make_job(tmp_path, row, seconds=0.05) for row in (20, 21)])
    # An executor that is not let go of keeps seven or more each.
    assert descriptors() < before[0] + 2 * len(dying)
    assert threading.active_count() <= before[1] + 2


def test_a_worker_that_died_at_rest_costs_nothing(tmp_path, backend):
    first = outcomes(backend, [make_job(tmp_path, 1), make_job(tmp_path, 2, seconds=0.3)])
    for worker in {one.worker for one in first}:
        os.kill(int(worker.rpartition(":")[2]), 9)
        while alive(worker):
            time.sleep(0.01)
    time.sleep(0.3)
    ended = outcomes(backend, [make_job(tmp_path, row) for row in (3, 4)])
    assert {(one.row, one.state) for one in ended} == {(3, "done"), (4, "done")}


def test_workers_are_deaf_to_ctrl_c_from_their_first_moment(tmp_path, backend):
    (one,) = outcomes(backend, [make_job(tmp_path, 1)])
    status = Path("/proc", one.worker.rpartition(":")[2], "status").read_text()
    values = dict(line.split(":\t", 1) for line in status.splitlines())
    bit = 1 << (signal.SIGINT - 1)
    # Blocked since before it was started, ignored since it is a worker; the run itself hears it.
    assert int(values["SigBlk"], 16) & bit
    assert int(values["SigIgn"], 16) & bit
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def test_what_should_not_be_raised_is_a_failed_row(tmp_path, backend):
    jobs = [make_job(tmp_path, 1, **{"raise": True}), make_job(tmp_path, 2)]
    ended = {one.row: one for one in outcomes(backend, jobs)}
    assert ended[1].state == "failed"
    assert "a worker must not raise" in ended[1].message
    assert ended[2].state == "done"


def test_stop_lets_running_rows_finish_and_starts_no_more(tmp_path, backend):
    control = Control()
    ended = []
    for one in backend.run([make_job(tmp_path, row, seconds=0.6) for row in range(1, 9)], control):
        if one is None:
            control.stop()
        else:
            ended.append(one)
    assert 1 <= len(ended) <= 4
    assert {one.state for one in ended} == {"done"}


def test_abort_kills_workers_and_their_children(tmp_path, backend):
    control = Control()
    workers = {
        one.worker for one in outcomes(backend, [make_job(tmp_path, 1), make_job(tmp_path, 2)])
    }
    ended = []
    began = time.monotonic()
    for one in backend.run([make_job(tmp_path, row, seconds=60) for row in (3, 4, 5)], control):
        control.abort()
        ended += [] if one is None else [one]
    assert time.monotonic() - began < 30
    assert {one.state for one in ended} <= {"lost"}
    assert not any(map(alive, workers))


def test_leaving_early_ends_everything(tmp_path, run_folder):
    with LocalBackend(1, ["cpu"], run_folder, stand_in) as backend:
        rows = backend.run([make_job(tmp_path, 1), make_job(tmp_path, 2, seconds=60)], Control())
        worker = next(one for one in rows if one is not None).worker
        rows.close()
    assert not alive(worker)


def test_workers_of_a_killed_run_end_and_hold_the_folder_until_then(tmp_path, run_folder):
    script = f"""
from pathlib import Path
from talkhead_cli.batch.job import Control
from talkhead_cli.batch.pool import LocalBackend
from tests.batch_stand_in import make_job, stand_in
folder = Path({str(tmp_path)!r})
with LocalBackend(1, ["cpu"], folder / ".talkhead", stand_in) as backend:
    for one in backend.run([make_job(folder, 1), make_job(folder, 2, seconds=60)], Control()):
        if one is not None:
            print(one.worker, flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    worker = process.stdout.readline().strip()
    with open_lock(run_folder / WORKERS_LOCK) as file:
        assert not wait_for(file, 0.0)
        process.kill()
        process.wait()
        process.stdout.close()
        assert wait_for(file, 20.0)
    # Files are closed a moment before a process has ended.
    wait_until_gone({int(worker.rpartition(":")[2])})


def test_threads_are_shared_out(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [share_threads(count) for count in (1, 2, 3, 16, 40)] == [16, 8, 5, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert share_threads(2) == 4
    assert share_threads(8) == 2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, "ended"),
        (3, "ended with exit code 3"),
        (-9, "was killed (SIGKILL; most likely the machine ran out of memory)"),
        (-11, "was killed (SIGSEGV)"),
        (-99, "was killed (signal 99)"),
    ],
)
def test_how_a_worker_ended_in_words(code, words):
    assert describe_end(type("Process", (), {"exitcode": code})()) == words
