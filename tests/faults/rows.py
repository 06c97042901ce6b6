"""Batches of stand-in rows in this process: quick, for faults that have nothing to do with worker processes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from talkhead_cli.batch.job import RUN_FOLDER, BatchRequest, BatchSummary, Control, Job, Outcome
from talkhead_cli.batch.ledger import LEDGER
from talkhead_cli.batch.run import run_batch
from talkhead_cli.console import Event
from tests.batch_stand_in import stand_in


class InlineBackend:
    """Does stand-in rows where it is."""

    name = "local"
    workers = 1

    def __enter__(self) -> InlineBackend:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def run(self, jobs: Sequence[Job], control: Control) -> Iterator[Outcome | None]:
        for job in jobs:
            if control.stopping:
                return
            yield stand_in(job, "cpu")


@dataclass
class Rows:
    """A manifest of stand-in rows, and runs of it.

    Attributes:
        folder: of the manifest.
        out_dir: of the videos.
        events: of the last run.
    """

    folder: Path
    out_dir: Path
    events: list[Event] = field(default_factory=list)

    @property
    def ledger(self) -> Path:
        return self.out_dir / RUN_FOLDER / LEDGER

    @property
    def log(self) -> Path:
        """A line for every video put in place."""
        return self.folder / "log"

    def write(self, *rows: dict[str, Any]) -> None:
        """A manifest; rows that say so are logged when their video is put in place."""
        lines = [json.dumps({"log": str(self.log), **row}) + "\n" for row in rows]
        (self.folder / "jobs.jsonl").write_text("".join(lines))

    def run(self, resume: bool = True, **changes: Any) -> BatchSummary:
        self.events = []
        request = BatchRequest(
            self.folder / "jobs.jsonl", self.out_dir, devices=("cpu",), resume=resume, **changes
        )
        return run_batch(request, self.events.append)

    @property
    def made(self) -> list[str]:
        """Rows whose video was put in place, in that order."""
        return self.log.read_text().split() if self.log.exists() else []

    @property
    def results(self) -> dict[str, str]:
        """State by output, in the order of the manifest."""
        with (self.out_dir / "results.csv").open(newline="") as file:
            return {row["output"]: row["state"] for row in csv.DictReader(file)}
