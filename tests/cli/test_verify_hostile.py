"""`talkhead verify` on files that are damaged or made to hurt: a verdict, and nothing else."""

from __future__ import annotations

import json
import random
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkhead_cli.errors import EXIT_DONE, EXIT_INPUT, EXIT_MEDIA, EXIT_UNMARKED
from talkhead_cli.marking import verify
from talkhead_cli.marking.boxes import xmp_box
from talkhead_cli.marking.record import Marks
from talkhead_cli.marking.stamp import Stamp
from talkhead_cli.marking.verify import Mark, verify_file
from talkhead_cli.media import VideoWriter
from talkhead_cli.pictures import save_picture
from tests.certificates import make_signing
from tests.cli.conftest import Talkhead

MARKS = Marks("ab" * 32)
CODES = {EXIT_DONE, EXIT_INPUT, EXIT_MEDIA, EXIT_UNMARKED}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A signed MP4, a Matroska file and a picture."""
    folder = tmp_path_factory.mktemp("good")
    frames = np.random.default_rng(0).integers(0, 255, (5, 64, 64, 3), np.uint8)
    signing = make_signing(folder / "signing")
    paths = [folder / "a.mp4", folder / "a.mkv"]
    for path, stamp in zip(paths, (Stamp(MARKS, signing), Stamp(MARKS)), strict=True):
        with VideoWriter(path, 64, 64, Fraction(25), stamp=stamp) as writer:
            writer.write(frames)
    save_picture(np.concatenate([frames[0], frames[0, ..., :1]], -1), folder / "000000.png", MARKS)
    return [*paths, folder / "000000.png"]


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A file of which a part is changed, gone, or there twice."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(changed))
        length = min(chance.choice((1, 4, 40, 4000)), len(changed) - at)
        way = chance.randrange(4)
        if way == 0:
            changed[at : at + length] = chance.randbytes(length)
        elif way == 1:
            del changed[at : at + length]
        elif way == 2:
            changed[at:at] = changed[at : at + length]
        else:
            changed[at : at + 4] = struct.pack(">I", chance.choice((0, 1, 7, 2**31, 2**32 - 1)))
        if not changed:
            break
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_gets_a_verdict(
    good: list[Path], tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    if seed % 8:
        # It decodes the pictures, which takes longer than all else.
        monkeypatch.setattr(verify, "watermark_mark", lambda path: Mark("watermark", "found"))
    for path in good:
        hurt = tmp_path / path.name
        hurt.write_bytes(damaged(path.read_bytes(), chance))
        hurt.with_suffix(".json").write_bytes(damaged(b'{"talkhead": "1", "marking": {}}', chance))
        verdict = verify_file(hurt)
        assert verdict.exit_code in CODES
        assert bool(verdict.error) == (verdict.exit_code in {EXIT_INPUT, EXIT_MEDIA})
        assert "Traceback" not in json.dumps(verdict.to_json())


def film_with(packet: bytes, path: Path) -> Path:
    path.write_bytes(struct.pack(">I4s8s", 16, b"ftyp", b"isom\0\0\0\0") + xmp_box(packet))
    return path


def test_what_a_file_says_cannot_steer_a_terminal(talkhead: Talkhead, good: list[Path]) -> None:
    evil = good[2].with_name("evil.png")
    save_picture(
        np.zeros((64, 64, 4), np.uint8), evil, Marks("ab" * 32, "1\x1b]0;owned\x07\x1b[2J")
    )
    done = talkhead("verify", evil)
    assert done.code == 9
    assert "\x1b" not in done.out
    assert "owned" in done.out


@pytest.mark.parametrize(
    "sidecar",
    [
        "[" * 100_000,
        '{"talkhead": "1", "marking": {"written": ["xmp"], "settings_sha256": 5}, "settings": []}',
        '{"talkhead": "1", "output": "a.mp4", "marking": {"written": 7}}',
        '{"talkhead": "1", "output": "a.mp4", "marking": {"written": ["xmp"]}}',
        "\x00",
    ],
)
def test_a_sidecar_may_hold_anything(tmp_path: Path, sidecar: str) -> None:
    film = film_with(b"<x/>", tmp_path / "a.mp4")
    film.with_suffix(".json").write_text(sidecar)
    mark, _ = verify.sidecar_mark(film)
    assert mark.state in {"absent", "broken", "missing"}


def test_devices_and_pipes_are_not_read(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", Path("/dev/zero"), tmp_path):
        verdict = verify_file(path)
        assert verdict.exit_code == EXIT_INPUT
        assert str(path) in verdict.error
