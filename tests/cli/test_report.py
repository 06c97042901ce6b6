"""`talkhead report` and `talkhead batch --html`: through the real command line, on real videos."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from talkhead_cli.batch.job import BatchSummary
from talkhead_cli.report.examine import Examined, Task
from tests.cli.batch_process import Batch
from tests.cli.conftest import Talkhead, contents
from tests.conftest import ROOT, leftovers
from tests.report_folder import HOSTILE, hostile_batch, make_clip


@pytest.fixture(scope="module")
def clip(astronaut_png: Path, short_wav: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", astronaut_png, short_wav)


@pytest.fixture
def folder(tmp_path: Path, clip: Path) -> Path:
    return hostile_batch(tmp_path / "out", clip)


def rows_of(page: Path) -> list[dict]:
    """What the page says of its rows, in their order."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    return [json.loads(item) for item in found]


def look_at_none(tasks: list[Task], *_: object, **__: object) -> list[tuple[Task, Examined]]:
    """In place of the processes that measure."""
    return [(task, Examined(key=task.key)) for task in tasks]


def look_here(
    tasks: list[Task], work: Callable[[Task], Examined], *_: object, **__: object
) -> list[tuple[Task, Examined]]:
    """In this process: starting others takes a second."""
    return [(task, work(task)) for task in tasks]


def test_a_page_of_a_batch_with_everything_that_goes_wrong(
    folder: Path, talkhead: Talkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)
    done = talkhead("report", folder, "--no-measure")
    assert done.code == 0, done.err
    page = folder / "report.html"
    assert done.out == f"{page}\n"
    assert "6 rows: 4 with trouble, 1 to look at, 1 unknown; 2 looked at now" in done.err
    assert "Traceback" not in done.err
    rows = rows_of(page)
    assert [(row["number"], row["state"]) for row in rows] == [
        (3, "failed"),
        (6, "failed"),
        (4, "missing"),
        (5, "unreadable"),
        (2, "done"),
        (1, "done"),
    ]
    assert [row["error"]["kind"] for row in rows[:4]] == [
        "AudioError",
        "Fault",
        "Missing",
        "Not measured",
    ]
    assert "no speech; give another" in rows[0]["error"]["message"]
    assert rows[1]["error"]["message"] == "portrait: no.png: no such file; correct the path"
    assert "holds no moving picture" in rows[3]["error"]["message"]
    assert rows[4]["name"] == HOSTILE
    assert len(rows[4]["warnings"]) == 1
    assert rows[5]["consent_ref"] == "REL-1"
    # Of the folder itself nothing is touched but what is kept beside the state.
    after = contents(folder)
    added = {name for name in after.keys() - before.keys() if "report" not in name}
    assert {name for name in added if not name.endswith(("-wal", "-shm"))} == set()
    assert {
        name for name in before if before[name] != after[name] and "ledger" not in name
    } == set()
    assert leftovers(folder) == []
    monkeypatch.setattr("talkhead_cli.batch.files.work_on_all", look_here)
    # What is known is not looked at again, and what is new is.
    known = json.loads(talkhead("report", folder, "--no-measure", "--json").out)
    assert known["measured"] == 0
    assert [row["id"] for row in known["rows"]] == [row["id"] for row in rows]
    assert known["states"] == {"failed": 2, "missing": 1, "unreadable": 1, "done": 2}
    assert known["levels"] == {"bad": 4, "check": 1, "none": 1}
    with (folder / "ann.mp4").open("ab") as file:
        file.write(b"\0" * 8)
    changed = json.loads(talkhead("report", folder, "--no-measure", "--json").out)
    assert changed["measured"] == 1
    (row,) = (row for row in changed["rows"] if row["number"] == 1)
    assert row["warnings"] == ["the video was changed since it was rendered"]


def test_any_folder_of_videos_and_a_page_elsewhere(
    tmp_path: Path, clip: Path, talkhead: Talkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkhead_cli.batch.files.work_on_all", look_here)
    videos, pages = tmp_path / "b & c", tmp_path / "pages"
    for path in (videos / "sub", pages):
        path.mkdir(parents=True)
    shutil.copy(clip, videos / "sub" / "100% ü.mp4")
    sidecar = {
        "talkhead": "1",
        "settings": {"seed": 7, "marking": False},
        "marking": {"consent_ref": "C-9", "written": []},
    }
    (videos / "sub" / "100% ü.json").write_text(json.dumps(sidecar))
    done = talkhead("report", videos, "-o", pages / "night.html", "--no-measure")
    assert done.code == 0, done.err
    (row,) = rows_of(pages / "night.html")
    assert row["url"] == "./../b%20%26%20c/sub/100%25%20%C3%BC.mp4"
    assert row["consent_ref"] == "C-9"
    assert ["seed", "7", True] in row["settings"]
    assert row["facts"][0] == ["Size", "256 × 256"]
    assert ["Marks", "none"] in row["facts"]
    assert not (videos / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 3, "no such folder"),
        (["notes.txt"], 3, "is no folder"),
        (["empty"], 3, "neither a batch nor videos"),
        (["clips", "-o", "page.txt"], 2, "must end in .html"),
        (["clips", "-o", "no/page.html"], 3, "does not exist"),
        (["clips", "-o", "other.html"], 3, "is no report of talkhead"),
        (["clips", "--jobs", "0"], 2, "--jobs"),
    ],
)
def test_refusals(
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    clip: Path,
    talkhead: Talkhead,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("empty", "clips"):
        (tmp_path / name).mkdir()
    shutil.copy(clip, tmp_path / "clips")
    (tmp_path / "other.html").write_text("<p>mine</p>")
    (tmp_path / "notes.txt").write_text("notes")
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    done = talkhead("report", *arguments)
    assert done.code == code, done.err
    assert done.out == ""
    assert words in done.err
    assert "Traceback" not in done.err
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("given", "printed"), [(["--html"], True), ([], False), (["--html", "--dry-run"], False)]
)
def test_a_batch_writes_the_page_when_asked(
    given: list[str],
    printed: bool,
    folder: Path,
    talkhead: Talkhead,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run itself is left out; its exit code stays."""
    page = folder / "report.html"
    summary = BatchSummary(
        rows=6, done=2, skipped=0, failed=4, left=0, loads=1, elapsed_seconds=1.0
    )
    monkeypatch.setattr("talkhead_cli.batch.run.run_batch", lambda *_: summary)
    monkeypatch.setattr("talkhead_cli.batch.files.work_on_all", look_at_none)
    done = talkhead("batch", "jobs.csv", "-o", folder, *given)
    assert done.code == (0 if "--dry-run" in given else 8)
    assert page.exists() == printed
    assert done.out == (f"{page}\n" if printed else "")
    assert ("report: 6 rows: 3 with trouble" in done.err) == printed


def test_a_batch_without_a_page_is_no_worse(
    folder: Path, talkhead: Talkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "report.html").write_text("<p>mine</p>")
    summary = BatchSummary(
        rows=1, done=1, skipped=0, failed=0, left=0, loads=1, elapsed_seconds=1.0
    )
    monkeypatch.setattr("talkhead_cli.batch.run.run_batch", lambda *_: summary)
    done = talkhead("batch", "jobs.csv", "-o", folder, "--html")
    assert done.code == 0
    assert "warning: there is no report:" in done.err
    assert (folder / "report.html").read_text() == "<p>mine</p>"


@pytest.mark.slow
def test_a_batch_with_html_ends_as_it_would_without(batch: Batch) -> None:
    """In processes of its own; stand-in rows are no videos: the page says so."""
    batch.write({}, {"fail": True})
    done = batch.run("--workers", 1, "--html")
    assert done.returncode == 8, done.stderr
    page = batch.out / "report.html"
    assert done.stdout == f"{batch.out / 'results.csv'}\n{page}\n"
    assert "report: 2 rows: 2 with trouble" in done.stderr
    assert [row["state"] for row in rows_of(page)] == ["failed", "unreadable"]


@pytest.mark.slow
def test_a_real_batch_measured(
    hopper_png: Path, short_wav: Path, tmp_path: Path, talkhead: Talkhead
) -> None:
    """Two rows rendered and measured, one that fails; a second report measures nothing."""
    manifest, out = tmp_path / "jobs.csv", tmp_path / "out"
    lines = ["portrait,audio,output,consent_ref,size", f"{hopper_png},{short_wav},a.mp4,R-1,256"]
    lines += [
        f"{hopper_png},{short_wav},b.mp4,R-2,200",
        f"{hopper_png},{ROOT / 'README.md'},c.mp4,,",
    ]
    manifest.write_text("\n".join(lines) + "\n")
    done = talkhead("batch", manifest, "-o", out, "--skip-faulty", "--devices", "cpu", "--html")
    assert done.code == 8, done.err
    assert done.out.splitlines()[-1] == str(out / "report.html")
    text = (out / "report.html").read_text()
    rows = {row["number"]: row for row in rows_of(out / "report.html")}
    assert rows[3]["state"] == "failed"
    for number in (1, 2):
        row = rows[number]
        assert row["state"] == "done"
        assert row["consent_ref"] == f"R-{number}"
        assert row["values"]["lost_frames"] == 0
        assert row["values"]["likeness_min"] > 0.6
        assert abs(row["values"]["length_gap_ms"]) <= 40
        assert {"likeness_min", "lost_frames", "length_gap_ms"} <= {
            f["key"] for f in row["findings"]
        }
        assert ["size", "256" if number == 1 else "200", True] in row["settings"]
    assert len(re.findall(r'<svg class="plot"', text)) == 2
    assert text.count("data:image/webp;base64,") == 2
    again = json.loads(talkhead("report", out, "--json").out)
    assert again["measured"] == 0
    assert {row["number"]: row["values"] for row in again["rows"]} == {
        number: row["values"] for number, row in rows.items()
    }
