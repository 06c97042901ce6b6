"""Tickets that admit a task to a Dask worker once.

Dask starts a task again when the worker under it dies, elsewhere and without telling. Whether a row is started again
is for the run to say, which counts attempts; so every task carries a ticket, and what Dask's scheduler keeps about the
slot tells the second start from the first.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

STOP = "stop"
"""In place of a slot: nothing more is to be started."""

NO_ANSWER = 30
"""Seconds that a worker waits for the scheduler."""


@dataclass(frozen=True)
class Punched:
    """Who took a ticket.

    Attributes:
        ticket: its number.
        worker: "host:pid".
        address: of the worker, as Dask knows it.
    """

    ticket: str
    worker: str
    address: str


class TicketOffice:
    """The run's side.

    Args:
        client: connected to the scheduler.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._run = f"talkhead-{uuid.uuid4().hex}"
        self._client.set_metadata([self._run], {})

    def issue(self, slot: str) -> tuple[str, str, str]:
        """A new ticket for the next row of a slot."""
        return self._run, slot, uuid.uuid4().hex

    def punched(self, ticket: tuple[str, str, str]) -> Punched | None:
        """Who took a ticket; None while nobody has, or when the scheduler does not answer."""
        try:
            values = self._client.get_metadata([self._run, ticket[1]], default=None)
        except Exception:  # whatever a scheduler that is gone makes of it
            return None
        return Punched(*values) if values and values[0] == ticket[2] else None

    def close(self) -> None:
        """Take no more tickets."""
        self._client.set_metadata([self._run, STOP], True)

    def clear(self) -> None:
        """Leave next to nothing behind on a scheduler that is not ours."""
        self._client.set_metadata([self._run], {STOP: True})


def admit(ticket: tuple[str, ...]) -> tuple[str, Any] | None:
    """Take a ticket in a worker, from the thread that runs the task.

    Returns:
        None when the row may start; ("held", None) when nothing is to be started any more; ("lost", "host:pid") when
        the row was started before, by a worker that died.
    """
    from distributed import get_client, get_worker

    from talkhead_cli.batch.worker import worker_name

    run, slot, number = ticket
    client = get_client(timeout=NO_ANSWER)
    seen = client.get_metadata([run], default={})
    before = seen.get(slot)
    if before and before[0] == number:
        return "lost", before[1]
    if seen.get(STOP):
        return "held", None
    client.set_metadata([run, slot], [number, worker_name(), get_worker().address])
    return None


def own_device(devices: Sequence[str]) -> str:
    """The device of a worker of our own cluster, whose workers are numbered and keep their numbers.

    Args:
        devices: dealt out to the workers in turn.
    """
    from distributed import get_worker

    return devices[int(get_worker().name) % len(devices)]
