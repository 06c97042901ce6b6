"""What the Dask and the Ray backend share: slots that take one row at a time, fit workers, files that travel along.

joblib's own way with a cluster, one `Parallel` call over all rows, ends the whole call when one worker dies (Ray),
runs the row again behind our back (Dask), or hands out no results before the end (Ray). So every slot makes calls of
its own, one row each, and what ends a call ends a row.
"""

from __future__ import annotations

import math
import pickle
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

from talkhead_cli.batch.entry import Unfit
from talkhead_cli.batch.job import RUN_FOLDER, TICK_SECONDS, BatchRequest, Control, Job, Outcome
from talkhead_cli.errors import EXIT_BUG, DeviceError, TalkheadError

EMPTY_SECONDS = 60.0
"""How long a cluster may be without any worker while rows wait."""

KILL_SECONDS = 10.0
"""How long killed workers may take to be gone; rows are not waited for beyond that."""

PAUSE_SECONDS = 0.1


class Slot(ABC):
    """One place for a worker.

    Attributes:
        job: the row it has at the moment.
        lock: held by the thread that serves the slot; a new round waits for the thread of the last.
        heard: set once somebody has taken the outcome of its last row.

    Args:
        backend: that it belongs to.
        name: of the slot.
    """

    def __init__(self, backend: ClusterBackend, name: str) -> None:
        self.backend = backend
        self.name = name
        self.job: Job | None = None
        self.lock = threading.Lock()
        self.heard = threading.Event()

    @abstractmethod
    def ready(self, cancelled: Callable[[], bool]) -> bool:
        """Wait for a worker; False when cancelled before there is one.

        Raises:
            Unfit: the worker is no good.
        """

    def release(self) -> None:  # noqa: B027 - most have nothing to undo
        """Undo `ready`: there is no row after all."""

    @abstractmethod
    def call(self, payload: bytes) -> tuple[str, Any]:
        """Have a worker `serve` a pickled job.

        Returns:
            What it said; ("lost", worker) when it died; ("held", None) when the row was not started.

        Raises:
            Unfit: the worker is no good.
        """

    @abstractmethod
    def kill(self) -> None:
        """End what the slot's worker does, at once."""

    def render(self, job: Job) -> Outcome | None:
        """Have a row done; None when it was not started after all.

        Raises:
            Unfit: the worker is no good.
            InputError: an input that travels with the row cannot be read.
        """
        attempts, sent = self.backend.prepare(job, self.name)
        kind, value = self.call(pickle.dumps(sent))
        if kind == "held":
            return None
        if kind == "lost":
            who = f"the worker {value}" if value else "the worker"
            return lost(job, value, f"{who} died under the row", attempts)
        return self.backend.accept(job, value, attempts)


@dataclass
class Round:
    """The state of one call of `run`; slots take from it and give to it.

    Attributes:
        control: how the run is stopped from outside.
        waiting: jobs not yet taken.
        ended: what slots have to say.
        left: whether the run has been left, so that nothing more is to be taken.
        cause: why a slot gave up.
    """

    control: Control
    waiting: deque[Job]
    ended: queue.SimpleQueue[tuple[Slot, Outcome]] = field(default_factory=queue.SimpleQueue)
    left: threading.Event = field(default_factory=threading.Event)
    cause: TalkheadError | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, slot: Slot) -> Job | None:
        """Give a slot the next row."""
        with self._lock:
            if not self.over():
                slot.job = self.waiting.popleft()
            return slot.job

    def put_back(self, slot: Slot, job: Job) -> None:
        """A row that was not started waits again."""
        with self._lock:
            self.waiting.appendleft(job)
            slot.job = None

    def idle(self, slots: Iterable[Slot]) -> bool:
        """Whether no slot has a row."""
        with self._lock:
            return all(slot.job is None for slot in slots)

    def over(self) -> bool:
        """Whether no more rows are to be started."""
        return self.control.stopping or self.left.is_set() or not self.waiting


class ClusterBackend(ABC):
    """Rows on the workers of a cluster; a context manager, since it may own them.

    Attributes:
        workers: rows at once; known for certain when entered.
    """

    name = ""
    task = "talkhead_cli.batch.worker:render_job"
    """What workers do with a job and a device."""

    def __init__(self, request: BatchRequest) -> None:
        self.request = request
        self.folder = request.out_dir / RUN_FOLDER
        self.workers = request.workers or 1
        self.proved = False
        """Whether any worker has rendered."""
        self._slots: list[Slot] = []

    @abstractmethod
    def start(self) -> None:
        """Start or reach the cluster and set `workers`.

        Raises:
            TalkheadError: that cannot be done.
        """

    @abstractmethod
    def stop(self) -> None:
        """Let go of the cluster; end it where it is ours. Never raises."""

    @abstractmethod
    def new_slot(self, index: int) -> Slot:
        """One more slot."""

    @property
    def held_folder(self) -> str | None:
        """The run's folder, where workers see it."""
        return None if self.request.copy_files else str(self.folder)

    def prepare(self, job: Job, slot: str) -> tuple[int, Job]:
        """How often a row has been started, where workers cannot tell; and the job as it is sent.

        Raises:
            InputError: an input that travels with it cannot be read.
        """
        if not self.request.copy_files:
            return 1, job
        from talkhead_cli.batch.sent import note_start, pack

        return note_start(job, slot), pack(job)

    def accept(self, job: Job, outcome: Outcome, attempts: int) -> Outcome:
        """What a worker sent back, with its files in place."""
        if not self.request.copy_files:
            return outcome  # the worker has counted
        from talkhead_cli.batch.sent import put_in_place

        return replace(put_in_place(job, outcome), attempts=attempts)

    def hold(self) -> None:  # noqa: B027 - where what is sent starts at once
        """See to it that rows which were sent and not yet started are not started. May be called again."""

    def watch(self) -> None:  # noqa: B027 - not all can
        """Look after the cluster, called a few times a second.

        Raises:
            DeviceError: it is gone.
        """

    def __enter__(self) -> ClusterBackend:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def run(self, jobs: Sequence[Job], control: Control) -> Iterator[Outcome | None]:
        """See `talkhead_cli.batch.job.Backend`."""
        now = Round(control, deque(jobs))
        served: dict[Slot, threading.Thread] = {}
        deadline = math.inf
        try:
            while True:
                self._serve_all(now, served)
                # Before the look at what has ended: what idle slots had to say is there by now.
                finished = now.idle(served) and (now.over() or not any_alive(served))
                try:
                    slot, outcome = now.ended.get(timeout=0 if finished else TICK_SECONDS)
                except queue.Empty:
                    if finished:
                        break
                    yield None
                else:
                    yield outcome
                    slot.heard.set()
                if control.stopping:
                    self.hold()
                if control.aborted:
                    deadline = min(deadline, time.monotonic() + KILL_SECONDS)
                    self._kill()
                    if time.monotonic() > deadline:
                        yield from self._give_up(served)
                        break
                else:
                    self.watch()
        finally:
            now.left.set()
            self._kill()
        if now.waiting and not control.stopping:
            raise now.cause or DeviceError(f"{self.name}: no worker is left to render with")

    def _serve_all(self, now: Round, served: dict[Slot, threading.Thread]) -> None:
        """Have a thread for every slot that could take a row; there may be more slots than before."""
        if now.over():
            return
        while len(self._slots) < self.workers:
            self._slots.append(self.new_slot(len(self._slots)))
        wanted = min(self.workers, len(served) + len(now.waiting))
        for slot in self._slots[:wanted]:
            if slot not in served:
                served[slot] = threading.Thread(
                    target=self._serve, args=(slot, now), name=f"{self.name}-slot", daemon=True
                )
                served[slot].start()

    def _serve(self, slot: Slot, now: Round) -> None:
        """What a slot's thread does: one row after the other."""
        with slot.lock:
            while not now.over():
                try:
                    if not slot.ready(now.over):
                        return
                except Unfit as unfit:
                    now.cause = DeviceError(str(unfit))
                    return
                job = now.take(slot)
                if job is None:
                    slot.release()
                elif not self._do(slot, job, now):
                    return

    def _do(self, slot: Slot, job: Job, now: Round) -> bool:
        """One row; False when the slot is to give up."""
        try:
            outcome = slot.render(job)
        except Unfit as unfit:
            now.cause = DeviceError(str(unfit))
            now.put_back(slot, job)
            return self.proved
        except TalkheadError as error:
            outcome = failed(job, error)
        except Exception as error:
            outcome = lost(job, "", f"the row got lost ({type(error).__name__}: {error})")
        if slot.job is not job:
            return False  # given up meanwhile: its outcome is told already
        if outcome is None:
            now.put_back(slot, job)
            return True
        self.proved |= outcome.state != "lost"
        slot.heard.clear()
        now.ended.put((slot, outcome))
        slot.job = None
        # Whoever hears of the outcome may stop the run for it: no other row is started before that.
        while not (slot.heard.wait(TICK_SECONDS) or now.left.is_set()):
            pass
        return True

    def _give_up(self, served: dict[Slot, threading.Thread]) -> Iterator[Outcome]:
        """Outcomes of rows whose workers cannot be stopped."""
        for slot in served:
            job, slot.job = slot.job, None
            if job is not None:
                yield lost(job, "", "the worker could not be stopped")

    def _kill(self) -> None:
        for slot in self._slots:
            if slot.job is not None:
                with suppress(Exception):
                    slot.kill()


def any_alive(served: Mapping[Slot, threading.Thread]) -> bool:
    """Whether any slot is still served."""
    return any(thread.is_alive() for thread in served.values())


def lost(job: Job, worker: str, message: str, attempts: int = 1) -> Outcome:
    """The outcome of a row whose worker died."""
    return Outcome(
        row=job.row,
        key=job.key,
        state="lost",
        attempts=attempts,
        worker=worker,
        kind="WorkerLost",
        message=" ".join(message.split()),
        exit_code=EXIT_BUG,
    )


def failed(job: Job, error: TalkheadError) -> Outcome:
    """The outcome of a row that could not be sent."""
    return Outcome(
        row=job.row,
        key=job.key,
        state="failed",
        kind=type(error).__name__,
        message=str(error),
        exit_code=error.exit_code,
    )
