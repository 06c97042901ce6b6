"""One chunk of latents from noise: what the network is shown, and how much of what it makes is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkhead_models.denoiser import FEATURES_PER_STEP, Conditions, ContextCache, Denoiser
from talkhead_models.sampling import (
    chunk_noise,
    sample,
    step_noise,
    student_predict,
    teacher_predict,
)
from talkhead_models.streaming import (
    StreamState,
    array_to_cache,
    as_tensor,
    cache_to_array,
    held,
    past_length,
    speech_windows,
)

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class ChunkSampler:
    """Makes the latents of chunks; holds weights only.

    Attributes:
        denoiser: the network.
        distilled: a student (one look a step, guidance as an input) or a teacher (two looks).
        keeps_cache: keys and values go from chunk to chunk, of a block-causal student.
        chunk_steps: latent steps of a chunk, at most those that the network makes at once.
        device: where the network is.
    """

    denoiser: Denoiser
    distilled: bool
    keeps_cache: bool
    chunk_steps: int
    device: torch.device

    def _conditions(self, state: StreamState, joined: FloatArray) -> tuple[Conditions, Tensor]:
        """Conditions of the next chunk, and the speech windows (1, n, window, F) behind its past.

        Args:
            state: of the chunk before.
            joined: speech features from the state's first on.
        """
        config = self.denoiser.config
        # The state may hold more speech than the windows reach back to.
        spare = len(state.speech) - past_length(config)
        windows = speech_windows(as_tensor(joined[spare:], self.device), config)
        past = as_tensor(state.latents, self.device)
        conditions = Conditions(
            past=past[:, past.shape[1] - config.context_steps :],
            past_speech=windows[:, : config.context_steps],
            reference=as_tensor(state.reference, self.device),
            style=as_tensor(state.style, self.device),
            keep_speech=torch.ones(1, dtype=torch.bool, device=self.device),
        )
        return conditions, windows[:, config.context_steps :]

    def denoise(
        self,
        state: StreamState,
        joined: FloatArray,
        num_inference_steps: int,
        guidance_scale: float,
    ) -> tuple[Tensor, FloatArray]:
        """The latents of a chunk, (1, chunk_steps, Z), from the state and the features with their
        past; and what is remembered for the next one."""
        config = self.denoiser.config
        if self.chunk_steps == config.chunk_steps:
            noise = chunk_noise(
                state.seed, state.chunk_index, config.chunk_steps, config.latent_size
            )
            return self._sampled(state, joined, noise, num_inference_steps, guidance_scale)
        behind = config.chunk_steps - self.chunk_steps
        first = state.chunk_index * self.chunk_steps
        noise = step_noise(state.seed, first, config.chunk_steps, config.latent_size)
        latents, _ = self._sampled(
            state,
            held(joined, behind * FEATURES_PER_STEP),
            noise,
            num_inference_steps,
            guidance_scale,
        )
        # Past chunks are not of the length that is remembered: the context is computed anew.
        return latents[:, : self.chunk_steps], state.remembered

    def _sampled(
        self,
        state: StreamState,
        joined: FloatArray,
        noise: Tensor,
        steps: int,
        guidance_scale: float,
    ) -> tuple[Tensor, FloatArray]:
        """As many latents as the network makes at once, and what is remembered of them."""
        config = self.denoiser.config
        conditions, speech = self._conditions(state, joined)
        noise = noise.to(self.device)
        if not self.distilled:
            predict = teacher_predict(self.denoiser, conditions, speech, guidance_scale)
            return sample(predict, noise, steps, config.prediction), state.remembered
        guidance = torch.full((1,), guidance_scale, device=self.device)
        if not self.keeps_cache:
            predict = student_predict(self.denoiser, conditions, speech, guidance)
            return sample(predict, noise, steps, config.prediction), state.remembered
        sink = array_to_cache(state.sink, self.device)
        known = self._remembered(state, conditions, sink)
        cache = self.denoiser.attend_to(sink, known)
        predict = student_predict(self.denoiser, conditions, speech, guidance, cache)
        latents = sample(predict, noise, steps, config.prediction)
        if known is None:
            return latents, state.remembered
        group = config.group_steps
        made = self.denoiser.remember(
            latents[:, -group:], speech[:, -group:], conditions.keep_speech, sink
        )
        return latents, cache_to_array(known.followed_by(made).last(config.context_steps))

    def _remembered(
        self, state: StreamState, conditions: Conditions, sink: ContextCache
    ) -> ContextCache | None:
        """Keys and values of the past chunks: kept, or, in a clip's first chunk, of what it begins
        with; None for a network without a past."""
        if state.remembered.size:
            return array_to_cache(state.remembered, self.device)
        if not self.denoiser.config.context_steps:
            return None
        return self.denoiser.remember(
            conditions.past, conditions.past_speech, conditions.keep_speech, sink
        )
