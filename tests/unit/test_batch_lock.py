"""The locks of a run's folder."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from talkhead_cli.batch.lock import (
    RUN_LOCK,
    WORKERS_LOCK,
    RunLock,
    find_holder,
    hold_as_worker,
    open_lock,
)
from talkhead_cli.errors import InputError
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talkhead_cli.batch.lock.GLANCE_SECONDS", 0.05)
    monkeypatch.setattr("talkhead_cli.batch.lock.ORPHAN_SECONDS", 0.05)


def test_only_one_holds_and_others_are_told_who(tmp_path):
    assert find_holder(tmp_path) is None
    with RunLock(tmp_path, tmp_path / "out"):
        holder = find_holder(tmp_path)
        assert holder is not None
        assert holder.pid == os.getpid()
        with pytest.raises(InputError, match=rf"out: process {os.getpid()} on .* is rendering"):
            RunLock(tmp_path, tmp_path / "out").__enter__()
    assert find_holder(tmp_path) is None
    with RunLock(tmp_path, tmp_path):
        pass


def test_a_holder_that_is_killed_holds_no_more(tmp_path):
    script = f"""
import os, signal
from pathlib import Path
from talkhead_cli.batch.lock import RunLock
with RunLock(Path({str(tmp_path)!r}), Path("out")):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == -9
    assert (tmp_path / RUN_LOCK).read_text()
    assert find_holder(tmp_path) is None
    with RunLock(tmp_path, tmp_path):
        pass


def test_workers_of_an_earlier_run_keep_the_folder(tmp_path):
    with open_lock(tmp_path / WORKERS_LOCK) as first, open_lock(tmp_path / WORKERS_LOCK) as second:
        fcntl.flock(first, fcntl.LOCK_SH)
        fcntl.flock(second, fcntl.LOCK_SH)
        with pytest.raises(InputError, match="workers of an earlier batch are still running"):
            RunLock(tmp_path, tmp_path).__enter__()
        fcntl.flock(first, fcntl.LOCK_UN)
        with pytest.raises(InputError, match="workers of an earlier batch are still running"):
            RunLock(tmp_path, tmp_path).__enter__()
        fcntl.flock(second, fcntl.LOCK_UN)
        with RunLock(tmp_path, tmp_path):
            fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)  # as this run's own workers do


def test_a_lock_whose_folder_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()

    def remove_first(file: object, seconds: float) -> bool:
        shutil.rmtree(folder)
        return True

    monkeypatch.setattr("talkhead_cli.batch.lock.wait_for", remove_first)
    with pytest.raises(InputError, match="was removed by another batch; try again"):
        RunLock(folder, tmp_path).__enter__()


def test_file_systems_without_locks_are_told(tmp_path, monkeypatch):
    def refuse(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InputError, match=r"lock: cannot be locked .* another file system"):
        RunLock(tmp_path, tmp_path).__enter__()
    hold_as_worker(tmp_path)  # a worker does without
    hold_as_worker(tmp_path / "missing")


def test_a_folder_that_is_missing_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        RunLock(tmp_path / "missing", tmp_path).__enter__()


def test_a_lock_that_says_nothing(tmp_path):
    Path(tmp_path, RUN_LOCK).write_text("{")
    with Path(tmp_path, RUN_LOCK).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is rendering"):
            RunLock(tmp_path, tmp_path).__enter__()
