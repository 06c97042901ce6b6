"""A batch from manifest to results: check, lock, deal out, record."""

from __future__ import annotations

from talkhead_cli.batch.job import BatchRequest, BatchSummary, Control
from talkhead_cli.console import OnEvent
from talkhead_cli.render import ignore_event


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
        TalkheadError: one of its kinds, see `talkhead_cli.errors`.
    """
    raise NotImplementedError
