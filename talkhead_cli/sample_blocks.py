"""Samples cut into blocks of one length, whatever the pieces that their bytes come in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from talkhead_cli.mel import Array

BARE = {"s16le": ("<i2", 2.0**15), "f32le": ("<f4", 1.0)}
"""Samples of one channel that need no decoder, which would wait for a sixteenth of a second of them: ffmpeg's name to
type and full scale."""


class BlockCutter:
    """Takes bytes and hands on blocks.

    Args:
        samples: ffmpeg's name of the format, of `BARE`.
        block_samples: length of the blocks.
        put: takes each block, (n,) float32 in [-1, 1].
    """

    def __init__(self, samples: str, block_samples: int, put: Callable[[Array], None]) -> None:
        kind, self._scale = BARE[samples]
        self._kind = np.dtype(kind)
        self._size = self._kind.itemsize * block_samples
        self._put = put
        self._rest = bytearray()

    def push(self, data: bytes) -> None:
        """Take the next bytes."""
        self._rest += data
        while len(self._rest) >= self._size:
            self._hand_on(self._size)

    def finish(self) -> None:
        """Hand on the whole samples that are left."""
        size = len(self._rest) // self._kind.itemsize * self._kind.itemsize
        if size:
            self._hand_on(size)

    def _hand_on(self, size: int) -> None:
        samples = np.frombuffer(bytes(self._rest[:size]), self._kind)
        del self._rest[:size]
        self._put(np.asarray(samples / self._scale, np.float32))
