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
from talkhead_models.speech import FEATURE_SIZE
from talkhead_models.streaming import speech_windows

REFERENCE_FRAMES = 12
"""A reference is one of so many frames before the past."""

LEAST_LEAD = 8
"""Latent steps ahead of a chunk that the decoder, or a teacher with a wider view, asks for."""

AT_REST = 0.5
"""Share of references that are the portrait at rest."""


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
    """Encoded windows of a lead, which ends with the first chunk's past, and of some chunks.

    Attributes:
        lead: L, latent steps ahead of the first chunk: its past, and not less than `LEAST_LEAD`.
        latents: (B, L + S, Z).
        windows: (B, L + S, window, F) speech windows of all steps.
        motion: (B, (L + S) * 4, D).
        style: (B, style_size).
        reference: (B, R, reference_size).
        spoken: (B,) bool.
        frames: (B, D) the reference frames.
    """

    lead: int
    latents: Tensor
    windows: Tensor
    motion: Tensor
    style: Tensor
    reference: Tensor
    spoken: Tensor
    frames: Tensor

    def before(self, first: int, steps: int) -> Tensor:
        """The true latents of `steps` steps ahead of the chunk that begins at step `first`."""
        return self.latents[:, self.lead + first - steps : self.lead + first]

    def chunk(self, first: int, steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """True latents (B, N, Z), speech windows and motion (B, 4 N, D) of a chunk."""
        span = slice(self.lead + first, self.lead + first + steps)
        frames = self.motion.shape[1] // self.latents.shape[1]
        motion = self.motion[:, span.start * frames : span.stop * frames]
        return self.latents[:, span], self.windows[:, span], motion


def lead_of(config: DenoiserConfig) -> int:
    """Steps a batch holds ahead of its first chunk."""
    return max(config.context_steps, LEAST_LEAD)


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
    if features.shape[-1] > FEATURE_SIZE:
        # The other kinds: another level, and an encoder's uncertainty.
        others = result[..., FEATURE_SIZE:]
        others *= rng.uniform(0.9, 1.1, (batch, 1, 1))
        others += rng.normal(0, 0.05, others.shape)
    return result.astype(np.float32)


def pick_reference(motion: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Reference frames (B, D) of windows (B, T, D): a frame of the same person from before the
    window's past, or, as in use, the portrait at rest."""
    size = len(motion)
    chosen = motion[np.arange(size), rng.integers(0, REFERENCE_FRAMES, size)]
    at_rest = rng.random((size, 1)) < AT_REST
    return np.where(at_rest, 0, chosen).astype(np.float32)


def encode_reference(frames: Tensor, autoencoder: Autoencoder, config: DenoiserConfig) -> Tensor:
    """Reference frames (B, D) as a denoiser wants them, (B, R, reference_size)."""
    if config.reference_encoding == "frame":
        return frames[:, None].expand(-1, config.reference_steps, -1)
    # Held still through a causal encoder, all steps are the same.
    return autoencoder.encode_held(frames, 1).expand(-1, config.reference_steps, -1)


def draw(
    sampler: WindowSampler,
    autoencoder: Autoencoder,
    config: DenoiserConfig,
    size: int,
    *,
    chunks: int = 1,
) -> Batch:
    """A batch of windows of one lead and `chunks` chunks."""
    per_step = autoencoder.config.frames_per_step
    left = autoencoder.config.encoder_context
    lead = lead_of(config)
    steps = lead + chunks * config.chunk_steps
    ahead = -(-config.speech_ahead // 2)
    frames = (left + steps) * per_step
    # The first chunk of a clip has the portrait at rest as its past.
    before = frames - 8
    drawn = sampler.batch(size, frames + ahead, before)
    motion = torch.from_numpy(drawn.motion[:, :frames])
    features = vary_speech(drawn.features, sampler.rng)
    start = left * FEATURES_PER_STEP - config.speech_past
    end = (left + steps) * FEATURES_PER_STEP + config.speech_ahead
    frames = torch.from_numpy(pick_reference(drawn.motion, sampler.rng))
    with torch.no_grad():
        latents = autoencoder.encode(motion)
        reference = encode_reference(frames, autoencoder, config)
    return Batch(
        lead=lead,
        latents=latents,
        windows=speech_windows(torch.from_numpy(features[:, start:end]), config),
        motion=motion[:, left * per_step :],
        style=torch.from_numpy(drawn.style),
        reference=reference,
        spoken=torch.from_numpy(drawn.spoken),
        frames=frames,
    )


def conditions_of(
    batch: Batch, past: Tensor, first: int, config: DenoiserConfig, keep: Tensor
) -> Conditions:
    """Conditions of the chunk that begins at step `first`, behind some past (B, C, Z)."""
    start = batch.lead + first
    return Conditions(
        past=past,
        past_speech=batch.windows[:, start - config.context_steps : start],
        reference=batch.reference,
        style=batch.style,
        keep_speech=keep,
    )


class WindowPool:
    """Windows drawn and encoded once, for many short trainings on the same data."""

    def __init__(
        self, sampler: WindowSampler, autoencoder: Autoencoder, count: int, *, steps: int = 48
    ) -> None:
        """Draw.

        Args:
            sampler: of the clips.
            autoencoder: frozen.
            count: windows.
            steps: latent steps of each.
        """
        self.autoencoder = autoencoder
        self.steps = steps
        wide = DenoiserConfig(
            context_steps=0,
            chunk_steps=steps - LEAST_LEAD,
            latent_size=autoencoder.config.latent_size,
            feature_size=sampler.feature_size,
        )
        parts = [draw(sampler, autoencoder, wide, min(64, count - i)) for i in range(0, count, 64)]
        self.latents = torch.cat([part.latents for part in parts])
        self.motion = torch.cat([part.motion.half() for part in parts])
        self.windows = torch.cat([part.windows.half() for part in parts])
        self.style = torch.cat([part.style for part in parts])
        self.spoken = torch.cat([part.spoken for part in parts])
        self.frames = torch.cat([part.frames for part in parts])

    def batch(
        self, config: DenoiserConfig, size: int, rng: np.random.Generator, *, chunks: int = 1
    ) -> Batch:
        """A random batch of one lead and `chunks` chunks."""
        rows = torch.from_numpy(rng.integers(0, len(self.latents), size))
        lead = lead_of(config)
        needed = lead + chunks * config.chunk_steps
        start = int(rng.integers(0, self.steps - needed + 1))
        span = slice(start, start + needed)
        per_step = self.autoencoder.config.frames_per_step
        frames = self.frames[rows]
        with torch.no_grad():
            reference = encode_reference(frames, self.autoencoder, config)
        return Batch(
            lead=lead,
            latents=self.latents[rows, span],
            windows=self.windows[rows, span, :, : config.feature_size].float(),
            motion=self.motion[rows, per_step * start : per_step * span.stop].float(),
            style=self.style[rows],
            reference=reference,
            spoken=self.spoken[rows],
            frames=frames,
        )
