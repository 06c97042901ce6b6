"""A batch from manifest to results: check, lock, deal out, record."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Generator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from talkhead_cli.batch.backends import open_backend
from talkhead_cli.batch.check import DictFacts, Plan, plan_batch
from talkhead_cli.batch.export import export_results
from talkhead_cli.batch.folder import keep_names, make_folder, taken_back
from talkhead_cli.batch.job import (
    RUN_FOLDER,
    TICK_SECONDS,
    Backend,
    BatchRequest,
    BatchSummary,
    Control,
    Job,
    Outcome,
)
from talkhead_cli.batch.ledger import LEDGER, Ledger
from talkhead_cli.batch.lock import RunLock
from talkhead_cli.batch.manifest import name_of
from talkhead_cli.batch.outcomes import (
    give_up,
    may_replace_own,
    row_event,
    running_event,
    start_event,
)
from talkhead_cli.batch.progress import Progress, longest_first
from talkhead_cli.batch.resume import LookedUpFacts, Past, Work
from talkhead_cli.batch.worker import adopt
from talkhead_cli.console import OnEvent
from talkhead_cli.errors import (
    EXIT_INPUT,
    BatchFileError,
    DiskFull,
    InputError,
    TalkheadError,
)
from talkhead_cli.marking.consent import renew_consent
from talkhead_cli.render import ignore_event

LOSSES = 3
"""With twice the workers: so many deaths on end are no row's fault, and the run stops."""


def run_batch(
    request: BatchRequest,
    on_event: OnEvent = ignore_event,
    control: Control | None = None,
) -> BatchSummary:
    """Render a manifest.

    Args:
        request: what was asked for.
        on_event: called with every event, see docs/events.md; in the calling thread.
        control: how the run is stopped from outside.

    Raises:
        BatchFileError: the manifest cannot be used, or rows have faults; each was told as an event before.
        InputError: another run holds the folder, or it cannot be written to.
        DiskFull: there is no room for more; everything is as if the run had been stopped.
        TalkheadError: one of its kinds, see `talkhead_cli.errors`.
        KeyboardInterrupt: `control` said so before the first row was started.
    """
    began = time.monotonic()
    request = replace(request, out_dir=request.out_dir.absolute())
    control = control or Control()
    backend = open_backend(request)
    if request.dry_run:
        return rehearse(request, on_event, control, backend)
    made = make_folder(request.out_dir)
    with (
        RunLock(request.out_dir / RUN_FOLDER, request.out_dir),
        taken_back(made) as keep,
        Ledger(request.out_dir) as ledger,
    ):
        past = Past(ledger, request)
        plan = check(request, past, ledger, on_event, control, backend)
        keep.clear()
        run = BatchRun(request, on_event, control, ledger, plan)
        return run.render(past, backend, began)


def rehearse(
    request: BatchRequest, on_event: OnEvent, control: Control, backend: Backend
) -> BatchSummary:
    """Check everything, write nothing."""
    began = time.monotonic()
    known = (request.out_dir / RUN_FOLDER / LEDGER).is_file()
    ledger = Ledger(request.out_dir, read_only=True, traceless=True) if known else None
    try:
        past = Past(ledger, request)
        facts = DictFacts() if ledger is None else LookedUpFacts(ledger)
        plan = check(request, past, facts, on_event, control, backend)
        work = past.sort(plan, run="")
    finally:
        if ledger is not None:
            ledger.close()
    on_event(start_event(request, plan, work, backend))
    return BatchSummary(
        rows=plan.rows,
        done=0,
        skipped=len(work.skipped),
        failed=len(work.failed) + plan.rows - len(plan.jobs),
        left=len(work.to_do),
        loads=0,
        elapsed_seconds=time.monotonic() - began,
    )


def check(
    request: BatchRequest,
    past: Past,
    facts: DictFacts | Ledger,
    on_event: OnEvent,
    control: Control,
    backend: Backend,
) -> Plan:
    """The manifest, checked; its faults and warnings are told.

    Raises:
        BatchFileError: it cannot be used as a whole, or some rows cannot and are not to be left out.
    """

    def tell(checked: int, files: int) -> None:
        on_event({"event": "batch_check", "checked": checked, "files": files})

    plan = plan_batch(
        request,
        past.folder_of,
        facts,
        is_ours=past.is_ours,
        control=control,
        on_progress=tell,
        workers=backend.workers,
    )
    for fault in plan.faults:
        on_event({"event": "fault", **asdict(fault)})
    for warning in plan.warnings:
        place = f"row {warning.row}: " if warning.row else ""
        on_event({"event": "warning", "message": f"{place}{warning.message}"})
    general = [fault for fault in plan.faults if fault.row == 0]
    rows = {fault.row for fault in plan.faults} - {0}
    if general:
        raise BatchFileError(f"{name_of(request.manifest)}: {general[0].message}")
    if rows and not request.skip_faulty:
        raise BatchFileError(
            f"{name_of(request.manifest)}: {len(rows)} of {plan.rows} rows cannot be rendered; "
            "mend them, or give --skip-faulty"
        )
    return plan


class BatchRun:
    """The rendering of a checked manifest.

    Args:
        request: what was asked for.
        on_event: called with every event.
        control: how the run is stopped from outside.
        ledger: where everything is kept.
        plan: the manifest.
    """

    def __init__(
        self,
        request: BatchRequest,
        on_event: OnEvent,
        control: Control,
        ledger: Ledger,
        plan: Plan,
    ) -> None:
        self.request = request
        self.emit = on_event
        self.control = LinkedControl(control)
        self.ledger = ledger
        self.plan = plan
        self.run = 0
        self.work = Work()
        self.progress = Progress([], 1, 0.0)
        self.loads: dict[str, int] = {}
        self.tries: Counter[int] = Counter()
        self.losses = 0
        self.full = ""
        self._ticked = 0.0

    def render(self, past: Past, backend: Backend, began: float) -> BatchSummary:
        """Render what is to be rendered; what became of the rows.

        Args:
            past: what earlier runs have left.
            backend: where rows are rendered; it is entered here.
            began: when the run began, by the monotonic clock.
        """
        past.clean_outputs()
        self.run = self.ledger.begin_run()
        self.work = past.sort(self.plan, str(self.run))
        for job in self.work.renamed:
            renew_consent(Path(job.output), job.consent_ref)
        self.ledger.take_in(self.work.records, self.plan.faults)
        past.clean()
        try:
            if self.work.to_do and not self.control.stopping:
                # How many workers a cluster has is known when it is entered.
                with backend:
                    self._begin(backend)
                    self._rounds(longest_first(self.work.to_do), backend)
                if self.full:
                    raise DiskFull(
                        f"no more rows are started ({self.full}); make room, and go on with --resume"
                    )
            else:
                self._begin(backend)
        except BaseException:
            with suppress(TalkheadError):
                self.ledger.settle()
                export_results(self.ledger)
            raise
        self.ledger.settle()
        return self._finish(began)

    def _begin(self, backend: Backend) -> None:
        """The first events."""
        start = start_event(self.request, self.plan, self.work, backend)
        self.ledger.describe_run(self.run, start)
        self.progress = Progress(self.work.to_do, backend.workers, start["estimate_seconds"])
        self.emit(start)
        for job in self.work.skipped:
            self.emit({"event": "row", "row": job.row, "output": job.output, "state": "skipped"})

    def _rounds(self, jobs: list[Job], backend: Backend) -> None:
        """Deal out rows; those whose worker died come again in the next round."""
        while jobs and not self.control.stopping:
            again, waiting = self._round(jobs, backend)
            if waiting and not self.control.stopping:
                raise InputError(
                    f"the {backend.name} backend ended before {len(waiting)} rows were rendered; "
                    "go on with --resume"
                )
            jobs = longest_first(again)

    def _round(self, jobs: list[Job], backend: Backend) -> tuple[list[Job], dict[int, Job]]:
        """Deal out every row once; those that are to be started again, and those that were not started, by number."""
        waiting = {job.row: job for job in jobs}
        again: list[Job] = []
        self.progress.enter_round(jobs)
        outcomes = backend.run(jobs, self.control)
        try:
            for outcome in outcomes:
                if outcome is not None:
                    job = waiting.pop(outcome.row)
                    if not self._take(job, outcome):
                        again.append(may_replace_own(job))
                self.progress.workers = max(1, backend.workers)
                self._tick()
        finally:
            # On an error, too, at once: it waits until nothing is rendered any more.
            if isinstance(outcomes, Generator):
                outcomes.close()
        return again, waiting

    def _take(self, job: Job, outcome: Outcome) -> bool:
        """Record how a row ended; False where it is to be started again."""
        if outcome.loads:
            self.loads[outcome.worker] = max(self.loads.get(outcome.worker, 0), outcome.loads)
        outcome = self._judge(job, outcome)
        if outcome.kind == DiskFull.__name__:
            # No fault of the row, and all others would fail of it, too.
            outcome = replace(outcome, state="lost")
            self.full = outcome.message
            self.control.stop()
        if outcome.state == "lost":
            self.ledger.lose(job, self.run, outcome)
        else:
            outcome = self._close(job, outcome)
        self.progress.end(job, outcome.state)
        if outcome.state != "lost" or not self.control.aborted:
            self.emit(row_event(job, outcome))
        self._consider_stopping()
        return outcome.state != "lost"

    def _judge(self, job: Job, outcome: Outcome) -> Outcome:
        """What an outcome means: starts of all runs counted, lost rows found or given up."""
        self.tries[job.row] = tries = max(self.tries[job.row] + 1, outcome.attempts)
        total = self.work.attempts.get(job.row, 0) + tries
        if outcome.state == "lost":
            # The worker may have died between putting the video in place and saying so.
            outcome = adopt(job) or outcome
        self.losses = self.losses + 1 if outcome.state == "lost" else 0
        outcome = replace(outcome, attempts=tries)
        if outcome.state == "lost" and tries >= self.request.max_attempts:
            # Of a row that was stopped nobody knows whether it would have killed its worker.
            outcome = outcome if self.control.aborted else give_up(job, outcome)
        return replace(outcome, attempts=total)

    def _close(self, job: Job, outcome: Outcome) -> Outcome:
        """Record a row that is done or has failed; a done one is there for good and needs its folder no more."""
        try:
            if outcome.state == "done":
                keep_names(Path(job.output).parent)
            self.ledger.finish(job, self.run, outcome)
        except OSError as error:
            words = f"{job.output}: was rendered, but is gone ({error.strerror}); render it again"
            outcome = replace(
                outcome, state="failed", kind="InputError", message=words, exit_code=EXIT_INPUT
            )
            self.ledger.finish(job, self.run, outcome)
        if outcome.state == "done" and job.folder is not None:
            shutil.rmtree(job.folder, ignore_errors=True)
        return outcome

    def _consider_stopping(self) -> None:
        """Start no more rows after too many failures, or when no worker stays alive."""
        limit = self.request.max_failures
        if limit is not None and self.progress.failed >= limit:
            self.control.stop()
        if self.losses >= LOSSES + 2 * self.progress.workers and not self.control.stopping:
            message = (
                f"the last {self.losses} workers died before any row was done, so no more are started; "
                "look for what kills them (memory is the usual cause), give fewer --workers, and go on with --resume"
            )
            self.emit({"event": "warning", "message": message})
            self.control.stop()

    def _tick(self) -> None:
        """Tell how far the run is, twice a second."""
        if time.monotonic() - self._ticked < TICK_SECONDS:
            return
        for job, status in self.progress.look():
            attempts = self.work.attempts.get(job.row, 0) + self.tries[job.row] + 1
            self.ledger.start(job, self.run, attempts, status.worker, status.device)
            self.emit(running_event(job, attempts, status))
        self.emit(self.progress.event())
        self._ticked = time.monotonic()

    def _finish(self, began: float) -> BatchSummary:
        """Export the results; the last event."""
        plan, work, progress = self.plan, self.work, self.progress
        left = len(work.to_do) - progress.done - progress.failed
        summary = BatchSummary(
            rows=plan.rows,
            done=progress.done,
            skipped=len(work.skipped),
            failed=progress.failed + len(work.failed) + plan.rows - len(plan.jobs),
            left=left,
            loads=sum(self.loads.values()),
            elapsed_seconds=round(time.monotonic() - began, 3),
            interrupted=left > 0 and self.control.stopped_outside,
        )
        values = {**asdict(summary), "exit_code": summary.exit_code}
        self.ledger.end_run(self.run, values)
        table, document = export_results(self.ledger)
        paths = {"results_csv": str(table), "results_json": str(document)}
        self.emit({"event": "batch_done", **values, **paths})
        return summary


class LinkedControl(Control):
    """A run's own control, which obeys another one as well.

    Args:
        outside: the other one.
    """

    def __init__(self, outside: Control) -> None:
        super().__init__()
        self._outside = outside

    @property
    def stopping(self) -> bool:
        """Whether no more rows are to be started."""
        return super().stopping or self._outside.stopping

    @property
    def aborted(self) -> bool:
        """Whether running rows are to be stopped, too."""
        return super().aborted or self._outside.aborted

    @property
    def stopped_outside(self) -> bool:
        """Whether it was the other one that stopped the run."""
        return self._outside.stopping
