"""Stage 4b: blend a refiner trained on L1 alone with its adversarially trained successor, and write the bundle.

Network interpolation (Wang et al., "ESRGAN", ECCV workshops 2018, section 3.4): the straight line between the two sets
of weights trades sharpness against error without training. Prints the held-out table of the blend.

Launch (2 minutes)::

    python models/training/blend_refiner.py --first data/train/mouth_l1.pt --second data/train/mouth.pt \
        --share 0.85 --out models/talkhead_models/weights/refiner-mouth.safetensors
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
from train_refiner import Pairs, evaluate

from talkhead_models.bundle import save_bundle
from talkhead_models.refiner import Refiner, RefinerConfig

log = logging.getLogger("blend_refiner")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", default="mouth")
    parser.add_argument("--first", type=Path, required=True)
    parser.add_argument("--second", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.85, help="of the second")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--channels", default="40,80,144")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    held = Pairs(args.work / "patches" / f"{args.kind}_held.npz")
    height, width = held.arrays["skin"].shape[1:3]
    first, second = (
        torch.load(path, weights_only=True)["average"] for path in (args.first, args.second)
    )
    blend = {name: first[name].lerp(second[name], args.share) for name in first}
    channels = tuple(int(c) for c in args.channels.split(","))
    network = Refiner(RefinerConfig(width, height, channels))
    network.load_state_dict(blend)
    result = ", ".join(f"{name} {value:.4f}" for name, value in evaluate(network, held).items())
    log.info("blend %.2f held out: %s", args.share, result)
    metadata = {
        "data_tier": "permissive",
        "licence": "Apache-2.0",
        "training_command": "python models/training/train_refiner.py --kind mouth, "
        f"then models/training/blend_refiner.py --share {args.share}",
        "held_out": result,
    }
    save_bundle(args.out, {k: v.half() for k, v in blend.items()}, network.metadata(), metadata)


if __name__ == "__main__":
    main()
