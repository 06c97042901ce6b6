"""The lips of a film, taken from one frame so that they hold still in all of them, and where they may show.

Lips warped from each frame's own would flicker: pressed in one, open over bright teeth in the next, blurred in a third.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.film_face import SUBNASALE, FilmFace, smoothstep
from talkhead_models.painting import shrink
from talkhead_models.patches import MOUTH, PIXELS_PER_UNIT, PatchSource
from talkhead_models.rig import FaceRig, inset_lips
from talkhead_models.warp import apply_affines, box_of, coverage, raster_ids, triangle_affines

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Box = tuple[int, int, int, int]

SIDE_FADE = 0.16
"""Share of the mouth's patch over which its sides and bottom fade into the film."""

OUTLINE = (
    topo.OUTER_CORNERS[0],
    *topo.UPPER_OUTER_LIP,
    topo.OUTER_CORNERS[1],
    *reversed(topo.LOWER_OUTER_LIP),
)
"""The lips as a closed polygon."""

LIP_MARGIN, LIP_BLUR = 15, 4.0
"""Pixels of the mouth's patch: diameter that the lips are widened by, and deviation of the blur of their edge."""

LIP_REACH_UNITS = (LIP_MARGIN / 2 + 4 * LIP_BLUR) / PIXELS_PER_UNIT
"""Canonical units around the lips beyond which nothing is laid over the film."""

INSET = 1.0
"""How far the inner edge of open lips is drawn into the lips for taking pixels, see `inset_lips`: what is dark between
lips that hardly part would stay on them when they close."""

AROUND = (
    2,
    326,
    423,
    425,
    411,
    434,
    430,
    431,
    262,
    428,
    199,
    208,
    32,
    211,
    210,
    214,
    187,
    205,
    203,
    97,
)
"""Skin around the mouth as a closed polygon: base of the nose, cheeks, chin."""

LIGHT_PIXELS = 24.0
"""Pixels per canonical unit that light is compared at."""

LIGHT_REACH = 0.14
"""Deviation, in canonical units, of the blur that leaves light and takes pores, stubble and creases away."""

LIGHT_LIMITS = (0.6, 1.6)
"""How far the light of two frames may differ."""


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


def rig_at(face: FilmFace, index: int) -> FaceRig:
    """The face of one frame of a film as a portrait's."""
    mesh = face.meshes[index]
    shown = np.zeros(len(face.basis.expression), np.float32)
    return FaceRig(face.basis, face.pose(index), face.neutral, shown, mesh, mesh)


class LipTexture(NamedTuple):
    """The lower face of one frame.

    Attributes:
        image: (h, w, 3) uint8 RGB, the frame around the face.
        mesh: (478, 3) float32 pixels of it.
        small: the same at the resolution of the mouth's patch.
        triangles: (N, 3) of the mesh's lower face.
    """

    image: Bytes
    mesh: Array
    small: PatchSource
    triangles: NDArray[np.int32]

    @classmethod
    def cut(cls, face: FilmFace, index: int, image: Bytes, dark: Array) -> LipTexture:
        """Take it from a frame.

        Args:
            face: through the film.
            index: of the frame.
            image: (H, W, 3) uint8 RGB, the frame.
            dark: (3,) colour of the dark of the mouth.
        """
        mesh, pose = face.meshes[index], face.pose(index)
        height, width = image.shape[:2]
        margin = 0.1 * float(pose.scale)
        x0, y0, x1, y1 = box_of(mesh[: topo.NUM_FACE_POINTS, :2], margin, (width, height))
        corner = np.array([x0, y0, 0], np.float32)
        pose = pose._replace(offset=pose.offset - corner)
        rig = replace(rig_at(face, index), pose=pose, mesh=mesh - corner)
        inset = inset_lips(rig.mesh, rig.unit, INSET)
        piece = np.ascontiguousarray(image[y0:y1, x0:x1])
        source = PatchSource(piece, inset, np.eye(2, 3, dtype=np.float32), dark)
        triangles = face.basis.triangles
        lower = triangles[(face.jaw[triangles, 0] > 0).any(1)]
        return cls(piece, inset, shrink(MOUTH, source, rig, PIXELS_PER_UNIT), lower)

    def warp(self, target: Array, box: Box) -> Bytes:
        """The lower face on another mesh (478, 3), the pixels of a box x0, y0, x1, y1; anything beside the face."""
        x0, y0, x1, y1 = box
        faces = target[self.triangles]
        corners = faces[..., :2] - np.array([x0, y0], np.float32)
        ids = raster_ids(corners, (x1 - x0, y1 - y0), np.argsort(-faces[..., 2].mean(1)))
        position = np.zeros((y1 - y0, x1 - x0, 2), np.float32)
        apply_affines(ids, triangle_affines(corners, self.mesh[:, :2][self.triangles]), position)
        flags = cv2.INTER_CUBIC
        moved = cv2.remap(self.image, position, None, flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.uint8)


def lip_box(mesh: Array, unit: float, limit: tuple[int, int]) -> Box:
    """What the lips of a mesh (478, >=2) and all that is laid over the film around them lie in, x0, y0, x1, y1.

    Args:
        mesh: pixels.
        unit: pixels per canonical unit.
        limit: width and height of the picture.
    """
    return box_of(mesh[list(OUTLINE), :2], LIP_REACH_UNITS * unit, limit)


def light_between(own: Bytes, texture: Bytes, points: Array, unit: float) -> Array:
    """How much brighter the skin around the lips is in one picture than in another, (h', w', 3) float32, smooth.

    It is smaller than the pictures, see `LIGHT_PIXELS`.

    Args:
        own: (h, w, 3) uint8 RGB.
        texture: likewise, the same place.
        points: (478, 2) mesh in its pixels.
        unit: pixels per canonical unit.
    """
    height, width = own.shape[:2]
    zoom = min(1.0, LIGHT_PIXELS / unit)
    size = (max(4, round(width * zoom)), max(4, round(height * zoom)))
    scale = np.array([size[0] / width, size[1] / height], np.float32)
    place = np.asarray((points + 0.5) * scale - 0.5, np.float32)
    lips = cv2.dilate(coverage(place[list(OUTLINE)], size), np.ones((3, 3), np.uint8))
    skin = coverage(place[list(AROUND)], size) * (1 - lips)
    weight = (skin + 1e-6)[..., None]
    low = []
    for picture in (own, texture):
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        # Blacks have no light to compare.
        low.append(cv2.GaussianBlur((small + 4) * weight, (0, 0), LIGHT_REACH * unit * zoom))
    return np.asarray(np.clip(low[0] / low[1], *LIGHT_LIMITS), np.float32)
