"""What needs Dask to be defined: joblib's Dask backend with two gaps closed; what makes a process a worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from distributed import WorkerPlugin  # noqa: TID253 - this module is imported where it is used
from joblib.parallel import BACKENDS, EXTERNAL_BACKENDS  # noqa: TID253

from talkhead_cli.batch.worker import prepare_worker

EXTERNAL_BACKENDS["dask"]()
DaskBackend: Any = BACKENDS["dask"]


class DaskCalls(DaskBackend):  # type: ignore[misc]
    """For calls of one task each."""

    def effective_n_jobs(self, n_jobs: int) -> int:
        """More than one, whatever the cluster has: joblib would run a call for one worker in this process."""
        return 2

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> Future[Any]:
        """As joblib's, which calls back after results only: a task that Dask gave up would be waited for for ever."""
        future: Future[Any] = super().submit(func, callback)

        def on_end(ended: Future[Any]) -> None:
            error = ended.exception()
            if error is not None and callback is not None:
                callback(error)

        future.add_done_callback(on_end)
        return future

    def retrieve_result_callback(self, out: Any) -> Any:
        """What a task returned.

        Raises:
            BaseException: what it ended with.
        """
        if isinstance(out, BaseException):
            raise out
        return super().retrieve_result_callback(out)


class OwnWorker(WorkerPlugin):  # type: ignore[misc]
    """Makes a process of our own cluster a worker.

    Args:
        threads: CPU threads that it may keep busy.
        log: file for whatever libraries print, which would end up in the user's terminal.
    """

    def __init__(self, threads: int, log: str) -> None:
        self._threads = threads
        self._log = log

    def setup(self, worker: Any) -> None:
        """Called by Dask in the worker."""
        if worker.nanny is None:
            return  # not a process of its own
        sys.stdout.flush()
        sys.stderr.flush()
        file = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.close(file)
        prepare_worker(self._threads)
