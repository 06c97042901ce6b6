"""New mouths for the frames of a film: each frame's own pixels, of which only mouth, chin and cheeks are moved.

Per frame: carry the lower face along its mesh (`JawWarp`), let the mouth's network paint what is between the lips
(`painting`), and lay that over with a mask that ends below the nose. Pixels outside are the film's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.body import Placed
from talkhead_models.detail import Detail
from talkhead_models.film_face import SUBNASALE, FilmFace, smoothstep
from talkhead_models.motion import FaceMotion
from talkhead_models.painting import Painted, PatchPainter, place_patch, shrink
from talkhead_models.patches import MOUTH, PIXELS_PER_UNIT, PatchSource, dark_of
from talkhead_models.refiner import Refiner
from talkhead_models.rig import FaceRig, inset_lips
from talkhead_models.warp import (
    apply_affines,
    box_of,
    coverage,
    invert_affine,
    raster_ids,
    signed_areas,
    transform,
    triangle_affines,
)

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]

JAW_ARC = topo.FACE_OVAL[8:29]
"""The face's outline from one ear down around the chin to the other."""

RING_DISTANCES = (0.1, 0.22, 0.36, 0.52, 0.7)
"""Canonical units outside the jaw line at which neck and collar follow less and less, and at last not at all."""

STILL = 1 / 64
"""Pixels of motion below which a pixel is the film's own."""

SIDE_FADE = 0.16
"""Share of the mouth's patch over which its sides and bottom fade into the film."""

LIP_INSET = 1.0
"""How far the inner edge of open lips is drawn into the lips for taking pixels, see `inset_lips`: further than for a
portrait, since a film's lips are tracked in motion, and a tooth taken for lip would flash when they are closed."""

OUTLINE = (
    topo.OUTER_CORNERS[0],
    *topo.UPPER_OUTER_LIP,
    topo.OUTER_CORNERS[1],
    *reversed(topo.LOWER_OUTER_LIP),
)
"""The lips as a closed polygon."""

LIP_MARGIN, LIP_BLUR = 15, 4.0
"""Pixels of the mouth's patch: diameter that the lips are widened by, and deviation of the blur of their edge."""

MIDDLE = 4
"""The tip of the nose, which rings grow away from."""


def mouth_mask(neutral: Array) -> Array:
    """Where the painted mouth may show, (h, w) float32 in [0, 1] in the pixels of the mouth's patch.

    It ends at the base of the nose: nothing above is painted.

    Args:
        neutral: (478, 3) canonical face of the person.
    """
    centre = float(neutral[list(MOUTH.anchors), 1].mean()) + MOUTH.drop
    rows = (np.arange(MOUTH.height) - (MOUTH.height - 1) / 2) / PIXELS_PER_UNIT + centre
    columns = np.arange(MOUTH.width, dtype=np.float32)
    base, top = neutral[SUBNASALE, 1], neutral[list(topo.LIPS), 1].min()
    # Fully there a little above the lips' edge, which the network touches up.
    down = smoothstep((rows - base) / max(0.8 * (top - base), 0.02))
    fade = SIDE_FADE * MOUTH.height
    bottom = smoothstep((MOUTH.height - 1 - np.arange(MOUTH.height)) / np.float32(fade))
    sides = smoothstep(np.minimum(columns, MOUTH.width - 1 - columns) / np.float32(fade))
    return np.asarray((down * bottom)[:, None] * sides[None], np.float32)


def around_lips(points: Array) -> Array:
    """How much of what the network says of skin is taken, (h, w) float32 in [0, 1]: all at the lips, none far off.

    A film's skin is real in every frame; beards and pores would only be smoothed.

    Args:
        points: (478, 2) the target's mesh in the pixels of the mouth's patch.
    """
    lips = coverage(points[list(OUTLINE)], (MOUTH.width, MOUTH.height), 2)
    wide = cv2.dilate(lips, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (LIP_MARGIN,) * 2))
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), LIP_BLUR), np.float32)


class JawWarp:
    """Carries the lower face of a picture from one mesh to another.

    Args:
        face: whose triangles and weights are used.
    """

    def __init__(self, face: FilmFace) -> None:
        self.basis = face.basis
        triangles = face.basis.triangles
        self.triangles = triangles[(face.jaw[triangles, 0] > 0).any(1)]
        self.facing = signed_areas(face.basis.mean[:, :2][self.triangles])
        arc, rings = len(JAW_ARC), len(RING_DISTANCES)
        first = np.arange(arc - 1)
        quads = [(ring * arc + first, (ring + 1) * arc + first) for ring in range(rings)]
        inner = [np.stack([low, low + 1, high], 1) for low, high in quads]
        outer = [np.stack([low + 1, high + 1, high], 1) for low, high in quads]
        self.ring_triangles = np.concatenate([*outer, *inner])
        follows = 1 - smoothstep(np.array((0.0, *RING_DISTANCES), np.float32) / RING_DISTANCES[-1])
        self.follows = follows[:, None, None]

    def _rings(self, source: Array, target: Array, unit: float) -> tuple[Array, Array]:
        """Points around the jaw, ((1 + rings) * arc, 2), where they are and where they go."""
        arc = list(JAW_ARC)
        line = source[arc, :2]
        way = line - source[MIDDLE, :2]
        way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-3)
        reach = np.array((0.0, *RING_DISTANCES), np.float32)[:, None, None] * unit
        before = line + reach * way
        after = before + self.follows * (target[arc, :2] - line)
        return before.reshape(-1, 2), after.reshape(-1, 2)

    def apply(self, image: Bytes, source: Array, target: Array, unit: float) -> Bytes:
        """The picture (H, W, 3) with its lower face moved; a copy.

        Args:
            image: uint8 RGB.
            source: (478, 3) the mesh in it.
            target: (478, 3) where it is to go.
            unit: pixels per canonical unit.
        """
        out = image.copy()
        height, width = image.shape[:2]
        before, after = self._rings(source, target, unit)
        inset = inset_lips(source, unit, LIP_INSET)[:, :2]
        faces = target[self.triangles]
        corners = np.concatenate([after[self.ring_triangles], faces[..., :2]])
        origin = np.concatenate([before[self.ring_triangles], inset[self.triangles]])
        x0, y0, x1, y1 = box_of(corners.reshape(-1, 2), 1, (width, height))
        if not (np.isfinite(corners).all() and x1 - x0 > 2 and y1 - y0 > 2):
            return out
        depth = faces[..., 2].mean(1)
        # What faces away lies behind everything else; the neck behind all of the face.
        depth[signed_areas(faces[..., :2]) * self.facing < 0] += 10 * unit
        order = np.argsort(-depth) + len(self.ring_triangles)
        order = np.concatenate([np.arange(len(self.ring_triangles)), order])
        corner = np.array([x0, y0], np.float32)
        ids = raster_ids(corners - corner, (x1 - x0, y1 - y0), order)
        columns, rows = np.meshgrid(
            np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32)
        )
        grid = np.stack([columns, rows], -1)
        position = grid.copy()
        apply_affines(ids, triangle_affines(corners, origin), position, (x0, y0))
        way = np.abs(position - grid)
        moved = np.maximum(way[..., 0], way[..., 1]) > STILL
        warped = cv2.remap(image, position, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        np.copyto(out[y0:y1, x0:x1], warped, where=moved[..., None])
        return out


class LipTexture(NamedTuple):
    """What lips look like, taken from one frame of a film so that it holds still in all of them."""

    image: Bytes
    mesh: Array
    small: PatchSource
    triangles: NDArray[np.int32]

    @classmethod
    def cut(cls, face: FilmFace, index: int, image: Bytes, dark: Array) -> LipTexture:
        mesh, pose = face.meshes[index], face.pose(index)
        height, width = image.shape[:2]
        margin = 0.1 * float(pose.scale)
        x0, y0, x1, y1 = box_of(mesh[: topo.NUM_FACE_POINTS, :2], margin, (width, height))
        corner = np.array([x0, y0, 0], np.float32)
        pose = pose._replace(offset=pose.offset - corner)
        rig = replace(rig_at(face, index), pose=pose, mesh=mesh - corner)
        inset = inset_lips(rig.mesh, rig.unit)
        piece = np.ascontiguousarray(image[y0:y1, x0:x1])
        source = PatchSource(piece, inset, np.eye(2, 3, dtype=np.float32), dark)
        triangles = face.basis.triangles
        near = triangles[(face.jaw[triangles, 0] > 0).any(1)]
        return cls(piece, inset, shrink(MOUTH, source, rig, PIXELS_PER_UNIT), near)

    def warp(self, target: Array, box: tuple[int, int, int, int]) -> Bytes:
        x0, y0, x1, y1 = box
        faces = target[self.triangles]
        corners = faces[..., :2] - np.array([x0, y0], np.float32)
        ids = raster_ids(corners, (x1 - x0, y1 - y0), np.argsort(-faces[..., 2].mean(1)))
        position = np.zeros((y1 - y0, x1 - x0, 2), np.float32)
        origin = self.mesh[:, :2][self.triangles]
        apply_affines(ids, triangle_affines(corners, origin), position)
        return np.asarray(
            cv2.remap(self.image, position, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def light_between(own: Bytes, texture: Bytes, points: Array, unit: float) -> Array:
    height, width = own.shape[:2]
    zoom = min(1.0, 24 / unit)
    size = (max(4, round(width * zoom)), max(4, round(height * zoom)))
    scale = np.array([size[0] / width, size[1] / height], np.float32)
    small = [cv2.resize(p, size, interpolation=cv2.INTER_AREA).astype(np.float32) + 4 for p in (own, texture)]
    place = (points + 0.5) * scale - 0.5
    lips = coverage(place[list(OUTLINE)].astype(np.float32), size, 4)
    hide = cv2.dilate(lips, np.ones((5, 5), np.uint8))
    seen = coverage(place[list(REACH)].astype(np.float32), size, 4)
    weight = (np.clip(1 - hide, 0, 1) * seen + 1e-6)[..., None]
    sigma = 0.14 * 24
    low = [cv2.GaussianBlur(p * weight, (0, 0), sigma) for p in small]
    light = np.clip(low[0] / low[1], 0.6, 1.6)
    return np.asarray(cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


REACH = (2, 326, 423, 425, 411, 434, 430, 431, 262, 428, 199, 208, 32, 211, 210, 214, 187, 205, 203, 97)


@dataclass
class DubRenderer:
    """Renders the frames of one film. Make it with `create`.

    Attributes:
        face: the film's face.
        painter: of the mouth; it takes its teeth from one frame of the film throughout, so that they hold still.
        warp: of the lower face.
        mask: from `mouth_mask`.
        threads: frames composed at once.
    """

    face: FilmFace
    painter: PatchPainter
    warp: JawWarp
    mask: Array
    lips: LipTexture
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
        """
        rig = rig_at(face, index)
        whole = PatchSource(
            image, rig.mesh, np.eye(2, 3, dtype=np.float32), dark_of(image, rig.mesh)
        )
        inset = inset_lips(rig.mesh, rig.unit)
        painter = PatchPainter.create(MOUTH, whole, inset, rig, refiners["mouth"], detail, device)
        lips = LipTexture.cut(face, *(calm or (index, image)), whole.dark)
        return cls(face, painter, JawWarp(face), mouth_mask(face.neutral), lips)

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
            if i in painted:
                frames[i] = self._compose(images[i], indices[i], placed[i], painted[i])
            else:
                frames[i] = images[i]

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(compose, range(len(images))))
        return frames

    def _compose(self, image: Bytes, index: int, frame: Placed, painted: Painted) -> Bytes:
        """One frame: the lower face moved, the mouth laid over it."""
        unit = float(frame.pose.scale)
        warped = self.warp.apply(image, self.face.meshes[index], frame.mesh, unit)
        height, width = image.shape[:2]
        corners = np.array(
            [[0, 0], [MOUTH.width, 0], [0, MOUTH.height], [MOUTH.width, MOUTH.height]], np.float32
        )
        outline = transform(corners, invert_affine(painted.frame))
        box = box_of(outline, 2, (width, height))
        x0, y0, x1, y1 = box
        before = warped[y0:y1, x0:x1]
        mixed = warped.copy()
        texture = self.lips.warp(frame.mesh, box)
        light = light_between(before, texture, frame.mesh[:, :2] - (x0, y0), unit)
        mixed[y0:y1, x0:x1] = np.clip(texture * light + 0.5, 0, 255).astype(np.uint8)
        self.painter.paste(mixed, frame, painted)
        origin = np.array([x0, y0], np.float32)
        mask = self.mask * around_lips(transform(frame.mesh[:, :2], painted.frame))
        share = place_patch(mask, painted.frame, origin, (x1 - x0, y1 - y0))
        share = share[..., None] * self.face.strength[index]
        blended = before + (mixed[y0:y1, x0:x1] - before.astype(np.float32)) * share
        warped[y0:y1, x0:x1] = np.rint(blended).astype(np.uint8)
        restore_above(warped, image, frame)
        return warped


def restore_above(out: Bytes, image: Bytes, frame: Placed) -> None:
    """Put the film's own pixels back above the base of the nose, in place.

    Triangles of the cheeks reach a little above it, and move there by fractions of a pixel.
    """
    height, width = image.shape[:2]
    base = frame.mesh[SUBNASALE, :2]
    down = frame.pose.rotation[:2, 1]
    x0, y0, x1, y1 = box_of(frame.mesh[: topo.NUM_FACE_POINTS, :2], 0, (width, height))
    across = (np.arange(x0, x1, dtype=np.float32) - base[0]) * down[0]
    along = (np.arange(y0, y1, dtype=np.float32) - base[1]) * down[1]
    above = along[:, None] + across[None] < 0
    np.copyto(out[y0:y1, x0:x1], image[y0:y1, x0:x1], where=above[..., None])


def rig_at(face: FilmFace, index: int) -> FaceRig:
    """The face of one frame of a film as a portrait's."""
    mesh = face.meshes[index]
    shown = np.zeros(len(face.basis.expression), np.float32)
    return FaceRig(face.basis, face.pose(index), face.neutral, shown, mesh, mesh)
