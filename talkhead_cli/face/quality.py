"""Is the face sharp, and is something in front of it? Measures for the portrait and the pre-flight report."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.face.graphs import MediapipeGraphs, shared_graphs
from talkhead_cli.face.landmarks import Mesh, mesh_box

Pixels = NDArray[np.uint8]

BLURRED_BELOW = 0.04
"""Sharp faces have 0.1 and more; 0.04 is a blur of 1/128 of the face's width, or a face 50 pixels wide."""
MEASURED_WIDTH = 256

# fmt: off
SKIN_POINTS = (50, 280, 205, 425, 117, 346, 101, 330, 187, 411, 5, 195, 36, 266)
LOWER_POINTS = (
    164, 167, 393, 165, 391, 43, 273, 106, 335, 182, 406, 83, 313, 18, 200, 199, 201, 421, 208,
    428, 175, 32, 262,
)
MIDDLE_POINTS = (13, 1, 152, 50, 280)
# fmt: on
LEAST_STRANGE = 14.0
"""A colour difference (Lab, lightness counted at 0.4) that shade and beards rarely reach."""


def face_sharpness(image: Pixels, mesh: Mesh) -> float:
    """Energy of the finest detail of the face over that of coarser detail, seen at one width; see `BLURRED_BELOW`."""
    import cv2

    x0, y0, x1, y1 = (round(value) for value in mesh_box(mesh))
    part = image[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
    if min(part.shape[:2]) < 8:
        return 0.0
    full = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY).astype(np.float32)
    factor = MEASURED_WIDTH / full.shape[1]
    size = (MEASURED_WIDTH, max(8, round(full.shape[0] * factor)))
    grey = cv2.resize(full, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    middle = cv2.GaussianBlur(grey, (0, 0), 1.5)
    coarse = cv2.GaussianBlur(grey, (0, 0), 6.0)
    return float((grey - middle).var() / max(float((middle - coarse).var()), 1e-3))


def lower_face_strangeness(image: Pixels, mesh: Mesh) -> float:
    """Share of the skin around mouth and chin whose colour is not that of cheeks and nose, in [0, 1]."""
    import cv2

    x0, y0, x1, y1 = mesh_box(mesh)
    left, top = max(0, int(x0)), max(0, int(y0))
    part = np.ascontiguousarray(image[top : int(y1) + 2, left : int(x1) + 2])
    if min(part.shape[:2]) < 8:
        return 0.0
    factor = min(1.0, 128 / part.shape[1])
    size = tuple(max(8, round(length * factor)) for length in part.shape[1::-1])
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    reach = max(1, round((x1 - x0) * factor * 0.05))
    smooth = cv2.blur(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), (reach, reach))
    lab = smooth * np.array([0.4, 1.0, 1.0], np.float32)

    def colours(points: tuple[int, ...]) -> NDArray[np.float32]:
        places = np.round((mesh[list(points), :2] - (left, top)) * factor).astype(int)
        places = np.clip(places, 0, (lab.shape[1] - 1, lab.shape[0] - 1))
        return np.asarray(lab[places[:, 1], places[:, 0]], np.float32)

    skin = colours(SKIN_POINTS)
    usual = np.median(skin, axis=0)
    spread = float(np.median(np.linalg.norm(skin - usual, axis=1)))
    distance = np.linalg.norm(colours(LOWER_POINTS) - usual, axis=1)
    return float((distance > max(LEAST_STRANGE, 10.0 + spread)).mean())


def hand_on_face(image: Pixels, mesh: Mesh, graphs: MediapipeGraphs | None = None) -> bool:
    """Tell whether a hand seems to cover the middle of the face."""
    import cv2

    x0, y0, x1, y1 = mesh_box(mesh)
    unit = max(x1 - x0, y1 - y0)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    left, top = max(0, int(x - 1.2 * unit)), max(0, int(y - 1.2 * unit))
    part = image[top : int(y + 1.2 * unit), left : int(x + 1.2 * unit)]
    for hand in (graphs or shared_graphs()).hands(part):
        hull = cv2.convexHull((hand + np.array([left, top])).astype(np.float32))
        for index in MIDDLE_POINTS:
            point = float(mesh[index, 0]), float(mesh[index, 1])
            if cv2.pointPolygonTest(hull, point, True) > -0.03 * unit:
                return True
    return False


def occlusion_hints(image: Pixels, mesh: Mesh, look_for_hands: bool = False) -> tuple[str, ...]:
    """Hints at things in front of the face, in words; they may be wrong.

    Args:
        image: (H, W, 3) uint8 RGB.
        mesh: (478, 3) float32 pixels.
        look_for_hands: takes a fifth of a second longer.
    """
    hints = []
    if lower_face_strangeness(image, mesh) > 0.5:
        hints.append("the lower face has another colour than the cheeks")
    if look_for_hands and hand_on_face(image, mesh):
        hints.append("a hand seems to be in front of the face")
    return tuple(hints)
