"""Ten minutes of motion, minute by minute: how far from real motion, how large, how steady, how well joined."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.mel import SAMPLE_RATE
from talkhead_models.basis import FaceBasis
from talkhead_models.generator import FEATURES_PER_FRAME, POSE, GenerateOptions, MotionGenerator
from talkhead_models.motion import EXPRESSION_SIZE as K
from talkhead_models.motion import MOTION_FPS, FaceMotion
from talkhead_models.streaming import ChunkPlan, chunk_features
from talkhead_models.topology import BROWS, LIPS

sys.path.insert(0, str(Path(__file__).parent.parent / "models" / "training"))
from motion_metrics import MINUTE, TURN, blink_rate, boundary_step
from motion_statistics import MotionStatistics, frechet_motion_distance

Wave = NDArray[np.float32]

PAUSES = (0.8, 1.5, 3.0)
"""Seconds of silence behind each repetition, in turn: long enough for a mouth to have to rest."""

REST_AFTER, REST_BEFORE = 0.12, 0.08
"""Seconds of a pause's start and end in which the lips are still, or already, on their way."""


@dataclass(frozen=True)
class LongSpeech:
    """Speech repeated to a length.

    Attributes:
        wave: (n,) float32 at 16 kHz.
        pauses: (start, end) in seconds of the silences put between.
    """

    wave: Wave
    pauses: tuple[tuple[float, float], ...]


def repeated(recordings: list[Wave], seconds: float) -> LongSpeech:
    """Recordings one after another, again and again, with pauses between."""
    pieces: list[Wave] = []
    pauses: list[tuple[float, float]] = []
    length = index = 0
    while length < seconds * SAMPLE_RATE:
        speech = recordings[index % len(recordings)]
        pause = np.zeros(round(PAUSES[index % len(PAUSES)] * SAMPLE_RATE), np.float32)
        start = (length + len(speech)) / SAMPLE_RATE
        pauses.append((start, start + len(pause) / SAMPLE_RATE))
        pieces += [speech, pause]
        length += len(speech) + len(pause)
        index += 1
    return LongSpeech(np.concatenate(pieces)[: round(seconds * SAMPLE_RATE)], tuple(pauses))


class NaiveChunks:
    """The baseline: the same network, every chunk made on its own from the portrait at rest.

    Neither motion nor speech of the chunk before is known, and nothing of the head's smoothing is carried over; blinks
    and gaze go on, so that they are not blamed.
    """

    def __init__(self, generator: MotionGenerator) -> None:
        self.generator = generator
        self.frames_per_chunk = generator.frames_per_chunk

    def start(self, seed: int) -> Any:
        """A first chunk's state."""
        return self.generator.start(seed)

    def generate(
        self, features: np.ndarray, seed: int, options: GenerateOptions | None, state: Any
    ) -> Iterator[FaceMotion]:
        """All chunks of a clip."""
        plan = ChunkPlan(-(-len(features) // FEATURES_PER_FRAME), self.frames_per_chunk)
        fresh = self.generator.start(seed)
        happened = fresh.events
        for index in range(plan.num_chunks):
            own = chunk_features(features, index, self.generator.denoiser.config)
            begin = replace(fresh, chunk_index=index, events=happened)
            motion, after = self.generator.step(begin, own, options)
            happened = after.events
            yield motion[: plan.frames_of(index)]


@dataclass(frozen=True)
class LongMotion:
    """Motion with the process's memory on the way.

    Attributes:
        motion: (T, D) at 25/s.
        memory: MiB resident at the end of each minute.
    """

    motion: np.ndarray
    memory: tuple[float, ...]


def generate_long(
    generator: MotionGenerator | NaiveChunks,
    features: np.ndarray,
    options: GenerateOptions,
    seed: int = 0,
) -> LongMotion:
    """The motion of long speech, chunk by chunk as a render takes it."""
    import psutil

    process = psutil.Process()
    parts, memory, done = [], [], 0
    for part in generator.generate(features, seed, options, generator.start(seed)):
        parts.append(part.to_array())
        before, done = done // MINUTE, done + part.num_frames
        if done // MINUTE > before:
            memory.append(process.memory_info().rss / 2**20)
    return LongMotion(np.concatenate(parts), tuple(memory))


def resting(pauses: tuple[tuple[float, float], ...], count: int) -> np.ndarray:
    """(count,) bool, the frames in which a mouth should rest."""
    times = (np.arange(count) + 0.5) / MOTION_FPS
    result = np.zeros(count, bool)
    for start, end in pauses:
        result |= (times > start + REST_AFTER) & (times < end - REST_BEFORE)
    return result


def spread_of(expression: np.ndarray, basis: FaceBasis, points: tuple[int, ...]) -> float:
    """Mean standard deviation of points' ways in the picture, pose left out, in outer-eye distances."""
    moved = np.tensordot(expression, basis.expression[:, list(points), :2], 1)
    return float(moved.std(0).mean())


def measure_minute(
    motion: np.ndarray, rest: np.ndarray, basis: FaceBasis, frames_per_chunk: int, phase: int
) -> dict[str, float]:
    """Measures of one minute but its distance to real motion.

    Args:
        motion: (T, D).
        rest: (T,) bool, where the mouth should rest.
        basis: of the face.
        frames_per_chunk: of the generator.
        phase: frames of the minute before its first chunk boundary.
    """
    gap = np.abs(basis.lip_gap(motion[:, :K]))
    p95 = float(np.percentile(gap, 95))
    return {
        "gap_p95": p95,
        "rest": float(gap[rest].mean() / p95) if rest.any() else float("nan"),
        "lips": spread_of(motion[:, :K], basis, tuple(LIPS)),
        "brows": spread_of(motion[:, :K], basis, BROWS),
        "head": float(np.degrees(motion[:, TURN].std(0)).mean()),
        "blinks": blink_rate(motion),
        # Cut where chunks begin, so that boundaries are where `boundary_step` looks for them.
        **boundary_step(motion[phase:], frames_per_chunk),
    }


def by_minute(
    made: LongMotion,
    speech: LongSpeech,
    basis: FaceBasis,
    frames_per_chunk: int,
    real: MotionStatistics | None,
) -> list[dict[str, float]]:
    """Measures of each whole minute."""
    rest = resting(speech.pauses, len(made.motion))
    rows = []
    for start in range(0, len(made.motion) - MINUTE + 1, MINUTE):
        minute = made.motion[start : start + MINUTE]
        phase = -start % frames_per_chunk
        inside = rest[start : start + MINUTE]
        row = measure_minute(minute, inside, basis, frames_per_chunk, phase)
        if real is not None:
            row = {"fmd": frechet_motion_distance([minute], real)} | row
        rows.append(row | {"memory": made.memory[len(rows)]})
    return rows


def steps_by_position(motion: np.ndarray, frames_per_chunk: int, columns: slice) -> np.ndarray:
    """Mean step into each frame of a chunk over the mean step, (frames_per_chunk,); the first is the boundary's."""
    steps = np.abs(np.diff(motion[:, columns], axis=0)).mean(1)
    position = (np.arange(len(steps)) + 1) % frames_per_chunk
    means = np.array([steps[position == place].mean() for place in range(frames_per_chunk)])
    return means / steps.mean()


PARTS = {"face": slice(0, K), "head": POSE}
"""What steps are taken of."""
