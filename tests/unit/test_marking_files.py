"""Marks in every kind of file that is written: they are there, and all else is as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkhead_cli.errors import MediaError
from talkhead_cli.marking.boxes import read_boxes, read_xmp
from talkhead_cli.marking.reading import kind_of, read_tags
from talkhead_cli.marking.record import SOURCE_TYPE, Marks
from talkhead_cli.marking.stamp import Stamp
from talkhead_cli.marking.verify import folder_marks, metadata_mark, xmp_mark
from talkhead_cli.marking.xmp import XMP_KEY, build_packet, read_packet
from talkhead_cli.media import VideoWriter, ffmpeg_path
from talkhead_cli.mux import join_segments, mend_audio
from talkhead_cli.pictures import PictureWriter
from tests.conftest import decode_audio, decode_frames, make_tone

STAMP = Stamp(Marks("ab" * 32))
FRAMES = np.random.default_rng(3).integers(0, 255, (6, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tone(tmp_path_factory.mktemp("tone") / "tone.wav", 0.24, 48000)


def write(path: Path, tone: Path, stamp: Stamp | None, codec: str = "h264") -> Path:
    frames = FRAMES
    if codec == "vp9":
        frames = np.concatenate([FRAMES, FRAMES[..., :1]], -1)
    with VideoWriter(path, 64, 64, Fraction(25), audio=tone, codec=codec, stamp=stamp) as writer:
        writer.write(frames)
    return path


def packets(path: Path) -> str:
    """Every packet of every stream: sizes, times and sums of their bytes."""
    command = [ffmpeg_path(), "-v", "error", "-i", path, "-map", "0", "-c", "copy"]
    command += ["-f", "framemd5", "-"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith("#software"))


def insist_on_marks(path: Path) -> None:
    kind = kind_of(path)
    for mark in (metadata_mark(path, kind), xmp_mark(path, kind)):
        assert (mark.state, mark.detail) == ("found", STAMP.marks.tool)
        assert mark.settings_sha256 == STAMP.marks.settings_sha256


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "h264"),
        ("a.mkv", "h264"),
        pytest.param("a.mov", "h264", marks=pytest.mark.slow),
        pytest.param("a.webm", "vp9", marks=pytest.mark.slow),
    ],
)
def test_marks_are_all_that_differs(tmp_path: Path, tone: Path, name: str, codec: str) -> None:
    marked = write(tmp_path / name, tone, STAMP, codec)
    again = write(tmp_path / f"again{marked.suffix}", tone, STAMP, codec)
    plain = write(tmp_path / f"plain{marked.suffix}", tone, None, codec)
    insist_on_marks(marked)
    assert metadata_mark(plain, kind_of(plain)).state == "missing"
    assert xmp_mark(plain, kind_of(plain)).state == "missing"
    assert packets(marked) == packets(plain)
    assert marked.read_bytes() == again.read_bytes()
    frames, sound = decode_frames(marked, 64, 64), decode_audio(marked)
    assert len(frames) == len(FRAMES)
    assert np.array_equal(frames, decode_frames(plain, 64, 64))
    assert np.array_equal(sound, decode_audio(plain))


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_the_index_stays_in_front_and_the_packet_is_last(
    tmp_path: Path, tone: Path, name: str
) -> None:
    with write(tmp_path / name, tone, STAMP).open("rb") as file:
        kinds = [box.kind for box in read_boxes(file)]
    assert kinds.index(b"moov") < kinds.index(b"mdat")
    assert kinds[-1] == b"uuid"
    assert kinds.count(b"uuid") == 1


@pytest.mark.parametrize("live", [False, True])
def test_a_stream_says_it_in_its_header_and_at_its_end(
    tmp_path: Path, tone: Path, live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stream.mp4"
    with path.open("wb") as file, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", file)
        with VideoWriter("-", 64, 64, Fraction(25), audio=tone, live=live, stamp=STAMP) as writer:
            writer.write(FRAMES)
    insist_on_marks(path)
    with path.open("rb") as file:
        boxes = list(read_boxes(file))
    assert [box.kind for box in boxes[:2]] == [b"ftyp", b"moov"]
    assert boxes[-1].kind == b"uuid"
    header = path.with_name("header.mp4")
    header.write_bytes(path.read_bytes()[: sum(box.size for box in boxes[:4])])
    assert metadata_mark(header, "mov").state == "found"
    assert len(decode_frames(path, 64, 64)) == len(FRAMES)


def test_a_reader_that_has_gone_is_told() -> None:
    end, start = os.pipe()
    os.close(end)
    with pytest.raises(MediaError, match="standard output: cannot be written"):
        STAMP.end_stream(start)
    os.close(start)


def test_tags_outlast_joining_and_mending(tmp_path: Path, tone: Path) -> None:
    parts = [write(tmp_path / f"{number}.mp4", tone, None) for number in range(2)]
    joined = tmp_path / "joined.mp4"
    join_segments(parts, tone, joined, ffmpeg_path(), None, STAMP)
    assert metadata_mark(joined, "mov").state == "found"
    # As if the sound were much too long, so that it is encoded anew.
    mend_audio(joined, tone, Fraction(-1), ffmpeg_path(), "joined", STAMP)
    assert metadata_mark(joined, "mov").state == "found"
    assert len(decode_frames(joined, 64, 64)) == 2 * len(FRAMES)


def test_every_picture_of_a_folder_says_it(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    frames = np.concatenate([FRAMES[:3], FRAMES[:3, ..., :1]], -1)
    with PictureWriter(folder, 64, 64, marks=STAMP.marks) as writer:
        writer.write(frames)
    marks = {mark.name: mark for mark in folder_marks(folder)}
    assert marks["metadata"].state == marks["xmp"].state == "found"
    for picture in sorted(folder.iterdir()):
        insist_on_marks(picture)
        with Image.open(picture) as opened:
            opened.load()
            assert read_packet(opened.info["xmp"])["source_type"] == SOURCE_TYPE
            assert opened.info[XMP_KEY] == build_packet(STAMP.marks)
            assert np.array_equal(np.asarray(opened), frames[int(picture.stem)])
    bare = folder / "000001.png"
    Image.open(bare).save(bare, pnginfo=None)
    assert xmp_mark(bare, "png").state == "missing"


def test_a_copy_by_another_program_keeps_the_comment_alone(tmp_path: Path, tone: Path) -> None:
    path, copy = write(tmp_path / "a.mp4", tone, STAMP), tmp_path / "copy.mp4"
    command = [ffmpeg_path(), "-v", "error", "-i", path, "-c", "copy", copy]
    subprocess.run([*map(str, command)], check=True)
    assert metadata_mark(copy, "mov").state == "found"
    assert "settings_sha256" not in read_tags(copy, "mov")
    assert read_xmp(copy) is None
    assert xmp_mark(copy, "mov").state == "missing"
