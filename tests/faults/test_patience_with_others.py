"""What holds ffmpeg up without being its fault: players that pause, senders that are silent, stopped processes."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkhead_cli.media import VideoWriter, probe_media
from talkhead_cli.sound import PipedSound
from talkhead_cli.watchdog import is_full
from tests.cli.conftest import start_process
from tests.faults.conftest import StandIn

PATIENCE = 2.0
PAUSE = 5 * PATIENCE
QUICK = {"TALKHEAD_FFMPEG_PATIENCE": str(PATIENCE)}


def test_a_pipe_that_nobody_reads_is_full(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        assert not is_full(writing)
        os.set_blocking(writing, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writing, bytes(4096))
        assert is_full(writing)
        os.read(reading, 1 << 20)
        assert not is_full(writing)
    finally:
        os.close(reading)
        os.close(writing)
    with (tmp_path / "file").open("wb") as file:
        assert not is_full(file.fileno())


def test_an_encoder_without_sound_to_encode_is_not_hung(ffmpeg_stand_in: StandIn) -> None:
    ffmpeg_stand_in("exec sleep 1.5", patience=0.3)
    reading, writing = os.pipe()
    silent = [True]
    sound = PipedSound(reading, "pcm_s16le", 16000, {"f": "s16le"}, lambda: silent[0])
    frames = np.zeros((400, 64, 64, 3), np.uint8)
    began = time.monotonic()
    try:
        with (
            pytest.raises(Exception, match="exit status 0"),
            VideoWriter("-", 64, 64, Fraction(25), audio=sound) as writer,
        ):
            writer.write(frames)
    finally:
        os.close(reading)
        os.close(writing)
    assert time.monotonic() - began > 1.4


@pytest.mark.slow
def test_a_paused_player_does_not_end_a_live_stream(astronaut_png: Path, speech_wav: Path) -> None:
    with start_process(
        "render", astronaut_png, speech_wav, "-o", "-", "--crf", "1", env=QUICK
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        fcntl.fcntl(process.stdout.fileno(), getattr(fcntl, "F_SETPIPE_SZ", 1031), 4096)
        first = process.stdout.read(1000)
        time.sleep(PAUSE)
        video = first + process.stdout.read()
        error = process.stderr.read()
        assert process.wait(60) == 0, error
    assert b"hung" not in error
    assert len(video) > 100_000


@pytest.mark.slow
def test_a_silent_sender_does_not_end_a_live_stream(
    astronaut_png: Path, speech_wav: Path, tmp_path: Path
) -> None:
    speech = speech_wav.read_bytes()
    for suffix, content in {"wav": speech, "flac": encoded(speech_wav, tmp_path)}.items():
        output = tmp_path / f"{suffix}.mp4"
        with (
            output.open("wb") as video,
            start_process(
                "render",
                astronaut_png,
                "-",
                "-o",
                "-",
                env=QUICK,
                stdin=subprocess.PIPE,
                stdout=video,
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stderr is not None
            for piece in (content[: len(content) // 2], content[len(content) // 2 :]):
                process.stdin.write(piece)
                process.stdin.flush()
                time.sleep(PAUSE)
            process.stdin.close()
            error = process.stderr.read()
            assert process.wait(60) == 0, error
        assert probe_media(output).duration_seconds == pytest.approx(8.6, abs=0.2)


def encoded(speech: Path, folder: Path) -> bytes:
    from tests.conftest import run_ffmpeg

    run_ffmpeg("-i", speech, folder / "speech.flac")
    return (folder / "speech.flac").read_bytes()


@pytest.mark.slow
def test_an_encoder_that_is_stopped_and_continued_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALKHEAD_FFMPEG_PATIENCE", str(PATIENCE))
    frames = np.zeros((400, 128, 128, 3), np.uint8)
    with VideoWriter(tmp_path / "out.mp4", 128, 128, Fraction(25)) as writer:
        assert writer._process is not None
        pid = writer._process.pid
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(PAUSE, os.kill, (pid, signal.SIGCONT)).start()
        writer.write(frames)
    assert probe_media(tmp_path / "out.mp4").duration_seconds == pytest.approx(16, abs=0.1)


@pytest.mark.slow
def test_a_render_that_is_stopped_and_continued_goes_on(
    astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    slowly = {**QUICK, "TALKHEAD_TEST_DELAY": "1"}
    output = tmp_path / "out.mp4"
    with start_process("render", astronaut_png, short_wav, "-o", output, env=slowly) as process:
        deadline = time.monotonic() + 90
        while not any(path.suffix == ".mp4" for path in tmp_path.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGSTOP)
        time.sleep(PAUSE)
        process.send_signal(signal.SIGCONT)
        error = process.communicate(timeout=120)[1]
    assert process.returncode == 0, error


@pytest.mark.slow
def test_an_encoder_that_works_slowly_is_left_alone(
    tmp_path: Path, ffmpeg_stand_in: StandIn
) -> None:
    # Three times the patience of work before it takes a byte, and as much before it ends.
    work = f"end=$((SECONDS + {int(3 * PATIENCE)})); while ((SECONDS < end)); do :; done"
    ffmpeg_stand_in(f'{work}\n"$REAL" "$@"\n{work}\nexit 0', patience=PATIENCE)
    with VideoWriter(tmp_path / "out.mp4", 64, 64, Fraction(25)) as writer:
        writer.write(np.zeros((60, 64, 64, 3), np.uint8))
    assert (tmp_path / "out.mp4").exists()
