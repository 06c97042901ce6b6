"""Everything that can be wrong with a render: one sentence, the right exit code, no trace, nothing half-written."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from talkhead_cli import ffmpeg_binary
from tests.cli.conftest import Talkhead, contents, start_process
from tests.conftest import make_tone, run_ffmpeg

ROOT_USER = hasattr(os, "geteuid") and os.geteuid() == 0


@dataclass
class Case:
    """A render that would succeed, for a test to spoil."""

    folder: Path
    portrait: Path
    audio: Path
    output: Path
    options: list[str] = field(default_factory=list)


@pytest.fixture
def case(tmp_path: Path, astronaut_png: Path, short_wav: Path) -> Case:
    folder = tmp_path / "work"
    folder.mkdir()
    portrait = Path(shutil.copy(astronaut_png, folder / "face.png"))
    audio = Path(shutil.copy(short_wav, folder / "speech.wav"))
    return Case(folder, portrait, audio, folder / "out.mp4")


def text_portrait(case: Case) -> None:
    case.portrait.write_text("not a picture")


def truncated_png(case: Case) -> None:
    case.portrait.write_bytes(case.portrait.read_bytes()[:20000])


def truncated_jpeg(case: Case) -> None:
    whole = case.folder / "whole.jpg"
    Image.open(case.portrait).save(whole)
    case.portrait = case.folder / "face.jpg"
    case.portrait.write_bytes(whole.read_bytes()[:5000])


def empty_portrait(case: Case) -> None:
    case.portrait.write_bytes(b"")


def folder_portrait(case: Case) -> None:
    case.portrait = case.folder


def missing_portrait(case: Case) -> None:
    case.portrait = case.folder / "nowhere.png"


def huge_header(case: Case) -> None:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    png = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )
    data = b"IDAT" + zlib.compress(b"\0")
    png += struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    case.portrait.write_bytes(png)


def tiny_portrait(case: Case) -> None:
    Image.new("RGB", (100, 100), "grey").save(case.portrait)


def no_face(case: Case) -> None:
    Image.new("RGB", (256, 256), "grey").save(case.portrait)


def two_faces_third_wanted(case: Case) -> None:
    face = np.asarray(Image.open(case.portrait))
    Image.fromarray(np.concatenate([face, face[:, ::-1]], 1)).save(case.portrait)
    case.options = ["--face", "3"]


def wrong_background(case: Case) -> None:
    case.options = ["--background", "no-colour"]


def text_audio(case: Case) -> None:
    case.audio = case.folder / "speech.txt"
    case.audio.write_text("This is not a recording.\n" * 50)


def empty_audio(case: Case) -> None:
    case.audio.write_bytes(b"")


def missing_audio(case: Case) -> None:
    case.audio = case.folder / "nowhere.wav"


def folder_audio(case: Case) -> None:
    case.audio = case.folder


def short_audio(case: Case) -> None:
    make_tone(case.audio, 0.1)


def long_audio(case: Case) -> None:
    case.options = ["--max-seconds", "1"]


def truncated_mp3(case: Case) -> None:
    whole = case.folder / "whole.mp3"
    run_ffmpeg("-i", case.audio, "-c:a", "libmp3lame", whole)
    case.audio = case.folder / "speech.mp3"
    case.audio.write_bytes(whole.read_bytes()[:400])


def silent_film(case: Case) -> None:
    case.audio = case.folder / "film.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=128x128:d=1", case.audio)


def nan_audio(case: Case) -> None:
    soundfile.write(case.audio, np.full(16000, np.nan, np.float32), 16000, subtype="FLOAT")


def playlist_audio(case: Case) -> None:
    case.audio = case.folder / "list.m3u8"
    case.audio.write_text("#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/x.ts\n")


def missing_folder(case: Case) -> None:
    case.output = case.folder / "nowhere" / "out.mp4"


def existing_output(case: Case) -> None:
    case.output.write_text("precious")


def output_is_input(case: Case) -> None:
    case.audio = case.folder / "film.mp4"
    case.audio.write_bytes(b"x")
    case.output = case.audio
    case.options = ["--overwrite"]


def output_without_suffix(case: Case) -> None:
    case.output = case.folder / "out"


def unknown_preset(case: Case) -> None:
    case.options = ["--preset", "talkhaed"]


def unknown_key(case: Case) -> None:
    preset = case.folder / "mine.yaml"
    preset.write_text("guidence_scale: 2.0\n")
    case.options = ["--preset", str(preset)]


def wrong_value(case: Case) -> None:
    preset = case.folder / "mine.yaml"
    preset.write_text("crf: 77\n")
    case.options = ["--preset", str(preset)]


def option(*given: str) -> Callable[[Case], None]:
    def spoil(case: Case) -> None:
        case.options = list(given)

    spoil.__name__ = "option" + "".join(given)
    return spoil


ROWS: list[tuple[Callable[[Case], None], int, str]] = [
    (text_portrait, 3, "not a picture"),
    (truncated_png, 3, "damaged or incomplete"),
    (truncated_jpeg, 3, "damaged or incomplete"),
    (empty_portrait, 3, "empty"),
    (folder_portrait, 3, "folder"),
    (missing_portrait, 3, "no such file"),
    (huge_header, 3, "too large"),
    (tiny_portrait, 3, "at least 128"),
    (no_face, 3, "face"),
    (two_faces_third_wanted, 3, "face"),
    (wrong_background, 2, "background"),
    (text_audio, 3, "speech.txt"),
    (empty_audio, 3, "empty"),
    (missing_audio, 3, "no such file"),
    (folder_audio, 3, "work"),
    (short_audio, 3, "0.2"),
    (long_audio, 3, "--max-seconds"),
    (truncated_mp3, 3, "speech.mp3"),
    (silent_film, 3, "film.mp4"),
    (nan_audio, 3, "NaN"),
    (playlist_audio, 3, "list.m3u8"),
    (missing_folder, 3, "does not exist"),
    (existing_output, 3, "--overwrite"),
    (output_is_input, 3, "one of the inputs"),
    (output_without_suffix, 2, ".mp4"),
    (unknown_preset, 4, "did you mean 'talkhead'"),
    (unknown_key, 4, "did you mean 'guidance_scale'"),
    (wrong_value, 4, "crf"),
    (option("--crf", "99"), 2, "--crf"),
    (option("--pose-scale", "-1"), 2, "--pose-scale"),
    (option("--fps", "1000"), 2, "--fps"),
    (option("--device", "tpu"), 2, "--device"),
    (option("--face", "zero"), 2, "--face"),
    (option("--device", "cuda:99"), 7, "cuda:99"),
]


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(("spoil", "code", "words"), ROWS, ids=[row[0].__name__ for row in ROWS])
def test_bad_input(
    spoil: Callable[[Case], None], code: int, words: str, case: Case, talkhead: Talkhead
) -> None:
    spoil(case)
    refused(case, talkhead, code, words)


def refused(case: Case, talkhead: Talkhead, code: int, words: str) -> None:
    """Render, and insist on one sentence, the exit code, and an untouched folder."""
    before = contents(case.folder)
    done = talkhead("render", case.portrait, case.audio, "-o", case.output, *case.options)
    assert done.code == code, done.err
    assert done.out == ""
    lines = [line for line in done.err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1, done.err
    assert lines[0].startswith("error: ")
    assert words in lines[0]
    assert contents(case.folder) == before


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's right to read everything, for a while."""
    if not ROOT_USER:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("name", ["portrait", "audio"])
def test_no_permission_to_read(name: str, case: Case, talkhead: Talkhead) -> None:
    for folder in (case.folder, *case.folder.parents[:3]):
        folder.chmod(0o755)
    getattr(case, name).chmod(0)
    with as_nobody():
        done = talkhead("render", case.portrait, case.audio, "-o", "-", "--dry-run")
    assert done.code == 3
    assert done.err.startswith("error: ")
    assert "ermission" in done.err


@pytest.mark.usefixtures("stand_in")
def test_read_only_folder(case: Case, talkhead: Talkhead, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    # Root may write anywhere but in the kernel's own folders.
    case.output = (Path("/sys") if ROOT_USER else folder) / "out.mp4"
    refused(case, talkhead, 3, "cannot write to the output folder")


@pytest.mark.usefixtures("stand_in")
def test_json_errors_are_events(case: Case, talkhead: Talkhead) -> None:
    no_face(case)
    done = talkhead("render", case.portrait, case.audio, "-o", case.output, "--json")
    assert done.code == 3
    event = done.event("error")
    assert event["kind"] == "NoFaceError"
    assert event["exit_code"] == 3
    assert done.err == f"error: {event['message']}\n"


@pytest.mark.usefixtures("stand_in")
def test_trace_is_shown_when_debugging(
    case: Case, talkhead: Talkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALKHEAD_DEBUG", "1")
    text_portrait(case)
    done = talkhead("render", case.portrait, case.audio, "-o", case.output)
    assert done.code == 3
    assert "Traceback" in done.err


@pytest.mark.usefixtures("stand_in")
def test_unforeseen_errors_are_bugs(
    case: Case, talkhead: Talkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr("talkhead_cli.face.load_portrait", broken)
    done = talkhead("render", case.portrait, case.audio, "-o", case.output)
    assert done.code == 1
    assert "Traceback" in done.err
    assert "bug in talkhead" in done.err


@pytest.mark.usefixtures("stand_in")
def test_silence_renders(case: Case, talkhead: Talkhead) -> None:
    soundfile.write(case.audio, np.zeros(16000, np.float32), 16000)
    assert talkhead("render", case.portrait, case.audio, "-o", case.output).code == 0
    assert case.output.is_file()


@pytest.fixture
def fresh_ffmpeg() -> Iterator[None]:
    ffmpeg_binary.ffmpeg_path.cache_clear()
    ffmpeg_binary.list_encoders.cache_clear()
    yield
    ffmpeg_binary.ffmpeg_path.cache_clear()
    ffmpeg_binary.list_encoders.cache_clear()


@pytest.mark.usefixtures("stand_in", "fresh_ffmpeg")
def test_no_ffmpeg(case: Case, talkhead: Talkhead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKHEAD_FFMPEG", "/nowhere/ffmpeg")
    refused(case, talkhead, 6, "/nowhere/ffmpeg")


@pytest.mark.usefixtures("stand_in", "fresh_ffmpeg")
def test_ffmpeg_killed_half_way(
    case: Case, talkhead: Talkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ffmpeg_binary.ffmpeg_path()
    script = case.folder.parent / "ffmpeg"
    # Decodes and probes as the real one; dies by a signal while encoding.
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *rawvideo*) head -c 1000000 >/dev/null; kill -KILL $$;; esac\nexec "{real}" "$@"\n'
    )
    script.chmod(0o755)
    ffmpeg_binary.ffmpeg_path.cache_clear()
    monkeypatch.setenv("TALKHEAD_FFMPEG", str(script))
    refused(case, talkhead, 6, "killed by signal 9")


@pytest.mark.usefixtures("stand_in")
def test_disk_full_while_encoding(
    case: Case, talkhead: Talkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = case.folder.parent / "full.mp4"
    link.symlink_to("/dev/full")
    monkeypatch.setattr("talkhead_cli.media.temporary_beside", lambda path: link)
    refused(case, talkhead, 6, "disk is full")


def test_disk_full_on_standard_output(case: Case) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with (
        Path("/dev/full").open("wb") as full,
        start_process("render", case.portrait, case.audio, "-o", "-", stdout=full) as process,
    ):
        _, error = process.communicate(timeout=120)
    assert process.returncode == 6, error
    assert b"disk is full" in error
    assert b"Traceback" not in error


def test_reader_that_goes_away(case: Case) -> None:
    slowly = {"TALKHEAD_TEST_DELAY": "0.2"}
    with start_process("render", case.portrait, case.audio, "-o", "-", env=slowly) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        error = process.stderr.read()
        assert process.wait(timeout=120) == 6, error
    assert b"Traceback" not in error


def test_missing_bundle(
    case: Case, talkhead: Talkhead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from talkhead_models.bundle import weights_folder

    weights = tmp_path / "weights"
    shutil.copytree(weights_folder(), weights)
    (weights / "talkhead.safetensors").unlink(missing_ok=True)
    monkeypatch.setenv("TALKHEAD_WEIGHTS", str(weights))
    refused(case, talkhead, 5, "talkhead.safetensors")


def test_weights_folder_that_is_not_there(
    case: Case, talkhead: Talkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALKHEAD_WEIGHTS", str(case.folder / "nowhere"))
    refused(case, talkhead, 5, "TALKHEAD_WEIGHTS")


@pytest.mark.parametrize("bundle", ["face-basis", "refiner-mouth", "speech"])
def test_tampered_bundle(
    bundle: str, case: Case, talkhead: Talkhead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from talkhead_models.bundle import weights_folder

    weights = tmp_path / "weights"
    shutil.copytree(weights_folder(), weights)
    path = weights / f"{bundle}.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 0xFF
    path.write_bytes(data)
    monkeypatch.setenv("TALKHEAD_WEIGHTS", str(weights))
    refused(case, talkhead, 5, "sha256")


def test_options_that_exclude_each_other(case: Case, talkhead: Talkhead) -> None:
    done = talkhead("render", case.portrait, case.audio, "-o", "-", "--json")
    assert done.code == 2
    assert "standard output" in done.err
    assert talkhead("render", case.portrait, case.audio, "-o", case.output, "-q", "-v").code == 2


def test_empty_standard_input(case: Case) -> None:
    with start_process("render", case.portrait, "-", "-o", case.output) as process:
        _, error = process.communicate(timeout=60)
    assert process.returncode == 3
    assert error.startswith(b"error: standard input is empty")
