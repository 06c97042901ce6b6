"""Fixtures of the command line tests."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from talkhead_cli.app import run
from tests.cli.batch_process import Batch
from tests.cli.stand_in import StandInPipeline
from tests.conftest import ROOT


@dataclass(frozen=True)
class Outcome:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def event(self, kind: str) -> dict[str, Any]:
        return next(event for event in self.events if event["event"] == kind)


Talkhead = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def keep_logging() -> Iterator[None]:
    """Commands set up logging for a process of their own."""
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("talkhead_cli", "talkhead_models")}
    before = list(root.handlers), root.level
    yield
    root.handlers, root.level = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def talkhead(capfd: pytest.CaptureFixture[str]) -> Talkhead:
    """Run a command line in this process, through the same door as the console script."""

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        return Outcome(code, *capfd.readouterr())

    return call


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """No trained generator: the pipeline is replaced, all around it is real."""
    monkeypatch.setattr("talkhead_cli.pipeline.TalkingHeadPipeline", StandInPipeline)


def start_process(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    """Start the stand-in command line as a process."""
    environment = {**os.environ, **options.pop("env", {})}
    command = [sys.executable, "-m", "tests.cli.stand_in", *map(str, arguments)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **{**pipes, **options})


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, to compare before and after."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@dataclass
class Case:
    """A render that would succeed, for a test to spoil."""

    folder: Path
    portrait: Path
    audio: Path
    output: Path
    options: list[str] = field(default_factory=list)


@pytest.fixture
def case(tmp_path: Path, astronaut_png: Path, short_wav: Path) -> Case:
    folder = tmp_path / "work"
    folder.mkdir()
    portrait = Path(shutil.copy(astronaut_png, folder / "face.png"))
    audio = Path(shutil.copy(short_wav, folder / "speech.wav"))
    return Case(folder, portrait, audio, folder / "out.mp4")


def refused(case: Case, talkhead: Talkhead, code: int, words: str) -> None:
    """Render, and insist on one sentence, the exit code, and an untouched folder."""
    before = contents(case.folder)
    done = talkhead("render", case.portrait, case.audio, "-o", case.output, *case.options)
    assert done.code == code, done.err
    assert done.out == ""
    lines = [line for line in done.err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1, done.err
    assert lines[0].startswith("error: ")
    assert words in lines[0]
    assert contents(case.folder) == before


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[Batch]:
    batch = Batch(tmp_path)
    yield batch
    for process in batch.started:
        with process:
            process.kill()


@pytest.fixture
def folder(
    tmp_path: Path, astronaut_png: Path, short_wav: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The working folder, with what the pages' examples call portrait.png and speech.wav."""
    shutil.copy(astronaut_png, tmp_path / "portrait.png")
    shutil.copy(short_wav, tmp_path / "speech.wav")
    monkeypatch.chdir(tmp_path)
    return tmp_path
