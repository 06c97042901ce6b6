"""Frames of several pieces of motion at once, a thread each, handed out in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Piece], Result], pieces: Iterable[Piece], threads: int
) -> Generator[tuple[Piece, Result], None, None]:
    """Each piece with what the work makes of it, in order; some are worked on while earlier ones are used.

    A frame is one thread's from beginning to end: threads that share the networks of a batch and then its pictures wait
    for each other twice a batch.

    Args:
        work: done in threads of its own, in each of which torch uses no others.
        pieces: asked for one after another in the caller's thread, one more than threads ahead of what is handed out:
            while the caller is busy, no thread is idle.
        threads: pieces worked on at once.

    Raises:
        Exception: what the work raises, in its place in the order.
    """
    import torch

    before = torch.get_num_threads()
    waiting: deque[tuple[Piece, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(threads, "frames", initializer=torch.set_num_threads, initargs=(1,))
    try:
        for piece in pieces:
            waiting.append((piece, pool.submit(work, piece)))
            if len(waiting) > threads + 1:
                first, result = waiting.popleft()
                yield first, result.result()
        while waiting:
            first, result = waiting.popleft()
            yield first, result.result()
    finally:
        pool.shutdown(cancel_futures=True)
        # A thread's number is also what threads begin with that come after it.
        torch.set_num_threads(before)
