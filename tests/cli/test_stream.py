"""Renders that begin before their speech has ended."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkhead_cli.errors import UsageError
from talkhead_cli.live import is_live, pipe_comes_in
from talkhead_cli.media import probe_media
from talkhead_cli.result import Inputs, OutputOptions
from tests.cli.conftest import Case, Talkhead, contents, refused, start_process
from tests.conftest import decode_audio, decode_frames, frame_times, leftovers, make_tone

PATIENCE = 240
"""Seconds until a test gives up on a process; nothing is measured."""

Pipe = Callable[[bytes], None]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """Give this process a standard input that bytes come through."""
    given = []

    def give(data: bytes) -> None:
        source, target = os.pipe()

        def send() -> None:
            with os.fdopen(target, "wb") as file, suppress(BrokenPipeError):
                file.write(data)

        threading.Thread(target=send, daemon=True).start()
        given.append(os.fdopen(source))
        monkeypatch.setattr(sys, "stdin", given[-1])

    yield give
    for file in given:
        file.close()


def read_until(process: subprocess.Popen[bytes], wanted: bytes) -> bytes:
    """What a process writes to its standard output, up to and with certain bytes."""
    assert process.stdout is not None
    got = b""
    while wanted not in got:
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        assert ready, "nothing came for a long time"
        piece = os.read(process.stdout.fileno(), 1 << 16)
        assert piece, process.communicate()[1]
        got += piece
    return got


def test_first_frames_leave_before_the_sound_has_ended(
    astronaut_png: Path, speech_wav: Path, tmp_path: Path
) -> None:
    data = speech_wav.read_bytes()[: 44 + 32000 * 4]
    early = 44 + 32000 * 3
    process = start_process("render", astronaut_png, "-", "-o", "-", stdin=subprocess.PIPE)
    with process:
        assert process.stdin is not None
        process.stdin.write(data[:early])
        process.stdin.flush()
        # The sound is still open: whatever comes cannot have waited for its end.
        got = read_until(process, b"mdat")
        # The header still promises more: what is missing is said, and all that came has been shown.
        process.stdin.write(data[early:])
        out, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3
    assert b"standard input is cut off or damaged: 4.0 of 8.6 seconds" in error
    assert b"Traceback" not in error
    (tmp_path / "piped.mp4").write_bytes(got + out)
    assert frame_times(tmp_path / "piped.mp4") == [Fraction(index, 25) for index in range(100)]


@pytest.mark.usefixtures("stand_in")
def test_file_and_pipe_and_file_as_stream_give_the_same_video(
    talkhead: Talkhead, pipe: Pipe, astronaut_png: Path, speech_wav: Path, tmp_path: Path
) -> None:
    offline, streamed, piped = (tmp_path / name for name in ("a.mp4", "b.mp4", "c.mp4"))
    given = ["--crf", "0", "--size", "128"]
    assert talkhead("render", astronaut_png, speech_wav, "-o", offline, *given).code == 0
    done = talkhead("render", astronaut_png, speech_wav, "-o", streamed, "--stream", *given)
    assert done.code == 0
    assert done.out == f"{streamed}\n"
    pipe(speech_wav.read_bytes())
    done = talkhead("render", astronaut_png, "-", "-o", piped, "--stream", *given)
    assert done.code == 0
    frames = decode_frames(offline, 128, 128)
    assert len(frames) == 216
    sound = decode_audio(offline)
    for other in (streamed, piped):
        np.testing.assert_array_equal(decode_frames(other, 128, 128), frames)
        np.testing.assert_array_equal(decode_audio(other), sound)
    record = json.loads((tmp_path / "c.json").read_text())
    assert record["audio"] == "-"
    assert record["num_frames"] == 216
    assert {"speech", "wait", "renderer", "encode"} <= set(record["timings"])
    assert leftovers(tmp_path) == []


@pytest.mark.usefixtures("stand_in")
def test_events(
    talkhead: Talkhead, pipe: Pipe, astronaut_png: Path, speech_wav: Path, tmp_path: Path
) -> None:
    pipe(speech_wav.read_bytes())
    given = ["-o", tmp_path / "out.mp4", "--stream", "--json", "--fps", "30"]
    done = talkhead("render", astronaut_png, "-", *given)
    assert done.code == 0, done.err
    kinds = [event["event"] for event in done.events if event["event"] != "progress"]
    assert kinds == ["start", "face", "ready", "first_frame", "audio", "done"]
    assert done.event("start")["stream"] is True
    first = done.event("first_frame")
    assert first["elapsed_seconds"] >= done.event("ready")["elapsed_seconds"]
    assert 1.28 < first["sound_seconds"] < 2.5
    progress = [event for event in done.events if event["event"] == "progress"]
    assert progress[0]["num_frames"] is progress[0]["seconds_left"] is None
    assert progress[-1]["frames"] == progress[-1]["num_frames"] == 259
    assert progress[-1]["seconds_left"] == 0
    assert done.event("audio")["duration_seconds"] == pytest.approx(8.635)
    assert done.event("done")["num_frames"] == len(decode_frames(tmp_path / "out.mp4", 256, 256))
    heard = len(decode_audio(tmp_path / "out.mp4")) / 16000
    # Picture and sound end together, but for the last block of AAC.
    assert abs(heard - 259 / 30) <= 1 / 30 + 1024 / 16000


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("name", ["speech.flac", "speech.mp3"])
def test_compressed_sound_is_copied(
    name: str,
    talkhead: Talkhead,
    pipe: Pipe,
    astronaut_png: Path,
    tmp_path: Path,
) -> None:
    import soundfile

    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / name, rng.uniform(-0.1, 0.1, 3 * 24000), 24000)
    pipe((tmp_path / name).read_bytes())
    done = talkhead("render", astronaut_png, "-", "-o", tmp_path / "out.mp4", "--stream")
    assert done.code == 0, done.err
    assert probe_media(tmp_path / "out.mp4").audio_codec == name.partition(".")[2]
    assert len(decode_frames(tmp_path / "out.mp4", 256, 256)) in {75, 76, 77}
    assert len(decode_audio(tmp_path / "out.mp4")) == pytest.approx(3 * 16000, abs=1800)


@pytest.mark.usefixtures("stand_in")
def test_a_named_pipe_is_sound_that_arrives(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    fifo = tmp_path / "speech"
    os.mkfifo(fifo)
    threading.Thread(target=lambda: fifo.write_bytes(short_wav.read_bytes()), daemon=True).start()
    done = talkhead("render", astronaut_png, fifo, "-o", tmp_path / "out.mp4", "--stream", "-q")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert len(decode_frames(tmp_path / "out.mp4", 256, 256)) == 30


def endless(wav: Path) -> bytes:
    """A wav of unknown length, with far more sound than is read ahead."""
    return wav.read_bytes()[:40] + bytes(4) + bytes(32000 * 60)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (lambda wav: b"", [], "standard input is empty"),
        (lambda wav: b"No recording at all.\n" * 20, [], "standard input is not a recording"),
        (lambda wav: wav.read_bytes()[:20000], [], "cut off"),
        (lambda wav: wav.read_bytes(), ["--max-seconds", "0.4"], "--max-seconds"),
        (endless, ["--max-seconds", "1"], "longer than the 1 seconds allowed"),
    ],
    ids=["empty", "garbage", "cut off", "long", "endless"],
)
def test_sound_that_cannot_be_used(
    make: Callable[[Path], bytes],
    options: list[str],
    words: str,
    case: Case,
    talkhead: Talkhead,
    pipe: Pipe,
) -> None:
    pipe(make(case.audio))
    case.audio = Path("-")
    case.options = ["--stream", *options]
    refused(case, talkhead, 3, words)


@pytest.mark.usefixtures("stand_in")
def test_warnings_come_at_the_end(
    case: Case, talkhead: Talkhead, pipe: Pipe, tmp_path: Path
) -> None:
    pipe(make_tone(tmp_path / "tone.wav", 1.0, rate=8000).read_bytes())
    done = talkhead("render", case.portrait, "-", "-o", case.output, "--stream")
    assert done.code == 0
    assert "warning: standard input: the sample rate of 8000 Hz" in done.err


@pytest.mark.usefixtures("stand_in")
def test_a_film_is_not_streamed(case: Case, talkhead: Talkhead) -> None:
    case.options = ["--drive", str(case.audio), "--stream"]
    refused(case, talkhead, 2, "--drive")


@pytest.mark.parametrize(
    ("stream", "audio", "output", "is_pipe", "dry", "expected"),
    [
        (None, "-", "-", True, False, True),
        (None, "-", "-", False, False, False),
        (None, "-", "out.mp4", True, False, False),
        (None, "a.wav", "-", True, False, False),
        (False, "-", "-", True, False, False),
        (True, "a.wav", "out.mp4", False, False, True),
        (True, "-", "-", True, True, False),
    ],
)
def test_when_a_render_streams(
    stream: bool | None,
    audio: str,
    output: str,
    is_pipe: bool,
    dry: bool,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("talkhead_cli.live.pipe_comes_in", lambda: is_pipe)
    options = OutputOptions(stream=stream, dry_run=dry)
    assert is_live(options, Inputs(Path("a.png"), audio), output) is expected
    if stream:
        with pytest.raises(UsageError):
            is_live(options, Inputs(Path("a.png"), audio, Path("film.mp4")), output)


def test_reader_that_goes_away(astronaut_png: Path, speech_wav: Path) -> None:
    data = speech_wav.read_bytes()
    process = start_process("render", astronaut_png, "-", "-o", "-", stdin=subprocess.PIPE)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(data[: 44 + 32000 * 3])
        process.stdin.flush()
        read_until(process, b"mdat")
        process.stdout.close()
        with suppress(BrokenPipeError):
            process.stdin.write(data[44 + 32000 * 3 :])
            process.stdin.close()
        error = process.stderr.read()
        assert process.wait(PATIENCE) == 6, error
    assert b"Traceback" not in error


def test_interrupt_while_waiting_for_sound(
    astronaut_png: Path, speech_wav: Path, tmp_path: Path
) -> None:
    folder, private = tmp_path / "out", tmp_path / "tmp"
    folder.mkdir()
    private.mkdir()
    given = ["render", astronaut_png, "-", "-o", folder / "out.mp4", "--stream", "--json"]
    process = start_process(
        *given, stdin=subprocess.PIPE, env={"TMPDIR": str(private)}, start_new_session=True
    )
    with process:
        assert process.stdin is not None
        process.stdin.write(speech_wav.read_bytes()[: 44 + 32000 * 3])
        process.stdin.flush()
        read_until(process, b"first_frame")
        assert contents(folder)
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert error.decode().splitlines() == ["interrupted: nothing was left behind"]
    assert contents(folder) == contents(private) == {}


def test_standard_input_is_told_from_a_file(
    pipe: Pipe, short_wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(b"")
    assert pipe_comes_in()
    with short_wav.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert not pipe_comes_in()
    monkeypatch.setattr(sys, "stdin", None)
    assert not pipe_comes_in()
