"""`talkhead batch`: what it prints where, how it ends, and what is seen of it from outside, in real processes."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from talkhead_cli.batch.manifest import read_manifest
from tests.cli.batch_process import Batch, results, wait_until_gone
from tests.cli.conftest import Talkhead, contents
from tests.conftest import ROOT, SPEECH

# How it ends


def test_all_done_is_0_and_the_log_is_plain(batch: Batch) -> None:
    batch.write({}, {"output": "second.mp4"}, {})
    done = batch.run("--workers", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{batch.out / 'results.csv'}\n"
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stderr) is None
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in done.stderr.splitlines()]
    assert lines[0] == f"checking {batch.manifest}"
    assert lines[1].startswith(f"{batch.manifest}: 3 rows, 3 to render")
    assert "1 worker (cpu)" in lines[1]
    assert sorted(line.partition(": 25 frames")[0] for line in lines[2:5]) == [
        "row 1 done: row1.mp4",
        "row 2 done: second.mp4",
        "row 3 done: row3.mp4",
    ]
    assert lines[5].startswith("3 rows: 3 done; in ")
    assert len(lines) == 6
    assert results(batch.out) == {1: "done", 2: "done", 3: "done"}


def test_a_failed_row_is_8_and_is_told_even_quietly(batch: Batch) -> None:
    batch.write({"fail": True, "cost": 9}, {}, {})
    done = batch.run("--workers", 1, "--quiet", "--fail-fast")
    assert done.returncode == 8
    assert done.stdout == ""
    audio = batch.out / "speech.wav"
    assert done.stderr == f"row 1 FAILED: row1.mp4: {audio}: no speech\n"
    assert results(batch.out) == {1: "failed", 2: "waiting", 3: "waiting"}


def test_faults_are_3_and_nothing_is_written(batch: Batch) -> None:
    batch.write({}, {"fault": "no.wav: no such file"}, {"fault": "deaf.wav: no speech"})
    before = contents(batch.folder)
    done = batch.run()
    assert done.returncode == 3
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[1:3] == [
        f"{batch.manifest}:3: row 2, audio: no.wav: no such file",
        f"{batch.manifest}:4: row 3, audio: deaf.wav: no speech",
    ]
    assert lines[3].startswith("error: ")
    assert "2 of 3 rows cannot be rendered" in lines[3]
    assert contents(batch.folder) == before


def test_json_is_one_documented_event_a_line_and_nothing_else(
    batch: Batch, talkhead: Talkhead
) -> None:
    batch.write({"seconds": 0.8, "status": True}, {"fail": True}, {"fault": "no.wav: no such file"})
    done = batch.run("--json", "--skip-faulty")
    assert done.returncode == 8
    assert done.stderr == ""
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "fault"
    assert kinds[1] == "batch_start"
    assert kinds[-1] == "batch_done"
    assert {"row", "batch_progress"} <= set(kinds)
    last = events[-1]
    assert (last["done"], last["failed"], last["exit_code"]) == (1, 2, 8)
    assert Path(last["results_csv"]).is_file()
    page = (ROOT / "docs" / "events.md").read_text()
    told = talkhead("batch", "--report", "-o", batch.out, "--json")
    for event in (*events, *told.events):
        names = {event["event"], *event}
        assert {name for name in names if f"`{name}`" not in page} == set(), event


def test_dry_run_writes_nothing(batch: Batch) -> None:
    batch.write({}, {})
    before = contents(batch.folder)
    done = batch.run("--dry-run")
    assert done.returncode == 0
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].endswith("ready: 2 rows would be rendered")
    assert contents(batch.folder) == before


def test_a_manifest_from_standard_input(
    talkhead: Talkhead, astronaut_png: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"portrait,audio\n{astronaut_png},{SPEECH}\n{astronaut_png},nowhere.wav\n"
    given = ("batch", "-", "--out-dir", tmp_path / "out", "--dry-run")
    for more, code in (((), 3), (("--skip-faulty",), 0)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        done = talkhead(*given, *more)
        assert done.code == code
        assert "standard input:3: row 2, audio: " in done.err
        assert ("error: standard input: 1 of 2 rows cannot be rendered" in done.err) == (code == 3)
    assert contents(tmp_path) == {}


def test_a_path_that_is_no_text_is_told_as_one(batch: Batch) -> None:
    batch.write({})
    command = batch.command("--json", "--dry-run", "--out-dir", "OUT")
    done = subprocess.run(
        [os.fsencode(batch.folder) + b"/\xff" if word == "OUT" else word for word in command],
        cwd=ROOT,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert done.returncode == 2, done.stderr
    assert "\udcff: the path is not UTF-8" in json.loads(done.stdout)["message"]
    assert rb"\udcff: the path is not UTF-8" in done.stderr


# From outside


def test_report_beside_a_run_that_goes_on(batch: Batch, talkhead: Talkhead) -> None:
    batch.write({}, {"fail": True}, {"seconds": 1000, "status": True, "cost": 0.5}, {"cost": 0.1})
    run = batch.start("--workers", 1)
    run.until("row", state="running", row=3)
    told = talkhead("batch", "--report", "-o", batch.out, "--json")
    assert told.code == 0, told.err
    rows = [event for event in told.events if event["event"] == "row"]
    assert [row["state"] for row in rows] == ["done", "failed", "running", "waiting"]
    assert rows[1]["message"].endswith("no speech")
    whole = told.events[-1]
    assert whole["event"] == "batch_report"
    assert whole["rendering"]["pid"] == run.process.pid
    assert whole["states"] == {"done": 1, "failed": 1, "running": 1, "waiting": 1}
    assert results(batch.out)[3] == "running"
    table = talkhead("batch", "--report", "-o", batch.out, "--verbose")
    assert re.search(r"3  row3.mp4 +running .*20% +2 s left +12.5 frames/s  cpu", table.out)
    assert re.search(r"2  row2.mp4 +failed", table.out)
    # Messages with long paths are folded in the list of all rows.
    assert "nospeech" in re.sub(r"\s", "", table.out)
    assert re.search(r"4 +row4.mp4 +waiting", table.out)
    assert "\x1b" not in table.out
    assert f"process {run.process.pid} on " in table.err
    # The whole run is killed: what it says is out of date then.
    run.process.kill()
    run.process.communicate()
    wait_until_gone(run.workers())
    after = talkhead("batch", "--report", "-o", batch.out, "--json").events[-1]
    assert after["rendering"] is None
    assert after["states"] == {"done": 1, "failed": 1, "waiting": 2}
    assert "was killed, 2 rows left" in talkhead("batch", "--report", "-o", batch.out).err


def test_report_where_nothing_was_rendered(talkhead: Talkhead, tmp_path: Path) -> None:
    done = talkhead("batch", "--report", "-o", tmp_path)
    assert done.code == 3
    assert "no batch has been rendered" in done.err
    assert list(tmp_path.iterdir()) == []


# The command line itself


def test_template_can_be_read(talkhead: Talkhead, tmp_path: Path) -> None:
    for options, name in (([], "jobs.csv"), (["jsonl"], "jobs.jsonl")):
        done = talkhead("batch", "--template", *options)
        assert done.code == 0
        (tmp_path / name).write_text(done.out)
        rows = read_manifest(tmp_path / name).rows
        assert rows[0].cells["portrait"] == "faces/ann.png"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["jobs.csv"], "--out-dir"),
        (["-o", "out"], "manifest"),
        (["jobs.csv", "-o", "out", "--fail-fast", "--max-failures", "3"], "exclude"),
        (["jobs.csv", "-o", "out", "--devices", "gpu"], "'gpu' is no device"),
        (["jobs.csv", "-o", "out", "--workers", "0"], "--workers"),
        (["jobs.csv", "-o", "out", "--address", "tcp://x:1"], "--address"),
        (["jobs.csv", "-o", "out", "--crf", "99"], "--crf"),
        (["--template", "xml"], "xml"),
    ],
)
def test_usage_errors_of_a_batch(
    talkhead: Talkhead,
    options: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = talkhead("batch", *options)
    assert done.code == 2
    assert done.out == ""
    assert words in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []
