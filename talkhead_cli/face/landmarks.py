"""Names for points of the 478-point face mesh, and the simple measures taken from it.

Left and right are those of the picture, not of the person. A mesh is (478, 3) float32: x right and y down in pixels of
the picture, z in the same unit, smaller towards the camera.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import WeightsError

if TYPE_CHECKING:
    from talkhead_models.basis import FaceBasis

Mesh = NDArray[np.float32]
Box = tuple[float, float, float, float]

NUM_POINTS = 478
NUM_FACE_POINTS = 468
"""Points of the face itself; the last ten are the irises."""

# fmt: off
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)
OUTER_LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185,
)
INNER_LIPS = (
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
)
LEFT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
RIGHT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
LEFT_IRIS = (468, 469, 470, 471, 472)
RIGHT_IRIS = (473, 474, 475, 476, 477)
# fmt: on
LEFT_EYE_CORNERS = (33, 133)
RIGHT_EYE_CORNERS = (362, 263)
LEFT_LIDS = ((160, 144), (159, 145), (158, 153))
RIGHT_LIDS = ((385, 380), (386, 374), (387, 373))
LIP_PAIRS = ((82, 87), (13, 14), (312, 317))
NOSE_TIP, CHIN, FOREHEAD = 1, 152, 10
MOUTH_CORNERS = (61, 291)


def mesh_box(mesh: Mesh) -> Box:
    """Tight box (x0, y0, x1, y1) around the face points, in pixels."""
    low, high = mesh[:NUM_FACE_POINTS, :2].min(0), mesh[:NUM_FACE_POINTS, :2].max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def eye_distance(mesh: Mesh) -> float:
    """Distance of the outer eye corners in pixels, with depth, so that it does not shrink as the head turns."""
    return float(np.linalg.norm(mesh[33] - mesh[263]))


def mouth_gap(mesh: Mesh) -> float:
    """Gap of the inner lips over the distance of the outer eye corners; below about 0.02 the lips are closed."""
    gaps = [np.linalg.norm(mesh[upper] - mesh[lower]) for upper, lower in LIP_PAIRS]
    return float(np.mean(gaps)) / max(eye_distance(mesh), 1e-6)


def eye_openness(mesh: Mesh) -> tuple[float, float]:
    """Height over width of the left and right eye of the picture; about 0.3 open, below 0.12 closed."""

    def ratio(corners: tuple[int, int], lids: tuple[tuple[int, int], ...]) -> float:
        width = np.linalg.norm(mesh[corners[0]] - mesh[corners[1]])
        heights = [np.linalg.norm(mesh[upper, :2] - mesh[lower, :2]) for upper, lower in lids]
        return float(np.mean(heights) / max(float(width), 1e-6))

    return ratio(LEFT_EYE_CORNERS, LEFT_LIDS), ratio(RIGHT_EYE_CORNERS, RIGHT_LIDS)


@lru_cache(maxsize=1)
def face_basis() -> FaceBasis:
    """The bundled linear face model.

    Raises:
        WeightsError: its bundle is missing or damaged.
    """
    from talkhead_models.basis import FaceBasis
    from talkhead_models.bundle_files import BundleError

    try:
        return FaceBasis.load()
    except BundleError as error:
        raise WeightsError(str(error)) from error


def canonical_mesh() -> Mesh:
    """The upright frontal mean face, (478, 3) float32, unit = distance of the outer eye corners."""
    return face_basis().mean


def mirror_points() -> NDArray[np.int32]:
    """(478,) int32, each point's partner on the other half of the face."""
    return face_basis().mirror_points


def head_angles(mesh: Mesh) -> tuple[float, float, float]:
    """Yaw, pitch and roll of the head in degrees.

    Yaw is positive towards the right of the picture, pitch positive downwards, roll positive clockwise.
    """
    from talkhead_models.basis import fit_pose, rotation_angles

    pose = fit_pose(mesh, canonical_mesh())
    pitch, yaw, roll = np.degrees(rotation_angles(pose.rotation))
    return float(yaw), float(pitch), float(roll)
