"""Losses and walks of distillation, as free functions: how a teacher of many steps becomes a student
of few, and what keeps the student's motion steady and its own.

Latents are (B, N, Z), motion is (B, T, D), times are (B,) or (B, N).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from talkhead_models.denoiser_config import Prediction
from talkhead_models.sampling import (
    FIRST_TIME,
    Predict,
    noise_level,
    per_step,
    schedule,
    step_to,
)


def trajectory(predict: Predict, noise: Tensor, num_steps: int, kind: Prediction) -> Tensor:
    """A teacher's deterministic walk from noise to clean latents (DDIM, arXiv 2010.02502, eq. 12).

    Args:
        predict: the teacher, guidance included.
        noise: (B, N, Z).
        num_steps: S.
        kind: what it predicts.

    Returns:
        (S + 1, B, N, Z): all points of the walk, the noise first.
    """
    points = [noise]
    for now, following in pairwise(schedule(num_steps)):
        at = torch.full((len(noise),), now, device=noise.device)
        target = torch.full_like(at, following)
        points.append(step_to(predict(points[-1], at, target), points[-1], at, target, kind))
    return torch.stack(points)


def jump_loss(
    prediction: Tensor,
    noisy: Tensor,
    reached: Tensor,
    times: tuple[Tensor, Tensor],
    kind: Prediction,
) -> Tensor:
    """How far a student's one step lands from where the teacher's many land (the target of
    progressive distillation, arXiv 2202.00512, algorithm 2), over the step's length.

    For a velocity this is the squared error of the prediction times the sine of the step's angle,
    so that long steps, which are the hard ones, count most and no prediction type blows up.

    Args:
        prediction: the student's, at `noisy`.
        noisy, reached: (B, N, Z), two points of the teacher's walk.
        times: theirs, (B,) each.
        kind: what the student predicts.

    Returns:
        A scalar.
    """
    time, target = times
    landed = step_to(prediction, noisy, time, target, kind)
    reach = torch.sin((time - target) * (torch.pi / 2))
    return ((landed - reached).square().mean((1, 2)) / reach).mean()


def identity_anchor(made: Tensor, reference: Tensor, scale: Tensor) -> Tensor:
    """Identity anchor loss (TempoSyncDiff, arXiv 2603.06057): the person-specific statistics of the
    motion stay those of the reference.

    The paper anchors an appearance embedding; here appearance cannot drift, since every frame is
    made of the portrait, and what can drift is where the face rests and how far it moves. So the
    anchored statistics are the mean (the neutral pose) and the deviation of each motion number.

    Args:
        made, reference: (B, T, D), of the same person and about the same length.
        scale: (D,) deviations of the training data; numbers with 0 are left out.

    Returns:
        A scalar.
    """
    weight = torch.where(scale > 0, 1 / scale.clamp_min(1e-6), torch.zeros_like(scale))
    mean = (made.mean(1) - reference.mean(1)) * weight
    spread = (made.std(1) - reference.std(1)) * weight
    return mean.square().mean() + spread.square().mean()


def temporal_regularisation(made: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Temporal regularisation (TempoSyncDiff, arXiv 2603.06057) of first and second differences.

    The paper penalises all change; that shrinks the motion. Here the difference to the wanted
    motion must not change quickly: flicker costs, speech does not.

    Args:
        made, wanted: (B, T, D).
        weight: (D,) or (B, T, D)-broadcastable; larger for the mouth.

    Returns:
        A scalar.
    """
    error = (made - wanted) * weight
    first = error.diff(dim=1)
    return first.square().mean() + first.diff(dim=1).square().mean()


def asynchronous_times(
    size: int, steps: int, chunk_steps: int, generator: torch.Generator | None = None
) -> Tensor:
    """Noise levels of a non-streaming teacher whose latent steps are not equally noisy
    (asynchronous noise schedule of REST, arXiv 2512.11229; training with independent levels as in
    diffusion forcing, arXiv 2407.01392).

    Chunks before the one at work are clean or nearly so, it has a random level, and those behind it
    are noise: what a stream looks like at any moment. One row in four has one level for all steps.

    Args:
        size: B.
        steps: N, a multiple of chunk_steps.
        chunk_steps: steps that share a level.
        generator: draws.

    Returns:
        (B, N) in [0, FIRST_TIME].
    """
    chunks = steps // chunk_steps
    active = torch.randint(0, chunks, (size, 1), generator=generator)
    level = torch.rand(size, 1, generator=generator) * FIRST_TIME
    nearly_clean = 0.15 * torch.rand(size, 1, generator=generator).square()
    index = torch.arange(chunks)[None]
    times = torch.where(index < active, nearly_clean, torch.full_like(level, FIRST_TIME))
    times = torch.where(index == active, level, times)
    together = torch.rand(size, 1, generator=generator) < 0.25
    return torch.where(together, level, times).repeat_interleave(chunk_steps, dim=1)


def distribution_matching(made: Tensor, real_clean: Tensor, fake_clean: Tensor) -> Tensor:
    """Distribution matching distillation (DMD, arXiv 2311.18828, eq. 7 and 8), as AsymTalker
    (arXiv 2605.02948) uses it.

    The gradient of the reverse KL divergence between what the student makes and what the teacher
    would make is the difference of two scores, here of two estimates of the clean latents under
    the same noise: the teacher's, and that of a critic which keeps learning what the student makes.

    Args:
        made: (B, N, Z) by the student, with gradient.
        real_clean: (B, N, Z) the teacher's estimate from made latents with noise added.
        fake_clean: (B, N, Z) the critic's.

    Returns:
        A scalar whose gradient with respect to `made` is the matching gradient.
    """
    with torch.no_grad():
        size = (made - real_clean).abs().mean((1, 2), keepdim=True).clamp_min(1e-3)
        gradient = (fake_clean - real_clean) / size
    return 0.5 * (made - (made - gradient).detach()).square().mean()


def matching_times(size: int, generator: torch.Generator | None = None) -> Tensor:
    """Noise levels at which distributions are matched, (B,) in [0.1, 0.9]: below, both scores see
    everything; above, nothing."""
    return 0.1 + 0.8 * torch.rand(size, generator=generator)


def snr_weight(time: Tensor) -> Tensor:
    """Share of the signal's power at a time, (B, 1, 1) or (B, N, 1): what a clean estimate is worth."""
    return 1 - noise_level(per_step(time)).square()
