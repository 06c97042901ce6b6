"""FaceBasis: the linear face model between meshes in pixels and FaceMotion.

Canonical frame: origin at the centroid of the stable points, x right, y down, z away from the camera, unit = distance
between the outer eye corners. A mesh in pixels is ``scale * rotation @ canonical + offset`` (weak perspective).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.bundle_files import fitting, load_arrays

Array = NDArray[np.float32]

NECK_PIVOT = np.array([0.0, 1.25, 0.75], np.float32)
"""Where the head turns: canonical units below and behind the face's centre."""


class Pose(NamedTuple):
    """Weak-perspective pose of one or many meshes.

    Attributes:
        scale: (...,) pixels per canonical unit.
        rotation: (..., 3, 3).
        offset: (..., 3) pixels, where the canonical origin lies.
    """

    scale: Array
    rotation: Array
    offset: Array

    def apply(self, canonical: Array) -> Array:
        """Canonical (..., P, 3) to pixels (..., P, 3)."""
        turned = canonical @ np.swapaxes(self.rotation, -1, -2)
        return turned * self.scale[..., None, None] + self.offset[..., None, :]

    def invert(self, mesh: Array) -> Array:
        """Pixels (..., P, 3) to canonical (..., P, 3)."""
        centred = (mesh - self.offset[..., None, :]) / self.scale[..., None, None]
        return centred @ self.rotation


def fit_pose(mesh: Array, reference: Array) -> Pose:
    """Similarity that carries `reference` on to `mesh` in the least-squares sense over the stable points.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991.

    Args:
        mesh: (..., 478, 3) float32 pixels.
        reference: (478, 3) or (..., 478, 3) float32, canonical.
    """
    stable = list(topo.STABLE)
    target, source = mesh[..., stable, :], reference[..., stable, :]
    target_mean, source_mean = target.mean(-2), source.mean(-2)
    target = target - target_mean[..., None, :]
    source = np.broadcast_to(source - source_mean[..., None, :], target.shape)
    covariance = np.swapaxes(target, -1, -2) @ source
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.ones((*singular.shape[:-1], 3), np.float32)
    sign[..., 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * sign[..., None, :]) @ vt
    scale = (singular * sign).sum(-1) / (source**2).sum((-1, -2))
    turned = np.einsum(
        "...ij,...j->...i", rotation, np.broadcast_to(source_mean, target_mean.shape)
    )
    offset = target_mean - scale[..., None] * turned
    return Pose(
        np.asarray(scale, np.float32), rotation.astype(np.float32), offset.astype(np.float32)
    )


def rotation_matrix(angles: Array) -> Array:
    """(..., 3) pitch, yaw, roll in radians to (..., 3, 3): roll after yaw after pitch, signs as in FaceMotion."""
    pitch, yaw, roll = np.moveaxis(np.asarray(angles, np.float64), -1, 0)
    zero, one = np.zeros_like(pitch), np.ones_like(pitch)

    def stack(*rows: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
        return np.stack([np.stack(row, -1) for row in rows], -2)

    cos, sin = np.cos, np.sin
    # z points away from the camera: a nod (pitch > 0) carries the nose (z < 0) down, a yaw > 0 carries it right.
    about_x = stack(
        (one, zero, zero), (zero, cos(pitch), -sin(pitch)), (zero, sin(pitch), cos(pitch))
    )
    about_y = stack((cos(yaw), zero, -sin(yaw)), (zero, one, zero), (sin(yaw), zero, cos(yaw)))
    about_z = stack((cos(roll), -sin(roll), zero), (sin(roll), cos(roll), zero), (zero, zero, one))
    return (about_z @ about_y @ about_x).astype(np.float32)


def rotation_angles(matrix: Array) -> Array:
    """The inverse of `rotation_matrix`, (..., 3, 3) to (..., 3)."""
    yaw = np.arcsin(np.clip(matrix[..., 2, 0], -1, 1))
    pitch = np.arctan2(matrix[..., 2, 1], matrix[..., 2, 2])
    roll = np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0])
    return np.stack([pitch, yaw, roll], -1).astype(np.float32)


def lip_gaps(mesh: Array) -> Array:
    """Vertical inner-lip gaps (..., 9) of canonical meshes; negative where the lips have crossed."""
    upper = mesh[..., list(topo.UPPER_INNER_LIP), 1]
    lower = mesh[..., list(topo.LOWER_INNER_LIP), 1]
    return np.asarray(lower - upper, np.float32)


def eye_apertures(mesh: Array) -> Array:
    """Lid opening over eye width of canonical meshes, (..., 2), the viewer's left eye first."""
    result = []
    for (left, right), upper, lower in zip(
        topo.EYE_CORNERS, topo.UPPER_LIDS, topo.LOWER_LIDS, strict=True
    ):
        opening = (mesh[..., list(lower[2:5]), 1] - mesh[..., list(upper[2:5]), 1]).mean(-1)
        result.append(opening / np.linalg.norm(mesh[..., left, :2] - mesh[..., right, :2], axis=-1))
    return np.stack(result, -1).astype(np.float32)


def gaze_offsets(mesh: Array) -> Array:
    """Mean iris centre relative to the eye's middle, in eye widths, (..., 2): x right, y down."""
    result = []
    for (left, right), iris in zip(topo.EYE_CORNERS, topo.IRIS_CENTRES, strict=True):
        middle = (mesh[..., left, :2] + mesh[..., right, :2]) / 2
        width = np.linalg.norm(mesh[..., left, :2] - mesh[..., right, :2], axis=-1)
        result.append((mesh[..., iris, :2] - middle) / width[..., None])
    return np.mean(result, 0).astype(np.float32)


@dataclass(frozen=True)
class FaceBasis:
    """Mean face, expression and identity bases, triangles.

    Attributes:
        mean: (478, 3) float32, canonical neutral face with closed lips.
        expression: (K, 478, 3) float32, displacement of one standard deviation of each coefficient.
        identity: (J, 478, 3) float32, likewise between people.
        triangles: (854, 3) int32, the face without the mouth and eye holes.
        mirror_points: (478,) int32, each point's partner on the other half of the face.
        mirror: (K, K) float32; ``expression @ mirror`` is the mirrored expression.
    """

    mean: Array
    expression: Array
    identity: Array
    triangles: NDArray[np.int32]
    mirror_points: NDArray[np.int32]
    mirror: Array

    @classmethod
    def load(cls, name: str = "face-basis") -> FaceBasis:
        """From a bundle.

        Raises:
            BundleError: the bundle is missing or damaged.
        """
        integer = {"triangles", "mirror_points"}
        arrays: dict[str, Any] = {
            key: value.astype(np.int32 if key in integer else np.float32)
            for key, value in load_arrays(name).items()
        }
        with fitting(name, "a face model"):
            basis = cls(**arrays)
            basis._check()
        return basis

    def _check(self) -> None:
        """Insist on arrays of the right shapes, and on indices of points that there are.

        Raises:
            ValueError: there is another.
        """
        points, count = topo.NUM_POINTS, len(self.expression)
        shapes = {"mean": (points, 3), "expression": (count, points, 3), "mirror": (count, count)}
        shapes |= {"identity": (len(self.identity), points, 3), "mirror_points": (points,)}
        shapes["triangles"] = (len(self.triangles), 3)
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has the shape {getattr(self, name).shape}, not {shape}")
        for indices in (self.triangles, self.mirror_points):
            if indices.min() < 0 or indices.max() >= points:
                raise ValueError(f"it speaks of points beyond the {points} of a face")

    def deltas(self, expression: Array) -> Array:
        """Displacements (T, 478, 3) of expression coefficients (T, K)."""
        flat = expression @ self.expression.reshape(len(self.expression), -1)
        return flat.reshape(-1, topo.NUM_POINTS, 3).astype(np.float32)

    def project(self, deltas: Array, ridge: float = 1e-4) -> Array:
        """Expression coefficients (T, K) of displacements from neutral (T, 478, 3), lips weighted."""
        weight = point_weights()[:, None]
        basis = (self.expression * weight).reshape(len(self.expression), -1)
        gram = basis @ basis.T + ridge * np.eye(len(basis), dtype=np.float32) * np.trace(
            basis @ basis.T
        ) / len(basis)
        right = (deltas * weight).reshape(len(deltas), -1) @ basis.T
        return np.linalg.solve(gram, right.T).T.astype(np.float32)

    def lip_gap(self, expression: Array) -> Array:
        """Inner-lip gap (T,) at the middle of the mouth, in outer-eye distances, on the mean face."""
        points = [13, 14]
        mesh = self.mean[points] + np.einsum("tk,kpd->tpd", expression, self.expression[:, points])
        return np.asarray(mesh[:, 1, 1] - mesh[:, 0, 1], np.float32)

    def split_portrait(self, canonical: Array) -> tuple[Array, Array]:
        """Split one canonical mesh (478, 3) into neutral face (478, 3) and expression (K,).

        Both bases are fitted at once with unit-variance priors; what neither explains stays with the neutral face.
        """
        weight = point_weights()[:, None]
        basis = np.concatenate([self.identity, self.expression]) * weight
        basis = basis.reshape(len(basis), -1)
        # The prior's strength is the mesh's own noise: about 0.01 canonical units a point.
        noise = 0.01
        # einsum, not BLAS: its sums have one order whatever the number of threads.
        right = np.einsum("kp,p->k", basis, ((canonical - self.mean) * weight).ravel())
        gram = np.einsum("kp,lp->kl", basis, basis)
        solution = np.linalg.solve(gram + noise**2 * np.eye(len(basis)) * 30, right)
        expression = solution[len(self.identity) :].astype(np.float32)
        return np.asarray(canonical - self.deltas(expression[None])[0], np.float32), expression


def point_weights() -> Array:
    """(478,) weights of the points in the expression fit: lips most, lids and irises not at all."""
    weights = np.full(topo.NUM_POINTS, 0.4, np.float32)
    weights[list(topo.CHIN)] = 1.0
    weights[list(topo.BROWS)] = 1.2
    weights[list(topo.LIPS)] = 2.0
    weights[list(topo.INNER_LIPS)] = 4.0
    weights[list(topo.lid_points())] = 0.0
    weights[topo.NUM_FACE_POINTS :] = 0.0
    return weights
