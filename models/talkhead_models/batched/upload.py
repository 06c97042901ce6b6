"""Small arrays on their way to the device, all of a batch in one copy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float32]


class Parcel:
    """Collects float32 arrays, sends them together, and gives them out as tensors of the same shapes."""

    def __init__(self) -> None:
        self._arrays: list[Array] = []
        self._tensors: list[Tensor] = []

    def add(self, array: Array) -> int:
        """Put an array in; returns its number."""
        self._arrays.append(np.asarray(array, np.float32))
        return len(self._arrays) - 1

    def send(self, device: torch.device) -> None:
        """Copy everything to the device; on CUDA nobody waits for it."""
        pinned = device.type == "cuda"
        total = sum(array.size for array in self._arrays)
        whole = torch.empty(total, dtype=torch.float32, pin_memory=pinned)
        flat, start = whole.numpy(), 0
        for array in self._arrays:
            flat[start : start + array.size] = array.ravel()
            start += array.size
        there = whole.to(device, non_blocking=pinned)
        self._tensors, start = [], 0
        for array in self._arrays:
            part = there[start : start + array.size]
            self._tensors.append(part.view(array.shape))
            start += array.size

    def __getitem__(self, number: int) -> Tensor:
        """The tensor of an array that was sent."""
        return self._tensors[number]
