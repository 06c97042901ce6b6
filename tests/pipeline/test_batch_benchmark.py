"""The benchmark of batches, on the smallest input there is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_the_benchmark_measures_every_run(astronaut_png: Path, tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "benchmarks" / "batch.py", "--portrait", astronaut_png]
    command += [
        "--rows",
        "4",
        "--seconds",
        "1",
        "--singles",
        "1",
        "--repeats",
        "2",
        "--json",
        tmp_path / "out.json",
    ]
    subprocess.run(list(map(str, command)), check=True, cwd=tmp_path)
    values = json.loads((tmp_path / "out.json").read_text())
    assert [(run["workers"], run["rows"], run["loads"]) for run in values["runs"]] == [
        (1, 4, 1),
        (1, 4, 1),
        (2, 4, 2),
        (2, 4, 2),
        (1, 4, 1),
    ]
    assert [len(run["worker_mib"]) for run in values["runs"]] == [1, 1, 2, 2, 1]
    assert all(size > 100 for run in values["runs"] for size in run["worker_mib"])
    _, *pairs = (run["render_seconds"] for run in values["runs"])
    ratios = [pairs[0] / (2 * pairs[1]), pairs[3] / (2 * pairs[2])]
    assert values["efficiency_of_pairs"] == pytest.approx(ratios)
    assert values["efficiency"] == pytest.approx(sum(ratios) / 2)
    assert values["warm_render_seconds"] > 0
