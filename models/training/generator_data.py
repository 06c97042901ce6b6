"""Batches for the denoiser's two stages: augmented windows, encoded, with their speech windows and
style."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from motion_data import WindowSampler
from torch import Tensor

from talkhead_models.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    JointAutoencoder,
    MotionAutoencoder,
)
from talkhead_models.denoiser import FEATURES_PER_STEP, NUM_VISEMES, Conditions, DenoiserConfig
from talkhead_models.streaming import speech_windows


def load_autoencoder(path: Path) -> MotionAutoencoder:
    """A frozen autoencoder of stage 3."""
    stored = torch.load(path, weights_only=True)
    model = MotionAutoencoder(AutoencoderConfig(**stored["config"]))
    model.load_state_dict(stored["model"])
    return model.eval().requires_grad_(False)


def load_autoencoders(geometry: Path, appearance: Path) -> JointAutoencoder:
    """Both frozen autoencoders of stage 3, side by side."""
    return JointAutoencoder(load_autoencoder(geometry), load_autoencoder(appearance))


@dataclass(frozen=True)
class Batch:
    """Encoded windows of `past + chunks * N` steps.

    Attributes:
        latents: (B, S, Z), the first `context_steps` of them the past of the first chunk.
        windows: (B, S, window, F) speech windows of all steps.
        motion: (B, S * 4, D).
        style: (B, style_size).
        reference: (B, R, Z).
        spoken: (B,) bool.
    """

    latents: Tensor
    windows: Tensor
    motion: Tensor
    style: Tensor
    reference: Tensor
    spoken: Tensor


def vary_speech(features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same speech as another voice and a worse (or surer) encoder would give it, (B, L, F).

    On unknown voices the posteriors are flatter, later or earlier by a little, and wrong for a
    phone here and there; loudness and the neighbours say what was meant.
    """
    batch, length, _ = features.shape
    result = features.copy()
    posterior = np.clip(features[..., :NUM_VISEMES], 1e-4, 1)
    blurred = np.pad(posterior, ((0, 0), (1, 1), (0, 0)), "edge")
    blurred = (blurred[:, :-2] + 2 * posterior + blurred[:, 2:]) / 4
    posterior = posterior + rng.choice([0.0, 1.0], (batch, 1, 1)) * (blurred - posterior)
    posterior = posterior ** np.exp(rng.uniform(-0.8, 0.7, (batch, 1, 1)))
    posterior = posterior / posterior.sum(-1, keepdims=True)
    # Confusions: stretches of 80 ms, each mixed with some other viseme by a random share.
    stretches = -(-length // 4)
    other = rng.dirichlet(np.full(NUM_VISEMES, 0.15), (batch, stretches)).repeat(4, 1)[:, :length]
    share = rng.beta(0.5, 4.0, (batch, stretches, 1)).repeat(4, 1)[:, :length]
    share = share * rng.uniform(0, 1.2, (batch, 1, 1)) * (features[..., :1] < 0.5)
    share = np.clip(share, 0, 0.7)
    result[..., :NUM_VISEMES] = (1 - share) * posterior + share * other
    loudness = rng.uniform(0.8, 1.2, (batch, 1, 1))
    span = slice(NUM_VISEMES, NUM_VISEMES + 2)
    result[..., span] = np.clip(features[..., span] * loudness, -1, 1)
    pitch = rng.uniform(0.3, 1.5, (batch, 1)) * rng.choice([1.0, 1.0, 0.0], (batch, 1))
    result[..., NUM_VISEMES + 3] = np.clip(features[..., NUM_VISEMES + 3] * pitch, -1, 1)
    return result.astype(np.float32)


def draw(
    sampler: WindowSampler,
    autoencoder: Autoencoder,
    config: DenoiserConfig,
    size: int,
    *,
    chunks: int = 1,
) -> Batch:
    """A batch of windows of one past and `chunks` chunks."""
    per_step = autoencoder.config.frames_per_step
    left = autoencoder.config.encoder_context
    steps = config.context_steps + chunks * config.chunk_steps
    ahead = -(-config.speech_ahead // 2)
    frames = (left + steps) * per_step
    # The first chunk of a clip has the portrait at rest as its past.
    before = frames - 8
    drawn = sampler.batch(size, frames + ahead, before)
    motion = torch.from_numpy(drawn.motion[:, :frames])
    features = vary_speech(drawn.features, sampler.rng)
    start = left * FEATURES_PER_STEP - config.speech_past
    end = (left + steps) * FEATURES_PER_STEP + config.speech_ahead
    with torch.no_grad():
        latents = autoencoder.encode(motion)
        still = autoencoder.encode_held(torch.zeros(1, autoencoder.config.motion_size), 1)
    return Batch(
        latents=latents,
        windows=speech_windows(torch.from_numpy(features[:, start:end]), config),
        motion=motion[:, left * per_step :],
        style=torch.from_numpy(drawn.style),
        reference=still.expand(size, config.reference_steps, -1),
        spoken=torch.from_numpy(drawn.spoken),
    )


def conditions_of(
    batch: Batch, past: Tensor, first: int, config: DenoiserConfig, keep: Tensor
) -> Conditions:
    """Conditions of the chunk whose past begins at step `first`."""
    return Conditions(
        past=past,
        past_speech=batch.windows[:, first : first + config.context_steps],
        reference=batch.reference,
        style=batch.style,
        keep_speech=keep,
    )
