"""A stand-in for rendering: quick rows that behave as their settings say, in real worker processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from talkhead_cli.batch.check import Facts, Plan
from talkhead_cli.batch.job import (
    RUN_FOLDER,
    Backend,
    BatchRequest,
    Control,
    Fault,
    Job,
    Outcome,
    Status,
)
from talkhead_cli.batch.pool import LocalBackend
from talkhead_cli.batch.worker import OUTCOME, STATUS, count_start, worker_name, write_json_file
from talkhead_cli.errors import write_error


def make_job(folder: Path, row: int, **settings: Any) -> Job:
    """A row whose video is a small text file.

    Args:
        folder: output folder; row folders go below it.
        row: its number.
        settings: "seconds" to take, "busy": seconds of work besides, "die_until": attempts that end in SIGKILL, or in
            another "signal", "die_late": the first one does after its video is in place, "die_between": before that,
            but with its sidecar in place, "hang_until": attempts that do nothing for ever, "fail": with an error,
            "raise": where nothing may be raised; "size": zeros that the video has besides; "status": say how far it
            is; "log": a file with a line for every video put in place.
    """
    return Job(
        row=row,
        portrait=str(folder / "face.png"),
        audio=str(folder / "speech.wav"),
        drive=None,
        output=str(folder / f"row{row}.mp4"),
        settings=settings,
        key=hashlib.sha256(repr((row, settings)).encode()).hexdigest(),
        folder=str(folder / ".talkhead" / "rows" / f"{row}"),
        seconds=1.0,
        num_frames=25,
        cost=float(settings.get("cost", 1.0)),
        run=str(settings.get("run", "1")),
    )


def stand_in(job: Job, device: str) -> Outcome:
    """Make a row's file."""
    attempts = count_start(job)
    chosen = job.settings
    if chosen.get("status"):
        status = Status(job.row, worker_name(), device, "render", 5, 25, 12.5)
        write_json_file(Path(job.folder or "", STATUS), asdict(status))
    spend_time(chosen, attempts)
    if chosen.get("raise"):
        raise ValueError("a worker must not raise")
    about = {"attempts": attempts, "worker": worker_name(), "device": device}
    if chosen.get("fail"):
        words = {"kind": "AudioError", "message": f"{job.audio}: no speech", "exit_code": 3}
        return Outcome(job.row, job.key, "failed", **about, **words)
    content = f"{job.key}\n".encode() + bytes(chosen.get("size", 0))
    digest = hashlib.sha256(content).hexdigest()
    assert job.folder is not None
    outcome = {"key": job.key, "output_sha256": digest, "device": device}
    write_json_file(Path(job.folder) / OUTCOME, outcome)
    if Path(job.output).exists() and not job.overwrite:
        words = {"kind": "InputError", "message": f"{job.output}: exists already", "exit_code": 3}
        return Outcome(job.row, job.key, "failed", **about, **words)
    if chosen.get("die_between") and attempts == 1:
        Path(job.output).with_suffix(".json").write_text("{}")
        os.kill(os.getpid(), signal.SIGKILL)
    temporary = Path(job.folder, ".talkhead-video.mp4")
    try:
        temporary.write_bytes(content)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        full = write_error(job.output, error)
        words = {"kind": type(full).__name__, "message": str(full), "exit_code": full.exit_code}
        return Outcome(job.row, job.key, "failed", **about, **words)
    if "log" in chosen:
        with Path(chosen["log"]).open("a") as file:
            file.write(f"{job.row}\n")
    temporary.rename(job.output)
    if chosen.get("die_late") and attempts == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    made = {"output_sha256": digest, "num_frames": 25, "elapsed_seconds": 0.1}
    return Outcome(job.row, job.key, "done", loads=1, made=made, **about)


def spend_time(chosen: dict[str, Any], attempts: int) -> None:
    """Take time; or die, or do nothing for ever, where that is asked for."""
    time.sleep(chosen.get("seconds", 0.0))
    end = time.monotonic() + chosen.get("busy", 0.0)
    while time.monotonic() < end:
        pass
    if attempts <= chosen.get("die_until", 0):
        os.kill(os.getpid(), chosen.get("signal", signal.SIGKILL))
    if attempts <= chosen.get("hang_until", 0):
        threading.Event().wait()


def stand_in_plan(
    request: BatchRequest,
    folder_of: Callable[[str, str], str | None],
    facts: Facts,
    *,
    is_ours: Callable[[str], bool],
    control: Control | None = None,
    on_progress: object = None,
    workers: int | None = None,
) -> Plan:
    """A plan from a file that holds a JSON object of settings, or of "fault", on every line."""
    jobs: list[Job] = []
    faults: list[Fault] = []
    lines = Path(request.manifest).read_text().splitlines()
    for row, line in enumerate(lines, start=1):
        settings = json.loads(line)
        facts.put("sha256", f"/row{row}", 1, 2, 3, {"value": row})
        if "fault" in settings:
            faults.append(Fault(row, row + 1, "audio", settings["fault"]))
            continue
        job = make_job(request.out_dir, row, **settings)
        if "output" in settings:
            job = replace(job, output=str(request.out_dir / settings["output"]))
        for path in (Path(job.output), Path(job.output).with_suffix(".json")):
            if path.exists() and not (
                request.overwrite or (request.resume and is_ours(job.output))
            ):
                faults.append(Fault(row, row + 1, "output", f"{path.name}: exists already"))
        folder = folder_of(job.key, job.output)
        jobs.append(replace(job, folder=folder, overwrite=request.overwrite))
    bad = {fault.row for fault in faults}
    jobs = [job for job in jobs if job.row not in bad]
    seconds = float(len(jobs))
    return Plan(tuple(jobs), tuple(faults), len(lines), seconds, seconds, 100 * len(jobs), 10**9)


def stand_in_backend(request: BatchRequest) -> Backend:
    """Real worker processes that do stand-in rows."""
    folder = request.out_dir / RUN_FOLDER
    return LocalBackend(
        request.workers or 2, request.devices, folder, stand_in, patience=request.row_timeout
    )


def main() -> None:
    """Run a batch of stand-in rows in this process: MANIFEST OUT_DIR, to be killed."""
    from talkhead_cli.batch import run

    run.plan_batch = stand_in_plan  # type: ignore[assignment]
    run.open_backend = stand_in_backend
    request = BatchRequest(Path(sys.argv[1]), Path(sys.argv[2]), devices=("cpu",), resume=True)
    summary = run.run_batch(request)
    sys.exit(summary.exit_code)


if __name__ == "__main__":
    main()
