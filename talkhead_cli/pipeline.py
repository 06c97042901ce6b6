"""TalkingHeadPipeline: a preset's networks, loaded once; the one path from portrait and speech to frames."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.playback import (
    Checkpoint,
    MotionSource,
    Playback,
    Record,
    SavedMotion,
    elapsed_in,
    length_of,
    motion_steps,
)
from talkhead_models.appearance import AppearanceEncoder, encode_mouths, load_appearance_encoder
from talkhead_models.basis import FaceBasis, Pose
from talkhead_models.breathing import breathing
from talkhead_models.bundle import bundle_path, read_checked
from talkhead_models.detail import Detail, load_detail
from talkhead_models.generator import MotionGenerator
from talkhead_models.generator_bundle import load_motion_generator
from talkhead_models.lip_audio import LIP_AUDIO, LipAudioEncoder, load_lip_audio
from talkhead_models.live import SpeechStream, stream_motion
from talkhead_models.manner import Manner
from talkhead_models.motion import FaceMotion
from talkhead_models.refiner import Refiner, load_refiner
from talkhead_models.renderer import FaceRenderer
from talkhead_models.rig import FaceRig
from talkhead_models.speech import SpeechFeatures
from talkhead_models.speech_kinds import WIDE_SIZE
from talkhead_models.style import SpeakingStyle

if TYPE_CHECKING:
    from talkhead_cli.face import Portrait
    from talkhead_cli.settings import RenderSettings

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

MAX_THREADS = 4
"""Frames composed at once: beyond that they wait for memory."""

MAX_FRAMES = 16
"""Frames rendered at once: enough to fill the refiner's batch, few enough to start early."""


@dataclass(frozen=True)
class Networks:
    """What a preset's bundle loads; shared by pipelines whose settings differ in other things.

    Attributes:
        bundle: name of the generator's bundle.
        device: where they lie.
        basis: the face model.
        generator: makes motion from speech.
        refiners: by patch name.
        detail: paints the mouths of large faces; None leaves them at the refiner's size.
        appearance: reads the look of a mouth off a picture.
        lip_audio: second encoder of speech, where the generator reads features of every kind; else None.
        hashes: bundle name to sha256 of what was loaded.
    """

    bundle: str
    device: str
    basis: FaceBasis
    generator: MotionGenerator
    refiners: dict[str, Refiner]
    detail: Detail | None
    appearance: AppearanceEncoder
    lip_audio: LipAudioEncoder | None
    hashes: dict[str, str]

    @classmethod
    def load(cls, bundle: str, device: str) -> Networks:
        """Load them.

        Raises:
            BundleError: a bundle is missing or damaged.
        """
        generator = load_motion_generator(bundle, device=device)
        wide = generator.denoiser.config.feature_size == WIDE_SIZE
        names = ("face-basis", bundle, *REFINERS.values(), DETAIL, APPEARANCE)
        names += (LIP_AUDIO,) if wide else ()
        return cls(
            bundle=bundle,
            device=device,
            basis=FaceBasis.load(),
            generator=generator,
            refiners={patch: load_refiner(name).to(device) for patch, name in REFINERS.items()},
            detail=load_detail(DETAIL).to(device),
            appearance=load_appearance_encoder(APPEARANCE),
            lip_audio=load_lip_audio(LIP_AUDIO, device) if wide else None,
            hashes={name: read_checked(bundle_path(name))[1] for name in names},
        )


def performing(
    generator: MotionGenerator, settings: RenderSettings, style: SpeakingStyle | None = None
) -> MotionGenerator:
    """A generator that performs as the settings, and a style, say; it shares the other's networks."""
    parts = generator.parts
    events, token = parts.events, parts.style
    if style is not None:
        events, token = style.events(events), style.token(token)
    if settings.blink_scale > 0:
        events = replace(events, blink_seconds=events.blink_seconds / settings.blink_scale)
    manner = Manner(
        emotion=settings.emotion,
        emotion_strength=settings.emotion_strength,
        gaze=settings.gaze,
        pose_shown=0.0 if settings.still else settings.pose_scale,
        style=style,
    )
    changed = copy.copy(generator)
    changed.parts = replace(parts, events=events, style=token, manner=manner)
    return changed


class TalkingHeadPipeline:
    """Loads the networks of a preset; renders any number of clips.

    Attributes:
        settings: of the renders.
        networks: what was loaded.
        max_frames: frames rendered at once.
        timings: seconds spent by stage so far: prepare, generator, renderer.
    """

    def __init__(self, settings: RenderSettings, networks: Networks | None = None) -> None:
        """Load the networks.

        Args:
            settings: resolved settings; `device` names a device that exists.
            networks: already loaded, of the settings' bundle and device.

        Raises:
            BundleError: a bundle is missing or damaged.
            ValueError: the networks are others than the settings name.
        """
        self.settings = settings
        self.networks = networks or Networks.load(settings.bundle, settings.device)
        if (self.networks.bundle, self.networks.device) != (settings.bundle, settings.device):
            raise ValueError("the networks are of another bundle or on another device")
        self.generator = performing(self.networks.generator, settings)
        self.max_frames = MAX_FRAMES
        self.timings: dict[str, float] = {"prepare": 0.0, "generator": 0.0, "renderer": 0.0}

    def perform_as(self, style: SpeakingStyle | None) -> None:
        """Speak in a person's style from now on; None is the preset's own."""
        self.generator = performing(self.networks.generator, self.settings, style)

    @property
    def basis(self) -> FaceBasis:
        """The face model."""
        return self.networks.basis

    @property
    def hashes(self) -> dict[str, str]:
        """Bundle name to sha256 of what was loaded."""
        return self.networks.hashes

    @property
    def lip_audio(self) -> LipAudioEncoder | None:
        """The second encoder of speech, where the generator reads features of every kind."""
        return self.networks.lip_audio

    def motion(self, source: MotionSource, num_frames: int | None) -> Iterator[FaceMotion]:
        """The clip's motion at the output frame rate, chunk by chunk, strengths applied.

        Args:
            source: features of the driving audio, or motion.
            num_frames: output frames; None where a stream of speech tells them when it ends.
        """
        for motion, _ in motion_steps(self.generator, self.settings, source, num_frames):
            yield motion

    def _own_mouth(
        self, portrait: Portrait, rig: FaceRig
    ) -> tuple[NDArray[np.float32] | None, np.float32]:
        """Appearance code (A,) of the mouth that the portrait shows, None for closed lips; how far to take after it."""
        shown = np.clip((portrait.mouth_gap - OWN_FROM) / (OWN_FULL - OWN_FROM), 0, 1)
        if shown == 0:
            return None, np.float32(0)
        poses = Pose(*(np.asarray(value)[None] for value in rig.pose))
        codes = encode_mouths(
            self.networks.appearance, [portrait.image], portrait.mesh[None], rig.neutral, poses
        )
        return codes[0], np.float32(OWN_HABIT * shown)

    def render(
        self,
        portrait: Portrait,
        source: MotionSource,
        num_frames: int | None,
        begin: Checkpoint | None = None,
        record: Record | None = None,
    ) -> Playback:
        """Frames of one clip; the portrait is made ready before the first is asked for.

        Args:
            portrait: what to animate.
            source: features of the driving audio, or motion.
            num_frames: frames to make, None where a stream of speech tells them when it ends; where the source is a
                little short, its last frame is held.
            begin: a checkpoint of the same clip to go on from.
            record: given all motion of the clip before it is shown, strengths applied, what the portrait makes of it
                left out; that before the checkpoint, too.

        Returns:
            (n, H, W, 3) uint8 RGB, with `alpha` in the settings (n, H, W, 4) RGBA, `num_frames` in all; those after the
            checkpoint, if there is one.
        """
        import torch

        started = time.perf_counter()
        renderer = FaceRenderer.create(
            portrait.image,
            portrait.mesh,
            portrait.person_mask,
            self.networks.basis,
            self.networks.refiners,
            self.networks.detail,
            device=self.settings.device,
        )
        if self.settings.alpha:
            renderer.cutout = renderer.body.cut_out(*portrait.matte())
        # As many as torch was given, so that workers side by side do not fight for the cores.
        renderer.threads = min(MAX_THREADS, torch.get_num_threads())
        generated = isinstance(source, SpeechFeatures | SpeechStream)
        if isinstance(source, SavedMotion):
            generated = source.generated
        own, habit = self._own_mouth(portrait, renderer.rig) if generated else (None, np.float32(0))
        if isinstance(source, SpeechStream):
            self._rehearse(renderer)
        self.timings["prepare"] += time.perf_counter() - started
        most = int(np.clip(FRAME_MEMORY // portrait.image.nbytes, 1, self.max_frames))
        done = begin.num_frames if begin is not None else 0
        steps = self._exactly(source, num_frames, begin)
        if record is not None:
            steps = self._recorded(steps, self._before(source, num_frames, done), record)
        return Playback(self._draw(renderer, steps, (own, habit), most, done), done)

    def _rehearse(self, renderer: FaceRenderer) -> None:
        """Make one frame of nothing: the first use of a network takes many times as long as the second."""
        size = self.generator.denoiser.config.feature_size
        quiet = np.zeros((2, size), np.float32)
        for motion in stream_motion(self.generator, [quiet], 0):
            renderer.render(renderer.body.limits.apply(motion[:1]))

    def _draw(
        self,
        renderer: FaceRenderer,
        steps: Iterable[tuple[FaceMotion, Checkpoint | None]],
        mouth: tuple[NDArray[np.float32] | None, np.float32],
        most: int,
        done: int,
    ) -> Iterator[tuple[NDArray[np.uint8], Checkpoint | None]]:
        """Frames of motion, at most so many at once; the very first ones one by one, so that they leave early."""
        own, habit = mouth
        fps = Fraction(self.settings.fps)
        for chunk, checkpoint in steps:
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
                yield frames, checkpoint if start >= chunk.num_frames else None

    def _exactly(
        self, source: MotionSource, num_frames: int | None, begin: Checkpoint | None = None
    ) -> Iterator[tuple[FaceMotion, Checkpoint | None]]:
        """The motion cut, or its last frame held, to `num_frames`; times the generator."""
        done = begin.num_frames if begin is not None else 0
        last = begin.last if begin is not None else None
        total = num_frames
        steps = motion_steps(self.generator, self.settings, source, num_frames, begin)
        while total is None or done < total:
            started, listened = time.perf_counter(), elapsed_in(source)
            motion, checkpoint = next(steps, (None, None))
            listened = elapsed_in(source) - listened
            self.timings["generator"] += time.perf_counter() - started - listened
            if isinstance(source, SpeechStream) and source.duration_seconds is not None:
                total = length_of(source, Fraction(self.settings.fps))
            if motion is None:
                if last is None or total is None:
                    raise ValueError("there is no motion to render")
                held = np.repeat(last[None], total - done, 0)
                motion = FaceMotion.from_array(held, self.settings.fps)
            if total is not None:
                motion = motion[: total - done]
            last = motion.to_array()[-1]
            done += motion.num_frames
            yield motion, checkpoint

    def _before(
        self, source: MotionSource, num_frames: int | None, shown: int
    ) -> Iterator[FaceMotion]:
        """The motion of a clip up to a checkpoint, made again: it is little work beside the frames."""
        done = 0
        steps = self._exactly(source, num_frames) if shown else iter(())
        while done < shown:
            motion, _ = next(steps)
            done += motion.num_frames
            yield motion

    @staticmethod
    def _recorded(
        steps: Iterable[tuple[FaceMotion, Checkpoint | None]],
        before: Iterable[FaceMotion],
        record: Record,
    ) -> Iterator[tuple[FaceMotion, Checkpoint | None]]:
        """The same steps, each told of."""
        for motion in before:
            record(motion)
        for motion, checkpoint in steps:
            record(motion)
            yield motion, checkpoint

    def close(self) -> None:
        """Let go of the networks."""
        del self.networks, self.generator
