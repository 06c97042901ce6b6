"""The denoiser: a small block-causal transformer over motion latents, conditioned on speech step
by step.

One chunk of latent steps is denoised at a time. It attends to itself and to a context that is
computed once a chunk and kept as keys and values: *sink* tokens (style, the portrait as a
pseudo-video), which stay for the whole clip, and the latents of its own past. The context never
looks at the chunk, so it can be cached over the sampling steps.

The options of `DenoiserConfig` carry the published mechanisms: viseme tokens and noise prediction
(TempoSyncDiff), sink and context cache (REST), the information bottleneck on the past (SyncDiff),
the reference as a pseudo-video through the same encoder (AsymTalker).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkhead_models.denoiser_config import (
    FEATURES_PER_STEP as FEATURES_PER_STEP,
)
from talkhead_models.denoiser_config import NUM_VISEMES as NUM_VISEMES
from talkhead_models.denoiser_config import DenoiserConfig as DenoiserConfig
from talkhead_models.denoiser_config import Prediction as Prediction
from talkhead_models.speech_kinds import KINDS, VISEMES


class ContextCache(NamedTuple):
    """Keys and values of the context, one pair a layer, each (B, heads, tokens, width / heads)."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    def followed_by(self, other: ContextCache) -> ContextCache:
        """Both, one behind the other."""
        pairs = (self.keys, other.keys), (self.values, other.values)
        keys, values = (
            tuple(torch.cat(two, dim=2) for two in zip(*pair, strict=True)) for pair in pairs
        )
        return ContextCache(keys, values)

    def last(self, tokens: int) -> ContextCache:
        """The newest tokens."""
        start = self.keys[0].shape[2] - tokens
        return ContextCache(
            tuple(key[:, :, start:] for key in self.keys),
            tuple(value[:, :, start:] for value in self.values),
        )


class Conditions(NamedTuple):
    """What a chunk is generated from.

    Attributes:
        past: (B, C, Z) latents of the past, oldest first.
        past_speech: (B, C, window, F) their speech windows.
        reference: (B, R, reference_size): latents of the reference held still, or its one frame.
        style: (B, style_size).
        keep_speech: (B,) bool; False hides the speech (for guidance).
    """

    past: Tensor
    past_speech: Tensor
    reference: Tensor
    style: Tensor
    keep_speech: Tensor


def sinusoids(values: Tensor, width: int, scale: float = 100.0) -> Tensor:
    """Sine and cosine features of numbers around [0, 1], (...,) to (..., width)."""
    half = width // 2
    rates = torch.exp(-math.log(1000.0) * torch.arange(half, device=values.device) / half) * scale
    angles = values[..., None].float() * rates
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class SpeechFrontEnd(nn.Module):
    """Speech window of a step to one vector; position in the window keeps its meaning, so timing
    is exact."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.viseme_tokens = config.viseme_tokens
        self.columns = [KINDS[kind] for kind in config.speech_kinds]
        if config.viseme_tokens:
            # The classes replace the posteriors and the prosody; other kinds stay as they are.
            self.columns = [columns for columns in self.columns if columns != VISEMES]
        size = sum(columns.stop - columns.start for columns in self.columns)
        size += NUM_VISEMES * config.viseme_tokens
        self.first = nn.Conv1d(size, config.speech_width, 5)
        self.second = nn.Conv1d(config.speech_width, config.speech_width, 5)
        self.flat = nn.Linear(config.speech_width * (config.window - 8), config.width)
        self.output = nn.Linear(config.width, config.width)

    def forward(self, speech: Tensor) -> Tensor:
        """Windows (B, N, window, F) to (B, N, width)."""
        batch, steps, window, _ = speech.shape
        parts = [speech[..., columns] for columns in self.columns]
        if self.viseme_tokens:
            classes = speech[..., :NUM_VISEMES].argmax(-1)
            parts.append(functional.one_hot(classes, NUM_VISEMES).to(speech.dtype))
        hidden = torch.cat(parts, dim=-1).reshape(batch * steps, window, -1).transpose(1, 2)
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
        if config.reference_encoding == "frame":
            self.reference_input = nn.Linear(config.reference_size, width)
        past = config.group_steps if config.block_causal else config.context_steps
        tokens = 1 + config.reference_steps + past + config.chunk_steps
        self.positions = nn.Parameter(torch.randn(tokens, width) * 0.02)
        if config.block_causal:
            groups = config.context_steps // config.group_steps
            self.ages = nn.Parameter(torch.zeros(groups, config.layers, width))
            """Added to the keys of a past chunk by how long ago it was, newest last."""
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

    def sink_tokens(self, reference: Tensor, style: Tensor) -> Tensor:
        """Style and reference as tokens, (B, 1 + R, width)."""
        parts = [self.style_input(style)[:, None]]
        if self.config.reference_steps:
            temporal = self.config.reference_encoding == "temporal"
            enter = self.latent_input if temporal else self.reference_input
            parts.append(enter(reference))
        return torch.cat(parts, dim=1)

    def narrow_past(self, past: Tensor) -> Tensor:
        """The past (B, C, Z) through the information bottleneck, (B, C, width).

        Bounded numbers under noise of deviation s carry at most log2(1 + 1 / s^2) / 2 bits each
        (the capacity of a Gaussian channel), so that lips cannot be copied from them.
        """
        narrow = self.past_bottleneck(past)
        if self.config.bottleneck_noise:
            narrow = torch.tanh(narrow)
            if self.training:
                narrow = narrow + self.config.bottleneck_noise * torch.randn_like(narrow)
        entered: Tensor = self.past_input(narrow)
        return entered

    def run_context(
        self, hidden: Tensor, condition: Tensor, cached: ContextCache | None = None
    ) -> ContextCache:
        """Tokens (B, T, width) through all blocks, for their keys and values."""
        modulation = self.modulate(condition)
        keys, values = [], []
        for index, block in enumerate(self.blocks):
            before = None if cached is None else (cached.keys[index], cached.values[index])
            hidden, key, value = block(hidden, modulation, before)
            keys.append(key)
            values.append(value)
        return ContextCache(tuple(keys), tuple(values))

    def sink(self, reference: Tensor, style: Tensor) -> ContextCache:
        """Keys and values of the sink alone; they hold for the whole clip (ID-Sink of REST,
        arXiv 2512.11229).

        Args:
            reference: (B, R, reference_size).
            style: (B, style_size).
        """
        tokens = self.sink_tokens(reference, style)
        hidden = tokens + self.positions[: tokens.shape[1]]
        return self.run_context(hidden, torch.zeros_like(hidden))

    def remember(
        self, past: Tensor, past_speech: Tensor, keep_speech: Tensor, sink: ContextCache
    ) -> ContextCache:
        """Keys and values of past chunks (Context-Cache of REST), each computed from the sink and
        itself alone; of a block-causal network.

        Args:
            past: (B, n * group_steps, Z).
            past_speech: (B, n * group_steps, window, F).
            keep_speech: (B,) bool.
            sink: from `sink`.
        """
        group, (batch, steps, _) = self.config.group_steps, past.shape
        first = 1 + self.config.reference_steps
        speech = self.embed_speech(past_speech, keep_speech)
        hidden = self.narrow_past(past) + speech
        count = steps // group
        hidden, speech = (part.reshape(batch * count, group, -1) for part in (hidden, speech))
        hidden = hidden + self.positions[first : first + group]
        repeated = ContextCache(
            *(tuple(t.repeat_interleave(count, dim=0) for t in part) for part in sink)
        )
        made = self.run_context(hidden, speech, repeated)

        def joined(tensor: Tensor) -> Tensor:
            heads, size = tensor.shape[1], tensor.shape[3]
            split = tensor.reshape(batch, count, heads, group, size)
            return split.transpose(1, 2).reshape(batch, heads, steps, size)

        return ContextCache(*(tuple(joined(t) for t in part) for part in made))

    def attend_to(self, sink: ContextCache, remembered: ContextCache | None) -> ContextCache:
        """The context of the next chunk: the sink, and what is remembered, marked by its age."""
        if remembered is None:
            return sink
        heads = self.config.heads
        ages = self.ages.repeat_interleave(self.config.group_steps, dim=0)  # (C, layers, W)
        marked = tuple(
            key + ages[:, index].reshape(len(ages), heads, -1).transpose(0, 1)
            for index, key in enumerate(remembered.keys)
        )
        return sink.followed_by(ContextCache(marked, remembered.values))

    def context(self, conditions: Conditions) -> ContextCache:
        """Keys and values of the sink and of the past; they hold for every sampling step of a
        chunk."""
        config = self.config
        if config.block_causal:
            sink = self.sink(conditions.reference, conditions.style)
            if not config.context_steps:
                return sink
            past, speech = conditions.past, conditions.past_speech
            return self.attend_to(sink, self.remember(past, speech, conditions.keep_speech, sink))
        sink_tokens = self.sink_tokens(conditions.reference, conditions.style)
        condition = torch.zeros_like(sink_tokens)
        hidden = sink_tokens
        if config.context_steps:
            speech = self.embed_speech(conditions.past_speech, conditions.keep_speech)
            hidden = torch.cat([hidden, self.narrow_past(conditions.past) + speech], dim=1)
            condition = torch.cat([condition, speech], dim=1)
        return self.run_context(hidden + self.positions[: hidden.shape[1]], condition)

    def embed_times(self, time: Tensor, target: Tensor, guidance: Tensor) -> Tensor:
        """Numbers (B,), or (B, N) where every step has its own, each to one vector (..., width)."""
        first, second, third = self.times
        total: Tensor = first(sinusoids(time, 64)) + second(sinusoids(target, 64))
        scale: Tensor = third(sinusoids(guidance / 10, 64))
        return total[:, None] + scale[:, None] if total.ndim == 2 else total + scale[:, None]

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
            times: the time, the time the sampling step goes to, (B,) each, or (B, N) where every
                step has its own; and the guidance scale, (B,).
                A teacher is trained with the second equal to the first and the third 1.
            cache: from `context`.

        Returns:
            (B, N, Z): the prediction that `DenoiserConfig.prediction` names.
        """
        embedded = self.embed_speech(speech, keep_speech)
        condition = embedded + self.embed_times(*times)
        hidden = self.latent_input(noisy) + embedded + self.positions[-self.config.chunk_steps :]
        modulation = self.modulate(condition)
        for index, block in enumerate(self.blocks):
            hidden, _, _ = block(hidden, modulation, (cache.keys[index], cache.values[index]))
        prediction: Tensor = self.output(self.norm(hidden))
        if self.config.prediction == "noise":
            # What is known of the noise from the noisy latents is passed around the network, as in
            # the preconditioning of EDM (arXiv 2206.00364, eq. 7); the rest is a velocity.
            angle = (times[0][:, None, None] if times[0].ndim == 1 else times[0][..., None]) * (
                math.pi / 2
            )
            return torch.sin(angle) * noisy + torch.cos(angle) * prediction
        return prediction
