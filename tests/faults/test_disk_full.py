"""A full disk: an error with exit code 6 that says so, nothing half-written, and a batch that goes on later."""

from __future__ import annotations

import errno
import resource
import signal
import subprocess
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkhead_cli.batch.folder import make_folder
from talkhead_cli.batch.ledger import Ledger
from talkhead_cli.batch.lock import RunLock
from talkhead_cli.batch.worker import write_json_file
from talkhead_cli.errors import EXIT_MEDIA, DiskFull, MediaError, known_error, write_error
from talkhead_cli.keeping import kept_parts
from talkhead_cli.media import VideoWriter
from talkhead_cli.motion_files import save_motion
from talkhead_cli.pictures import PictureWriter
from talkhead_cli.segments import SegmentedWriter, keep_features, write_whole
from talkhead_cli.sidecar import write_sidecar
from talkhead_models.motion import MOTION_SIZE, FaceMotion
from talkhead_models.speech import SpeechFeatures
from tests.cli.conftest import Case, Talkhead, contents
from tests.conftest import leftovers
from tests.faults.rows import Rows

SIDE = 64
SmallDisk = Callable[[int], Path]


def noise(count: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, SIDE, SIDE, channels), dtype=np.uint8)


def write_video(folder: Path) -> None:
    with VideoWriter(folder / "out.mp4", SIDE, SIDE, Fraction(25), overwrite=True) as writer:
        for _ in range(10):
            writer.write(noise(20))


def write_pictures(folder: Path) -> None:
    with PictureWriter(folder / "pictures", SIDE, SIDE) as writer:
        for _ in range(10):
            writer.write(noise(8, 4))


def write_motion(folder: Path, suffix: str, num_frames: int) -> None:
    array = np.random.default_rng(0).normal(size=(num_frames, MOTION_SIZE)).astype(np.float32)
    save_motion(folder / f"out{suffix}", FaceMotion.from_array(array))


def write_segments(folder: Path) -> None:
    def encode(path: Path) -> VideoWriter:
        return VideoWriter(path, SIDE, SIDE, Fraction(25), overwrite=True)

    with SegmentedWriter(
        folder / "out.mp4", encode, Fraction(25), "h264", overwrite=True
    ) as writer:
        for _ in range(10):
            writer.write(noise(20))


def keep_speech(folder: Path) -> None:
    array = np.random.default_rng(0).normal(size=(30_000, 20)).astype(np.float32)
    keep_features(folder, SpeechFeatures(array, 600.0, None))


WRITERS: dict[str, Callable[[Path], Any]] = {
    "video": write_video,
    "pictures": write_pictures,
    "motion.npz": lambda folder: write_motion(folder, ".npz", 2000),
    "motion.csv": lambda folder: write_motion(folder, ".csv", 400),
    "segments": write_segments,
    "speech": keep_speech,
    "sidecar": lambda folder: write_sidecar(folder / "out.json", {"words": "x" * 400_000}),
    "status": lambda folder: write_json_file(folder / "status.json", {"words": "x" * 400_000}),
    "checkpoint": lambda folder: write_whole(folder / "00000.npz", bytes(400_000)),
}


@pytest.mark.disk
@pytest.mark.parametrize("what", WRITERS)
def test_a_disk_that_fills_up(what: str, small_disk: SmallDisk) -> None:
    folder = small_disk(200)
    (folder / "out.mp4").write_bytes(b"old")
    before = contents(folder)
    try:
        WRITERS[what](folder)
    except DiskFull as full:
        assert full.exit_code == EXIT_MEDIA
        assert "the disk is full" in str(full)
    except OSError as error:
        # Where the caller says which of its files it was.
        known = known_error(error)
        assert what in ("status", "checkpoint")
        assert isinstance(known, DiskFull)
    else:
        raise AssertionError("nothing was said")
    assert contents(folder) == before


@pytest.mark.parametrize("what", WRITERS)
def test_a_disk_that_is_full_from_the_start(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(DiskFull, match="the disk is full"):
        WRITERS[what](tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_says(tmp_path: Path) -> None:
    for number in (errno.ENOSPC, errno.EDQUOT):
        assert isinstance(write_error(tmp_path, OSError(number, "full")), DiskFull)
        assert isinstance(known_error(OSError(number, "full", "name")), DiskFull)
    # One file alone is too large: other rows may do.
    large = write_error(tmp_path, OSError(errno.EFBIG, "File too large"))
    assert type(large) is MediaError
    assert "larger than its file system or a limit" in str(large)
    assert write_error(tmp_path, OSError(errno.EACCES, "Permission denied")).exit_code == 3
    assert known_error(OSError(errno.EACCES, "Permission denied")) is None


@pytest.mark.disk
def test_state_on_a_full_disk(small_disk: SmallDisk) -> None:
    folder = small_disk(40)
    (folder / "filler").write_bytes(bytes(40 * 1024))
    with pytest.raises(DiskFull), RunLock(folder, folder):
        pass
    (folder / ".talkhead").mkdir()
    with pytest.raises(DiskFull), Ledger(folder):
        pass
    with pytest.raises(DiskFull), kept_parts(folder / "out.mp4", "key" * 30_000):
        pass
    assert make_folder(folder) == []


@pytest.mark.disk
@pytest.mark.slow
@pytest.mark.usefixtures("stand_in")
def test_a_render_onto_a_full_disk(case: Case, talkhead: Talkhead, small_disk: SmallDisk) -> None:
    # A motion file, a sidecar and a video; each limit stops at another of them.
    for kilobytes in (4, 12, 24):
        folder = small_disk(kilobytes)
        output = folder / "out.mp4"
        done = talkhead("render", case.portrait, case.audio, "-o", output)
        assert done.code == EXIT_MEDIA, done.err
        assert done.err.count("\n") == 1
        assert "the disk is full" in done.err
        assert list(folder.iterdir()) == []


@pytest.mark.disk
def test_a_batch_on_a_full_disk_ends_and_goes_on_when_there_is_room(
    rows: Rows, small_disk: SmallDisk
) -> None:
    disk = small_disk(400)
    rows.out_dir = disk / "out"
    rows.write(*({"size": 60_000} for _ in range(8)))
    with pytest.raises(DiskFull, match=r"disk is full") as caught:
        rows.run(resume=False)
    assert caught.value.exit_code == EXIT_MEDIA
    done = len(rows.made)
    assert 0 < done < 8
    videos = {path: path.stat().st_size for path in rows.out_dir.glob("*.mp4")}
    assert len(videos) == done
    assert min(videos.values()) > 60_000
    assert leftovers(rows.out_dir) == []
    # Still full: the same again, and nothing is lost.
    with pytest.raises(DiskFull):
        rows.run()
    assert len(rows.made) == done
    subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
    summary = rows.run()
    assert (summary.skipped, summary.done, summary.failed) == (done, 8 - done, 0)
    assert sorted(rows.made) == [str(row) for row in range(1, 9)]
    assert set(rows.results.values()) == {"done"}


def test_a_file_larger_than_allowed_fails_its_row_alone(rows: Rows) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    rows.write({"size": 10}, {"size": 4_000_000}, {"size": 10})
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    try:
        summary = rows.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (summary.done, summary.failed, summary.exit_code) == (2, 1, 8)
    assert leftovers(rows.out_dir) == []


@pytest.mark.disk
def test_checkpoints_stay_whole(small_disk: SmallDisk) -> None:
    folder = small_disk(100)
    write_whole(folder / "00000.npz", b"first" * 1000)
    with pytest.raises(OSError, match="No space left"):
        write_whole(folder / "00000.npz", bytes(400_000))
    assert (folder / "00000.npz").read_bytes() == b"first" * 1000
