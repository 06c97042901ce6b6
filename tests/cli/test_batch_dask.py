"""Batches on a real Dask cluster of two worker processes."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from talkhead_cli.batch.backends import open_backend
from talkhead_cli.batch.cluster import ClusterBackend
from talkhead_cli.batch.dask_backend import DaskBackend
from talkhead_cli.batch.job import BatchRequest, Control, Job, Outcome
from talkhead_cli.batch.worker import worker_name
from talkhead_cli.errors import DeviceError, UsageError
from tests.cluster_rows import (
    COUNT,
    STAND_IN,
    check_all_made,
    check_rendered,
    processes,
    render_and_kill,
    run_all,
    stand_in_jobs,
    started,
    until,
    write_manifest,
)
from tests.conftest import decode_frames, leftovers


def test_two_rows(tmp_path: Path, astronaut_png: Path, speech_wav: Path) -> None:
    """Rendered for real; what happens when workers die is tested with stand-in rows, and below with these."""
    out = tmp_path / "out"
    manifest = write_manifest(tmp_path, astronaut_png, speech_wav, 2)
    check_rendered(
        manifest, out, lambda path: len(decode_frames(path, 256, 256)), "--backend", "dask"
    )
    assert leftovers(out) == []


@pytest.mark.slow
def test_six_rows_with_a_worker_killed(
    tmp_path: Path, astronaut_png: Path, speech_wav: Path
) -> None:
    out = tmp_path / "out"
    manifest = write_manifest(tmp_path, astronaut_png, speech_wav)
    batch = render_and_kill(manifest, out, "--backend", "dask")
    check_all_made(batch, out, lambda path: len(decode_frames(path, 256, 256)))
    assert len(leftovers(out)) <= 1  # what the killed worker was just writing


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterBackend]:
    """A cluster of our own that does stand-in rows."""
    folder = tmp_path_factory.mktemp("dask")
    request = BatchRequest("", folder, backend="dask", workers=2, devices=("cpu",))
    backend = open_backend(request)
    assert isinstance(backend, DaskBackend)
    backend.task = STAND_IN
    with backend:
        yield backend


def test_worker_that_dies_loses_one_row_and_no_more(own: ClusterBackend, tmp_path: Path) -> None:
    jobs = stand_in_jobs(tmp_path, seconds=0.3)
    jobs[2] = replace(jobs[2], settings={"seconds": 0.3, "die_until": 1})
    found = run_all(own, jobs)
    assert sorted(outcome.row for outcome in found) == list(range(1, COUNT + 1))
    assert {outcome.row: outcome.state for outcome in found if outcome.state != "done"} == {
        3: "lost"
    }
    lost = next(outcome for outcome in found if outcome.state == "lost")
    assert lost.worker in lost.message
    assert not Path(jobs[2].output).exists()
    [again] = run_all(own, [jobs[2]])
    assert (again.state, again.attempts) == ("done", 2)
    assert again.worker != lost.worker


def test_rows_that_die_each_time_are_only_lost(own: ClusterBackend, tmp_path: Path) -> None:
    jobs = stand_in_jobs(tmp_path, 3, die_until=9)
    found = run_all(own, jobs)
    assert sorted((outcome.row, outcome.state) for outcome in found) == [
        (row, "lost") for row in (1, 2, 3)
    ]


def test_errors_are_outcomes(own: ClusterBackend, tmp_path: Path) -> None:
    [failed] = run_all(own, stand_in_jobs(tmp_path, 1, fail=True))
    assert (failed.state, failed.kind, failed.exit_code) == ("failed", "AudioError", 3)


def test_stop_starts_no_more_rows(own: ClusterBackend, tmp_path: Path) -> None:
    jobs = stand_in_jobs(tmp_path, seconds=0.5)
    control = Control()
    found = run_all(own, jobs, control, lambda outcome: control.stop())
    assert 1 <= len(found) <= 2
    assert {outcome.state for outcome in found} == {"done"}
    assert started(jobs) == {outcome.row for outcome in found}


@pytest.mark.slow
def test_gpus_are_a_resource_and_each_worker_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkhead_cli.batch.dask_backend.expand_devices", lambda devices: devices)
    request = BatchRequest("", tmp_path, backend="dask", devices=("cuda:0", "cuda:1"))
    backend = DaskBackend(request)
    backend.task = STAND_IN
    with backend:
        info = backend.client.scheduler_info(n_workers=-1)["workers"]
        assert [values["resources"] for values in info.values()] == [{"GPU": 1}] * 2
        found = run_all(backend, stand_in_jobs(tmp_path / "rows", seconds=0.3))
    devices: dict[str, set[str]] = {}
    for outcome in found:
        devices.setdefault(outcome.worker, set()).add(outcome.device)
    assert sorted(map(sorted, devices.values())) == [["cuda:0"], ["cuda:1"]]


def send_back(job: Job, device: str) -> Outcome:
    """A stand-in for rendering a row whose files travel."""
    assert job.folder is None
    content = job.files["portrait"] + job.files["audio"]
    made = {"output_sha256": hashlib.sha256(content).hexdigest()}
    if job.settings.get("torn"):
        content = content[:-1]
    sidecar = b'{"portrait": "/elsewhere/portrait.png", "output": "/elsewhere/out.mp4", "seed": 1}'
    files = {"video": content, "sidecar": sidecar}
    return Outcome(
        job.row, job.key, "done", 1, worker_name(), device, loads=1, made=made, files=files
    )


def test_files_travel_where_no_folder_is_shared(tmp_path: Path) -> None:
    request = BatchRequest("", tmp_path, backend="dask", devices=("cpu",), copy_files=True)
    backend = DaskBackend(request)
    backend.task = "tests.cli.test_batch_dask:send_back"
    (tmp_path / "face.png").write_bytes(os.urandom(3 << 20))
    (tmp_path / "speech.wav").write_bytes(b"sound")
    whole, torn, missing = stand_in_jobs(tmp_path, 3)
    torn = replace(torn, settings={"torn": True})
    missing = replace(missing, audio=str(tmp_path / "none.wav"))
    with backend:
        found = {outcome.row: outcome for outcome in run_all(backend, [whole, torn, missing])}
    video = (tmp_path / "face.png").read_bytes() + b"sound"
    assert Path(whole.output).read_bytes() == video
    assert found[1].state == "done"
    assert found[1].files == {}
    sidecar = Path(whole.output).with_suffix(".json").read_text()
    assert "elsewhere" not in sidecar
    assert whole.portrait in sidecar
    assert found[2].state == "failed"
    assert "did not arrive whole" in found[2].message
    assert found[3].state == "failed"
    assert "none.wav: cannot be read" in found[3].message
    assert not Path(torn.output).exists()
    assert leftovers(tmp_path) == []


def dask(*arguments: object) -> list[str]:
    return [
        sys.executable,
        "-m",
        "distributed.cli." + f"dask_{arguments[0]}",
        *map(str, arguments[1:]),
    ]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def start_cluster(folder: Path, python_path: str) -> Iterator[str]:
    """The address of a cluster that is not ours: two workers with a nanny each, as a studio would start them."""
    address = f"127.0.0.1:{free_port()}"
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    environment = {**os.environ, "PYTHONPATH": python_path}
    scheduler = dask("scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2])
    for _ in processes([*scheduler, "--no-dashboard"], **silent):
        until(lambda: answers(int(address.rpartition(":")[2])))
        options = ("--nworkers", 2, "--nthreads", 1, "--no-dashboard")
        workers = dask("worker", address, *options)
        for _ in processes(workers, env=environment, **silent):
            yield address


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster whose workers can render."""
    yield from start_cluster(tmp_path_factory.mktemp("cluster"), os.pathsep.join(sys.path))


def test_cluster_by_address_with_a_worker_killed(theirs: str, tmp_path: Path) -> None:
    """Dask would start the row again; it is lost once, and started again by whoever runs the batch."""
    backend = DaskBackend(BatchRequest("", tmp_path, backend="dask", address=theirs))
    backend.task = STAND_IN
    jobs = stand_in_jobs(tmp_path, seconds=0.3)
    jobs[1] = replace(jobs[1], settings={"seconds": 0.3, "die_until": 1})
    with backend:
        found = run_all(backend, jobs)
    assert sorted(outcome.row for outcome in found) == list(range(1, COUNT + 1))
    assert [outcome.row for outcome in found if outcome.state == "lost"] == [2]
    assert Path(str(jobs[1].folder), "starts").read_text().count("\n") == 1


def test_abort_ends_the_workers_of_a_cluster_by_address(theirs: str, tmp_path: Path) -> None:
    backend = DaskBackend(BatchRequest("", tmp_path, backend="dask", address=theirs))
    backend.task = STAND_IN
    control = Control()
    jobs = stand_in_jobs(tmp_path, 4, seconds=300)
    with backend:
        ticks = iter(backend.run(jobs, control))
        while len(started(jobs)) < 2:
            next(ticks)
        control.abort()
        ended = [outcome for outcome in ticks if outcome is not None]
    assert {outcome.row for outcome in ended} == started(jobs)
    assert {(outcome.state, "died" in outcome.message) for outcome in ended} == {("lost", True)}


def test_workers_with_another_talkhead(
    theirs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkhead_cli.batch.dask_backend.__version__", "77.0")
    backend = DaskBackend(BatchRequest("", tmp_path, backend="dask", address=theirs))
    with pytest.raises(DeviceError, match=r"has talkhead .*, and this is 77\.0"):
        backend.__enter__()


def test_gpu_is_asked_for_where_there_is_none(theirs: str, tmp_path: Path) -> None:
    request = BatchRequest("", tmp_path, backend="dask", address=theirs, devices=("cuda",))
    with pytest.raises(DeviceError, match="no worker that offers a GPU"):
        DaskBackend(request).__enter__()


@pytest.mark.slow
def test_workers_without_talkhead(tmp_path: Path) -> None:
    stub = tmp_path / "stub" / "talkhead_cli"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text('raise ImportError("not for this Python")')
    words = r"cannot import talkhead .*not for this Python.*install talkhead"
    for address in start_cluster(tmp_path, str(stub.parent)):
        backend = DaskBackend(BatchRequest("", tmp_path, backend="dask", address=address))
        with pytest.raises(DeviceError, match=words):
            backend.__enter__()


def test_nothing_at_the_address(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(DeviceError, match="nothing answers there"):
        DaskBackend(BatchRequest("", tmp_path, backend="dask", address=address)).__enter__()


@pytest.mark.parametrize("address", ["tcp://host:port", "host:99999"])
def test_no_address(tmp_path: Path, address: str) -> None:
    with pytest.raises(UsageError, match="give it as host:port"):
        DaskBackend(BatchRequest("", tmp_path, backend="dask", address=address)).__enter__()


def test_named_gpus_make_no_sense_elsewhere(tmp_path: Path) -> None:
    request = BatchRequest(
        "", tmp_path, backend="dask", address="host:8786", devices=("cuda:0", "cuda:1")
    )
    with pytest.raises(UsageError, match="give auto, cpu or cuda"):
        DaskBackend(request)


def test_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "distributed" else find(name)
    )
    with pytest.raises(UsageError, match=r"pip install 'talkhead\[dask\]'"):
        open_backend(BatchRequest("", tmp_path, backend="dask"))
