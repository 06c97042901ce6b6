"""How far the measuring of a report is: a bar on a terminal, a line in a log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from talkhead_cli.batch.board import count
from talkhead_cli.console import Event, Mode, write_message

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ReportProgress:
    """Takes `report_progress` events; a context manager, since it owns the bar.

    Args:
        mode: for people, for programs, or nothing.
    """

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> ReportProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self.mode != "human":
            return
        if not sys.stderr.isatty():
            if event["measured"] == 0:
                write_message(f"measuring {count(event['videos'], 'video')}")
            return
        if self._progress is None:
            from talkhead_cli.console import make_progress

            self._progress = make_progress()
            self._task = self._progress.add_task("measuring", total=event["videos"], rate="")
            self._progress.start()
        assert self._task is not None
        self._progress.update(self._task, completed=event["measured"])
