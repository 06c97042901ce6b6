"""The motion autoencoder: FaceMotion at 25 frames/s to a short latent at 6.25 steps/s and back.

Both halves are causal, and their convolutions are *valid*: nothing is padded inside the network. A
caller hands over the left context it has (`encoder_context` or `decoder_context` steps), and gets
exactly the steps behind it. One chunk at a time with the context of the chunk before is therefore
the same computation as everything at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkhead_models.motion import APPEARANCE_SIZE, GEOMETRY_SIZE


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of the autoencoder.

    Attributes:
        motion_size: D, numbers a frame.
        latent_size: numbers a latent step.
        frames_per_step: video frames a latent step.
        width: channels at the latent rate.
        frame_width: channels at the frame rate, in the decoder's last layers.
        encoder_layers: residual layers of the encoder, each of `kernel` steps.
        decoder_layers: residual layers of the decoder at the latent rate, each of `kernel` steps.
        frame_layers: residual layers of the decoder at the frame rate, each of `kernel` frames.
        kernel: taps of a causal convolution.
    """

    motion_size: int = GEOMETRY_SIZE
    latent_size: int = 48
    frames_per_step: int = 4
    width: int = 192
    frame_width: int = 96
    encoder_layers: int = 2
    decoder_layers: int = 2
    frame_layers: int = 2
    kernel: int = 3

    @property
    def encoder_context(self) -> int:
        """Latent steps of motion the encoder needs to the left of the first step it returns."""
        return self.encoder_layers * (self.kernel - 1)

    @property
    def decoder_context(self) -> int:
        """Latent steps the decoder needs to the left of the first step it decodes."""
        frames = self.frame_layers * (self.kernel - 1)
        return self.decoder_layers * (self.kernel - 1) + -(-frames // self.frames_per_step)


class CausalLayer(nn.Module):
    """Residual layer: normalise, causal convolution without padding, pointwise expansion.

    The output is shorter than the input by `kernel` - 1 positions, all on the left.
    """

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(width, 2 * width, kernel)
        self.output = nn.Linear(2 * width, width)
        self.shortening = kernel - 1
        nn.init.zeros_(self.output.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden (B, S, C) to (B, S - kernel + 1, C)."""
        mixed = self.convolution(self.norm(hidden).transpose(1, 2)).transpose(1, 2)
        update: Tensor = self.output(functional.gelu(mixed))
        return hidden[:, self.shortening :] + update


class MotionAutoencoder(nn.Module):
    """Encoder and decoder with their own normalisation.

    Motion is standardised by (`motion_mean`, `motion_std`), latents by (`latent_mean`,
    `latent_std`); both are buffers, so that they travel with the weights. Latents outside this
    class have mean 0 and variance 1 a channel.
    """

    motion_mean: Tensor
    motion_std: Tensor
    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        patch = config.motion_size * config.frames_per_step
        self.encoder_input = nn.Linear(patch, config.width)
        self.encoder = nn.ModuleList(
            CausalLayer(config.width, config.kernel) for _ in range(config.encoder_layers)
        )
        self.encoder_output = nn.Linear(config.width, config.latent_size)
        self.decoder_input = nn.Linear(config.latent_size, config.width)
        self.decoder = nn.ModuleList(
            CausalLayer(config.width, config.kernel) for _ in range(config.decoder_layers)
        )
        self.decoder_unfold = nn.Linear(config.width, config.frame_width * config.frames_per_step)
        self.frames = nn.ModuleList(
            CausalLayer(config.frame_width, config.kernel) for _ in range(config.frame_layers)
        )
        self.decoder_output = nn.Linear(config.frame_width, config.motion_size)
        self.register_buffer("motion_mean", torch.zeros(config.motion_size))
        self.register_buffer("motion_std", torch.ones(config.motion_size))
        self.register_buffer("latent_mean", torch.zeros(config.latent_size))
        self.register_buffer("latent_std", torch.ones(config.latent_size))

    def encode_raw(self, motion: Tensor) -> Tensor:
        """Latents before normalisation; see `encode`."""
        batch, frames, size = motion.shape
        per_step = self.config.frames_per_step
        if frames % per_step or size != self.config.motion_size:
            raise ValueError(
                f"motion must be (B, n * {per_step}, {self.config.motion_size}),"
                f" got {tuple(motion.shape)}"
            )
        hidden = (motion - self.motion_mean) / self.motion_std
        hidden = self.encoder_input(
            hidden.reshape(batch, frames // per_step, per_step * size)
        )  # (B, E + S, C)
        for layer in self.encoder:
            hidden = layer(hidden)
        latents: Tensor = self.encoder_output(hidden)  # (B, S, Z)
        return latents

    def decode_raw(self, latents: Tensor) -> Tensor:
        """Motion from latents before normalisation; see `decode`."""
        config = self.config
        hidden = self.decoder_input(latents)  # (B, R + S, C)
        for layer in self.decoder:
            hidden = layer(hidden)
        batch, steps, _ = hidden.shape
        hidden = self.decoder_unfold(hidden).reshape(
            batch, steps * config.frames_per_step, config.frame_width
        )
        for layer in self.frames:
            hidden = layer(hidden)
        wanted = (latents.shape[1] - config.decoder_context) * config.frames_per_step
        motion: Tensor = self.decoder_output(hidden[:, -wanted:])  # (B, 4 S, D)
        return motion * self.motion_std + self.motion_mean

    def encode(self, motion: Tensor) -> Tensor:
        """Motion to normalised latents.

        Args:
            motion: (B, (encoder_context + S) * 4, D) float32, as FaceMotion.to_array.

        Returns:
            (B, S, Z) float32, mean 0 and variance 1 over the training data.
        """
        return (self.encode_raw(motion) - self.latent_mean) / self.latent_std

    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents to motion.

        Args:
            latents: (B, decoder_context + S, Z) float32.

        Returns:
            (B, S * 4, D) float32: the frames of the last S steps.
        """
        if latents.shape[1] <= self.config.decoder_context:
            raise ValueError(
                f"decoding needs more than {self.config.decoder_context} steps,"
                f" got {latents.shape[1]}"
            )
        return self.decode_raw(latents * self.latent_std + self.latent_mean)

    def encode_held(self, frame: Tensor, steps: int) -> Tensor:
        """Latents of one frame held still: the portrait as a pseudo-video.

        Args:
            frame: (B, D) float32.
            steps: how many latent steps to return.

        Returns:
            (B, steps, Z) float32.
        """
        frames = (self.config.encoder_context + steps) * self.config.frames_per_step
        return self.encode(frame[:, None].expand(-1, frames, -1))


APPEARANCE_AUTOENCODER = AutoencoderConfig(
    motion_size=APPEARANCE_SIZE, latent_size=16, width=96, frame_width=48
)
"""Sizes of the appearance code's autoencoder."""


class JointAutoencoder(nn.Module):
    """Two autoencoders side by side, for the mesh's motion and for the mouth's appearance; one latent.

    They share no weights: what the appearance needs costs the geometry nothing.
    """

    def __init__(self, geometry: MotionAutoencoder, appearance: MotionAutoencoder) -> None:
        super().__init__()
        first, second = geometry.config, appearance.config
        for name in ("frames_per_step", "encoder_context", "decoder_context"):
            if getattr(first, name) != getattr(second, name):
                raise ValueError(f"the autoencoders of geometry and appearance differ in {name}")
        self.geometry = geometry
        self.appearance = appearance
        self.config = replace(
            first,
            motion_size=first.motion_size + second.motion_size,
            latent_size=first.latent_size + second.latent_size,
        )

    def encode(self, motion: Tensor) -> Tensor:
        """Motion to normalised latents; see `MotionAutoencoder.encode`."""
        size = self.geometry.config.motion_size
        parts = motion[..., :size], motion[..., size:]
        return torch.cat([self.geometry.encode(parts[0]), self.appearance.encode(parts[1])], -1)

    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents to motion; see `MotionAutoencoder.decode`."""
        size = self.geometry.config.latent_size
        parts = latents[..., :size], latents[..., size:]
        return torch.cat([self.geometry.decode(parts[0]), self.appearance.decode(parts[1])], -1)

    def encode_held(self, frame: Tensor, steps: int) -> Tensor:
        """Latents of one frame held still; see `MotionAutoencoder.encode_held`."""
        frames = (self.config.encoder_context + steps) * self.config.frames_per_step
        return self.encode(frame[:, None].expand(-1, frames, -1))


Autoencoder = MotionAutoencoder | JointAutoencoder
