"""The line where shut lids meet: drawn smooth and as dark as the portrait's own upper lashes.

The mesh only carries pixels of open eyes: two margins that abut are a ragged edge with rests of the eye's white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.warp import box_of, pick, smooth_curve

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]

THICKNESS = 0.042
"""Of the line at full closure, in outer-eye distances; it fades to nothing over its width."""

DRAWN_BELOW = 0.3
"""Opening, as a share of the portrait's, below which the line begins to show."""

STRENGTH = 0.9
SEARCH = 0.045
"""How far from the tracked margin the lashes are looked for, in outer-eye distances."""


def mean_opening(mesh: Array, eye: int) -> float:
    """Mean distance of the lids of a mesh (478, >=2) in its pixels."""
    upper, lower = pick(mesh, topo.UPPER_LIDS[eye]), pick(mesh, topo.LOWER_LIDS[eye])
    return float(np.linalg.norm(lower - upper, axis=1).mean())


class Stroke(NamedTuple):
    """One line: its box x0, y0, x1, y1, its share (h, w) float32 of each pixel, its colour (3,)."""

    box: tuple[int, int, int, int]
    share: Array
    colour: Array


@dataclass(frozen=True)
class Lashes:
    """Of one portrait.

    Attributes:
        colours: (2, 3) float32 of the upper lashes, the viewer's left eye first.
        openings: of the portrait's eyes, pixels.
        unit: outer-eye distance, pixels.
    """

    colours: Array
    openings: tuple[float, float]
    unit: float

    @classmethod
    def of(cls, image: Bytes, mesh: Array, unit: float) -> Lashes:
        """Look for the lashes of a portrait (H, W, 3) with a mesh (478, >=2)."""
        colours = []
        limit = (image.shape[1] - 1, image.shape[0] - 1)
        for eye in range(2):
            margin, above = pick(mesh, topo.UPPER_LIDS[eye]), pick(mesh, topo.ABOVE_LIDS[eye])
            outward = above - margin
            outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
            reach = np.linspace(-0.2, 1, 9, dtype=np.float32)[:, None, None] * SEARCH * unit
            places = np.clip(np.rint(margin + reach * outward).astype(int), 0, limit)
            seen = image[places[..., 1], places[..., 0]].astype(np.float32)
            darkest = seen.sum(-1).argmin(0)
            colours.append(seen[darkest, np.arange(seen.shape[1])].mean(0))
        openings = (mean_opening(mesh, 0), mean_opening(mesh, 1))
        return cls(np.stack(colours), openings, unit)

    def strokes(self, mesh: Array, size: tuple[int, int]) -> list[Stroke]:
        """The lines of a frame's mesh (478, >=2) in a picture of this width and height."""
        found = []
        for eye in range(2):
            ratio = mean_opening(mesh, eye) / max(self.openings[eye], 1e-3)
            shut = 1 - ratio / DRAWN_BELOW
            if shut <= 0:
                continue
            left, right = pick(mesh, topo.EYE_CORNERS[eye])
            upper, lower = pick(mesh, topo.UPPER_LIDS[eye]), pick(mesh, topo.LOWER_LIDS[eye])
            line = np.concatenate([left[None], (upper + lower) / 2, right[None]])
            found.append(self._stroke(line, shut * STRENGTH, self.colours[eye], size))
        return found

    def draw(self, mesh: Array, out: Bytes) -> None:
        """Draw the lines of a frame's mesh (478, >=2) into it (H, W, 3), in place."""
        for (x0, y0, x1, y1), share, colour in self.strokes(mesh, (out.shape[1], out.shape[0])):
            region = out[y0:y1, x0:x1].astype(np.float32)
            # Only darker: light lashes or a dark lid show no line.
            region += share[..., None] * np.minimum(colour - region, 0)
            out[y0:y1, x0:x1] = (region + 0.5).astype(np.uint8)

    def _stroke(
        self, line: Array, strength: float, colour: Array, limit: tuple[int, int]
    ) -> Stroke:
        width = THICKNESS * self.unit
        x0, y0, x1, y1 = box_of(line, 2 * width + 2, limit)
        zoom = float(np.clip(8 / width, 1, 4))
        size = (round((x1 - x0) * zoom), round((y1 - y0) * zoom))
        stroke = np.zeros(size[::-1], np.uint8)
        points = (smooth_curve(line) - (x0, y0) + 0.5) * zoom - 0.5
        fixed = np.rint(points * 16).astype(np.int32)
        cv2.polylines(
            stroke, [fixed], False, 255, max(1, round(0.5 * width * zoom)), cv2.LINE_AA, 4
        )
        stroke = cv2.GaussianBlur(stroke, (0, 0), 0.25 * width * zoom)
        alpha = cv2.resize(stroke, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        share = alpha.astype(np.float32) * np.float32(strength / 255)
        return Stroke((x0, y0, x1, y1), share, colour)
