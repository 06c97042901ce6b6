"""What people and programs see of a batch: a live table on a terminal, lines in a log, events for programs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from talkhead_cli.batch.board import (
    Board,
    Finished,
    bytes_words,
    count,
    duration_words,
    ending_words,
    printable,
)
from talkhead_cli.batch.job import BatchSummary, Control
from talkhead_cli.console import (
    Event,
    Mode,
    Reporter,
    error_console,
    write_json,
    write_message,
    write_result,
)

if TYPE_CHECKING:
    from rich.live import Live

    from talkhead_cli.report.build import Report

DRAW_SECONDS = 0.2
"""Shortest time between two drawings of the table."""

SILENCE_SECONDS = 300.0
"""A log that goes without a line for so long gets one that tells how far the running rows are."""

SHOWN_FAULTS = 50
"""Faults listed on a terminal; a file or pipe gets all of them."""

SHOWN_FAILURES = 20
"""Failed rows listed again at the end, under a table that is gone by then."""

STOPPING = {
    "finish": "stopping: the running rows finish; Ctrl-C again stops at once",
    "now": "stopping at once",
}


class BatchView(Reporter):
    """Shows the events of a batch; a context manager, since it owns the live table.

    Args:
        mode: for people, for programs, or nothing but errors.
        verbose: people are told when rows begin, too.
        control: of the run; what signals did to it is told with the next event.
    """

    def __init__(
        self, mode: Mode = "human", verbose: bool = False, control: Control | None = None
    ) -> None:
        super().__init__(mode, verbose)
        self.control = control or Control()
        self.board = Board()
        self.faults = 0
        self.results: Path | None = None
        self.started = False
        self._live: Live | None = None
        self._drawn = 0.0
        self._spoken = time.monotonic()

    def show(self, manifest: Path | str) -> None:
        """Tell which manifest this is about, before the first event."""
        self.board.manifest = "standard input" if str(manifest) == "-" else str(manifest)
        if self.mode == "human":
            self._say(f"checking {printable(self.board.manifest)}")

    def close(self) -> None:
        """Take the table away."""
        super().close()
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._drawn = 0.0

    def __call__(self, event: Event) -> None:
        """Show one event."""
        try:
            self._show_event(event)
        except OSError:
            self._nobody_listens()

    def _show_event(self, event: Event) -> None:
        kind = event["event"]
        self.started = self.started or kind == "batch_start"
        self._tell_stopping()
        if self.mode == "json":
            write_json(event)
        ended = self.board.take(event)
        if kind == "fault" and self.mode != "json":
            self._fault(event)
        elif self.mode == "quiet" and ended is not None and ended.state == "failed":
            self._say(self._line(ended))
        elif self.mode == "human":
            self._tell(event, ended)

    def _nobody_listens(self) -> None:
        """A pipe or terminal is gone, or a log's disk is full: the rows are worth more than what is told of them."""
        broken = 1 if self.mode == "json" else 2
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, broken)
        os.close(nowhere)
        if broken == 1:
            self.mode = "quiet"
            self._say("warning: standard output cannot be written any more; the run goes on")

    def _tell(self, event: Event, ended: Finished | None) -> None:
        kind = event["event"]
        if kind == "batch_done":
            self.close()
            self.results = Path(event["results_csv"]) if event.get("results_csv") else None
        elif kind == "warning":
            self._say(f"warning: {printable(event['message'])}")
        elif kind == "batch_check":
            self._check()
        elif kind == "batch_start":
            self.close()
            self._say(plan_words(self.board, event))
            self._draw()
        elif kind in {"row", "batch_progress"}:
            self._row(event, ended)

    def finish(self, summary: BatchSummary, dry_run: bool = False) -> None:
        """The last words: what was made, what failed, what is left; the results' path on standard output."""
        self.close()
        if self.mode != "human":
            return
        if dry_run:
            return self._say(f"ready: {count(summary.left, 'row')} would be rendered")
        if self._is_terminal():
            failures = list(self.board.failures)[-SHOWN_FAILURES:]
            for item in failures:
                self._say(self._line(item))
            if summary.failed > len(failures):
                self._say(f"and {summary.failed - len(failures):,} more rows that failed")
        self._say(summary_words(summary))
        if self.results is not None:
            write_result(str(self.results))
        return None

    def finish_report(self, report: Report) -> None:
        """The page of the run; its path on standard output."""
        if self.mode == "json":
            write_json(report.to_event())
        elif self.mode == "human":
            self._say(f"report: {report.words()}")
            write_result(str(report.page))

    def _row(self, event: Event, ended: Finished | None) -> None:
        if self._is_terminal():
            return self._draw()
        if ended is not None:
            return self._say(self._line(ended) + self._so_far())
        if self.verbose and event["event"] == "row" and event["state"] == "running":
            output = self.board.relative(event["output"])
            return self._say(f"row {event['row']} begins: {output}")
        if time.monotonic() - self._spoken > SILENCE_SECONDS:
            self._say(self._alive())
        return None

    def _check(self) -> None:
        """Tell how far the checking is."""
        if self._is_terminal():
            return self._draw()
        if time.monotonic() - self._spoken > SILENCE_SECONDS:
            self._say("checked {:,} of {:,} files".format(*self.board.checked))
        return None

    def _draw(self) -> None:
        if not self._is_terminal() or time.monotonic() - self._drawn < DRAW_SECONDS:
            return
        from rich.live import Live

        from talkhead_cli.batch.table import draw_board, draw_check

        if self._live is None:
            # Drawn when something is told, by the thread that tells it: no thread of its own.
            self._live = Live(console=error_console(), auto_refresh=False, transient=True)
            self._live.start()
        height = self._live.console.height
        drawing = (
            draw_board(self.board, height, time.time()) if self.started else draw_check(self.board)
        )
        self._live.update(drawing, refresh=True)
        self._drawn = time.monotonic()

    def _tell_stopping(self) -> None:
        """Say once that the run is stopping, and once that it stops at once."""
        how = "now" if self.control.aborted else "finish" if self.control.stopping else ""
        if not how or self.board.stopping == STOPPING[how]:
            return
        self.board.stopping = STOPPING[how]
        self._drawn = 0.0
        if self.mode == "json":
            running = sorted(self.board.running)
            write_json({"event": "batch_stop", "how": how, "running": running})
        elif self.mode == "human" and self._live is None:
            self._say(STOPPING[how])

    def _fault(self, event: Event) -> None:
        self.faults += 1
        if self.faults <= SHOWN_FAULTS or not sys.stderr.isatty():
            self._say(fault_words(printable(self.board.manifest), event), stamped=False)
        elif self.faults == SHOWN_FAULTS + 1:
            self._say("... and more; all are listed when this goes to a file, or with --json")

    def _line(self, item: Finished) -> str:
        """One row that ended."""
        state = "FAILED" if item.state == "failed" else item.state
        parts = [f"row {item.row} {state}", item.output, item.text]
        again = "; it is tried again" if item.state == "lost" else ""
        return ": ".join(filter(None, parts)) + again

    def _so_far(self) -> str:
        ended, left = self.board.ended, self.board.seconds_left
        ends = "" if left is None or ended >= self.board.to_do else f", {duration_words(left)} left"
        return f" [{ended:,}/{self.board.to_do:,}{ends}]"

    def _alive(self) -> str:
        rows = [
            f"row {row} at {100 * status['frames'] // status['num_frames']}%"
            if status.get("num_frames")
            else f"row {row}"
            for row, status in list(self.board.running.items())[:8]
        ]
        words = [f"running: {', '.join(rows) or 'nothing'}"]
        words.append(f"{self.board.frames_per_second:.1f} frames/s")
        if self.board.seconds_left is not None:
            words.append(ending_words(self.board.seconds_left, time.time()))
        return "; ".join(words)

    def _say(self, text: str, stamped: bool = True) -> None:
        """A line that stays: above the table on a terminal, with the time of day in a log."""
        self._spoken = time.monotonic()
        plain = not stamped or self.mode == "quiet" or sys.stderr.isatty()
        write_message(text if plain else f"{time.strftime('%H:%M:%S')} {text}")

    def _is_terminal(self) -> bool:
        """Whether a table can be drawn; colour forced by an environment variable does not make a file a terminal."""
        return sys.stderr.isatty() and os.environ.get("TERM") not in {None, "", "dumb", "unknown"}


def plan_words(board: Board, event: Event) -> str:
    """What a run is about to do, on one line."""
    words = [f"{printable(board.manifest)}: {count(event['rows'], 'row')}"]
    words.append(f"{event['to_do']:,} to render")
    others = {"skipped": "done before", "failed_before": "failed before", "faulty": "faulty"}
    words += [f"{event[key]:,} {word}" for key, word in others.items() if event.get(key)]
    if event["to_do"]:
        words.append(f"{duration_words(event['seconds'])} of video")
        if event.get("estimate_seconds"):
            words.append(ending_words(event["estimate_seconds"], time.time()))
        if event.get("estimate_bytes"):
            words.append(f"about {bytes_words(event['estimate_bytes'])}")
        words.append(board.where)
    return ", ".join(words)


def fault_words(manifest: str, event: Event) -> str:
    """One fault, found by editors as compilers' are: "jobs.csv:5: row 4, audio: what is wrong"."""
    place = f"{manifest}:{event['line']}" if event.get("line") else manifest
    row = f"row {event['row']}" if event.get("row") else ""
    where = ", ".join(filter(None, (row, event.get("column"))))
    return printable(": ".join(filter(None, (place, where, str(event["message"])))))


def summary_words(summary: BatchSummary) -> str:
    """What a run came to, on one line."""
    parts = [(summary.done, "done"), (summary.skipped, "done before"), (summary.failed, "failed")]
    parts.append((summary.left, "left"))
    words = ", ".join(f"{number:,} {word}" for number, word in parts if number)
    text = f"{count(summary.rows, 'row')}: {words or 'nothing to do'}"
    text += f"; in {duration_words(summary.elapsed_seconds)}"
    if summary.interrupted:
        return f"interrupted: {text}; go on with --resume"
    if summary.failed:
        return f"{text}; when mended, go on with --resume --retry-failed"
    return f"{text}; go on with --resume" if summary.left else text
