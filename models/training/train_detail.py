"""Stage 4d: train the detail network to double the resolution of mouths, from 48 to 96 pixels.

The rough mouth is the real one halved, blurred at random, and enlarged. Losses: L1 and gradient L1 within the
hole, a hinge patch discriminator with R1 and feature matching. The single speaker, whose clips are smaller than the
patch, is left out. Prints held-out errors, writes the bundle.

Launch (1 core, about 10 minutes)::

    python models/training/train_detail.py --work data/train --out DIR
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from refiner_parts import Batch, Discriminator, Pairs, augment, gradients
from splits import SINGLE_SPEAKER
from torch.nn import functional as F
from train_refiner import critic_step

from talkhead_models.bundle import save_bundle
from talkhead_models.detail import WINDOW, Detail, DetailConfig, enlarge, fine_structure
from talkhead_models.refiner import own_share

log = logging.getLogger("train_detail")


def blurred(picture: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """A share of a 3x3 binomial blur, (B, 1, 1, 1) in [0, 1]."""
    line = picture.new_tensor([0.25, 0.5, 0.25])
    kernel = (line[:, None] * line)[None, None].expand(picture.shape[1], -1, -1, -1)
    padded = F.pad(picture, (1, 1, 1, 1), mode="replicate")
    return picture + (F.conv2d(padded, kernel, groups=picture.shape[1]) - picture) * amount


def cut(batch: Batch, random: np.random.Generator | None) -> Batch:
    """The window of a batch, with the network's inputs beside it."""
    share = own_share(batch["source_hole"])
    own = fine_structure(batch["source"])
    amount = torch.full((len(share), 1, 1, 1), 0.7)
    if random is not None:
        amount = torch.from_numpy(random.uniform(0, 2, amount.shape)).float()
    # What a refiner paints is softer than what halving leaves.
    small = blurred(F.avg_pool2d(batch["truth"], 2), amount.clamp(max=1))
    rough = enlarge(blurred(small, (amount - 1).clamp(min=0)))
    values = {**batch, "rough": rough, "own": own, "share": share}
    return {name: value[..., WINDOW[0], WINDOW[1]].contiguous() for name, value in values.items()}


def refine(network: Detail, part: Batch) -> torch.Tensor:
    """The truth with the fine mouth within the hole."""
    fine = network(part["rough"], part["hole"], part["own"], part["share"]).float()
    return part["truth"] * (1 - part["hole"]) + fine * part["hole"]


@torch.no_grad()
def evaluate(network: Detail, pairs: Pairs) -> dict[str, float]:
    """Held out: L1 of the rough and the fine mouth within the hole, and their gradient energy over the truth's."""
    rows = []
    for start in range(0, len(pairs), 3 * 16):
        part = cut(pairs.batch(np.arange(start, min(start + 48, len(pairs)), 3)), None)
        hole, truth = part["hole"], part["truth"]
        row = []
        for picture in (part["rough"] * hole + truth * (1 - hole), refine(network, part)):
            row.append(((picture - truth).abs().sum() / hole.sum() / 3).item())
            energy = [sum(g.abs().mean() for g in gradients(p * hole)) for p in (picture, truth)]
            row.append((energy[0] / energy[1]).item())
        rows.append(row)
    means = np.mean(rows, 0)
    return dict(zip(("rough", "rough_sharp", "fine", "fine_sharp"), map(float, means), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument(
        "--adversarial-from", type=int, default=10**9, help="by default never, see the log"
    )
    parser.add_argument("--adversarial", type=float, default=0.01)
    parser.add_argument("--matching", type=float, default=0.1)
    parser.add_argument("--batch", type=int, default=8, help="pairs of two frames")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)

    train = Pairs(args.work / "patches" / "mouth_train.npz")
    held = Pairs(args.work / "patches" / "mouth_held.npz")
    with np.load(args.work / "patches" / "mouth_train.npz") as file:
        single = list(file["people"]).index(SINGLE_SPEAKER)
    open_share = (train.arrays["hole"] > 128).mean((1, 2, 3))
    train.weights = (
        train.weights * (train.arrays["person"] != single) * np.minimum(open_share, 0.05)
    )
    train.weights /= train.weights.sum()
    network, critic = Detail(DetailConfig()), Discriminator(0)
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters(), args.lr, betas=(0.8, 0.99))
    critic_optimiser = torch.optim.AdamW(critic.parameters(), args.lr / 2, betas=(0.5, 0.99))

    started, sums = time.time(), np.zeros(3)
    for step in range(args.steps):
        random = np.random.default_rng([args.seed, step])
        chosen = random.choice(len(train), args.batch, p=train.weights)
        part = cut(augment(train.batch(chosen), random), random)
        rate = (
            args.lr
            * min(1, (step + 1) / 100)
            * (0.02 + 0.49 * (1 + math.cos(math.pi * step / args.steps)))
        )
        for group in (*optimiser.param_groups, *critic_optimiser.param_groups):
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            fine = network(part["rough"], part["hole"], part["own"], part["share"])
        fake = part["truth"] * (1 - part["hole"]) + fine.float() * part["hole"]
        area = part["hole"].mean().clamp(min=0.01)
        l1 = (fake - part["truth"]).abs().mean() / area
        differences = zip(gradients(fake), gradients(part["truth"]), strict=True)
        loss = l1 + sum((a - b).abs().mean() for a, b in differences) / area
        sums[0] += l1.item()
        if step >= args.adversarial_from:
            sums[1] += critic_step(critic, critic_optimiser, fake, part, step)
            critic.requires_grad_(False)
            with torch.autocast("cpu", torch.bfloat16):
                logits, features = critic(fake, part)
                with torch.no_grad():
                    _, wanted = critic(part["truth"], part)
            critic.requires_grad_(True)
            ramp = min(1.0, (step - args.adversarial_from) / 300)
            matching = sum(
                (a.float() - b.float()).abs().mean() for a, b in zip(features, wanted, strict=True)
            )
            loss = (
                loss
                + ramp
                * (
                    matching * args.matching
                    - args.adversarial * (logits.float() * critic.attention(part, logits)).mean()
                )
                / area
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        with torch.no_grad():
            for name, value in network.state_dict().items():
                average[name].lerp_(value, 1 - min(0.998, (1 + step) / (10 + step)))
        if (step + 1) % 200 == 0:
            smooth = Detail(DetailConfig())
            smooth.load_state_dict(average)
            table = {k: round(v, 4) for k, v in evaluate(smooth, held).items()}
            log.info(
                "step %d l1 %.4f critic %.3f %.2f s/step; held out %s",
                step + 1,
                *(sums[:2] / 200),
                (time.time() - started) / 200,
                table,
            )
            started, sums = time.time(), np.zeros(3)
    metadata = {
        "data_tier": "permissive",
        "licence": "Apache-2.0",
        "training_command": f"python models/training/train_detail.py --steps {args.steps} --seed {args.seed}",
        "held_out": ", ".join(f"{k} {v}" for k, v in table.items()),
    }
    half = {k: v.half() for k, v in average.items()}
    save_bundle(args.out / "detail.safetensors", half, network.metadata(), metadata)


if __name__ == "__main__":
    main()
