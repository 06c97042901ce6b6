"""Everything that can be wrong with a render: one sentence, the right exit code, no trace, nothing half-written."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.cli.conftest import Case, Talkhead, refused
from tests.conftest import make_tone, run_ffmpeg

ROOT_USER = hasattr(os, "geteuid") and os.geteuid() == 0


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


def test_options_that_exclude_each_other(case: Case, talkhead: Talkhead) -> None:
    done = talkhead("render", case.portrait, case.audio, "-o", "-", "--json")
    assert done.code == 2
    assert "standard output" in done.err
    assert talkhead("render", case.portrait, case.audio, "-o", case.output, "-q", "-v").code == 2


def test_empty_standard_input(
    case: Case, talkhead: Talkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        done = talkhead("render", case.portrait, "-", "-o", case.output)
    assert done.code == 3
    assert done.err.startswith("error: standard input is empty")
