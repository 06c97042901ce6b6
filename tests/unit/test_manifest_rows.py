"""What cells mean: every value that a spreadsheet may write is taken for what it is, or told by its column."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from talkhead_cli.batch.columns import OPTION_COLUMNS
from talkhead_cli.batch.manifest import Row
from talkhead_cli.batch.rows import Draft, RowReader
from talkhead_cli.errors import PresetError, UsageError
from talkhead_cli.settings import DEFAULT_PRESET, RenderSettings, resolve_settings

FILES = {"portrait": "faces/ann.png", "audio": "a.wav"}


def read(
    cells: dict[str, Any], preset: str | None = None, options: dict[str, Any] | None = None
) -> tuple[Draft, list[tuple[str, str]]]:
    """A row, and column and message of its faults."""
    reader = RowReader(Path("/studio"), preset, options or {})
    draft = reader.read(Row(3, 7, cells))
    assert all((fault.row, fault.line) == (3, 7) for fault in reader.faults)
    return draft, [(fault.column, fault.message) for fault in reader.faults]


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("seed", "7", 7),
        ("seed", "7.0", 7),
        ("seed", 7.0, 7),
        ("size", "720", 720),
        ("pose_scale", "0,8", 0.8),
        ("pose_scale", "0.125", 0.125),
        ("pose_scale", "0,125", 0.125),
        ("pose_scale", ".5", 0.5),
        ("pose_scale", 1, 1.0),
        ("max_seconds", "1e3", 1000.0),
        ("still", "TRUE", True),
        ("still", "no", False),
        ("still", "0", False),
        ("still", True, True),
        ("crop", "Face", "face"),
        ("video_codec", "HEVC", "hevc"),
        ("fps", "29,97", Fraction(30000, 1001)),
        ("fps", "25.0", Fraction(25)),
        ("fps", 50, Fraction(50)),
        ("fps", "24000/1001", Fraction(24000, 1001)),
        ("face", "2", "2"),
        ("face", 2, "2"),
        ("face", "120,80", "120,80"),
        ("background", "#00ff00", "#00ff00"),
    ],
)
def test_values_as_spreadsheets_write_them(column: str, cell: Any, value: object):
    draft, faults = read({**FILES, column: cell})
    assert not faults
    assert getattr(draft.settings, column) == value


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("seed", "1.5", "whole number"),
        ("seed", "-1", "greater than or equal to 0"),
        ("seed", "9" * 20, "less than"),
        ("seed", True, "whole number"),
        ("seed", "seven", "whole number"),
        ("pose_scale", "9", "less than or equal to 3"),
        ("pose_scale", "nan", "a number is wanted"),
        ("max_seconds", "1,200", "read in two ways"),
        ("still", "perhaps", "true or false"),
        ("crop", "middle", "'full' or 'face'"),
        ("fps", "many", "a frame rate is a number"),
        ("fps", "500", "must be from 5 to 120"),
        ("face", "left", "the face is largest"),
        ("background", "no such colour", "no background colour"),
        ("preset", "talkheed", "did you mean 'talkhead'?"),
        ("preset", "looks/calm.yaml", "/studio/looks/calm.yaml: there is no such preset file"),
    ],
)
def test_values_that_are_wrong_are_told_by_their_column(column: str, cell: Any, words: str):
    draft, faults = read({**FILES, column: cell})
    assert [fault[0] for fault in faults] == [column]
    assert words in faults[0][1]
    # What stands in for it, so that the files are looked at all the same.
    assert getattr(draft.settings, column) == getattr(resolve_settings(None, {}), column)


def test_all_wrong_values_of_a_row_are_told_at_once():
    _, faults = read(
        {"portrait": "https://a.org/a.png", "seed": "x", "fps": "0", "pose_scale": "-1", "crop": 3}
    )
    assert {fault[0] for fault in faults} == {
        "portrait",
        "audio",
        "seed",
        "fps",
        "pose_scale",
        "crop",
    }


json_values = st.one_of(st.text(), st.integers(), st.floats(), st.booleans())


@given(st.dictionaries(st.sampled_from(OPTION_COLUMNS), json_values, max_size=4))
@example({"seed": "+5"})
@example({"fps": "1/0"})
@example({"preset": "/", "bundle": "x.safetensors"})
def test_no_cell_is_a_surprise(cells: dict[str, Any]):
    draft, faults = read({**FILES, **cells})
    assert RenderSettings.model_validate(draft.settings.model_dump()) == draft.settings
    assert {column for column, _ in faults} <= cells.keys()
    assert all("\n" not in message.strip() for _, message in faults)


def test_a_row_wins_over_the_command_line_and_that_over_the_preset():
    calm = {"preset": "rest"}
    assert read({**FILES, **calm})[0].settings.bundle == "rest"
    assert read(FILES, "rest")[0].settings.bundle == "rest"
    assert read({**FILES, "preset": "syncdiff"}, "rest")[0].settings.bundle == "syncdiff"
    assert read({**FILES, **calm}, options={"seed": 5})[0].settings.seed == 5
    assert read({**FILES, "seed": "6"}, options={"seed": 5, "fps": None})[0].settings.seed == 6


def test_filmed_motion_is_taken_as_it_is():
    assert read(FILES)[0].settings.pose_scale != 1.0
    assert read({**FILES, "drive": "film.mp4"})[0].settings.pose_scale == 1.0
    assert read({**FILES, "drive": "film.mp4", "pose_scale": "2"})[0].settings.pose_scale == 2.0


def test_a_style_is_a_file_and_no_business_of_filmed_motion():
    draft, faults = read({**FILES, "style": "host.mp4"})
    assert not faults
    assert draft.files["style"] == "/studio/host.mp4"
    assert draft.settings.pose_scale == 1.0
    _, faults = read({**FILES, "style": "host.mp4", "drive": "film.mp4"})
    assert [column for column, _ in faults] == ["style"]


def test_paths_are_made_absolute(tmp_path: Path):
    draft, faults = read(
        {"portrait": "../ann.png", "drive": "/film.mp4", "bundle": "b.safetensors"}
    )
    assert not faults
    assert draft.files == {"portrait": "/studio/../ann.png", "drive": "/film.mp4"}
    assert draft.written == {"portrait": "../ann.png", "drive": "/film.mp4"}
    assert draft.settings.bundle == "/studio/b.safetensors"


@pytest.mark.parametrize("path", ["a\nb.png", "a\0b.png", "\ud800.png", "s3://bucket/a.png"])
def test_paths_that_no_file_has(path: str):
    draft, faults = read({**FILES, "portrait": path})
    assert [column for column, _ in faults] == ["portrait"]
    assert "portrait" not in draft.files


def test_a_wrong_command_line_is_not_blamed_on_the_rows():
    with pytest.raises(UsageError, match="--seed"):
        RowReader(Path(), None, {"seed": -1})
    with pytest.raises(UsageError, match="background"):
        RowReader(Path(), None, {"background": "nothing"})
    with pytest.raises(PresetError, match="did you mean"):
        RowReader(Path(), "talkheed", {})


def test_a_preset_file_lies_beside_the_manifest(tmp_path: Path):
    (tmp_path / "calm.yaml").write_text("pose_scale: 0.25\n")
    reader = RowReader(tmp_path, None, {})
    settings = reader.read(Row(1, 2, {**FILES, "preset": "calm.yaml"})).settings
    assert not reader.faults
    assert (settings.preset, settings.pose_scale) == ("calm", 0.25)
    assert reader.base.preset == DEFAULT_PRESET
