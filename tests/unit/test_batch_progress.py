"""How far a run is, told from small files; time is given, not measured."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from talkhead_cli.batch.job import Job, Status
from talkhead_cli.batch.progress import Progress, longest_first
from talkhead_cli.batch.worker import STATUS
from tests.batch_stand_in import make_job


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr("talkhead_cli.batch.progress.time", fake)
    return fake


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    return [make_job(tmp_path, row, cost=10.0) for row in range(1, 5)]


def say(job: Job, frames: int, num_frames: int = 25, rate: float = 5.0) -> None:
    folder = Path(job.folder or "")
    folder.mkdir(parents=True, exist_ok=True)
    status = Status(job.row, "vm:1", "cpu", "render", frames, num_frames, rate)
    (folder / STATUS).write_text(json.dumps(asdict(status)))


def test_time_left_follows_the_pace(clock, jobs):
    progress = Progress(jobs, 2, 30.0)
    progress.enter_round(jobs)
    assert progress.seconds_left() == 30.0
    clock.now += 10
    assert progress.seconds_left() == 20.0  # nothing measured yet
    progress.end(jobs[0], "done")
    assert progress.seconds_left() == pytest.approx(30.0)  # a quarter took 10 s
    say(jobs[1], 10, 20)
    progress.look()
    assert progress.seconds_left() == pytest.approx(25 / 1.5)
    for job in jobs[1:]:
        progress.end(job, "done")
    assert progress.seconds_left() == 0.0


def test_the_last_long_row_says_when_it_ends(clock, jobs):
    jobs[3] = replace(jobs[3], cost=100.0)
    progress = Progress(jobs, 4, 0.0)
    progress.enter_round(jobs)
    say(jobs[3], 5, 20)
    progress.look()
    for job in jobs[:3]:
        progress.end(job, "done")
    clock.now += 10
    # 55 of 130 in 10 s by four; 75 are left, but only one works at them.
    assert progress.seconds_left() == pytest.approx(75 * 4 / 5.5)


def test_rows_are_seen_to_begin_once_and_lost_ones_again(clock, jobs):
    progress = Progress(jobs, 2, 0.0)
    progress.enter_round(jobs)
    say(jobs[0], 0)
    assert [job.row for job, _ in progress.look()] == [1]
    assert progress.look() == []
    event = progress.event()
    assert [status["row"] for status in event["running"]] == [1]
    assert event["frames_per_second"] == 5.0
    progress.end(jobs[0], "lost")
    assert progress.look() == []  # what the dead worker said is forgotten
    assert (progress.done, progress.failed, progress.event()["running"]) == (0, 0, [])
    progress.enter_round([jobs[0]])
    say(jobs[0], 3)
    assert [job.row for job, _ in progress.look()] == [1]


def test_rows_without_a_folder_say_nothing(clock, jobs):
    jobs = [replace(job, folder=None, cost=0.0) for job in jobs]
    progress = Progress(jobs, 2, 0.0)
    progress.enter_round(jobs)
    assert progress.look() == []
    assert progress.seconds_left() is None
    clock.now += 1
    progress.end(jobs[0], "failed")
    assert progress.seconds_left() == pytest.approx(3.0)
    assert progress.event()["failed"] == 1


def test_longest_first_equal_ones_in_order(jobs):
    jobs = [replace(job, cost=cost) for job, cost in zip(jobs, (1.0, 7.0, 7.0, 2.0), strict=True)]
    assert [job.row for job in longest_first(reversed(jobs))] == [2, 3, 4, 1]
