"""What signals mean to a run: the first Ctrl-C lets running rows finish, the second stops at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from talkhead_cli.batch.job import Control

POLITE = ("SIGINT",)
"""Signals of which the first only asks."""

FIRM = ("SIGTERM", "SIGHUP")
"""Signals that stop at once."""


@contextmanager
def stopped_by_signals(control: Control, started: Callable[[], bool]) -> Iterator[None]:
    """Hand signals on to a run's control; as long as it has not begun, they interrupt.

    Signals that were ignored stay ignored: nohup and background jobs mean it. Once a run was told to stop at once, more
    of them do not disturb the cleaning up.

    Args:
        control: of the run.
        started: whether rows may be running, so that there is something to finish.

    Raises:
        KeyboardInterrupt: in the main thread, on a signal before the run has begun.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        # Nothing is written here: the stream may be in the middle of writing. The view says it with its next event.
        if not started():
            control.abort()
            for other in before:
                signal.signal(other, signal.SIG_IGN)
            raise KeyboardInterrupt
        if control.stopping or signal.Signals(number).name in FIRM:
            control.abort()
        else:
            control.stop()

    numbers = [getattr(signal, name) for name in (*POLITE, *FIRM) if hasattr(signal, name)]
    before = {
        number: handler
        for number in numbers
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if control.aborted else handler)
