"""TalkingHeadPipeline: a preset's networks, loaded once; the one path from portrait and speech to frames."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.result import count_frames
from talkhead_models.appearance import encode_mouths, load_appearance_encoder
from talkhead_models.basis import FaceBasis, Pose
from talkhead_models.breathing import breathing
from talkhead_models.bundle import bundle_path, read_checked
from talkhead_models.detail import Detail, load_detail
from talkhead_models.generator import GenerateOptions, MotionGenerator
from talkhead_models.generator_bundle import load_motion_generator
from talkhead_models.lip_audio import LIP_AUDIO, LipAudioEncoder, load_lip_audio
from talkhead_models.live import SpeechStream, stream_motion
from talkhead_models.motion import MOTION_FPS, FaceMotion
from talkhead_models.refiner import Refiner, load_refiner
from talkhead_models.renderer import FaceRenderer
from talkhead_models.resample import resample_stream
from talkhead_models.rig import FaceRig
from talkhead_models.speech import SpeechFeatures
from talkhead_models.speech_kinds import WIDE_SIZE

if TYPE_CHECKING:
    from talkhead_cli.face import Portrait
    from talkhead_cli.settings import RenderSettings

MotionSource = SpeechFeatures | SpeechStream | Iterable[FaceMotion]
"""What a portrait is animated with: speech that motion is generated from, whole or while it arrives, or motion of any
one frame rate."""

REFINERS = {"mouth": "refiner-mouth", "eyes": "refiner-eyes"}
"""Patch name to bundle name."""

DETAIL = "detail"
"""Bundle of the network that paints the mouths of large faces at their resolution."""

APPEARANCE = "appearance"
"""Bundle of the network that reads the look of a mouth off a picture."""

OWN_HABIT = 0.6
"""How far generated mouths take after the one that an open-mouthed portrait shows."""

OWN_FROM, OWN_FULL = 0.02, 0.08
"""Inner-lip gaps, in outer-eye distances, from which a portrait shows its mouth, and from which it shows it well."""

FRAME_MEMORY = 96 * 2**20
"""Bytes of finished frames held at once."""

MAX_FRAMES = 16
"""Frames rendered at once: enough to fill the refiner's batch, few enough to start early."""


def load_generator(settings: RenderSettings) -> MotionGenerator:
    """The preset's motion generator, its blinks as frequent as the settings say."""
    generator = load_motion_generator(settings.bundle, device=settings.device)
    if settings.blink_scale > 0:
        events = generator.parts.events
        events = replace(events, blink_seconds=events.blink_seconds / settings.blink_scale)
        generator.parts = replace(generator.parts, events=events)
    return generator


def length_of(source: MotionSource, fps: Fraction) -> int:
    """Frames of a stream of speech that has ended.

    Raises:
        ValueError: it has not, or it is not such a stream.
    """
    if not isinstance(source, SpeechStream) or source.duration_seconds is None:
        raise ValueError("num_frames can only be left out for a stream of speech that tells them")
    return count_frames(source.duration_seconds, fps)


def elapsed_in(source: MotionSource) -> float:
    """Seconds that went into getting speech, not motion."""
    return source.elapsed_seconds if isinstance(source, SpeechStream) else 0.0


def scale_motion(motion: FaceMotion, settings: RenderSettings) -> FaceMotion:
    """Apply the strengths of the settings."""
    pose = np.float32(0.0 if settings.still else settings.pose_scale)
    return replace(
        motion,
        expression=motion.expression * np.float32(settings.expression_scale),
        lids=motion.lids if settings.blink_scale > 0 else np.zeros_like(motion.lids),
        rotation=motion.rotation * pose,
        translation=motion.translation * pose,
    )


class TalkingHeadPipeline:
    """Loads the networks of a preset; renders any number of clips.

    Attributes:
        hashes: bundle name to sha256 of what was loaded.
        lip_audio: second encoder of speech, where the generator reads features of every kind; else None.
        timings: seconds spent by stage so far: prepare, generator, renderer.
    """

    def __init__(self, settings: RenderSettings) -> None:
        """Load the networks.

        Args:
            settings: resolved settings; `device` names a device that exists.

        Raises:
            BundleError: a bundle is missing or damaged.
        """
        self.settings = settings
        self.timings: dict[str, float] = {"prepare": 0.0, "generator": 0.0, "renderer": 0.0}
        self.basis = FaceBasis.load()
        self.generator = load_generator(settings)
        self.refiners: dict[str, Refiner] = {
            patch: load_refiner(name).to(settings.device) for patch, name in REFINERS.items()
        }
        self.detail: Detail | None = load_detail(DETAIL).to(settings.device)
        self.appearance = load_appearance_encoder(APPEARANCE)
        names = ("face-basis", settings.bundle, *REFINERS.values(), DETAIL, APPEARANCE)
        self.lip_audio: LipAudioEncoder | None = None
        if self.generator.denoiser.config.feature_size == WIDE_SIZE:
            self.lip_audio = load_lip_audio(LIP_AUDIO, settings.device)
            names += (LIP_AUDIO,)
        self.hashes = {name: read_checked(bundle_path(name))[1] for name in names}

    def motion(self, source: MotionSource, num_frames: int | None) -> Iterator[FaceMotion]:
        """The clip's motion at the output frame rate, chunk by chunk, strengths applied.

        Args:
            source: features of the driving audio, or motion.
            num_frames: output frames; None where a stream of speech tells them when it ends.
        """
        settings = self.settings
        fps = Fraction(settings.fps)
        stream: Iterable[FaceMotion]
        if isinstance(source, SpeechFeatures | SpeechStream):
            options = GenerateOptions(
                num_inference_steps=settings.num_inference_steps,
                guidance_scale=settings.guidance_scale,
            )
            if isinstance(source, SpeechStream):
                stream = stream_motion(self.generator, source.blocks, settings.seed, options)
            else:
                stream = self.generator.generate(source.array, seed=settings.seed, options=options)
            resampled = fps != MOTION_FPS
        else:
            stream, resampled = source, True
        if resampled:
            length = partial(length_of, source, fps) if num_frames is None else num_frames
            stream = resample_stream(stream, fps, length)
        for chunk in stream:
            yield scale_motion(chunk, settings)

    def _own_mouth(
        self, portrait: Portrait, rig: FaceRig
    ) -> tuple[NDArray[np.float32] | None, np.float32]:
        """Appearance code (A,) of the mouth that the portrait shows, None for closed lips; how far to take after it."""
        shown = np.clip((portrait.mouth_gap - OWN_FROM) / (OWN_FULL - OWN_FROM), 0, 1)
        if shown == 0:
            return None, np.float32(0)
        poses = Pose(*(np.asarray(value)[None] for value in rig.pose))
        codes = encode_mouths(
            self.appearance, [portrait.image], portrait.mesh[None], rig.neutral, poses
        )
        return codes[0], np.float32(OWN_HABIT * shown)

    def render(
        self, portrait: Portrait, source: MotionSource, num_frames: int | None
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames of one clip; the portrait is made ready before the first is asked for.

        Args:
            portrait: what to animate.
            source: features of the driving audio, or motion.
            num_frames: frames to make, None where a stream of speech tells them when it ends; where the source is a
                little short, its last frame is held.

        Returns:
            (n, H, W, 3) uint8 RGB, `num_frames` in all.
        """
        started = time.perf_counter()
        renderer = FaceRenderer.create(
            portrait.image,
            portrait.mesh,
            portrait.person_mask,
            self.basis,
            self.refiners,
            self.detail,
            device=self.settings.device,
        )
        generated = isinstance(source, SpeechFeatures | SpeechStream)
        own, habit = self._own_mouth(portrait, renderer.rig) if generated else (None, np.float32(0))
        if isinstance(source, SpeechStream):
            self._rehearse(renderer)
        self.timings["prepare"] += time.perf_counter() - started
        most = int(np.clip(FRAME_MEMORY // portrait.image.nbytes, 1, MAX_FRAMES))
        return self._draw(renderer, self._exactly(source, num_frames), (own, habit), most)

    def _rehearse(self, renderer: FaceRenderer) -> None:
        """Make one frame of nothing: the first use of a network takes many times as long as the second."""
        size = self.generator.denoiser.config.feature_size
        quiet = np.zeros((2, size), np.float32)
        for motion in stream_motion(self.generator, [quiet], 0):
            renderer.render(renderer.body.limits.apply(motion[:1]))

    def _draw(
        self,
        renderer: FaceRenderer,
        motions: Iterable[FaceMotion],
        mouth: tuple[NDArray[np.float32] | None, np.float32],
        most: int,
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames of motion, at most so many at once; the very first ones one by one, so that they leave early."""
        own, habit = mouth
        fps = Fraction(self.settings.fps)
        done = 0
        for chunk in motions:
            start = 0
            while start < chunk.num_frames:
                started = time.perf_counter()
                size = min(most, max(1, done))
                motion = renderer.body.limits.apply(chunk[start : start + size])
                if own is not None:
                    # A portrait that shows its teeth goes on showing them.
                    code = motion.appearance + (own - motion.appearance) * habit
                    motion = replace(motion, appearance=code)
                breath = None
                if not self.settings.still:
                    breath = breathing(self.settings.seed, done, motion.num_frames, fps)
                frames = renderer.render(motion, breath)
                start += size
                done += motion.num_frames
                self.timings["renderer"] += time.perf_counter() - started
                yield frames

    def _exactly(self, source: MotionSource, num_frames: int | None) -> Iterator[FaceMotion]:
        """The motion cut, or its last frame held, to `num_frames`; times the generator."""
        done = 0
        last: FaceMotion | None = None
        total = num_frames
        motions = self.motion(source, num_frames)
        while total is None or done < total:
            started, listened = time.perf_counter(), elapsed_in(source)
            motion = next(motions, None)
            listened = elapsed_in(source) - listened
            self.timings["generator"] += time.perf_counter() - started - listened
            if isinstance(source, SpeechStream) and source.duration_seconds is not None:
                total = length_of(source, Fraction(self.settings.fps))
            if motion is None:
                if last is None or total is None:
                    raise ValueError("there is no motion to render")
                held = np.repeat(last.to_array(), total - done, 0)
                motion = FaceMotion.from_array(held, last.fps)
            if total is not None:
                motion = motion[: total - done]
            last = motion[-1:]
            done += motion.num_frames
            yield motion

    def close(self) -> None:
        """Let go of the networks."""
        self.refiners = {}
        self.detail = None
