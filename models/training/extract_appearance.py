"""Stage 4c: the appearance code of every frame of every clip, for the motion generator.

Reads clips, ``WORK/mesh`` and ``WORK/motion``; writes ``WORK/appearance/NAME.npz`` with ``codes`` (T, 12) float32.

Launch (1 core, about 8 minutes)::

    python models/training/extract_appearance.py --data DATA --work data/train
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from motion_data import read_rows
from prepare_patches import read_frames

from talkhead_models.appearance import encode_mouths, load_appearance_encoder
from talkhead_models.basis import fit_pose

log = logging.getLogger("extract_appearance")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--bundle", default="appearance", help="name or path of the encoder")
    parser.add_argument("--part", default="0/1", help="i/n: only every n-th clip from the i-th on")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    encoder = load_appearance_encoder(args.bundle)
    out = args.work / "appearance"
    out.mkdir(parents=True, exist_ok=True)
    first, count = (int(number) for number in args.part.split("/"))
    for number, (name, row) in enumerate(read_rows(args.data).items()):
        path = args.work / "motion" / f"{name}.npz"
        if number % count != first or not path.exists() or (out / f"{name}.npz").exists():
            continue
        with np.load(path) as stored:
            neutral = stored["neutral"]
        with np.load(args.work / "mesh" / f"{name}.npz") as stored:
            meshes, tracked = stored["mesh"].astype(np.float32), stored["tracked"]
        # Frames without a face borrow the nearest mesh before; their codes are interpolated over later.
        last = np.maximum.accumulate(np.where(tracked, np.arange(len(tracked)), np.argmax(tracked)))
        meshes = meshes[last]
        frames = read_frames(args.data / "clips" / row["file"])[: len(meshes)]
        meshes = meshes[: len(frames)]
        codes = encode_mouths(encoder, frames, meshes, neutral, fit_pose(meshes, neutral))
        np.savez(out / f"{name}.npz", codes=codes)
        if number % 100 == 0:
            log.info("%d clips", number)


if __name__ == "__main__":
    main()
