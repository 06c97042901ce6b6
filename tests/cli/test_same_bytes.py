"""The same inputs give the same bytes, whatever the machine's number of cores."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def test_any_number_of_threads_gives_the_same_video(
    astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    made = []
    for count in (1, 3):
        output = tmp_path / f"threads{count}.mp4"
        command = [sys.executable, "-m", "talkhead_cli", "render", astronaut_png, short_wav]
        command += ["-o", output, "--device", "cpu", "--no-sidecar", "--quiet"]
        environment = {**os.environ, **dict.fromkeys(THREADS, str(count))}
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        made.append(output.read_bytes())
    assert made[0] == made[1]
