"""The rows of a report: those of a batch, or the videos of any folder, with what their sidecars say."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from talkhead_cli.errors import InputError
from talkhead_cli.sidecar import read_sidecar

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".m4v"})

INPUTS = ("portrait", "audio", "drive", "style", "motion_in")

RowState = Literal["done", "failed", "missing", "waiting", "running"]


@dataclass(frozen=True)
class ReportRow:
    """A row before anything is measured.

    Attributes:
        number: in the manifest, or in the folder by name; 1 = the first.
        name: of the video below the folder, with slashes; what a row is known by.
        video: its path; None where the row has none.
        state: what has become of it.
        kind, message: of the error.
        attempts: times that it was started.
        warnings: what the render had to say.
        inputs: paths of what it was made from, by kind.
        settings: of the render, as far as they are known.
        consent_ref: as it was given.
        marks: what says that the video is generated, such as "metadata, watermark"; "" where that is not known.
        carried: the user's own columns.
        sha256: that the run has recorded; "" where none is.
        size, mtime_ns: of the file when that was recorded.
        elapsed: seconds that the render took.
    """

    number: int
    name: str
    video: Path | None
    state: RowState
    kind: str = ""
    message: str = ""
    attempts: int = 0
    warnings: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    consent_ref: str = ""
    marks: str = ""
    carried: dict[str, str] = field(default_factory=dict)
    sha256: str = ""
    size: int | None = None
    mtime_ns: int | None = None
    elapsed: float | None = None


@dataclass(frozen=True)
class Collection:
    """What a folder holds.

    Attributes:
        folder: absolute.
        rows: in the manifest's order, or by name.
        manifest: of the batch; "" where the folder is none's.
        notes: what is to be said of the folder as a whole.
    """

    folder: Path
    rows: tuple[ReportRow, ...]
    manifest: str = ""
    notes: tuple[str, ...] = ()


def collect(folder: Path) -> Collection:
    """The rows of a folder: of the batch that was rendered into it, else its videos.

    Raises:
        InputError: there is no such folder, it cannot be read, or it holds neither a batch nor videos.
    """
    from talkhead_cli.batch.job import RUN_FOLDER
    from talkhead_cli.batch.ledger import LEDGER

    folder = folder.absolute()
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {what}; give the output folder of a batch, or one of videos")
    notes: list[str] = []
    if (folder / RUN_FOLDER / LEDGER).is_file():
        try:
            return collect_batch(folder)
        except InputError as error:
            notes.append(f"the state of the batch cannot be read, so these are its videos: {error}")
    rows = tuple(folder_rows(folder))
    if not rows:
        raise InputError(f"{folder}: holds neither a batch nor videos; give another folder")
    return Collection(folder, rows, notes=tuple(notes))


def collect_batch(folder: Path) -> Collection:
    """The rows of a batch.

    Raises:
        InputError: its state cannot be read.
    """
    from talkhead_cli.batch.export import result_rows
    from talkhead_cli.batch.job import RUN_FOLDER
    from talkhead_cli.batch.ledger import Ledger
    from talkhead_cli.batch.lock import find_holder

    run_folder = folder / RUN_FOLDER
    # Even readers of the state write beside it, unless they are told not to.
    with Ledger(folder, read_only=True, traceless=not os.access(run_folder, os.W_OK)) as ledger:
        goes_on = find_holder(run_folder) is not None
        records = {record.row: record for record in ledger.records()}
        rows = []
        for result in result_rows(ledger):
            row = batch_row(folder, result, goes_on)
            record = records.get(result["row"])
            if record is not None and row.sha256:
                row = replace(row, size=record.size, mtime_ns=record.mtime_ns)
            rows.append(with_sidecar(row))
        run = ledger.last_run()
    manifest = str(run.about.get("manifest", "")) if run else ""
    return Collection(folder, tuple(rows), "" if manifest == "-" else manifest)


def batch_row(folder: Path, result: dict[str, Any], goes_on: bool) -> ReportRow:
    """A row from the run's results, see `talkhead_cli.batch.export`.

    Args:
        folder: the output folder.
        result: of the row.
        goes_on: whether somebody renders into the folder at this moment.
    """
    output = str(result["output"] or "")
    video = folder / output if output else None
    state: RowState = result["state"]
    if state == "running" and not goes_on:
        state = "waiting"  # what a killed run has left
    if state == "done" and not (video and is_there(video)):
        state = "missing"
    carried = dict(result["carried"])
    return ReportRow(
        number=int(result["row"]),
        name=output,
        video=video if state == "done" else None,
        state=state,
        kind=str(result["kind"] or "") if state == "failed" else "",
        message=str(result["message"] or "") if state == "failed" else "",
        attempts=int(result["attempts"] or 0),
        warnings=tuple(map(str, result["warnings"])),
        inputs={key: str(result[key]) for key in INPUTS if result.get(key)},
        consent_ref=str(carried.pop("consent_ref", "") or ""),
        carried={str(key): str(value) for key, value in carried.items()},
        sha256=str(result["output_sha256"] or ""),
        elapsed=result["elapsed_seconds"],
    )


def folder_rows(folder: Path) -> Iterator[ReportRow]:
    """A row for every video below a folder, by name as people sort it; hidden files and folders are left out."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in VIDEO_SUFFIXES:
                found.append(path)
    names = sorted((path.relative_to(folder).as_posix() for path in found), key=natural)
    for number, name in enumerate(names, 1):
        video = folder / name
        state: RowState = "done" if is_there(video) else "missing"
        yield with_sidecar(ReportRow(number, name, video if state == "done" else None, state))


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that puts row2 before row10."""
    words = re.split(r"([0-9]+)", name.casefold())
    # Every other part is a number.
    return [
        (0, int(part), "") if index % 2 else (1, 0, part)
        for index, part in enumerate(words)
        if part
    ]


def with_sidecar(row: ReportRow) -> ReportRow:
    """The row with what the JSON file beside its video says; what the run has recorded goes first."""
    if row.video is None:
        return row
    record = read_sidecar(row.video)
    settings = record.get("settings")
    inputs = {key: record[key] for key in INPUTS if isinstance(record.get(key), str)}
    marking, elapsed = record.get("marking"), record.get("elapsed_seconds")
    marking = marking if isinstance(marking, dict) else {}
    consent, written = marking.get("consent_ref"), marking.get("written")
    return replace(
        row,
        settings=settings if isinstance(settings, dict) else {},
        inputs=row.inputs or inputs,
        consent_ref=row.consent_ref or (consent if isinstance(consent, str) else ""),
        marks=(", ".join(map(str, written)) or "none") if isinstance(written, list) else "",
        elapsed=row.elapsed or (elapsed if isinstance(elapsed, float) else None),
    )


def find_input(row: ReportRow, kind: str) -> Path | None:
    """A file that the video was made from, if it is still there.

    Paths of sidecars are as they were typed: from the working folder, or, where files were moved together, beside
    the video.
    """
    name = row.inputs.get(kind, "")
    if not name or name == "-" or row.video is None:
        return None
    for path in (Path(name), row.video.parent / name):
        if is_regular(path):
            return path.absolute()
    return None


def is_there(path: Path) -> bool:
    """Whether a path leads to anything."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def is_regular(path: Path) -> bool:
    """Whether a path leads to a file that can be read twice: pipes and devices would be waited for."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False
