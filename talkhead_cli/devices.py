"""Devices: turning the word in `--device` into one that exists."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from talkhead_cli.errors import (
    DeviceError,
    OutOfMemory,
    TalkheadError,
    WeightsError,
    known_error,
)

GPU_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
"""One of these is there on a Linux whose GPU torch can use: NVIDIA's, Windows's own for its Linux, AMD's."""


def may_have_gpu() -> bool:
    """Whether torch is worth asking: it takes a second to be loaded."""
    return sys.platform != "linux" or any(Path(name).exists() for name in GPU_FILES)


def resolve_device(device: str) -> str:
    """The device to compute on, as torch names it.

    Args:
        device: "auto", "cpu", "cuda", "cuda:N" or "mps"; auto takes the first GPU, else the CPU.

    Raises:
        DeviceError: there is no such device.
    """
    if device == "cpu" or (device == "auto" and not may_have_gpu()):
        return "cpu"
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "cpu"
    if device == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError("device mps: this machine has none; use --device cpu")
        return device
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise DeviceError(
            f"device {device}: no CUDA device was found; use --device cpu, see `talkhead doctor`"
        )
    index = int(device.partition(":")[2] or 0)
    if index >= count:
        raise DeviceError(f"device {device}: there are only {count} CUDA devices, 0 to {count - 1}")
    return f"cuda:{index}"


@contextmanager
def model_errors() -> Iterator[None]:
    """Turn what networks raise into errors of ours.

    Raises:
        WeightsError: a bundle is missing or damaged.
        OutOfMemory: the device, or the machine, has too little memory.
        DiskFull: there is no room for temporary files.
    """
    try:
        yield
    except TalkheadError:
        raise
    except Exception as error:
        # Not before there is an error: what happens meanwhile may do without torch.
        import torch

        from talkhead_models.bundle import BundleError

        if isinstance(error, BundleError):
            raise WeightsError(str(error)) from error
        if isinstance(error, torch.OutOfMemoryError):
            raise OutOfMemory(
                "the GPU ran out of memory; give a smaller --size, or use --device cpu"
            ) from error
        known = known_error(error)
        if known is not None:
            raise known from error
        raise
