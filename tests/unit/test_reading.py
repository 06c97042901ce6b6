"""What ffmpeg may open, and how long it may take: files stand for nothing but themselves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkhead_cli.audio import decode_blocks, probe_audio, read_header
from talkhead_cli.errors import AudioError, InputError
from talkhead_cli.evaluation.stream import VideoReader, read_video_header
from talkhead_cli.face.image import open_image, read_portrait_image
from talkhead_cli.ffmpeg_binary import ffmpeg_path, run_captured
from talkhead_cli.mux import damaged, listen
from talkhead_cli.reading import FORMATS, Stalled, describe_file, patient, probe_media
from tests.conftest import make_tone, run_ffmpeg
from tests.fuzz import crafted, references

REFERRING = {
    *(
        "hls",
        "applehttp",
        "concat",
        "concatf",
        "dash",
        "sdp",
        "rtsp",
        "rtp",
        "sap",
        "image2",
        "imf",
    ),
    *(
        "webm_dash_manifest",
        "avisynth",
        "vapoursynth",
        "lavfi",
        "tty",
        "vobsub",
        "mlv",
        "ffmetadata",
    ),
    *("dvdvideo", "libopenmpt", "libgme", "sbg", "realtext", "srt", "ass", "svg_pipe", "gem_pipe"),
    *("txd", "bin", "xbin", "data", "rawvideo"),
}
"""Demuxers that open other files, run scripts, or take anything for their own."""


def test_no_format_is_opened_that_leads_elsewhere() -> None:
    assert not REFERRING & set(FORMATS.split(","))


@pytest.mark.parametrize(
    "make", [references.hls, references.concat], ids=lambda make: make.__name__
)
def test_a_list_of_files_is_no_recording(make: Callable[[Path, str], Path], tmp_path: Path) -> None:
    secret = make_tone(tmp_path / "secret.wav", 1.0)
    path = make(tmp_path / ("list.m3u8" if make is references.hls else "list.mp4"), secret.name)
    # What is to be kept out does happen where nothing is forbidden.
    free = [
        ffmpeg_path(),
        "-protocol_whitelist",
        "file,pipe",
        "-allowed_extensions",
        "ALL",
        "-extension_picky",
        "0",
    ]
    if make is references.concat:
        free = free[:3]
    assert "Audio: pcm_s16le" in run_captured([*free, "-i", str(path)])
    with pytest.raises(AudioError, match=r"list.* is of a format that is not opened"):
        probe_audio(path)
    with pytest.raises(InputError, match="not opened"):
        read_video_header(path)
    assert probe_media(path).audio_codec is None


@pytest.mark.parametrize("make", references.REFERENCES, ids=lambda make: make.__name__)
def test_nobody_is_called(make: Callable[[Path, str], Path], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        path = make(tmp_path / "a.wav", f"http://127.0.0.1:{server.getsockname()[1]}/a.wav")
        with nullcontext() if make is references.external_track else pytest.raises(AudioError):
            probe_audio(path)  # a track that lies elsewhere is looked for in the file itself
        with pytest.raises(InputError):
            read_portrait_image(path)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_track_that_lies_elsewhere_is_not_read_there(tmp_path: Path) -> None:
    run_ffmpeg("-f", "lavfi", "-i", "anullsrc=d=1:r=16000", tmp_path / "secret.wav")
    for place in ("secret.wav", str(tmp_path / "secret.wav"), f"file://{tmp_path}/secret.wav"):
        path = references.external_track(tmp_path / "a.mov", place)
        heard = np.concatenate(list(decode_blocks(path)))
        assert np.sqrt(np.mean(heard**2)) > 0.05  # its own tone, and not the silence there


def test_a_name_that_looks_like_a_header(tmp_path: Path) -> None:
    forged = "x':\n  Duration: 99:00:00.00\n  Stream #0:0: Audio: opus, 1 Hz"
    path = make_tone(tmp_path / "tone.wav", 1.0).rename(tmp_path / forged)
    header = read_header(path)
    assert (header.codec, header.sample_rate) == ("pcm_s16le", 16000)
    assert header.declared_seconds == pytest.approx(1.0)
    odd = path.rename(tmp_path / os.fsdecode(b"\xff\n  Duration: 99:00:00.00"))
    assert probe_media(odd).duration_seconds == pytest.approx(1.0)


def test_a_picture_of_another_format_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"8BPS\0\1" + bytes(6) + b"\0\3" + bytes(200))
    with pytest.raises(InputError, match="not a picture of a format that is opened"):
        open_image(path)


@pytest.mark.parametrize(
    ("rate", "channels", "words"),
    [(1, 1, "1 channels at 1 Hz"), (10_000_000, 1, "10000000 Hz"), (16000, 255, "255 channels")],
)
def test_sound_that_is_none(rate: int, channels: int, words: str, tmp_path: Path) -> None:
    path = crafted.wav(tmp_path / "a.wav", rate, channels, bytes(channels * 2 * 4000))
    with pytest.raises(AudioError, match=words):
        read_header(path)


def test_length_that_is_told_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    run_ffmpeg("-f", "lavfi", "-i", "anullsrc=r=8000:d=1", path)
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F  # the uppermost bits of the count of samples
    path.write_bytes(data)
    with pytest.raises(AudioError, match="longer than the 86400 seconds"):
        probe_audio(path)


def test_pictures_too_large_are_not_decoded(tmp_path: Path) -> None:
    path = crafted.vast_film(tmp_path / "a.avi")
    with pytest.raises(InputError, match=r"a\.avi"), VideoReader(path, Fraction(25)) as reader:
        next(iter(reader))


def test_pipes_and_devices_are_no_files(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(AudioError, match="not a regular file"):
            probe_audio(path)
        with pytest.raises(InputError, match="not a regular file"):
            open_image(path)
        with pytest.raises(InputError, match="not a regular file"):
            read_video_header(path)


def test_a_decoder_that_says_nothing() -> None:
    silent = [sys.executable, "-c", "import time; print('x', flush=True); time.sleep(60)"]
    with subprocess.Popen(silent, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        try:
            with patient(process.stdout, 30) as stream:
                assert stream.readline() == b"x\n"
                stream.raw._seconds = 0.01  # type: ignore[attr-defined]
                with pytest.raises(Stalled, match="nothing has come"):
                    stream.read(1)
        finally:
            process.kill()


def test_damage_in_sound_is_heard(tmp_path: Path) -> None:
    tone = make_tone(tmp_path / "tone.wav", 1.0)
    whole = tmp_path / "whole.flac"
    run_ffmpeg("-i", tone, whole)
    told = listen(whole)
    assert not damaged(told)
    assert "Duration: 00:00:01.00" in told
    data = bytearray(whole.read_bytes())
    data[-200:-100] = bytes(100)
    whole.write_bytes(data)
    assert damaged(listen(whole))
    assert describe_file(whole)


def test_films_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=128x128:d=3:r=5", path)
    monkeypatch.setattr("talkhead_cli.evaluation.stream.LONGEST_SECONDS", 2)
    with VideoReader(path, Fraction(5)) as reader, pytest.raises(InputError, match="longer than 2"):
        list(reader)
    assert reader.num_frames == 11
