"""What lips do at sounds that are no words: breath, laughter, song, a long pause.

The sounds are made by formants and noise (`models/training/manners.py`), each between silences, and motion alone is
made of them by the default preset. Printed is the inner-lip gap, in outer-eye distances, while each is heard.

Launch (one core, seconds)::

    python benchmarks/wordless.py
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
from languages import Judge, Listener
from spoken_sets import Recording

from talkhead_cli.mel import SAMPLE_RATE

sys.path.insert(0, str(Path(__file__).parent.parent / "models" / "training"))
from manners import breath, laughter, sung_vowels

FPS = 25
SILENCE_SECONDS = 0.6
LONG_PAUSE_SECONDS = 4.0


def sounds(seed: int) -> list[tuple[str, np.ndarray]]:
    """Name and waveform (n,) float32 of each, with silences between them."""
    rng = random.Random(seed)
    silence = np.zeros(round(SILENCE_SECONDS * SAMPLE_RATE), np.float32)
    made = [
        ("laughter", np.concatenate([laughter(rng)[0] for _ in range(3)])),
        ("breath", breath(rng)[0]),
        ("song", np.concatenate([sung_vowels(rng)[0] for _ in range(2)])),
        ("long pause", np.zeros(round(LONG_PAUSE_SECONDS * SAMPLE_RATE), np.float32)),
    ]
    return [part for sound in made for part in (("", silence), sound)]


def main() -> None:
    parts = sounds(0)
    wave = np.concatenate([sound for _, sound in parts]).astype(np.float32)
    gap = Judge("talkhead", Listener()).gap(Recording("wordless", "", "", wave, None))
    print("| | seconds | mean gap | 95th percentile |\n|---|---:|---:|---:|")
    start = 0
    for name, sound in parts:
        end = start + len(sound)
        heard = gap[round(start / SAMPLE_RATE * FPS) : round(end / SAMPLE_RATE * FPS)]
        if name:
            seconds, high = len(sound) / SAMPLE_RATE, np.percentile(heard, 95)
            print(f"| {name} | {seconds:.1f} | {heard.mean():.3f} | {high:.3f} |")
        start = end


if __name__ == "__main__":
    main()
