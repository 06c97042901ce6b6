"""Batches on a real Ray of two workers."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from talkhead_cli.batch.backends import open_backend
from talkhead_cli.batch.cluster import ClusterBackend
from talkhead_cli.batch.job import BatchRequest, Control, Job, Outcome
from talkhead_cli.batch.ray_backend import RayBackend
from talkhead_cli.batch.worker import worker_name
from talkhead_cli.errors import DeviceError, UsageError
from tests.cluster_rows import (
    COUNT,
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

pytestmark = pytest.mark.filterwarnings(
    # Ray leaves its own files and sockets to the garbage collector.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore::DeprecationWarning:ray.*",
    "ignore::FutureWarning:ray.*",
)


def test_two_rows(tmp_path: Path, astronaut_png: Path, speech_wav: Path) -> None:
    """Rendered for real; what happens when workers die is tested with stand-in rows, and below with these."""
    out = tmp_path / "out"
    manifest = write_manifest(tmp_path, astronaut_png, speech_wav, 2)
    check_rendered(
        manifest, out, lambda path: len(decode_frames(path, 256, 256)), "--backend", "ray"
    )
    assert leftovers(out) == []


@pytest.mark.slow
def test_six_rows_with_a_worker_killed(
    tmp_path: Path, astronaut_png: Path, speech_wav: Path
) -> None:
    out = tmp_path / "out"
    manifest = write_manifest(tmp_path, astronaut_png, speech_wav)
    batch = render_and_kill(manifest, out, "--backend", "ray")
    check_all_made(batch, out, lambda path: len(decode_frames(path, 256, 256)))
    assert len(leftovers(out)) <= 1  # what the killed worker was just writing


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayBackend]:
    """A Ray of our own that does stand-in rows, on two GPUs that only its books know of."""
    folder = tmp_path_factory.mktemp("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("talkhead_cli.batch.ray_backend.expand_devices", lambda devices: devices)
        devices = ("cuda:0", "cuda:1")
        backend = RayBackend(BatchRequest("", folder, backend="ray", devices=devices))
    backend.task = "tests.cli.test_batch_ray:stand_in_on_gpu"
    handler = signal.getsignal(signal.SIGTERM)
    with backend:
        assert signal.getsignal(signal.SIGTERM) is handler
        yield backend


def stand_in_on_gpu(job: Job, device: str) -> Outcome:
    """A stand-in that says which GPU its process sees; rows with files are made of those."""
    from tests.batch_stand_in import stand_in

    seen = f"{device} of {os.environ.get('CUDA_VISIBLE_DEVICES')}"
    if not job.files:
        return stand_in(job, seen)
    content = job.files["portrait"]
    made = {"output_sha256": hashlib.sha256(content).hexdigest()}
    files = {"video": content}
    return Outcome(job.row, job.key, "done", 1, worker_name(), seen, made=made, files=files)


def test_worker_that_dies_loses_one_row_and_no_more(own: ClusterBackend, tmp_path: Path) -> None:
    jobs = stand_in_jobs(tmp_path, seconds=0.3)
    jobs[2] = replace(jobs[2], settings={"seconds": 0.3, "die_until": 1})
    found = run_all(own, jobs)
    assert sorted(outcome.row for outcome in found) == list(range(1, COUNT + 1))
    assert [outcome.row for outcome in found if outcome.state != "done"] == [3]
    lost = next(outcome for outcome in found if outcome.state == "lost")
    assert lost.worker in lost.message
    [again] = run_all(own, [jobs[2]])
    assert (again.state, again.attempts) == ("done", 2)
    assert again.worker != lost.worker


def test_each_worker_has_a_gpu_of_its_own(own: ClusterBackend, tmp_path: Path) -> None:
    found = run_all(own, stand_in_jobs(tmp_path, 4, seconds=1.0))
    devices: dict[str, set[str]] = {}
    for outcome in found:
        devices.setdefault(outcome.worker, set()).add(outcome.device)
    assert sorted(map(sorted, devices.values())) == [["cuda:0 of 0"], ["cuda:0 of 1"]]


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


def test_files_travel_where_no_folder_is_shared(
    own: ClusterBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "request", replace(own.request, copy_files=True))
    content = os.urandom(3 << 20)
    (tmp_path / "face.png").write_bytes(content)
    (tmp_path / "speech.wav").write_bytes(b"sound")
    [job] = stand_in_jobs(tmp_path, 1)
    [done] = run_all(own, [job])
    assert done.state == "done"
    assert done.files == {}
    assert Path(job.output).read_bytes() == content


def test_abort_ends_the_workers(own: ClusterBackend, tmp_path: Path) -> None:
    jobs = stand_in_jobs(tmp_path, 4, seconds=300)
    control = Control()
    ticks = iter(own.run(jobs, control))
    while len(started(jobs)) < 2:
        next(ticks)
    control.abort()
    ended = [outcome for outcome in ticks if outcome is not None]
    assert {outcome.row for outcome in ended} == started(jobs)
    assert {outcome.state for outcome in ended} == {"lost"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.slow
def test_cluster_by_address(tmp_path: Path) -> None:
    """In a process of its own, since a process can be part of one Ray only."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    port = free_port()
    head = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    options = ["--port", str(port), "--num-cpus", "2", "--include-dashboard", "false"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "RAY_AUTH_MODE": "token"}
    environment |= {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    for _ in processes([*head, *options, "--disable-usage-stats"], env=environment, **silent):
        command = [sys.executable, str(script), f"127.0.0.1:{port}", str(tmp_path / "out")]
        del environment["RAY_AUTH_MODE"]  # it is for the backend to find out
        until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        assert done.stdout.splitlines() == ["1 done", "2 lost", "3 done", "4 done", "has no GPU"]


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path

from talkhead_cli.batch.job import BatchRequest
from talkhead_cli.batch.ray_backend import RayBackend
from talkhead_cli.errors import DeviceError
from tests.cluster_rows import STAND_IN, run_all, stand_in_jobs

address, folder = sys.argv[1], Path(sys.argv[2])
jobs = stand_in_jobs(folder, 4, seconds=0.3)
jobs[1] = replace(jobs[1], settings={"die_until": 1})
backend = RayBackend(BatchRequest("", folder, backend="ray", address=address, workers=2))
backend.task = STAND_IN
with backend:
    for outcome in sorted(run_all(backend, jobs), key=lambda outcome: outcome.row):
        print(outcome.row, outcome.state)
try:
    RayBackend(BatchRequest("", folder, address=address, devices=("cuda",))).__enter__()
except DeviceError as error:
    print("has no GPU" if "has no GPU" in str(error) else error)
"""


def test_nothing_at_the_address(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(DeviceError, match="nothing answers there"):
        RayBackend(BatchRequest("", tmp_path, backend="ray", address=address)).__enter__()


def test_client_addresses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run talkhead on a machine of the cluster"):
        RayBackend(BatchRequest("", tmp_path, backend="ray", address="ray://host:10001"))


def test_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ray" else find(name)
    )
    with pytest.raises(UsageError, match=r"pip install 'talkhead\[ray\]'"):
        open_backend(BatchRequest("", tmp_path, backend="ray"))
