"""The same inputs give the same bytes, whatever the machine's number of cores."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from tests.cli.conftest import Talkhead
from tests.conftest import ROOT

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def test_any_number_of_threads_gives_the_same_video(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here.mp4", tmp_path / "there.mp4"
    given = ["--device", "cpu", "--no-sidecar", "--quiet"]
    assert talkhead("render", astronaut_png, short_wav, "-o", here, *given).code == 0
    command = [sys.executable, "-m", "talkhead_cli", "render", astronaut_png, short_wav]
    count = "2" if torch.get_num_threads() == 3 else "3"
    environment = {**os.environ, **dict.fromkeys(THREADS, count)}
    subprocess.run([*command, "-o", there, *given], cwd=ROOT, env=environment, check=True)
    assert here.read_bytes() == there.read_bytes()
