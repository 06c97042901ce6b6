"""Reading a manifest: CSV as spreadsheets export it, or one JSON object a line; every fault with its place.

What is read here is text in cells. What the cells mean is looked at in `talkhead_cli.batch.rows`.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from talkhead_cli.batch.columns import (
    COLUMNS,
    OTHER_NAMES,
    is_carried,
    normalize,
    shorten,
    unknown_column,
)
from talkhead_cli.batch.csv_records import Record, is_passed_over, read_records
from talkhead_cli.batch.job import Fault
from talkhead_cli.batch.template import template as template
from talkhead_cli.errors import BatchFileError

STANDARD = "-"
"""In place of a path: standard input."""

LARGEST = 1 << 28
"""Bytes of a manifest: a thousand of each of 250,000 rows."""

MOST_COLUMNS = 1000

DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class Row:
    """One row as it was written.

    Attributes:
        number: 1 = the first below the heading.
        line: line of the file that it begins on, 1 = the first.
        cells: column to value, without the empty ones; text, or from JSON also numbers and booleans.
        carried: the user's own columns, as text.
    """

    number: int
    line: int
    cells: Mapping[str, Any]
    carried: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sheet:
    """A manifest as it was read.

    Attributes:
        name: for messages.
        path: the file; None for standard input.
        folder: what relative paths are relative to.
        num_rows: rows there are, those that cannot be read included.
        rows: those that can be read.
        faults: what cannot be read.
    """

    name: str
    path: Path | None
    folder: Path
    num_rows: int
    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]


def name_of(manifest: Path | str) -> str:
    """What a manifest is called in messages."""
    return "standard input" if str(manifest) == STANDARD else str(manifest)


def read_manifest(manifest: Path | str) -> Sheet:
    """Read a manifest.

    Args:
        manifest: CSV or JSONL file; "-" reads standard input.

    Raises:
        BatchFileError: there is no such file, it is empty, or not text in UTF-8.
    """
    if str(manifest) == STANDARD:
        return parse_manifest(read_standard_input(), name_of(manifest), None, Path.cwd())
    path = Path(manifest)
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BatchFileError(f"{path}: the manifest cannot be read ({reason})") from error
    return parse_manifest(data, str(path), path, Path(path.absolute().parent))


def read_standard_input() -> bytes:
    """All of it.

    Raises:
        BatchFileError: nothing is piped into it.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise BatchFileError("manifest -: nothing is piped into standard input")
    return sys.stdin.buffer.read(LARGEST + 1)


def parse_manifest(data: bytes, name: str, path: Path | None, folder: Path) -> Sheet:
    """Read a manifest's bytes; `path` decides by its suffix, else the first character does.

    Raises:
        BatchFileError: it is empty, too large, or not text in UTF-8.
    """
    if len(data) > LARGEST:
        raise BatchFileError(f"{name}: is larger than {LARGEST >> 20} MiB; split the manifest")
    text = decode(data, name)
    lines = io.StringIO(text, newline=None).readlines()
    first = next((line.strip() for line in lines if not is_passed_over(line)), "")
    if not first:
        raise BatchFileError(
            f"{name}: the manifest is empty; `talkhead batch --template` prints an example"
        )
    suffix = path.suffix.lower() if path is not None else ""
    if first.startswith("["):
        raise BatchFileError(f"{name}: this is a JSON list; write one object a line, without [ ]")
    is_json = first.startswith("{") or suffix in {".jsonl", ".ndjson"}
    reader = JsonSheet() if is_json else CsvSheet()
    reader.read(lines)
    if not reader.num_rows and not reader.faults:
        raise BatchFileError(f"{name}: the manifest has a heading and no rows; write one a video")
    return Sheet(name, path, folder, reader.num_rows, tuple(reader.rows), tuple(reader.faults))


def decode(data: bytes, name: str) -> str:
    """Text of a manifest, without a byte order mark.

    Raises:
        BatchFileError: it is not text in UTF-8.
    """
    head = data[:4096]
    as_utf8 = 'save it as "CSV UTF-8"'
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise BatchFileError(f"{name}: this is a spreadsheet workbook; {as_utf8}")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or looks_like_utf16(head):
        raise BatchFileError(f"{name}: the manifest is in UTF-16; {as_utf8}")
    if b"\0" in head:
        raise BatchFileError(f"{name}: this is not a text file; give a CSV or JSONL manifest")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BatchFileError(
            f"{name}: line {line} is not in UTF-8 but in an older encoding; {as_utf8}"
        ) from error


def looks_like_utf16(head: bytes) -> bool:
    """Whether every second byte is nought, as in western text in UTF-16 without a mark."""
    return len(head) >= 4 and (not any(head[0:64:2]) or not any(head[1:64:2]))


class CsvSheet:
    """Reads a CSV file; see `Sheet` for the attributes."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.faults: list[Fault] = []
        self.num_rows = 0
        self._line = 0
        self._columns: list[tuple[str, bool] | None] = []
        self._nameless: set[int] = set()

    def read(self, lines: list[str]) -> None:
        """Take all lines."""
        delimiter, start = find_delimiter(lines)
        blanked = ["\n"] * start + lines[start:]
        for record in read_records(blanked, delimiter):
            if not self._line:
                self._read_heading(record)
                if not self._columns:
                    return
                continue
            self.num_rows += 1
            if record.problem:
                self._fault(self.num_rows, record.line, "", record.problem)
            else:
                self._read_row(record)

    def _fault(self, row: int, line: int, column: str, message: str) -> None:
        self.faults.append(Fault(row, line, column, message))

    def _read_heading(self, record: Record) -> None:
        self._line = record.line
        if record.problem:
            return self._fault(0, record.line, "", record.problem)
        if len(record.cells) > MOST_COLUMNS:
            return self._fault(0, record.line, "", too_wide(len(record.cells)))
        names = [normalize(cell) for cell in record.cells]
        if not set(names) & set(COLUMNS) and not set(names) & set(OTHER_NAMES):
            return self._fault(
                0,
                record.line,
                "",
                "the first row is no heading; begin with portrait,audio,output (lines that begin with # are comments)",
            )
        for index, (heading, name) in enumerate(zip(record.cells, names, strict=True)):
            self._columns.append(None)
            if not heading:
                self._nameless.add(index)
                continue
            if name in COLUMNS and name in names[:index]:
                self._fault(0, record.line, name, f"the column {name!r} is there twice; remove one")
            elif name in COLUMNS:
                self._columns[index] = (name, False)
            elif is_carried(heading):
                self._columns[index] = (heading, True)
            else:
                self._fault(0, record.line, heading, unknown_column(heading))
        return self._check_needed(set(names))

    def _check_needed(self, names: set[str]) -> None:
        """Insist on the columns that every row needs."""
        meant = {OTHER_NAMES.get(name, name) for name in names}
        if "portrait" not in meant:
            self._fault(0, self._line, "portrait", "there is no column 'portrait'; add it")
        if not meant & {"audio", "drive"}:
            self._fault(0, self._line, "audio", "there is no column 'audio'; add it, or 'drive'")

    def _read_row(self, record: Record) -> None:
        cells: dict[str, Any] = {}
        carried: dict[str, str] = {}
        surplus = [cell for cell in record.cells[len(self._columns) :] if cell]
        if surplus:
            return self._fault(
                self.num_rows,
                record.line,
                "",
                f"there are {len(record.cells)} cells under a heading of {len(self._columns)}, the last "
                f"{shorten(surplus[-1])!r}; put cells that hold the separator into quotation marks",
            )
        for index, (column, cell) in enumerate(zip(self._columns, record.cells, strict=False)):
            if column is not None and cell:
                (carried if column[1] else cells)[column[0]] = cell
            elif cell and index in self._nameless:
                self._nameless.discard(index)
                told = f"{shorten(cell)!r} stands in column {index + 1}, which has no heading; name it or clear it"
                self._fault(0, record.line, "", told)
        self.rows.append(Row(self.num_rows, record.line, cells, carried))
        return None


def find_delimiter(lines: list[str]) -> tuple[str, int]:
    """What separates cells, and how many lines come before the heading.

    A first line `sep=;`, as one spreadsheet writes it, is obeyed; else the separator is that which makes most of the
    heading known.
    """
    start = 0
    if lines and lines[0].strip().lower().startswith("sep=") and len(lines[0].rstrip("\r\n")) == 5:
        if lines[0][4] in DELIMITERS:
            return lines[0][4], 1
        start = 1

    def known(delimiter: str) -> tuple[int, int]:
        record = next(read_records(lines[start:], delimiter), None)
        cells = record.cells if record else []
        names = [normalize(cell) for cell in cells]
        return sum(name in COLUMNS or name in OTHER_NAMES for name in names), len(cells)

    return max(DELIMITERS, key=known), start


class JsonSheet:
    """Reads JSON objects, one a line; see `Sheet` for the attributes."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.faults: list[Fault] = []
        self.num_rows = 0
        self._unknown: set[str] = set()

    def read(self, lines: list[str]) -> None:
        """Take all lines."""
        for line, text in enumerate(lines, 1):
            if not is_passed_over(text):
                self.num_rows += 1
                self._read_row(line, text)

    def _fault(self, line: int, column: str, message: str, row: int | None = None) -> None:
        self.faults.append(Fault(self.num_rows if row is None else row, line, column, message))

    def _read_row(self, line: int, text: str) -> None:
        try:
            pairs = json.loads(text, object_pairs_hook=list)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            place = (
                f" at character {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            )
            return self._fault(
                line, "", f"not a JSON object on one line ({reason[:1].lower()}{reason[1:]}{place})"
            )
        if not is_object(text, pairs):
            return self._fault(line, "", 'not a JSON object; write {"portrait": ..., "audio": ...}')
        if len(pairs) > MOST_COLUMNS:
            return self._fault(line, "", too_wide(len(pairs)))
        cells: dict[str, Any] = {}
        carried: dict[str, str] = {}
        for key, value in pairs:
            self._take(line, key, value, cells, carried)
        self.rows.append(Row(self.num_rows, line, cells, carried))
        return None

    def _take(
        self, line: int, key: str, value: Any, cells: dict[str, Any], carried: dict[str, str]
    ) -> None:
        """Put a value where it belongs; null and empty text are "not given"."""
        name = normalize(key)
        value = value.strip() if isinstance(value, str) else value
        if name in cells:
            self._fault(line, name, f"the key {name!r} is there twice; remove one")
        elif name in COLUMNS and isinstance(value, list):
            self._fault(line, name, "a list or an object is no value; write text or a number")
        elif name in COLUMNS and value not in (None, ""):
            cells[name] = value
        elif is_carried(key):
            carried[key] = value if isinstance(value, str) else json.dumps(value)
        elif name not in COLUMNS and name not in self._unknown:
            # Told once, of all: programs that write such files write the same keys into every line.
            self._unknown.add(name)
            self._fault(line, key, unknown_column(key), row=0)


def too_wide(count: int) -> str:
    """What to say of more columns than anyone means."""
    return f"{count} columns are more than the {MOST_COLUMNS} that are read; remove some"


def is_object(text: str, pairs: object) -> bool:
    """Whether what was read with pairs in place of objects was an object."""
    return text.lstrip().startswith("{") and isinstance(pairs, list)
