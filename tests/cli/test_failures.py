"""What fails around a render: ffmpeg, the disk, the reader of a pipe, the weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from talkhead_cli import ffmpeg_binary
from tests.cli.conftest import Case, Talkhead, refused, start_process

needs_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


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


@needs_full_device
@pytest.mark.usefixtures("stand_in")
def test_disk_full_while_encoding(
    case: Case, talkhead: Talkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = case.folder.parent / "full.mp4"

    def on_a_full_disk(path: Path) -> Path:
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/full")
        return link

    monkeypatch.setattr("talkhead_cli.paths.temporary_beside", on_a_full_disk)
    refused(case, talkhead, 6, "disk is full")


@needs_full_device
def test_disk_full_on_standard_output(case: Case) -> None:
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
