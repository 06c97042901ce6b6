"""Motion from speech that is still arriving: a chunk as soon as its own features and the look-ahead are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkhead_models.generator import FEATURES_PER_FRAME, GenerateOptions, MotionGenerator
from talkhead_models.motion import FaceMotion
from talkhead_models.streaming import silence

FloatArray = NDArray[np.float32]


@dataclass
class SpeechStream:
    """Speech features that arrive while they are used; it can be gone through once.

    Attributes:
        blocks: (n, F) float32 at 50/s, of any lengths, in order.
        duration_seconds: of the sound; None until it has ended, which must be before the last block is given.
        elapsed_seconds: spent in `blocks` so far, waiting for sound included.
    """

    blocks: Iterable[FloatArray]
    duration_seconds: float | None = None
    elapsed_seconds: float = 0.0


def stream_motion(
    generator: MotionGenerator,
    blocks: Iterable[FloatArray],
    seed: int,
    options: GenerateOptions | None = None,
) -> Iterator[FaceMotion]:
    """The motion of a clip whose features come block by block: bit for bit that of `MotionGenerator.generate`.

    Args:
        generator: makes the motion.
        blocks: (n, F) float32 at 50/s, two vectors a frame, of any lengths; an odd last vector makes one more frame.
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
