"""Stage S4: speech features of every clip with speech, through the product's own audio path and trained encoders.

Reads ``DATA/clips.csv`` and ``DATA/clips/*.mp4`` and writes one ``WORK/features/<clip>.npz`` a clip:
``features`` (L, 20) float32 at 50/s, ``duration_seconds``, and ``bundle``, the sha256 of the encoder that made
them. Clips done with the present bundle are skipped: run it again whenever the bundle changes.

``--wide`` writes the further kinds instead: ``WORK/features_wide/<clip>.npz`` with ``wide`` (L, 36) float16, the rows
of the features (log-mel and lip-informed numbers); and, with ``--speech``, of the trial speech ``<name>.npz`` with all
of it, ``features`` (L, 56) float32. ``--hubert FOLDER`` writes ``WORK/features_hubert/<clip>.npz`` with ``hubert``
(L, D) float16, from a HuBERT checkpoint (extra ``[hubert]``).

Launch (one process, about 5 minutes each for 75 minutes of speech)::

    python models/training/extract_features.py --data DATA --work data/train
    python models/training/extract_features.py --data DATA --work data/train --wide --speech DATA/speech
"""

from __future__ import annotations

import argparse
import csv
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models")]

from talkhead_cli.audio import (  # noqa: E402
    decode_stream,
    extract_features,
    log_mel,
    read_header,
    resample_blocks,
)
from talkhead_cli.errors import AudioError  # noqa: E402
from talkhead_models.bundle import BundleError, load_bundle  # noqa: E402
from talkhead_models.hubert import load_hubert  # noqa: E402
from talkhead_models.lip_audio import load_lip_audio, wide_columns  # noqa: E402
from talkhead_models.speech import load_speech_encoder  # noqa: E402

log = logging.getLogger("extract_features")

Arrays = dict[str, np.ndarray | float]


def waveform_of(path: Path) -> np.ndarray:
    """(S,) float32 at 16 kHz."""
    stream = read_header(path)
    blocks = resample_blocks(decode_stream(path, stream, None), stream.sample_rate)
    return np.concatenate(list(blocks))


def is_done(path: Path, digest: str) -> bool:
    """Whether a clip's features come from this bundle."""
    if not path.is_file():
        return False
    with np.load(path) as file:
        return "bundle" in file.files and str(file["bundle"]) == digest


def write(
    paths: list[Path], folder: Path, digest: str, features_of: Callable[[Path], Arrays]
) -> None:
    """The features of many recordings, one file each; those that are done are skipped."""
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for path in paths:
        target = folder / f"{path.stem}.npz"
        if is_done(target, digest):
            continue
        try:
            arrays = features_of(path)
        except AudioError as error:
            log.warning("%s", error)
            continue
        partial = target.with_suffix(".partial.npz")
        np.savez(partial, bundle=digest, **arrays)
        partial.replace(target)
        written += 1
    log.info("%s: %d written, %d skipped or failed", folder.name, written, len(paths) - written)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv and clips/")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--bundle", default="speech", help="name or path of the encoder")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--wide", action="store_true", help="log-mel and lip-informed numbers")
    kinds.add_argument("--hubert", type=Path, help="folder of a HuBERT checkpoint")
    parser.add_argument("--lip-bundle", default="lip-audio", help="name or path, for --wide")
    parser.add_argument("--speech", type=Path, help="folder of trial speech (flite_*), for --wide")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    with (arguments.data / "clips.csv").open(newline="") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["speech"] == "yes"]
    # Many people first, the single speaker's bulk last.
    names.sort(key=lambda name: "_data_s1_" in name)
    clips = [arguments.data / "clips" / name for name in names]

    if arguments.hubert:
        try:
            hubert = load_hubert(arguments.hubert)
        except BundleError as error:
            raise SystemExit(str(error)) from error
        write(
            clips,
            arguments.work / "features_hubert",
            str(arguments.hubert),
            lambda path: {"hubert": hubert.encode(waveform_of(path)).astype(np.float16)},
        )
        return
    encoder = load_speech_encoder(arguments.bundle)
    digest = load_bundle(arguments.bundle).sha256
    if not arguments.wide:

        def narrow(path: Path) -> Arrays:
            features = extract_features(path, encoder)
            return {
                "features": features.array,
                "duration_seconds": features.duration_seconds,
            }

        write(clips, arguments.work / "features", digest, narrow)
        return
    lips = load_lip_audio(arguments.lip_bundle)
    lip_digest = load_bundle(arguments.lip_bundle).sha256
    folder = arguments.work / "features_wide"
    if arguments.speech:
        write(
            sorted(arguments.speech.glob("flite_*.flac")),
            folder,
            f"{digest} {lip_digest}",
            lambda path: {"features": extract_features(path, encoder, 600.0, lips).array},
        )
    write(
        clips,
        folder,
        lip_digest,
        lambda path: {"wide": wide_columns(lips, log_mel(waveform_of(path))).astype(np.float16)},
    )


if __name__ == "__main__":
    main()
