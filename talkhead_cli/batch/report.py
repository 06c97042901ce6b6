"""The run in an output folder, looked at from outside: also while another process renders into it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from talkhead_cli import __version__
from talkhead_cli.batch.board import Board, count, duration_words, printable
from talkhead_cli.batch.export import export_results
from talkhead_cli.batch.job import RUN_FOLDER, BatchRequest
from talkhead_cli.batch.ledger import Ledger
from talkhead_cli.batch.lock import Holder, find_holder
from talkhead_cli.batch.records import Record, Run
from talkhead_cli.batch.resume import Past
from talkhead_cli.batch.view import BatchView
from talkhead_cli.batch.worker import read_status
from talkhead_cli.console import Event, write_json, write_message, write_result
from talkhead_cli.errors import InputError

ENDLESS = 1000
"""Lines that the table may have: it is no live one."""

LOG_WIDTH = 160
"""Columns of the table in a file or pipe."""


def show_report(out_dir: Path, view: BatchView) -> None:
    """Show how far the run in an output folder is, and export its results anew.

    Args:
        out_dir: the output folder.
        view: says whom the output is for.

    Raises:
        InputError: no batch has been rendered into the folder, or its state cannot be read.
    """
    with Ledger(out_dir, read_only=True) as ledger:
        report = Report(ledger, find_holder(out_dir / RUN_FOLDER))
        report.read()
        results = report.export()
    if view.mode == "json":
        for event in report.events:
            write_json(event)
        write_json({**report.event(), **results})
    elif view.mode == "human":
        report.show(all_rows=view.verbose)
        write_message(report.words())


class Report:
    """What a ledger and the status of running rows tell.

    Args:
        ledger: of the output folder.
        holder: who renders into it at this moment, if anybody does.

    Attributes:
        board: the run at a glance.
        events: a `row` event for every row of the manifest.
        states: rows by state.
    """

    def __init__(self, ledger: Ledger, holder: Holder | None) -> None:
        self.ledger = ledger
        self.holder = holder
        self.past = Past(ledger, BatchRequest("", ledger.out_dir))
        self.run: Run | None = None
        self.board = Board(out_dir=str(ledger.out_dir))
        self.events: list[Event] = []
        self.states: Counter[str] = Counter()

    def read(self) -> None:
        """Read everything there is."""
        self.run = self.ledger.last_run()
        about = self.run.about if self.run else {}
        if about:
            self.board.take({**about, "event": "batch_start"})
            self.board.manifest = str(about["manifest"])
        statuses: list[Event] = []
        for record in self.ledger.records():
            event = self._event(record)
            self.events.append(event)
            self.states[event["state"]] += 1
            if event["state"] == "running":
                statuses.append(self._status(record, event))
            self.board.take(event)
        for fault in self.ledger.faults():
            self.events.append({"event": "fault", **asdict(fault)})
        self.board.done, self.board.failed = self.states["done"], self.states["failed"]
        self.board.to_do = sum(self.states.values())
        self.board.skipped = 0
        self.board.running = {status["row"]: status for status in statuses}
        self.board.frames_per_second = sum(one["frames_per_second"] for one in statuses)
        self.board.seconds_left = self.seconds_left()

    def export(self) -> dict[str, str]:
        """Write the results anew, where that is allowed; their paths."""
        try:
            table, document = export_results(self.ledger)
        except InputError as error:
            write_message(f"warning: {error}")
            return {}
        return {"results_csv": str(table), "results_json": str(document)}

    def event(self) -> Event:
        """The whole as one event."""
        run = self.run
        return {
            "event": "batch_report",
            "version": __version__,
            "manifest": self.board.manifest,
            "out_dir": str(self.ledger.out_dir),
            "rows": sum(self.states.values()),
            "states": dict(self.states),
            "rendering": None if self.holder is None else asdict(self.holder),
            "started": run.started if run else None,
            "ended": run.ended if run else None,
            "summary": run.summary if run else None,
            "seconds_left": self.board.seconds_left,
        }

    def words(self) -> str:
        """Who renders, or how the last run ended."""
        if self.holder is not None:
            since = duration_words(time.time() - self.holder.started)
            return f"process {self.holder.pid} on {self.holder.host} renders since {since}"
        if self.run is None:
            return "nothing has been rendered yet"
        left = self.states["waiting"]
        if self.run.ended is None:
            return f"the last run was killed, {count(left, 'row')} left; go on with --resume"
        ago = duration_words(time.time() - self.run.ended)
        hint = "; go on with --resume" if left else ""
        if self.states["failed"] and not left:
            hint = "; render failed rows again with --resume --retry-failed"
        return f"the last run ended {ago} ago{hint}"

    def show(self, all_rows: bool) -> None:
        """The table on standard output."""
        from rich.console import Console

        from talkhead_cli.batch.table import draw_board
        from talkhead_cli.console import print_table

        table = draw_board(self.board, ENDLESS, time.time())
        if sys.stdout.isatty():
            Console().print(table)
        else:
            # Colours that an environment variable forces are for terminals alone.
            plain = Console(width=LOG_WIDTH, force_terminal=False, color_system=None)
            with plain.capture() as captured:
                plain.print(table)
            write_result("\n".join(map(str.rstrip, captured.get().splitlines())))
        if all_rows:
            print_table("", ("row", "video", "state", "worker", "message"), list(self._cells()))

    def _cells(self) -> Iterator[list[str]]:
        """A line for every row."""
        for event in self.events:
            if event["event"] == "row":
                words = [str(event["row"]), self.board.relative(event["output"]), event["state"]]
                yield [*words, event["worker"], printable(event.get("message", ""))]

    def seconds_left(self) -> float | None:
        """Seconds until the run ends, from the video it has made so far; None where nothing can be said."""
        if self.holder is None or self.run is None:
            return None
        made = left = 0.0
        for record in self.ledger.records():
            status = self.board.running.get(record.row or 0)
            share = 0.0
            if status is not None:
                share = status["frames"] / max(1, status["num_frames"])
            elif record.state in {"done", "failed"}:
                if record.run == self.run.id:
                    made += record.seconds
                continue
            made += share * record.seconds
            left += (1 - share) * record.seconds
        elapsed = time.time() - self.run.started
        return round(left / made * elapsed, 1) if made > 0 else None

    def _event(self, record: Record) -> Event:
        # What a killed run has left "running" is waiting for another.
        state = "waiting" if record.state == "running" and self.holder is None else record.state
        event: dict[str, Any] = {
            "event": "row",
            "row": record.row,
            "output": str(self.ledger.out_dir.absolute() / record.output),
            "state": state,
            "attempts": record.attempts,
            "worker": record.worker,
            "device": record.device,
        }
        if state == "done":
            event["made"] = record.made
        if state == "failed":
            event |= {"kind": record.kind, "message": record.message, "exit_code": record.exit_code}
        return event

    def _status(self, record: Record, event: Event) -> Event:
        """How far a running row is."""
        folder = self.past.folder_of(record.key, event["output"])
        status = read_status(folder) if folder else None
        if status is not None:
            return asdict(status)
        known = {key: event[key] for key in ("row", "worker", "device")}
        return {**known, "stage": "start", "frames": 0, "num_frames": 0, "frames_per_second": 0.0}
