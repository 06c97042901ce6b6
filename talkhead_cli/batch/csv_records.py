"""Records of a CSV file with the lines they begin on; one that cannot be read costs itself alone."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

MAX_RECORD_LINES = 100
"""A quoted cell may hold line breaks; one that runs on for longer than this was never closed."""


def is_passed_over(line: str) -> bool:
    """Whether a line is blank or a comment."""
    text = line.strip()
    return not text or text.startswith("#")


class LineFeed:
    """Lines for a CSV reader, those between records that are blank or comments left out.

    Attributes:
        position: lines given or passed over so far.
        start: line that the present record begins on, 1 = the first.
        fresh: set to True before each record is asked for.
    """

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self.position = 0
        self.start = 0
        self.fresh = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next line of a record; the end also where a record runs on for too long."""
        if self.fresh:
            while self.position < len(self._lines) and is_passed_over(self._lines[self.position]):
                self.position += 1
            self.start = self.position + 1
            self.fresh = False
        too_long = self.position - self.start >= MAX_RECORD_LINES
        if self.position >= len(self._lines) or too_long:
            raise StopIteration
        self.position += 1
        return self._lines[self.position - 1]


@dataclass(frozen=True)
class Record:
    """One record of a CSV file: its first line, and its cells or what is wrong with it."""

    line: int
    cells: list[str]
    problem: str | None = None


def read_records(lines: list[str], delimiter: str) -> Iterator[Record]:
    """Records of a CSV file; one that cannot be read costs its first line, and reading goes on with the next."""
    feed = LineFeed(lines)
    while True:
        reader = csv.reader(feed, delimiter=delimiter, strict=True, skipinitialspace=True)
        try:
            while True:
                feed.fresh = True
                cells = [cell.strip() for cell in next(reader)]
                if any(cells):
                    yield Record(feed.start, cells)
        except StopIteration:
            return
        except csv.Error as error:
            yield Record(feed.start, [], explain_csv(error))
            feed.position = feed.start


def explain_csv(error: csv.Error) -> str:
    """What to say of a record that cannot be read."""
    if "unexpected end" in str(error):
        return "a quotation mark is opened and not closed; close it, or write it twice inside a quoted cell"
    if "limit" in str(error):
        return f"a cell is longer than {csv.field_size_limit()} characters; is a quotation mark missing?"
    return "the quotation marks do not fit; quote whole cells, and write a mark inside one twice"
