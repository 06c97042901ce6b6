"""Motion from speech that is still arriving: a chunk as soon as its own features and the look-ahead are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkhead_models.generator import FEATURES_PER_FRAME, GenerateOptions, MotionGenerator
from talkhead_models.motion import FaceMotion
from talkhead_models.streaming import held, silence

FloatArray = NDArray[np.float32]


SETTLED = 32
"""Vectors (50/s) that must be heard behind a chunk before all that it reads, its look-ahead of 12 included, is settled:
20 steps later nothing changes any more what is thought of one."""

UNSETTLED = 20
"""Steps until what is thought of one is settled."""


@dataclass(frozen=True)
class EarPlan:
    """When chunks are made of speech that is not settled yet.

    Attributes:
        own: vectors of a chunk.
        ahead: vectors heard behind it.
        lookahead: vectors behind it that the generator reads; those not heard are held, see `streaming.held`.
    """

    own: int
    ahead: int
    lookahead: int

    @property
    def back(self) -> int:
        """Vectors before a chunk that are known better than when they were read last."""
        return max(0, UNSETTLED - self.ahead)

    def heard(self, chunk_index: int) -> int:
        """Vectors that are heard when a chunk is made."""
        return (chunk_index + 1) * self.own + self.ahead

    def view(self, known: FloatArray, first: int, chunk_index: int, *, ended: bool) -> FloatArray:
        """What `MotionGenerator.step` takes for a chunk.

        Args:
            known: (n, F) float32, what is thought of the speech now.
            first: number of its first vector.
            chunk_index: which chunk.
            ended: there is silence behind it.

        Returns:
            (back + own + lookahead, F) float32.
        """
        start = chunk_index * self.own - self.back
        end = (chunk_index + 1) * self.own + self.lookahead
        found = known[max(0, start - first) : end - first]
        before = silence(max(0, -start), known.shape[1])
        missing = end - max(0, start) - len(found)
        found = np.concatenate([before, found])
        if ended:
            return np.concatenate([found, silence(missing, known.shape[1])])
        return held(found, missing)


class View(NamedTuple):
    """A chunk as it was heard: the generator's features (n, F), and how many frames of it are in the clip."""

    features: FloatArray
    num_frames: int


@dataclass
class SpeechStream:
    """Speech features that arrive while they are used; it can be gone through once.

    Attributes:
        blocks: (n, F) float32 at 50/s, of any lengths, in order; or chunks as they were heard.
        duration_seconds: of the sound; None until it has ended, which must be before the last block is given.
        elapsed_seconds: spent in `blocks` so far, waiting for sound included.
    """

    blocks: Iterable[FloatArray | View]
    duration_seconds: float | None = None
    elapsed_seconds: float = 0.0


def stream_motion(
    generator: MotionGenerator,
    blocks: Iterable[FloatArray | View],
    seed: int,
    options: GenerateOptions | None = None,
) -> Iterator[FaceMotion]:
    """The motion of a clip whose features come block by block: bit for bit that of `MotionGenerator.generate`.

    Args:
        generator: makes the motion.
        blocks: (n, F) float32 at 50/s, two vectors a frame, of any lengths; an odd last vector makes one more frame.
            Or chunks as they were heard, see `talkhead_cli.early`.
        seed: fixes everything random.
        options: how to sample.

    Yields:
        `frames_per_chunk` frames as soon as their features and the look-ahead behind them are there, which is before
        the next block is asked for; the last chunk is cut to the clip's end, behind which there is silence.

    Raises:
        ValueError: a block is not (n, F).
    """
    size = generator.denoiser.config.feature_size
    own = generator.frames_per_chunk * FEATURES_PER_FRAME
    needed = own + generator.lookahead
    state = generator.start(seed)
    waiting = np.zeros((0, size), np.float32)
    for block in blocks:
        if isinstance(block, View):
            motion, state = generator.step(state, block.features, options)
            yield motion[: block.num_frames]
            continue
        if block.ndim != 2 or block.shape[1] != size:
            raise ValueError(f"features must be (n, {size}), got {block.shape}")
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= needed:
            motion, state = generator.step(state, waiting[:needed], options)
            waiting = waiting[own:]
            yield motion
    while len(waiting):
        missing = max(0, needed - len(waiting))
        padded = np.concatenate([waiting[:needed], silence(missing, size)])
        motion, state = generator.step(state, padded, options)
        yield motion[: -(-len(waiting) // FEATURES_PER_FRAME)]
        waiting = waiting[own:]
