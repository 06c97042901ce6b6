"""Stage 4: train a refiner on the pairs of stage 3.

Losses: L1 (the mouth's or eyes' region weighted), gradient L1, and from ``--adversarial-from`` on a hinge patch
discriminator with feature matching. Prints the held-out table as it goes and resumes from ``--checkpoint``.

Launch (1 core; 60 minutes for 8,000 steps)::

    python models/training/train_refiner.py --kind mouth --work data/train --checkpoint data/train/refiner_mouth.pt
    python models/training/train_refiner.py --kind eyes --work data/train --checkpoint data/train/refiner_eyes.pt
"""

from __future__ import annotations

import argparse
import itertools
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from talkhead_models.bundle import save_bundle
from talkhead_models.refiner import Refiner, RefinerConfig, compose

log = logging.getLogger("train_refiner")
IMAGES, MASKS = ("skin", "inside", "truth", "source"), ("hole", "source_hole", "region")


class Discriminator(nn.Module):
    """Patch discriminator over the middle of picture and hole; returns logits and the features of each layer.

    Only the middle: the rest of a patch is the portrait's own pixels, which tell true from painted no better than
    chance and drown the mouth. The head has no spectral norm: with it the logits stayed near zero (see the log).
    """

    def __init__(self) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        sizes = (4, 48, 96, 160)
        self.layers = nn.ModuleList(
            norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in itertools.pairwise(sizes)
        )
        self.head = nn.Conv2d(sizes[-1], 1, 3, padding=1)

    def forward(
        self, picture: torch.Tensor, hole: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        height, width = picture.shape[2:]
        top, left = height // 6, width // 12
        middle = (..., slice(top, height - top), slice(left, width - left))
        x, features = torch.cat([picture[middle], hole[middle]], 1), []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.head(x) * 4, features


class Pairs:
    """The arrays of one split, with batches drawn evenly over people."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self.arrays = {name: file[name] for name in (*IMAGES, *MASKS, "person", "research")}
        people = self.arrays["person"]
        # Even over people, but the square root of a person's share: many pairs are worth something too.
        counts = np.bincount(people)
        self.weights = 1 / np.sqrt(counts[people])
        self.weights /= self.weights.sum()

    def __len__(self) -> int:
        return len(self.arrays["person"])

    def batch(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        out = {}
        for name in IMAGES:
            out[name] = (
                torch.from_numpy(self.arrays[name][indices]).permute(0, 3, 1, 2).float() / 127.5 - 1
            )
        for name in MASKS:
            out[name] = torch.from_numpy(self.arrays[name][indices])[:, None].float() / 255
        return out


def augment(batch: dict[str, torch.Tensor], random: np.random.Generator) -> dict[str, torch.Tensor]:
    """New people by colour and light, sharpness and mirroring; the same change for all pictures of a pair."""
    size = len(batch["skin"])

    def draw(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.from_numpy(random.uniform(low, high, (size, *shape))).float()

    grey_share = draw(-0.4, 0.6, 1, 1, 1) * torch.from_numpy(random.random((size, 1, 1, 1)) < 0.6)
    gain, tint, gamma = (
        draw(0.6, 1.25, 1, 1, 1),
        draw(0.85, 1.15, 3, 1, 1),
        torch.exp(draw(-0.45, 0.45, 1, 1, 1)),
    )
    soft = torch.from_numpy(random.random((size, 1, 1, 1)) < 0.25).float()
    for name in IMAGES:
        picture = (batch[name] + 1) / 2
        grey = picture.mean(1, keepdim=True)
        picture = picture + (grey - picture) * grey_share
        picture = (picture * gain * tint).clamp(1e-3, 1) ** gamma
        blurred = F.avg_pool2d(F.pad(picture, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        picture = picture + (blurred - picture) * soft
        batch[name] = picture * 2 - 1
    flip = torch.from_numpy(random.random(size) < 0.5)[:, None, None, None]
    return {name: torch.where(flip, value.flip(-1), value) for name, value in batch.items()}


def gradients(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return picture[..., 1:] - picture[..., :-1], picture[..., 1:, :] - picture[..., :-1, :]


def inputs(batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return tuple(batch[name] for name in ("skin", "inside", "hole", "source", "source_hole"))


@torch.no_grad()
def evaluate(network: Refiner, pairs: Pairs) -> dict[str, float]:
    """Held-out L1 in the region (pixels in [-1, 1]), warp only and refined; gradient energy against the truth's."""
    network.eval()
    totals: dict[str, list[np.ndarray]] = {"warp": [], "refined": [], "sharp": []}
    for start in range(0, len(pairs), 32):
        batch = pairs.batch(np.arange(start, min(start + 32, len(pairs))))
        refined = compose(
            batch["skin"], batch["inside"], batch["hole"], network(*inputs(batch))
        ).clamp(-1, 1)
        warp = (1 - batch["hole"]) * batch["skin"] + batch["hole"] * batch["inside"]
        region = batch["region"]
        weight = region.sum((1, 2, 3)) * 3 + 1e-6
        for name, picture in (("warp", warp), ("refined", refined)):
            totals[name].append(
                (((picture - batch["truth"]).abs() * region).sum((1, 2, 3)) / weight).numpy()
            )
        energy = [
            sum(g.abs().mean((1, 2, 3)) for g in gradients(p * region))
            for p in (refined, batch["truth"])
        ]
        totals["sharp"].append((energy[0] / energy[1].clamp(min=1e-6)).numpy())
    network.train()
    values = {name: np.concatenate(value) for name, value in totals.items()}
    research = pairs.arrays["research"].astype(bool)
    result = {name: float(value.mean()) for name, value in values.items()}
    result["ratio"] = result["refined"] / result["warp"]
    for tier, mask in (("permissive", ~research), ("research", research)):
        if mask.any():
            result[f"ratio_{tier}"] = float(
                values["refined"][mask].mean() / values["warp"][mask].mean()
            )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=("mouth", "eyes"), required=True)
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--adversarial-from", type=int, default=2500)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=4e-4)
    parser.add_argument("--adversarial", type=float, default=0.02)
    parser.add_argument("--matching", type=float, default=1.0)
    parser.add_argument("--channels", default="40,80,144")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--export", type=Path, help="write the bundle here after every evaluation")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    # --- Data and networks -------------------------------------------------------------------------------------------
    train = Pairs(args.work / "patches" / f"{args.kind}_train.npz")
    held = Pairs(args.work / "patches" / f"{args.kind}_held.npz")
    height, width = train.arrays["skin"].shape[1:3]
    config = RefinerConfig(width, height, tuple(int(c) for c in args.channels.split(",")))
    network = Refiner(config).to(args.device, memory_format=torch.channels_last)
    critic = Discriminator().to(args.device, memory_format=torch.channels_last)
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.AdamW(
        network.parameters(), args.lr, betas=(0.8, 0.99), weight_decay=1e-3
    )
    critic_optimiser = torch.optim.AdamW(
        critic.parameters(), args.lr, betas=(0.5, 0.99), weight_decay=1e-3
    )
    step = 0
    if args.checkpoint.exists():
        state = torch.load(args.checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        critic.load_state_dict(state["critic"])
        optimiser.load_state_dict(state["optimiser"])
        critic_optimiser.load_state_dict(state["critic_optimiser"])
        average, step = state["average"], state["step"]
    log.info(
        "%d pairs, %d held out, %.2f M parameters, step %d",
        len(train),
        len(held),
        sum(p.numel() for p in network.parameters()) / 1e6,
        step,
    )

    def save() -> dict[str, float]:
        partial = args.checkpoint.with_suffix(".tmp")
        torch.save(
            {
                "network": network.state_dict(),
                "critic": critic.state_dict(),
                "average": average,
                "step": step,
                "optimiser": optimiser.state_dict(),
                "critic_optimiser": critic_optimiser.state_dict(),
            },
            partial,
        )
        partial.replace(args.checkpoint)
        smooth = Refiner(config)
        smooth.load_state_dict({k: v.cpu() for k, v in average.items()})
        result = evaluate(smooth, held)
        if args.export:
            half = {k: v.half() for k, v in average.items()}
            save_bundle(
                args.export,
                half,
                network.metadata(),
                {
                    "data_tier": "permissive",
                    "licence": "Apache-2.0",
                    "training_command": "python models/training/train_refiner.py "
                    f"--kind {args.kind} --steps {args.steps} --seed {args.seed} --work data/train",
                    "steps": str(step),
                    "held_out": ", ".join(f"{k} {v:.4f}" for k, v in result.items()),
                },
            )
        return result

    # --- Loop --------------------------------------------------------------------------------------------------------
    started, sums = time.time(), {}
    while step < args.steps:
        random = np.random.default_rng([args.seed, step])
        indices = random.choice(len(train), args.batch, p=train.weights)
        batch = augment(train.batch(indices), random)
        batch = {k: v.to(args.device, memory_format=torch.channels_last) for k, v in batch.items()}
        hole, truth = batch["hole"], batch["truth"]
        adversarial = step >= args.adversarial_from
        warm, cosine = min(1, (step + 1) / 300), 0.5 * (1 + math.cos(math.pi * step / args.steps))
        rate = args.lr * warm * (0.02 + 0.98 * cosine)
        for group in (*optimiser.param_groups, *critic_optimiser.param_groups):
            group["lr"] = rate
        with torch.autocast(args.device, torch.bfloat16):
            residuals = network(*inputs(batch))
        fake = compose(
            batch["skin"], batch["inside"], hole, type(residuals)(*(r.float() for r in residuals))
        )
        if adversarial:
            with torch.autocast(args.device, torch.bfloat16):
                real_logits, _ = critic(truth, hole)
                fake_logits, _ = critic(fake.detach(), hole)
            critic_loss = (
                F.relu(1 - real_logits.float()).mean() + F.relu(1 + fake_logits.float()).mean()
            )
            critic_optimiser.zero_grad(set_to_none=True)
            critic_loss.backward()
            critic_optimiser.step()
            sums["critic"] = sums.get("critic", 0.0) + critic_loss.item()
        weight = network.mask * (0.3 + 2.0 * batch["region"])
        l1 = ((fake - truth).abs() * weight).mean()
        sharp = sum(
            ((a - b).abs() * w).mean()
            for a, b, w in zip(
                gradients(fake),
                gradients(truth),
                (weight[..., 1:], weight[..., 1:, :]),
                strict=True,
            )
        )
        # The skin keeps the portrait's own grain: its residual is to be smooth, or small.
        calm = sum(g.abs().mean() for g in gradients(residuals.skin.float()))
        loss = l1 + sharp + 0.05 * calm
        if adversarial:
            with torch.autocast(args.device, torch.bfloat16):
                logits, features = critic(fake, hole)
                with torch.no_grad():
                    _, wanted = critic(truth, hole)
            ramp = min(1.0, (step - args.adversarial_from) / 1000)
            matching = sum(
                (a.float() - b.float()).abs().mean() for a, b in zip(features, wanted, strict=True)
            )
            loss = (
                loss
                - ramp * args.adversarial * logits.float().mean()
                + ramp * args.matching * 0.1 * matching
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        decay = min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in network.state_dict().items():
                average[name].lerp_(value, 1 - decay)
        sums["l1"] = sums.get("l1", 0.0) + l1.item()
        if step % 100 == 0:
            log.info(
                "step %d %s %.2f s/step",
                step,
                {k: round(v / 100, 4) for k, v in sums.items()},
                (time.time() - started) / 100,
            )
            started, sums = time.time(), {}
        if step % 500 == 0 or step == args.steps:
            log.info("step %d held out: %s", step, {k: round(v, 4) for k, v in save().items()})
            started = time.time()


if __name__ == "__main__":
    main()
