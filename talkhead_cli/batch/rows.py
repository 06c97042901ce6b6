"""What the cells of a row mean: paths and settings, with every value that is wrong told by its column."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError

from talkhead_cli.batch.columns import FILE_COLUMNS, OPTION_COLUMNS, OUTPUT, shorten, unfit_for_path
from talkhead_cli.batch.job import Fault
from talkhead_cli.batch.manifest import Row
from talkhead_cli.errors import PresetError, TalkheadError
from talkhead_cli.marking.consent import COLUMN as CONSENT
from talkhead_cli.marking.consent import consent_in, unfit_consent
from talkhead_cli.settings import DRIVEN, RenderSettings, explain, load_preset, resolve_settings

TRUE = frozenset({"true", "yes", "on", "1", "y"})
FALSE = frozenset({"false", "no", "off", "0", "n"})

THOUSANDS = re.compile(r"[1-9]\d{0,2}([,.]\d{3})*,\d{3}")
"""A comma that may stand for thousands or for a decimal point."""


@dataclass(frozen=True)
class Draft:
    """A row whose cells can be read.

    Attributes:
        row: its number.
        line: of the manifest.
        files: column to absolute path, of the columns of files that were given.
        written: column to what was written.
        output: as written; None where a name is to be made up.
        settings: with what an empty cell would have meant in place of a wrong value, so that files are looked at all
            the same.
        given: names of settings that were asked for, by a cell or on the command line.
        consent_ref: what is named as the consent of the person shown; "" for none.
    """

    row: int
    line: int
    files: Mapping[str, str]
    written: Mapping[str, str]
    output: str | None
    settings: RenderSettings
    given: frozenset[str] = frozenset()
    consent_ref: str = ""


class RowReader:
    """Reads rows; settings are checked once for all rows that say the same.

    Args:
        folder: what relative paths are relative to.
        preset: of rows that name none.
        options: of the command line; None is "not given".

    Attributes:
        faults: found so far.
        base: settings of a row that says nothing.

    Raises:
        UsageError: an option of the command line is out of range.
        PresetError: the preset cannot be used.
    """

    def __init__(self, folder: Path, preset: str | None, options: Mapping[str, Any]) -> None:
        self.faults: list[Fault] = []
        self.folder = folder
        self._options = {key: value for key, value in options.items() if value is not None}
        self._preset = preset
        self._seen: dict[Any, tuple[RenderSettings, list[tuple[str, str]]]] = {}
        self._presets: dict[str | None, dict[str, Any] | PresetError] = {}
        self.base = resolve_settings(preset, self._options)
        check_values(self.base)
        if is_file_name(self.base.bundle):
            self._options["bundle"] = str(Path(self.base.bundle).absolute())
            self.base = resolve_settings(preset, self._options)

    def read(self, row: Row) -> Draft:
        """Make sense of a row; what is wrong goes to `faults`."""
        files: dict[str, str] = {}
        written: dict[str, str] = {}
        for column in FILE_COLUMNS:
            if column in row.cells:
                written[column] = str(row.cells[column])
                self._take_path(row, column, written[column], files)
        if "portrait" not in row.cells:
            self._fault(row, "portrait", "the cell is empty; give a picture, or a film")
        if "audio" not in row.cells and "drive" not in row.cells:
            self._fault(row, "audio", "the cell is empty; give a recording, or a clip as drive")
        if "style" in row.cells and "drive" in row.cells:
            self._fault(row, "style", "filmed motion has its own style; empty this cell, or drive")
        output = row.cells.get(OUTPUT)
        return Draft(
            row.number,
            row.line,
            files,
            written,
            None if output is None else str(output),
            self._settings(row, bool({"drive", "style"} & row.cells.keys())),
            frozenset(self._options) | (row.cells.keys() & set(OPTION_COLUMNS)),
            self._consent(row),
        )

    def _consent(self, row: Row) -> str:
        """What a row names as consent."""
        text = consent_in(row.carried)
        problem = unfit_consent(text)
        if problem is not None:
            self._fault(row, CONSENT, problem)
        return text

    def _fault(self, row: Row, column: str, message: str) -> None:
        self.faults.append(Fault(row.number, row.line, column, message))

    def _take_path(self, row: Row, column: str, text: str, files: dict[str, str]) -> None:
        if re.match(r"[a-z][a-z0-9+]+://", text, re.IGNORECASE):
            return self._fault(
                row, column, f"{shorten(text)} is an address; download it and give the file"
            )
        unfit = unfit_for_path(text)
        if unfit is not None:
            return self._fault(row, column, unfit)
        files[column] = str(self.folder / text)
        return None

    def _settings(self, row: Row, driven: bool) -> RenderSettings:
        """Settings of a row."""
        cells = {key: row.cells[key] for key in OPTION_COLUMNS if key in row.cells}
        known = driven, *((key, type(value), value) for key, value in cells.items())
        if known not in self._seen:
            self._seen[known] = self._resolve(cells, driven)
        settings, wrong = self._seen[known]
        for column, message in wrong:
            self._fault(row, column, message)
        return settings

    def _resolve(
        self, cells: Mapping[str, Any], driven: bool
    ) -> tuple[RenderSettings, list[tuple[str, str]]]:
        """Settings, and column and message of all that is wrong."""
        wrong: list[tuple[str, str]] = []
        given: dict[str, Any] = {}
        for key, cell in cells.items():
            try:
                given[key] = convert(key, cell)
            except ValueError as error:
                wrong.append((key, str(error)))
        if is_file_name(str(given.get("bundle", ""))):
            given["bundle"] = str(self.folder / given["bundle"])
        preset = self._load(given.pop("preset", None))
        if isinstance(preset, PresetError):
            wrong.append(("preset", str(preset)))
            preset = {}
        values = {**preset, **(DRIVEN if driven else {}), **self._options, **given}
        try:
            settings = RenderSettings.model_validate(values)
        except ValidationError as error:
            wrong += [(str(item["loc"][0]), explain(item)) for item in error.errors()]
            for column, _ in wrong:
                given.pop(column, None)
            usual = {**preset, **(DRIVEN if driven else {}), **self._options}
            settings = RenderSettings.model_validate({**usual, **given})
        try:
            check_values(settings)
        except TalkheadError as error:
            wrong.append(("background", str(error)))
            settings = settings.model_copy(update={"background": self.base.background})
        return settings, wrong

    def _load(self, name: str | None) -> dict[str, Any] | PresetError:
        """The keys of a preset; one given as a path lies beside the manifest."""
        if name not in self._presets:
            where = name
            if where is not None and ("/" in where or where.endswith((".yaml", ".yml"))):
                where = str(self.folder / where)
            try:
                self._presets[name] = load_preset(where or self._preset or default_preset())
            except PresetError as error:
                self._presets[name] = error
        return self._presets[name]


def default_preset() -> str:
    """Name of the preset of those who name none."""
    return str(RenderSettings.model_fields["preset"].default)


def is_file_name(bundle: str) -> bool:
    """Whether a bundle is given by its path."""
    return bundle.endswith(".safetensors")


def check_values(settings: RenderSettings) -> None:
    """Insist on what the settings' own checks leave to the render.

    Raises:
        UsageError: no such colour.
    """
    from talkhead_cli.face.image import parse_colour

    parse_colour(settings.background)


def convert(key: str, value: Any) -> Any:
    """A cell as the settings take it; what has the right type passes.

    Raises:
        ValueError: it cannot be read; the message says what is wanted.
    """
    kinds: dict[Any, Callable[[Any], Any]] = {
        bool: to_bool,
        int: to_int,
        float: to_float,
        str: to_text,
    }
    kind, choices = kind_of(key)
    if choices:
        return to_choice(value, choices)
    if kind in kinds:
        return kinds[kind](value)
    return value.replace(",", ".") if isinstance(value, str) else value


def kind_of(key: str) -> tuple[Any, tuple[Any, ...]]:
    """The type of a setting, without None; and its choices where it has few."""
    kind = RenderSettings.model_fields[key].annotation
    if get_origin(kind) in {Union, types.UnionType}:
        kind = next(item for item in get_args(kind) if item is not type(None))
    return (kind, get_args(kind)) if get_origin(kind) is Literal else (kind, ())


def to_text(value: Any) -> str:
    """Text; whole numbers are written as such."""
    if isinstance(value, bool):
        raise ValueError(f"text is wanted, got {str(value).lower()}")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def to_choice(value: Any, choices: tuple[Any, ...]) -> Any:
    """One of few words; spreadsheets like to begin them with a capital."""
    return str(value).lower() if str(value).lower() in choices else value


def to_bool(value: Any) -> bool:
    """A truth value."""
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text not in TRUE | FALSE:
        raise ValueError(f"true or false is wanted, got {shorten(str(value))!r}")
    return text in TRUE


def to_int(value: Any) -> int:
    """A whole number; spreadsheets write some as 4.0."""
    number = None if isinstance(value, bool) else plain_number(value)
    if number is None or not re.fullmatch(r"[+-]?\d{1,20}(\.0*)?", number):
        raise ValueError(f"a whole number is wanted, got {shorten(str(value))!r}")
    return int(number.split(".")[0])


def to_float(value: Any) -> float:
    """A number, with a decimal point or a decimal comma."""
    number = None if isinstance(value, bool) else plain_number(value)
    if number is None:
        raise ValueError(f"a number is wanted, got {shorten(str(value))!r}")
    return float(number)


def plain_number(value: Any) -> str | None:
    """A number with a decimal point; None where it is none.

    Raises:
        ValueError: the comma in it may mean two things.
    """
    text = str(value).replace("\N{MINUS SIGN}", "-")
    if THOUSANDS.fullmatch(text):
        raise ValueError(
            f"{text!r} may be read in two ways; write numbers with a decimal point and without thousands separators"
        )
    text = text.replace(",", ".")
    return text if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) else None
