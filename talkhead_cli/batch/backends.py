"""Which backend renders a batch, with how many workers, on which devices."""

from __future__ import annotations

from talkhead_cli.batch.job import RUN_FOLDER, Backend, BatchRequest
from talkhead_cli.errors import UsageError


def open_backend(request: BatchRequest) -> Backend:
    """The backend a batch asks for; enter it before use. Nothing is started yet.

    Args:
        request: `backend`, `workers`, `devices`, `address` and `copy_files` matter.

    Raises:
        UsageError: options that contradict each other, or the extra for this backend is not installed.
        DeviceError: there is no such device.
    """
    if request.backend == "local":
        if request.address or request.copy_files:
            name = "--address" if request.address else "--copy-files"
            raise UsageError(f"{name} is for clusters: give --backend dask or --backend ray")
        from talkhead_cli.batch.pool import LocalBackend

        devices = expand_devices(request.devices)
        workers = request.workers or len(devices)
        folder = request.out_dir / RUN_FOLDER
        return LocalBackend(workers, devices, folder, patience=request.row_timeout)
    if request.row_timeout is not None:
        raise UsageError("--row-timeout is for workers of this machine: leave it out")
    if request.backend == "dask":
        from talkhead_cli.batch.dask_backend import DaskBackend

        return DaskBackend(request)
    from talkhead_cli.batch.ray_backend import RayBackend

    return RayBackend(request)


def expand_devices(devices: tuple[str, ...]) -> tuple[str, ...]:
    """The devices of this machine that are meant, each checked; "auto" means every GPU, else the CPU.

    Raises:
        DeviceError: there is no such device.
    """
    from talkhead_cli.devices import resolve_device

    found: list[str] = []
    for device in devices or ("auto",):
        if device == "cpu":
            found.append(device)  # the run itself needs no torch: that is 2 s and 200 MB
        else:
            found += all_devices() if device == "auto" else [resolve_device(device)]
    return tuple(found)


def all_devices() -> list[str]:
    """Every GPU of this machine, or the CPU where there is none."""
    import torch

    if torch.cuda.is_available():
        return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return ["cpu"]
