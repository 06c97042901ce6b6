"""Stage 4: train a refiner, and with the mouth's the appearance encoder, on the pairs of stage 3.

Losses: L1 (the mouth's or eyes' region weighted), gradient L1, temporal consistency (the change from a frame to the
next is the real one's), and from ``--adversarial-from`` on a hinge patch discriminator with R1 and feature matching,
its weight set by the ratio of gradients at the last layer (Esser et al., "Taming transformers", CVPR 2021, section
3.2). The appearance code comes from the real mouth, recoloured and mirrored on its own, with noise, and left out for a
fifth of the pairs; it is frozen from ``--code-until`` on. Prints a table of a third of the held-out pairs as it
goes and resumes from ``--checkpoint``.

Launch (1 core; about 90 minutes for 9,000 steps)::

    python models/training/train_refiner.py --kind mouth --work data/train --checkpoint data/train/refiner_mouth.pt
    python models/training/train_refiner.py --kind eyes --work data/train --checkpoint data/train/refiner_eyes.pt
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from refiner_parts import (
    Batch,
    Discriminator,
    Pairs,
    augment,
    evaluate,
    gradients,
    paint,
    recolour,
)
from torch import nn
from torch.nn import functional as F

from talkhead_models.appearance import AppearanceConfig, AppearanceEncoder
from talkhead_models.refiner import Refiner, RefinerConfig

log = logging.getLogger("train_refiner")
CODE_NOISE = 0.25


def encode(
    encoder: AppearanceEncoder, batch: Batch, random: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes of the real mouths and what the refiner is told: noisy, at times nothing."""
    picture, hole = (
        recolour([batch["truth"].cpu()], random)[0].to(batch["truth"].device),
        batch["hole"],
    )
    if random.random() < 0.5:
        picture, hole = picture.flip(-1), hole.flip(-1)
    with torch.autocast(picture.device.type, torch.bfloat16):
        code = encoder(picture, hole)
    code = code.float()
    told = code + CODE_NOISE * torch.from_numpy(random.standard_normal(code.shape)).to(code)
    known = torch.from_numpy((random.random((len(code) // 2, 1)) > 0.2).repeat(2, 0)).to(code)
    return code, told * known


def content_losses(
    fake: torch.Tensor, skin: torch.Tensor, batch: Batch, mask: torch.Tensor, both: bool
) -> dict[str, torch.Tensor]:
    """L1, gradients, change in time; and calm: the skin keeps the portrait's grain, its residual is smooth or small."""
    truth = batch["truth"]
    weight = mask * (0.3 + 2.0 * batch["region"])
    weights = (weight[..., 1:], weight[..., 1:, :])
    differences = zip(gradients(fake), gradients(truth), weights, strict=True)
    losses = {
        "l1": ((fake - truth).abs() * weight).mean(),
        "gradient": sum(((a - b).abs() * w).mean() for a, b, w in differences),
        "calm": 0.015 * sum(g.abs().mean() for g in gradients(skin)),
    }
    if both:
        change, true_change = fake[1::2] - fake[::2], truth[1::2] - truth[::2]
        losses["change"] = 0.5 * ((change - true_change).abs() * weight[::2]).mean()
    return losses


def critic_step(
    critic: Discriminator,
    optimiser: torch.optim.Optimizer,
    fake: torch.Tensor,
    batch: Batch,
    step: int,
) -> float:
    """One step of the hinge loss; every sixteenth with R1 (Mescheder et al., ICML 2018) on a part of the batch."""
    with torch.autocast(fake.device.type, torch.bfloat16):
        real_logits, _ = critic(batch["truth"], batch)
        fake_logits, _ = critic(fake.detach(), batch)
    weight = critic.attention(batch, real_logits)
    loss = (F.relu(1 - real_logits.float()) * weight).mean()
    loss = loss + (F.relu(1 + fake_logits.float()) * weight).mean()
    hinge = loss.item()
    if step % 16 == 0:
        part = {name: value[:4] for name, value in batch.items()}
        real = part["truth"].clone().requires_grad_(True)
        logits, _ = critic(real, part)
        (slope,) = torch.autograd.grad(logits.mean((1, 2, 3)).sum(), real, create_graph=True)
        loss = loss + 16 * 2.0 * slope.square().sum((1, 2, 3)).mean()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(critic.parameters(), 5.0)
    optimiser.step()
    return hinge


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=("mouth", "eyes"), required=True)
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--suffix", default="", help="of the training pairs, see stage 3")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--adversarial-from", type=int, default=2500)
    parser.add_argument(
        "--code-until", type=int, default=2500, help="step from which the encoder is frozen"
    )
    parser.add_argument("--batch", type=int, default=8, help="pairs of two frames")
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument(
        "--adversarial", type=float, default=0.3, help="share of the content's gradient"
    )
    parser.add_argument("--matching", type=float, default=0.1)
    parser.add_argument("--channels", default="40,80,144")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=500, help="steps between evaluations")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    # --- Data and networks -------------------------------------------------------------------------------------------
    train = Pairs(args.work / "patches" / f"{args.kind}_train{args.suffix}.npz")
    held = Pairs(args.work / "patches" / f"{args.kind}_held{args.suffix}.npz")
    height, width = train.arrays["source"].shape[1:3]
    sizes = tuple(int(c) for c in args.channels.split(","))
    mouth = args.kind == "mouth"
    appearance = AppearanceConfig()
    config = RefinerConfig(
        width, height, sizes, code_size=appearance.code_size if mouth else 0, own_inside=mouth
    )
    network = Refiner(config).to(args.device, memory_format=torch.channels_last)
    encoder = AppearanceEncoder(appearance).to(args.device) if mouth else None
    critic = Discriminator(height).to(args.device, memory_format=torch.channels_last)
    learners = nn.ModuleDict({"network": network})
    if encoder:
        learners["encoder"] = encoder
    average = {name: value.clone() for name, value in learners.state_dict().items()}
    optimiser = torch.optim.AdamW(
        learners.parameters(), args.lr, betas=(0.8, 0.99), weight_decay=1e-3
    )
    critic_optimiser = torch.optim.AdamW(
        critic.parameters(), args.lr, betas=(0.5, 0.99), weight_decay=1e-3
    )
    parts = {
        "learners": learners,
        "critic": critic,
        "optimiser": optimiser,
        "critic_optimiser": critic_optimiser,
    }
    step, balance = 0, 0.0
    if args.checkpoint.exists():
        state = torch.load(args.checkpoint, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        average, step, balance = state["average"], state["step"], state["balance"]
    count = sum(p.numel() for p in network.parameters()) / 1e6
    log.info(
        "%d pairs, %d held out, %.2f M parameters, step %d", len(train), len(held), count, step
    )

    def save() -> None:
        """Write the checkpoint and log the held-out table of the running average."""
        partial = args.checkpoint.with_suffix(".tmp")
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save({**state, "average": average, "step": step, "balance": balance}, partial)
        partial.replace(args.checkpoint)
        smooth = nn.ModuleDict({"network": Refiner(config)})
        if encoder:
            smooth["encoder"] = AppearanceEncoder(appearance)
        smooth.load_state_dict({k: v.cpu() for k, v in average.items()})
        kinds = {"no code": None, "real code": smooth["encoder"]} if encoder else {"": None}
        for name, reader in kinds.items():
            table = evaluate(smooth["network"], held, reader, every=3)
            log.info(
                "step %d held out %s: %s", step, name, {k: round(v, 4) for k, v in table.items()}
            )

    # --- Loop --------------------------------------------------------------------------------------------------------
    started, sums = time.time(), {}
    while step < args.steps:
        random = np.random.default_rng([args.seed, step])
        # Two frames of as many pairs only where the change between them counts: at first, twice the pairs teach more.
        both = step >= args.adversarial_from
        chosen = random.choice(len(train), args.batch * (1 if both else 2), p=train.weights)
        batch = augment(train.batch(chosen, both), random)
        batch = {k: v.to(args.device, memory_format=torch.channels_last) for k, v in batch.items()}
        adversarial = both
        warm, cosine = min(1, (step + 1) / 300), 0.5 * (1 + math.cos(math.pi * step / args.steps))
        rate = args.lr * warm * (0.02 + 0.98 * cosine)
        for group in (*optimiser.param_groups, *critic_optimiser.param_groups):
            group["lr"] = rate
        code = told = None
        if encoder:
            encoder.requires_grad_(step < args.code_until)
            code, told = encode(encoder, batch, random)
        fake, skin = paint(network, batch, told)
        losses = content_losses(fake, skin, batch, network.mask, both)
        if code is not None and step < args.code_until:
            losses["code"] = 1e-4 * code.square().mean()
        loss = sum(losses.values())
        if adversarial:
            hinge = critic_step(critic, critic_optimiser, fake, batch, step)
            sums["critic"] = sums.get("critic", 0.0) + hinge
            critic.requires_grad_(False)
            with torch.autocast(args.device, torch.bfloat16):
                logits, features = critic(fake, batch)
                with torch.no_grad():
                    _, wanted = critic(batch["truth"], batch)
            critic.requires_grad_(True)
            doubt = -(logits.float() * critic.attention(batch, logits)).mean()
            if step % 25 == 0 or not balance:
                pulls = [
                    torch.autograd.grad(value, network.head.weight, retain_graph=True)[0].norm()
                    for value in (loss, doubt)
                ]
                wanted_balance = float((pulls[0] / pulls[1].clamp(min=1e-6)).clamp(max=1.0))
                balance = 0.8 * balance + 0.2 * wanted_balance if balance else wanted_balance
            ramp = min(1.0, (step - args.adversarial_from) / 500)
            matching = sum(
                (a.float() - b.float()).abs().mean() for a, b in zip(features, wanted, strict=True)
            )
            loss = loss + ramp * (args.adversarial * balance * doubt + args.matching * matching)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learners.parameters(), 1.0)
        optimiser.step()
        step += 1
        decay = min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in learners.state_dict().items():
                average[name].lerp_(value, 1 - decay)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        if step % 100 == 0:
            shown = {k: round(v / 100, 5) for k, v in sums.items()}
            log.info("step %d %s %.2f s/step", step, shown, (time.time() - started) / 100)
            started, sums = time.time(), {}
        if step % args.every == 0 or step == args.steps:
            save()
            started = time.time()


if __name__ == "__main__":
    main()
