"""The encoder's test sets through noise, other voices, music, a telephone and a room, made again from their sources."""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT),
    str(ROOT / "models"),
    str(ROOT / "models" / "training"),
    str(ROOT / "benchmarks"),
]

from prepare_speech import shards  # noqa: E402
from sound_conditions import conditions  # noqa: E402
from speech_labels import label  # noqa: E402

from talkhead_cli.mel import log_mel  # noqa: E402

Pieces = list[dict[str, np.ndarray]]

CONDITIONS = ("white", "babble", "music", "telephone", "room")
"""First words of the names in `sound_conditions.conditions`."""


def test_waves(data: Path, name: str, minutes: float) -> tuple[list[np.ndarray], Pieces]:
    """Waves and labels of the first minutes of a test set: those that prepare_speech.py drew."""
    source, _, arguments = next(row[1:] for row in shards(str(data), 1.0) if row[0] == name)
    waves, pieces, frames = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        for wave, segments in source(random.Random(name), Path(folder), *arguments):
            waves.append(wave)
            pieces.append(label(wave, segments))
            frames += len(pieces[-1]["viseme"])
            if frames >= minutes * 6000:
                break
    return waves, pieces


def spoilt_sets(data: Path, names: list[str], minutes: float = 1.0) -> dict[str, dict[str, Pieces]]:
    """Set name to condition to labelled pieces; the people who babble are those of the other sets."""
    drawn = {name: test_waves(data, f"test_{name}", minutes) for name in names}
    found: dict[str, dict[str, Pieces]] = {}
    for name, (waves, pieces) in drawn.items():
        babblers = [wave for other in names if other != name for wave in drawn[other][0][:6]]
        made: dict[str, Pieces] = {"clean": pieces}
        for condition in conditions(babblers or waves):
            short = condition.name.split()[0].rstrip(",")
            if short in CONDITIONS:
                rng = np.random.default_rng(0)
                made[short] = [
                    piece | {"mel": log_mel(condition.apply(wave.astype(np.float32), rng))}
                    for wave, piece in zip(waves, pieces, strict=True)
                ]
        found[name] = made
    return found
