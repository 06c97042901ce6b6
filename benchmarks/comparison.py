"""Rendered frames against real ones of the same person, before encoding; `talkhead evaluate` measures files."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from talkhead_cli.evaluation.face import FaceFrame
from talkhead_cli.evaluation.lips import measure_lips
from talkhead_cli.evaluation.phones import script_of_features
from talkhead_cli.evaluation.reference import mesh_distances, ratio, ssim_map
from talkhead_cli.evaluation.steadiness import (
    MouthRecorder,
    luma,
    mouth_patch,
    mouth_region,
    weighted_mean,
)
from talkhead_cli.evaluation.tracker import FaceTracker, smooth_framing
from talkhead_models.basis import FaceBasis, Pose, fit_pose
from talkhead_models.patches import MOUTH, patch_frame
from talkhead_models.speech import SpeechFeatures
from talkhead_models.tracking import canonicalise

FRAMING_REACH = 4
"""Frames either side over which the mouth's patch is smoothed, as `talkhead evaluate` does at 25 frames a second."""

NOSE_TIP = 1

OPEN_MOUTH = 0.05
"""Inner-lip gap from which there is something to paint between the lips."""


class Filmed(NamedTuple):
    """Frames with their faces.

    Attributes:
        images: T pictures (H, W, 3) uint8 RGB.
        meshes: (T, 478, 3) float32 pixels.
        tracked: (T,) False where no face is seen.
    """

    images: list[np.ndarray]
    meshes: np.ndarray
    tracked: np.ndarray


def track_images(images: list[np.ndarray]) -> Filmed:
    """Track the face through frames."""
    tracker = FaceTracker("drive", images[0])
    found = [tracker.find(image) for image in images]
    tracked = np.array([mesh is not None for mesh in found])
    nothing = np.zeros((478, 3), np.float32)
    return Filmed(images, np.stack([nothing if m is None else m for m in found]), tracked)


def face_frames(filmed: Filmed, person: Filmed | None = None) -> list[FaceFrame]:
    """Frames as the measures take them, framed by the neutral face of the person filmed.

    Args:
        filmed: the frames.
        person: the real frames, whose neutral face frames rendered ones too; None takes those of `filmed`.
    """
    person = person or filmed
    known = person.meshes[person.tracked]
    everywhere = np.ones(len(known), bool)
    neutral = canonicalise(known, everywhere, FaceBasis.load().mean).neutral
    nearest = np.maximum.accumulate(np.where(filmed.tracked, np.arange(len(filmed.tracked)), 0))
    meshes = filmed.meshes[nearest]
    poses = fit_pose(meshes, neutral)
    canonical = poses.invert(meshes)
    frames = (
        FaceFrame(
            image,
            meshes[i],
            canonical[i],
            patch_frame(MOUTH, neutral, Pose(*(value[i] for value in poses))),
            not filmed.tracked[i],
        )
        for i, image in enumerate(filmed.images)
    )
    return list(smooth_framing(frames, FRAMING_REACH))


def gaps_of(frames: list[FaceFrame]) -> np.ndarray:
    """Inner-lip gap (T,) in outer-eye distances."""
    return np.array([np.linalg.norm((f.canonical[14] - f.canonical[13])[:2]) for f in frames])


def head_motion(frames: list[FaceFrame]) -> float:
    """Standard deviation of the nose tip in outer-eye distances."""
    places = np.array([frame.mesh[NOSE_TIP, :2] for frame in frames])
    unit = np.mean([np.linalg.norm((f.mesh[33] - f.mesh[263])[:2]) for f in frames])
    return float((places / unit).std(0).mean())


def correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Pearson correlation; None where one of them does not move."""
    if min(first.std(), second.std()) < 1e-6:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def compare(ours: list[FaceFrame], real: list[FaceFrame]) -> dict[str, float | None]:
    """Means over the frames in which both faces are seen; definitions in docs/metrics.md."""
    recorders = MouthRecorder(), MouthRecorder()
    rows = []
    for mine, theirs in zip(ours, real, strict=True):
        lost = mine.lost or theirs.lost
        for recorder, frame in zip(recorders, (mine, theirs), strict=True):
            recorder.push(frame._replace(lost=lost))
        if lost:
            continue
        lips, face = mesh_distances(mine.canonical, theirs.canonical)
        first, second = mouth_patch(mine), mouth_patch(theirs)
        region = mouth_region(theirs)
        error = np.abs(first.astype(np.float32) - second).mean(2) / 127.5
        similarity = ssim_map(luma(first), luma(second))
        rows.append((weighted_mean(error, region), weighted_mean(similarity, region), lips, face))
    names = ("mouth_l1", "mouth_ssim", "landmarks_mouth", "landmarks_face")
    values = np.mean(rows, 0).tolist() if rows else [None] * len(names)
    gaps = gaps_of(ours), gaps_of(real)
    seen = [not (mine.lost or theirs.lost) for mine, theirs in zip(ours, real, strict=True)]
    opened = np.array([row[0] for row in rows])[gaps[1][seen] > OPEN_MOUTH]
    return {
        **dict(zip(names, values, strict=True)),
        "mouth_l1_open": float(opened.mean()) if len(opened) else None,
        "num_open": len(opened),
        "sharpness_ratio": ratio(recorders[0].sharpness, recorders[1].sharpness),
        "flicker_ratio": ratio(recorders[0].flicker, recorders[1].flicker),
        "gap_correlation": correlation(*gaps),
        "opening_ratio": ratio(*(float(np.percentile(gap, 95)) for gap in gaps)),
        "head_motion_ratio": ratio(head_motion(ours), head_motion(real)),
    }


def lip_table(frames: list[FaceFrame], heard: SpeechFeatures) -> dict[str, float | None]:
    """Lips against the visemes that the speech encoder hears, with the numbers of what could be judged."""
    found = measure_lips(gaps_of(frames).astype(np.float64), 25.0, script_of_features(heard))
    return {
        "closure_recall": found.closure_recall,
        "num_closures": found.num_closures,
        "open_vowel_recall": found.open_vowel_recall,
        "num_open_vowels": found.num_open_vowels,
        "openness_correlation": found.openness_correlation,
        "mouth_rest": found.mouth_rest,
    }
