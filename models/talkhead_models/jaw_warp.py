"""Carries the lower face of a film's frame to where new speech puts it; what does not move stays bit for bit."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.film_face import FilmFace, smoothstep
from talkhead_models.rig import inset_lips
from talkhead_models.warp import apply_affines, box_of, raster_ids, signed_areas, triangle_affines

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Box = tuple[int, int, int, int]

JAW_ARC = topo.FACE_OVAL[8:29]
"""The face's outline from one ear down around the chin to the other."""

RING_DISTANCES = (0.1, 0.22, 0.36, 0.52, 0.7)
"""Canonical units outside the jaw line at which neck and collar follow less and less, and at last not at all."""

STILL = 1 / 64
"""Pixels of motion below which a pixel is the film's own."""

STILL_UNITS = 1 / 6400
"""The same in canonical units: large films have more pixels to a motion that nobody sees."""

FINE_ENOUGH = 80.0
"""Pixels per canonical unit that the motion is worked out at; beyond the lips, which are drawn over, it is smooth."""

BAND = 32
"""Rows that are filled at once, as wide as anything moves in them."""

LIP_INSET = 1.0
"""How far the inner edge of open lips is drawn into the lips for taking pixels, see `inset_lips`: further than for a
portrait, since a film's lips are tracked in motion, and a tooth taken for lip would flash when they are closed."""

MIDDLE = 4
"""The tip of the nose, which rings grow away from."""


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
        """The picture (H, W, 3) with its lower face moved; a copy. See `move`."""
        out = image.copy()
        self.move(image, out, source, target, unit)
        return out

    def move(
        self, image: Bytes, out: Bytes, source: Array, target: Array, unit: float
    ) -> Box | None:
        """Write the moved lower face of a picture into a copy of it; the box x0, y0, x1, y1 written to.

        Args:
            image: (H, W, 3) uint8 RGB.
            out: the copy.
            source: (478, 3) the mesh in it.
            target: (478, 3) where it is to go.
            unit: pixels per canonical unit.
        """
        height, width = image.shape[:2]
        before, after = self._rings(source, target, unit)
        inset = inset_lips(source, unit, LIP_INSET)[:, :2]
        faces = target[self.triangles]
        corners = np.concatenate([after[self.ring_triangles], faces[..., :2]])
        origin = np.concatenate([before[self.ring_triangles], inset[self.triangles]])
        x0, y0, x1, y1 = box_of(corners.reshape(-1, 2), 1, (width, height))
        if not (np.isfinite(corners).all() and x1 - x0 > 2 and y1 - y0 > 2):
            return None
        depth = faces[..., 2].mean(1)
        # What faces away lies behind everything else; the neck behind all of the face.
        depth[signed_areas(faces[..., :2]) * self.facing < 0] += 10 * unit
        order = np.argsort(-depth) + len(self.ring_triangles)
        order = np.concatenate([np.arange(len(self.ring_triangles)), order])
        # Every `step`th pixel is looked at, in the middle of what it stands for.
        step = max(1, int(unit // FINE_ENOUGH))
        size = (-(-(x1 - x0) // step), -(-(y1 - y0) // step))
        corners = (corners - np.array([x0, y0], np.float32) + 0.5) / step - 0.5
        ids = raster_ids(corners, size, order)
        columns = x0 + (np.arange(size[0], dtype=np.float32) + 0.5) * step - 0.5
        rows = y0 + (np.arange(size[1], dtype=np.float32) + 0.5) * step - 0.5
        grid = np.stack(np.meshgrid(columns, rows), -1)
        shift = grid.copy()
        apply_affines(ids, triangle_affines(corners, origin), shift)
        shift -= grid
        still = np.abs(shift).max(-1) < max(STILL, STILL_UNITS * unit)
        shift[still] = 0
        if still.all():
            return None
        # A still pixel beside a moving one may be moved by the interpolation.
        cells = [np.flatnonzero(~still.all(axis)) for axis in (0, 1)]
        low = [max(0, int(found[0]) - 1) for found in cells]
        high = [min(size[axis], int(found[-1]) + 2) for axis, found in enumerate(cells)]
        shift = shift[low[1] : high[1], low[0] : high[0]]
        box = (
            x0 + low[0] * step,
            y0 + low[1] * step,
            min(x1, x0 + high[0] * step),
            min(y1, y0 + high[1] * step),
        )
        warp_box(image, out, shift, step, box)
        return box


def warp_box(image: Bytes, out: Bytes, shift: Array, step: int, box: Box) -> None:
    """Fill a box of a picture from another one, pixel by pixel from where its shift says.

    Args:
        image: (H, W, 3) uint8 RGB.
        out: likewise; written in place.
        shift: (h, w, 2) pixels, for every `step`th pixel of the box.
        step: see there.
        box: x0, y0, x1, y1.
    """
    x0, y0, x1, y1 = box
    moving = cv2.dilate(shift.any(-1).astype(np.uint8), np.ones((3, 3), np.uint8))
    if step > 1:
        size = (shift.shape[1] * step, shift.shape[0] * step)
        shift = np.asarray(cv2.resize(shift, size, interpolation=cv2.INTER_LINEAR), np.float32)
    shift[: y1 - y0, : x1 - x0, 0] += np.arange(x0, x1, dtype=np.float32)
    shift[: y1 - y0, : x1 - x0, 1] += np.arange(y0, y1, dtype=np.float32)[:, None]
    band = max(1, BAND // step)
    for top in range(0, len(moving), band):
        columns = np.flatnonzero(moving[top : top + band].any(0))
        if not len(columns):
            continue
        left, right = x0 + columns[0] * step, min(x1, x0 + (columns[-1] + 1) * step)
        low, high = y0 + top * step, min(y1, y0 + (top + band) * step)
        position = shift[low - y0 : high - y0, left - x0 : right - x0]
        # Bicubic interpolation at a pixel's own centre is that pixel.
        out[low:high, left:right] = cv2.remap(
            image, position, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
