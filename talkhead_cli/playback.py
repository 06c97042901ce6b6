"""Motion on its way to frames, and where a clip stands between two chunks of it: what a long render goes on from."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain, repeat
from math import ceil
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.result import count_frames
from talkhead_models.generator import GenerateOptions, MotionGenerator
from talkhead_models.live import SpeechStream, stream_motion
from talkhead_models.motion import MOTION_FPS, FaceMotion
from talkhead_models.resample import ResampleState, resample_rest, resample_step, resample_stream
from talkhead_models.speech import SpeechFeatures
from talkhead_models.streaming import StreamState

if TYPE_CHECKING:
    from talkhead_cli.settings import RenderSettings


@dataclass(frozen=True)
class SavedMotion:
    """Motion that a render has shown, or that came from elsewhere, to be shown again.

    Attributes:
        motion: with the strengths of the settings in it.
        chunks: numbers of frames that were made at once, where known: networks round a batch of frames otherwise than
            each of them, so that the same frames to the last bit want the same batches.
        generated: the mouth's look is to be the portrait's own where it shows its teeth, as for generated motion.
    """

    motion: FaceMotion
    chunks: tuple[int, ...] = ()
    generated: bool = True

    def __iter__(self) -> Iterator[FaceMotion]:
        yield self.motion

    @property
    def duration_seconds(self) -> float:
        """Of the motion."""
        return self.motion.num_frames / float(self.motion.fps)

    def lasting(self, seconds: float, fps: Fraction) -> SavedMotion:
        """The motion, come to rest where it ends before a video of that length and frame rate does."""
        from talkhead_models.tracking import come_to_rest

        same = self.motion.fps == fps
        needed = count_frames(seconds, fps) if same else ceil(seconds * self.motion.fps) + 3
        return replace(self, motion=come_to_rest(self.motion, needed))


MotionSource = SpeechFeatures | SpeechStream | Iterable[FaceMotion]
"""What a portrait is animated with: speech that motion is generated from, whole or while it arrives, or motion of any
one frame rate, saved or not."""

Record = Callable[[FaceMotion], None]
"""Takes the motion of a clip as it is shown, chunk by chunk."""

PIECE = 32
"""Frames between two checkpoints of motion that is not generated; whole batches of the renderer."""

CHECKPOINT_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """Where a clip stands between two chunks: all that its next frame depends on besides portrait, speech and settings.

    Attributes:
        num_frames: made so far.
        last: (D,) float32, the newest motion, which is held where there is too little of it.
        stream: the generator's state; None for motion that is not generated.
        resampled: the state of the change to another frame rate; None without one.
    """

    num_frames: int
    last: NDArray[np.float32]
    stream: StreamState | None = None
    resampled: ResampleState | None = None

    def to_bytes(self) -> bytes:
        """The checkpoint as bytes (an uncompressed .npz, no pickle)."""
        header: dict[str, object] = {"version": CHECKPOINT_VERSION, "num_frames": self.num_frames}
        arrays: dict[str, NDArray[np.generic]] = {"last": self.last}
        if self.stream is not None:
            arrays["stream"] = np.frombuffer(self.stream.to_bytes(), np.uint8)
        if self.resampled is not None:
            assert self.resampled.kept is not None
            arrays["kept"] = self.resampled.kept
            header |= {"start": self.resampled.start, "done": self.resampled.done}
            header["motion_fps"] = str(self.resampled.motion_fps)
        buffer = io.BytesIO()
        np.savez(buffer, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """The inverse of `to_bytes`.

        Raises:
            ValueError: the bytes are no checkpoint, or one of another version.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                header = json.loads(stored["header"].tobytes())
                if header["version"] != CHECKPOINT_VERSION:
                    raise ValueError(f"a checkpoint of version {header['version']}")
                stream = resampled = None
                if "stream" in stored:
                    stream = StreamState.from_bytes(stored["stream"].tobytes())
                if "kept" in stored:
                    fps = Fraction(header["motion_fps"])
                    resampled = ResampleState(stored["kept"], header["start"], header["done"], fps)
                return cls(header["num_frames"], stored["last"], stream, resampled)
        except (OSError, KeyError, EOFError, ValueError, BadZipFile) as error:
            raise ValueError(f"these bytes hold no checkpoint ({error})") from error


class Playback:
    """Frames of one clip, to be gone through once.

    Attributes:
        checkpoint: where the clip stands after the frames given last; None in the middle of a chunk, and always where
            the speech arrives meanwhile.
    """

    def __init__(
        self, frames: Iterator[tuple[NDArray[np.uint8], Checkpoint | None]], begin: int = 0
    ) -> None:
        self._frames = frames
        self.begin = begin
        self.checkpoint: Checkpoint | None = None

    def __iter__(self) -> Playback:
        return self

    def __next__(self) -> NDArray[np.uint8]:
        """(n, H, W, 3) uint8 RGB."""
        frames, self.checkpoint = next(self._frames)
        return frames


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


def motion_steps(
    generator: MotionGenerator,
    settings: RenderSettings,
    source: MotionSource,
    num_frames: int | None,
    begin: Checkpoint | None = None,
) -> Iterator[tuple[FaceMotion, Checkpoint | None]]:
    """A clip's motion at the output frame rate, chunk by chunk, strengths applied.

    Args:
        generator: makes motion from speech.
        settings: of the render.
        source: features of the driving audio, or motion.
        num_frames: output frames; None where a stream of speech tells them when it ends.
        begin: to go on from; None begins at the beginning.

    Yields:
        Consecutive motion, each with the checkpoint behind it, if there is one.

    Raises:
        ValueError: the length is left open for a source that does not tell it.
    """
    fps = Fraction(settings.fps)
    if num_frames is None and not isinstance(source, SpeechStream):
        raise ValueError("num_frames can only be left out for a stream of speech that tells them")
    if isinstance(source, SpeechFeatures):
        assert num_frames is not None
        steps = generated_steps(generator, settings, source, num_frames, begin)
    elif isinstance(source, SpeechStream):
        options = generate_options(settings)
        stream: Iterable[FaceMotion]
        stream = stream_motion(generator, source.blocks, settings.seed, options)
        if fps != MOTION_FPS:
            length = partial(length_of, source, fps) if num_frames is None else num_frames
            stream = resample_stream(stream, fps, length)
        steps = ((motion, None) for motion in stream)
    elif isinstance(source, SavedMotion) and source.motion.fps == fps:
        assert num_frames is not None
        steps = saved_steps(source, num_frames, begin)
    else:
        assert num_frames is not None
        steps = given_steps(source, fps, num_frames, begin)
    if isinstance(source, SavedMotion):
        # The strengths are in it.
        settings = settings.model_copy(update={"pose_scale": 1.0, "expression_scale": 1.0})
    for motion, checkpoint in steps:
        scaled = scale_motion(motion, settings)
        if checkpoint is not None:
            checkpoint = replace(checkpoint, last=scaled.to_array()[-1])
        yield scaled, checkpoint


def generate_options(settings: RenderSettings) -> GenerateOptions:
    """How the settings want motion sampled."""
    return GenerateOptions(
        num_inference_steps=settings.num_inference_steps, guidance_scale=settings.guidance_scale
    )


def generated_steps(
    generator: MotionGenerator,
    settings: RenderSettings,
    features: SpeechFeatures,
    num_frames: int,
    begin: Checkpoint | None,
) -> Iterator[tuple[FaceMotion, Checkpoint | None]]:
    """Motion generated from a whole recording's features."""
    fps = Fraction(settings.fps)
    state = begin.stream if begin is not None else None
    done = begin.num_frames if begin is not None else 0
    walk = generator.walk(
        features.array,
        state or generator.start(settings.seed),
        generate_options(settings),
        features.views,
    )
    if fps == MOTION_FPS:
        for motion, state in walk:
            done += motion.num_frames
            yield motion, Checkpoint(done, np.zeros(0, np.float32), state)
        return
    resampled = (begin.resampled if begin is not None else None) or ResampleState()
    for motion, state in walk:
        made, resampled = resample_step(resampled, motion, fps, num_frames)
        if made is not None:
            yield made, Checkpoint(resampled.done, np.zeros(0, np.float32), state, resampled)
    rest = resample_rest(resampled, fps, num_frames)
    if rest is not None:
        yield rest, None


def given_steps(
    chunks: Iterable[FaceMotion], fps: Fraction, num_frames: int, begin: Checkpoint | None
) -> Iterator[tuple[FaceMotion, Checkpoint | None]]:
    """Motion that is there already, in pieces; to go on, what was shown is passed over."""
    done = 0
    shown = begin.num_frames if begin is not None else 0
    for motion in resample_stream(chunks, fps, num_frames):
        for start in range(0, motion.num_frames, PIECE):
            piece = motion[start : start + PIECE]
            done += piece.num_frames
            if done > shown:
                yield piece, Checkpoint(done, np.zeros(0, np.float32))


def saved_steps(
    source: SavedMotion, num_frames: int, begin: Checkpoint | None
) -> Iterator[tuple[FaceMotion, Checkpoint | None]]:
    """Saved motion of the output's frame rate in the chunks that it was made in, as far as they are known."""
    # Through one array, as generated motion comes: sums over other strides may round otherwise.
    motion = FaceMotion.from_array(source.motion.to_array(), source.motion.fps)[:num_frames]
    shown = begin.num_frames if begin is not None else 0
    start = 0
    for size in chain(source.chunks, repeat(PIECE)):
        if start >= motion.num_frames:
            return
        piece = motion[start : start + size]
        start += piece.num_frames
        if start > shown:
            yield piece, Checkpoint(start, np.zeros(0, np.float32))
