"""What the tests of faults share: stand-ins of ffmpeg, small disks, and the fixtures of the command line tests."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from talkhead_cli import ffmpeg_binary
from tests.batch_stand_in import stand_in_plan
from tests.cli.conftest import batch, case, keep_logging, stand_in, talkhead
from tests.faults.rows import InlineBackend, Rows

__all__ = ["batch", "case", "keep_logging", "stand_in", "talkhead"]

PATIENCE = 0.4
"""Seconds after which a stand-in that does nothing is taken as hung."""

TOOLS = {
    "encode": "*rawvideo*",
    "join": "*concat*",
    "decode": "*f32le*",
    "frames": "*image2pipe*",
    "all": "*",
}
"""What ffmpeg is run for, by its arguments."""

StandIn = Callable[..., Path]


@pytest.fixture
def ffmpeg_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Puts a script in ffmpeg's place, for one thing that it is run for; everything else the real one does.

    The script finds the real one as $REAL and its last argument, the output, without "file:" as $OUT.
    """
    real = ffmpeg_binary.ffmpeg_path("libx264")
    path = tmp_path / "bin" / "ffmpeg"

    def put(script: str, tool: str = "encode", patience: float = PATIENCE) -> Path:
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"#!/bin/bash\nREAL={shlex.quote(real)}\nOUT=${{@: -1}}; OUT=${{OUT#file:}}\n"
            f'case "$*" in {TOOLS[tool]})\n{script}\n;; esac\nexec "$REAL" "$@"\n'
        )
        path.chmod(0o755)
        monkeypatch.setenv("TALKHEAD_FFMPEG", str(path))
        monkeypatch.setenv("TALKHEAD_FFMPEG_PATIENCE", str(patience))
        return path

    clear_caches()
    yield put
    clear_caches()


def clear_caches() -> None:
    """Forget which ffmpeg there is."""
    ffmpeg_binary.ffmpeg_path.cache_clear()
    ffmpeg_binary.list_encoders.cache_clear()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a folder that is a disk of so many kilobytes; only the system's administrator may (marker `disk`)."""
    mounted: list[Path] = []

    def make(kilobytes: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        options = f"size={kilobytes}k"
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
            capture_output=True,
            check=True,
        )
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rows:
    """A batch of stand-in rows in this process."""
    monkeypatch.setattr("talkhead_cli.batch.run.plan_batch", stand_in_plan)
    monkeypatch.setattr("talkhead_cli.batch.run.open_backend", lambda request: InlineBackend())
    (tmp_path / "rows").mkdir()
    return Rows(tmp_path / "rows", tmp_path / "rows" / "out")
