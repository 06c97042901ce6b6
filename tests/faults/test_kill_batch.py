"""The kill test of batches, in short; stand-in rows are killed in tests/pipeline/test_batch_run.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_two_kills_and_a_dead_worker_lose_nothing():
    script = Path(__file__).with_name("kill_batch.py")
    options = ["--kills", "2", "--rows", "4", "--worker-kills", "1"]
    done = subprocess.run(
        [sys.executable, str(script), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing lost, doubled, torn or left over" in done.stdout
