"""The denoiser: a small block-causal transformer over motion latents, conditioned on speech step
by step.

One chunk of latent steps is denoised at a time. It attends to itself and to a context that is
computed once a chunk and
kept as keys and values: *sink* tokens (style, the portrait as a pseudo-video), which stay for the
whole clip, and the latents of its own past. The context never looks at the chunk, so it can be
cached over the sampling steps.

The options of `DenoiserConfig` carry the published mechanisms: viseme tokens and noise prediction
(TempoSyncDiff), sink and context cache (REST), the information bottleneck on the past (SyncDiff),
the reference as a pseudo-video through the same encoder (AsymTalker).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Prediction = Literal["velocity", "noise", "clean"]

FEATURES_PER_STEP = 8
"""Speech feature vectors (50/s) a latent step (6.25/s)."""

NUM_VISEMES = 16
"""The first features are viseme posteriors."""


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes and mechanisms of the denoiser.

    Attributes:
        latent_size: numbers a latent step.
        feature_size: F, numbers a speech feature vector.
        style_size: numbers that describe the speaking style.
        width, layers, heads: the transformer's sizes.
        chunk_steps: latent steps denoised together.
        context_steps: latent steps of its own past it sees; 0 for none.
        reference_steps: latent steps of the reference as a pseudo-video among the sink tokens; 0
            for none.
        past_bottleneck: width of the bottleneck the past passes through; 0 for the full latent.
        speech_past, speech_ahead: feature vectors seen before and behind a step's own eight.
        speech_width: channels of the speech front-end.
        viseme_tokens: speech enters as hard viseme classes only.
        prediction: what the network's output means.
    """

    latent_size: int = 48
    feature_size: int = 20
    style_size: int = 9
    width: int = 160
    layers: int = 4
    heads: int = 5
    chunk_steps: int = 8
    context_steps: int = 8
    reference_steps: int = 1
    past_bottleneck: int = 32
    speech_past: int = 12
    speech_ahead: int = 12
    speech_width: int = 48
    viseme_tokens: bool = False
    prediction: Prediction = "velocity"

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")

    @property
    def window(self) -> int:
        """Feature vectors a step sees."""
        return self.speech_past + FEATURES_PER_STEP + self.speech_ahead


class ContextCache(NamedTuple):
    """Keys and values of the context, one pair a layer, each (B, heads, tokens, width / heads)."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]


class Conditions(NamedTuple):
    """What a chunk is generated from.

    Attributes:
        past: (B, C, Z) latents of the past, oldest first.
        past_speech: (B, C, window, F) their speech windows.
        reference: (B, R, Z) latents of the reference held still.
        style: (B, style_size).
        keep_speech: (B,) bool; False hides the speech (for guidance).
    """

    past: Tensor
    past_speech: Tensor
    reference: Tensor
    style: Tensor
    keep_speech: Tensor


def sinusoids(values: Tensor, width: int, scale: float = 100.0) -> Tensor:
    """Sine and cosine features of numbers around [0, 1], (B,) to (B, width)."""
    half = width // 2
    rates = torch.exp(-math.log(1000.0) * torch.arange(half, device=values.device) / half) * scale
    angles = values[:, None].float() * rates[None]
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class SpeechFrontEnd(nn.Module):
    """Speech window of a step to one vector; position in the window keeps its meaning, so timing
    is exact."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.viseme_tokens = config.viseme_tokens
        size = NUM_VISEMES if config.viseme_tokens else config.feature_size
        self.first = nn.Conv1d(size, config.speech_width, 5)
        self.second = nn.Conv1d(config.speech_width, config.speech_width, 5)
        self.flat = nn.Linear(config.speech_width * (config.window - 8), config.width)
        self.output = nn.Linear(config.width, config.width)

    def forward(self, speech: Tensor) -> Tensor:
        """Windows (B, N, window, F) to (B, N, width)."""
        batch, steps, window, _ = speech.shape
        if self.viseme_tokens:
            classes = speech[..., :NUM_VISEMES].argmax(-1)
            speech = functional.one_hot(classes, NUM_VISEMES).to(speech.dtype)
        hidden = speech.reshape(batch * steps, window, -1).transpose(1, 2)
        hidden = functional.gelu(
            self.second(functional.gelu(self.first(hidden)))
        )  # (B N, C, window - 8)
        hidden = functional.gelu(self.flat(hidden.flatten(1)))
        embedded: Tensor = self.output(hidden)
        return embedded.reshape(batch, steps, -1)


class Block(nn.Module):
    """Transformer block whose normalisations are modulated token by token."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm_attention = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width, elementwise_affine=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.modulation = nn.Parameter(torch.zeros(6, width))
        """This block's own offset to the modulation that all blocks share."""

    def forward(
        self, hidden: Tensor, modulation: Tensor, cached: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One block.

        Args:
            hidden: (B, N, width).
            modulation: (B, N, 6, width).
            cached: keys and values of the context, to attend to besides one's own.

        Returns:
            New hidden (B, N, width), and this block's own keys and values (B, heads, N, width /
            heads).
        """
        batch, steps, width = hidden.shape
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = (modulation + self.modulation).unbind(
            2
        )
        normed = self.norm_attention(hidden) * (1 + scale_a) + shift_a
        qkv = self.qkv(normed).reshape(batch, steps, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B, H, N, d)
        all_keys = key if cached is None else torch.cat([cached[0], key], dim=2)
        all_values = value if cached is None else torch.cat([cached[1], value], dim=2)
        mixed = functional.scaled_dot_product_attention(query, all_keys, all_values)
        mixed = mixed.transpose(1, 2).reshape(batch, steps, width)
        hidden = hidden + gate_a * self.project(mixed)
        normed = self.norm_mlp(hidden) * (1 + scale_m) + shift_m
        return hidden + gate_m * self.mlp(normed), key, value


class Denoiser(nn.Module):
    """The network: `context` once a chunk, then `forward` once a sampling step."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.speech = SpeechFrontEnd(config)
        self.no_speech = nn.Parameter(torch.zeros(width))
        self.latent_input = nn.Linear(config.latent_size, width)
        narrow = config.past_bottleneck or config.latent_size
        self.past_bottleneck = nn.Linear(config.latent_size, narrow)
        self.past_input = nn.Linear(narrow, width)
        self.style_input = nn.Linear(config.style_size, width)
        tokens = 1 + config.reference_steps + config.context_steps + config.chunk_steps
        self.positions = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.times = nn.ModuleList(
            nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(3)
        )
        """Embeddings of the time, of the time the step goes to, and of the guidance."""
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, config.latent_size)
        nn.init.normal_(self.modulation.weight, std=0.01)
        nn.init.zeros_(self.modulation.bias)
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.zeros_(self.output.bias)

    def embed_speech(self, speech: Tensor, keep: Tensor) -> Tensor:
        """Speech windows (B, N, window, F) to (B, N, width), or the learned "no speech" where
        `keep` (B,) is False."""
        return torch.where(keep[:, None, None], self.speech(speech), self.no_speech)

    def modulate(self, condition: Tensor) -> Tensor:
        """Condition (B, N, width) to modulation (B, N, 6, width)."""
        batch, steps, width = condition.shape
        mixed: Tensor = self.modulation(functional.silu(condition))
        return mixed.reshape(batch, steps, 6, width)

    def context(self, conditions: Conditions) -> ContextCache:
        """Keys and values of the sink and of the past; they hold for every sampling step of a
        chunk."""
        config = self.config
        style = self.style_input(conditions.style)[:, None]  # (B, 1, W)
        parts = [style]
        if config.reference_steps:
            parts.append(self.latent_input(conditions.reference))
        sink = torch.cat(parts, dim=1)
        condition = torch.zeros_like(sink)
        hidden = sink
        if config.context_steps:
            past = self.past_input(self.past_bottleneck(conditions.past))
            speech = self.embed_speech(conditions.past_speech, conditions.keep_speech)
            hidden = torch.cat([sink, past + speech], dim=1)
            condition = torch.cat([condition, speech], dim=1)
        hidden = hidden + self.positions[: hidden.shape[1]]
        modulation = self.modulate(condition)
        keys, values = [], []
        for block in self.blocks:
            hidden, key, value = block(hidden, modulation, None)
            keys.append(key)
            values.append(value)
        return ContextCache(tuple(keys), tuple(values))

    def embed_times(self, time: Tensor, target: Tensor, guidance: Tensor) -> Tensor:
        """Numbers (B,) each to one vector (B, width)."""
        first, second, third = self.times
        total: Tensor = (
            first(sinusoids(time, 64))
            + second(sinusoids(target, 64))
            + third(sinusoids(guidance / 10, 64))
        )
        return total

    def forward(
        self,
        noisy: Tensor,
        speech: Tensor,
        keep_speech: Tensor,
        times: tuple[Tensor, Tensor, Tensor],
        cache: ContextCache,
    ) -> Tensor:
        """One look at a noisy chunk.

        Args:
            noisy: (B, N, Z), N = chunk_steps.
            speech: (B, N, window, F).
            keep_speech: (B,) bool.
            times: the time, the time the sampling step goes to, and the guidance scale, (B,) each.
                A teacher is trained with the second equal to the first and the third 1.
            cache: from `context`.

        Returns:
            (B, N, Z): the prediction that `DenoiserConfig.prediction` names.
        """
        embedded = self.embed_speech(speech, keep_speech)
        condition = embedded + self.embed_times(*times)[:, None]
        hidden = self.latent_input(noisy) + embedded + self.positions[-self.config.chunk_steps :]
        modulation = self.modulate(condition)
        for index, block in enumerate(self.blocks):
            hidden, _, _ = block(hidden, modulation, (cache.keys[index], cache.values[index]))
        prediction: Tensor = self.output(self.norm(hidden))
        return prediction
