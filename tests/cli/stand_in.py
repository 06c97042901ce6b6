"""`talkhead` with a stand-in for the trained pipeline, for tests of what surrounds it.

    python -m tests.cli.stand_in render ...

TALKHEAD_TEST_DELAY: seconds to wait before every chunk.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from talkhead_cli.face import Portrait
from talkhead_cli.result import count_frames
from talkhead_cli.settings import MOST_AHEAD, RenderSettings
from talkhead_models.live import EarPlan, SpeechStream, View


class StandInPipeline:
    """The portrait, a little darker with every frame."""

    def __init__(self, settings: RenderSettings) -> None:
        self.settings = settings
        self.hashes = {"stand-in": "0" * 64}
        self.timings = {"generator": 0.0, "renderer": 0.0}
        self.lip_audio = None
        self.ear_plan = None
        if settings.lookahead_frames < MOST_AHEAD:
            self.ear_plan = EarPlan(2 * settings.chunk_frames, 2 * settings.lookahead_frames, 12)
        self.closed = False

    def gives_planes(self, codec: str) -> bool:
        return False

    def render(
        self,
        portrait: Portrait,
        source: Any,
        num_frames: int | None,
        begin: None = None,
        planes: bool = False,
    ) -> Iterator[np.ndarray]:
        assert not planes
        start = 0
        for end in [num_frames] if num_frames is not None else self.heard(source):
            while start < end:
                time.sleep(float(os.environ.get("TALKHEAD_TEST_DELAY", "0")))
                count = min(8, end - start)
                shades = np.arange(start, start + count, dtype=np.uint8) % 64
                self.timings["renderer"] += 0.001
                frames = portrait.image[None] // 2 + shades[:, None, None, None]
                if self.settings.alpha:
                    clear = np.rint(255 * portrait.matte()[0]).astype(np.uint8)
                    clear = np.broadcast_to(clear[..., None], (*frames.shape[:3], 1))
                    frames = np.concatenate([frames, clear], -1)
                yield frames
                start += count

    def heard(self, source: SpeechStream) -> Iterator[int]:
        """Frames that can be made so far, as speech arrives."""
        vectors = 0
        for block in source.blocks:
            if isinstance(block, View):
                vectors += 2 * block.num_frames
                yield vectors * self.settings.fps // 50
                continue
            assert block.shape[1] == 20
            vectors += len(block)
            yield vectors // 64 * 64 * self.settings.fps // 50
        assert source.duration_seconds is not None
        yield count_frames(source.duration_seconds, self.settings.fps)

    def close(self) -> None:
        self.closed = True


def main() -> None:
    import talkhead_cli.pipeline
    from talkhead_cli import app

    # A test run in the background of a shell ignores Ctrl-C, and so would we.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    talkhead_cli.pipeline.TalkingHeadPipeline = StandInPipeline  # type: ignore[assignment,misc]
    app.main()


if __name__ == "__main__":
    main()
