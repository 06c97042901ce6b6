"""`talkhead batch` under signals and on a terminal, in real processes."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.batch_process import PATIENCE, Batch, results, wait_until_gone
from tests.conftest import ROOT


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
    assert list(results(batch.out).values()) == ["done"] * 2 + ["waiting"] * 4


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


def test_ctrl_c_before_the_run_leaves_nothing(tmp_path: Path) -> None:
    # Without stand-ins: the manifest never ends, so that its reading is interrupted.
    code = (
        "import signal; from talkhead_cli import app\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler); app.main()"
    )
    words = ["batch", "-", "--devices", "cpu", "--out-dir", tmp_path / "out"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        deadline = time.monotonic() + PATIENCE
        while not (tmp_path / "out").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        # Its end of file would end the reading, too.
        assert process.wait(PATIENCE) == 130
        assert process.stderr is not None
        error = process.stderr.read()
    assert error.decode().splitlines()[-1] == "interrupted: nothing was left behind"
    assert b"Traceback" not in error
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
