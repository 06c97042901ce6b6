"""Files that change, vanish or cannot be written while a video is made: exit code 3, and nothing half-made."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkhead_cli.batch.copies import unpack
from talkhead_cli.batch.sent import pack
from talkhead_cli.errors import EXIT_INPUT, InputError
from talkhead_cli.leftovers import remove_leftovers
from talkhead_cli.media import VideoWriter
from talkhead_cli.paths import (
    check_output,
    publish,
    temporary_beside,
    temporary_folder_beside,
)
from talkhead_cli.unchanged import check_unchanged, read_stamps
from tests.batch_stand_in import make_job
from tests.cli.conftest import Case, Talkhead, contents, refused, start_process
from tests.conftest import ROOT, leftovers

SLOW = {"TALKHEAD_TEST_DELAY": "0.7"}


def wait_until(there: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while not there():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def under_way(case: Case) -> Callable[[], bool]:
    """Whether the video is being written."""
    return lambda: bool(leftovers(case.output.parent))


def replace_audio(case: Case) -> None:
    other = case.audio.with_name("other.wav")
    shutil.copy(case.audio, other)
    with other.open("r+b") as file:
        file.seek(2000)
        file.write(bytes(2000))
    other.replace(case.audio)


CHANGES: dict[str, tuple[Callable[[Case], object], str]] = {
    "audio replaced": (replace_audio, "has changed since the render began"),
    "audio deleted": (lambda case: case.audio.unlink(), "is gone since the render began"),
    "portrait edited": (
        lambda case: os.utime(case.portrait, (1, 1)),
        "has changed since the render began",
    ),
    "output appeared": (lambda case: case.output.write_bytes(b"other"), "exists already"),
    "output folder removed": (lambda case: shutil.rmtree(case.output.parent), "out"),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", CHANGES)
def test_what_changes_during_a_render(how: str, case: Case) -> None:
    change, words = CHANGES[how]
    folder = case.folder.parent / "out"
    folder.mkdir()
    case.output = folder / "out.mp4"
    with start_process("render", case.portrait, case.audio, "-o", case.output, env=SLOW) as process:
        wait_until(under_way(case), process)
        change(case)
        error = process.communicate(timeout=120)[1].decode()
    assert process.returncode == EXIT_INPUT, error
    assert "Traceback" not in error
    assert words in error.splitlines()[-1]
    kept = {"out.mp4": b"other"} if how == "output appeared" else {}
    assert (contents(folder) if folder.exists() else {}) == kept


def test_stamps_tell_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    stamps = read_stamps([path, tmp_path / "missing", tmp_path])
    assert list(stamps) == [str(path)]
    check_unchanged(stamps, "then")
    shutil.copy2(path, tmp_path / "copy")
    (tmp_path / "copy").replace(path)
    check_unchanged(stamps, "then")  # what a backup puts back is the same
    path.write_bytes(b"four")
    with pytest.raises(InputError, match=r"a\.wav: has changed since then"):
        check_unchanged(stamps, "then")
    path.unlink()
    with pytest.raises(InputError, match=r"a\.wav: is gone since then"):
        check_unchanged(stamps, "then")


def test_pipes_are_not_opened_to_be_looked_at(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_stamps([tmp_path / "pipe"]) == {}


def test_rows_whose_inputs_changed_are_not_sent(tmp_path: Path) -> None:
    job = make_job(tmp_path, 1)
    for name in (job.portrait, job.audio):
        Path(str(name)).write_bytes(b"content")
    stamps = read_stamps([job.portrait, str(job.audio)])
    job = replace(job, seen=stamps)
    sent = pack(job)
    (tmp_path / "there").mkdir()
    assert unpack(sent, tmp_path / "there").seen == {}
    Path(job.portrait).write_bytes(b"other content")
    with pytest.raises(InputError, match="has changed since the manifest was checked"):
        pack(job)


def test_a_folder_that_vanishes_under_the_encoder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with (
        pytest.raises(InputError, match="was removed while it was written to"),
        VideoWriter(folder / "out.mp4", 64, 64, Fraction(25)) as writer,
    ):
        writer.write(np.zeros((30, 64, 64, 3), np.uint8))
        shutil.rmtree(folder)
    assert not folder.exists()


def make_device(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Path.mkdir, "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (make_device, "not a regular file"),
    ],
    ids=["folder", "fifo", "device"],
)
def test_outputs_that_are_no_files(
    make: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    make(tmp_path / "out.mp4")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=words):
            check_output(tmp_path / "out.mp4", overwrite)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.disk
def test_a_read_only_disk(
    case: Case, talkhead: Talkhead, small_disk: Callable[[int], Path]
) -> None:
    folder = small_disk(1000)
    (folder / "old.mp4").write_bytes(b"old")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    case.output = folder / "out.mp4"
    refused(case, talkhead, EXIT_INPUT, "Read-only file system")
    case.output, case.options = folder / "old.mp4", ["--overwrite"]
    refused(case, talkhead, EXIT_INPUT, "Read-only file system")


# What killed processes leave


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from talkhead_cli.paths import private_folder, temporary_beside, temporary_folder_beside\n"
        "target = Path(sys.argv[1], 'out.mp4')\n"
        "temporary_beside(target).write_bytes(b'half')\n"
        "(temporary_folder_beside(target) / '00000.mp4').write_bytes(b'segment')\n"
        "with private_folder() as folder:\n"
        "    (folder / 'speech').write_bytes(b'standard input')\n"
        "    print(flush=True); time.sleep(1000)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        (tmp_path / ".talkhead-0123456789abcdef.parts").mkdir()
        (tmp_path / ".talkhead-notes.txt").write_text("mine")
        (tmp_path / "talkhead-examples").mkdir()
        mine = temporary_beside(tmp_path / "other.mp4")
        before = contents(tmp_path)
        assert len(before) == 9
        remove_leftovers(tmp_path)
        assert contents(tmp_path) == before
        process.send_signal(signal.SIGKILL)
    check_output(tmp_path / "next.mp4", overwrite=False)
    kept = {".talkhead-0123456789abcdef.parts", ".talkhead-notes.txt", "talkhead-examples"}
    kept.add(mine.name)
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_what_is_in_place_is_held_no_longer(tmp_path: Path) -> None:
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir())) if open_files.exists() else 0
    for number in range(30):
        temporary = temporary_beside(tmp_path / "a.json")
        temporary.write_text(str(number))
        publish(temporary, tmp_path / "a.json")
        temporary_beside(tmp_path / "b.json").replace(tmp_path / "b.json")
        temporary_folder_beside(tmp_path / "c").rmdir()
    if before:
        assert len(list(open_files.iterdir())) <= before + 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]
