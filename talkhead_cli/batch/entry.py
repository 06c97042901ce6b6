"""What runs in a worker of a cluster: the way in, which tells what is wrong with a worker, and one row."""

from __future__ import annotations

import importlib
import pickle
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from talkhead_cli import __version__


class Unfit(Exception):
    """A worker cannot render: it has no talkhead, or another one. The row was not started."""


def make_entry() -> Callable[..., tuple[str, Any]]:
    """What workers are sent. It is made here so that it travels as code, not as a name: a worker without talkhead can
    run it and say so."""

    def enter(
        version: str, call: tuple[Any, ...] | None = None, threads: int = 0
    ) -> tuple[str, Any]:
        import os
        import socket
        import sys

        worker = f"{socket.gethostname()}:{os.getpid()}"
        try:
            import talkhead_cli
            from talkhead_cli.batch.entry import serve
            from talkhead_cli.batch.worker import prepare_worker
        except Exception as error:
            return "unfit", (
                worker,
                f"cannot import talkhead into {sys.executable} ({type(error).__name__}: {error})",
            )
        if talkhead_cli.__version__ != version:
            return "unfit", (
                worker,
                f"has talkhead {talkhead_cli.__version__}, and this is {version}",
            )
        if call is not None:
            return serve(*call)
        if threads:
            prepare_worker(threads)
        return "fit", worker

    return enter


def read_answer(answer: tuple[str, Any]) -> tuple[str, Any]:
    """What a worker says about a row, unless it is no good.

    Raises:
        Unfit: it says that it is no good.
    """
    if answer[0] == "unfit":
        worker, message = answer[1]
        raise Unfit(
            f"worker {worker} {message}; install talkhead {__version__} on every worker of the cluster"
        )
    return answer


_one_row = threading.Lock()
"""A worker has one pipeline, and so renders one row at a time, however many threads a cluster gives it."""


def serve(
    payload: bytes,
    devices: Sequence[str],
    folder: str | None,
    task: str,
    ticket: tuple[str, ...] | None = None,
) -> tuple[str, Any]:
    """Render a row in a worker.

    Args:
        payload: the pickled job; pickled, so that it is only read where talkhead is.
        devices: one to use, as torch names it, or "auto"; of several the one for this worker of our own Dask cluster.
        folder: the run's folder, held while the row is rendered; None where it is not shared.
        task: what makes an outcome of a job and a device, as "module:function".
        ticket: admits a Dask task once, see `talkhead_cli.batch.tickets`.

    Returns:
        ("outcome", Outcome), or why the row was not started.
    """
    from talkhead_cli.batch.sent import while_working
    from talkhead_cli.batch.tickets import admit, own_device

    module, _, function = task.partition(":")
    make = getattr(importlib.import_module(module), function)
    with _one_row:
        refusal = None if ticket is None else admit(ticket)
        if refusal is not None:
            return refusal
        device = devices[0] if len(devices) == 1 else own_device(devices)
        with while_working(None if folder is None else Path(folder)):
            return "outcome", make(pickle.loads(payload), device)
