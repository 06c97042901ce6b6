"""Checking a whole manifest before the first frame: every row, every file, every output; all faults at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from talkhead_cli.batch.job import BatchRequest, Control, Fault, Job


class Facts(Protocol):
    """What is known of files that were looked at before, so that they need not be looked at again.

    A file is known by its absolute path, size in bytes, time of change in nanoseconds and inode.
    """

    def get(
        self, kind: str, path: str, size: int, mtime_ns: int, inode: int
    ) -> dict[str, Any] | None:
        """What is known, None where nothing is.

        Args:
            kind: of knowledge: "sha256", "audio", "film", "portrait:<backend>:<background>".
            path: absolute.
            size: bytes.
            mtime_ns: time of change.
            inode: number of the file.
        """
        ...

    def put(
        self, kind: str, path: str, size: int, mtime_ns: int, inode: int, value: dict[str, Any]
    ) -> None:
        """Remember; values are JSON-able and below 2 kB."""
        ...


class DictFacts:
    """Facts in memory, for runs that write nothing."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, int, int, int], dict[str, Any]] = {}

    def get(
        self, kind: str, path: str, size: int, mtime_ns: int, inode: int
    ) -> dict[str, Any] | None:
        """See `Facts`."""
        return self._values.get((kind, path, size, mtime_ns, inode))

    def put(
        self, kind: str, path: str, size: int, mtime_ns: int, inode: int, value: dict[str, Any]
    ) -> None:
        """See `Facts`."""
        self._values[kind, path, size, mtime_ns, inode] = value


@dataclass(frozen=True)
class Plan:
    """A manifest, checked.

    Attributes:
        jobs: the rows without faults, in the manifest's order.
        faults: all there are, by row; row 0 is the manifest as a whole.
        rows: in the manifest, the faulty ones included.
        seconds: of video in all jobs.
        estimate_seconds: of rendering all jobs with the workers asked for; rough.
        estimate_bytes: of all outputs; rough.
        free_bytes: where the outputs go.
        warnings: what does not stop a row but may spoil its video, as faults are told.
        carried: row to the user's own columns.
    """

    jobs: tuple[Job, ...]
    faults: tuple[Fault, ...]
    rows: int
    seconds: float
    estimate_seconds: float
    estimate_bytes: int
    free_bytes: int
    warnings: tuple[Fault, ...] = ()
    carried: Mapping[int, Mapping[str, str]] = field(default_factory=dict)


OnProgress = Callable[[int, int], None]
"""Called with files looked at and their number."""


def plan_batch(
    request: BatchRequest,
    folder_of: Callable[[str, str], str | None],
    facts: Facts,
    *,
    is_ours: Callable[[str], bool] | None = None,
    control: Control | None = None,
    on_progress: OnProgress | None = None,
    workers: int | None = None,
) -> Plan:
    """Check a manifest; nothing is written but `facts`.

    Args:
        request: what was asked for.
        folder_of: a job's private folder from its key and its output's absolute path.
        facts: what is known of files from earlier runs.
        is_ours: whether an output, by its absolute path, was made by an earlier run in this folder, so that
            `resume` may replace it; without it, `resume` lets all outputs be that are there.
        control: asked to stop, this ends with KeyboardInterrupt.
        on_progress: called now and then, in the calling thread.
        workers: that rows are dealt to, for the estimate; None takes what `request` says.

    Raises:
        BatchFileError: the manifest cannot be read at all.
        UsageError: an option of the command line is out of range.
        PresetError: the command line's preset cannot be used.
        WeightsError: the shipped bundles are missing.
        MediaError: ffmpeg is missing.
        KeyboardInterrupt: `control` said so.
    """
    raise NotImplementedError
