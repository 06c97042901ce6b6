"""The motion generator: speech features to FaceMotion, chunk by chunk.

A chunk is 8 latent steps (32 frames, 1.28 s). What a chunk depends on is in the `StreamState`; the
noise comes from the seed and the chunk's number. Offline generation is the same steps one after
the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkhead_models.articulation import MARGIN, Articulation
from talkhead_models.autoencoder import (
    Autoencoder,
)
from talkhead_models.denoiser import Conditions, ContextCache, Denoiser
from talkhead_models.joining import POSE as POSE
from talkhead_models.joining import join
from talkhead_models.lip_guide import AHEAD, PAST, LipGuide
from talkhead_models.liveliness import EventConfig, smooth_pose, start_events
from talkhead_models.manner import Manner, Performer
from talkhead_models.motion import FaceMotion
from talkhead_models.prosody import HISTORY, listen
from talkhead_models.sampling import chunk_noise, sample, student_predict, teacher_predict
from talkhead_models.streaming import (
    ChunkPlan,
    StreamState,
    array_to_cache,
    as_tensor,
    cache_to_array,
    chunk_features,
    past_length,
    silence,
    speech_windows,
)
from talkhead_models.threads import one_thread

FloatArray = NDArray[np.float32]

FEATURES_PER_FRAME = 2


@dataclass(frozen=True)
class GenerateOptions:
    """How to sample.

    Attributes:
        num_inference_steps: sampling steps a chunk.
        guidance_scale: 1 = as trained, more follows the speech harder, 0 ignores it.
        articulation: strength in [0, 1] of the constraint that closes lips on p, b, m and in
            silence.
        drawn_events: blinks, gaze, nods and all else that `GeneratorParts.manner` puts on; False leaves the network's
            own.
    """

    num_inference_steps: int = 4
    guidance_scale: float = 1.5
    articulation: float = 1.0
    drawn_events: bool = True

    def __post_init__(self) -> None:
        if self.num_inference_steps < 1:
            raise ValueError(
                f"num_inference_steps must be at least 1, got {self.num_inference_steps}"
            )
        if not 0 <= self.guidance_scale <= 10:
            raise ValueError(f"guidance_scale must be in [0, 10], got {self.guidance_scale}")


@dataclass(frozen=True)
class GeneratorParts:
    """What a generator consists of besides its two networks.

    Attributes:
        articulation: the articulatory constraint.
        events: rates and shapes of blinks and gaze shifts.
        style: (style_size,) float32, the style it speaks in by default.
        distilled: a student (one look a step, guidance as an input) or a teacher (two looks).
        guide: says how far the mouth opens; None leaves it to the network.
        manner: emotion, gaze and the like, put on to what the network makes.
    """

    articulation: Articulation
    events: EventConfig
    style: FloatArray
    distilled: bool = True
    guide: LipGuide | None = None
    manner: Manner = field(default_factory=Manner)


class MotionGenerator:
    """Student (or teacher) denoiser with the autoencoder's decoder; holds weights only, no state
    of a clip."""

    def __init__(
        self,
        autoencoder: Autoencoder,
        denoiser: Denoiser,
        parts: GeneratorParts,
        device: str = "cpu",
    ) -> None:
        if autoencoder.config.latent_size != denoiser.config.latent_size:
            raise ValueError("autoencoder and denoiser differ in latent_size")
        if (
            autoencoder.config.decoder_context
            > denoiser.config.context_steps + denoiser.config.chunk_steps
        ):
            raise ValueError("the decoder needs more context than the state holds")
        if parts.guide is not None:
            if denoiser.config.speech_ahead < AHEAD:
                raise ValueError("the lip guide looks further ahead than the denoiser")
            if denoiser.config.feature_size < parts.guide.config.feature_size:
                raise ValueError("the lip guide hears more than the denoiser is given")
            parts.guide.eval().requires_grad_(False).to(torch.device(device))
        self.device = torch.device(device)
        self.autoencoder = autoencoder.eval().requires_grad_(False).to(self.device)
        self.denoiser = denoiser.eval().requires_grad_(False).to(self.device)
        self.parts = parts

    @property
    def frames_per_chunk(self) -> int:
        """Video frames a step of the stream makes."""
        return self.denoiser.config.chunk_steps * self.autoencoder.config.frames_per_step

    @property
    def lookahead(self) -> int:
        """Feature vectors (50/s) behind a chunk that `step` needs."""
        return self.denoiser.config.speech_ahead

    @property
    def state_steps(self) -> int:
        """Latent steps a state holds."""
        return max(self.denoiser.config.context_steps, self.autoencoder.config.decoder_context)

    @torch.inference_mode()
    def start(
        self, seed: int, reference: FaceMotion | None = None, style: FloatArray | None = None
    ) -> StreamState:
        """The state of a clip before its first frame.

        Args:
            seed: fixes everything random in the clip.
            reference: motion whose last frame the clip starts from; None is the portrait at rest.
            style: (style_size,) instead of the generator's own, see `GeneratorParts`.
        """
        size = self.autoencoder.config.motion_size
        frame = np.zeros(size, np.float32) if reference is None else reference.to_array()[-1, :size]
        with one_thread():
            held = self.autoencoder.encode_held(as_tensor(frame, self.device), self.state_steps)
            at_rest = self._portrait_at_rest()
        config = self.denoiser.config
        state = StreamState(
            seed=seed,
            chunk_index=0,
            latents=held[0].cpu().numpy(),
            speech=silence(max(past_length(config), MARGIN, PAST, HISTORY), config.feature_size),
            reference=at_rest,
            style=np.asarray(self.parts.style if style is None else style, np.float32),
            decoded=frame.copy(),
            pose=np.stack([frame[POSE], frame[POSE]]),
            events=start_events(self.parts.events, seed),
        )
        return self._with_sink(state) if self.keeps_cache else state

    @property
    def keeps_cache(self) -> bool:
        """Whether keys and values go from chunk to chunk; a teacher's two looks would need two."""
        return self.parts.distilled and self.denoiser.config.block_causal

    def _portrait_at_rest(self) -> FloatArray:
        """The reference tokens, (R, reference_size): motion is relative to the portrait, whose own
        is zero."""
        config = self.denoiser.config
        if config.reference_encoding == "frame":
            return np.zeros((config.reference_steps, config.reference_size), np.float32)
        zero = torch.zeros(1, self.autoencoder.config.motion_size, device=self.device)
        # The encoder is causal and the frame held, so that all steps are the same.
        one = self.autoencoder.encode_held(zero, 1)[0].cpu().numpy()
        return np.repeat(np.asarray(one, np.float32), config.reference_steps, axis=0)

    def _with_sink(self, state: StreamState) -> StreamState:
        """A first state with the keys and values of its sink, which hold for the whole clip."""
        with one_thread():
            reference, style = (
                as_tensor(array, self.device) for array in (state.reference, state.style)
            )
            return replace(state, sink=cache_to_array(self.denoiser.sink(reference, style)))

    @torch.inference_mode()
    def step(
        self, state: StreamState, features: FloatArray, options: GenerateOptions | None = None
    ) -> tuple[FaceMotion, StreamState]:
        """One chunk.

        Args:
            state: of the chunk before, or from `start`; it is not changed.
            features: (2 * frames_per_chunk + lookahead, F) float32: the chunk's own vectors and
                those behind it.
            options: how to sample.

        Returns:
            The chunk's motion, frames_per_chunk frames, and the next state.
        """
        options = options or GenerateOptions()
        config = self.denoiser.config
        own = self.frames_per_chunk * FEATURES_PER_FRAME
        if features.shape != (own + config.speech_ahead, config.feature_size):
            wanted = (own + config.speech_ahead, config.feature_size)
            raise ValueError(f"features of a chunk must be {wanted}, got {features.shape}")
        joined = np.concatenate([state.speech, features]).astype(np.float32)
        with one_thread():
            latents, remembered = self.denoise(state, joined, options)
            history = torch.cat([as_tensor(state.latents, self.device), latents], dim=1)
            context = self.autoencoder.config.decoder_context
            motion = (
                self.autoencoder.decode(history[:, -(context + config.chunk_steps) :])[0]
                .cpu()
                .numpy()
            )
        result, moved = self.finish(join(motion, state.decoded), joined, state, options)
        following = replace(
            moved,
            chunk_index=state.chunk_index + 1,
            latents=history[0, -self.state_steps :].cpu().numpy().copy(),
            decoded=motion[-1].copy(),
            speech=joined[own : own + len(state.speech)].copy(),
            remembered=remembered,
        )
        return result, following

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
        self, state: StreamState, joined: FloatArray, options: GenerateOptions
    ) -> tuple[Tensor, FloatArray]:
        """The latents of a chunk, (1, chunk_steps, Z), from the state and the features with their
        past; and what is remembered for the next one."""
        config = self.denoiser.config
        conditions, speech = self._conditions(state, joined)
        noise = chunk_noise(state.seed, state.chunk_index, config.chunk_steps, config.latent_size)
        noise, steps = noise.to(self.device), options.num_inference_steps
        if not self.parts.distilled:
            predict = teacher_predict(self.denoiser, conditions, speech, options.guidance_scale)
            return sample(predict, noise, steps, config.prediction), state.remembered
        guidance = torch.full((1,), options.guidance_scale, device=self.device)
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

    def finish(
        self, array: FloatArray, joined: FloatArray, state: StreamState, options: GenerateOptions
    ) -> tuple[FaceMotion, StreamState]:
        """Joined motion to what is shown: a steady head, closed lips, and all of the manner.

        Args:
            array: (T, D) float32 from `join`, changed in place.
            joined: speech features from the state's first on.
            state: of the chunk before.
            options: how to sample.

        Returns:
            The chunk's motion, and the state with its pose and events moved on.
        """
        array[:, POSE], stages = smooth_pose(self.parts.events, array[:, POSE], state.pose)
        motion = FaceMotion.from_array(array)
        if options.articulation > 0:
            first = len(state.speech) - MARGIN
            around = joined[first : first + FEATURES_PER_FRAME * motion.num_frames + 2 * MARGIN]
            expression = self._guided(motion.expression, joined, state, options.articulation)
            expression = self.parts.articulation(expression, around, options.articulation)
            motion = replace(motion, expression=expression)
        happened = state.events
        if options.drawn_events:
            first_frame = state.chunk_index * self.frames_per_chunk
            prosody = listen(joined, len(state.speech), first_frame, motion.num_frames)
            parts = self.parts
            performer = Performer(parts.manner, parts.events, parts.articulation, state.seed)
            motion, happened = performer.perform(motion, prosody, happened)
        return motion, replace(state, pose=stages, events=happened)

    def _guided(
        self, expression: FloatArray, joined: FloatArray, state: StreamState, strength: float
    ) -> FloatArray:
        """Expression (T, K) with the mouth as open as the lip guide says; see `finish`."""
        guide = self.parts.guide
        if guide is None:
            return expression
        first = len(state.speech) - PAST
        with one_thread():
            opening = guide.opening(
                joined[first : first + PAST + FEATURES_PER_FRAME * len(expression) + AHEAD]
            )
        weight = guide.config.strength * strength
        return self.parts.articulation.drawn_to(expression, opening, weight)

    def generate(
        self,
        features: FloatArray,
        seed: int,
        options: GenerateOptions | None = None,
        state: StreamState | None = None,
    ) -> Iterator[FaceMotion]:
        """All chunks of a clip; the last one is cut to the clip's end. See `walk`."""
        for motion, _ in self.walk(features, state or self.start(seed), options):
            yield motion

    def walk(
        self,
        features: FloatArray,
        state: StreamState,
        options: GenerateOptions | None = None,
    ) -> Iterator[tuple[FaceMotion, StreamState]]:
        """The chunks of a clip from a state on, each with the state that it leaves behind.

        Args:
            features: (L, F) float32 at 50/s of the whole clip, two vectors a frame; an odd last
                vector makes one more frame.
            state: from `start`, or one that an earlier walk gave; its chunk_index says which chunk
                comes first.
            options: how to sample.
        """
        plan = ChunkPlan(-(-len(features) // FEATURES_PER_FRAME), self.frames_per_chunk)
        while state.chunk_index < plan.num_chunks:
            index = state.chunk_index
            motion, state = self.step(
                state, chunk_features(features, index, self.denoiser.config), options
            )
            yield motion[: plan.frames_of(index)], state
