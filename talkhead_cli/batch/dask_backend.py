"""Rows on the workers of a Dask cluster, through joblib: one of our own on this machine, or one that runs already."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from talkhead_cli import __version__
from talkhead_cli.batch.backends import expand_devices
from talkhead_cli.batch.cluster import EMPTY_SECONDS, PAUSE_SECONDS, ClusterBackend, Slot
from talkhead_cli.batch.entry import Unfit, make_entry, read_answer
from talkhead_cli.batch.job import BatchRequest
from talkhead_cli.batch.pool import share_threads
from talkhead_cli.batch.reach import CONNECT_SECONDS, check_answers, cluster_device, require
from talkhead_cli.batch.tickets import Punched, TicketOffice
from talkhead_cli.batch.worker import THREAD_VARIABLES
from talkhead_cli.errors import DeviceError

PORT = 8786
LOG = "dask.log"
"""In the run's folder: what workers of our own cluster have to say."""

GPU = "GPU"
"""The resource that a worker with a GPU offers, as dask-cuda names it."""

CLOSE_SECONDS = 5


class DaskBackend(ClusterBackend):
    """See `talkhead_cli.batch.job.Backend`.

    Args:
        request: `workers`, `devices`, `address`, `copy_files` and `out_dir` matter.

    Raises:
        UsageError: Dask is not installed, or the devices make no sense.
        DeviceError: there is no such device.
    """

    name = "dask"

    def __init__(self, request: BatchRequest) -> None:
        require("dask", "dask", "distributed")
        super().__init__(request)
        self.client: Any = None
        self.office: TicketOffice
        self.entry = make_entry()
        self.unfit: set[str] = set()
        self._cluster: Any = None
        self._seen: set[str] = set()
        self._usable: set[str] = set()
        self._room = threading.Lock()
        self._taken = 0
        self._empty_since: float | None = None
        self._submit: dict[str, Any] = {"pure": False, "retries": 0}
        if request.address is None:
            self.devices = expand_devices(request.devices)
            self.workers = request.workers or len(self.devices)
            if self.devices[0].startswith("cuda"):
                self._submit["resources"] = {GPU: 1}
        else:
            self.devices = (cluster_device(request.devices),)

    def start(self) -> None:
        """Start or reach the cluster and look at its workers.

        Raises:
            UsageError: the address is none.
            DeviceError: nothing answers, or workers cannot render.
        """
        quieten()
        import dask

        # Rows that travel with their inputs are large on purpose.
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "16 GiB"})
        if self.request.address is None:
            self._start_own()
        else:
            check_answers(self.request.address, PORT)
            self._connect(self.request.address)
        self.office = TicketOffice(self.client)
        self._look()
        if self.request.address is not None:
            self._check_theirs()
        self._check_fit()

    def stop(self) -> None:
        """See the base class."""
        if self.client is not None:
            with suppress(Exception):
                if self.request.address is not None:
                    self.office.clear()
            with suppress(Exception):
                self.client.close(timeout=CLOSE_SECONDS)
        if self._cluster is not None:
            with suppress(Exception):
                self._kill_own()
            with suppress(Exception):
                self._cluster.close(timeout=CLOSE_SECONDS)
        self.client = self._cluster = None

    def new_slot(self, index: int) -> Slot:
        """See the base class."""
        return DaskSlot(self, f"slot-{index}")

    def hold(self) -> None:
        """See the base class."""
        with suppress(Exception):
            self.office.close()

    def watch(self) -> None:
        """Take note of workers that came and went.

        Raises:
            DeviceError: the scheduler is gone, or has had no workers for a while.
        """
        self._look()
        if self._fit():
            self._empty_since = None
            return
        self._empty_since = self._empty_since or time.monotonic()
        if time.monotonic() - self._empty_since > EMPTY_SECONDS:
            raise DeviceError(
                f"{self._where()} has had no workers for {EMPTY_SECONDS:.0f} seconds; "
                "start workers, then go on with --resume"
            )

    def kill(self, punched: Punched) -> None:
        """End the worker that took a ticket; its nanny starts another."""
        if self._cluster is not None:
            os.kill(int(punched.worker.rpartition(":")[2]), signal.SIGKILL)
        else:
            self.client.restart_workers([punched.address], timeout=2, raise_for_error=False)

    def take_room(self) -> bool:
        """Claim a worker for a row, if one is free; to be given back. Rows are not queued behind others: the queue of a
        worker that dies is shared out among workers that are busy."""
        with self._room:
            if self._taken >= len(self._fit()):
                return False
            self._taken += 1
            return True

    def give_room(self) -> None:
        """Give a claim back."""
        with self._room:
            self._taken -= 1

    def submit_options(self) -> dict[str, Any]:
        """Where a task may run."""
        if not self.unfit:
            return self._submit
        return self._submit | {"workers": list(self._fit()), "allow_other_workers": True}

    def mark_unfit(self) -> None:
        """Find the workers that cannot render, so that they get rows only where there are no others."""
        with suppress(Exception):
            answers = self.client.run(self.entry, __version__, on_error="ignore")
            self.unfit |= {address for address, answer in answers.items() if answer[0] == "unfit"}

    def forget(self, address: str) -> None:
        """A worker has died; it is known here before the next look."""
        self._usable.discard(address)

    def _start_own(self) -> None:
        import dask
        from distributed import Client, LocalCluster

        from talkhead_cli.batch import joblib_dask

        threads = share_threads(self.workers)
        environment = dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"PYTHONWARNINGS": "ignore"}
        # One death is enough to give a task up, and workers share no memory budget: the system has the say.
        with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
            self._cluster = LocalCluster(
                n_workers=self.workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=None,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
                env=environment,
                host="127.0.0.1",
                resources=self._submit.get("resources"),
            )
        self.client = Client(self._cluster, set_as_default=False)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.client.register_plugin(
            joblib_dask.OwnWorker(threads, str(self.folder / LOG)), name="talkhead"
        )

    def _connect(self, address: str) -> None:
        from distributed import Client

        try:
            asyncio.run(asyncio.wait_for(shake_hands(address), CONNECT_SECONDS))
            self.client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except Exception as error:  # anything may answer at that port
            raise DeviceError(
                f"--address {address}: no Dask scheduler answers there ({type(error).__name__}); "
                "give the address that `dask scheduler` prints"
            ) from error

    def _look(self) -> None:
        """Take note of the workers there are."""
        try:
            addresses = set(self.client.nthreads())
            if addresses != self._seen:
                known = self.client.scheduler_info(n_workers=-1)["workers"]
                wanted = self._submit.get("resources", {})
                self._usable = {
                    address
                    for address, values in known.items()
                    if set(wanted) <= set(values["resources"])
                }
                self._seen = addresses
        except Exception as error:  # whatever a scheduler that is gone makes of it
            raise DeviceError(
                f"{self._where()} no longer answers ({type(error).__name__}); go on with --resume when it does"
            ) from error
        if self.request.workers is None and self.request.address is not None:
            self.workers = max(self.workers, len(self._fit()))

    def _fit(self) -> set[str]:
        return self._usable - self.unfit

    def _where(self) -> str:
        return f"the Dask cluster at {self.request.address}" if self.request.address else "Dask"

    def _check_theirs(self) -> None:
        """Decide between GPU and CPU workers.

        Raises:
            DeviceError: there are none of those that were asked for.
        """
        deadline = time.monotonic() + CONNECT_SECONDS
        while not self._usable:
            if time.monotonic() > deadline:
                raise DeviceError(
                    f"{self._where()} has no workers; start some with "
                    f"`dask worker {self.request.address} --nthreads 1`"
                )
            time.sleep(PAUSE_SECONDS)
            self._look()
        known = self.client.scheduler_info(n_workers=-1)["workers"]
        offered = any(GPU in values["resources"] for values in known.values())
        if self.devices == ("cuda",) and not offered:
            raise DeviceError(
                f"{self._where()} has no worker that offers a GPU; "
                "start one a GPU with CUDA_VISIBLE_DEVICES=N dask worker ... --nthreads 1 --resources GPU=1"
            )
        if offered and self.devices != ("cpu",):
            self._submit["resources"] = {GPU: 1}
            self._seen, self.workers = set(), self.request.workers or 1
            self._look()

    def _check_fit(self) -> None:
        """Ask every worker whether it can render.

        Raises:
            DeviceError: one cannot.
        """
        try:
            self._check_pythons()
            answers = self.client.run(self.entry, __version__, workers=list(self._usable))
            for answer in answers.values():
                read_answer(answer)
        except Unfit as unfit:
            raise DeviceError(str(unfit)) from unfit
        except DeviceError:
            raise
        except Exception as error:
            raise DeviceError(
                f"{self._where()}: its workers cannot be asked what they have "
                f"({type(error).__name__}: {' '.join(str(error).split())})"
            ) from error

    def _check_pythons(self) -> None:
        """Code travels between equal Pythons only."""
        ours = sys.version_info[:2]
        for address, values in self.client.get_versions()["workers"].items():
            theirs = tuple(map(int, values["host"]["python"].split(".")[:2]))
            if theirs != ours:
                raise DeviceError(
                    f"worker {address} runs Python {theirs[0]}.{theirs[1]}, and this is {ours[0]}.{ours[1]}; "
                    "use one version on all machines"
                )

    def _kill_own(self) -> None:
        for nanny in self._cluster.workers.values():
            with suppress(Exception):
                os.kill(nanny.pid, signal.SIGKILL)


class DaskSlot(Slot):
    """One row at a time, on whatever worker Dask gives it to."""

    backend: DaskBackend

    def __init__(self, backend: DaskBackend, name: str) -> None:
        super().__init__(backend, name)
        self._ticket = ("", "", "")

    def ready(self, cancelled: Callable[[], bool]) -> bool:
        """See the base class."""
        while not self.backend.take_room():
            if cancelled():
                return False
            time.sleep(PAUSE_SECONDS)
        return True

    def release(self) -> None:
        """See the base class."""
        self.backend.give_room()

    def call(self, payload: bytes) -> tuple[str, Any]:
        """See the base class."""
        from distributed import KilledWorker
        from joblib import Parallel, delayed, parallel_config

        from talkhead_cli.batch import joblib_dask

        backend = self.backend
        ticket = self._ticket = backend.office.issue(self.name)
        call = (payload, backend.devices, backend.held_folder, backend.task, ticket)
        calls = joblib_dask.DaskCalls(client=backend.client, **backend.submit_options())
        try:
            with parallel_config(backend=calls, n_jobs=2):
                answers = Parallel(batch_size=1)([delayed(backend.entry)(__version__, call)])
            return read_answer(answers[0])
        except KilledWorker:
            punched = backend.office.punched(ticket)
            if punched is None:
                return "lost", ""
            backend.forget(punched.address)
            return "lost", punched.worker
        except Unfit:
            backend.mark_unfit()
            raise
        finally:
            backend.give_room()

    def kill(self) -> None:
        """See the base class."""
        punched = self.backend.office.punched(self._ticket)
        if punched is not None:
            self.backend.kill(punched)


async def shake_hands(address: str) -> None:
    """See whether what listens at an address speaks as Dask does; a client would try for a minute.

    Raises:
        Exception: of any kind: it does not.
    """
    from distributed.core import connect
    from distributed.security import Security

    options = Security().get_connection_args("client")
    comm = await connect(address, timeout=CONNECT_SECONDS, **options)
    await comm.close()


def quieten() -> None:
    """Keep what Dask logs and warns of out of the user's terminal; what matters comes back as errors and outcomes."""
    import warnings

    import distributed  # sets its loggers up

    for name in ("distributed", "distributed.nanny", "distributed.worker", "distributed.core"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"(distributed|dask)\.")
    del distributed
