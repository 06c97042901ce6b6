"""What a backend costs besides rendering: rows that only wait, on real worker processes.

    python benchmarks/dispatch.py [--workers 2] [--rows 60] [--json FILE]

For each backend: seconds to start and end; seconds a row of no length takes, all workers busy; and the CPU seconds
that the run's own process spends a row and an hour of a busy worker. With Dask that is with its scheduler, which lives
in the same process when the cluster is our own. From these docs/scaling.md computes what a hundred workers would ask.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from talkhead_cli.batch.dask_backend import DaskBackend
from talkhead_cli.batch.job import Backend, BatchRequest, Control, Job, Outcome
from talkhead_cli.batch.pool import LocalBackend
from talkhead_cli.batch.ray_backend import RayBackend

TASK = "dispatch:wait"
LONG_SECONDS = 20.0


def wait(job: Job, device: str) -> Outcome:
    """A row."""
    time.sleep(job.seconds)
    return Outcome(job.row, job.key, "done", worker=str(os.getpid()), device=device)


def make_jobs(count: int, seconds: float) -> list[Job]:
    settings = {"size": 512, "fps": "25", "preset": "talkhead", "seed": 0}
    paths = ("/data/portrait.png", "/data/speech.wav", None, "/data/out.mp4")
    return [Job(row, *paths, settings, f"{row:064}", None, seconds) for row in range(count)]


def open_one(name: str, workers: int, folder: Path) -> Backend:
    if name == "local":
        return LocalBackend(workers, ("cpu",), folder, wait)
    request = BatchRequest("", folder, backend=name, workers=workers, devices=("cpu",))
    backend = DaskBackend(request) if name == "dask" else RayBackend(request)
    backend.task = TASK
    return backend


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run(backend: Backend, jobs: list[Job]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    clock, cpu = time.perf_counter(), cpu_seconds()
    done = sum(outcome is not None for outcome in backend.run(jobs, Control()))
    assert done == len(jobs)
    return time.perf_counter() - clock, cpu_seconds() - cpu


def measure(name: str, workers: int, rows: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with open_one(name, workers, Path(folder)) as backend:
            run(backend, make_jobs(workers, 0.2))
            started = time.perf_counter() - began - 0.2
            seconds, cpu = run(backend, make_jobs(rows, 0.0))
            _, idle = run(backend, make_jobs(workers, LONG_SECONDS))
            ending = time.perf_counter()
        ended = time.perf_counter() - ending
    busy_hours = workers * LONG_SECONDS / 3600
    return {
        "workers": workers,
        "start_seconds": round(started, 2),
        "end_seconds": round(ended, 2),
        "row_milliseconds": round(1000 * seconds * workers / rows, 1),
        "cpu_milliseconds_per_row": round(1000 * cpu / rows, 2),
        "cpu_seconds_per_worker_hour": round((idle - cpu / rows * workers) / busy_hours, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[2])
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--backends", nargs="+", default=["local", "dask", "ray"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {}
    for name in options.backends:
        for workers in options.workers:
            found[f"{name}-{workers}"] = figures = measure(name, workers, options.rows)
            print(name, json.dumps(figures))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
