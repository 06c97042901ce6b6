"""Sampling: the noise schedule and the few lines that turn noise into latents, as free functions.

Time runs from 1 (noise) to 0 (clean): noisy = signal(t) * clean + noise_level(t) * noise, with a
cosine and a sine, so that the variance stays 1.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from talkhead_models.denoiser import Conditions, ContextCache, Denoiser, Prediction

FIRST_TIME = 0.98
"""Where sampling starts: a little signal is left, so that every prediction type stays well
defined."""

Predict = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(noisy (B, N, Z), time (B,), target time (B,)) to a prediction (B, N, Z)."""


def signal(time: Tensor) -> Tensor:
    """Share of the clean latents at a time, same shape."""
    return torch.cos(time * (math.pi / 2))


def noise_level(time: Tensor) -> Tensor:
    """Share of the noise at a time, same shape."""
    return torch.sin(time * (math.pi / 2))


def per_step(time: Tensor) -> Tensor:
    """Times of whole chunks (B,), or of every latent step (B, N), made to multiply (B, N, Z)."""
    return time[:, None, None] if time.ndim == 1 else time[..., None]


def add_noise(clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """Noisy latents (B, N, Z) at times (B,), or (B, N) where every step has its own.

    The variance-preserving forward process x_t = a(t) x_0 + b(t) e (DDPM, arXiv 2006.11239, eq. 4)
    with the trigonometric schedule of arXiv 2202.00512.
    """
    at = per_step(time)
    return signal(at) * clean + noise_level(at) * noise


def training_target(clean: Tensor, noise: Tensor, time: Tensor, kind: Prediction) -> Tensor:
    """What a network of a prediction type should say: the noise (arXiv 2006.11239, eq. 14), the clean
    latents, or the velocity a e - b x_0 (arXiv 2202.00512, section 4)."""
    if kind == "clean":
        return clean
    if kind == "noise":
        return noise
    at = per_step(time)
    return signal(at) * noise - noise_level(at) * clean


def clean_and_noise(
    prediction: Tensor, noisy: Tensor, time: Tensor, kind: Prediction
) -> tuple[Tensor, Tensor]:
    """A prediction taken apart into clean latents and noise, (B, N, Z) each."""
    at = per_step(time)
    a, b = signal(at), noise_level(at)
    if kind == "clean":
        return prediction, (noisy - a * prediction) / b.clamp_min(1e-3)
    if kind == "noise":
        return (noisy - b * prediction) / a.clamp_min(1e-3), prediction
    return a * noisy - b * prediction, b * noisy + a * prediction


def step_to(
    prediction: Tensor, noisy: Tensor, time: Tensor, target: Tensor, kind: Prediction
) -> Tensor:
    """One deterministic step from a time to a smaller one (DDIM, arXiv 2010.02502, eq. 12 with sigma 0)."""
    clean, noise = clean_and_noise(prediction, noisy, time, kind)
    return add_noise(clean, noise, target)


def target_for_step(
    noisy: Tensor, reached: Tensor, time: Tensor, target: Tensor, kind: Prediction
) -> Tensor:
    """The prediction with which `step_to` goes from `noisy` exactly to `reached`; what a student
    learns (progressive distillation, arXiv 2202.00512, appendix G).

    The two shares of a step form a rotation, so that the only division is by the sine of its angle.
    """
    now, then = per_step(time), per_step(target)
    sine = torch.sin((now - then) * (math.pi / 2))
    if kind == "noise":
        return (signal(then) * noisy - signal(now) * reached) / sine
    if kind == "clean":
        return (noise_level(now) * reached - noise_level(then) * noisy) / sine
    return (torch.cos((now - then) * (math.pi / 2)) * noisy - reached) / sine


def schedule(num_inference_steps: int) -> list[float]:
    """Times of a run, from `FIRST_TIME` to 0: one more than there are steps.

    Raises:
        ValueError: fewer than one step.
    """
    if num_inference_steps < 1:
        raise ValueError(f"num_inference_steps must be at least 1, got {num_inference_steps}")
    return [
        FIRST_TIME * (1 - index / num_inference_steps) for index in range(num_inference_steps + 1)
    ]


def sample(predict: Predict, noise: Tensor, num_inference_steps: int, kind: Prediction) -> Tensor:
    """Noise (B, N, Z) to clean latents."""
    times = schedule(num_inference_steps)
    latents = noise
    for now, following in pairwise(times):
        time = torch.full((noise.shape[0],), now, device=noise.device)
        target = torch.full_like(time, following)
        latents = step_to(predict(latents, time, target), latents, time, target, kind)
    return latents


def number_for(seed: int, *labels: int | str) -> int:
    """A 63-bit seed from a seed and labels, the same on every machine."""
    text = ":".join(str(part) for part in (seed, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def chunk_noise(seed: int, chunk_index: int, steps: int, size: int) -> Tensor:
    """The noise of a chunk, (1, steps, size) float32, drawn on the CPU: the plan fixes it, not the
    order of calls."""
    generator = torch.Generator("cpu").manual_seed(number_for(seed, "chunk", chunk_index))
    return torch.randn(1, steps, size, generator=generator)


def step_noise(seed: int, first_step: int, steps: int, size: int) -> Tensor:
    """The noise of some latent steps of a clip, (1, steps, size) float32: each has its own, so that
    chunks that overlap agree."""
    rows = []
    for step in range(first_step, first_step + steps):
        generator = torch.Generator("cpu").manual_seed(number_for(seed, "latent step", step))
        rows.append(torch.randn(size, generator=generator))
    return torch.stack(rows)[None]


def teacher_predict(
    model: Denoiser, conditions: Conditions, speech: Tensor, guidance_scale: float
) -> Predict:
    """Prediction of a teacher with classifier-free guidance: two looks, one without speech.

    Args:
        model: a network trained with dropped speech.
        conditions: what the chunk is generated from; keep_speech all True.
        speech: (B, N, window, F).
        guidance_scale: 1 = none, 0 = ignore the speech.
    """
    with_cache = model.context(conditions)
    hidden = torch.zeros_like(conditions.keep_speech)
    without_cache = model.context(conditions._replace(keep_speech=hidden))

    def predict(noisy: Tensor, time: Tensor, target: Tensor) -> Tensor:
        times = (time, time, torch.ones_like(time))
        said: Tensor = model(noisy, speech, conditions.keep_speech, times, with_cache)
        if guidance_scale == 1.0:
            return said
        unsaid: Tensor = model(noisy, speech, hidden, times, without_cache)
        guided: Tensor = unsaid + guidance_scale * (said - unsaid)
        return guided

    return predict


def student_predict(
    model: Denoiser,
    conditions: Conditions,
    speech: Tensor,
    guidance: Tensor,
    cache: ContextCache | None = None,
) -> Predict:
    """Prediction of a student: one look; the step's end and the guidance (B,) are inputs.

    Args:
        model: a distilled network.
        conditions: what the chunk is generated from.
        speech: (B, N, window, F).
        guidance: (B,).
        cache: the context of these conditions, where it is known already.
    """
    cache = model.context(conditions) if cache is None else cache

    def predict(noisy: Tensor, time: Tensor, target: Tensor) -> Tensor:
        prediction: Tensor = model(
            noisy, speech, conditions.keep_speech, (time, target, guidance), cache
        )
        return prediction

    return predict
