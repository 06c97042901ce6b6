"""Stage 5: distil the teacher into a student of few steps, and write the bundle.

From one piece of noise the teacher walks its whole guided trajectory; the student learns to jump
between the points of the schedules of 1, 2, 3 and 4 steps, told where it jumps to and how strong
the guidance was, so that guidance costs it nothing and stays an option. The past it learns behind
is its own: it first generates up to two chunks, as in use.

Launch (1 core, about 15 minutes)::

    OMP_NUM_THREADS=1 python models/training/distil_student.py --data DATA --minutes 15
"""

from __future__ import annotations

import argparse
import copy
import itertools
import logging
import math
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from appearance_style import share_appearance
from generator_data import Batch, conditions_of, draw, load_autoencoders
from generator_parts import fit_parts
from motion_data import Clip, WindowSampler, load_clips
from torch import Tensor
from train_autoencoder import lip_matrix
from train_teacher import blur_past, follow

from talkhead_models.autoencoder import Autoencoder
from talkhead_models.basis import FaceBasis
from talkhead_models.bundle import save_bundle
from talkhead_models.denoiser import Conditions, Denoiser, DenoiserConfig
from talkhead_models.generator import MotionGenerator
from talkhead_models.generator_bundle import bundle_contents
from talkhead_models.motion import EXPRESSION_SIZE as K
from talkhead_models.sampling import sample, schedule, step_to, student_predict, target_for_step

log = logging.getLogger("distil_student")

TEACHER_STEPS = 12
STUDENT_STEPS = (1, 2, 3, 4)
LICENCE = (
    "Apache-2.0; trained on clips of the permissive tier "
    "(GRID CC BY 4.0, MIT and Apache-2.0 repositories)"
)


@torch.no_grad()
def trajectory(
    teacher: Denoiser, conditions: Conditions, speech: Tensor, noise: Tensor, guidance: Tensor
) -> Tensor:
    """The teacher's guided walk, (TEACHER_STEPS + 1, B, N, Z), from noise to clean."""
    kind = teacher.config.prediction
    hidden = torch.zeros_like(conditions.keep_speech)
    said_cache = teacher.context(conditions)
    unsaid_cache = teacher.context(conditions._replace(keep_speech=hidden))
    times = schedule(TEACHER_STEPS)
    points = [noise]
    scale = guidance[:, None, None]
    for now, following in pairwise(times):
        at = torch.full((len(noise),), now)
        three = (at, at, torch.ones_like(at))
        said = teacher(points[-1], speech, conditions.keep_speech, three, said_cache)
        unsaid = teacher(points[-1], speech, hidden, three, unsaid_cache)
        guided = unsaid + scale * (said - unsaid)
        points.append(step_to(guided, points[-1], at, torch.full_like(at, following), kind))
    return torch.stack(points)


def draw_jumps(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A jump for each row, as indices into the teacher's trajectory (from, to); more steps are
    drawn more often."""
    steps = rng.choice(STUDENT_STEPS, size, p=[0.15, 0.2, 0.15, 0.5])
    which = (rng.random(size) * steps).astype(int)
    stride = TEACHER_STEPS // steps
    return which * stride, (which + 1) * stride


@torch.no_grad()
def own_past(
    student: Denoiser, batch: Batch, chunks: int, guidance: Tensor, rng: np.random.Generator
) -> Tensor:
    """The past (B, C, Z) behind which the student will learn: the true one, then `chunks` chunks
    of its own."""
    config = student.config
    past = batch.latents[:, : config.context_steps]
    for index in range(chunks):
        first = index * config.chunk_steps
        conditions = conditions_of(batch, past, first, config, batch.spoken)
        start = first + config.context_steps
        speech = batch.windows[:, start : start + config.chunk_steps]
        predict = student_predict(student, conditions, speech, guidance)
        made = sample(
            predict,
            torch.randn_like(past[:, : config.chunk_steps]),
            int(rng.choice((2, 4))),
            config.prediction,
        )
        past = torch.cat([past, made], dim=1)[:, -config.context_steps :]
    return past


def student_loss(
    networks: tuple[Denoiser, Denoiser, Denoiser, Autoencoder],
    batch: Batch,
    lips: Tensor,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Jump loss and lip loss of one batch.

    Args:
        networks: student, its running average (which generates the past), teacher, autoencoder.
        batch: windows of one past and three chunks.
        lips: (K, P).
        rng: draws the jumps.
    """
    student, average, teacher, autoencoder = networks
    config = student.config
    size = len(batch.latents)
    guidance = torch.from_numpy(rng.uniform(0.5, 3.0, size).astype(np.float32))
    chunks = int(rng.choice((0, 1, 2), p=(0.2, 0.3, 0.5)))
    past = own_past(average, batch, chunks, guidance, rng)
    if chunks == 0:
        past = blur_past(past, 0.1)
    first = chunks * config.chunk_steps
    start = first + config.context_steps
    speech = batch.windows[:, start : start + config.chunk_steps]
    conditions = conditions_of(batch, past, first, config, batch.spoken)
    points = trajectory(
        teacher,
        conditions,
        speech,
        torch.randn(size, config.chunk_steps, config.latent_size),
        guidance,
    )
    origin, goal = draw_jumps(size, rng)
    grid = torch.tensor(schedule(TEACHER_STEPS))
    rows = torch.arange(size)
    here, there = points[torch.from_numpy(origin), rows], points[torch.from_numpy(goal), rows]
    now, following = grid[torch.from_numpy(origin)], grid[torch.from_numpy(goal)]
    cache = student.context(conditions)
    prediction = student(here, speech, batch.spoken, (now, following, guidance), cache)
    wanted = target_for_step(here, there, now, following, config.prediction)
    reach = torch.sin((now - following) * (torch.pi / 2))
    loss = ((prediction - wanted).square().mean((1, 2)) * reach).mean()
    # Jumps that end in clean latents are judged by the lips as well.
    ends = torch.from_numpy(np.flatnonzero(goal == TEACHER_STEPS))
    if not len(ends):
        return loss, loss * 0
    reached = step_to(prediction[ends], here[ends], now[ends], following[ends], config.prediction)
    behind = past[ends][:, -autoencoder.config.decoder_context :]
    error = autoencoder.decode(torch.cat([behind, reached], 1)) - autoencoder.decode(
        torch.cat([behind, there[ends]], 1)
    )
    moved = error[..., :K] @ lips / 0.02
    return loss, moved.square().mean() + 2 * moved.diff(dim=1).square().mean()


def write_bundle(
    path: Path,
    autoencoder: Autoencoder,
    denoiser: Denoiser,
    clips: list[Clip],
    basis: FaceBasis,
    *,
    distilled: bool,
) -> None:
    """The generator's bundle with its provenance."""
    parts = fit_parts(clips, basis, distilled=distilled)
    tensors, config = bundle_contents(MotionGenerator(autoencoder, denoiser, parts))
    # The folder of the clips is a matter of the machine.
    words = [
        "DATA" if before == "--data" else word for before, word in itertools.pairwise(sys.argv)
    ]
    command = " ".join(["python", "models/training/distil_student.py", *words])
    metadata = {"data_tier": "permissive", "licence": LICENCE, "training_command": command}
    save_bundle(path, tensors, config, metadata)
    log.info("wrote %s, %.1f MB", path, path.stat().st_size / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--autoencoder", type=Path, default=Path("data/train/runs/autoencoder.pt"))
    parser.add_argument("--appearance", type=Path, default=Path("data/train/runs/appearance.pt"))
    parser.add_argument("--teacher", type=Path, default=Path("data/train/runs/teacher.pt"))
    parser.add_argument("--out", type=Path, default=Path("data/train/runs/student.pt"))
    parser.add_argument("--bundle", type=Path, default=Path("data/train/runs/talkhead.safetensors"))
    parser.add_argument(
        "--teacher-bundle", type=Path, default=Path("data/train/runs/talkhead-teacher.safetensors")
    )
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)

    # Data and networks.
    basis = FaceBasis.load()
    autoencoder = load_autoencoders(args.autoencoder, args.appearance)
    stored = torch.load(args.teacher, weights_only=True)
    config = DenoiserConfig(**stored["config"])
    teacher = Denoiser(config)
    teacher.load_state_dict(stored["average"])
    teacher.eval().requires_grad_(False)
    clips = share_appearance(load_clips(args.data, args.work, basis), basis)
    write_bundle(
        args.teacher_bundle, autoencoder, copy.deepcopy(teacher), clips, basis, distilled=False
    )
    lips = lip_matrix(basis)
    student = copy.deepcopy(teacher).requires_grad_(True).train()
    average = copy.deepcopy(teacher)
    optimiser = torch.optim.AdamW(
        student.parameters(), lr=args.rate, weight_decay=0.01, betas=(0.9, 0.98)
    )
    done, spent = 0, 0.0
    if args.out.exists():
        stored = torch.load(args.out, weights_only=True)
        student.load_state_dict(stored["model"])
        average.load_state_dict(stored["average"])
        optimiser.load_state_dict(stored["optimiser"])
        done, spent = stored["step"], stored["seconds"]
    sampler = WindowSampler(clips, basis, args.seed + 1 + done)

    # Loop.
    began = time.monotonic() - spent
    running = np.zeros(2)
    while (elapsed := time.monotonic() - began) < args.minutes * 60:
        for group in optimiser.param_groups:
            warm = min(1.0, (done + 1) / 30)
            group["lr"] = (
                args.rate
                * warm
                * max(0.03, 0.5 + 0.5 * math.cos(math.pi * elapsed / (args.minutes * 60)))
            )
        batch = draw(sampler, autoencoder, config, args.batch, chunks=3)
        loss, lip = student_loss((student, average, teacher, autoencoder), batch, lips, rng)
        optimiser.zero_grad()
        (loss + 0.3 * lip).backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        follow(average, student, done)
        running += [float(loss.detach()), float(lip.detach())]
        done += 1
        if done % 50 == 0:
            log.info("step %d jump loss %.4f lips %.4f", done, *(running / 50))
            running[:] = 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        "model": student.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    torch.save(kept | {"step": done, "seconds": time.monotonic() - began}, args.out)
    write_bundle(args.bundle, autoencoder, average, clips, basis, distilled=True)


if __name__ == "__main__":
    main()
