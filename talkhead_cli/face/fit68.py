"""The 478-point mesh from 68 landmarks: the face model is fitted to them, then bent to meet each one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.face.landmarks import Mesh, face_basis

Points = NDArray[np.float64]

# fmt: off
MESH_OF_68 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)
"""The mesh point that lies where each of the 68 landmarks does: jaw, brows, nose, eyes, outer lips, inner lips."""
# fmt: on
NUM_LANDMARKS = len(MESH_OF_68)
NUM_JAW = 17
JAW_WEIGHT = 0.3
"""The jaw line is drawn less exactly than eyes and lips, and slides along the face when the head turns."""
NUM_ROUNDS = 8
NOISE = 0.02
"""Expected error of a landmark in eye distances: how much to trust the landmarks against the face model."""
STIFFNESS = 1e-3


def fit_mesh(landmarks: NDArray[np.float64]) -> Mesh:
    """The mesh through 68 landmarks.

    Args:
        landmarks: (68, 2) or (68, 3) pixels; depth is not used, since the face model knows it better.

    Returns:
        (478, 3) float32 pixels.

    Raises:
        ValueError: another shape.
    """
    if landmarks.shape[:1] != (NUM_LANDMARKS,) or landmarks.ndim != 2:
        raise ValueError(f"landmarks must be ({NUM_LANDMARKS}, 2), got {landmarks.shape}")
    target = np.asarray(landmarks[:, :2], np.float64)
    shape, scale, rotation, offset = fit_model(target)
    mesh = scale * shape @ rotation.T
    mesh[:, :2] += offset
    residual = target - mesh[list(MESH_OF_68), :2]
    mesh[:, :2] += bend(shape[:, :2], list(MESH_OF_68), residual)
    return mesh.astype(np.float32)


def fit_model(target: Points) -> tuple[Points, float, Points, Points]:
    """Shape (478, 3), scale, rotation (3, 3) and offset (2,) of the face model that come closest to 68 points (68, 2).

    Pose and shape are solved in turn, each in closed form; the shape is held near the mean face by its known spread.
    """
    basis = face_basis()
    mean = basis.mean.astype(np.float64)
    modes = np.concatenate([basis.identity, basis.expression]).astype(np.float64)
    index = list(MESH_OF_68)
    weight = np.ones(NUM_LANDMARKS)
    weight[:NUM_JAW] = JAW_WEIGHT
    coefficients = np.zeros(len(modes))
    shape = mean
    for _ in range(NUM_ROUNDS):
        shape = mean + np.tensordot(coefficients, modes, 1)
        scale, rotation, offset = weak_perspective(shape[index], target, weight)
        projection = scale * rotation[:2]
        design = (modes[:, index] @ projection.T).reshape(len(modes), -1).T
        gap = (target - offset - mean[index] @ projection.T).reshape(-1)
        row_weight = np.repeat(weight, 2)[:, None]
        normal = design.T @ (design * row_weight) + (NOISE * scale) ** 2 * np.eye(len(modes))
        coefficients = np.linalg.solve(normal, design.T @ (gap * row_weight[:, 0]))
    shape = mean + np.tensordot(coefficients, modes, 1)
    scale, rotation, offset = weak_perspective(shape[index], target, weight)
    return shape, scale, rotation, offset


def weak_perspective(
    shape: Points, target: Points, weight: NDArray[np.float64]
) -> tuple[float, Points, Points]:
    """Scale, rotation (3, 3) and offset (2,) that carry points (N, 3) nearest to (N, 2)."""
    root = np.sqrt(weight)[:, None]
    homogeneous = np.hstack([shape, np.ones((len(shape), 1))])
    solution = np.linalg.lstsq(homogeneous * root, target * root, rcond=None)[0]
    left, sizes, right = np.linalg.svd(solution[:3].T, full_matrices=False)
    scale = float(sizes.mean())
    rows = left @ right
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])])
    share = weight / weight.sum()
    offset = share @ target - scale * rows @ (share @ shape)
    return scale, rotation, offset


def bend(places: Points, index: list[int], moves: Points) -> Points:
    """Carry the moves (N, 2) of some places on to all of them, smoothly (thin-plate spline), (P, 2).

    Args:
        places: (P, 2) positions of all points in the face's own frame.
        index: the N points whose moves are known.
        moves: (N, 2).
    """
    anchors = places[index]
    size = len(index)
    affine = np.hstack([np.ones((size, 1)), anchors])
    system = np.zeros((size + 3, size + 3))
    system[:size, :size] = thin_plate(anchors, anchors) + STIFFNESS * np.eye(size)
    system[:size, size:] = affine
    system[size:, :size] = affine.T
    right = np.vstack([moves, np.zeros((3, 2))])
    solution = np.linalg.solve(system, right)
    return np.asarray(
        thin_plate(places, anchors) @ solution[:size]
        + np.hstack([np.ones((len(places), 1)), places]) @ solution[size:]
    )


def thin_plate(first: Points, second: Points) -> Points:
    """The kernel r^2 log r between two sets of places, (P, N)."""
    squared = ((first[:, None] - second[None]) ** 2).sum(-1)
    return np.asarray(0.5 * squared * np.log(squared + 1e-12))
