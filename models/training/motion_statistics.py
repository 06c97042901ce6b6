"""The Frechet motion distance: how far generated motion is from real motion as a whole.

What the Frechet inception distance is for pictures, over features of a second of motion instead of a
network's. `MotionStatistics` is fitted once on real clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from motion_data import Clip
from sklearn.covariance import ledoit_wolf

from talkhead_models.basis import FaceBasis, point_weights
from talkhead_models.generator import POSE
from talkhead_models.motion import EXPRESSION_SIZE as K

FACE_DIRECTIONS = 8
WINDOW_FRAMES, HOP_FRAMES = 25, 12
WINDOWS_PER_PERSON = 60
"""At most this many windows of one person describe real motion: one speaker has most of the clips."""

Part = Literal["all", "face", "pose"]


def window_features(motion: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """What the Frechet distance compares: 42 numbers of each second of motion.

    The face is its expression along `FACE_DIRECTIONS` directions in which the face's weighted points
    (lips most) move most, the head its six pose numbers. Of each of these 14, over windows of 25
    frames that begin every 12: mean, standard deviation, mean absolute difference of frames.

    Args:
        motion: (T, D), T at least 25.
        directions: (K, FACE_DIRECTIONS) from `face_directions`.

    Returns:
        (windows, 42) float64: face mean, deviation, difference, then pose likewise.
    """
    if len(motion) < WINDOW_FRAMES:
        raise ValueError(f"motion of {len(motion)} frames is shorter than {WINDOW_FRAMES}")
    rows = []
    for start in range(0, len(motion) - WINDOW_FRAMES + 1, HOP_FRAMES):
        window = motion[start : start + WINDOW_FRAMES].astype(np.float64)
        parts = (window[:, :K] @ directions, window[:, POSE])
        rows.append(
            np.concatenate(
                [
                    numbers
                    for part in parts
                    for numbers in (
                        part.mean(0),
                        part.std(0),
                        np.abs(np.diff(part, axis=0)).mean(0),
                    )
                ]
            )
        )
    return np.array(rows)


def face_directions(basis: FaceBasis) -> np.ndarray:
    """(K, FACE_DIRECTIONS): principal directions of the weighted face; they depend on no data."""
    weighted = (basis.expression * point_weights()[:, None]).reshape(K, -1)
    values, vectors = np.linalg.eigh((weighted @ weighted.T).astype(np.float64))
    return vectors[:, np.argsort(values)[::-1][:FACE_DIRECTIONS]]


def frechet_distance(
    mean_a: np.ndarray, covariance_a: np.ndarray, mean_b: np.ndarray, covariance_b: np.ndarray
) -> float:
    """Squared Frechet distance of two Gaussians, |m1 - m2|^2 + Tr(C1 + C2 - 2 sqrt(C1 C2)).

    Dowson and Landau, "The Frechet distance between multivariate normal distributions", Journal of
    Multivariate Analysis 12, 1982. The root is taken of sqrt(C1) C2 sqrt(C1), which is symmetric, so
    that covariances without full rank do no harm.
    """
    strengths, axes = np.linalg.eigh(covariance_a)
    root = (axes * np.sqrt(np.clip(strengths, 0, None))) @ axes.T
    # The roots of the eigenvalues sum to the trace of the root; rounding may put them below 0.
    values = np.linalg.eigvalsh(root @ covariance_b @ root)
    mixed = np.sqrt(np.clip(values, 0, None)).sum()
    total = ((mean_a - mean_b) ** 2).sum() + np.trace(covariance_a) + np.trace(covariance_b)
    return float(max(total - 2 * mixed, 0.0))


def columns_of(part: Part) -> slice:
    """Columns of `window_features` that belong to the face, to the head's pose, or all."""
    cut = 3 * FACE_DIRECTIONS
    return {"all": slice(None), "face": slice(0, cut), "pose": slice(cut, None)}[part]


@dataclass(frozen=True)
class MotionStatistics:
    """Windows of real motion, fitted once; generated motion is compared with them.

    Attributes:
        directions: (K, FACE_DIRECTIONS).
        centre, scale: (42,) mean and deviation of the real features, by which all are standardised.
        features: (windows, 42) the standardised real features.
    """

    directions: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    features: np.ndarray

    @classmethod
    def fit(cls, clips: Iterable[Clip], basis: FaceBasis) -> MotionStatistics:
        """From real clips; each person gives WINDOWS_PER_PERSON windows at most, evenly spread.

        Raises:
            ValueError: no clip is a second long.
        """
        directions = face_directions(basis)
        people: dict[str, list[np.ndarray]] = {}
        for clip in clips:
            if clip.num_frames >= WINDOW_FRAMES:
                found = window_features(clip.motion, directions)
                people.setdefault(clip.person, []).append(found)
        if not people:
            raise ValueError("real motion needs clips of a second and more")
        parts = []
        for found in map(np.concatenate, people.values()):
            share = np.linspace(0, len(found) - 1, min(len(found), WINDOWS_PER_PERSON))
            parts.append(found[share.round().astype(int)])
        raw = np.concatenate(parts)
        centre, scale = raw.mean(0), raw.std(0) + 1e-6
        return cls(directions, centre, scale, (raw - centre) / scale)

    def standardised(self, motions: Iterable[np.ndarray]) -> np.ndarray:
        """Features of motions, (windows, 42), in deviations of the real ones."""
        raw = np.concatenate([window_features(motion, self.directions) for motion in motions])
        return (raw - self.centre) / self.scale


def gaussian_of(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (n,) and covariance (n, n) of rows, shrunk so that few windows do not make it singular.

    Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004.
    """
    if len(features) < 2:
        return features.mean(0), np.zeros((features.shape[1],) * 2)
    covariance, _ = ledoit_wolf(features)
    return features.mean(0), covariance


def frechet_motion_distance(
    made: Sequence[np.ndarray], real: MotionStatistics, part: Part = "all"
) -> float:
    """Frechet distance of motions (T, D) to real motion, over `window_features` in real deviations.

    The estimate falls as windows grow in number: compare motions of equal length only.
    """
    columns = columns_of(part)
    found = real.standardised(made)[:, columns]
    return frechet_distance(*gaussian_of(found), *gaussian_of(real.features[:, columns]))
