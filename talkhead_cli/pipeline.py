"""TalkingHeadPipeline: a preset's networks, loaded once; the one path from portrait and speech to frames."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.devices import model_errors, resolve_device
from talkhead_cli.drawing import in_order
from talkhead_cli.formats import PLANAR
from talkhead_cli.networks import Networks
from talkhead_cli.performing import performing
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
from talkhead_cli.settings import DEFAULT_CHUNK
from talkhead_cli.speech_encoder import hear
from talkhead_models.appearance import encode_mouths
from talkhead_models.basis import FaceBasis, Pose
from talkhead_models.batched.renderer import BatchRenderer
from talkhead_models.breathing import breathing
from talkhead_models.generator import FEATURES_PER_FRAME
from talkhead_models.lip_audio import LipAudioEncoder
from talkhead_models.live import SETTLED, EarPlan, SpeechStream, stream_motion
from talkhead_models.motion import FaceMotion
from talkhead_models.renderer import FaceRenderer
from talkhead_models.rig import FaceRig
from talkhead_models.speech import SpeechFeatures
from talkhead_models.style import SpeakingStyle
from talkhead_models.threads import one_thread

if TYPE_CHECKING:
    from talkhead_cli.face import Portrait
    from talkhead_cli.settings import RenderSettings

OWN_HABIT = 0.6
"""How far generated mouths take after the one that an open-mouthed portrait shows."""

OWN_FROM, OWN_FULL = 0.02, 0.08
"""Inner-lip gaps, in outer-eye distances, from which a portrait shows its mouth, and from which it shows it well."""

FRAME_MEMORY = 96 * 2**20
"""Bytes of frames held at once by two threads: a piece each, one that waits, and one that is being written."""

MAX_THREADS = 4
"""Pieces drawn at once: beyond that they wait for memory, and for Python."""

MAX_FRAMES = 16
"""Frames of a piece: enough to fill the refiner's batch, few enough to start early."""


class Drawing(NamedTuple):
    """A piece of a clip that is drawn at once.

    Attributes:
        motion: of its frames, within the portrait's limits.
        breath: (n,) float32, see `talkhead_models.breathing`; None holds it.
        checkpoint: where the clip stands behind it, if it ends a chunk.
    """

    motion: FaceMotion
    breath: NDArray[np.float32] | None
    checkpoint: Checkpoint | None


BATCH_FRAMES = 64
"""Frames rendered at once where that is one batch on a GPU; the motion of a chunk is the most that there is."""

BATCH_MEMORY = 512 * 2**20
"""Bytes of finished frames that come from a GPU at once."""

SHORT_PIECES = 2
"""Parts that a short chunk is drawn in, so that its first frame does not wait for the last."""


class TalkingHeadPipeline:
    """Loads the networks of a preset; renders any number of clips.

    Attributes:
        settings: of the renders.
        networks: what was loaded.
        batched: frames are made by `BatchRenderer`, whole batches in torch operations.
        max_frames: frames rendered at once.
        timings: seconds spent by stage so far: prepare, generator, renderer.
    """

    def __init__(
        self,
        settings: RenderSettings,
        networks: Networks | None = None,
        batched: bool | None = None,
    ) -> None:
        """Load the networks.

        Args:
            settings: of the renders; `device` may be auto.
            networks: already loaded, of the settings' bundle and device.
            batched: see there; None does so on CUDA.

        Raises:
            WeightsError: a bundle is missing or damaged.
            DeviceError: there is no such device, or it has too little memory.
            ValueError: the networks are others than the settings name.
        """
        settings = settings.model_copy(update={"device": resolve_device(settings.device)})
        self.settings = settings
        with model_errors():
            self.networks = networks or Networks.load(settings.bundle, settings.device)
        if (self.networks.bundle, self.networks.device) != (settings.bundle, settings.device):
            raise ValueError("the networks are of another bundle or on another device")
        self.generator = performing(self.networks.generator, settings)
        self.batched = settings.device.startswith("cuda") if batched is None else batched
        self.max_frames = BATCH_FRAMES if self.batched else MAX_FRAMES
        if settings.chunk_frames < DEFAULT_CHUNK:
            self.max_frames = min(self.max_frames, max(1, settings.chunk_frames // SHORT_PIECES))
        self.timings: dict[str, float] = {"prepare": 0.0, "generator": 0.0, "renderer": 0.0}

    def perform_as(self, style: SpeakingStyle | None) -> None:
        """Speak in a person's style from now on; None is the preset's own."""
        self.generator = performing(self.networks.generator, self.settings, style)

    @property
    def basis(self) -> FaceBasis:
        """The face model."""
        return self.networks.basis

    @property
    def ear_plan(self) -> EarPlan | None:
        """When chunks are made of speech that is not settled; None where it is waited for."""
        ahead = self.settings.lookahead_frames * FEATURES_PER_FRAME
        own = self.generator.frames_per_chunk * FEATURES_PER_FRAME
        return EarPlan(own, ahead, self.generator.lookahead) if ahead < SETTLED else None

    @property
    def hashes(self) -> dict[str, str]:
        """Bundle name to sha256 of what was loaded."""
        return self.networks.hashes

    @property
    def lip_audio(self) -> LipAudioEncoder | None:
        """The second encoder of speech, where the generator reads features of every kind."""
        return self.networks.lip_audio

    def listen(self, audio: Path | str) -> tuple[SpeechFeatures, int]:
        """Speech of a recording as `motion` and `render` take it, and the frames that it lasts; errors are `hear`'s."""
        with model_errors():
            return hear(Path(audio), self.settings, self.lip_audio, self.ear_plan)

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
            self.networks.appearance, [portrait.seen], portrait.mesh[None], rig.neutral, poses
        )
        return codes[0], np.float32(OWN_HABIT * shown)

    def render(
        self,
        portrait: Portrait,
        source: MotionSource,
        num_frames: int | None,
        begin: Checkpoint | None = None,
        planes: bool = False,
        record: Record | None = None,
    ) -> Playback:
        """Frames of one clip; the portrait is made ready before the first is asked for.

        Args:
            portrait: what to animate.
            source: features of the driving audio, or motion.
            num_frames: frames to make, None where a stream of speech tells them when it ends; where the source is a
                little short, its last frame is held.
            begin: a checkpoint of the same clip to go on from.
            planes: frames as planes (n, 3 H / 2, W), see `talkhead_models.planes`, where `gives_planes`.
            record: given all motion of the clip before it is shown, strengths applied, what the portrait makes of it
                left out; that before the checkpoint, too.

        Returns:
            (n, H, W, 3) uint8 RGB, with `alpha` in the settings (n, H, W, 4) RGBA, `num_frames` in all; those after the
            checkpoint, if there is one.
        """
        import torch

        started = time.perf_counter()
        renderer = FaceRenderer.create(
            portrait.seen,
            portrait.mesh,
            portrait.person_mask,
            self.networks.basis,
            self.networks.refiners,
            self.networks.detail,
            device=self.settings.device,
        )
        matte, behind = portrait.matte()
        if self.settings.alpha:
            renderer.cutout = renderer.body.cut_out(matte, behind)
        if behind is not None:
            renderer.keep_inside(matte)
            if not self.settings.alpha:
                renderer.flatten(matte, behind, portrait.behind)
        # As many as torch was given, so that workers side by side do not fight for the cores.
        renderer.threads = min(MAX_THREADS, torch.get_num_threads())
        generated = isinstance(source, SpeechFeatures | SpeechStream)
        if isinstance(source, SavedMotion):
            generated = source.generated
        own, habit = self._own_mouth(portrait, renderer.rig) if generated else (None, np.float32(0))
        drawn = BatchRenderer(renderer, self.settings.device) if self.batched else renderer
        if isinstance(source, SpeechStream):
            self._rehearse(drawn)
        self.timings["prepare"] += time.perf_counter() - started
        # Of any number of threads alike: networks round a batch otherwise than each of its frames.
        fits = FRAME_MEMORY // 4 // portrait.image.nbytes
        if isinstance(drawn, BatchRenderer):
            fits = min(BATCH_MEMORY // portrait.image.nbytes, drawn.most_frames())
        most = int(np.clip(fits, 1, self.max_frames))
        done = begin.num_frames if begin is not None else 0
        steps = self._exactly(source, num_frames, begin)
        if record is not None:
            steps = self._recorded(steps, self._before(source, num_frames, done), record)
        pieces = self._pieces(drawn, steps, (own, habit), most, done)
        return Playback(self._draw(drawn, pieces, source, planes), done)

    def gives_planes(self, codec: str) -> bool:
        """Whether `render` makes planes of frames for this codec."""
        return codec in PLANAR and not self.settings.alpha

    def _rehearse(self, renderer: FaceRenderer | BatchRenderer) -> None:
        """Make one frame of nothing: the first use of a network takes many times as long as the second."""
        size = self.generator.denoiser.config.feature_size
        quiet = np.zeros((2, size), np.float32)
        for motion in stream_motion(self.generator, [quiet], 0):
            renderer.render(renderer.body.limits.apply(motion[:1]))

    def _pieces(
        self,
        renderer: FaceRenderer | BatchRenderer,
        steps: Iterable[tuple[FaceMotion, Checkpoint | None]],
        mouth: tuple[NDArray[np.float32] | None, np.float32],
        most: int,
        done: int,
    ) -> Iterator[Drawing]:
        """What is drawn at once, at most so many frames; the very first ones one by one, so that they leave early."""
        own, habit = mouth
        fps = Fraction(self.settings.fps)
        for chunk, checkpoint in steps:
            start = 0
            while start < chunk.num_frames:
                size = min(most, max(1, done))
                motion = renderer.body.limits.apply(chunk[start : start + size])
                if own is not None:
                    # A portrait that shows its teeth goes on showing them.
                    code = motion.appearance + (own - motion.appearance) * habit
                    motion = replace(motion, appearance=code)
                breath = None
                if not self.settings.still:
                    breath = breathing(self.settings.seed, done, motion.num_frames, fps)
                start += size
                done += motion.num_frames
                yield Drawing(motion, breath, checkpoint if start >= chunk.num_frames else None)

    def _draw(
        self,
        renderer: FaceRenderer | BatchRenderer,
        pieces: Iterable[Drawing],
        source: MotionSource,
        planes: bool,
    ) -> Iterator[tuple[NDArray[np.uint8], Checkpoint | None]]:
        """Frames; counts the time that they are waited for, what the generator or the speech took of it left out."""

        def draw(piece: Drawing) -> NDArray[np.uint8]:
            if planes:
                return renderer.render_planes(piece.motion, piece.breath)
            return renderer.render(piece.motion, piece.breath)

        def alone(piece: Drawing) -> NDArray[np.uint8]:
            with one_thread():
                return draw(piece)

        drawn: Generator[tuple[Drawing, NDArray[np.uint8]], None, None]
        if isinstance(source, SpeechStream):
            # Frames leave at once: what comes behind them has not been said yet.
            if self.settings.chunk_frames < DEFAULT_CHUNK and isinstance(renderer, FaceRenderer):
                # Two frames are too little work for threads that wait for each other, above all on a busy machine.
                renderer.threads = 1
                drawn = ((piece, alone(piece)) for piece in pieces)
            else:
                drawn = ((piece, draw(piece)) for piece in pieces)
        elif isinstance(renderer, FaceRenderer):
            threads, renderer.threads = renderer.threads, 1
            drawn = in_order(draw, pieces, threads)
        else:
            # A batch on the GPU while the one before it is being written.
            drawn = in_order(draw, pieces, 1)
        with closing(drawn):
            while True:
                started, before = (
                    time.perf_counter(),
                    self.timings["generator"] + elapsed_in(source),
                )
                found = next(drawn, None)
                elsewhere = self.timings["generator"] + elapsed_in(source) - before
                self.timings["renderer"] += time.perf_counter() - started - elsewhere
                if found is None:
                    return
                piece, frames = found
                yield frames, piece.checkpoint

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

    def __enter__(self) -> TalkingHeadPipeline:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
