"""Ctrl-C and SIGTERM leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from talkhead_cli.app import catch_signals
from tests.cli.conftest import start_process

SLOW = {"TALKHEAD_TEST_DELAY": "1.0"}


def wait_for_file(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the encoder has begun its temporary file."""
    deadline = time.monotonic() + 90
    while not any(path.name.startswith(".talkhead-") for path in folder.iterdir()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_leaves_nothing(
    number: signal.Signals, astronaut_png: Path, speech_wav: Path, tmp_path: Path
) -> None:
    private = tmp_path / "tmp"
    private.mkdir()
    folder = tmp_path / "out"
    folder.mkdir()
    with speech_wav.open("rb") as speech:
        process = start_process(
            "render",
            astronaut_png,
            "-",
            "-o",
            folder / "out.mp4",
            env={**SLOW, "TMPDIR": str(private)},
            stdin=speech,
            start_new_session=True,
        )
    with process:
        wait_for_file(folder, process)
        # To the whole group, as a terminal does.
        os.killpg(process.pid, number)
        out, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == b""
    assert error.decode().splitlines()[-1] == "interrupted: nothing was left behind"
    assert b"Traceback" not in error
    assert list(folder.iterdir()) == []
    assert list(private.iterdir()) == []


def test_second_signal_does_not_disturb_the_cleaning_up() -> None:
    caught = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = {name: signal.getsignal(name) for name in caught}
    try:
        # Under nohup, or in the background, some would be ignored from the start.
        for name in caught:
            signal.signal(name, signal.SIG_DFL)
        catch_signals()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        assert all(signal.getsignal(name) is signal.SIG_IGN for name in caught)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def test_ignored_signals_stay_ignored() -> None:
    before = {
        name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        catch_signals()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
