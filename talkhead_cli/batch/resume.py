"""What earlier runs have left in an output folder, and what of it is still good."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from talkhead_cli.batch.check import DictFacts, Plan
from talkhead_cli.batch.job import RUN_FOLDER, BatchRequest, Job, Outcome
from talkhead_cli.batch.ledger import Ledger
from talkhead_cli.batch.records import Record, name_below
from talkhead_cli.batch.worker import OUTCOME, STARTS, STATUS, adopt
from talkhead_cli.hashing import sha256_of
from talkhead_cli.marking.consent import consent_in

ROWS_FOLDER = "rows"

TEMPORARY = ".talkhead-*"
"""What `temporary_beside` makes; left behind only by processes that were killed."""


@dataclass(frozen=True)
class Found:
    """A video that is ours although the ledger does not know it as it is: named as the fields of `Record`."""

    sha256: str
    size: int
    mtime_ns: int


@dataclass
class Work:
    """The rows of a manifest, sorted by what is to become of them.

    Attributes:
        records: of all rows without faults, as they are before the first is started.
        to_do: to be rendered.
        skipped: done by an earlier run, and unchanged.
        failed: failed in an earlier run, and not to be tried again.
        attempts: row to times that it was started by earlier runs, of those to be rendered.
        renamed: of the skipped, those that name another consent than before.
    """

    records: list[Record] = field(default_factory=list)
    to_do: list[Job] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)
    failed: list[Job] = field(default_factory=list)
    attempts: dict[int, int] = field(default_factory=dict)
    renamed: list[Job] = field(default_factory=list)


class Past:
    """What the ledger and the folder tell of earlier runs.

    Args:
        ledger: of the output folder; None where there is none yet.
        request: what is asked for now.
    """

    def __init__(self, ledger: Ledger | None, request: BatchRequest) -> None:
        self.ledger = ledger
        self.request = request
        self.rows_folder = request.out_dir.absolute() / RUN_FOLDER / ROWS_FOLDER
        self._ours: dict[str, bool] = {}
        self._found: dict[str, Found] = {}

    def folder_of(self, key: str, output: str) -> str | None:
        """Where a row keeps what it has made so far: another place for other inputs or settings.

        Args:
            key: of its job.
            output: absolute path.
        """
        name = name_below(self.request.out_dir, output)
        digest = hashlib.sha256(f"{key}\n{name}".encode("utf-8", "surrogateescape")).hexdigest()
        return str(self.rows_folder / digest[:32])

    def is_ours(self, output: str) -> bool:
        """Whether what lies at an output, if anything, was made by a run in this folder."""
        if output not in self._ours:
            record = self._record(output)
            self._ours[output] = record is not None and self._made(record, Path(output))
        return self._ours[output]

    def sort(self, plan: Plan, run: str) -> Work:
        """Tell rows that are done from those that are to be rendered.

        Args:
            plan: the manifest, checked.
            run: identity of this run.
        """
        work = Work()
        for job in plan.jobs:
            old = self._record(job.output)
            ours = old is not None and self.is_ours(job.output)
            if old is not None and job.output in self._found:
                old = replace(old, **asdict(self._found[job.output]))
            record = new_record(job, old, plan.carried.get(job.row, {}), self._name(job.output))
            kept = self._kept(job, old, record)
            if kept is not None:
                (work.failed if kept.state == "failed" else work.skipped).append(job)
                work.records.append(kept)
                known = consent_in(old.carried) if old is not None else ""
                if kept.state == "done" and known != job.consent_ref:
                    work.renamed.append(job)
                continue
            record = replace(record, attempts=self._starts(job, old))
            work.records.append(record)
            work.attempts[job.row] = record.attempts
            work.to_do.append(
                replace(
                    job,
                    run=run,
                    overwrite=job.overwrite or ours,
                    max_attempts=self.request.max_attempts,
                )
            )
        return work

    def clean(self) -> None:
        """Remove what killed runs have left half-made, and the folders of rows that need them no more."""
        assert self.ledger is not None
        needed: set[str | None] = set()
        if self.request.resume:
            for record in self.ledger.records(everything=True):
                if record.state != "done":
                    needed.add(self.folder_of(record.key, self._path(record)))
        for folder in self.rows_folder.glob("*"):
            if str(folder) in needed:
                for path in [folder / STATUS, *folder.rglob(TEMPORARY)]:
                    path.unlink(missing_ok=True)
            else:
                shutil.rmtree(folder, ignore_errors=True)

    def clean_outputs(self) -> None:
        """Remove beginnings of sidecars beside the outputs of rows that were running when a run was killed."""
        assert self.ledger is not None
        records = self.ledger.records(everything=True)
        parents = {Path(self._path(item)).parent for item in records if item.state == "running"}
        for parent in parents:
            for path in parent.glob(f"{TEMPORARY}.json"):
                path.unlink(missing_ok=True)

    def _kept(self, job: Job, old: Record | None, record: Record) -> Record | None:
        """The record of a row that is not to be rendered; None where it is."""
        if not self.request.resume or old is None or old.key != job.key:
            return None
        kept = replace(old, row=record.row, carried=record.carried)
        present = Path(job.output).exists()
        if old.state == "done":
            return kept if present and self.is_ours(job.output) else None
        if old.state == "failed" and not self.request.retry_failed:
            return kept
        outcome = adopt(job)
        if outcome is None:
            return None
        return adopted(kept, outcome, Path(job.output))

    def _made(self, record: Record, output: Path) -> bool:
        try:
            status = output.stat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        if (status.st_size, status.st_mtime_ns) == (record.size, record.mtime_ns):
            return True
        hashes = {record.sha256, self._promised(record)} - {""}
        if not hashes or (found := sha256_of(output)) not in hashes:
            return False
        self._found[str(output)] = Found(found, status.st_size, status.st_mtime_ns)
        return True

    def _promised(self, record: Record) -> str:
        """sha256 of what a row was about to put in place when it was last heard of."""
        folder = self.folder_of(record.key, self._path(record))
        with suppress(OSError, ValueError, KeyError, TypeError):
            text = Path(folder or "", OUTCOME).read_text(encoding="utf-8")
            return str(json.loads(text)["output_sha256"])
        return ""

    def _starts(self, job: Job, old: Record | None) -> int:
        """Times that a row was started by earlier runs with the same key."""
        if not self.request.resume or old is None or old.key != job.key:
            return 0
        with suppress(OSError, TypeError):
            text = (Path(job.folder or "") / STARTS).read_text(encoding="utf-8")
            return max(old.attempts, len(text.splitlines()))
        return old.attempts

    def _record(self, output: str) -> Record | None:
        return None if self.ledger is None else self.ledger.record(self._name(output))

    def _name(self, output: str) -> str:
        return name_below(self.request.out_dir, output)

    def _path(self, record: Record) -> str:
        return str(self.request.out_dir.absolute() / record.output)


class LookedUpFacts(DictFacts):
    """Facts from a ledger that is not to be changed; new ones stay in memory."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def get(
        self, kind: str, path: str, size: int, mtime_ns: int, inode: int
    ) -> dict[str, Any] | None:
        """See `talkhead_cli.batch.check.Facts`."""
        new = super().get(kind, path, size, mtime_ns, inode)
        return self._ledger.get(kind, path, size, mtime_ns, inode) if new is None else new


def new_record(job: Job, old: Record | None, carried: Mapping[str, str], output: str) -> Record:
    """A row that waits; of an older row of its output it keeps what tells that the video is ours."""
    return Record(
        output=output,
        row=job.row,
        key=job.key,
        state="waiting",
        run=None,
        portrait=job.portrait,
        audio=job.audio,
        drive=job.drive,
        seconds=job.seconds,
        num_frames=job.num_frames,
        carried=dict(carried),
        sha256=old.sha256 if old else "",
        size=old.size if old else None,
        mtime_ns=old.mtime_ns if old else None,
    )


def adopted(record: Record, outcome: Outcome, output: Path) -> Record:
    """The record of a row whose video was in place when its run was killed, before that was recorded."""
    status = output.stat()
    return replace(
        record,
        state="done",
        attempts=outcome.attempts,
        worker=outcome.worker,
        device=outcome.device,
        ended=status.st_mtime,
        made=outcome.made,
        kind="",
        message="",
        exit_code=0,
        sha256=str(outcome.made["output_sha256"]),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
    )
