"""The video against a real clip of the same person saying the same, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.evaluation.face import FaceFrame
from talkhead_cli.evaluation.steadiness import (
    MouthRecorder,
    luma,
    mouth_patch,
    mouth_region,
    weighted_mean,
)
from talkhead_cli.evaluation.tracker import FaceFilm
from talkhead_models import topology as topo

Array = NDArray[np.float32]

SSIM_SIGMA = 1.5
"""Pixels; with data range 255 and population covariance as in Wang et al. 2004."""


@dataclass(frozen=True)
class ReferenceMeasures:
    """The video against a real clip; None where there is none. Definitions: docs/metrics.md.

    Attributes:
        reference_frames: frames compared.
        landmark_distance_mouth, landmark_distance_face: mean distance of the points in outer-eye distances.
        mouth_l1: mean absolute difference of the mouth's pixels, of which black is -1 and white 1.
        mouth_ssim: structural similarity of the mouth.
        mouth_sharpness_ratio: gradient energy of the mouth over the real one's.
        mouth_flicker_ratio: flicker of the mouth over the real one's.
    """

    reference_frames: int | None = None
    landmark_distance_mouth: float | None = None
    landmark_distance_face: float | None = None
    mouth_l1: float | None = None
    mouth_ssim: float | None = None
    mouth_sharpness_ratio: float | None = None
    mouth_flicker_ratio: float | None = None


def mesh_distances(first: Array, second: Array) -> tuple[float, float]:
    """Mean distance in the picture's plane of the lips' points and of all face points of two meshes without pose.

    Args:
        first, second: (478, 3) canonical, in outer-eye distances.
    """
    gaps = np.linalg.norm((first - second)[: topo.NUM_FACE_POINTS, :2], axis=1)
    return float(gaps[list(topo.LIPS)].mean()), float(gaps.mean())


def ssim_map(first: Array, second: Array) -> Array:
    """Structural similarity of two brightness patches (h, w) float32 in [0, 255], pixel by pixel."""
    from skimage.metrics import structural_similarity

    similarity: Any = structural_similarity
    _, full = similarity(
        first,
        second,
        gaussian_weights=True,
        sigma=SSIM_SIGMA,
        use_sample_covariance=False,
        data_range=255,
        full=True,
    )
    return np.asarray(full, np.float32)


class ReferenceRecorder:
    """Plays a real clip beside the video and compares frame by frame.

    Args:
        path: the real clip.
        fps: the video's frames a second; the clip is brought to it.
    """

    def __init__(self, path: Path, fps: Fraction) -> None:
        self._path = path
        self._fps = fps
        self._frames: Iterator[FaceFrame] | None = None
        self._rows: list[tuple[float, float, float, float]] = []
        self._ours, self._theirs = MouthRecorder(), MouthRecorder()
        self.ended_early = False

    def push(self, frame: FaceFrame, neutral: Array) -> None:
        """Take the video's next frame.

        Args:
            frame: of the video.
            neutral: (478, 3) canonical face of the video, by which the clip's face is framed too.
        """
        if self._frames is None:
            self._frames = iter(FaceFilm(self._path, self._fps, "reference", neutral=neutral))
        real = next(self._frames, None)
        if real is None:
            self.ended_early = True
            return
        self._ours.push(frame._replace(lost=frame.lost or real.lost))
        self._theirs.push(real._replace(lost=frame.lost or real.lost))
        if not (frame.lost or real.lost):
            self._rows.append(self._compare(frame, real))

    def _compare(self, ours: FaceFrame, real: FaceFrame) -> tuple[float, float, float, float]:
        mouth, face = mesh_distances(ours.canonical, real.canonical)
        first, second = mouth_patch(ours), mouth_patch(real)
        region = mouth_region(real)
        difference = np.abs(first.astype(np.float32) - second).mean(2) / 127.5
        similarity = ssim_map(luma(first), luma(second))
        return mouth, face, weighted_mean(difference, region), weighted_mean(similarity, region)

    def finish(self) -> ReferenceMeasures:
        """The measures of all frames that both videos have."""
        if not self._rows:
            return ReferenceMeasures(reference_frames=0)
        mouth, face, error, similarity = np.mean(self._rows, axis=0).tolist()
        return ReferenceMeasures(
            reference_frames=len(self._rows),
            landmark_distance_mouth=mouth,
            landmark_distance_face=face,
            mouth_l1=error,
            mouth_ssim=similarity,
            mouth_sharpness_ratio=ratio(self._ours.sharpness, self._theirs.sharpness),
            mouth_flicker_ratio=ratio(self._ours.flicker, self._theirs.flicker),
        )


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """One over the other; None where one is missing or there is nothing to divide by."""
    return ours / theirs if ours is not None and theirs else None
