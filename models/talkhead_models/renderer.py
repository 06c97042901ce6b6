"""FaceRenderer: full frames of one portrait under a FaceMotion.

Per frame: move head and background (`body`), refine mouth and eyes in canonical patches (`painting`), paste them back.
Pixels outside the moving region are the portrait's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from talkhead_models.basis import FaceBasis
from talkhead_models.body import Body, Placed
from talkhead_models.cutout import Colour, Cutout, laid_over
from talkhead_models.detail import Detail
from talkhead_models.motion import FaceMotion
from talkhead_models.painting import Painted, PatchPainter
from talkhead_models.patches import EYES, MOUTH, PatchSource, dark_of
from talkhead_models.planes import even_box, planes_of, write_planes
from talkhead_models.refiner import Refiner
from talkhead_models.rig import FaceRig

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Box = tuple[int, int, int, int]


@dataclass
class FaceRenderer:
    """Renders one portrait. Make it with `create`.

    Attributes:
        body: geometry and background.
        painters: of mouth and eyes.
        threads: frames composed at once.
        cutout: of the person, where frames are to have alpha.
        ground: (H, W, 3) uint8 RGB, what does not move where that is not the portrait.
    """

    body: Body
    painters: Sequence[PatchPainter]
    threads: int = 2
    cutout: Cutout | None = None
    ground: Bytes | None = None
    _planes: Bytes | None = field(default=None, init=False, repr=False)
    _pictures: list[Bytes] = field(default_factory=list, init=False, repr=False)

    @property
    def image(self) -> Bytes:
        """(H, W, 3) uint8 RGB, the portrait."""
        return self.body.image

    @property
    def shown(self) -> Bytes:
        """(H, W, 3) uint8 RGB, the portrait before the colour that opaque frames show behind it."""
        return self.body.image if self.ground is None else self.ground

    @property
    def rig(self) -> FaceRig:
        """The portrait's face."""
        return self.body.rig

    @classmethod
    def create(
        cls,
        image: Bytes,
        mesh: Array,
        person_mask: Array,
        basis: FaceBasis,
        refiners: Mapping[str, Refiner],
        detail: Detail | None = None,
        device: torch.device | str = "cpu",
    ) -> FaceRenderer:
        """Prepare a portrait.

        Args:
            image: (H, W, 3) uint8 RGB.
            mesh: (478, 3) float32 pixels.
            person_mask: (H, W) float32 in [0, 1].
            basis: the face model.
            refiners: networks by patch name ("mouth", "eyes"); a missing one leaves its patch as warped.
            detail: network that paints the mouths of large faces at their resolution; None leaves them at 96 pixels.
            device: where the networks lie and run.
        """
        rig = FaceRig.fit(mesh, basis)
        body = Body.create(image, rig, person_mask)
        whole = PatchSource(
            image, rig.mesh, np.eye(2, 3, dtype=np.float32), dark_of(image, rig.mesh)
        )
        painters = [
            PatchPainter.create(
                spec, whole, body.source_mesh, rig, refiners.get(spec.name), detail, device
            )
            for spec in (MOUTH, EYES)
        ]
        return cls(body, painters)

    def flatten(self, matte: Array, behind: Colour, colour: Colour) -> None:
        """Show a picture that has transparency of its own before another colour: frames are those with alpha over it.

        The networks go on seeing the picture as it is: what they paint does not depend on the colour.

        Args:
            matte: (H, W) float32 in [0, 1], the picture's transparency.
            behind: what the picture is laid over.
            colour: what it is to be shown before.
        """
        body = self.body
        cutout = body.cut_out(matte, behind)
        body.picture, body.plate = cutout.flattened(colour, body.box)
        self.ground = laid_over(cutout.layer, colour)

    def keep_inside(self, matte: Array) -> None:
        """Paint the person alone, whose share of each pixel of the picture is (H, W) in [0, 1]."""
        for painter in self.painters:
            painter.keep_inside(matte, self.rig)

    def render(self, motion: FaceMotion, breath: Array | None = None) -> Bytes:
        """Frames (T, H, W, 3) uint8 RGB of a motion; with a cutout (T, H, W, 4) RGBA, alpha not multiplied in.

        Args:
            motion: of the face and head.
            breath: (T,) how far breath is drawn in, see `talkhead_models.breathing`; None holds it.
        """
        placed, painted = self._paint(motion, breath)
        image = self.shown
        frames = np.empty((len(placed), *image.shape), np.uint8)
        cutout = self.cutout
        ground, clear = (image, None) if cutout is None else cutout.straight(cutout.layer)
        alpha = None if clear is None else np.empty((len(placed), *clear.shape), np.uint8)

        def compose(index: int) -> None:
            frames[index] = ground
            if cutout is None or alpha is None:
                self.body.compose(placed[index], frames[index])
            else:
                alpha[index] = clear
                self.body.compose_cutout(cutout, placed[index], frames[index], alpha[index])
            self._paste(frames[index], placed[index], painted[index])

        each(compose, len(placed), self.threads)
        return frames if alpha is None else np.concatenate([frames, alpha[..., None]], -1)

    def render_planes(self, motion: FaceMotion, breath: Array | None = None) -> Bytes:
        """The same frames, opaque, as planes (T, 3 H / 2, W) uint8, see `talkhead_models.planes`; H and W are even.

        What does not move is copied as it is: it has been converted once.
        """
        placed, painted = self._paint(motion, breath)
        image, box = self.shown, self.body.box
        height, width = image.shape[:2]
        if self._planes is None:
            self._planes = planes_of(image)
        ground = self._planes
        frames = np.empty((len(placed), *ground.shape), np.uint8)

        def compose(index: int) -> None:
            frames[index] = ground
            # Pictures that are used again and again: all of the moving box is drawn anew each time.
            picture = self._pictures.pop() if self._pictures else image.copy()
            self.body.compose(placed[index], picture)
            drawn = box_around(box, self._paste(picture, placed[index], painted[index]))
            x0, y0, x1, y1 = even_box(drawn, width, height)
            write_planes(picture[y0:y1, x0:x1], (x0, y0), frames[index])
            if drawn != box:
                picture[y0:y1, x0:x1] = image[y0:y1, x0:x1]
            self._pictures.append(picture)

        each(compose, len(placed), self.threads)
        return frames

    def _paint(
        self, motion: FaceMotion, breath: Array | None
    ) -> tuple[list[Placed], list[tuple[Painted | None, ...]]]:
        """Where everything is in each frame, and its patches."""
        placed = self.body.place(motion, breath)
        painted = [
            painter.paint(placed, self.threads) if painter.refiner else [None] * len(placed)
            for painter in self.painters
        ]
        return placed, list(zip(*painted, strict=True))

    def _paste(self, frame: Bytes, placed: Placed, painted: Sequence[Painted | None]) -> list[Box]:
        """Paste the patches into a frame (H, W, 3), in place; the boxes that they lie in."""
        return [
            painter.paste(frame, placed, patch)
            for painter, patch in zip(self.painters, painted, strict=True)
        ]


def each(work: Callable[[int], None], count: int, threads: int) -> None:
    """Work on 0 to count - 1, some at once."""
    if threads == 1:
        for index in range(count):
            work(index)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(count)))


def box_around(first: Box, others: Sequence[Box]) -> Box:
    """The smallest box x0, y0, x1, y1 around some."""
    x0, y0, x1, y1 = zip(first, *others, strict=True)
    return min(x0), min(y0), max(x1), max(y1)
