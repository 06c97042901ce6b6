"""Rows on the actors of a Ray cluster, through joblib: one of our own on this machine, or one that runs already."""

from __future__ import annotations

import logging
import math
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from talkhead_cli import __version__
from talkhead_cli.batch.backends import expand_devices
from talkhead_cli.batch.cluster import ClusterBackend, Slot
from talkhead_cli.batch.entry import Unfit, make_entry, read_answer
from talkhead_cli.batch.job import BatchRequest
from talkhead_cli.batch.pool import share_threads
from talkhead_cli.batch.reach import CONNECT_SECONDS, check_answers, cluster_device, require
from talkhead_cli.errors import DeviceError, UsageError

PORT = 6379

AUTH_MODE = "RAY_AUTH_MODE"
"""Environment variable: whether clusters ask for a token."""

STORE_BYTES = 128 << 20
"""Object store of our own cluster: rows are paths, or files of some megabytes; more goes to disk."""

SHORT_PATH = 24
"""Longest temporary folder that leaves Ray's sockets short enough: a socket's path ends at 107 bytes."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no reports to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # The system has the say about memory, as with the other backends; Ray would end workers while there is some left.
    "RAY_memory_monitor_refresh_ms": "0",
    # Ray's workers are nice to everything else (15); those of the other backends are not.
    "RAY_worker_niceness": "0",
}


class RayBackend(ClusterBackend):
    """See `talkhead_cli.batch.job.Backend`.

    Args:
        request: `workers`, `devices`, `address`, `copy_files` and `out_dir` matter.

    Raises:
        UsageError: Ray is not installed, or devices or address make no sense.
        DeviceError: there is no such device.
    """

    name = "ray"

    def __init__(self, request: BatchRequest) -> None:
        require("ray", "ray")
        super().__init__(request)
        self.entry = make_entry()
        self.threads = 0
        self.actor: dict[str, Any] = {}
        """What an actor takes of the cluster."""
        self._temporary: str | None = None
        self._started = False
        if request.address is None:
            self.devices = expand_devices(request.devices)
            self.workers = request.workers or len(self.devices)
            self.threads = share_threads(self.workers)
        else:
            self.devices = (cluster_device(request.devices),)
            if request.address.startswith("ray://"):
                raise UsageError(
                    f"--address {request.address}: run talkhead on a machine of the cluster, "
                    "and give the address that `ray start` prints, or auto"
                )

    def start(self) -> None:
        """Start or reach the cluster, and see that its workers can render.

        Raises:
            UsageError: the address is none.
            DeviceError: nothing answers, or workers cannot render.
        """
        os.environ.update({key: os.environ.get(key, value) for key, value in QUIET.items()})
        if self.request.address is None:
            self._start_own()
        else:
            self._connect(self.request.address)
        self._started = True
        silence()
        if self.request.address is not None:
            self._plan()

    def stop(self) -> None:
        """See the base class."""
        if self._started:
            import ray

            for slot in self._slots:
                with suppress(Exception):
                    slot.kill()
            with suppress(Exception):
                ray.shutdown()
            self._started = False
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def new_slot(self, index: int) -> Slot:
        """See the base class."""
        return RaySlot(self, f"slot-{index}")

    def _start_own(self) -> None:
        use_own_token()
        import ray

        gpus = [device for device in self.devices if device.startswith("cuda")]
        self.actor = {"num_cpus": self.threads, "num_gpus": share_gpus(len(gpus), self.workers)}
        short = len(tempfile.gettempdir()) <= SHORT_PATH
        self._temporary = tempfile.mkdtemp(prefix="talkhead-", dir=None if short else "/tmp")
        try:
            with signals_kept(), visible_gpus(gpus):
                ray.init(
                    address="local",
                    num_cpus=self.threads * self.workers,
                    num_gpus=len(gpus),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    object_store_memory=STORE_BYTES,
                    _temp_dir=self._temporary,
                )
        except Exception as error:
            raise DeviceError(f"Ray does not start on this machine ({one_line(error)})") from error

    def _connect(self, address: str) -> None:
        wrong = f"--address {address}: no Ray cluster answers there"
        if address != "auto":
            check_answers(address, PORT)
            mode = find_auth_mode(address)
            if mode is None:
                raise DeviceError(
                    f"{wrong} that would have us; give the address that `ray start` prints, "
                    "and set RAY_AUTH_TOKEN where it asks for a token"
                )
            os.environ[AUTH_MODE] = mode
        try:
            import ray

            with signals_kept():
                ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        except Exception as error:
            raise DeviceError(
                f"{wrong} ({one_line(error)}); run talkhead on a machine of the cluster"
            ) from error

    def _plan(self) -> None:
        """Decide how many workers a cluster that is not ours has, and what each takes.

        Raises:
            DeviceError: there is no GPU although one was asked for.
        """
        import ray

        total = ray.cluster_resources()
        gpus, cpus = int(total.get("GPU", 0)), max(1, int(total.get("CPU", 1)))
        where = f"the Ray cluster at {self.request.address}"
        if self.devices == ("cuda",) and not gpus:
            raise DeviceError(f"{where} has no GPU; give --devices cpu, or add machines that have")
        if gpus and self.devices != ("cpu",):
            self.workers = self.request.workers or gpus
            self.devices = ("cuda",)
            part = share_gpus(gpus, self.workers)
            self.actor = {"num_cpus": min(1, cpus // self.workers), "num_gpus": part}
        else:
            self.workers = self.request.workers or sum(node["Alive"] for node in ray.nodes())
            self.devices = ("cpu",)
            self.actor = {"num_cpus": max(1, cpus // self.workers)}


class RaySlot(Slot):
    """An actor, started when first needed and again when it has died."""

    backend: RayBackend

    def __init__(self, backend: RayBackend, name: str) -> None:
        super().__init__(backend, name)
        self._calls: Any = None
        self._parallel: Any = None
        self._worker = ""

    def ready(self, cancelled: Callable[[], bool]) -> bool:
        """See the base class. Waits for as long as the cluster has no room, as any job of a Ray cluster does."""
        if self._parallel is None:
            self._open()
        return not cancelled()

    def call(self, payload: bytes) -> tuple[str, Any]:
        """See the base class."""
        import ray

        backend = self.backend
        try:
            device = ("cuda:0",) if backend.actor.get("num_gpus") else backend.devices[:1]
            return self._ask(__version__, (payload, device, backend.held_folder, backend.task))
        except ray.exceptions.RayActorError:
            self._parallel = None
            return "lost", self._worker
        except Exception:
            self.kill()  # joblib has ended the actor
            self._parallel = None
            raise

    def kill(self) -> None:
        """See the base class."""
        calls = self._calls
        if calls is not None:
            with suppress(Exception):  # it may be ending by itself
                calls.terminate()

    def _open(self) -> None:
        from joblib import Parallel, parallel_config

        from talkhead_cli.batch.joblib_ray import RayCalls

        self._calls = RayCalls(ray_remote_args=self.backend.actor)
        with parallel_config(backend=self._calls, n_jobs=2):
            self._parallel = Parallel(batch_size=1)
        try:
            self._parallel.__enter__()  # it stays open from row to row, so that networks stay loaded
            _, self._worker = self._ask(__version__, None, self.backend.threads)
        except Unfit:
            self.kill()
            self._parallel = None
            raise
        except Exception as error:
            self.kill()
            self._parallel = None
            raise Unfit(
                f"a worker of the Ray cluster does not start ({one_line(error)})"
            ) from error

    def _ask(self, *arguments: Any) -> tuple[str, Any]:
        from joblib import delayed

        return read_answer(self._parallel([delayed(self.backend.entry)(*arguments)])[0])


def find_auth_mode(address: str) -> str | None:
    """How the Ray cluster at an address wants to be spoken to: "disabled" or "token"; None when there is none.

    Asked in a process of its own, since Ray would keep trying for over a minute and write about it. A cluster that was
    started where Ray had made a token asks for it (Ray 2.60), and a driver told its address does not look for one.
    """
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    for mode in (os.environ.get(AUTH_MODE, "disabled"), "token"):
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                timeout=CONNECT_SECONDS,
                check=False,
                env={**os.environ, AUTH_MODE: mode},
            )
        except subprocess.TimeoutExpired:
            return None
        if done.returncode == 0:
            return mode
        if b"uthenticat" not in done.stderr:
            return None
    return None


def use_own_token() -> None:
    """Guard our own cluster with a token of its own, instead of one that Ray would leave in the home folder."""
    if AUTH_MODE not in os.environ:
        os.environ[AUTH_MODE] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def share_gpus(gpus: int, workers: int) -> float:
    """What part of a GPU each worker takes, so that all find a place; never more than one GPU.

    Args:
        gpus: of the cluster.
        workers: that share them.
    """
    return 1 / math.ceil(workers / gpus) if gpus else 0.0


@contextmanager
def signals_kept() -> Iterator[None]:
    """Undo what Ray does to signal handlers: what a signal means is for the run to say."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {kind: signal.getsignal(kind) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


@contextmanager
def visible_gpus(devices: list[str]) -> Iterator[None]:
    """Let Ray see these GPUs alone while it starts."""
    name = "CUDA_VISIBLE_DEVICES"
    before = os.environ.get(name)
    if devices:
        known = before.split(",") if before else None
        indices = [int(device.partition(":")[2]) for device in devices]
        os.environ[name] = ",".join(known[index] if known else str(index) for index in indices)
    try:
        yield
    finally:
        if before is not None:
            os.environ[name] = before
        elif devices:
            del os.environ[name]


def silence() -> None:
    """Keep Ray's news of dead workers off standard output, where it goes whatever `log_to_driver` says; they come back
    as outcomes."""
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL + 1)

    def say_nothing(*arguments: Any, **named: Any) -> None:
        pass

    ray._private.worker.print_to_stdstream = say_nothing


def one_line(error: BaseException) -> str:
    """An error's first sentence."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}"
