"""The tutorials: every box marked `run` is run, in order, from a folder that holds what a checkout's examples/ does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from talkhead_cli.media import probe_media
from tests.conftest import ROOT

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))

MADE = {
    "night-run": {
        "night/videos/hopper.mp4",
        "night/videos/astronaut.mp4",
        "night/videos/again.mp4",
    },
    "one-render": {"first.mp4", "calm.mp4", "happy.mp4", "mine.mp4"},
    "pipeline": {"piped.mp4", "streamed.mkv", "events.mp4", "speech-video.mp4", "videos/one.mp4"},
}
"""Videos that a tutorial says to make."""


def boxes(page: Path) -> list[str]:
    """The texts of the boxes that are to be run."""
    return re.findall(r"^```bash run\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the examples, and one of commands on the PATH: this tree's talkhead, this Python."""
    shutil.copytree(ROOT / "examples", tmp_path / "checkout" / "examples")
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, words in (("talkhead", "-m talkhead"), ("python", "")):
        shim = commands / name
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        shim.chmod(0o755)
    return tmp_path / "checkout"


def run(page: Path, folder: Path) -> None:
    """Run a page's boxes as one script, as a person types them into one shell."""
    environment = {
        **os.environ,
        "PATH": f"{folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'models'}",
    }
    script = "set -euo pipefail\n" + "\n".join(boxes(page))
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_tutorial_works(page: Path, checkout: Path) -> None:
    run(page, checkout)
    for name in MADE[page.stem]:
        found = probe_media(checkout / name)
        assert found.has_video, name
        assert found.audio_codec, name


def test_commands_of_tutorials_are_run() -> None:
    assert {page.stem for page in TUTORIALS} == set(MADE)
    for page in TUTORIALS:
        assert len(boxes(page)) >= 5
        others = re.findall(r"^```bash\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
        # The installation, which wants a network, and a line of somebody's crontab.
        assert all(text.startswith(("python3 -m venv", "# crontab -e")) for text in others)
