"""Outcomes of rows: as events, and what is done about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from talkhead_cli import __version__
from talkhead_cli.batch.check import Plan
from talkhead_cli.batch.job import Backend, BatchRequest, Job, Outcome, Status
from talkhead_cli.batch.progress import cost_of
from talkhead_cli.batch.resume import Work
from talkhead_cli.console import Event
from talkhead_cli.errors import EXIT_BUG


def start_event(request: BatchRequest, plan: Plan, work: Work, backend: Backend) -> Event:
    """What a run is about to do."""
    return {
        "event": "batch_start",
        "version": __version__,
        "manifest": str(request.manifest),
        "out_dir": str(request.out_dir),
        "backend": backend.name,
        "workers": backend.workers,
        "devices": list(getattr(backend, "devices", request.devices)),
        "rows": plan.rows,
        "to_do": len(work.to_do),
        "skipped": len(work.skipped),
        "faulty": plan.rows - len(plan.jobs),
        "unmarked": sum(not job.settings.get("marking", True) for job in work.to_do),
        "failed_before": len(work.failed),
        "seconds": round(sum(job.seconds for job in work.to_do), 3),
        "estimate_seconds": round(plan.estimate_seconds * share(plan, work.to_do), 1),
        "estimate_bytes": round(plan.estimate_bytes * share(plan, work.to_do)),
        "free_bytes": plan.free_bytes,
    }


def share(plan: Plan, jobs: Iterable[Job]) -> float:
    """What part some jobs are of all the work in a manifest, 0 to 1."""
    whole = sum(map(cost_of, plan.jobs))
    return sum(map(cost_of, jobs)) / whole if whole else 0.0


def running_event(job: Job, attempts: int, status: Status) -> Event:
    """A worker has begun with a row."""
    return {
        "event": "row",
        "row": job.row,
        "output": job.output,
        "state": "running",
        "attempts": attempts,
        "worker": status.worker,
        "device": status.device,
    }


def row_event(job: Job, outcome: Outcome) -> Event:
    """A row has ended."""
    event: Event = {
        "event": "row",
        "row": job.row,
        "output": job.output,
        "state": outcome.state,
        "attempts": outcome.attempts,
        "worker": outcome.worker,
        "device": outcome.device,
    }
    if outcome.state == "done":
        return event | {"made": outcome.made}
    told = {"kind": outcome.kind, "message": outcome.message, "exit_code": outcome.exit_code}
    return event | told


def give_up(job: Job, outcome: Outcome) -> Outcome:
    """A row whose worker died once too often has failed."""
    message = (
        f"{job.output}: its worker died each of the {outcome.attempts} times that it was started "
        f"({outcome.message}); look for what killed it, then --resume --retry-failed"
    )
    return replace(outcome, state="failed", kind="WorkerDied", message=message, exit_code=EXIT_BUG)


def may_replace_own(job: Job) -> Job:
    """The same row for another try: a JSON file whose video is not there is what the last try left."""
    return replace(job, overwrite=job.overwrite or not Path(job.output).exists())
