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
from talkhead_cli.settings import RenderSettings


class StandInPipeline:
    """The portrait, a little darker with every frame."""

    def __init__(self, settings: RenderSettings) -> None:
        self.settings = settings
        self.hashes = {"stand-in": "0" * 64}
        self.timings = {"generator": 0.0, "renderer": 0.0}
        self.lip_audio = None
        self.closed = False

    def render(self, portrait: Portrait, features: Any, num_frames: int) -> Iterator[np.ndarray]:
        for start in range(0, num_frames, 8):
            time.sleep(float(os.environ.get("TALKHEAD_TEST_DELAY", "0")))
            count = min(8, num_frames - start)
            shades = np.arange(start, start + count, dtype=np.uint8) % 64
            self.timings["renderer"] += 0.001
            yield portrait.image[None] // 2 + shades[:, None, None, None]

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
