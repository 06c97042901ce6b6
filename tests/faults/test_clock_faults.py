"""A clock that jumps by days while a batch or a render is running: nothing depends on what it says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from talkhead_cli.batch.lock import RunLock, find_holder
from tests.cli.batch_process import Batch, results, wait_until_gone
from tests.conftest import ROOT, leftovers
from tests.faults.rows import Rows

DAY = 86_400.0

SITE = """
import random, time
dice, real = random.Random(), time.time
def jumping():
    return max(0.0, real() + dice.choice([-3, -1, 0, 1, 3]) * 86400)
time.time = jumping
time.time_ns = lambda: int(jumping() * 1e9)
"""
"""What Python runs before anything else, in the run and in its workers."""


@pytest.fixture
def jumping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process started from here on has a clock that jumps whenever it is looked at."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITE)
    path = os.pathsep.join([str(folder), str(ROOT), str(ROOT / "models")])
    monkeypatch.setenv("PYTHONPATH", path)
    code = "import time; print(len({round(time.time() / 86400) for _ in range(99)}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 2, "the clock does not jump: another sitecustomize comes first"


@pytest.mark.slow
@pytest.mark.usefixtures("jumping")
def test_a_batch_is_killed_and_resumed_under_a_jumping_clock(batch: Batch) -> None:
    log = batch.folder / "log"
    batch.write(*[{"seconds": 0.4, "status": True, "log": str(log)} for _ in range(6)])
    run = batch.start("--workers", 2)
    run.until("row", state="done")
    run.process.kill()
    run.finish()
    wait_until_gone(run.workers())
    again = batch.start("--workers", 2, "--resume")
    again.until("batch_progress")
    code, err = again.finish()
    assert (code, err) == (0, "")
    assert set(results(batch.out).values()) == {"done"}
    assert len(results(batch.out)) == 6
    assert sorted(log.read_text().split()) == [str(row) for row in range(1, 7)]
    left = [event["seconds_left"] for event in again.events if event["event"] == "batch_progress"]
    assert all(seconds is None or 0 <= seconds < DAY / 24 for seconds in left)
    assert leftovers(batch.out) == []
    # The newest run is the one begun last, not the one with the latest time.
    report = batch.run("--resume", "--json")
    assert report.returncode == 0
    assert '"skipped": 6' in report.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("jumping")
def test_a_render_under_a_jumping_clock(
    astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-m", "tests.cli.stand_in", "render", astronaut_png, short_wav]
    done = subprocess.run(
        [*command, "-o", tmp_path / "out" / "out.mp4", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["out.json", "out.mp4"]


def test_locks_and_runs_do_not_look_at_the_clock(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    offset = [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + offset[0])
    rows.write({"output": "a.mp4"})
    for days in (5, -40, 90, 0):
        offset[0] = days * DAY
        summary = rows.run()
        assert summary.done + summary.skipped == 1
        with RunLock(rows.ledger.parent, rows.out_dir):
            offset[0] += (
                400 * DAY
            )  # a lock is held as long as its process lives, however old it looks
            assert find_holder(rows.ledger.parent) is not None
        assert find_holder(rows.ledger.parent) is None
        run = next(event for event in rows.events if event["event"] == "batch_done")
        assert run["exit_code"] == 0
    assert rows.made == ["1"]
