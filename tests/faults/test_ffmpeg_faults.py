"""An ffmpeg that hangs, dies or lies: an error with exit code 6 that says so, and nothing left behind."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkhead_cli.audio import decode_blocks, read_header
from talkhead_cli.errors import EXIT_MEDIA, MediaError
from talkhead_cli.evaluation.stream import VideoReader, decoded_seconds
from talkhead_cli.hardware import works
from talkhead_cli.live_audio import LiveSound
from talkhead_cli.media import VideoWriter, ffmpeg_path, list_encoders, probe_media
from talkhead_cli.mux import join_segments
from talkhead_cli.wholeness import check_whole
from tests.cli.conftest import Case, Talkhead, refused
from tests.conftest import leftovers
from tests.faults.conftest import StandIn

SIDE = 64
FRAMES = 30
"""More than fit into the pipe: the writer notices what becomes of ffmpeg."""

HANG = "sleep 1000"

ENCODING = {
    "hangs at start": (HANG, "hung"),
    "hangs after some frames": (f"head -c 200000 >/dev/null; {HANG}", "hung"),
    "hangs at the end": (f'"$REAL" "$@"; {HANG}', "hung"),
    "dies at start": ("echo 'no such device' >&2; exit 7", "exit status 7 .no such device"),
    "dies midway": ("head -c 200000 >/dev/null; exit 9", "exit status 9"),
    "dies at the end": ('"$REAL" "$@"; exit 11', "exit status 11"),
    "is killed midway": ("head -c 200000 >/dev/null; kill -KILL $$", "killed by signal 9"),
    "crashes at the end": ('"$REAL" "$@"; kill -SEGV $$', "killed by signal 11"),
    "prints megabytes and dies": (
        "yes noise | head -c 3000000 >&2; cat >/dev/null; exit 1",
        "exit status 1 .noise",
    ),
    "leaves nothing and is content": ("cat >/dev/null; exit 0", "exit status 0"),
    "leaves half a file and is content": (
        '"$REAL" "$@"; truncate -s -300 "$OUT"',
        "left a file that is cut off",
    ),
    "leaves out frames and is content": (
        'head -c 122880 | "$REAL" "$@"; cat >/dev/null; exit 0',
        "left 10 of 60 frames",
    ),
}


def write(path: Path, count: int = 2 * FRAMES) -> None:
    frames = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    with VideoWriter(path, SIDE, SIDE, Fraction(25)) as writer:
        writer.write(frames[: count // 2])
        writer.write(frames[count // 2 :])


@pytest.mark.parametrize("how", ENCODING)
def test_an_encoder_that_fails(how: str, tmp_path: Path, ffmpeg_stand_in: StandIn) -> None:
    script, words = ENCODING[how]
    ffmpeg_stand_in(script)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "out.mp4").write_bytes(b"old")
    with pytest.raises(MediaError, match=words) as caught:
        overwrite(folder / "out.mp4")
    assert caught.value.exit_code == EXIT_MEDIA
    assert leftovers(folder) == []
    assert (folder / "out.mp4").read_bytes() == b"old"
    assert processes_of(folder) == []


def overwrite(path: Path) -> None:
    frames = np.zeros((FRAMES, SIDE, SIDE, 3), np.uint8)
    with VideoWriter(path, SIDE, SIDE, Fraction(25), overwrite=True) as writer:
        writer.write(frames)
        writer.write(frames)


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that know a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in words:
                found.append(words.replace(b"\0", b" ").decode())
    return found


def test_a_hung_encoder_takes_its_children_along(tmp_path: Path, ffmpeg_stand_in: StandIn) -> None:
    # The child has our end of the pipe: were it left, writing to it would wait for ever.
    mark = tmp_path / "child"
    ffmpeg_stand_in(f"(exec sleep 1000) & echo $! > {mark}; wait")
    with pytest.raises(MediaError, match=r"hung: it had done nothing for [\d.]+ seconds"):
        write(tmp_path / "out.mp4", 400)
    child = Path("/proc", mark.read_text().strip(), "stat")
    deadline = time.monotonic() + 30
    while child.exists() and child.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_encoder_that_floods_standard_error_and_works(
    tmp_path: Path, ffmpeg_stand_in: StandIn
) -> None:
    ffmpeg_stand_in('yes noise | head -c 3000000 >&2; exec "$REAL" "$@"', patience=60)
    write(tmp_path / "out.mp4")
    assert probe_media(tmp_path / "out.mp4").duration_seconds == pytest.approx(2.4, abs=0.05)


READING = {
    "probe": ("all", lambda path: probe_media(path)),
    "header": ("all", lambda path: read_header(path)),
    "decode": ("decode", lambda path: list(decode_blocks(path))),
    "live": ("decode", lambda path: listen(path)),
    "frames": ("frames", lambda path: watch(path)),
    "length": ("all", lambda path: decoded_seconds(path, "0:a")),
    "encoders": ("all", lambda path: list_encoders(ffmpeg_path())),
    "join": ("join", lambda path: join(path)),
}


def listen(path: Path) -> None:
    with LiveSound(path, "speech", 60.0) as sound:
        list(sound.blocks())


def watch(path: Path) -> None:
    with VideoReader(path, Fraction(25)) as reader:
        list(reader)


def join(path: Path) -> None:
    join_segments([path.with_name("a.mp4")], path, path.with_name("joined.mp4"), ffmpeg_path())


@pytest.mark.parametrize("what", READING)
def test_a_reader_that_hangs(what: str, tone_wav: Path, ffmpeg_stand_in: StandIn) -> None:
    tool, read = READING[what]
    ffmpeg_stand_in(HANG, tool)
    with pytest.raises(MediaError, match="hung: it had done nothing"):
        read(tone_wav)


@pytest.mark.parametrize("what", ["probe", "header", "decode", "live", "frames"])
def test_a_reader_that_crashes(what: str, tone_wav: Path, ffmpeg_stand_in: StandIn) -> None:
    tool, read = READING[what]
    ffmpeg_stand_in("kill -SEGV $$", tool)
    with pytest.raises(MediaError, match="killed by signal 11"):
        read(tone_wav)


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (b"no program", 0o755),
        (b"#!/nowhere/interpreter\n", 0o755),
        (b"#!/bin/sh\nexec /nowhere/library\n", 0o755),
        (b"#!/bin/sh\n", 0o644),
    ],
)
@pytest.mark.parametrize("what", ["header", "decode", "live", "frames"])
def test_what_cannot_be_run(
    what: str, content: bytes, mode: int, tone_wav: Path, ffmpeg_stand_in: StandIn
) -> None:
    path = ffmpeg_stand_in("exit 0", "all")
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(MediaError, match="cannot be run"):
        READING[what][1](tone_wav)


def test_a_hung_trial_of_hardware_is_no_hardware(tmp_path: Path, ffmpeg_stand_in: StandIn) -> None:
    script = ffmpeg_stand_in(f"(exec {HANG}) & wait", "all")
    assert not works(str(script), "h264", "h264_vaapi", 64, 64)


def test_decoders_that_are_left_end(tone_wav: Path) -> None:
    for block in decode_blocks(tone_wav):
        assert len(block)
        break
    assert processes_of(tone_wav.parent) == []


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("tool", "words"), [("encode", "hung"), ("decode", "hung")], ids=["encode", "decode"]
)
@pytest.mark.slow
def test_the_command_line_says_so_and_ends_with_6(
    tool: str, words: str, case: Case, talkhead: Talkhead, ffmpeg_stand_in: StandIn
) -> None:
    ffmpeg_stand_in(HANG, tool, patience=2)
    refused(case, talkhead, EXIT_MEDIA, words)


# Files that are cut off anywhere


@pytest.fixture(scope="module")
def videos() -> Iterator[dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as name:
        found = {}
        for suffix in (".mp4", ".mov", ".mkv"):
            path = Path(name, f"out{suffix}")
            write(path, 6)
            found[suffix] = path.read_bytes()
        command = [ffmpeg_path(), "-v", "error", "-i", path, "-c:v", "libvpx-vp9"]
        subprocess.run([*map(str, command), str(path.with_suffix(".webm"))], check=True)
        yield found | {".webm": path.with_suffix(".webm").read_bytes()}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_wherever_a_file_is_cut_off_it_is_noticed(
    suffix: str, videos: dict[str, bytes], tmp_path: Path
) -> None:
    content = videos[suffix]
    path = tmp_path / f"video{suffix}"
    path.write_bytes(content)
    check_whole(path, path, 6)
    for size in [*range(0, 100), *range(100, len(content), 211)]:
        path.write_bytes(content[:size])
        with pytest.raises(MediaError, match="cut off"):
            check_whole(path, path, 6)
    path.write_bytes(content)
    if suffix in (".mp4", ".mov"):
        with pytest.raises(MediaError, match="left 6 of 7 frames"):
            check_whole(path, path, 7)
