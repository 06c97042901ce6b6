"""The ledger of rows: it remembers what it was told, across deaths, and nothing half."""

from __future__ import annotations

import csv
import json
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from talkhead_cli.batch.export import export_results
from talkhead_cli.batch.job import RUN_FOLDER, Fault, Job, Outcome
from talkhead_cli.batch.ledger import FACTS_A_COMMIT, LEDGER, Ledger
from talkhead_cli.batch.records import Record
from talkhead_cli.batch.resume import LookedUpFacts, new_record
from talkhead_cli.errors import InputError
from tests.batch_stand_in import make_job
from tests.conftest import ROOT

MADE = {"output_sha256": "aa", "num_frames": 25, "elapsed_seconds": 2.0, "timings": {"face": 0.1}}


@pytest.fixture
def out_dir(tmp_path: Path) -> Path:
    return make_out_dir(tmp_path)


def make_out_dir(folder: Path) -> Path:
    out_dir = folder / "out"
    (out_dir / RUN_FOLDER).mkdir(parents=True)
    return out_dir


def fresh(ledger: Ledger, jobs: list[Job]) -> None:
    """Take in rows that all wait."""
    records = [new_record(job, None, {}, ledger.relative(job.output)) for job in jobs]
    ledger.take_in(records, [])


def states(ledger: Ledger) -> dict[int, tuple[str, int]]:
    return {record.row or 0: (record.state, record.attempts) for record in ledger.records()}


@given(
    st.lists(
        st.tuples(
            st.integers(1, 4),
            st.sampled_from(["start", "done", "failed", "lose", "settle", "die", "close"]),
        ),
        max_size=12,
    )
)
@hypothesis_settings(max_examples=20)
def test_it_remembers_every_change_whatever_dies(changes):
    with tempfile.TemporaryDirectory() as name:
        out_dir = make_out_dir(Path(name))
        jobs = {row: make_job(out_dir, row) for row in range(1, 5)}
        for job in jobs.values():
            Path(job.output).write_text("film")
        ledger = Ledger(out_dir)
        dead = []
        fresh(ledger, list(jobs.values()))
        model = dict.fromkeys(jobs, ("waiting", 0))
        for row, change in changes:
            job, attempts = jobs[row], model[row][1] + 1
            if change == "start":
                ledger.start(job, 1, attempts, "vm:1", "cpu")
                model[row] = ("running", attempts)
            elif change in {"done", "failed"}:
                made = MADE if change == "done" else {}
                ledger.finish(job, 1, Outcome(row, job.key, change, attempts, made=made))
                model[row] = (change, attempts)
            elif change == "lose":
                ledger.lose(job, 1, Outcome(row, job.key, "lost", attempts))
                model[row] = ("waiting", attempts)
            elif change == "settle":
                ledger.settle()
                for key, (state, count) in model.items():
                    model[key] = ("waiting" if state == "running" else state, count)
            else:
                # A process that dies closes nothing; here its connection is simply left lying.
                ledger.close() if change == "close" else dead.append(ledger)
                ledger = Ledger(out_dir)
            assert states(ledger) == model
        with Ledger(out_dir, read_only=True) as other:
            assert states(other) == model
        for one in [ledger, *dead]:
            one.close()


def test_a_killed_transaction_never_was(out_dir):
    script = f"""
import os, signal
from pathlib import Path
from talkhead_cli.batch.ledger import Ledger
with Ledger(Path({str(out_dir)!r})) as ledger:
    ledger.begin_run()
    with ledger.transaction() as base:
        base.execute("INSERT INTO runs (started, about) VALUES (0, '{{}}')")
        os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == -9
    with Ledger(out_dir) as ledger:
        run = ledger.last_run()
        assert run is not None
        assert (run.id, run.ended, run.summary) == (1, None, None)


def test_done_rows_know_their_video(out_dir):
    job = make_job(out_dir, 1)
    Path(job.output).write_text("film")
    with Ledger(out_dir) as ledger:
        fresh(ledger, [job])
        done = Outcome(1, job.key, "done", 2, "vm:7", "cpu", made=MADE)
        ledger.finish(job, 1, done)
        record = ledger.record("row1.mp4")
        assert record is not None
        assert (record.sha256, record.size, record.worker) == ("aa", 4, "vm:7")
        assert record.made == MADE
        # A failure later does not make it forget that the file in place is its own.
        ledger.finish(job, 2, Outcome(1, job.key, "failed", kind="MediaError", message="m"))
        record = ledger.record("row1.mp4")
        assert record is not None
        assert (record.state, record.kind, record.sha256) == ("failed", "MediaError", "aa")


def test_rows_of_another_manifest_lose_their_number_only(out_dir):
    jobs = [make_job(out_dir, row) for row in (1, 2, 3)]
    with Ledger(out_dir) as ledger:
        fresh(ledger, jobs)
        fresh(ledger, [replace(jobs[2], row=1)])
        assert [record.output for record in ledger.records()] == ["row3.mp4"]
        everything = {record.output: record.row for record in ledger.records(everything=True)}
        assert everything == {"row1.mp4": None, "row2.mp4": None, "row3.mp4": 1}


def test_an_unknown_row_is_an_error(out_dir):
    with Ledger(out_dir) as ledger, pytest.raises(InputError, match="has no row for"):
        ledger.start(make_job(out_dir, 1), 1, 1, "vm:1", "cpu")


def test_outputs_are_known_through_links(out_dir, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(out_dir)
    with Ledger(link) as ledger:
        assert ledger.relative(str(link / "a" / "b.mp4")) == "a/b.mp4"
        assert ledger.relative(str(out_dir / "a" / "b.mp4")) == "a/b.mp4"


def test_facts_are_of_one_state_of_a_file(out_dir):
    with Ledger(out_dir) as ledger:
        for number in range(FACTS_A_COMMIT + 3):
            ledger.put("sha256", f"/{number}", 5, 6, 7, {"sha256": str(number)})
        assert ledger.get("sha256", "/1", 5, 6, 7) == {"sha256": "1"}
        for changed in ((4, 6, 7), (5, 5, 7), (5, 6, 6)):
            assert ledger.get("sha256", "/1", *changed) is None
        assert ledger.get("audio", "/1", 5, 6, 7) is None
        ledger.put("sha256", "/1", 9, 9, 9, {"sha256": "new"})
    with Ledger(out_dir, read_only=True) as ledger:
        assert ledger.get("sha256", "/66", 5, 6, 7) == {"sha256": "66"}
        assert ledger.get("sha256", "/1", 5, 6, 7) is None
        over = LookedUpFacts(ledger)
        over.put("sha256", "/2", 5, 6, 7, {"sha256": "over"})
        assert over.get("sha256", "/2", 5, 6, 7) == {"sha256": "over"}
        assert over.get("sha256", "/3", 5, 6, 7) == {"sha256": "3"}


def test_reading_leaves_no_trace_and_takes_no_part(out_dir):
    with pytest.raises(InputError, match="no batch has been rendered"):
        Ledger(out_dir, read_only=True)
    with Ledger(out_dir) as ledger:
        fresh(ledger, [make_job(out_dir, 1)])
        with Ledger(out_dir, read_only=True) as other:  # beside the one that writes
            ledger.settle()
            assert len(list(other.records())) == 1
            with pytest.raises(InputError, match="readonly"):
                other.begin_run()
    before = sorted((out_dir / RUN_FOLDER).iterdir())
    with Ledger(out_dir, read_only=True, traceless=True) as other:
        assert len(list(other.records())) == 1
        assert sorted((out_dir / RUN_FOLDER).iterdir()) == before
    assert sorted((out_dir / RUN_FOLDER).iterdir()) == before


@pytest.mark.parametrize("content", [b"not a database, and long enough to be none" * 40, b"{}"])
def test_a_damaged_ledger_is_told(out_dir, content):
    (out_dir / RUN_FOLDER / LEDGER).write_bytes(content)
    with pytest.raises(InputError, match=r"ledger\.sqlite3: .* choose another --out-dir"):
        Ledger(out_dir)


def test_a_ledger_of_another_version_is_told(out_dir):
    with sqlite3.connect(out_dir / RUN_FOLDER / LEDGER) as base:
        base.execute("PRAGMA user_version = 99")
    base.close()
    with pytest.raises(InputError, match="another version of talkhead"):
        Ledger(out_dir)


def test_results_hold_every_row_and_the_users_columns(out_dir):
    done, failed = make_job(out_dir, 1), make_job(out_dir, 3)
    Path(done.output).write_text("film")
    with Ledger(out_dir) as ledger:
        run = ledger.begin_run()
        names = {"id": "A;1", "note": 'he said "no",\nthen left'}
        records = [
            new_record(done, None, names, "row1.mp4"),
            new_record(failed, None, {}, "row3.mp4"),
        ]
        faults = [Fault(2, 3, "audio", "no such file"), Fault(2, 3, "fps", "not a rate")]
        ledger.describe_run(run, {"manifest": "jobs.csv"})
        ledger.take_in(records, faults)
        ledger.finish(done, run, Outcome(1, done.key, "done", made=MADE))
        ledger.finish(
            failed, run, Outcome(3, failed.key, "failed", kind="Bug", message="m", exit_code=1)
        )
        ledger.end_run(run, {"done": 1})
        table, document = export_results(ledger)
        export_results(ledger)  # again, over the first
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == ["1", "2", "3"]
    assert [row["state"] for row in rows] == ["done", "failed", "failed"]
    assert {key: rows[0][key] for key in names} == names
    assert rows[1]["message"] == "audio: no such file; fps: not a rate"
    assert rows[0]["output_sha256"] == "aa"
    assert rows[2]["exit_code"] == "1"
    values = json.loads(document.read_text())
    assert values["states"] == {"done": 1, "failed": 2}
    assert values["run"]["summary"] == {"done": 1}
    assert values["run"]["about"] == {"manifest": "jobs.csv"}
    assert values["rows"][0]["timings"] == {"face": 0.1}
    assert sorted(path.name for path in out_dir.iterdir()) == [
        RUN_FOLDER,
        "results.csv",
        "results.json",
        "row1.mp4",
    ]


def test_records_are_whole(out_dir):
    # A column that is added to one of the two only would be lost silently.
    with Ledger(out_dir) as ledger, ledger.transaction() as base:
        columns = {row["name"] for row in base.execute("PRAGMA table_info(rows)")}
    assert columns == set(Record.__dataclass_fields__)
