"""Stages of the batched renderer: measured time, and how near it comes to what the card could do.

Bytes and operations are counted from the shapes of what each torch operation reads and writes, in a pass of its own;
the time is taken in another, with the device waited for before and after each stage. A stage that reads and writes much
for each operation is bound by memory, and its share is of the bandwidth; the networks' is of the arithmetic. Used by
speed.py.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from talkhead_models.batched.raster import raster_last
from talkhead_models.batched.renderer import BatchRenderer
from talkhead_models.motion import FaceMotion


@dataclass
class Cost:
    """Of one stage: seconds, bytes read and written, floating-point operations, and torch operations launched."""

    seconds: float = 0.0
    moved: float = 0.0
    flops: float = 0.0
    launches: float = 0.0


@dataclass
class Stages:
    """What each stage costs; a stage within another is taken off that one."""

    device: torch.device
    costs: dict[str, Cost] = field(default_factory=lambda: defaultdict(Cost))
    _open: list[tuple[str, float]] = field(default_factory=list)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @property
    def current(self) -> Cost:
        """The innermost open stage."""
        return self.costs[self._open[-1][0] if self._open else "other"]

    @contextmanager
    def watch(self, name: str) -> Iterator[None]:
        """Take the time of a stage."""
        now = self._now()
        if self._open:
            outer, since = self._open[-1]
            self.costs[outer].seconds += now - since
        self._open.append((name, now))
        try:
            yield
        finally:
            now = self._now()
            name, since = self._open.pop()
            self.costs[name].seconds += now - since
            if self._open:
                self._open[-1] = (self._open[-1][0], now)


class Counter(TorchDispatchMode):
    """Adds up what torch operations read, write and compute, stage by stage."""

    def __init__(self, stages: Stages) -> None:
        super().__init__()
        self.stages = stages
        self.whole: set[Any] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = func.overloadpacket
        if packet not in flop_registry and func not in self.whole:
            # A convolution, say, comes as one of several names for the same thing.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
            self.whole.add(func)
        out = func(*args, **kwargs)
        if func.is_view:
            return out
        cost = self.stages.current
        results = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        cost.moved += sum(map(size_of, inputs)) + sum(map(size_of, results))
        cost.launches += 1
        if packet in flop_registry:
            cost.flops += flop_registry[packet](*args, **kwargs, out_val=out)
        else:
            # Element by element: one operation for each result.
            cost.flops += sum(leaf.numel() for leaf in results)
        return out


def size_of(tensor: torch.Tensor) -> int:
    """Bytes of a tensor; what is repeated without being copied counts once."""
    storage = tensor.untyped_storage().nbytes()
    return min(tensor.numel() * tensor.element_size(), storage)


def watched(renderer: BatchRenderer, stages: Stages) -> None:
    """Take the renderer's stages, and drawing triangles as one of its own wherever it is done."""
    inner = renderer.head.raster

    def raster(corners: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        with stages.watch("raster"):
            return inner(corners, size)

    renderer.watch = stages.watch
    for part in (renderer.head, *renderer.patches):
        part.raster = raster


def measure(
    renderer: BatchRenderer, motion: FaceMotion, breath: np.ndarray, repeats: int
) -> tuple[dict[str, Cost], int]:
    """Cost of one batch by stage, as it leaves for an encoder, and the batch's frames."""
    device = renderer.device
    counted = Stages(device)
    # Triton's kernel is no torch operation: its pairs are counted as torch would go through them.
    engine = renderer.head.raster
    for part in (renderer.head, *renderer.patches):
        part.raster = raster_last
    watched(renderer, counted)
    with Counter(counted):
        renderer.render_planes(motion, breath)
    for part in (renderer.head, *renderer.patches):
        part.raster = engine
    timed = Stages(device)
    watched(renderer, timed)
    renderer.render_planes(motion, breath)
    timed.costs.clear()
    for _ in range(repeats):
        renderer.render_planes(motion, breath)
    for name, cost in counted.costs.items():
        cost.seconds = timed.costs[name].seconds / repeats
    return dict(counted.costs), motion.num_frames


def print_table(
    costs: dict[str, Cost], frames: int, bandwidth: float, arithmetic: float, title: str
) -> None:
    """One row a stage.

    Args:
        costs: from `measure`.
        frames: of a batch.
        bandwidth: the card's, in bytes a second.
        arithmetic: likewise, in operations a second.
        title: the table's.
    """
    print(f"\n{title}\n")
    heads = (
        "stage",
        "ms/batch",
        "frames/s",
        "MB",
        "GB/s",
        "of peak",
        "GFLOP",
        "TFLOP/s",
        "of peak",
    )
    print(f"{heads[0]:16}" + "".join(f"{head:>10}" for head in heads[1:]) + f"{'launches':>10}")
    whole = Cost()
    for cost in costs.values():
        for key in ("seconds", "moved", "flops", "launches"):
            setattr(whole, key, getattr(whole, key) + getattr(cost, key))
    for name, cost in (*costs.items(), ("a batch", whole)):
        seconds = max(cost.seconds, 1e-9)
        moved, flops = cost.moved / seconds, cost.flops / seconds
        numbers = (
            f"{1e3 * seconds:10.2f}{frames / seconds:10.0f}{cost.moved / 1e6:10.1f}{moved / 1e9:10.1f}"
            f"{moved / bandwidth:10.1%}{cost.flops / 1e9:10.2f}{flops / 1e12:10.3f}{flops / arithmetic:10.2%}"
        )
        print(f"{name:16}{numbers}{cost.launches:10.0f}")
