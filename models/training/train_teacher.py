"""Stage 4: train the diffusion teacher.

The teacher sees the true past (blurred by noise and squeezed through a bottleneck, so that it
cannot replace the speech), a style token and the speech, which is hidden from it one time in
eight, for guidance. Writes a checkpoint that is resumed from, and half-precision weights for the
distillation.

Launch (1 core, about 20 minutes)::

    OMP_NUM_THREADS=1 python models/training/train_teacher.py --data DATA --work data/train
    --minutes 20
"""

from __future__ import annotations

import argparse
import copy
import logging
import math
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from appearance_style import share_appearance
from generator_data import Batch, conditions_of, draw, load_autoencoders
from motion_data import WindowSampler, load_clips
from torch import Tensor
from train_autoencoder import lip_matrix

from talkhead_models.autoencoder import Autoencoder
from talkhead_models.basis import FaceBasis
from talkhead_models.denoiser import Denoiser, DenoiserConfig
from talkhead_models.motion import EXPRESSION_SIZE as K
from talkhead_models.sampling import (
    FIRST_TIME,
    add_noise,
    clean_and_noise,
    signal,
    training_target,
)

log = logging.getLogger("train_teacher")

HIDE_SPEECH = 0.12
HIDE_PAST = 0.05
PAST_NOISE = 0.35
LIP_ROWS = 24
"""Rows of a batch that are decoded for the lip loss; decoding costs as much as denoising."""


def blur_past(past: Tensor, strength: float = PAST_NOISE) -> Tensor:
    """The past with noise of a random strength a row, so that it stays a hint."""
    # Squared, so that little noise is most common: chunks have to join smoothly.
    amount = torch.rand(past.shape[0], 1, 1).square() * strength
    return (past + amount * torch.randn_like(past)) / (1 + amount.square()).sqrt()


def lip_loss(
    autoencoder: Autoencoder,
    past: Tensor,
    clean: Tensor,
    motion: Tensor,
    lips: Tensor,
    weight: Tensor,
) -> Tensor:
    """Squared error of the lip points and of their first difference, of latents decoded behind
    their true past.

    Args:
        past: (B, C, Z); clean: (B, N, Z) predicted; motion: (B, 4 N, D) true; lips: (K, P);
            weight: (B,).
    """
    context = autoencoder.config.decoder_context
    decoded = autoencoder.decode(torch.cat([past[:, -context:], clean], dim=1))
    error = (decoded[..., :K] - motion[..., :K]) @ lips / 0.02
    each = error.square().mean((1, 2)) + 2 * error.diff(dim=1).square().mean((1, 2))
    return (each * weight).mean()


def teacher_loss(
    model: Denoiser,
    autoencoder: Autoencoder,
    batch: Batch,
    lips: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Prediction loss and lip loss of one chunk."""
    config = model.config
    size, split = len(batch.latents), config.context_steps
    past, clean = batch.latents[:, :split], batch.latents[:, split:]
    noise = torch.randn(clean.shape, generator=generator)
    time_ = torch.rand(size, generator=generator) * FIRST_TIME
    keep = batch.spoken & (torch.rand(size, generator=generator) >= HIDE_SPEECH)
    seen = blur_past(past)
    alone = (torch.rand(size, generator=generator) < HIDE_PAST)[:, None, None]
    seen = torch.where(alone, torch.randn(seen.shape, generator=generator), seen)
    cache = model.context(conditions_of(batch, seen, 0, config, keep))
    noisy = add_noise(clean, noise, time_)
    times = (time_, time_, torch.ones_like(time_))
    prediction = model(noisy, batch.windows[:, split:], keep, times, cache)
    error = prediction - training_target(clean, noise, time_, config.prediction)
    # The step behind the past counts double: a seam there is seen.
    weight = torch.ones(config.chunk_steps, 1)
    weight[0] = 2
    loss = (error.square() * weight).mean()
    predicted, _ = clean_and_noise(prediction, noisy, time_, config.prediction)
    rows = slice(0, LIP_ROWS)
    # At high noise the prediction of a clean chunk is a mean over many; it is asked for less of
    # the detail.
    weight = (signal(time_).square() + 0.15)[rows] * keep[rows]
    frames = split * autoencoder.config.frames_per_step
    lip = lip_loss(
        autoencoder, past[rows], predicted[rows], batch.motion[rows, frames:], lips, weight
    )
    return loss, lip


@torch.no_grad()
def follow(average: Denoiser, model: Denoiser, step: int) -> None:
    """Move the running average of the weights."""
    decay = min(0.998, (step + 1) / (step + 20))
    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)


def widen(weights: dict[str, Tensor], config: DenoiserConfig) -> dict[str, Tensor]:
    """Weights of a denoiser of fewer latents or style numbers: the new ones begin without effect."""
    new_style = config.style_size - weights["style_input.weight"].shape[1]
    new_latents = config.latent_size - weights["latent_input.weight"].shape[1]
    pad = torch.nn.functional.pad
    wider = {"style_input.weight": pad(weights["style_input.weight"], (0, new_style))}
    for name in ("latent_input.weight", "past_bottleneck.weight"):
        wider[name] = pad(weights[name], (0, new_latents))
    wider["output.weight"] = pad(weights["output.weight"], (0, 0, 0, new_latents))
    wider["output.bias"] = pad(weights["output.bias"], (0, new_latents))
    return weights | wider


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--autoencoder", type=Path, default=Path("data/train/runs/autoencoder.pt"))
    parser.add_argument("--appearance", type=Path, default=Path("data/train/runs/appearance.pt"))
    parser.add_argument("--out", type=Path, default=Path("data/train/runs/teacher.pt"))
    parser.add_argument(
        "--init", type=Path, help="checkpoint to take the weights from, schedule anew"
    )
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--lip-weight", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(args.seed)

    # Data.
    basis = FaceBasis.load()
    autoencoder = load_autoencoders(args.autoencoder, args.appearance)
    clips = share_appearance(load_clips(args.data, args.work, basis), basis)
    held_out = load_clips(args.data, args.work, basis, validation=True)
    lips = lip_matrix(basis)

    # Network.
    config = DenoiserConfig(latent_size=autoencoder.config.latent_size)
    model = Denoiser(config)
    average = copy.deepcopy(model).requires_grad_(False)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=args.rate, weight_decay=0.02, betas=(0.9, 0.98)
    )
    done, spent = 0, 0.0
    if args.init and not args.out.exists():
        stored = torch.load(args.init, weights_only=True)
        weights = widen(stored["average"], config)
        model.load_state_dict(weights)
        average.load_state_dict(weights)
    if args.out.exists():
        stored = torch.load(args.out, weights_only=True)
        model.load_state_dict(stored["model"])
        average.load_state_dict(stored["average"])
        optimiser.load_state_dict(stored["optimiser"])
        done, spent = stored["step"], stored["seconds"]
    sampler = WindowSampler(clips, basis, args.seed + done)
    judge = draw(WindowSampler(held_out, basis, 7), autoencoder, config, 128)
    spoken = sum(clip.features is not None for clip in clips)
    log.info(
        "%d clips, %d with speech; %d parameters",
        len(clips),
        spoken,
        sum(p.numel() for p in model.parameters()),
    )

    def save() -> None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        partial = args.out.with_suffix(".tmp")
        stored = {
            "model": model.state_dict(),
            "average": average.state_dict(),
            "optimiser": optimiser.state_dict(),
        }
        torch.save(
            stored | {"config": asdict(config), "step": done, "seconds": time.monotonic() - began},
            partial,
        )
        partial.replace(args.out)

    # Loop.
    began = time.monotonic() - spent
    running = np.zeros(2)
    while (elapsed := time.monotonic() - began) < args.minutes * 60:
        for group in optimiser.param_groups:
            warm = min(1.0, (done + 1) / 100)
            group["lr"] = (
                args.rate
                * warm
                * max(0.03, 0.5 + 0.5 * math.cos(math.pi * elapsed / (args.minutes * 60)))
            )
        batch = draw(sampler, autoencoder, config, args.batch)
        loss, lip = teacher_loss(model, autoencoder, batch, lips, torch.default_generator)
        optimiser.zero_grad()
        (loss + args.lip_weight * lip).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        follow(average, model, done)
        running += [float(loss.detach()), float(lip.detach())]
        done += 1
        if done % 200 == 0:
            with torch.no_grad():
                fixed = torch.Generator().manual_seed(0)
                judged, judged_lip = teacher_loss(average, autoencoder, judge, lips, fixed)
            log.info(
                "step %d loss %.4f lips %.4f held out %.4f %.4f",
                done,
                *(running / 200),
                judged,
                judged_lip,
            )
            running[:] = 0
            save()
    save()


if __name__ == "__main__":
    main()
