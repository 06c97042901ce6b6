"""What has become of every row: one SQLite file in the run's folder; every change is one transaction.

A row is known by its output's path below the output folder, since numbers of rows shift when a manifest is edited. A
run that is killed leaves rows "running"; the next one finds out what they made.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from talkhead_cli.batch.job import RUN_FOLDER, Fault, Job, Outcome
from talkhead_cli.batch.records import Record, Run, State, name_below, to_record, to_values
from talkhead_cli.errors import DiskFull, InputError, TalkheadError

LEDGER = "ledger.sqlite3"

VERSION = 1
"""Of the tables below, in SQLite's own user_version."""

BUSY_SECONDS = 30.0

FACTS_A_COMMIT = 64
"""Facts are only a saving of time; they are committed in heaps."""

TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, started REAL NOT NULL, ended REAL, about TEXT NOT NULL, summary TEXT
);
CREATE TABLE rows (
    output TEXT PRIMARY KEY, row INTEGER, key TEXT NOT NULL, state TEXT NOT NULL, run INTEGER,
    portrait TEXT NOT NULL, audio TEXT, drive TEXT, seconds REAL NOT NULL, num_frames INTEGER NOT NULL,
    carried TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    worker TEXT NOT NULL DEFAULT '', device TEXT NOT NULL DEFAULT '', started REAL, ended REAL,
    made TEXT NOT NULL DEFAULT '{}', kind TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '',
    exit_code INTEGER NOT NULL DEFAULT 0, sha256 TEXT NOT NULL DEFAULT '', size INTEGER, mtime_ns INTEGER
);
CREATE INDEX rows_by_number ON rows (row);
CREATE TABLE faults (row INTEGER NOT NULL, line INTEGER NOT NULL, "column" TEXT NOT NULL, message TEXT NOT NULL);
CREATE TABLE facts (
    kind TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    value TEXT NOT NULL, PRIMARY KEY (kind, path)
) WITHOUT ROWID;
"""


class Ledger:
    """The state of an output folder; a context manager, since it owns the connection.

    Args:
        out_dir: the output folder; the run's folder in it must exist.
        read_only: only look, as beside a run that goes on.
        traceless: with `read_only`, leave no trace at all: as it is now, and only while nobody writes to it.

    Raises:
        InputError: there is none to be read, or it cannot be used.
    """

    def __init__(self, out_dir: Path, read_only: bool = False, traceless: bool = False) -> None:
        self.out_dir = out_dir
        self.path = out_dir / RUN_FOLDER / LEDGER
        self._pending_facts = 0
        if read_only and not self.path.is_file():
            raise InputError(f"{out_dir}: no batch has been rendered into this folder")
        with self._errors():
            self._base = self._connect(read_only, traceless)
        self._inode = self.path.stat().st_ino

    def _connect(self, read_only: bool, traceless: bool) -> sqlite3.Connection:
        mode = "mode=ro" if read_only else "mode=rwc"
        if traceless and not Path(f"{self.path}-wal").exists():
            # Even readers of a write-ahead log make files beside it, if there are none.
            mode = "immutable=1"
        base = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
        )
        try:
            base.row_factory = sqlite3.Row
            version = base.execute("PRAGMA user_version").fetchone()[0]
            if not read_only:
                if is_cut_off(self.path):
                    raise sqlite3.DatabaseError("malformed: cut off")
                base.execute("PRAGMA journal_mode = WAL")
                found = base.execute("PRAGMA quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise sqlite3.DatabaseError(f"malformed: {found}")
                # A committed row survives a power cut, too; there is one such commit for minutes of rendering.
                base.execute("PRAGMA synchronous = FULL")
                if version == 0:
                    base.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
                    version = VERSION
        except BaseException:
            base.close()
            raise
        if version != VERSION:
            base.close()
            raise InputError(
                f"{self.path}: written by another version of talkhead; choose another --out-dir"
            )
        return base

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; facts not yet committed are."""
        with self._errors():
            try:
                self.commit_facts()
            finally:
                self._base.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> TalkheadError:
        """What an error of SQLite's means."""
        words = str(error)
        if "is full" in words:
            return DiskFull(
                f"{self.path}: the disk is full; free some space and go on with --resume"
            )
        if "malformed" in words or "not a database" in words:
            return InputError(
                f"{self.path}: the state of the batch is damaged ({words}); put a copy of it back, "
                "or choose another --out-dir"
            )
        return InputError(
            f"{self.path}: the state of the batch cannot be kept ({words}); choose another --out-dir"
        )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, on the disk when left.

        Raises:
            InputError: it cannot be written, or is not there any more.
            DiskFull: there is no room for it.
        """
        self._check_place()
        with self._errors():
            self.commit_facts()
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
                self._base.execute("COMMIT")
            except BaseException:
                if self._base.in_transaction:
                    self._base.execute("ROLLBACK")
                raise

    def _check_place(self) -> None:
        """Insist that the file is still where it was: what is written to one that was removed is lost.

        Raises:
            InputError: it is not.
        """
        try:
            there = self.path.stat().st_ino == self._inode
        except OSError:
            there = False
        if not there:
            raise InputError(
                f"{self.path}: was removed or replaced while the batch ran; put the folder back, or begin anew"
            )

    def relative(self, output: str) -> str:
        """An output's path below the output folder: what a row is known by."""
        return name_below(self.out_dir, output)

    # Facts

    def get(
        self, kind: str, path: str, size: int, mtime_ns: int, inode: int
    ) -> dict[str, Any] | None:
        """What is known of a file, see `talkhead_cli.batch.check.Facts`."""
        query = (
            "SELECT value FROM facts WHERE (kind, path, size, mtime_ns, inode) = (?, ?, ?, ?, ?)"
        )
        with self._errors():
            found = self._base.execute(query, (kind, path, size, mtime_ns, inode)).fetchone()
        return None if found is None else json.loads(found["value"])

    def put(
        self, kind: str, path: str, size: int, mtime_ns: int, inode: int, value: dict[str, Any]
    ) -> None:
        """Remember something of a file, see `talkhead_cli.batch.check.Facts`."""
        values = (kind, path, size, mtime_ns, inode, json.dumps(value))
        with self._errors():
            if not self._base.in_transaction:
                self._base.execute("BEGIN IMMEDIATE")
            self._base.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?, ?)", values)
            self._pending_facts += 1
            if self._pending_facts >= FACTS_A_COMMIT:
                self.commit_facts()

    def commit_facts(self) -> None:
        """Put facts on the disk."""
        pending, self._pending_facts = self._pending_facts, 0
        # On a full disk SQLite takes everything back by itself.
        if pending and self._base.in_transaction:
            self._base.execute("COMMIT")

    # Runs

    def begin_run(self) -> int:
        """A run begins; its number."""
        with self.transaction() as base:
            cursor = base.execute(
                "INSERT INTO runs (started, about) VALUES (?, '{}')", (time.time(),)
            )
            return int(cursor.lastrowid or 0)

    def describe_run(self, run: int, about: dict[str, Any]) -> None:
        """What a run is about to do, as in the `batch_start` event."""
        with self.transaction() as base:
            base.execute("UPDATE runs SET about = ? WHERE id = ?", (json.dumps(about), run))

    def end_run(self, run: int, summary: dict[str, Any]) -> None:
        """A run has ended in good order."""
        with self.transaction() as base:
            base.execute(
                "UPDATE runs SET ended = ?, summary = ? WHERE id = ?",
                (time.time(), json.dumps(summary), run),
            )

    def last_run(self) -> Run | None:
        """The run begun last."""
        with self._errors():
            found = self._base.execute("SELECT * FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        if found is None:
            return None
        summary = found["summary"]
        return Run(
            found["id"],
            found["started"],
            found["ended"],
            json.loads(found["about"]),
            None if summary is None else json.loads(summary),
        )

    # Rows

    def record(self, output: str) -> Record | None:
        """A row by its output's path below the output folder."""
        with self._errors():
            found = self._base.execute("SELECT * FROM rows WHERE output = ?", (output,)).fetchone()
        return None if found is None else to_record(found)

    def records(self, everything: bool = False) -> Iterator[Record]:
        """The rows of the manifest read last, by number.

        Args:
            everything: those of earlier manifests, too.
        """
        where = "" if everything else "WHERE row IS NOT NULL"
        with self._errors():
            yield from map(
                to_record, self._base.execute(f"SELECT * FROM rows {where} ORDER BY row, output")
            )

    def faults(self) -> list[Fault]:
        """Faults of the manifest read last."""
        with self._errors():
            return [Fault(**found) for found in self._base.execute("SELECT * FROM faults")]

    def take_in(self, records: Iterable[Record], faults: Iterable[Fault]) -> None:
        """A manifest has been read: its rows, as they are to be from now on; others stay, without a number.

        Args:
            records: every row of the manifest that has no fault.
            faults: of the other rows.
        """
        names = [item.name for item in fields(Record)]
        marks = ", ".join("?" * len(names))
        statement = f"INSERT OR REPLACE INTO rows ({', '.join(names)}) VALUES ({marks})"
        with self.transaction() as base:
            base.execute("UPDATE rows SET row = NULL")
            base.execute("DELETE FROM faults")
            base.executemany(statement, (to_values(record, names) for record in records))
            base.executemany(
                "INSERT INTO faults VALUES (?, ?, ?, ?)", (astuple(fault) for fault in faults)
            )

    def start(self, job: Job, run: int, attempts: int, worker: str, device: str) -> None:
        """A worker has begun with a row; `attempts` counts this start."""
        values = {"attempts": attempts, "worker": worker, "device": device}
        self._change(job, "running", run=run, started=time.time(), ended=None, **values)

    def finish(self, job: Job, run: int, outcome: Outcome) -> None:
        """A row is done or has failed for good; `outcome` counts the starts of all runs.

        Raises:
            OSError: the video is gone.
        """
        made: dict[str, Any] = {}
        if outcome.state == "done":
            status = Path(job.output).stat()
            sha256 = str(outcome.made.get("output_sha256", ""))
            made = {"sha256": sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
        self._change(
            job,
            "done" if outcome.state == "done" else "failed",
            run=run,
            attempts=outcome.attempts,
            worker=outcome.worker,
            device=outcome.device,
            ended=time.time(),
            made=json.dumps(outcome.made),
            kind=outcome.kind,
            message=outcome.message,
            exit_code=outcome.exit_code,
            **made,
        )

    def lose(self, job: Job, run: int, outcome: Outcome) -> None:
        """A row's worker died, or was stopped; the row is to be started again."""
        self._change(
            job,
            "waiting",
            run=run,
            attempts=outcome.attempts,
            worker=outcome.worker,
            device=outcome.device,
            ended=time.time(),
            message=outcome.message,
        )

    def settle(self) -> None:
        """Nothing runs any more: rows that were running wait."""
        with self.transaction() as base:
            base.execute("UPDATE rows SET state = 'waiting' WHERE state = 'running'")

    def _change(self, job: Job, state: State, **values: Any) -> None:
        """One change of one row."""
        names = ", ".join(f"{name} = ?" for name in ("state", *values))
        key = self.relative(job.output)
        with self.transaction() as base:
            cursor = base.execute(
                f"UPDATE rows SET {names} WHERE output = ?", (state, *values.values(), key)
            )
            if cursor.rowcount != 1:
                raise InputError(f"{self.path}: has no row for {job.output}; was it changed?")


def is_cut_off(path: Path) -> bool:
    """Whether a SQLite file is shorter than it says: SQLite itself takes what is missing for zeros."""
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        return False  # what is missing is in there
    with path.open("rb") as file:
        head = file.read(32)
        size = file.seek(0, 2)
    page = int.from_bytes(head[16:18], "big")
    return size < (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big")
