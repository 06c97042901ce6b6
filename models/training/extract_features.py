"""Stage S4: speech features of every clip with speech, through the product's own audio path and trained encoder.

Reads ``DATA/clips.csv`` and ``DATA/clips/*.mp4`` and writes one ``WORK/features/<clip>.npz`` a clip:
``features`` (L, 20) float32 at 50/s, ``duration_seconds``, and ``bundle``, the sha256 of the encoder that made
them. Clips done with the present bundle are skipped: run it again whenever the bundle changes.

Launch (one process, about 5 minutes for 75 minutes of speech)::

    python models/training/extract_features.py --data DATA --work data/train
"""

from __future__ import annotations

import argparse
import csv
import logging
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models")]

from talkhead_cli.audio import extract_features  # noqa: E402
from talkhead_cli.errors import AudioError  # noqa: E402
from talkhead_models.bundle import load_bundle  # noqa: E402
from talkhead_models.speech import load_speech_encoder  # noqa: E402

log = logging.getLogger("extract_features")


def is_done(path: Path, digest: str) -> bool:
    """Whether a clip's features come from this bundle."""
    if not path.is_file():
        return False
    with np.load(path) as file:
        return str(file["bundle"]) == digest


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv and clips/")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--bundle", default="speech", help="name or path of the encoder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    digest = load_bundle(arguments.bundle).sha256
    encoder = load_speech_encoder(arguments.bundle)
    folder = arguments.work / "features"
    folder.mkdir(parents=True, exist_ok=True)
    with (arguments.data / "clips.csv").open(newline="") as file:
        clips = [row["file"] for row in csv.DictReader(file) if row["speech"] == "yes"]
    clips.sort(
        key=lambda name: "_data_s1_" in name
    )  # many people first, the single speaker's bulk last
    written = 0
    for name in clips:
        target = folder / f"{Path(name).stem}.npz"
        if is_done(target, digest):
            continue
        try:
            features = extract_features(arguments.data / "clips" / name, encoder)
        except AudioError as error:
            log.warning("%s", error)
            continue
        partial = target.with_suffix(".partial.npz")
        np.savez(
            partial,
            features=features.array,
            duration_seconds=features.duration_seconds,
            bundle=digest,
        )
        partial.replace(target)
        written += 1
    log.info("%d clips written, %d skipped or failed", written, len(clips) - written)


if __name__ == "__main__":
    main()
