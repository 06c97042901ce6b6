"""The local backend: one process a slot, each in an executor of its own, so that a death is one row's alone."""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from pathlib import Path
from types import TracebackType
from typing import Any

from talkhead_cli.batch.job import TICK_SECONDS, Control, Job, Outcome
from talkhead_cli.batch.lock import hold_as_worker
from talkhead_cli.batch.worker import STATUS, THREAD_VARIABLES, prepare_worker, render_job
from talkhead_cli.errors import EXIT_BUG
from talkhead_cli.patience import Patience

Task = Callable[[Job, str], Outcome]

ROW_PATIENCE = 300.0
"""Seconds that a worker with a row may show no sign of life."""


class LocalBackend:
    """Worker processes on this machine; a context manager, since it owns them.

    Args:
        workers: processes.
        devices: dealt out to the workers in turn, as torch names them.
        folder: the run's folder, which workers hold until they end; None where there is none.
        task: what a worker does with a job and a device.
        patience: seconds after which a worker that does nothing is taken as hung; 0 waits for ever.
    """

    name = "local"

    def __init__(
        self,
        workers: int,
        devices: Sequence[str],
        folder: Path | None = None,
        task: Task = render_job,
        patience: float | None = None,
    ) -> None:
        self.workers = workers
        self.devices = tuple(devices)
        self.threads = share_threads(workers)
        self._task = task
        seconds = ROW_PATIENCE if patience is None else patience
        self._slots = [
            Slot(devices[index % len(devices)], self.threads, folder, seconds)
            for index in range(workers)
        ]

    def __enter__(self) -> LocalBackend:
        # A worker that has grown is replaced between two rows; that this is done while a row waits is no news.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        # Python's keeper of semaphores lets Ctrl-C through again in the thread that first needs it: not in ours.
        resource_tracker.ensure_running()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kill()

    def run(self, jobs: Sequence[Job], control: Control) -> Iterator[Outcome | None]:
        """See `talkhead_cli.batch.job.Backend`."""
        shift = Shift(deque(jobs), control)
        threads = [
            threading.Thread(target=self._serve, args=(slot, shift), daemon=True)
            for slot in self._slots[: len(jobs)]
        ]
        for thread in threads:
            thread.start()
        working = len(threads)
        try:
            while working:
                try:
                    slot, outcome = shift.ended.get(timeout=TICK_SECONDS)
                except queue.Empty:
                    yield None
                else:
                    if outcome is None:
                        working -= 1
                    else:
                        yield outcome
                        slot.heard.set()
                if control.aborted:
                    self._kill()
        finally:
            shift.left.set()
            if working:
                self._kill()
            for thread in threads:
                thread.join()

    def _serve(self, slot: Slot, shift: Shift) -> None:
        """Do one job after the other, in a thread of its own; None is told last."""
        # Processes inherit this from the thread that starts them: Ctrl-C in the terminal reaches them from their first
        # moment, long before they could say themselves that it is not for them.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            while not (shift.control.stopping or shift.left.is_set()):
                try:
                    job = shift.waiting.popleft()
                except IndexError:
                    return
                slot.heard.clear()
                shift.ended.put((slot, slot.render(self._task, job)))
                # Whoever hears of the outcome may stop the run for it: no other row is started before that.
                while not (slot.heard.wait(TICK_SECONDS) or shift.left.is_set()):
                    pass
        finally:
            shift.ended.put((slot, None))

    def _kill(self) -> None:
        for slot in self._slots:
            slot.kill()


@dataclass
class Shift:
    """What the threads of one call of `LocalBackend.run` share.

    Attributes:
        waiting: jobs not yet started.
        control: how they are stopped.
        ended: outcomes with their slots; None once a slot's thread ends.
        left: nobody listens any more.
    """

    waiting: deque[Job]
    control: Control
    ended: queue.SimpleQueue[tuple[Slot, Outcome | None]] = field(default_factory=queue.SimpleQueue)
    left: threading.Event = field(default_factory=threading.Event)


class Slot:
    """One place for a worker: a process, started when first needed and again when it has died.

    Args:
        device: where its rows are rendered.
        threads: CPU threads that its process may keep busy.
        folder: the run's folder.
        patience: seconds after which its process is taken as hung; 0 waits for ever.

    Attributes:
        heard: set once somebody has taken the outcome of its last job.
    """

    starting = threading.Lock()
    """Processes are started one after the other: what a child inherits is set up for it alone."""

    def __init__(
        self, device: str, threads: int, folder: Path | None, patience: float = ROW_PATIENCE
    ) -> None:
        self.device = device
        self.threads = threads
        self.folder = folder
        self.patience = patience
        self._executor: Any = None
        self._process: Any = None
        self._lock = threading.Lock()
        self.heard = threading.Event()

    def render(self, task: Task, job: Job) -> Outcome:
        """Have a job done by this slot's process; never raises."""
        try:
            future = self._submit(task, job)
        except Exception as error:  # no process, no memory, no descriptors
            return self._failed(job, error)
        process = self._process
        try:
            return self._wait(future, job, process)
        except HungError as hung:
            self.kill()
            return self._lost(job, process, str(hung), "WorkerHung")
        except (BrokenExecutor, RuntimeError):
            # The second kind is what an executor says that was shut down under its job.
            self.kill()
            return self._lost(job, process, describe_end(process))
        except Exception as error:
            return self._failed(job, error)

    def kill(self) -> None:
        """End the process and its children at once."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=True)

    def _submit(self, task: Task, job: Job) -> Future[Outcome]:
        """Hand a job over; a process that died while it had nothing to do is replaced."""
        try:
            return self._start(task, job)
        except BrokenExecutor:
            self.kill()
            return self._start(task, job)

    def _start(self, task: Task, job: Job) -> Future[Outcome]:
        with self.starting, self._lock:
            if self._executor is None:
                self._executor = self._open()
            executor = self._executor
            future: Future[Outcome] = executor.submit(task, job, self.device)
            self._process = next(iter(executor._processes.values()), None)
            return future

    def _open(self) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor

        return ProcessPoolExecutor(
            max_workers=1,
            initializer=start_worker,
            initargs=(os.getpid(), self.threads, self.folder),
            env=dict.fromkeys(THREAD_VARIABLES, str(self.threads)),
        )

    def _wait(self, future: Future[Outcome], job: Job, process: Any) -> Outcome:
        """What becomes of a job.

        Raises:
            HungError: nothing, for longer than there is patience.
        """
        if not self.patience:
            return future.result()
        patience = Patience(self.patience)
        while True:
            try:
                return future.result(timeout=patience.step)
            except NotYet:
                if future.done():
                    return future.result()
                if patience.is_over(getattr(process, "pid", 0), told_by(job)):
                    words = f"hung: it had {patience.describe()} and was killed (--row-timeout)"
                    raise HungError(words) from None

    def _lost(self, job: Job, process: Any, how: str, kind: str = "WorkerLost") -> Outcome:
        return Outcome(
            row=job.row,
            key=job.key,
            state="lost",
            worker=f"{socket.gethostname()}:{getattr(process, 'pid', 0)}",
            device=self.device,
            kind=kind,
            message=f"the worker {how}",
            exit_code=EXIT_BUG,
        )

    def _failed(self, job: Job, error: BaseException) -> Outcome:
        return Outcome(
            row=job.row,
            key=job.key,
            state="failed",
            device=self.device,
            kind=type(error).__name__,
            message=f"the row could not be handed to a worker: {' '.join(str(error).split())}",
            exit_code=EXIT_BUG,
        )


class HungError(Exception):
    """A worker does nothing any more."""


def told_by(job: Job) -> bytes:
    """How far a row says it is; nothing where it does not."""
    with suppress(OSError):
        return Path(job.folder or "", STATUS).read_bytes()
    return b""


def start_worker(parent: int, threads: int, folder: Path | None) -> None:
    """Make a fresh process a worker of this run.

    Args:
        parent: process id of the run.
        threads: CPU threads that it may keep busy.
        folder: the run's folder.
    """
    prepare_worker(threads)
    if os.getppid() != parent:
        os._exit(1)  # the run ended while this process started, before anything watched for that
    if folder is not None:
        hold_as_worker(folder)


def share_threads(workers: int) -> int:
    """CPU threads for each of some workers, so that together they fill the machine and do not fight.

    Args:
        workers: processes on this machine.
    """
    import joblib

    share = max(1, int(joblib.cpu_count()) // workers)
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(wanted)) if wanted.isdecimal() and int(wanted) > 0 else share


def describe_end(process: Any) -> str:
    """How a process ended, in words."""
    code = getattr(process, "exitcode", None)
    if code is None:
        return "ended"
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    cause = "; most likely the machine ran out of memory" if name == "SIGKILL" else ""
    return f"was killed ({name}{cause})"
