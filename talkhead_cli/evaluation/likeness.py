"""The video against the portrait it was made from: likeness, colour, sharpness, border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.evaluation.face import CLOSED, FaceFrame
from talkhead_cli.face.landmarks import Mesh
from talkhead_models.warp import similarity

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]

CROP_SIZE = (128, 96)
"""Width and height of the upper-face crop at zoom 1."""
EYES_AT = np.array([[40, 40], [88, 40]], np.float32)
"""Where the middles of the two eyes lie in it."""
LARGEST_ZOOM = 8
ASPECT_TOLERANCE = 0.015
"""Shapes that differ by no more are of one picture, trimmed to even sizes."""
STRIP = 0.04
"""Width of the border strip as a share of the shorter side."""
PART = 8
"""The first and the last eighth of a clip are compared."""


@dataclass(frozen=True)
class LikenessMeasures:
    """The video against the portrait; None where it cannot be told. Definitions: docs/metrics.md.

    Attributes:
        likeness_min, likeness_first, likeness_last: normalised cross-correlation of the upper face: worst frame, mean
            of the first and of the last eighth; frames in a blink left out, as in what follows.
        colour_drift_max, colour_drift_first, colour_drift_last: largest difference of the mean Lab values.
        sharpness_first, sharpness_last: variance of the Laplacian of the upper face over the portrait's.
        border_psnr_min: dB, worst frame.
    """

    likeness_min: float | None = None
    likeness_first: float | None = None
    likeness_last: float | None = None
    colour_drift_max: float | None = None
    colour_drift_first: float | None = None
    colour_drift_last: float | None = None
    sharpness_first: float | None = None
    sharpness_last: float | None = None
    border_psnr_min: float | None = None


def fit_portrait(portrait: Pixels, shape: tuple[int, ...]) -> Pixels | None:
    """The portrait at a video's size; None where its shape is another.

    Args:
        portrait: (H, W, 3) uint8 RGB.
        shape: height and width of the video.
    """
    import cv2

    aspect = portrait.shape[1] / portrait.shape[0] / (shape[1] / shape[0])
    if abs(aspect - 1) > ASPECT_TOLERANCE:
        return None
    if portrait.shape[:2] == tuple(shape[:2]):
        return portrait
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(portrait, size, interpolation=cv2.INTER_AREA), np.uint8)


def eye_middles(mesh: Mesh) -> NDArray[np.float32]:
    """(2, 2) pixels, the middles of the two eyes from left to right."""
    pairs = mesh[[33, 133, 362, 263], :2].reshape(2, 2, 2)
    return np.asarray(pairs.mean(1), np.float32)


def choose_zoom(mesh: Mesh) -> int:
    """How much larger than `CROP_SIZE` the crop can be without enlarging the face: 1, 2, 4 or 8."""
    eyes = eye_middles(mesh)
    ratio = float(np.linalg.norm(eyes[1] - eyes[0]) / (EYES_AT[1, 0] - EYES_AT[0, 0]))
    return int(2 ** np.clip(np.floor(np.log2(max(ratio, 1.0))), 0, np.log2(LARGEST_ZOOM)))


def upper_face(image: Pixels, mesh: Mesh, zoom: int) -> NDArray[np.float32]:
    """Lab values of the upper face in a frame fixed to the eyes, (96 zoom, 128 zoom, 3) float32, L in [0, 255]."""
    import cv2

    width, height = (length * zoom for length in CROP_SIZE)
    # Pixel centres: the middle of a zoomed pixel's block stays where it was.
    target = (EYES_AT + 0.5) * zoom - 0.5
    crop = cv2.warpAffine(image, similarity(eye_middles(mesh), target), (width, height))
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2LAB), np.float32)


def correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Normalised cross-correlation of two pictures of one size."""
    a, b = (part.ravel().astype(np.float64) - part.mean() for part in (first, second))
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))


def laplacian_variance(grey: NDArray[np.float32]) -> float:
    """Variance of the Laplacian: how much fine detail there is."""
    import cv2

    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def border_error(frame: Pixels, portrait: Pixels) -> float:
    """Mean squared error of the top strip and of the upper third's side strips, for pictures of one size."""
    height, width = frame.shape[:2]
    strip = max(4, round(STRIP * min(height, width)))
    third = height // 3
    parts = (
        (slice(0, strip), slice(None)),
        (slice(strip, third), slice(0, strip)),
        (slice(strip, third), slice(width - strip, width)),
    )
    total, count = 0.0, 0
    for part in parts:
        difference = frame[part].astype(np.float32) - portrait[part]
        total += float((difference**2).sum(dtype=np.float64))
        count += difference.size
    return total / max(count, 1)


class LikenessRecorder:
    """Compares every frame with the portrait.

    Args:
        portrait: (H, W, 3) uint8 RGB at the video's size.
        mesh: (478, 3) of it, as the video's tracker sees it.
    """

    def __init__(self, portrait: Pixels, mesh: Mesh) -> None:
        self._portrait = portrait
        self._zoom = choose_zoom(mesh)
        self._face = upper_face(portrait, mesh, self._zoom)
        self._small = self._shrink(self._face)
        self._detail = max(laplacian_variance(self._face[..., 0]), 1e-6)
        self._rows: list[tuple[float, float, float, float]] = []
        self._lost: list[bool] = []

    def push(self, frame: FaceFrame) -> None:
        """Take the next frame, of the portrait's size."""
        face = upper_face(frame.image, frame.mesh, self._zoom)
        small = self._shrink(face)
        drift = np.abs(small.mean((0, 1)) - self._small.mean((0, 1))).max()
        self._rows.append(
            (
                correlation(small[..., 0], self._small[..., 0]),
                float(drift),
                laplacian_variance(face[..., 0]) / self._detail,
                border_error(frame.image, self._portrait),
            )
        )
        self._lost.append(frame.lost)

    def _shrink(self, face: NDArray[np.float32]) -> NDArray[np.float32]:
        import cv2

        if self._zoom == 1:
            return face
        return np.asarray(cv2.resize(face, CROP_SIZE, interpolation=cv2.INTER_AREA), np.float32)

    def finish(self, eyes: Array) -> LikenessMeasures:
        """The measures of all frames.

        Args:
            eyes: (T,) lid openings of the frames pushed, to leave out blinks.
        """
        rows = np.array(self._rows, np.float64)
        awake = ~np.array(self._lost) & (eyes >= CLOSED * np.median(eyes))
        likeness, drift, sharpness, border = rows.T
        part = max(1, len(rows) // PART)
        first, last = slice(0, part), slice(len(rows) - part, len(rows))
        return LikenessMeasures(
            likeness_min=least(likeness[awake]),
            likeness_first=mean(likeness[first][awake[first]]),
            likeness_last=mean(likeness[last][awake[last]]),
            colour_drift_max=float(drift[awake].max()) if awake.any() else None,
            colour_drift_first=mean(drift[first][awake[first]]),
            colour_drift_last=mean(drift[last][awake[last]]),
            sharpness_first=mean(sharpness[first][awake[first]]),
            sharpness_last=mean(sharpness[last][awake[last]]),
            border_psnr_min=psnr(float(border.max())),
        )


def psnr(error: float) -> float:
    """dB of a mean squared error in levels; at most 78."""
    return float(10 * np.log10(255**2 / max(error, 1e-3)))


def mean(values: Array) -> float | None:
    """Mean; None of nothing."""
    return float(values.mean()) if len(values) else None


def least(values: Array) -> float | None:
    """Smallest; None of nothing."""
    return float(values.min()) if len(values) else None
