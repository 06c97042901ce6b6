"""results.csv and results.json: what the ledger knows, for spreadsheets and programs; replaced by renaming."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TextIO

from talkhead_cli import __version__
from talkhead_cli.batch.job import Fault
from talkhead_cli.batch.ledger import Ledger
from talkhead_cli.batch.records import Record
from talkhead_cli.errors import EXIT_INPUT, write_error
from talkhead_cli.paths import PendingFile

CSV_NAME = "results.csv"
JSON_NAME = "results.json"

COLUMNS = (
    "row",
    "output",
    "state",
    "attempts",
    "seconds",
    "num_frames",
    "elapsed_seconds",
    "frames_per_second",
    "width",
    "height",
    "fps",
    "marking",
    "worker",
    "device",
    "started",
    "ended",
    "kind",
    "message",
    "exit_code",
    "output_sha256",
    "key",
    "portrait",
    "audio",
    "drive",
)

MADE = ("elapsed_seconds", "frames_per_second", "width", "height", "fps", "marking")


def export_results(ledger: Ledger) -> tuple[Path, Path]:
    """Write both files into the output folder; their paths.

    Raises:
        InputError: one of them cannot be written.
    """
    rows = list(result_rows(ledger))
    table = ledger.out_dir / CSV_NAME
    document = ledger.out_dir / JSON_NAME
    run = ledger.last_run()
    values = {
        "version": __version__,
        "run": None if run is None else asdict(run),
        "states": dict(Counter(row["state"] for row in rows)),
        "rows": rows,
    }

    def write_document(file: TextIO) -> None:
        json.dump(values, file, ensure_ascii=False, indent=1)
        file.write("\n")

    write_whole(table, lambda file: write_table(file, rows))
    write_whole(document, write_document)
    return table, document


def write_whole(path: Path, write: Callable[[TextIO], None]) -> None:
    """Write a file that appears complete or not at all.

    Raises:
        InputError: it cannot be written.
    """
    pending = PendingFile(path, overwrite=True, folder=None)
    try:
        with pending.temporary.open(
            "w", encoding="utf-8", errors="surrogateescape", newline=""
        ) as file:
            write(file)
        pending.publish()
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        pending.discard()


def write_table(file: TextIO, rows: list[dict[str, Any]]) -> None:
    """The rows as CSV: the user's own columns last; lists and such as JSON."""
    own = dict.fromkeys(key for row in rows for key in row["carried"] if key not in COLUMNS)
    writer = csv.DictWriter(file, [*COLUMNS, *own], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row["carried"], **row})


def result_rows(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """Rows of the manifest read last, by number, the faulty ones among them."""
    faults: dict[int, list[Fault]] = {}
    for fault in ledger.faults():
        faults.setdefault(fault.row, []).append(fault)
    faults.pop(0, None)
    rows = [to_result(record) for record in ledger.records()]
    rows += [faulty_row(number, found) for number, found in faults.items()]
    yield from sorted(rows, key=lambda row: int(row["row"]))


def to_result(record: Record) -> dict[str, Any]:
    """A row as it is exported."""
    done = record.state == "done"
    return {
        "row": record.row,
        "output": record.output,
        "state": record.state,
        "attempts": record.attempts,
        "seconds": round(record.seconds, 3),
        "num_frames": record.made.get("num_frames", record.num_frames),
        **{key: record.made.get(key) for key in MADE},
        "worker": record.worker,
        "device": record.device,
        "started": show_time(record.started),
        "ended": show_time(record.ended),
        "kind": record.kind,
        "message": record.message,
        "exit_code": record.exit_code,
        "output_sha256": record.sha256 if done else "",
        "key": record.key,
        "portrait": record.portrait,
        "audio": record.audio,
        "drive": record.drive,
        "timings": record.made.get("timings", {}),
        "warnings": record.made.get("warnings", []),
        "carried": record.carried,
    }


def faulty_row(number: int, faults: list[Fault]) -> dict[str, Any]:
    """A row that was left out because of its faults."""
    words = "; ".join(
        f"{fault.column}: {fault.message}" if fault.column else fault.message for fault in faults
    )
    blank = dict.fromkeys(COLUMNS)
    return {
        **blank,
        "row": number,
        "state": "failed",
        "attempts": 0,
        "kind": "Fault",
        "message": words,
        "exit_code": EXIT_INPUT,
        "timings": {},
        "warnings": [],
        "carried": {},
    }


def show_time(seconds: float | None) -> str | None:
    """A moment as ISO 8601 in UTC, to the second."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
