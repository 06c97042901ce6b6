"""Fixtures of the command line tests."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from talkhead_cli.app import run
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
