"""The motion generator: speech features to FaceMotion, chunk by chunk.

A chunk is 8 latent steps (32 frames, 1.28 s). What a chunk depends on is in the `StreamState`; the
noise comes from the seed and the chunk's number. Offline generation is the same steps one after
the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkhead_models.articulation import MARGIN, Articulation
from talkhead_models.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    JointAutoencoder,
    MotionAutoencoder,
)
from talkhead_models.bundle import Bundle, BundleError, load_bundle
from talkhead_models.denoiser import Conditions, Denoiser, DenoiserConfig
from talkhead_models.liveliness import EventConfig, events, smooth_pose, start_events
from talkhead_models.motion import EXPRESSION_SIZE, GEOMETRY_SIZE, FaceMotion
from talkhead_models.sampling import chunk_noise, sample, student_predict, teacher_predict
from talkhead_models.streaming import (
    ChunkPlan,
    StreamState,
    as_tensor,
    chunk_features,
    past_length,
    silence,
    speech_windows,
)

FloatArray = NDArray[np.float32]

FEATURES_PER_FRAME = 2

POSE = slice(EXPRESSION_SIZE + 4, GEOMETRY_SIZE)
"""Rotation and translation among a motion frame's numbers."""


@dataclass(frozen=True)
class GenerateOptions:
    """How to sample.

    Attributes:
        num_inference_steps: sampling steps a chunk.
        guidance_scale: 1 = as trained, more follows the speech harder, 0 ignores it.
        articulation: strength in [0, 1] of the constraint that closes lips on p, b, m and in
            silence.
        drawn_events: blinks and gaze as random events; False leaves the network's own.
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
    """

    articulation: Articulation
    events: EventConfig
    style: FloatArray
    distilled: bool = True


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: sums then have one order whatever the machine's thread count, so
    that motion is the same bit for bit; a chunk is too small to gain from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
            still = self.autoencoder.encode_held(torch.zeros(1, size, device=self.device), 1)
        config = self.denoiser.config
        return StreamState(
            seed=seed,
            chunk_index=0,
            latents=held[0].cpu().numpy(),
            speech=silence(max(past_length(config), MARGIN), config.feature_size),
            reference=still.expand(1, config.reference_steps, -1)[0].cpu().numpy().copy(),
            style=np.asarray(self.parts.style if style is None else style, np.float32),
            pose=np.stack([frame[POSE], frame[POSE]]),
            events=start_events(self.parts.events, seed),
        )

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
            latents = self.denoise(state, joined, options)
            history = torch.cat([as_tensor(state.latents, self.device), latents], dim=1)
            context = self.autoencoder.config.decoder_context
            motion = (
                self.autoencoder.decode(history[:, -(context + config.chunk_steps) :])[0]
                .cpu()
                .numpy()
            )
        result, moved = self.finish(motion, joined, state, options)
        following = replace(
            moved,
            chunk_index=state.chunk_index + 1,
            latents=history[0, -self.state_steps :].cpu().numpy().copy(),
            speech=joined[own : own + len(state.speech)].copy(),
        )
        return result, following

    def denoise(self, state: StreamState, joined: FloatArray, options: GenerateOptions) -> Tensor:
        """The latents of a chunk, (1, chunk_steps, Z), from the state and the features with their
        past."""
        config = self.denoiser.config
        # The state may hold more speech than the windows reach back to.
        spare = len(state.speech) - past_length(config)
        windows = speech_windows(as_tensor(joined[spare:], self.device), config)
        past = as_tensor(state.latents, self.device)
        keep = torch.ones(1, dtype=torch.bool, device=self.device)
        conditions = Conditions(
            past=past[:, past.shape[1] - config.context_steps :],
            past_speech=windows[:, : config.context_steps],
            reference=as_tensor(state.reference, self.device),
            style=as_tensor(state.style, self.device),
            keep_speech=keep,
        )
        speech = windows[:, config.context_steps :]
        if self.parts.distilled:
            guidance = torch.full((1,), options.guidance_scale, device=self.device)
            predict = student_predict(self.denoiser, conditions, speech, guidance)
        else:
            predict = teacher_predict(self.denoiser, conditions, speech, options.guidance_scale)
        noise = chunk_noise(state.seed, state.chunk_index, config.chunk_steps, config.latent_size)
        return sample(
            predict, noise.to(self.device), options.num_inference_steps, config.prediction
        )

    def finish(
        self, array: FloatArray, joined: FloatArray, state: StreamState, options: GenerateOptions
    ) -> tuple[FaceMotion, StreamState]:
        """Decoded motion to what is shown: a steady head, closed lips, blinks and gaze.

        Args:
            array: (T, D) float32 from the decoder, changed in place.
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
            expression = self.parts.articulation(motion.expression, around, options.articulation)
            motion = replace(motion, expression=expression)
        first_frame = state.chunk_index * self.frames_per_chunk
        lids, gaze, happened = events(
            self.parts.events, state.seed, state.events, first_frame, motion.rotation
        )
        if options.drawn_events:
            motion = replace(motion, lids=lids, gaze=gaze)
        return motion, replace(state, pose=stages, events=happened)

    def generate(
        self,
        features: FloatArray,
        seed: int,
        options: GenerateOptions | None = None,
        state: StreamState | None = None,
    ) -> Iterator[FaceMotion]:
        """All chunks of a clip; the last one is cut to the clip's end.

        Args:
            features: (L, F) float32 at 50/s, two vectors a frame; an odd last vector makes one
                more frame.
            seed: fixes everything random.
            options: how to sample.
            state: to begin from instead of `start(seed)`; its chunk_index says which chunk comes
                first.
        """
        state = state or self.start(seed)
        plan = ChunkPlan(-(-len(features) // FEATURES_PER_FRAME), self.frames_per_chunk)
        while state.chunk_index < plan.num_chunks:
            index = state.chunk_index
            motion, state = self.step(
                state, chunk_features(features, index, self.denoiser.config), options
            )
            yield motion[: plan.frames_of(index)]


def bundle_contents(generator: MotionGenerator) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and config of a generator's bundle; network weights in half precision, statistics in
    single."""
    tensors: dict[str, Tensor] = {}
    autoencoder = generator.autoencoder
    networks: dict[str, torch.nn.Module] = {"denoiser": generator.denoiser}
    configs = {"denoiser": asdict(generator.denoiser.config)}
    if isinstance(autoencoder, JointAutoencoder):
        networks |= {"autoencoder": autoencoder.geometry, "appearance": autoencoder.appearance}
        configs["autoencoder"] = asdict(autoencoder.geometry.config)
        configs["appearance"] = asdict(autoencoder.appearance.config)
    else:
        networks["autoencoder"] = autoencoder
        configs["autoencoder"] = asdict(autoencoder.config)
    for prefix, network in networks.items():
        exact = {name for name, _ in network.named_buffers()}
        for name, tensor in network.state_dict().items():
            tensors[f"{prefix}.{name}"] = tensor if name in exact else tensor.half()
    articulation = generator.parts.articulation
    for name in ("gaps", "rest", "moves"):
        tensors[f"articulation.{name}"] = torch.from_numpy(getattr(articulation, name).copy())
    config = {
        **configs,
        "events": asdict(generator.parts.events),
        "style": [float(number) for number in generator.parts.style],
        "open_gap": articulation.open_gap,
        "distilled": generator.parts.distilled,
    }
    return tensors, config


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, in single precision, without it."""
    return {
        name.removeprefix(f"{prefix}."): t.float()
        for name, t in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def load_part(bundle: Bundle, name: str) -> MotionAutoencoder:
    """One autoencoder of a bundle."""
    autoencoder = MotionAutoencoder(AutoencoderConfig(**bundle.config[name]))
    autoencoder.load_state_dict(part_of(bundle.tensors, name))
    return autoencoder


def generator_from_bundle(bundle: Bundle, device: str = "cpu") -> MotionGenerator:
    """A generator from a loaded bundle.

    Raises:
        BundleError: the bundle is not a motion generator's, or of another version.
    """
    config = bundle.config
    try:
        geometry = load_part(bundle, "autoencoder")
        autoencoder: Autoencoder = geometry
        if "appearance" in config:
            autoencoder = JointAutoencoder(geometry, load_part(bundle, "appearance"))
        denoiser = Denoiser(DenoiserConfig(**config["denoiser"]))
        denoiser.load_state_dict(part_of(bundle.tensors, "denoiser"))
        maps = {name: t.numpy() for name, t in part_of(bundle.tensors, "articulation").items()}
        articulation = Articulation(**maps, open_gap=config["open_gap"])
        parts = GeneratorParts(
            articulation,
            EventConfig(**config["events"]),
            np.array(config["style"], np.float32),
            config["distilled"],
        )
        return MotionGenerator(autoencoder, denoiser, parts, device)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(
            f"Bundle {bundle.name} is no motion generator of this version ({reason}):"
            " reinstall talkhead."
        ) from error


def load_motion_generator(name: str | Path = "talkhead", device: str = "cpu") -> MotionGenerator:
    """Load a motion generator by bundle name or path.

    Raises:
        BundleError: the bundle is missing, damaged or no motion generator.
    """
    return generator_from_bundle(load_bundle(name), device)
