"""Tables of results: raw numbers in models/results.json, the tables for readers in models/RESULTS.md.

A table is written under its name: the section of that name is replaced, everything else stays, so
that one experiment can be run again. The page can be rebuilt from the raw numbers without training::

    python models/training/results.py models
"""

from __future__ import annotations

import datetime
import fcntl
import json
import math
import os
import re
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Better = Literal["higher", "lower", "one", ""]
"""Which way is better; "one" is for ratios that should be 1, "" for what is neither."""

PAGE, NUMBERS = "RESULTS.md", "results.json"

HEAD = """# Results

Every table is written by the command named under it, from the raw numbers in
[results.json](results.json). Cells are means over seeds, with the standard deviation over seeds behind
the ± where there are several. ↑ means higher is better, ↓ lower. The measures are defined in
[docs/generator.md](../docs/generator.md).
"""


@dataclass(frozen=True)
class Column:
    """How a measure is shown.

    Attributes:
        label: heading.
        better: which way is better.
        digits: behind the point.
        unit: behind the label.
    """

    label: str
    better: Better = ""
    digits: int = 3
    unit: str = ""

    @property
    def heading(self) -> str:
        """Label, unit and arrow."""
        arrow = {"higher": "↑", "lower": "↓", "one": "→ 1", "": ""}[self.better]
        return " ".join(
            part for part in (self.label, self.unit and f"({self.unit})", arrow) if part
        )


COLUMNS = {
    "closure": Column("closures", "higher"),
    "open": Column("openings", "higher"),
    "corr": Column("openness corr.", "higher"),
    "lag_ms": Column("lag", "", 0, "ms"),
    "silence": Column("silence", "lower"),
    "p95": Column("gap p95"),
    "corr_grid": Column("real lips corr., studio", "higher"),
    "corr_single": Column("real lips corr., known speaker", "higher"),
    "corr_wild": Column("real lips corr., wild", "higher"),
    "p95_ratio": Column("gap over real", "one", 2),
    "lip_distance": Column("lip distance", "lower", 4),
    "lip_distance_grid": Column("lip distance, studio", "lower", 4),
    "lip_distance_single": Column("lip distance, known speaker", "lower", 4),
    "lip_distance_wild": Column("lip distance, wild", "lower", 4),
    "fmd": Column("FMD", "lower", 1),
    "fmd_face": Column("FMD face", "lower", 1),
    "fmd_pose": Column("FMD pose", "lower", 1),
    "diversity_lips": Column("diversity lips", "", 4),
    "diversity_pose": Column("diversity pose", "higher", 2, "deg"),
    "jerk": Column("jerk", "lower", 4),
    "boundary_face": Column("boundary step, face", "one", 2),
    "boundary_pose": Column("boundary step, pose", "one", 2),
    "blinks_min": Column("blinks a minute", "", 1),
    "turn_deg": Column("head turn", "", 2, "deg"),
    "ms_per_chunk": Column("time a chunk", "lower", 1, "ms"),
    "fmd_ratio": Column("FMD last / first minute", "one", 2),
    "gap_p95_ratio": Column("gap last / first minute", "one", 2),
    "blinks_min_ratio": Column("blinks last / first minute", "one", 2),
    "rest_change": Column("rest of the mouth, change", "", 4),
    "offset_last": Column("mean face, last minute from first", "lower", 4),
    "to_teacher": Column("lip distance to the teacher", "lower", 4),
    **{f"fmd_minute_{n}": Column(f"FMD, minute {n}", "lower", 1) for n in range(1, 11)},
}
"""The measures of motion_metrics.py; a key that is not here heads its column itself."""


@dataclass(frozen=True)
class Table:
    """One experiment.

    Attributes:
        name: key of the section: lower case, digits and hyphens.
        title: heading.
        explanation: what is compared and how, one paragraph.
        rows: label to one dict of numbers a seed.
        columns: keys of those dicts, in order; those no row has are left out.
        seeds: of the trainings or of the noise, as the explanation says.
        tier: licence tier of the training data.
        command: what prints this table again.
        date: ISO; today where not given.
        conclusion: what follows from the numbers; printed behind them.
    """

    name: str
    title: str
    explanation: str
    rows: Mapping[str, Sequence[Mapping[str, float]]]
    columns: Sequence[str]
    seeds: Sequence[int]
    tier: str
    command: str
    date: str = field(default_factory=lambda: datetime.date.today().isoformat())
    conclusion: str = ""

    def __post_init__(self) -> None:
        """Refuse what could not be found again or printed."""
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise ValueError(f"{self.name!r} is no name of a table: use a-z, 0-9 and hyphens")
        if not self.rows or not all(self.rows.values()):
            raise ValueError(f"table {self.name}: every row needs the numbers of a seed at least")


def known(row: Sequence[Mapping[str, float]], key: str) -> list[float]:
    """A row's numbers of one measure that are numbers, one a seed."""
    values = [seed.get(key, math.nan) for seed in row]
    return [float(value) for value in values if not math.isnan(value)]


def cell(row: Sequence[Mapping[str, float]], key: str) -> str:
    """Mean ± standard deviation over the seeds; one seed has no deviation, none an empty cell."""
    values = known(row, key)
    digits = COLUMNS.get(key, Column(key)).digits
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.{digits}f}"


def to_grid(rows: Mapping[str, Sequence[Mapping[str, float]]], columns: Sequence[str]) -> str:
    """Rows as a Markdown table; columns that no row has are left out."""
    keys = [key for key in columns if any(known(row, key) for row in rows.values())]
    headings = [COLUMNS.get(key, Column(key)).heading for key in keys]
    lines = [
        "| | " + " | ".join(headings) + " |",
        "|---|" + "---:|" * len(keys),
        *(
            f"| {label} | " + " | ".join(cell(row, key) for key in keys) + " |"
            for label, row in rows.items()
        ),
    ]
    return "\n".join(lines)


def to_markdown(table: Table) -> str:
    """A section: heading, explanation, table, conclusion, provenance."""
    seeds = ", ".join(str(seed) for seed in table.seeds)
    source = f"{table.date}; seeds {seeds}; data: {table.tier}; `{table.command}`"
    grid = to_grid(table.rows, table.columns)
    parts = [f"## {table.title}", table.explanation, grid, table.conclusion, source]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def marks(name: str) -> tuple[str, str]:
    """The comments around a section."""
    return f"<!-- table {name} -->", f"<!-- end of table {name} -->"


def replace_section(page: str, name: str, section: str) -> str:
    """The page with the section of a name replaced, or put at its end; everything else stays.

    Raises:
        ValueError: the section begins and does not end.
    """
    begin, end = marks(name)
    marked = f"{begin}\n{section.strip()}\n{end}"
    if begin not in page:
        return f"{page.rstrip()}\n\n{marked}\n"
    start = page.index(begin)
    if end not in page[start:]:
        raise ValueError(f"the section {name} does not end with {end}; mend the page by hand")
    return page[:start] + marked + page[page.index(end, start) + len(end) :]


def write_atomically(path: Path, text: str) -> None:
    """Text to a file that is either the old one or the whole new one."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def to_plain(table: Table) -> dict[str, Any]:
    """What JSON holds of a table; NaN becomes null."""
    rows = {
        label: [
            {key: None if math.isnan(value) else float(value) for key, value in seed.items()}
            for seed in row
        ]
        for label, row in table.rows.items()
    }
    plain = asdict(table) | {"rows": rows}
    return plain | {"columns": list(table.columns), "seeds": [int(seed) for seed in table.seeds]}


def from_plain(plain: Mapping[str, Any]) -> Table:
    """The inverse of `to_plain`."""
    rows = {
        label: [
            {key: math.nan if value is None else value for key, value in seed.items()}
            for seed in row
        ]
        for label, row in plain["rows"].items()
    }
    return Table(**{**plain, "rows": rows})


def read_tables(folder: Path) -> dict[str, Table]:
    """Stored tables by name, in the order in which they were first written."""
    path = folder / NUMBERS
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {name: from_plain(plain) for name, plain in stored.items()}


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes that write tables out of a folder, for tables are made side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_table(table: Table, folder: Path) -> str:
    """Store a table's numbers and put its section into the page; returns the section.

    Args:
        table: replaces the stored one of its name.
        folder: where RESULTS.md and results.json lie, which are made where they are missing.
    """
    section = to_markdown(table)
    page = folder / PAGE
    with alone_in(folder):
        tables = read_tables(folder) | {table.name: table}
        plain = {name: to_plain(item) for name, item in tables.items()}
        text = page.read_text(encoding="utf-8") if page.exists() else HEAD
        text = replace_section(text, table.name, section)
        write_atomically(folder / NUMBERS, json.dumps(plain, indent=1, ensure_ascii=False) + "\n")
        write_atomically(page, text)
    return section


def conclude(name: str, conclusion: str, folder: Path) -> str:
    """Give a stored table its conclusion and print it anew; returns the section.

    Raises:
        KeyError: there is no table of that name.
    """
    plain = to_plain(read_tables(folder)[name])
    return write_table(from_plain(plain | {"conclusion": conclusion}), folder)


def cost(value: float, better: Better) -> float:
    """A number that is smaller the better a value is."""
    return {"higher": -value, "lower": value, "one": abs(value - 1)}.get(better, 0.0)


def compare(table: Table, changed: str, base: str, key: str) -> str:
    """One sentence on what a row gains over another in one measure, seed by seed.

    The seeds of the two rows are paired in order. "Better" follows `COLUMNS`; a ratio that should be
    1 is better when it is nearer.

    Raises:
        ValueError: the rows have not the same number of seeds, or the measure has no better side.
    """
    column = COLUMNS.get(key, Column(key))
    ours, theirs = known(table.rows[changed], key), known(table.rows[base], key)
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"{changed} and {base} have {len(ours)} and {len(theirs)} seeds of {key}")
    if not column.better:
        raise ValueError(f"{key} is neither better high nor low")
    gains = [
        cost(old, column.better) - cost(new, column.better)
        for new, old in zip(ours, theirs, strict=True)
    ]
    better = sum(gain > 0 for gain in gains)
    mean = statistics.fmean(new - old for new, old in zip(ours, theirs, strict=True))
    return (
        f"{changed} against {base}: {column.label} {mean:+.{column.digits}f},"
        f" better in {better} of {len(gains)} seeds."
    )


def main() -> None:
    """Rebuild the page's sections from the stored numbers."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("models")
    for table in read_tables(folder).values():
        write_table(table, folder)


if __name__ == "__main__":
    main()
