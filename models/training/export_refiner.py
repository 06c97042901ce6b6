"""Stage 4b: write the bundles of a trained refiner (and appearance encoder), and print the whole held-out table.

``--blend`` takes a second checkpoint and lies on the straight line between the two sets of weights (Wang et al.,
"ESRGAN", ECCV workshops 2018, section 3.4), which trades sharpness against error without training.

Launch (2 minutes)::

    python models/training/export_refiner.py --kind mouth --checkpoint data/train/refiner_mouth.pt --out DIR
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
from refiner_parts import Pairs, evaluate

from talkhead_models.appearance import AppearanceConfig, AppearanceEncoder
from talkhead_models.bundle import save_bundle
from talkhead_models.refiner import Refiner, RefinerConfig

log = logging.getLogger("export_refiner")


def part_of(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=("mouth", "eyes"), default="mouth")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--blend", type=Path, help="an earlier checkpoint of the same run")
    parser.add_argument("--share", type=float, default=0.15, help="of the blended checkpoint")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--channels", default="40,80,144")
    parser.add_argument("--every", type=int, default=1, help="pairs judged: one in so many")
    parser.add_argument("--out", type=Path, help="folder of the bundles; none prints only")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    held = Pairs(args.work / "patches" / f"{args.kind}_held.npz")
    height, width = held.arrays["source"].shape[1:3]
    stored = torch.load(args.checkpoint, weights_only=True)
    weights = stored["average"]
    if args.blend:
        other = torch.load(args.blend, weights_only=True)["average"]
        weights = {name: value.lerp(other[name], args.share) for name, value in weights.items()}
    channels = tuple(int(c) for c in args.channels.split(","))
    mouth = args.kind == "mouth"
    appearance = AppearanceConfig()
    size = appearance.code_size if mouth else 0
    network = Refiner(RefinerConfig(width, height, channels, code_size=size, own_inside=mouth))
    network.load_state_dict(part_of(weights, "network."))
    encoder = None
    results = {"no code" if mouth else "held out": evaluate(network, held, None, args.every)}
    if mouth:
        encoder = AppearanceEncoder(appearance)
        encoder.load_state_dict(part_of(weights, "encoder."))
        results["real code"] = evaluate(network, held, encoder, args.every)
    for name, table in results.items():
        log.info("%s: %s", name, ", ".join(f"{k} {v:.4f}" for k, v in table.items()))
    if not args.out:
        return
    metadata = {
        "data_tier": "permissive",
        "licence": "Apache-2.0",
        "training_command": f"python models/training/train_refiner.py --kind {args.kind} --steps {stored['step']}"
        + (f", blended {args.share} with a checkpoint of L1 alone" if args.blend else ""),
        "held_out": "; ".join(
            f"{name}: " + ", ".join(f"{k} {v:.4f}" for k, v in table.items())
            for name, table in results.items()
        ),
    }
    for name, part in ((f"refiner-{args.kind}", network), ("appearance", encoder)):
        if part is not None:
            half = {k: v.half() for k, v in part.state_dict().items()}
            save_bundle(args.out / f"{name}.safetensors", half, part.metadata(), metadata)


if __name__ == "__main__":
    main()
