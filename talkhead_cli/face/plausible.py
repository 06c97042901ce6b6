"""Is a mesh a face? A wrong mesh, say on a hand, is worse than a refusal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.face.landmarks import (
    FACE_OVAL,
    LEFT_EYE,
    NUM_FACE_POINTS,
    OUTER_LIPS,
    RIGHT_EYE,
    Mesh,
    canonical_mesh,
)

MAX_MISFIT = 0.2
CAREFUL_MISFIT = 0.12
"""Root mean square distance to the canonical face in eye distances, after the best similarity."""


def implausible(mesh: Mesh, careful: bool = False) -> str | None:
    """Why a mesh cannot be a face, or None when it can.

    Args:
        mesh: (478, 3) float32 pixels.
        careful: the detector was not sure: demand a closer fit.
    """
    if not np.isfinite(mesh).all():
        return "points are not finite"
    misfit = canonical_misfit(mesh)
    if misfit > (CAREFUL_MISFIT if careful else MAX_MISFIT):
        return f"its shape is {misfit:.2f} eye distances from a face"
    oval = mesh[list(FACE_OVAL), :2].astype(np.float64)
    for name, part in (("mouth", OUTER_LIPS), ("left eye", LEFT_EYE), ("right eye", RIGHT_EYE)):
        if not inside(oval, mesh[list(part), :2].mean(0)):
            return f"the {name} is outside the face"
    return None


def canonical_misfit(mesh: Mesh) -> float:
    """Distance from the canonical face as in `MAX_MISFIT`."""
    reference = canonical_mesh()[:NUM_FACE_POINTS].astype(np.float64)
    points = mesh[:NUM_FACE_POINTS].astype(np.float64)
    first, second = points - points.mean(0), reference - reference.mean(0)
    left, sizes, right = np.linalg.svd(first.T @ second)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    scale = float((sizes * signs).sum() / (second**2).sum())
    fitted = second @ (left @ np.diag(signs) @ right).T * scale
    distance = np.sqrt(((first - fitted) ** 2).sum(1).mean())
    unit = scale * np.linalg.norm(reference[33] - reference[263])
    return float(distance / max(float(unit), 1e-6))


def inside(polygon: NDArray[np.float64], point: NDArray[np.float32]) -> bool:
    """Even-odd rule."""
    x, y = float(point[0]), float(point[1])
    ends = np.roll(polygon, -1, axis=0)
    crosses = (polygon[:, 1] > y) != (ends[:, 1] > y)
    rise = np.where(crosses, ends[:, 1] - polygon[:, 1], 1.0)
    at = polygon[:, 0] + (y - polygon[:, 1]) / rise * (ends[:, 0] - polygon[:, 0])
    return bool(np.count_nonzero(crosses & (at > x)) % 2)
