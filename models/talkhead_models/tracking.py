"""A filmed face as FaceMotion: the meshes that a tracker gives, turned into motion of no one in particular.

Pose is fitted twice, the second time against the person's own face, so that identity stays out of it. The reference is
the person's neutral face with closed lips, estimated from the frames whose lips are nearest to closed. The training
data was measured with these very functions, so that driven and generated motion mean the same.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from talkhead_models import topology as topo
from talkhead_models.basis import (
    NECK_PIVOT,
    FaceBasis,
    Pose,
    eye_apertures,
    fit_pose,
    gaze_offsets,
    lip_gaps,
    rotation_angles,
    rotation_matrix,
)
from talkhead_models.motion import EXPRESSION_SIZE, MOTION_FPS, FaceMotion

Array = NDArray[np.float32]
Flags = NDArray[np.bool_]

BLOCK = 2048
"""Frames handled at once, so that memory beside the meshes themselves does not grow with a clip."""

FULL_CLOSURE = 0.85
"""Tracked lids of a closed eye still leave a slit: from this share of closure on they count as closed."""

EXPRESSION_WINDOW, POSE_WINDOW = 5, 9
"""Frames, at 25 a second, that expression and lids' companions are smoothed over (Savitzky-Golay, second order)."""

STOP_SECONDS = 0.15
REST_SECONDS = 0.3
"""How fast the head comes to a stop, and lips and lids to rest, where motion ends early."""

LIP_SHARES = (
    (topo.UPPER_INNER_LIP, 0.5, 1.0),
    (topo.LOWER_INNER_LIP, -0.5, 1.0),
    (topo.UPPER_MIDDLE_LIP[:9], 0.5, 0.9),
    (topo.LOWER_MIDDLE_LIP[:9], -0.5, 0.9),
    (topo.UPPER_MIDDLE_LIP[9:], 0.5, 0.7),
    (topo.LOWER_MIDDLE_LIP[9:], -0.5, 0.7),
    (topo.UPPER_OUTER_LIP, 0.5, 0.5),
    (topo.LOWER_OUTER_LIP, -0.5, 0.5),
)
"""Rings of lip points, the way that each goes to close the inner gap, and how far along it follows."""


class CanonicalClip(NamedTuple):
    """A clip's meshes with the pose taken out.

    Attributes:
        meshes: (T, 478, 3) float32, canonical.
        poses: of each frame, fitted to the person's own face.
        neutral: (478, 3) float32, the person's canonical face with closed lips.
    """

    meshes: Array
    poses: Pose
    neutral: Array


class TrackedMotion(NamedTuple):
    """What `motion_from_meshes` finds.

    Attributes:
        motion: T frames; head pose relative to the clip's median pose.
        neutral: (478, 3) float32, the person's canonical face with closed lips.
        poses: of each frame in the clip's pixels; where the face was lost, those of the mesh that was given.
    """

    motion: FaceMotion
    neutral: Array
    poses: Pose


def neutral_of(canonical: Array, tracked: Flags) -> Array:
    """Mean over the tenth of a clip's frames whose lips are nearest to closed.

    Args:
        canonical: (T, 478, 3) meshes.
        tracked: (T,) False where the face was lost.

    Returns:
        (478, 3).
    """
    gaps = np.abs(lip_gaps(canonical)).mean(1)
    gaps[~tracked] = np.inf
    chosen = np.argsort(gaps)[: max(3, int(tracked.sum()) // 10)]
    return np.asarray(canonical[chosen].mean(0))


def close_lips(neutral: Array) -> Array:
    """Bring the inner lips of a neutral face (478, 3) together, the rings around them following."""
    closed = neutral.copy()
    gap = np.maximum(lip_gaps(neutral), 0)
    for ring, share, weight in LIP_SHARES:
        closed[list(ring), 1] += gap * share * weight
    return closed


def canonicalise(meshes: Array, tracked: Flags, reference: Array) -> CanonicalClip:
    """Take the pose out of a clip's meshes.

    Args:
        meshes: (T, 478, 3) float32 pixels.
        tracked: (T,) False where the face was lost.
        reference: (478, 3) canonical face of the first pose fit.
    """
    first = neutral_of(invert(fit_pose(meshes, reference), meshes), tracked)
    poses = fit_pose(meshes, first)
    canonical = invert(poses, meshes)
    return CanonicalClip(canonical, poses, close_lips(neutral_of(canonical, tracked)))


def invert(poses: Pose, meshes: Array) -> Array:
    """Meshes (T, 478, 3) in pixels to canonical ones, a block at a time."""
    canonical = np.empty(meshes.shape, np.float32)
    for start in range(0, len(meshes), BLOCK):
        part = slice(start, start + BLOCK)
        canonical[part] = Pose(*(value[part] for value in poses)).invert(meshes[part])
    return canonical


def project(meshes: Array, neutral: Array, basis: FaceBasis) -> Array:
    """Expression coefficients (T, K) of canonical meshes (T, 478, 3), a block at a time."""
    parts = [
        basis.project(meshes[start : start + BLOCK] - neutral)
        for start in range(0, len(meshes), BLOCK)
    ]
    return np.concatenate(parts)


def measure_lids(meshes: Array, tracked: Flags) -> Array:
    """Closure (T, 2) of both eyes of canonical meshes (T, 478, 3), the clip's usual opening being 0."""
    aperture = eye_apertures(meshes)
    open_eye = np.maximum(np.percentile(aperture[tracked], 60, axis=0), 0.08)
    lids = np.clip(1 - aperture / open_eye, -0.4, 1.0)
    return np.where(lids > 0, np.minimum(lids / FULL_CLOSURE, 1.0), lids)


def measure_pose(poses: Pose, tracked: Flags) -> Array:
    """Rotation and translation (T, 6) as in FaceMotion, relative to the clip's median pose."""
    reference = np.median(rotation_angles(poses.rotation)[tracked], axis=0)
    relative = poses.rotation @ rotation_matrix(reference).T
    scale = np.median(poses.scale[tracked])
    log_scale = np.log(poses.scale / scale)
    pivot = rotation_matrix(reference) @ NECK_PIVOT * scale
    base = np.median(poses.offset[tracked], axis=0)
    expected = base + pivot - np.exp(log_scale)[:, None] * np.einsum("tij,j->ti", relative, pivot)
    shift = (poses.offset - expected)[:, :2] / scale
    shift -= np.median(shift[tracked], axis=0)
    return np.concatenate([rotation_angles(relative), shift, log_scale[:, None]], 1)


def measure(clip: CanonicalClip, tracked: Flags, basis: FaceBasis) -> Array:
    """All columns of FaceMotion that a mesh tells, (T, K + 10), not smoothed: expression, lids, gaze, pose."""
    lids = measure_lids(clip.meshes, tracked)
    gaze = gaze_offsets(clip.meshes)
    gaze = gaze - np.median(gaze[tracked], axis=0)
    # Irises under lowered lids are guesses.
    gaze = np.where((lids.max(1) < 0.4)[:, None], gaze, 0)
    expression = project(clip.meshes, clip.neutral, basis)
    return np.concatenate([expression, lids, gaze, measure_pose(clip.poses, tracked)], 1)


def fill_lost(rows: Array, tracked: Flags) -> Array:
    """Rows (T, D) with those of lost frames put in between their tracked neighbours, in a straight line.

    Before the first tracked frame and after the last one, that frame is held.
    """
    frames, known = np.arange(len(rows)), np.flatnonzero(tracked)
    filled = [np.interp(frames, known, column[known]) for column in rows.T]
    return np.stack(filled, 1).astype(rows.dtype)


def smooth(rows: Array, fps: Fraction | int = MOTION_FPS) -> Array:
    """Take the tracker's jitter out of rows (T, K + 10), in place, lids excepted: blinks are as short as jitter.

    Savitzky and Golay, "Smoothing and differentiation of data by simplified least squares procedures", 1964.
    """
    if len(rows) < POSE_WINDOW:
        return rows
    k = EXPRESSION_SIZE
    rows[:, :k] = smooth_columns(rows[:, :k], EXPRESSION_WINDOW, fps)
    rows[:, k + 2 :] = smooth_columns(rows[:, k + 2 :], POSE_WINDOW, fps)
    return rows


def smooth_columns(columns: Array, window: int, fps: Fraction | int) -> Array:
    """Columns (T, D) smoothed over as much time as `window` frames take at 25 frames a second."""
    frames = round(float(window * fps / MOTION_FPS)) // 2 * 2 + 1
    frames = min(frames, (len(columns) - 1) // 2 * 2 + 1)
    return savgol_filter(columns, frames, 2, axis=0) if frames > 3 else columns


def motion_from_meshes(
    meshes: Array, tracked: Flags, basis: FaceBasis, fps: Fraction | int = MOTION_FPS
) -> TrackedMotion:
    """The motion of a filmed face, smoothed; frames with a lost face lie between their neighbours.

    Args:
        meshes: (T, 478, 3) float32 pixels as MediaPipe Face Mesh gives them, z in the same unit; anything where the
            face was lost.
        tracked: (T,) False where the face was lost.
        basis: the linear face model.
        fps: of the clip.

    Raises:
        ValueError: the shapes do not fit, or the face was lost in every frame.
    """
    if meshes.shape != (len(tracked), topo.NUM_POINTS, 3):
        raise ValueError(
            f"meshes must be ({len(tracked)}, {topo.NUM_POINTS}, 3), got {meshes.shape}"
        )
    if not tracked.any():
        raise ValueError("the face was lost in every frame")
    if not tracked.all():
        # A mesh of zeros has no pose; the nearest frame's before it stands in until the rows are filled.
        nearest = np.maximum.accumulate(np.where(tracked, np.arange(len(tracked)), -1))
        nearest[nearest < 0] = tracked.argmax()
        meshes = meshes[nearest]
    clip = canonicalise(meshes, tracked, basis.mean)
    rows = smooth(fill_lost(measure(clip, tracked, basis), tracked), fps)
    motion = FaceMotion.from_array(rows, fps)
    return TrackedMotion(motion, clip.neutral.astype(np.float32), clip.poses)


def relative_to_frame(motion: FaceMotion, frame: int = 0) -> FaceMotion:
    """The same motion with the head pose relative to that of one frame; expression, lids and gaze stay as they are.

    Args:
        motion: any motion.
        frame: whose pose becomes zero.
    """
    turns = rotation_matrix(motion.rotation)
    rotation = rotation_angles(turns @ turns[frame].T)
    translation = motion.translation - motion.translation[frame]
    translation[:, :2] /= np.exp(motion.translation[frame, 2])
    return replace(motion, rotation=rotation, translation=translation)


def come_to_rest(motion: FaceMotion, num_frames: int) -> FaceMotion:
    """Motion made longer: the head comes to a stop where it is, lips and lids go to rest, all without a jerk.

    Args:
        motion: at least one frame.
        num_frames: frames to have in the end; longer motion is returned as it is.
    """
    missing = num_frames - motion.num_frames
    if missing <= 0:
        return motion
    seconds = (np.arange(1, missing + 1, dtype=np.float32) / np.float32(motion.fps))[:, None]
    array = motion.to_array()
    last = array[-1:]
    speed = (last - array[-2:-1]) * np.float32(motion.fps) if len(array) > 1 else last * 0
    # A critically damped spring to rest, and a friction that only stops.
    decay = np.exp(-2 * seconds / REST_SECONDS)
    resting = (last + (speed + last * 2 / REST_SECONDS) * seconds) * decay
    stopping = last + speed * STOP_SECONDS * (1 - np.exp(-seconds / STOP_SECONDS))
    rest = FaceMotion.from_array(resting, motion.fps)
    stop = FaceMotion.from_array(stopping, motion.fps)
    tail = replace(rest, rotation=stop.rotation, translation=stop.translation)
    return FaceMotion.from_array(np.concatenate([array, tail.to_array()]), motion.fps)
