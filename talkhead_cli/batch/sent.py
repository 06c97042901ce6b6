"""Rows whose inputs and outputs travel with them, for machines that share no folder with the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

from talkhead_cli.batch.job import Job, Outcome, Status
from talkhead_cli.batch.lock import WORKERS_LOCK, open_lock
from talkhead_cli.batch.worker import OUTCOME, STATUS, count_start, write_json_file
from talkhead_cli.errors import InputError, TalkheadError, write_error
from talkhead_cli.paths import check_free, publish, temporary_beside
from talkhead_cli.sidecar import sidecar_path, write_sidecar
from talkhead_cli.unchanged import check_unchanged


@contextmanager
def while_working(folder: Path | None) -> Iterator[None]:
    """Hold a run's folder while a row is rendered into it, so that no other run begins there if this one is killed.

    Args:
        folder: the run's folder; None, or one that cannot be locked, is not held.
    """
    import fcntl

    file = None
    with suppress(TalkheadError, OSError):
        if folder is not None:
            file = open_lock(folder / WORKERS_LOCK)
            fcntl.flock(file, fcntl.LOCK_SH)
    try:
        yield
    finally:
        if file is not None:
            file.close()


def pack(job: Job) -> Job:
    """The same job with the contents of its inputs instead of a shared folder.

    Raises:
        InputError: an input cannot be read, or has changed.
    """
    check_unchanged(job.seen, "the manifest was checked")
    files = {}
    for name in ("portrait", "audio", "drive", "style"):
        path = getattr(job, name)
        if path is not None:
            try:
                files[name] = Path(path).read_bytes()
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return replace(job, folder=None, files=files)


def note_start(job: Job, slot: str) -> int:
    """Note here what a worker far away cannot: that a row runs; how often it has been started.

    Args:
        job: as it is here.
        slot: where it was sent.
    """
    attempts = count_start(job)
    if job.folder is not None:
        status = Status(job.row, slot, "", "render", 0, job.num_frames)
        with suppress(OSError, TalkheadError):
            write_json_file(Path(job.folder) / STATUS, asdict(status))
    return attempts


def put_in_place(job: Job, outcome: Outcome) -> Outcome:
    """Write what a worker sent back; the outcome without the files, or what went wrong.

    Args:
        job: as it is here.
        outcome: as it came.
    """
    bare = replace(outcome, files={})
    if outcome.state != "done":
        return bare
    try:
        write_files(job, outcome)
    except TalkheadError as error:
        return replace(
            bare,
            state="failed",
            kind=type(error).__name__,
            message=str(error),
            exit_code=error.exit_code,
        )
    return bare


def write_files(job: Job, outcome: Outcome) -> None:
    """Put the video in place, after its sidecar, as a render on this machine does.

    Raises:
        InputError: they cannot be written, or did not arrive whole.
    """
    target = Path(job.output)
    video = outcome.files.get("video", b"")
    sha256 = hashlib.sha256(video).hexdigest()
    if sha256 != outcome.made.get("output_sha256"):
        raise InputError(f"{target}: the video did not arrive whole from {outcome.worker}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        check_free(target, job.overwrite)
        temporary = temporary_beside(target)
        try:
            temporary.write_bytes(video)
            if job.folder is not None:
                values = {"key": job.key, "output_sha256": sha256, "device": outcome.device}
                write_json_file(Path(job.folder) / OUTCOME, values)
            if "sidecar" in outcome.files:
                write_sidecar(sidecar_path(target), true_paths(job, outcome.files["sidecar"]))
            publish(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(target, error) from error


def true_paths(job: Job, sidecar: bytes) -> dict[str, object]:
    """A sidecar that names the files here, not their copies there."""
    record: dict[str, object] = json.loads(sidecar)
    for name in ("portrait", "audio", "drive", "style", "output"):
        if name in record:
            record[name] = getattr(job, name)
    return record
