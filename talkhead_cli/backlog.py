"""Bytes on their way from one thread to another."""

from __future__ import annotations

import threading
from collections import deque


class Backlog:
    """Bytes between two threads, as many as there are."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._ended = self._abandoned = False

    def put(self, data: bytes) -> None:
        """Add bytes; they are dropped after the end, and where nobody wants any more."""
        with self._changed:
            if not (self._ended or self._abandoned):
                self._pieces.append(data)
                self._changed.notify()

    def end(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def abandon(self) -> None:
        """Nothing more is wanted."""
        with self._changed:
            self._abandoned = True
            self._pieces.clear()
            self._changed.notify()

    def get(self) -> bytes | None:
        """The next bytes, once there are some; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._pieces or self._ended or self._abandoned)
            return self._pieces.popleft() if self._pieces else None
