"""New mouths for the frames of a film: each frame's own pixels, of which only mouth, chin and cheeks are moved.

Per frame: carry the lower face along its mesh (`jaw_warp`), lay the lips over it that all frames share (`lip_texture`)
in the light of this one, and what the mouth's network paints of and between them (`painting`). Pixels outside are the
film's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.body import Placed
from talkhead_models.detail import Detail
from talkhead_models.film_face import SUBNASALE, FilmFace
from talkhead_models.jaw_warp import Box, JawWarp
from talkhead_models.lip_texture import (
    LIGHT_LIMITS,
    OUTLINE,
    LipTexture,
    around_lips,
    light_between,
    lip_box,
    mouth_mask,
    rig_at,
)
from talkhead_models.motion import FaceMotion
from talkhead_models.painting import Painted, PatchPainter, place_patch
from talkhead_models.patches import MOUTH, PatchSource, dark_of, hole_coverage
from talkhead_models.refiner import Refiner
from talkhead_models.rig import inset_lips
from talkhead_models.warp import box_of, coverage, transform

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass
class DubRenderer:
    """Renders the frames of one film. Make it with `create`.

    Attributes:
        face: the film's face.
        painter: of the mouth; it takes its teeth from one frame of the film throughout, so that they hold still.
        warp: of the lower face.
        mask: from `mouth_mask`.
        lips: what all frames' lips are drawn from.
        tone: (3,) how much brighter the frame with the teeth is than that with the lips.
        threads: frames composed at once.
    """

    face: FilmFace
    painter: PatchPainter
    warp: JawWarp
    mask: Array
    lips: LipTexture
    tone: Array
    threads: int = 2

    @classmethod
    def create(
        cls,
        face: FilmFace,
        index: int,
        image: Bytes,
        refiners: Mapping[str, Refiner],
        detail: Detail | None = None,
        device: torch.device | str = "cpu",
        calm: tuple[int, Bytes] | None = None,
    ) -> DubRenderer:
        """Prepare a film.

        Args:
            face: through the film.
            index: of the frame whose mouth is shown to the network as the person's own.
            image: that frame, (H, W, 3) uint8 RGB.
            refiners: networks by patch name; the mouth's is needed.
            detail: network for large faces.
            device: where the networks lie and run.
            calm: number and picture of the frame that lips are drawn from; by default the other.
        """
        rig = rig_at(face, index)
        whole = PatchSource(
            image, rig.mesh, np.eye(2, 3, dtype=np.float32), dark_of(image, rig.mesh)
        )
        inset = inset_lips(rig.mesh, rig.unit)
        painter = PatchPainter.create(MOUTH, whole, inset, rig, refiners["mouth"], detail, device)
        lips = LipTexture.cut(face, *(calm or (index, image)), whole.dark)
        box = lip_box(rig.mesh, rig.unit, (image.shape[1], image.shape[0]))
        x0, y0, x1, y1 = box
        points = rig.mesh[:, :2] - np.array([x0, y0], np.float32)
        there = np.ascontiguousarray(image[y0:y1, x0:x1])
        light = light_between(there, lips.warp(rig.mesh, box), points, rig.unit)
        tone = tone_of(light, points, (x1 - x0, y1 - y0))
        return cls(face, painter, JawWarp(face), mouth_mask(face.neutral), lips, tone)

    def render(self, images: Sequence[Bytes], indices: list[int], motion: FaceMotion) -> Bytes:
        """Frames (n, H, W, 3) uint8 RGB with new mouths.

        Args:
            images: n frames of the film, (H, W, 3) uint8 RGB.
            indices: which they are.
            motion: n frames of motion.
        """
        targets = self.face.targets(indices, motion)
        frames = np.empty((len(images), *images[0].shape), np.uint8)
        chosen = [i for i, index in enumerate(indices) if self.face.strength[index] > 0]
        placed = {
            i: Placed(
                targets[i],
                np.zeros((0, 2), np.float32),
                self.face.pose(indices[i]),
                np.zeros(2, np.float32),
                motion.appearance[i],
            )
            for i in chosen
        }
        painted: dict[int, Painted] = {}
        if chosen:
            sources = [self.lips.small] * len(chosen)
            patches = self.painter.paint([placed[i] for i in chosen], self.threads, sources)
            painted = dict(zip(chosen, patches, strict=True))

        def compose(i: int) -> None:
            frames[i] = images[i]
            if i in painted:
                self._compose(frames[i], images[i], indices[i], placed[i], painted[i])

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(compose, range(len(images))))
        return frames

    def _compose(
        self, out: Bytes, image: Bytes, index: int, frame: Placed, painted: Painted
    ) -> None:
        """One frame, in place of a copy of the film's: the lower face moved, the mouth laid over it."""
        height, width = image.shape[:2]
        unit = float(frame.pose.scale)
        mesh = self.face.meshes[index]
        moved = self.warp.move(image, out, mesh, frame.mesh, unit)
        box = lip_box(frame.mesh, unit, (width, height))
        x0, y0, x1, y1 = box
        region = out[y0:y1, x0:x1]
        points, size = frame.mesh[:, :2] - np.array([x0, y0], np.float32), (x1 - x0, y1 - y0)
        origin = np.array([x0, y0], np.float32)
        texture = self.lips.warp(frame.mesh, box)
        light = light_between(region, texture, points, unit)
        value = texture * cv2.resize(light, size)
        value += place_patch(painted.skin, painted.frame, origin, size)
        hole = hole_coverage(points[list(topo.INNER_LIPS)], size)[..., None]
        tone = np.clip(tone_of(light, points, size) / self.tone, *LIGHT_LIMITS)
        value += (self._inside(painted, origin, size) * tone - value) * hole
        mask = self.mask * around_lips(transform(frame.mesh[:, :2], painted.frame))
        share = place_patch(mask, painted.frame, origin, size)[..., None]
        share *= self.face.strength[index]
        np.clip(value, 0, 255, out=value)
        region[:] = np.rint(region + (value - region) * share).astype(np.uint8)
        for changed in (box, moved):
            if changed is not None:
                restore_above(out, image, frame, changed)

    def _inside(self, painted: Painted, origin: Array, size: tuple[int, int]) -> Array:
        """Levels (h, w, 3) of what shows between the lips."""
        if painted.inside_frame is not None:
            return place_patch(painted.inside, painted.inside_frame, origin, size)
        return self.painter.whole.dark + place_patch(painted.inside, painted.frame, origin, size)


def tone_of(light: Array, points: Array, size: tuple[int, int]) -> Array:
    """(3,) mean of a light (h', w', 3) over lips and mouth.

    Args:
        light: from `light_between`.
        points: (478, 2) mesh in the pixels of the pictures that were compared.
        size: their width and height.
    """
    shape = (light.shape[1], light.shape[0])
    place = (points[list(OUTLINE)] + 0.5) * (np.array(shape) / size) - 0.5
    lips = coverage(np.asarray(place, np.float32), shape)[..., None]
    return np.asarray((light * lips).sum((0, 1)) / max(float(lips.sum()), 1e-3), np.float32)


def restore_above(out: Bytes, image: Bytes, frame: Placed, box: Box | None = None) -> None:
    """Put the film's own pixels back above the base of the nose, in place.

    Triangles of the cheeks reach a little above it, and move there by fractions of a pixel.

    Args:
        out: (H, W, 3) uint8 RGB.
        image: the film's.
        frame: where the face is.
        box: where anything may have changed, x0, y0, x1, y1; by default the face.
    """
    height, width = image.shape[:2]
    base = frame.mesh[SUBNASALE, :2]
    down = frame.pose.rotation[:2, 1]
    if box is None:
        box = box_of(frame.mesh[: topo.NUM_FACE_POINTS, :2], 0, (width, height))
    x0, y0, x1, y1 = box
    across = (np.arange(x0, x1, dtype=np.float32) - base[0]) * down[0]
    if down[1] > 0:
        # Below this row nothing of the box is above.
        y1 = int(np.clip(np.ceil(base[1] - across.min() / down[1]) + 1, y0, y1))
    along = (np.arange(y0, y1, dtype=np.float32) - base[1]) * down[1]
    above = along[:, None] + across[None] < 0
    np.copyto(out[y0:y1, x0:x1], image[y0:y1, x0:x1], where=above[..., None])
