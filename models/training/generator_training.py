"""The loops of teacher and student: a run that can be stored and taken up again, and its steps."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from generator_data import Batch
from recipes import Recipe
from student_losses import Networks, chunks_of, critic_loss, student_losses
from teacher_losses import teacher_loss
from torch import Tensor

from talkhead_models.autoencoder import Autoencoder
from talkhead_models.bundle import load_bundle
from talkhead_models.denoiser import Denoiser, DenoiserConfig
from talkhead_models.generator_bundle import part_of

log = logging.getLogger("generator_training")

Draw = Callable[[DenoiserConfig, int, int], Batch]
"""(config, rows, chunks) to a batch."""

LEAST_RATE = 0.03
"""Share of the learning rate that is left at the end."""


@torch.no_grad()
def follow(average: Denoiser, model: Denoiser, step: int) -> None:
    """Move the running average of the weights."""
    decay = min(0.998, (step + 1) / (step + 20))
    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)


def load_weights(path: Path) -> tuple[dict[str, Tensor], DenoiserConfig]:
    """A network's averaged weights and options, from a checkpoint of a run or from a bundle."""
    if path.suffix == ".safetensors":
        bundle = load_bundle(path)
        return part_of(bundle.tensors, "denoiser"), DenoiserConfig(**bundle.config["denoiser"])
    stored = torch.load(path, weights_only=True)
    return stored["average"], DenoiserConfig(**stored["config"])


@torch.no_grad()
def take_over(weights: dict[str, Tensor], model: Denoiser, config: DenoiserConfig) -> None:
    """Start a network from the weights of one with other options: what both have is taken over, new
    inputs and outputs begin without effect, and positions go to where they belong.

    Args:
        weights: of the other network.
        model: to be filled in place.
        config: the other network's options.
    """
    for name, own in model.state_dict().items():
        theirs = weights.get(name)
        if theirs is None or name == "positions":
            continue
        shared = tuple(slice(0, min(a, b)) for a, b in zip(own.shape, theirs.shape, strict=True))
        if own.shape != theirs.shape:
            own.zero_()
        own[shared] = theirs[shared]
    mine, other = places(model.config), places(config)
    for part, (start, end) in mine.items():
        first, last = other[part]
        count = min(end - start, last - first)
        if count:
            model.positions[end - count : end] = weights["positions"][last - count : last]


def places(config: DenoiserConfig) -> dict[str, tuple[int, int]]:
    """Where the positions of style, reference, past and chunk begin and end."""
    past = config.group_steps if config.block_causal else config.context_steps
    past = past if config.context_steps else 0
    counts = {"style": 1, "reference": config.reference_steps, "past": past}
    found, at = {}, 0
    for part, count in counts.items():
        found[part] = (at, at + count)
        at += count
    # A block-causal network without a past still has a position for one.
    total = 1 + config.reference_steps + config.chunk_steps
    total += config.group_steps if config.block_causal else config.context_steps
    return found | {"chunk": (total - config.chunk_steps, total)}


class Run:
    """One network in training, with its running average; can be stored and taken up again."""

    def __init__(self, model: Denoiser, rate: float, path: Path | None = None) -> None:
        """Take up where `path` ends, if it exists.

        Args:
            model: with its first weights.
            rate: largest learning rate.
            path: checkpoint; None for a run that is not stored.
        """
        self.model, self.rate, self.path = model, rate, path
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            model.parameters(), lr=rate, weight_decay=0.02, betas=(0.9, 0.98)
        )
        self.step, self.spent, self.began = 0, 0.0, time.monotonic()
        if path and path.exists():
            stored = torch.load(path, weights_only=True)
            model.load_state_dict(stored["model"])
            self.average.load_state_dict(stored["average"])
            self.optimiser.load_state_dict(stored["optimiser"])
            self.step, self.spent = stored["step"], stored["seconds"]

    @property
    def seconds(self) -> float:
        """Time trained so far, over all sessions."""
        return self.spent + time.monotonic() - self.began

    def learn(self, loss: Tensor, progress: float) -> None:
        """One step; the learning rate falls along a cosine as `progress` goes from 0 to 1."""
        warm = min(1.0, (self.step + 1) / 50)
        falling = max(LEAST_RATE, 0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * warm * falling
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        follow(self.average, self.model, self.step)
        self.step += 1

    def save(self) -> None:
        """Store the run, if it has a path."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".tmp")
        stored = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "config": asdict(self.model.config),
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(stored, partial)
        partial.replace(self.path)


class Limit:
    """When a run ends: after so many steps, or so many minutes."""

    def __init__(self, run: Run, *, steps: int = 0, minutes: float = 0.0) -> None:
        self.run, self.steps, self.minutes = run, steps, minutes

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        if self.steps:
            return self.run.step / self.steps
        if not self.minutes:  # nothing to learn: the weights as they are
            return 1.0
        return self.run.seconds / (60 * self.minutes)


def train_teacher(
    run: Run,
    limit: Limit,
    draw: Draw,
    recipe: Recipe,
    autoencoder: Autoencoder,
    lips: Tensor,
    *,
    batch: int = 48,
    lip_weight: float = 0.5,
    seed: int = 0,
) -> None:
    """Train a teacher to the limit; see `teacher_losses`."""
    generator = torch.Generator().manual_seed(seed + run.step)
    running: list[tuple[float, float]] = []
    run.model.train()
    while limit.progress < 1:
        windows = draw(run.model.config, batch, 1)
        loss, lip = teacher_loss(run.model, autoencoder, windows, lips, recipe, generator)
        run.learn(loss + lip_weight * lip, limit.progress)
        running.append((float(loss.detach()), float(lip.detach())))
        if run.step % 200 == 0:
            log.info("step %d loss %.4f lips %.4f", run.step, *np.mean(running, axis=0))
            running.clear()
            run.save()
    run.model.eval()
    run.save()


def distil(
    run: Run,
    limit: Limit,
    draw: Draw,
    recipe: Recipe,
    fixed: tuple[Denoiser, Autoencoder, Tensor],
    *,
    batch: int = 40,
    seed: int = 0,
) -> None:
    """Distil a student to the limit; see `student_losses`.

    Args:
        run: of the student.
        limit: when to stop.
        draw: batches.
        recipe: the mechanisms.
        fixed: teacher, autoencoder, (K, P) expression to lip points.
        batch: rows.
        seed: of scenes and jumps.
    """
    teacher, autoencoder, lips = fixed
    rng = np.random.default_rng((seed, run.step))
    critic = critic_run(run, recipe)
    networks = Networks(
        run.model, run.average, teacher, critic.model if critic else None, autoencoder, lips
    )
    running: dict[str, list[float]] = {}
    run.model.train()
    while limit.progress < 1:
        windows = draw(run.model.config, batch, chunks_of(recipe))
        losses, scene = student_losses(networks, windows, recipe, rng)
        run.learn(torch.stack(list(losses.values())).sum(), limit.progress)
        if critic:
            losses["critic"] = critic_loss(networks, scene, recipe)
            critic.learn(losses["critic"], 0.0)
        for name, loss in losses.items():
            running.setdefault(name, []).append(float(loss.detach()))
        if run.step % 50 == 0:
            means = " ".join(f"{name} {np.mean(values):.4f}" for name, values in running.items())
            log.info("step %d %s", run.step, means)
            running.clear()
            run.save()
    run.model.eval()
    run.save()


def critic_run(run: Run, recipe: Recipe) -> Run | None:
    """The critic of distribution matching: begins as the student does; None where none is asked for.

    It is not stored: a run that is taken up again begins with the student's own weights, which is
    close to what the critic had learned.
    """
    if not recipe.matching:
        return None
    return Run(copy.deepcopy(run.model).requires_grad_(True).train(), 0.5 * run.rate)
