"""Reading manifests: whatever a spreadsheet exports is read, and whatever cannot be read is told with its place."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from talkhead_cli.batch.columns import COLUMNS, OPTION_COLUMNS
from talkhead_cli.batch.manifest import Sheet, parse_manifest, read_manifest
from talkhead_cli.batch.template import template
from talkhead_cli.errors import BatchFileError

HEADING = "portrait,audio,output\n"


def parse(text: str | bytes, suffix: str = ".csv") -> Sheet:
    data = text if isinstance(text, bytes) else text.encode()
    return parse_manifest(data, "jobs", Path(f"jobs{suffix}"), Path("/studio"))


def told(sheet: Sheet) -> list[tuple[int, int, str]]:
    """Row, line and column of every fault."""
    return [(fault.row, fault.line, fault.column) for fault in sheet.faults]


# What survives reading: no characters of control, no lone surrogates, no space around it.
words = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufeff"))
cells = words.map(str.strip)
tables = st.lists(
    st.tuples(cells.filter(lambda cell: cell and not cell.startswith("#")), cells, cells),
    min_size=1,
    max_size=6,
)


@given(
    table=tables,
    delimiter=st.sampled_from(",;\t"),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.booleans(),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@example([("a;b.png", 'say "hi".wav', "x,y.mp4")], ";", "\r\n", True, csv.QUOTE_MINIMAL)
def test_every_cell_comes_back_as_it_was_written(
    table: list[tuple[str, str, str]], delimiter: str, newline: str, mark: bool, quoting: int
):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writerows([("portrait", "audio", "output"), *table])
    sheet = parse(file.getvalue().encode("utf-8-sig" if mark else "utf-8"))
    assert not sheet.faults
    wanted = [
        {key: cell for key, cell in zip(("portrait", "audio", "output"), row, strict=True) if cell}
        for row in table
    ]
    assert [dict(row.cells) for row in sheet.rows] == wanted
    assert [(row.number, row.line) for row in sheet.rows] == [
        (number, number + 1) for number in range(1, len(table) + 1)
    ]


@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "replace"))))
@example(b'portrait,audio\n"')
@example(b'{"portrait": "a"')
@example(b"portrait\n" * 300)
def test_no_manifest_is_a_surprise(data: bytes):
    try:
        sheet = parse(data)
    except BatchFileError as error:
        assert "\n" not in str(error).strip()
        return
    lines = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    assert all(0 <= fault.line <= lines for fault in sheet.faults)
    assert sheet.rows or sheet.faults
    broken = {fault.row for fault in sheet.faults} - {0}
    assert len({row.number for row in sheet.rows} | broken) == sheet.num_rows or not sheet.rows


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["portrait", "audio", "seed", "pose_scale", "still"]),
            st.one_of(words, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False)),
            min_size=1,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_objects_come_back_as_they_were_written(rows: list[dict[str, object]]):
    sheet = parse("\n".join(json.dumps(row) for row in rows), ".jsonl")
    assert not sheet.faults
    for row, written in zip(sheet.rows, rows, strict=True):
        wanted = {
            key: value.strip() if isinstance(value, str) else value
            for key, value in written.items()
            if value is not None and not (isinstance(value, str) and not value.strip())
        }
        assert dict(row.cells) == wanted


def test_comments_and_blank_lines_do_not_count_as_rows_but_as_lines():
    sheet = parse("# said first\n\n" + HEADING + "# more\na,b,c\n\n;;\n,,\n# end\nd,e,f\n")
    assert [(row.number, row.line, row.cells["portrait"]) for row in sheet.rows] == [
        (1, 5, "a"),
        (2, 7, ";;"),
        (3, 10, "d"),
    ]


def test_a_cell_may_hold_lines_even_such_as_look_like_comments():
    sheet = parse('portrait,audio,note\na,b,"one\n# two\n\nthree"\nc,d,\n')
    assert [row.line for row in sheet.rows] == [2, 6]
    assert sheet.rows[0].carried == {"note": "one\n# two\n\nthree"}


def test_the_separator_that_a_spreadsheet_names_is_taken():
    sheet = parse("sep=;\nportrait;audio;output\na,1.png;b;c\n")
    assert [(row.line, row.cells["portrait"]) for row in sheet.rows] == [(3, "a,1.png")]


def test_headings_are_read_as_people_write_them():
    sheet = parse("Portrait , AUDIO,Pose-Scale,num inference steps,X-Shot,# mine,\na,b,1,2,s,m,\n")
    assert not sheet.faults
    assert dict(sheet.rows[0].cells) == {
        "portrait": "a",
        "audio": "b",
        "pose_scale": "1",
        "num_inference_steps": "2",
    }
    assert dict(sheet.rows[0].carried) == {"X-Shot": "s", "# mine": "m"}


def test_cells_under_no_heading_are_told_once():
    sheet = parse("portrait,audio,,output,\na,b,,c,\nd,e,1,f,\ng,h,2,i,\n")
    assert told(sheet) == [(0, 3, "")]
    assert "'1' stands in column 3" in sheet.faults[0].message


def test_an_unclosed_quotation_mark_costs_its_row_alone():
    sheet = parse(HEADING + 'a,b,c\n"j"k,l,m\n"d,e,f\ng,h,i\nn,o,p\n')
    assert told(sheet) == [(2, 3, ""), (3, 4, "")]
    assert "do not fit" in sheet.faults[0].message
    assert "opened and not closed" in sheet.faults[1].message
    assert [row.cells["portrait"] for row in sheet.rows] == ["a", "g", "n"]
    assert sheet.num_rows == 5


def test_many_unclosed_quotation_marks_are_each_told():
    sheet = parse(HEADING + 'a,"b,c\n' * 3001)
    # Two neighbours close each other, and what follows does not fit.
    assert len(sheet.faults) == 3001
    assert not sheet.rows


@pytest.mark.parametrize(
    ("heading", "column", "words"),
    [
        ("portrait,audio,fsp", "fsp", "did you mean 'fps'?"),
        ("portrait,audio,Crop-Box", "Crop-Box", "did you mean 'crop'?"),
        ("image,audio", "image", "did you mean 'portrait'?"),
        ("portrait,voice", "voice", "did you mean 'audio'?"),
        ("portrait,audio,frame rate", "frame rate", "did you mean 'fps'?"),
        ("portrait,audio,zzz", "zzz", "your own begin with x-"),
        ("portrait,audio,device", "device", "give --devices"),
        ("portrait,audio,Audio", "audio", "there twice"),
        ("audio,output", "portrait", "no column 'portrait'"),
        ("portrait,output", "audio", "no column 'audio'"),
        ("a.png,b.wav,c.mp4", "", "no heading"),
    ],
)
def test_what_is_wrong_with_a_heading(heading: str, column: str, words: str):
    sheet = parse(f"# one\n{heading}\na,b\n")
    assert told(sheet) == [(0, 2, column)]
    assert words in sheet.faults[0].message


def test_a_path_that_holds_the_separator_is_told_by_its_row():
    sheet = parse(HEADING + "faces/smith, ann.png,b.wav,c.mp4\nd,e,f\n")
    assert told(sheet) == [(1, 2, "")]
    assert "quotation marks" in sheet.faults[0].message
    assert len(sheet.rows) == 1


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ('{"portrait": "a", "audio": "b"', "", "expecting ',' delimiter at character"),
        ('["a", "b"]', "", "not a JSON object"),
        ("a.png", "", "not a JSON object"),
        ('{"portrait": "a", "audio": ["b"]}', "audio", "no value"),
        ('{"portrait": "a", "audio": {"b": 1}}', "audio", "no value"),
        ('{"portrait": "a", "portrait": "b"}', "portrait", "twice"),
    ],
)
def test_what_is_wrong_with_an_object(line: str, column: str, words: str):
    sheet = parse('{"portrait": "a", "audio": "b"}\n' + line + "\n", ".jsonl")
    assert told(sheet) == [(2, 2, column)]
    assert words in sheet.faults[0].message


def test_an_unknown_key_is_told_once():
    sheet = parse('{"portrait": "a", "audio": "b", "fsp": 25}\n' * 20, ".jsonl")
    assert told(sheet) == [(0, 1, "fsp")]
    assert len(sheet.rows) == 20


def test_objects_are_known_by_their_look_where_there_is_no_suffix():
    data = b'# one\n{"portrait": "a", "audio": "b"}\n'
    sheet = parse_manifest(data, "standard input", None, Path())
    assert [row.line for row in sheet.rows] == [2]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"# only a comment\n\n", "is empty"),
        (HEADING.encode(), "no rows"),
        (b"[\n{}]", "JSON list"),
        (b"PK\x03\x04 and so on", "spreadsheet workbook"),
        ((HEADING + "a,b,c\n").encode("utf-16"), "UTF-16"),
        ((HEADING + "a,b,c\n").encode("utf-16-le"), "UTF-16"),
        ((HEADING + "a,b,c\n").encode("utf-16-be"), "UTF-16"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not a text file"),
        (HEADING.encode() + b"a,b,c\nj\xf6rg.png,b,c\n", "line 3 is not in UTF-8"),
    ],
)
def test_what_is_no_manifest_at_all(data: bytes, words: str):
    with pytest.raises(BatchFileError, match=words):
        parse(data)


def test_a_manifest_that_is_not_there(tmp_path: Path):
    with pytest.raises(BatchFileError, match=r"nope\.csv: the manifest cannot be read"):
        read_manifest(tmp_path / "nope.csv")
    with pytest.raises(BatchFileError, match="cannot be read"):
        read_manifest(tmp_path)


def test_paths_are_relative_to_the_manifest(tmp_path: Path):
    path = tmp_path / "jobs.csv"
    path.write_text(HEADING + "a,b,c\n")
    assert read_manifest(path).folder == tmp_path


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_the_template_is_a_manifest_that_names_every_option(kind):
    text = template(kind)
    sheet = parse(text, f".{kind}")
    assert not sheet.faults
    assert [row.cells["output"] for row in sheet.rows] == [
        "ann/welcome.mp4",
        "ann/goodbye.mp4",
        "bob/welcome.mp4",
    ]
    comments = text.replace(",", " ").replace(".", " ").split()
    assert [name for name in COLUMNS if name not in comments] == []
    assert set(OPTION_COLUMNS) < set(COLUMNS)
