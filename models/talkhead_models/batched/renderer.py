"""BatchRenderer: all frames of a batch at once on one device, in torch operations."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkhead_models.batched.clear import ClearPerson
from talkhead_models.batched.geometry import Batch
from talkhead_models.batched.head import Head
from talkhead_models.batched.patch import PatchDevice
from talkhead_models.batched.raster import has_triton
from talkhead_models.batched.upload import Parcel
from talkhead_models.body import Body
from talkhead_models.motion import FaceMotion
from talkhead_models.renderer import FaceRenderer
from talkhead_models.rig import FaceRig

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]

BYTES_A_PIXEL = 192
"""Memory that a pixel of the moving box takes at the most: map, warped picture, share, frame, and what they are of."""

MEMORY_SHARE = 0.5
"""Of a GPU's free memory, for frames; the rest is for networks, triangles and whoever else is there."""

CPU_MEMORY = 512 * 2**20
"""Bytes likewise where torch runs on the CPU."""


class BatchRenderer:
    """Renders one portrait as `FaceRenderer` does, within a level of 255 in the mean.

    Attributes:
        plain: the renderer that it was made from.
        device: where frames are made.
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
            engine: what draws triangles, one of `raster.ENGINES`; None takes triton on CUDA where there is one.
            half: networks in float16; None does so on CUDA.
        """
        self.plain, self.device = plain, torch.device(device)
        on_gpu = self.device.type == "cuda"
        self.engine = engine or ("triton" if on_gpu and has_triton() else "torch")
        half = on_gpu if half is None else half
        self.head = Head(plain.body, self.device, self.engine)
        self.patches = [
            PatchDevice(painter, self.device, self.engine, half) for painter in plain.painters
        ]
        self.clear = None
        self.still = torch.from_numpy(plain.shown).to(self.device)
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
        frame = BYTES_A_PIXEL * width * height + 2 * self.image.nbytes
        if self.device.type != "cuda":
            return max(1, CPU_MEMORY // frame)
        free, _ = torch.cuda.mem_get_info(self.device)
        # What torch keeps for the next one is free as well.
        free += torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return max(1, int(MEMORY_SHARE * free) // frame)

    def render(self, motion: FaceMotion, breath: Array | None = None) -> Bytes:
        """Frames (T, H, W, 3) uint8 RGB, or (T, H, W, 4) RGBA, of a motion; see `FaceRenderer.render`."""
        return to_host(self.frames(motion, breath))

    @torch.inference_mode()
    def frames(self, motion: FaceMotion, breath: Array | None = None) -> Tensor:
        """As `render`, but left on the device."""
        placed = self.body.place(motion, breath)
        batch, parcel = Batch.of(placed), Parcel()
        head = self.head.prepare(batch, parcel)
        box = self.head.box
        patches = [patch.prepare(placed, batch, head, box) for patch in self.patches]
        parcel.send(self.device)
        painted = [patch.paint() if patch.refined else None for patch in patches]
        alpha = None
        if self.clear is None:
            canvas = head.draw()
        else:
            canvas, alpha = head.draw_clear(self.clear)
        for patch, parts in zip(patches, painted, strict=True):
            patch.paste(canvas, box[:2], parts)
        return self.finish(canvas, alpha)

    def finish(self, canvas: Tensor, alpha: Tensor | None = None) -> Tensor:
        """Whole frames (T, H, W, C) uint8 of their moving box.

        Args:
            canvas: (T, 3, h, w), levels.
            alpha: (T, 1, h, w), levels.
        """
        x0, y0, x1, y1 = self.head.box
        frames = self.still.expand(len(canvas), -1, -1, -1).clone()
        levels = canvas if alpha is None else torch.cat([canvas, alpha], 1)
        moving = (levels + 0.5).clamp_(0, 255).to(torch.uint8)
        frames[:, y0:y1, x0:x1] = moving.permute(0, 2, 3, 1)
        return frames


def to_host(frames: Tensor) -> Bytes:
    """A tensor as an array; from a GPU through memory that it writes to directly."""
    if frames.device.type != "cuda":
        return np.asarray(frames.numpy())
    pinned = torch.empty(frames.shape, dtype=frames.dtype, pin_memory=True)
    pinned.copy_(frames, non_blocking=True)
    torch.cuda.current_stream(frames.device).synchronize()
    return np.asarray(pinned.numpy())
