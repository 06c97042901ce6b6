"""Other voices for the single speaker's lips: his sentences spoken by synthesisers, in his own timing.

Nearly all sound with exact lip sync is one man's, so that an encoder trained on it learns his voice. Each of his
transcripts is spoken by flite and espeak-ng voices, and the log-mel of that is laid on his timing by dynamic time
warping of viseme posteriors (the speech encoder's, of both). Writes one ``WORK/dubs/<voice>.npz`` a voice, which holds
a ``<clip>`` (L2, 80) float16 log-mel for every clip that can be aligned; finished voices are skipped.

Needs flite and espeak-ng. Launch (1 core, about 2 minutes a voice)::

    OMP_NUM_THREADS=1 python models/training/dub_clips.py --data DATA --work data/train
"""

from __future__ import annotations

import argparse
import logging
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models"), str(ROOT / "models" / "training")]

from espeak import Espeak  # noqa: E402
from motion_data import read_rows  # noqa: E402
from prepare_speech import VARIANTS, decode_clip, read_16k  # noqa: E402
from splits import SINGLE_SPEAKER, is_validation_clip  # noqa: E402

from talkhead_cli.mel import log_mel  # noqa: E402
from talkhead_models.speech import SpeechEncoder, load_speech_encoder  # noqa: E402

log = logging.getLogger("dub_clips")

VOICES = ("slt", "awb", "kal16", "espeak-a", "espeak-b")
"""flite's voices but rms, which is held out; espeak-ng with another variant for every sentence."""

BAND = 60
"""Steps of 20 ms that the path may leave the diagonal by."""

LARGEST_COST = 0.3
"""Mean distance of posteriors along the path above which a clip is left out."""


def speak(
    voice: str, text: str, rng: random.Random, folder: Path, engine: list[Espeak]
) -> np.ndarray:
    """A sentence as a waveform (S,) float32 at 16 kHz."""
    if voice.startswith("espeak"):
        if not engine:
            engine.append(Espeak())
        name = f"en-us+{rng.choice(VARIANTS.split())}"
        spoken = engine[0].speak(name, text, 130, rng.randint(20, 80), rng.randint(20, 80))
        return np.zeros(1600, np.float32) if spoken is None else spoken.wave
    path = folder / "flite.wav"
    settings = []
    if voice == "kal16":
        settings = ["--setf", f"int_f0_target_mean={rng.uniform(75, 170):.0f}"]
    command = ["flite", "-voice", voice, *settings, "-t", text]
    subprocess.run([*command, "-o", str(path)], check=True, capture_output=True)
    return read_16k(path)


@torch.no_grad()
def posteriors(encoder: SpeechEncoder, mel: np.ndarray) -> np.ndarray:
    """Viseme posteriors (L, 16), a little smoothed so that borders attract."""
    found = encoder(torch.from_numpy(mel)[None]).visemes[0].softmax(-1).numpy()
    padded = np.pad(found, ((1, 1), (0, 0)), "edge")
    return (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4


def warp_path(target: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, float]:
    """Dynamic time warping.

    Args:
        target: (L, 16) posteriors whose timing is kept.
        source: (M, 16) posteriors that are laid on it.

    Returns:
        (L,) float source step for each target step, and the mean distance along the path.
    """
    distance = 1 - np.sqrt(np.maximum(target, 1e-6)) @ np.sqrt(np.maximum(source, 1e-6)).T
    count, size = distance.shape
    slope = size / count
    total = np.full((count + 1, size + 1), np.inf)
    total[0, 0] = 0
    for i in range(1, count + 1):
        low, high = int(max(1, i * slope - BAND)), int(min(size, i * slope + BAND))
        row, above = total[i], total[i - 1]
        for j in range(low, high + 1):
            row[j] = distance[i - 1, j - 1] + min(above[j - 1], above[j] + 0.05, row[j - 1] + 0.05)
    i, j = count, size
    hits: list[list[int]] = [[] for _ in range(count)]
    while i > 0 and j > 0:
        hits[i - 1].append(j - 1)
        step = int(np.argmin((total[i - 1, j - 1], total[i - 1, j], total[i, j - 1])))
        i, j = i - (step != 2), j - (step != 1)
    places = np.array([np.mean(hit) if hit else 0.0 for hit in hits])
    return places, float(total[count, size] / max(count, size))


def lay(mel: np.ndarray, places: np.ndarray, length: int) -> np.ndarray:
    """Log-mel (M2, 80) read at steps `places` (L,), to (length, 80)."""
    smooth = np.convolve(np.pad(places, 2, "edge"), np.full(5, 0.2), "valid")
    wanted = np.interp((np.arange(length) - 0.5) / 2, np.arange(len(smooth)), smooth) * 2 + 0.5
    wanted = np.clip(wanted, 0, len(mel) - 1.001)
    low = wanted.astype(int)
    share = (wanted - low)[:, None].astype(np.float32)
    return mel[low] * (1 - share) + mel[low + 1] * share


def dub(voice: str, rows: dict, data: Path, encoder: SpeechEncoder, target: Path) -> None:
    """All clips by one voice."""
    rng, engine, made = random.Random(voice), [], {}
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        for name, row in rows.items():
            own = log_mel(decode_clip(data / "clips" / row["file"]))
            spoken = log_mel(speak(voice, row["transcript"], rng, Path(folder), engine))
            places, cost = warp_path(posteriors(encoder, own), posteriors(encoder, spoken))
            costs.append(cost)
            if cost <= LARGEST_COST:
                made[name] = lay(spoken, places, len(own)).astype(np.float16)
    partial = target.with_suffix(".partial.npz")
    np.savez(partial, **made)
    partial.replace(target)
    log.info(
        "%s: %d of %d clips, median distance %.3f", voice, len(made), len(rows), np.median(costs)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv and clips/")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--voices", nargs="+", choices=VOICES, default=VOICES)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    rows = {
        name: row
        for name, row in read_rows(arguments.data).items()
        if row["person"] == SINGLE_SPEAKER
        and row["transcript"]
        and not is_validation_clip(row["person"], name)
    }
    encoder = load_speech_encoder()
    folder = arguments.work / "dubs"
    folder.mkdir(parents=True, exist_ok=True)
    for voice in arguments.voices:
        target = folder / f"{voice}.npz"
        if not target.exists():
            dub(voice, rows, arguments.data, encoder, target)


if __name__ == "__main__":
    main()
