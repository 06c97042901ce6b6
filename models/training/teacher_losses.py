"""What a teacher learns from: the prediction of one chunk, and its lips."""

from __future__ import annotations

import torch
from generator_data import Batch, conditions_of
from recipes import Recipe
from torch import Tensor

from talkhead_models.autoencoder import Autoencoder
from talkhead_models.denoiser import Denoiser
from talkhead_models.distillation import asynchronous_times, snr_weight
from talkhead_models.motion import EXPRESSION_SIZE as K
from talkhead_models.sampling import FIRST_TIME, add_noise, clean_and_noise, training_target

HIDE_SPEECH = 0.12
"""Share of chunks without their speech, for classifier-free guidance (arXiv 2207.12598)."""

HIDE_PAST = 0.05

LIP_ROWS = 24
"""Rows of a batch that are decoded for the lip loss; decoding costs as much as denoising."""


def blur_past(past: Tensor, strength: float) -> Tensor:
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
        past: (B, C, Z), C at least the decoder's context.
        clean: (B, N, Z) predicted.
        motion: (B, 4 N, D) true.
        lips: (K, P).
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
    recipe: Recipe,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Prediction loss (DDPM, arXiv 2006.11239, eq. 14) and lip loss of one chunk.

    Args:
        model: in training, with the recipe's `teacher` options.
        autoencoder: frozen.
        batch: of one chunk at least.
        lips: (K, P).
        recipe: the mechanisms.
        generator: draws noise and times.
    """
    config = model.config
    size = len(batch.latents)
    clean, speech, motion = batch.chunk(0, config.chunk_steps)
    past = batch.before(0, config.context_steps)
    noise = torch.randn(clean.shape, generator=generator)
    if recipe.asynchronous:
        chunk = recipe.denoiser.chunk_steps
        time = asynchronous_times(size, config.chunk_steps, chunk, generator)
    else:
        time = torch.rand(size, generator=generator) * FIRST_TIME
    keep = batch.spoken & (torch.rand(size, generator=generator) >= HIDE_SPEECH)
    seen = blur_past(past, recipe.past_noise) if recipe.past_noise else past
    alone = (torch.rand(size, generator=generator) < HIDE_PAST)[:, None, None]
    seen = torch.where(alone, torch.randn(seen.shape, generator=generator), seen)
    cache = model.context(conditions_of(batch, seen, 0, config, keep))
    noisy = add_noise(clean, noise, time)
    times = (time, time, torch.ones(size))
    prediction = model(noisy, speech, keep, times, cache)
    error = prediction - training_target(clean, noise, time, config.prediction)
    # The step behind the past counts double: a seam there is seen.
    weight = torch.ones(config.chunk_steps, 1)
    weight[0] = 2
    loss = (error.square() * weight).mean()
    predicted, _ = clean_and_noise(prediction, noisy, time, config.prediction)
    # At high noise the prediction of a clean chunk is a mean over many; it is asked for less of
    # the detail.
    worth = snr_weight(time)
    if recipe.asynchronous:  # what is mostly noise is not worth decoding
        predicted = torch.where(worth > 0.5, predicted, clean)
    rows = slice(0, LIP_ROWS)
    weight = (worth.mean((1, 2)) + 0.15)[rows] * keep[rows]
    before = batch.before(0, autoencoder.config.decoder_context)
    return loss, lip_loss(autoencoder, before[rows], predicted[rows], motion[rows], lips, weight)
