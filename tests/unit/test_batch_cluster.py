"""Slots of a cluster: every row that was started ends once, whatever happens to its worker."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_cli import __version__
from talkhead_cli.batch.cluster import ClusterBackend, Slot
from talkhead_cli.batch.entry import Unfit, make_entry, read_answer
from talkhead_cli.batch.job import BatchRequest, Control, Job, Outcome
from talkhead_cli.batch.ray_backend import share_gpus
from talkhead_cli.batch.reach import check_answers, cluster_device, require
from talkhead_cli.batch.sent import note_start, pack, put_in_place
from talkhead_cli.batch.worker import adopt, read_status, worker_name
from talkhead_cli.errors import DeviceError, InputError, UsageError
from tests.batch_stand_in import make_job
from tests.conftest import leftovers

DONE, LOST, BROKEN, UNFIT = "done", "lost", "broken", "unfit"


class StagedSlot(Slot):
    """Does what the backend's plan says for each row."""

    backend: StagedBackend

    def ready(self, cancelled: Callable[[], bool]) -> bool:
        return not cancelled()

    def render(self, job: Job) -> Outcome | None:
        what = self.backend.plan[job.row]
        if what == UNFIT and job.row not in self.backend.started:
            self.backend.plan[job.row] = DONE
            raise Unfit("worker x cannot import talkhead")
        with self.backend.lock:
            self.backend.started[job.row] += 1
        if what == BROKEN:
            raise RuntimeError("the connection broke")
        return Outcome(job.row, job.key, "lost" if what == LOST else "done")

    def call(self, payload: bytes) -> tuple[str, Any]:
        raise AssertionError("a worker on paper is asked for nothing but rows")

    def kill(self) -> None:
        pass


class StagedBackend(ClusterBackend):
    """A cluster on paper.

    Args:
        plan: what becomes of each row.
        workers: slots.
    """

    name = "staged"

    def __init__(self, plan: list[str], workers: int) -> None:
        super().__init__(BatchRequest("", Path("out"), workers=workers))
        self.plan = dict(enumerate(plan))
        self.started: Counter[int] = Counter()
        self.lock = threading.Lock()

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def new_slot(self, index: int) -> Slot:
        return StagedSlot(self, f"slot-{index}")

    def jobs(self) -> list[Job]:
        return [Job(row, "", "", None, "", {}, str(row), None) for row in self.plan]


@settings(max_examples=40, deadline=None)
@given(
    plan=st.lists(st.sampled_from([DONE, DONE, LOST, BROKEN]), max_size=12),
    workers=st.integers(1, 4),
    stop_after=st.integers(1, 12),
)
def test_each_row_that_was_started_ends_once(
    plan: list[str], workers: int, stop_after: int
) -> None:
    backend = StagedBackend(plan, workers)
    control = Control()
    ended: list[Outcome] = []
    for outcome in backend.run(backend.jobs(), control):
        if outcome is not None:
            ended.append(outcome)
            if len(ended) == stop_after:
                control.stop()
    rows = [outcome.row for outcome in ended]
    assert Counter(rows) == backend.started
    assert set(backend.started.values()) <= {1}
    # Rows that ran when it was said to stop, one a worker, may still end.
    assert len(rows) == len(plan) or stop_after <= len(rows) < stop_after + workers
    for outcome in ended:
        assert (outcome.state == "done") == (plan[outcome.row] == DONE)


def test_unfit_worker_gives_its_row_back_once_another_has_rendered() -> None:
    backend = StagedBackend([DONE, UNFIT, DONE], 1)
    ended = [outcome for outcome in backend.run(backend.jobs(), Control()) if outcome is not None]
    assert [(outcome.row, outcome.state) for outcome in ended] == [
        (row, "done") for row in (0, 1, 2)
    ]


def test_workers_that_are_all_unfit_end_the_run() -> None:
    backend = StagedBackend([UNFIT, UNFIT], 1)
    with pytest.raises(DeviceError, match="cannot import talkhead"):
        list(backend.run(backend.jobs(), Control()))
    assert not backend.started


def test_worker_says_what_it_has() -> None:
    enter = make_entry()
    assert read_answer(enter(__version__)) == ("fit", worker_name())
    with pytest.raises(Unfit, match=r"has talkhead .*, and this is 99; install"):
        read_answer(enter("99"))


def sent(job: Job, content: bytes) -> Outcome:
    made = {"output_sha256": hashlib.sha256(content).hexdigest()}
    return Outcome(job.row, job.key, "done", device="cpu", made=made, files={"video": content})


def test_row_that_travels_is_known_here(tmp_path: Path) -> None:
    job = make_job(tmp_path, 1)
    Path(job.portrait).write_bytes(b"face")
    Path(str(job.audio)).write_bytes(b"speech")
    assert note_start(job, "slot-0") == 1
    assert note_start(job, "slot-0") == 2
    status = read_status(str(job.folder))
    assert status is not None
    assert status.stage == "render"
    packed = pack(job)
    assert packed.files == {"portrait": b"face", "audio": b"speech"}
    assert packed.folder is None

    placed = put_in_place(job, sent(job, b"video"))
    assert (placed.state, placed.files) == ("done", {})
    assert Path(job.output).read_bytes() == b"video"
    adopted = adopt(job)
    assert adopted is not None
    assert adopted.attempts == 2


def test_video_that_is_there_already_is_kept(tmp_path: Path) -> None:
    job = make_job(tmp_path, 1)
    Path(job.output).write_bytes(b"mine")
    Path(str(job.folder)).mkdir(parents=True)
    refused = put_in_place(job, sent(job, b"video"))
    assert (refused.state, refused.kind) == ("failed", "InputError")
    assert Path(job.output).read_bytes() == b"mine"
    assert leftovers(tmp_path) == []
    assert put_in_place(replace(job, overwrite=True), sent(job, b"video")).state == "done"
    assert Path(job.output).read_bytes() == b"video"


def test_input_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"face\.png: cannot be read \(No such file"):
        pack(make_job(tmp_path, 1))


@pytest.mark.parametrize("address", ["", "host:port", "tcp://host:70000"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises((UsageError, DeviceError), match="--address"):
        check_answers(address, 70000)


@pytest.mark.parametrize("devices", [("cuda:0",), ("cpu", "cuda"), ("mps",)])
def test_devices_of_other_machines_are_not_named(devices: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="give auto, cpu or cuda"):
        cluster_device(devices)


@given(gpus=st.integers(1, 16), workers=st.integers(1, 64))
def test_all_workers_find_a_gpu(gpus: int, workers: int) -> None:
    part = share_gpus(gpus, workers)
    assert part <= 1
    assert math.floor(1 / part + 1e-9) * gpus >= workers
    assert share_gpus(0, workers) == 0


def test_missing_package_is_named() -> None:
    with pytest.raises(UsageError, match=r"no_such_package.*pip install 'talkhead\[dask\]'"):
        require("dask", "joblib", "no_such_package")
