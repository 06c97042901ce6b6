"""A stand-in for rendering: quick rows that behave as their settings say, in real worker processes."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from talkhead_cli.batch.job import Job, Outcome
from talkhead_cli.batch.worker import OUTCOME, count_start, worker_name, write_json_file


def make_job(folder: Path, row: int, **settings: Any) -> Job:
    """A row whose video is a small text file.

    Args:
        folder: output folder; row folders go below it.
        row: its number.
        settings: "seconds" to take, "die_until": attempts that end in SIGKILL, "die_late": the first one does after
            its video is in place, "fail": with an error, "raise": where nothing may be raised.
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
    time.sleep(chosen.get("seconds", 0.0))
    if attempts <= chosen.get("die_until", 0):
        os.kill(os.getpid(), signal.SIGKILL)
    if chosen.get("raise"):
        raise ValueError("a worker must not raise")
    about = {"attempts": attempts, "worker": worker_name(), "device": device}
    if chosen.get("fail"):
        words = {"kind": "AudioError", "message": f"{job.audio}: no speech", "exit_code": 3}
        return Outcome(job.row, job.key, "failed", **about, **words)
    content = f"{job.key}\n".encode()
    digest = hashlib.sha256(content).hexdigest()
    assert job.folder is not None
    outcome = {"key": job.key, "output_sha256": digest, "device": device}
    write_json_file(Path(job.folder) / OUTCOME, outcome)
    if Path(job.output).exists() and not job.overwrite:
        words = {"kind": "InputError", "message": f"{job.output}: exists already", "exit_code": 3}
        return Outcome(job.row, job.key, "failed", **about, **words)
    Path(job.output).write_bytes(content)
    if chosen.get("die_late") and attempts == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    made = {"output_sha256": digest, "num_frames": 25, "elapsed_seconds": 0.1}
    return Outcome(job.row, job.key, "done", loads=1, made=made, **about)
