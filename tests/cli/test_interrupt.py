"""Ctrl-C, SIGTERM and SIGHUP leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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


def test_encoder_that_is_killed(astronaut_png: Path, speech_wav: Path, tmp_path: Path) -> None:
    process = start_process(
        "render", astronaut_png, speech_wav, "-o", tmp_path / "out.mp4", env=SLOW
    )
    wait_for_file(tmp_path, process)
    listing = subprocess.run(
        ["ps", "-o", "pid=,ppid=,args=", "-A"], check=True, capture_output=True, text=True
    ).stdout
    children = [line.split(None, 2) for line in listing.splitlines()]
    encoders = [
        int(row[0]) for row in children if row[1] == str(process.pid) and "rawvideo" in row[2]
    ]
    assert len(encoders) == 1
    os.kill(encoders[0], signal.SIGKILL)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 6
    assert b"killed by signal 9" in error
    assert list(tmp_path.iterdir()) == []
