"""Where outputs go: none leaves the folder, none meets another, none destroys what is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from talkhead_cli.batch.estimate import START_SECONDS, schedule
from talkhead_cli.batch.job import BatchRequest
from talkhead_cli.batch.outputs import OutputChecker, identity
from talkhead_cli.batch.records import name_below
from talkhead_cli.batch.rows import Draft
from talkhead_cli.formats import FITS
from talkhead_cli.settings import RenderSettings


def draft(row: int, output: str | None, audio: str = "/in/speech.wav", **settings: object) -> Draft:
    files = {"portrait": "/in/ann.png", "audio": audio}
    return Draft(row, row + 1, files, files, output, RenderSettings.model_validate(settings))


def place(
    folder: Path, *outputs: str | None, **options: bool
) -> tuple[dict[int, str], dict[int, str]]:
    """Row to output inside the folder, and row to what is wrong."""
    checker = OutputChecker(BatchRequest(folder / "jobs.csv", folder, **options), {})
    places = checker.place([draft(row, output) for row, output in enumerate(outputs, 1)])
    wrong = {fault.row: fault.message for fault in checker.faults}
    return {row: os.path.relpath(path, folder) for row, path in places.items()}, wrong


names = st.one_of(
    st.none(),
    st.text("aAäÄ./ \\-", max_size=8).map(lambda text: f"{text}.mp4"),
    st.text(max_size=12),
    st.sampled_from(["a.mp4", "A.mp4", "a.m4v", "a.mp4/b.mp4", "./a.mp4", "b/../a.mp4", "/a.mp4"]),
)


@given(outputs=st.lists(names, max_size=8), sidecar=st.booleans())
@example(["a\u0308.mp4", "\xe4.mp4"], True)
@example([None, None, "speech-ann.mp4", None], True)
@example(["x" * 300 + ".mp4", "../a.mp4", ".talkhead/a.mp4", "results.mp4", ".mp4"], True)
def test_every_output_is_told_or_has_a_place_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, outputs: list[str | None], sidecar: bool
):
    folder = tmp_path_factory.getbasetemp() / "nothing-is-made"
    places, wrong = place(folder, *outputs, sidecar=sidecar)
    assert places.keys() | wrong.keys() == set(range(1, len(outputs) + 1))
    assert not places.keys() & wrong.keys()
    taken = [identity(path, sidecar) for path in places.values()]
    assert len(set(taken)) == len(taken)
    for path in places.values():
        assert Path(path).parts[0] not in {"..", "/", ".talkhead"}
        assert Path(path).suffix.lower() in FITS["h264"]
        assert not any(str(parent) in places.values() for parent in Path(path).parents)
    assert not folder.exists()


def test_suffixes_go_by_the_rows_codec(tmp_path: Path):
    checker = OutputChecker(BatchRequest(tmp_path / "jobs.csv", tmp_path), {})
    drafts = [
        draft(1, "a.mov", video_codec="prores"),
        draft(2, "b.mp4", video_codec="prores"),
        draft(3, None, "/in/c.wav", video_codec="prores"),
        draft(4, None, "/in/d.wav", alpha=True),
        draft(5, "e.webm", alpha=True),
        draft(6, "frames", alpha=True),
        draft(7, "g.webm", video_codec="av1"),
        draft(8, "h.mp4", alpha=True, video_codec="hevc"),
    ]
    places = {row: Path(path).name for row, path in checker.place(drafts).items()}
    assert places == {1: "a.mov", 3: "c.mov", 4: "d.mov", 5: "e.webm", 7: "g.webm"}
    wrong = {fault.row: fault.message for fault in checker.faults}
    assert "MP4 cannot hold prores" in wrong[2]
    assert wrong[6] == "frames: --alpha needs a name that ends in .mov (ProRes 4444) or .webm (VP9)"
    assert "hevc holds no transparency" in wrong[8]


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("a.avi", "must end in .mp4"),
        ("a", "must end in .mp4"),
        (".mp4", "must end in .mp4"),
        ("../a.mp4", "outside the output folder"),
        ("/elsewhere/a.mp4", "outside the output folder"),
        (".talkhead/a.mp4", "belongs to the run"),
        ("x" * 250 + ".mp4", "longer than"),
        ("results.mp4", "the run's own results.json"),
        ("a\nb.mp4", "line break"),
    ],
)
def test_names_that_cannot_be(tmp_path: Path, output: str, words: str):
    places, wrong = place(tmp_path, output)
    assert not places
    assert words in wrong[1]


def test_the_same_output_is_told_of_the_later_row(tmp_path: Path):
    places, wrong = place(tmp_path, "a.mp4", "b/../A.mp4", "a.m4v", "a.mp4/b.mp4")
    assert places == {1: "a.mp4"}
    assert "is the output of row 1 (line 2), too" in wrong[2]
    assert "share its JSON file with row 1" in wrong[3]
    assert "cannot be a folder as well" in wrong[4]
    assert place(tmp_path, "a.mp4", "a.m4v", sidecar=False)[0] == {1: "a.mp4", 2: "a.m4v"}


def test_names_are_made_from_the_sound_and_where_needed_from_the_portrait(tmp_path: Path):
    assert place(tmp_path, None, "b.mp4")[0][1] == "speech.mp4"
    places, _ = place(tmp_path, None, None, "speech-ann-2.mp4")
    assert places == {1: "speech-ann.mp4", 2: "speech-ann-3.mp4", 3: "speech-ann-2.mp4"}


def test_what_is_there_is_not_replaced_unasked(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"video")
    (tmp_path / "b.json").write_bytes(b"notes")
    (tmp_path / "c.mp4").mkdir()
    (tmp_path / "d.mp4").symlink_to("nowhere")
    outputs = "a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4"
    places, wrong = place(tmp_path, *outputs)
    assert list(places) == [5]
    assert "give --overwrite to replace it, or --resume" in wrong[1]
    assert wrong[2].startswith("b.json: exists already")
    places, wrong = place(tmp_path, *outputs, overwrite=True)
    assert list(places) == [1, 2, 5]
    assert "not a regular file" in wrong[3]
    assert "leads nowhere" in wrong[4]
    assert list(place(tmp_path, *outputs, sidecar=False)[0]) == [2, 5]
    assert list(place(tmp_path, *outputs, resume=True)[0]) == [1, 2, 5]


def test_resume_replaces_only_what_the_run_made(tmp_path: Path):
    for name in "ab":
        (tmp_path / f"{name}.mp4").write_bytes(b"video")
    ours = str(tmp_path / "a.mp4")
    request = BatchRequest(tmp_path / "jobs.csv", tmp_path, resume=True)
    checker = OutputChecker(request, {}, lambda path: path == ours)
    assert checker.place([draft(1, "a.mp4"), draft(2, "b.mp4")]) == {1: ours}
    assert "was not made by this run" in checker.faults[0].message
    assert checker.may_replace(ours)
    assert not checker.may_replace(str(tmp_path / "b.mp4"))
    assert checker.present_bytes == 5


def test_an_input_is_never_replaced_under_whatever_name(tmp_path: Path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    os.link(film, tmp_path / "link.mp4")
    status = film.stat()
    request = BatchRequest(tmp_path / "jobs.csv", tmp_path, overwrite=True)
    checker = OutputChecker(request, {(status.st_dev, status.st_ino): "the drive of row 1"})
    assert not checker.place([draft(1, "film.mp4"), draft(2, "link.mp4")])
    assert all("this is the drive of row 1" in fault.message for fault in checker.faults)


def test_a_folder_that_leads_elsewhere(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "else").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "else")
    (tmp_path / "out" / "file").write_text("")
    places, wrong = place(tmp_path / "out", "sub/a.mp4", "file/b.mp4", "new/c.mp4")
    assert places == {3: "new/c.mp4"}
    assert "leads out of the output folder" in wrong[1]
    assert "is a file where a folder is wanted" in wrong[2]


def test_an_output_that_is_a_link_to_elsewhere(tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "precious.mp4").write_bytes(b"precious")
    (tmp_path / "precious.json").write_bytes(b"{}")
    (out / "inside.mp4").write_bytes(b"old")
    (out / "a.mp4").symlink_to(tmp_path / "precious.mp4")
    (out / "b.json").symlink_to(tmp_path / "precious.json")
    (out / "c.mp4").symlink_to("inside.mp4")
    outputs = "a.mp4", "b.mp4", "c.mp4"
    places, wrong = place(out, *outputs, overwrite=True)
    assert places == {3: "c.mp4"}
    assert wrong[1] == "a.mp4: is a link that leads out of the output folder; remove it"
    assert wrong[2] == "b.json: is a link that leads out of the output folder; remove it"
    assert list(place(out, *outputs, overwrite=True, allow_outside=True)[0]) == [1, 2, 3]


def test_outputs_outside_where_that_is_asked_for(tmp_path: Path):
    out = tmp_path / "out"
    (tmp_path / "else").mkdir()
    out.mkdir()
    (out / "sub").symlink_to(tmp_path / "else")
    outputs = (
        "../a.mp4",
        f"{tmp_path}/else/b.mp4",
        "sub/c.mp4",
        ".talkhead/d.mp4",
        "../../x/../e.mp4",
    )
    places, wrong = place(out, *outputs)
    assert not places
    assert "--allow-outside" in wrong[1]
    places, wrong = place(out, *outputs, allow_outside=True)
    assert places == {1: "../a.mp4", 2: "../else/b.mp4", 3: "sub/c.mp4", 5: "../../e.mp4"}
    assert "belongs to the run" in wrong[4]


def test_what_an_output_is_called_in_the_ledger(tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "link").symlink_to(out)
    assert name_below(out, str(out / "a" / "b.mp4")) == "a/b.mp4"
    assert name_below(tmp_path / "link", str(out / "b.mp4")) == "b.mp4"
    assert name_below(out, str(tmp_path / "b.mp4")) == "../b.mp4"


def test_an_output_folder_that_cannot_be(tmp_path: Path):
    (tmp_path / "file").write_text("")
    _, wrong = place(tmp_path / "file", "a.mp4")
    assert "is a file where a folder is wanted" in wrong[0]


@given(
    costs=st.lists(st.floats(0.1, 1000), min_size=1, max_size=20),
    workers=st.integers(1, 8),
)
def test_the_time_of_a_batch_lies_between_its_bounds(costs: list[float], workers: int):
    seconds = schedule(costs, workers) - START_SECONDS
    assert seconds >= max(max(costs), sum(costs) / workers) - 1e-6
    assert seconds <= sum(costs) / workers + max(costs) + 1e-6
