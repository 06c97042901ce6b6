"""Motion as a table of ARKit blendshapes, the way Epic's Live Link Face writes its takes.

A row a frame: Timecode (hours:minutes:seconds:frames, the frames with a fraction), BlendshapeCount, then a column for
each of 52 shapes and nine angles. Other programs spell the names a little differently and leave columns out.
"""

from __future__ import annotations

import csv
import re
from fractions import Fraction
from itertools import islice
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.settings import NTSC_RATES
from talkhead_models.arkit import CURVES, from_arkit, to_arkit
from talkhead_models.basis import FaceBasis
from talkhead_models.motion import FaceMotion

Wide = NDArray[np.float64]

TIMECODE, COUNT, RATE = "Timecode", "BlendshapeCount", "fps"

RATES = (24, 25, 30, 48, 50, 60, 100, 120)
"""Frame rates that a timecode is likely to count by."""

EXACT, UNEVEN = 0.02, 0.3
"""Shares of a frame by which rows may miss their time: to be sure of the rate, and at all; where they miss it by more,
frames were dropped."""

LIMIT = 3.0
"""Largest coefficient: shapes may be exaggerated."""

FASTEST = 240
"""Largest frame rate of a table."""

MAX_LINE = 1 << 16
MOST_CELLS = 1000

CODE = re.compile(r"(\d{1,3}):(\d{1,2}):(\d{1,2})[:;](\d{1,3}(?:\.\d{1,9})?)", re.ASCII)
SIDE = re.compile(r"_([LR])$", re.IGNORECASE)
SIDES = {"l": "left", "r": "right"}


def csv_text(motion: FaceMotion, basis: FaceBasis) -> str:
    """A motion as a table; times are those of a clock, also at 29.97 frames a second."""
    lines = [",".join((TIMECODE, COUNT, *CURVES))]
    for index, row in enumerate(to_arkit(motion, basis)):
        values = ",".join(f"{value:.8f}" for value in row)
        lines.append(f"{timecode(index, motion.fps)},{len(CURVES)},{values}")
    return "\n".join(lines) + "\n"


def timecode(index: int, fps: Fraction) -> str:
    """When a frame begins: HH:MM:SS:FF.mmm, where FF.mmm counts frames of the whole rate at or above `fps`."""
    second, rest = divmod(index / fps, 1)
    unit = 1000 * ceil(fps)
    carry, thousandths = divmod(round(rest * unit), unit)
    minutes, seconds = divmod(int(second) + carry, 60)
    hours, minutes = divmod(minutes, 60)
    frames, part = divmod(thousandths, 1000)
    return f"{hours:02}:{minutes:02}:{seconds:02}:{frames:02}.{part:03}"


def read_csv(path: Path, basis: FaceBasis, max_seconds: float, fps: Fraction) -> FaceMotion:
    """The motion that a table tells.

    Args:
        path: of the table.
        basis: the face model.
        max_seconds: longest motion accepted.
        fps: frame rate where the table tells none.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no such table.
    """
    columns, rows = read_rows(path, ceil(max_seconds * FASTEST) + 2)
    values = np.stack([read_values(number, row, columns) for number, row in enumerate(rows, 1)])
    known = np.isfinite(values).all(1)
    if not known.any():
        raise ValueError("no row is filled in")
    if np.abs(values[known]).max() > LIMIT:
        raise ValueError(
            f"it holds numbers beyond {LIMIT:g}: shapes go from 0 to 1, angles are radians"
        )
    rate, times, even = read_times(rows, columns, fps)
    length = len(rows) if even else int(times[-1] * rate + 0.5) + 1
    if length > max_seconds * rate + 1:
        raise ValueError(
            f"its {times[-1]:.0f} seconds are more than the {max_seconds:.0f} allowed; raise --max-seconds"
        )
    if not (even and known.all()):
        # Frames that were dropped, or in which no face was seen, lie between their neighbours.
        when = times if not even else np.arange(length) / float(rate)
        frames = np.arange(length) / float(rate)
        filled = [np.interp(frames, when[known], column[known]) for column in values.T]
        values = np.stack(filled, 1)
    return from_arkit(values.astype(np.float32), basis, rate)


def read_rows(path: Path, most: int) -> tuple[dict[str, int], list[list[str]]]:
    """The columns that mean something, by name, and the rows that are not blank.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no such table, or one of too many rows.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline(MAX_LINE)
        file.seek(0)
        separator = ";" if head.count(";") > head.count(",") else ","
        try:
            rows = [check_cells(row) for row in islice(csv.reader(file, delimiter=separator), most)]
        except csv.Error as error:
            raise ValueError(f"it is no CSV table: {error}") from error
    columns = find_columns(rows[0] if rows else [])
    if len(rows) == most:
        raise ValueError("it has more rows than the length allowed; raise --max-seconds")
    filled = [row for row in rows[1:] if any(cell.strip() for cell in row)]
    if not filled:
        raise ValueError("it has no frames")
    return columns, filled


def check_cells(row: list[str]) -> list[str]:
    """A row of a width that is believed.

    Raises:
        ValueError: it is too wide.
    """
    if len(row) > MOST_CELLS:
        raise ValueError(f"a row has {len(row)} cells; at most {MOST_CELLS} are read")
    return row


def find_columns(heading: list[str]) -> dict[str, int]:
    """Where the columns are whose names are known; `jawOpen`, `JawOpen` and `mouthSmile_L` will do.

    Raises:
        ValueError: none is, or one is there twice.
    """
    known = {name.lower(): name for name in (TIMECODE, COUNT, RATE, *CURVES)}
    columns: dict[str, int] = {}
    for index, title in enumerate(heading):
        plain = re.sub(
            r"[^a-z]", "", SIDE.sub(lambda found: SIDES[found[1].lower()], title).lower()
        )
        name = known.get(plain)
        if name in columns:
            raise ValueError(f"it has two columns {name}")
        if name is not None:
            columns[name] = index
    if not any(name in columns for name in CURVES):
        raise ValueError("none of its columns is an ARKit blendshape such as JawOpen")
    return columns


def read_values(number: int, row: list[str], columns: dict[str, int]) -> Wide:
    """The 61 numbers of a row: 0 where there is no column, not finite where nothing was measured.

    Raises:
        ValueError: a cell holds something else.
    """
    if COUNT in columns and cell_of(row, columns[COUNT]) == "0":
        return np.full(len(CURVES), np.nan)
    values = np.zeros(len(CURVES))
    for index, name in enumerate(CURVES):
        if name in columns:
            cell = cell_of(row, columns[name])
            values[index] = number_of(cell, f"row {number}, {name}") if cell else np.nan
    return values


def cell_of(row: list[str], index: int) -> str:
    """A cell's text, empty where the row is too short."""
    return row[index].strip() if index < len(row) else ""


def number_of(text: str, where: str) -> float:
    """A finite number.

    Raises:
        ValueError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"{where}: {text[:20]!r} is not a number")
    return value


def read_times(
    rows: list[list[str]], columns: dict[str, int], fps: Fraction
) -> tuple[Fraction, Wide, bool]:
    """When the rows are.

    Args:
        rows: of the table.
        columns: where they are.
        fps: frame rate where the table tells none.

    Returns:
        The frame rate, seconds (N,) from the first row, and whether each row is the next frame.

    Raises:
        ValueError: the times make no sense.
    """
    if RATE in columns:
        number = number_of(cell_of(rows[0], columns[RATE]), RATE)
        rate = NTSC_RATES.get(round(number, 3), Fraction(number).limit_denominator(1001))
    elif TIMECODE in columns:
        return read_timecodes([cell_of(row, columns[TIMECODE]) for row in rows], fps)
    else:
        rate = fps
    check_rate(rate)
    return rate, np.arange(len(rows)) / float(rate), True


def check_rate(rate: Fraction) -> None:
    """Insist on a frame rate.

    Raises:
        ValueError: it is out of range.
    """
    if not 1 <= rate <= FASTEST:
        raise ValueError(f"its frame rate of {float(rate):.5g} a second is not from 1 to {FASTEST}")


def read_timecodes(texts: list[str], fps: Fraction) -> tuple[Fraction, Wide, bool]:
    """As `read_times`, of timecodes: what a second's frames are counted to is seen where a second ends."""
    found = [CODE.fullmatch(text) for text in texts]
    for number, (text, match) in enumerate(zip(texts, found, strict=True), 1):
        if match is None:
            raise ValueError(f"row {number}: {text[:20]!r} is not a timecode such as 00:00:01:12")
    parts = np.array([[float(part) for part in match.groups()] for match in found if match])
    seconds = parts[:, :3] @ [3600.0, 60.0, 1.0]
    counted = int(parts[:, 3].max()) + 1
    if counted > FASTEST:
        raise ValueError(f"its timecodes count {counted} frames a second")
    if seconds[0] == seconds[-1] and counted <= fps:
        counted = ceil(fps)
    likely = Fraction(next((rate for rate in RATES if 0 <= rate - counted <= 1), counted))
    times = seconds + parts[:, 3] / float(likely)
    times = np.unwrap(times, period=86_400.0)
    backwards = np.flatnonzero(np.diff(times) <= 0)
    if len(backwards):
        raise ValueError(f"row {backwards[0] + 2}: its timecode is not after the one before")
    times -= times[0]
    return pick_rate(times, likely)


def pick_rate(times: Wide, likely: Fraction) -> tuple[Fraction, Wide, bool]:
    """The frame rate of rows at times (N,) that is nearest to a likely one, and whether they keep to it."""
    if len(times) == 1:
        return likely, times, True
    measured = Fraction((len(times) - 1) / float(times[-1])).limit_denominator(1001)
    candidates = (likely, likely * 1000 / 1001, measured)
    for slack in (EXACT, UNEVEN):
        for rate in candidates:
            missed = np.abs(times * float(rate) - np.arange(len(times))).max()
            if missed <= slack and 1 <= rate <= FASTEST:
                return rate, times, True
    return likely, times, False
