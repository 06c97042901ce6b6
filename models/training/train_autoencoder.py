"""Stage 3: train the motion autoencoders, ``--part geometry`` and ``--part appearance``.

Reads ``WORK/motion`` (stage 2) and ``WORK/appearance`` (extract_appearance.py); writes ``OUT`` (a
checkpoint with optimiser, resumed from when it is there) and prints held-out errors, the lips' in
mesh units. The weights reach the bundle with the student's (`distil_student.py`).

Launch (1 core, about 10 and 3 minutes)::

    OMP_NUM_THREADS=1 python models/training/train_autoencoder.py --data DATA --work data/train
    --minutes 10
    OMP_NUM_THREADS=1 python models/training/train_autoencoder.py --data DATA --work data/train
    --part appearance --out data/train/runs/appearance.pt --minutes 3
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from motion_data import APPEARANCE, Clip, WindowSampler, load_clips
from torch import Tensor

from talkhead_models import topology as topo
from talkhead_models.autoencoder import (
    APPEARANCE_AUTOENCODER,
    AutoencoderConfig,
    MotionAutoencoder,
)
from talkhead_models.basis import FaceBasis
from talkhead_models.motion import EXPRESSION_SIZE as K
from talkhead_models.motion import GEOMETRY_SIZE

log = logging.getLogger("train_autoencoder")

LATENT_NOISE = 0.1
LATENT_PENALTY = 2e-3
STEPS = 16
PARTS = {"geometry": slice(0, GEOMETRY_SIZE), "appearance": APPEARANCE}
"""Columns of a motion frame that each autoencoder is for."""


def channel_weights() -> Tensor:
    """Weight of each standardised motion channel: pose weighs a little more than one of many
    expressions."""
    weights = torch.full((GEOMETRY_SIZE,), 0.5)
    weights[K : K + 2] = 2.0
    weights[K + 4 :] = 2.0
    return weights


def reconstruction_loss(
    output: Tensor, target: Tensor, std: Tensor, lips: Tensor
) -> tuple[Tensor, Tensor]:
    """Weighted error, with first and second differences, and the lips' root mean square error.

    Args:
        output, target: (B, T, D).
        std: (D,) of the channels.
        lips: (K, P) displacement of the lip points' coordinates in outer-eye distances.
    """
    error = output - target
    weights = channel_weights() / std.square()
    loss = (error.square() * weights).mean()
    moved = error[..., :K] @ lips  # (B, T, P)
    # 0.01 of an eye distance is what the eye begins to see, so it counts as one.
    in_mesh = moved / 0.01
    loss = (
        loss
        + in_mesh.square().mean()
        + in_mesh.diff(dim=1).square().mean()
        + in_mesh.diff(n=2, dim=1).square().mean() / 2
    )
    loss = loss + (error.diff(dim=1).square() * weights).mean()
    return loss, moved.square().mean().sqrt()


def appearance_loss(output: Tensor, target: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Error of the standardised codes with first differences; and its root mean square."""
    error = (output - target) / std
    return error.square().mean() + error.diff(dim=1).square().mean(), error.square().mean().sqrt()


def lip_matrix(basis: FaceBasis) -> Tensor:
    """(K, P * 2): x and y of the lip points, the inner ones twice (they decide whether the mouth
    is closed)."""
    points = [*topo.LIPS, *topo.INNER_LIPS]
    return torch.from_numpy(basis.expression[:, points, :2].reshape(K, -1).copy())


def motion_statistics(
    clips: list[Clip], basis: FaceBasis, frames: int, part: slice
) -> tuple[Tensor, Tensor]:
    """Mean and deviation of a part's channels over augmented windows."""
    motion = WindowSampler(clips, basis, seed=1).batch(512, frames, 0).motion
    flat = torch.from_numpy(motion.reshape(-1, motion.shape[-1]))
    mean = flat.mean(0)
    mean[K + 2 : GEOMETRY_SIZE] = 0
    return mean[part], flat.std(0).clamp_min(1e-3)[part]


@torch.no_grad()
def latent_statistics(
    model: MotionAutoencoder, sampler: WindowSampler, frames: int, part: slice
) -> None:
    """Measure the latents and set the model's buffers."""
    latents = [
        model.encode_raw(torch.from_numpy(sampler.batch(128, frames, 0).motion[..., part]))
        for _ in range(8)
    ]
    flat = torch.cat(latents).reshape(-1, model.config.latent_size)
    model.latent_mean.copy_(flat.mean(0))
    model.latent_std.copy_(flat.std(0).clamp_min(1e-4))


@torch.no_grad()
def reconstruct(model: MotionAutoencoder, motion: np.ndarray) -> np.ndarray:
    """A whole clip (T, D) through encoder and decoder; the first frame is held for the left
    context."""
    config = model.config
    per_step = config.frames_per_step
    left = (config.encoder_context + config.decoder_context) * per_step
    steps = -(-len(motion) // per_step)
    index = np.clip(np.arange(-left, steps * per_step), 0, len(motion) - 1)
    latents = model.encode(torch.from_numpy(motion[index])[None])
    return model.decode(latents)[0, : len(motion)].numpy()


def report_appearance(model: MotionAutoencoder, clips: list[Clip]) -> str:
    """Error of the codes on held-out clips."""
    errors = [
        reconstruct(model, clip.motion[:, APPEARANCE]) - clip.motion[:, APPEARANCE]
        for clip in clips
    ]
    shares = np.square(np.concatenate(errors)).mean(0) / model.motion_std.square().numpy()
    return f"appearance {np.sqrt(shares.mean()):.3f} of its deviation"


def report(model: MotionAutoencoder, clips: list[Clip], basis: FaceBasis, lips: Tensor) -> str:
    """Errors on held-out clips."""
    lip, gap, turn, lids = [], [], [], []
    for clip in clips:
        motion = clip.motion[:, :GEOMETRY_SIZE]
        output = reconstruct(model, motion)
        error = output - motion
        lip.append(np.sqrt(np.mean((error[:, :K] @ lips.numpy()) ** 2)))
        gap.append(np.abs(basis.lip_gap(output[:, :K]) - basis.lip_gap(motion[:, :K])).mean())
        turn.append(np.degrees(np.abs(error[:, K + 4 : K + 7]).mean()))
        lids.append(np.abs(error[:, K : K + 2]).mean())
    return (
        f"lip points {np.mean(lip):.5f} gap {np.mean(gap):.5f} outer-eye distances, "
        f"rotation {np.mean(turn):.3f} degrees, lids {np.mean(lids):.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--part", choices=tuple(PARTS), default="geometry")
    parser.add_argument("--out", type=Path, default=Path("data/train/runs/autoencoder.pt"))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(args.seed)

    # Data.
    basis = FaceBasis.load()
    clips = load_clips(args.data, args.work, basis)
    held_out = load_clips(args.data, args.work, basis, validation=True)
    lips = lip_matrix(basis)

    # Network.
    part = PARTS[args.part]
    config = AutoencoderConfig() if args.part == "geometry" else APPEARANCE_AUTOENCODER
    model = MotionAutoencoder(config)
    frames = (config.encoder_context + config.decoder_context + STEPS) * config.frames_per_step
    mean, std = motion_statistics(clips, basis, frames, part)
    model.motion_mean.copy_(mean)
    model.motion_std.copy_(std)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=1e-4)
    done, spent = 0, 0.0
    if args.out.exists():
        stored = torch.load(args.out, weights_only=True)
        model.load_state_dict(stored["model"])
        optimiser.load_state_dict(stored["optimiser"])
        done, spent = stored["step"], stored["seconds"]
    sampler = WindowSampler(clips, basis, args.seed + done, single_share=0.45)
    log.info(
        "%d clips, %d held out, %d parameters",
        len(clips),
        len(held_out),
        sum(p.numel() for p in model.parameters()),
    )

    # Loop: the learning rate falls over the time given.
    began = time.monotonic() - spent
    while (elapsed := time.monotonic() - began) < args.minutes * 60:
        for group in optimiser.param_groups:
            warm = min(1.0, (done + 1) / 100)
            group["lr"] = (
                args.rate
                * warm
                * max(0.02, 0.5 + 0.5 * math.cos(math.pi * elapsed / (args.minutes * 60)))
            )
        motion = torch.from_numpy(sampler.batch(args.batch, frames, 8).motion[..., part])
        latents = model.encode_raw(motion)
        output = model.decode_raw(latents + LATENT_NOISE * torch.randn_like(latents))
        wanted = motion[:, -output.shape[1] :]
        if args.part == "geometry":
            loss, lip_error = reconstruction_loss(output, wanted, std, lips)
        else:
            loss, lip_error = appearance_loss(output, wanted, std)
        total = loss + LATENT_PENALTY * latents.square().mean()
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        done += 1
        if done % 200 == 0:
            log.info(
                "step %d loss %.4f lips %.5f latent deviation %.3f",
                done,
                loss,
                lip_error,
                latents.std(),
            )

    # Statistics, held-out errors, checkpoint.
    latent_statistics(model, sampler, frames, part)
    if args.part == "geometry":
        log.info("held out: %s", report(model, held_out, basis, lips))
    else:
        log.info("held out: %s", report_appearance(model, held_out))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "model": model.state_dict(),
            "config": asdict(config),
            "optimiser": optimiser.state_dict(),
            "step": done,
            "seconds": time.monotonic() - began,
        },
        args.out,
    )


if __name__ == "__main__":
    main()
