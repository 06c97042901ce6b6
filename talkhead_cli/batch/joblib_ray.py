"""joblib's Ray backend for one worker; import it only where Ray is installed."""

from __future__ import annotations

from typing import Any

from joblib.pool import MemmappingPool, PicklingPool  # noqa: TID253 - imported where it is used
from ray.util.joblib.ray_backend import RayBackend  # noqa: TID253
from ray.util.multiprocessing.pool import Pool  # noqa: TID253


class RayCalls(RayBackend):  # type: ignore[misc]
    """A pool of one actor. Ray deals tasks out to a larger pool in turn, busy or not, and joblib ends the whole pool
    when one actor dies; so every slot has a pool of its own."""

    def effective_n_jobs(self, n_jobs: int) -> int:
        """More than one, although there is one: joblib would run a call for one worker in this process."""
        return 2

    def configure(self, n_jobs: int = 1, parallel: Any = None, *args: Any, **options: Any) -> int:
        """Start the actor; returns when it runs, which may be when another job gives its GPU back."""
        PicklingPool.__bases__ = (Pool,)  # as RayBackend does it
        self._pool = MemmappingPool(1, ray_remote_args=self.ray_remote_args)
        self.parallel = parallel
        return 2

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End the actor; the slot starts the next when it has told what happened to the row."""
        self.terminate()
