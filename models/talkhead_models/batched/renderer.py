"""BatchRenderer: all frames of a batch at once on one device, in torch operations."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkhead_models.batched.clear import ClearPerson
from talkhead_models.batched.geometry import Batch
from talkhead_models.batched.head import Head
from talkhead_models.batched.patch import PatchDevice
from talkhead_models.batched.planes import PlaneWriter
from talkhead_models.batched.raster import choose_engine, raster_last
from talkhead_models.batched.upload import Parcel
from talkhead_models.body import Body
from talkhead_models.motion import FaceMotion
from talkhead_models.renderer import FaceRenderer
from talkhead_models.rig import FaceRig

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]

Watch = Callable[[str], AbstractContextManager[object]]

BYTES_A_PIXEL = 96
"""Memory that a pixel of the moving box takes at the most; 61 were measured for a large face: map, warped picture,
share, frame, and what they are made of."""

BYTES_A_FRAME = 16 * 2**20
"""Likewise of a frame's patches and their networks, whatever its size."""

MEMORY_SHARE = 0.5
"""Of a GPU's free memory, for frames; the rest is for networks, triangles and whoever else is there."""

CPU_MEMORY = 512 * 2**20
"""Bytes likewise where torch runs on the CPU."""


class BatchRenderer:
    """Renders one portrait as `FaceRenderer` does, within a level of 255 in the mean.

    Attributes:
        plain: the renderer that it was made from.
        device: where frames are made.
        engine: what draws triangles.
        watch: entered around each stage of a batch, by name; for measurements.
    """

    def __init__(
        self,
        plain: FaceRenderer,
        device: torch.device | str,
        engine: str | None = None,
        half: bool | None = None,
    ) -> None:
        """Copy what the portrait needs to the device.

        Args:
            plain: of the portrait, its networks on the device.
            device: where frames are made.
            engine: what draws triangles, one of `raster.ENGINES`; None takes triton on CUDA where it works.
            half: networks in float16; None does so on CUDA.
        """
        self.plain, self.device = plain, torch.device(device)
        on_gpu = self.device.type == "cuda"
        self.engine = engine or choose_engine(self.device)
        raster = partial(raster_last, engine=self.engine)
        half = on_gpu if half is None else half
        self.head = Head(plain.body, self.device, raster)
        self.patches = [
            PatchDevice(painter, self.device, raster, half) for painter in plain.painters
        ]
        self.watch: Watch = lambda _: nullcontext()
        self.planes: PlaneWriter | None = None
        self.clear = None
        self.still = torch.tensor(plain.shown, device=self.device)
        if plain.cutout is not None:
            self.clear = ClearPerson(plain.cutout, plain.body.box, self.device)
            self.still = self.clear.still

    @property
    def body(self) -> Body:
        """Geometry and background."""
        return self.plain.body

    @property
    def rig(self) -> FaceRig:
        """The portrait's face."""
        return self.plain.rig

    @property
    def image(self) -> Bytes:
        """(H, W, 3) uint8 RGB, the portrait."""
        return self.plain.image

    def most_frames(self) -> int:
        """Frames that the device's memory is enough for at once, at least 1."""
        width, height = self.head.size
        frame = BYTES_A_PIXEL * width * height + 2 * self.image.nbytes + BYTES_A_FRAME
        if self.device.type != "cuda":
            return max(1, CPU_MEMORY // frame)
        free, _ = torch.cuda.mem_get_info(self.device)
        # What torch keeps for the next one is free as well.
        free += torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return max(1, int(MEMORY_SHARE * free) // frame)

    def render(self, motion: FaceMotion, breath: Array | None = None) -> Bytes:
        """Frames (T, H, W, 3) uint8 RGB, or (T, H, W, 4) RGBA, of a motion; see `FaceRenderer.render`."""
        return self._out(motion, breath, planes=False)

    def render_planes(self, motion: FaceMotion, breath: Array | None = None) -> Bytes:
        """The same frames, opaque, as planes (T, 3 H / 2, W) uint8; see `FaceRenderer.render_planes`."""
        return self._out(motion, breath, planes=True)

    def _out(self, motion: FaceMotion, breath: Array | None, planes: bool) -> Bytes:
        # Page-locked memory is the current device's.
        with torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext():
            frames = self.frames(motion, breath, planes)
            with self.watch("copy out"):
                return to_host(frames)

    @torch.inference_mode()
    def frames(
        self, motion: FaceMotion, breath: Array | None = None, planes: bool = False
    ) -> Tensor:
        """As `render` or `render_planes`, but left on the device."""
        watch, box = self.watch, self.head.box
        with watch("prepare (CPU)"):
            placed = self.body.place(motion, breath)
            batch, parcel = Batch.of(placed), Parcel()
            head = self.head.prepare(batch, parcel)
            patches = [patch.prepare(placed, batch, head, box) for patch in self.patches]
        with watch("upload"):
            parcel.send(self.device)
        painted = []
        for patch in patches:
            with watch("patches"):
                inputs = patch.inputs() if patch.refined else None
            with watch("networks"):
                painted.append(patch.paint(inputs) if inputs is not None else None)
        with watch("map"):
            places = head.map()
        alpha = None
        with watch("warp"):
            if self.clear is None:
                canvas = head.draw(places)
            else:
                canvas, alpha = head.draw_clear(places, self.clear)
        with watch("paste"):
            for patch, parts in zip(patches, painted, strict=True):
                patch.paste(canvas, box[:2], parts)
        with watch("finish"):
            return self.finish(canvas, alpha, planes)

    def finish(self, canvas: Tensor, alpha: Tensor | None = None, planes: bool = False) -> Tensor:
        """Whole frames of their moving box, uint8: (T, H, W, C), or as planes (T, 3 H / 2, W).

        Args:
            canvas: (T, 3, h, w), levels.
            alpha: (T, 1, h, w), levels.
            planes: see there; alpha is left out.
        """
        levels = canvas if alpha is None or planes else torch.cat([canvas, alpha], 1)
        levels = torch.floor((levels + 0.5).clamp_(0, 255))
        if planes:
            if self.planes is None:
                self.planes = PlaneWriter(self.plain.shown, self.head.box, self.device)
            return self.planes.write(levels)
        x0, y0, x1, y1 = self.head.box
        frames = self.still.expand(len(levels), -1, -1, -1).clone()
        frames[:, y0:y1, x0:x1] = levels.to(torch.uint8).permute(0, 2, 3, 1)
        return frames


def to_host(frames: Tensor) -> Bytes:
    """A tensor as an array; from a GPU through memory that it writes to directly."""
    if frames.device.type != "cuda":
        return np.asarray(frames.numpy())
    pinned = torch.empty(frames.shape, dtype=frames.dtype, pin_memory=True)
    pinned.copy_(frames, non_blocking=True)
    torch.cuda.current_stream(frames.device).synchronize()
    return np.asarray(pinned.numpy())
