"""Rows and runs as the ledger knows them."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

State = Literal["waiting", "running", "done", "failed"]


def name_below(out_dir: Path, output: str) -> str:
    """What an output is known by: its path below the output folder; where it may lie outside, with `..`."""
    folder, path = out_dir.absolute(), Path(output)
    if not path.is_relative_to(folder) and path.resolve().is_relative_to(folder.resolve()):
        # One of the two was told by way of a symbolic link.
        folder, path = folder.resolve(), path.resolve()
    return Path(os.path.relpath(path, folder)).as_posix()


@dataclass(frozen=True)
class Record:
    """A row, as the ledger knows it.

    Attributes:
        output: path below the output folder, with slashes.
        row: its number in the manifest read last; None where it is not in that one.
        key: of the job it stands for.
        state: what has become of it.
        run: the run that brought it into this state; None before any did.
        portrait: absolute path.
        audio: absolute path, if any.
        drive: absolute path, if any.
        seconds: of video.
        num_frames: of the video.
        carried: the user's own columns.
        attempts: times that it was started with this key, in all runs.
        worker: "host:pid" that had it last.
        device: where.
        started: seconds since 1970.
        ended: seconds since 1970.
        made: as in `Outcome`.
        kind: class of the error.
        message: of the error.
        exit_code: that a single render would have ended with.
        sha256: of the video made last, though inputs may have changed since; "" when none was.
        size: of that video, bytes.
        mtime_ns: its time of change.
    """

    output: str
    row: int | None
    key: str
    state: State
    run: int | None
    portrait: str
    audio: str | None
    drive: str | None
    seconds: float
    num_frames: int
    carried: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    worker: str = ""
    device: str = ""
    started: float | None = None
    ended: float | None = None
    made: dict[str, Any] = field(default_factory=dict)
    kind: str = ""
    message: str = ""
    exit_code: int = 0
    sha256: str = ""
    size: int | None = None
    mtime_ns: int | None = None


@dataclass(frozen=True)
class Run:
    """A run, as the ledger knows it.

    Attributes:
        id: its number, 1 = the first in this folder.
        started: seconds since 1970.
        ended: seconds since 1970; None while it goes on, or when it was killed.
        about: keys of the `batch_start` event.
        summary: of `BatchSummary`; None while it goes on, or when it was killed.
    """

    id: int
    started: float
    ended: float | None
    about: dict[str, Any]
    summary: dict[str, Any] | None


def to_record(found: sqlite3.Row) -> Record:
    """A row of the table as a value."""
    values = dict(found)
    values["carried"] = json.loads(values["carried"])
    values["made"] = json.loads(values["made"])
    return Record(**values)


def to_values(record: Record, names: Sequence[str]) -> list[Any]:
    """A value as a row of the table."""
    values = asdict(record)
    values["carried"] = json.dumps(record.carried)
    values["made"] = json.dumps(record.made)
    return [values[name] for name in names]
