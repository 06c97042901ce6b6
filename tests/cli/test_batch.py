"""`talkhead batch`: what it prints where, how it ends, and what signals do to it, in real processes."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Talkhead, contents
from tests.conftest import ROOT

PATIENCE = 60.0
"""Seconds within which anything must happen, on however busy a machine."""


@dataclass
class Batch:
    """A manifest of stand-in rows, and the command lines about it."""

    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def manifest(self) -> Path:
        return self.folder / "jobs.jsonl"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def write(self, *rows: dict[str, Any]) -> None:
        self.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def command(self, *options: object) -> list[str]:
        words = ["batch", self.manifest, "--out-dir", self.out, "--devices", "cpu", *options]
        return [sys.executable, "-m", "tests.cli.batch_command", *map(str, words)]

    def run(self, *options: object) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        return subprocess.run(
            self.command(*options),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, "FORCE_COLOR": "1"},
        )

    def start(self, *options: object) -> Following:
        """Start with --json, as the first of a group of processes: a terminal signals all of it."""
        process = subprocess.Popen(
            self.command("--json", *options),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return Following(process)


class Following:
    """A run that goes on, and its events so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []

    def until(self, kind: str, **values: Any) -> dict[str, Any]:
        """Read events up to one with these values."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            self.events.append(event)
            if event["event"] == kind and all(event[key] == values[key] for key in values):
                return event
        raise AssertionError(f"no {kind} {values} in {self.events}")

    def signal(self, number: signal.Signals) -> None:
        """To the whole group, as a terminal does."""
        os.killpg(self.process.pid, number)

    def finish(self) -> tuple[int, str]:
        """Read to the end; the exit code and what standard error got."""
        out, err = self.process.communicate(timeout=PATIENCE)
        self.events += [json.loads(line) for line in out.splitlines()]
        return self.process.returncode, err

    def workers(self) -> set[int]:
        """Process ids of all workers heard of."""
        names = {event["worker"] for event in self.events if event.get("worker")}
        return {int(name.rpartition(":")[2]) for name in names}

    def states(self) -> dict[int, str]:
        """Rows to what was said of them last."""
        return {event["row"]: event["state"] for event in self.events if event["event"] == "row"}


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[Batch]:
    batch = Batch(tmp_path)
    yield batch
    for process in batch.started:
        with process:
            process.kill()


def alive(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + PATIENCE
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, "workers are left"
        time.sleep(0.05)


def results(out: Path) -> dict[int, str]:
    with (out / "results.csv").open() as file:
        return {int(row["row"]): row["state"] for row in csv.DictReader(file)}


# How it ends


def test_all_done_is_0_and_the_log_is_plain(batch: Batch) -> None:
    batch.write({}, {"output": "second.mp4"}, {})
    done = batch.run("--workers", 2)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{batch.out / 'results.csv'}\n"
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stderr) is None
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in done.stderr.splitlines()]
    assert lines[0] == f"checking {batch.manifest}"
    assert lines[1].startswith(f"{batch.manifest}: 3 rows, 3 to render")
    assert "2 workers (cpu)" in lines[1]
    assert sorted(line.partition(": 25 frames")[0] for line in lines[2:5]) == [
        "row 1 done: row1.mp4",
        "row 2 done: second.mp4",
        "row 3 done: row3.mp4",
    ]
    assert lines[5].startswith("3 rows: 3 done; in ")
    assert len(lines) == 6
    assert results(batch.out) == {1: "done", 2: "done", 3: "done"}


def test_a_failed_row_is_8_and_is_told_even_quietly(batch: Batch) -> None:
    batch.write({}, {"fail": True})
    done = batch.run("--workers", 1, "--quiet")
    assert done.returncode == 8
    assert done.stdout == ""
    audio = batch.out / "speech.wav"
    assert done.stderr == f"row 2 FAILED: row2.mp4: {audio}: no speech\n"
    assert results(batch.out) == {1: "done", 2: "failed"}


def test_fail_fast_starts_no_more_rows(batch: Batch) -> None:
    batch.write(*[{"fail": True, "cost": 9}, *[{}] * 5])
    done = batch.run("--workers", 1, "--fail-fast")
    assert done.returncode == 8
    assert "6 rows: 1 failed, 5 left" in done.stderr.splitlines()[-1]


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


def test_json_is_one_event_a_line_and_nothing_else(batch: Batch) -> None:
    batch.write({}, {"fail": True}, {"fault": "no.wav: no such file"})
    done = batch.run("--json", "--skip-faulty")
    assert done.returncode == 8
    assert done.stderr == ""
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "fault"
    assert kinds[1] == "batch_start"
    assert kinds[-1] == "batch_done"
    assert set(kinds) <= {"fault", "batch_start", "row", "batch_progress", "batch_done"}
    last = events[-1]
    assert (last["done"], last["failed"], last["exit_code"]) == (1, 2, 8)
    assert Path(last["results_csv"]).is_file()


def test_every_event_and_key_is_documented(batch: Batch) -> None:
    batch.write({"seconds": 1.0, "status": True}, {"fail": True}, {"fault": "no.wav: no such file"})
    page = (ROOT / "docs" / "events.md").read_text()
    for options in (("--skip-faulty",), ("--report",)):
        done = batch.run("--json", *options)
        for event in map(json.loads, done.stdout.splitlines()):
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


def test_paths_that_are_no_text(batch: Batch) -> None:
    batch.write({})
    command = batch.command("--json", "--dry-run", "--out-dir", "OUT")
    done = subprocess.run(
        [os.fsencode(batch.folder) + b"/\xff" if word == "OUT" else word for word in command],
        cwd=ROOT,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["out_dir"] == str(batch.folder / "\udcff")


# Signals


def test_ctrl_c_lets_running_rows_finish(batch: Batch) -> None:
    batch.write(*[{"seconds": 0.8, "status": True}] * 6)
    run = batch.start("--workers", 2)
    run.until("row", state="running", row=2)
    run.signal(signal.SIGINT)
    assert run.until("batch_stop")["how"] == "finish"
    code, err = run.finish()
    assert code == 130
    assert err == ""
    last = run.events[-1]
    assert last["event"] == "batch_done"
    assert last["interrupted"] is True
    # Those that ran at that moment, no more and no less.
    assert run.states() == {1: "done", 2: "done"}
    assert (last["done"], last["left"], last["exit_code"]) == (2, 4, 130)
    wait_until_gone(run.workers())
    again = batch.run("--resume", "--workers", 2)
    assert again.returncode == 0, again.stderr
    assert "6 rows: 4 done, 2 done before" in again.stderr
    assert set(results(batch.out).values()) == {"done"}


@pytest.mark.parametrize(
    "numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)], ids=["ctrl-c twice", "sigterm"]
)
def test_stopping_at_once(batch: Batch, numbers: tuple[signal.Signals, ...]) -> None:
    # Were the rows waited for, this would take for ever.
    batch.write(*[{"seconds": 1000, "status": True}] * 4)
    run = batch.start("--workers", 2)
    for row in (1, 2):
        if run.states().get(row) != "running":
            run.until("row", state="running", row=row)
    for number in numbers:
        run.signal(number)
        run.until("batch_stop")
    code, err = run.finish()
    assert code == 130
    assert err == ""
    assert run.events[-1]["event"] == "batch_done"
    assert (run.events[-1]["done"], run.events[-1]["left"]) == (0, 4)
    assert len(run.workers()) == 2
    wait_until_gone(run.workers())
    assert list(batch.out.glob("*.mp4")) == []
    assert set(results(batch.out).values()) == {"waiting"}


def test_who_listens_may_go_away(batch: Batch) -> None:
    batch.write(*[{"seconds": 0.2}] * 3)
    run = batch.start("--workers", 1)
    run.until("batch_start")
    assert run.process.stdout is not None
    assert run.process.stderr is not None
    run.process.stdout.close()
    err = run.process.stderr.read()
    assert run.process.wait(PATIENCE) == 0
    assert err == "warning: standard output cannot be written any more; the run goes on\n"
    assert set(results(batch.out).values()) == {"done"}


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
    assert re.search(r"2  row2.mp4 +failed +.*no speech", table.out)
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


# On a terminal


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    controller, device = pty.openpty()
    yield Terminal(controller, device)
    os.close(controller)


class Terminal:
    """What a person sees and types."""

    def __init__(self, controller: int, device: int) -> None:
        self.controller = controller
        self.device = device
        self.seen = ""

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=self.device,
            stdout=self.device,
            stderr=self.device,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"},
            preexec_fn=take_terminal,
        )
        os.close(self.device)
        return process

    def until(self, pattern: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.seen):
            assert time.monotonic() < deadline, self.seen
            if select.select([self.controller], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.controller, 65536).decode(errors="replace")
                except OSError:  # the other end was closed
                    assert re.search(pattern, self.seen), self.seen
                    return

    def type(self, keys: bytes) -> None:
        os.write(self.controller, keys)


def take_terminal() -> None:
    """Make standard input the controlling terminal of a new session, so that Ctrl-C becomes a signal."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_the_table_is_live_and_ctrl_c_reaches_it(batch: Batch, terminal: Terminal) -> None:
    batch.write({"fail": True, "cost": 9}, *[{"seconds": 2, "status": True}] * 4)
    process = terminal.start(batch.command("--workers", 1))
    terminal.until(r"row2\.mp4\s+\S*running")
    terminal.until(r"row1\.mp4\s+\S*failed")
    terminal.type(b"\x03")
    terminal.until("stopping: the running rows finish")
    terminal.until("interrupted: 5 rows: 1 done, 1 failed, 3 left")
    assert process.wait(PATIENCE) == 130
    terminal.until(r"results\.csv\r\n$")
    # The table is gone, the failure is still said, and the cursor is there again.
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.seen).splitlines()
    assert [line for line in plain[-3:] if "row 1 FAILED: row1.mp4" in line]
    assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.rindex("\x1b[?25l")


# The command line itself


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
