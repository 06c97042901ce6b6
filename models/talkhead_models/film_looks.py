"""What the mouth of a film looks like frame by frame: which frame lends its lips to all, and where a hand hides them.

One small picture a frame is kept (1.7 kB), in the mouth's own patch, so that head and camera motion stay out of it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.basis import fit_pose, lip_gaps, rotation_angles
from talkhead_models.film_face import FilmFace, runs
from talkhead_models.patches import MOUTH, crop_patch, patch_frame

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]

THUMB = 24
"""Pixels a side of the picture that is kept of each mouth."""

ROWS, COLUMNS = slice(4, 22), slice(4, 20)
"""The part of it that lies on the face however it is turned."""

MOUTH_ROWS, MOUTH_COLUMNS = slice(4, 15), slice(4, 12)
"""Where lips and chin move in that part; a mouth opened as wide as never else is no hand."""

LEAST_SPREAD = 12.0
"""Levels that a pixel of the mouth's patch may be off in any film: light, noise, teeth."""

FAR = 3.0
"""Spreads from which a pixel shows something else."""

SETTLED, HIDDEN = 0.15, 0.4
"""Share of such pixels at which something comes before the mouth, and which it must reach at some time."""

HIDDEN_SECONDS = 0.24
"""A mouth wide open is off the line, too, but not for longer."""

FIT_FRAMES, FIT_ROUNDS, FIT_BEST = 1500, 3, 0.7
"""Frames at most that a shot's usual mouth is learned from, how often, and the share that is learned from again."""

RIDGE = 3.0

SHORTEST = 50
"""Frames of a shot from which it tells what its mouth usually looks like."""

BLOCK = 2048
"""Frames handled at once."""


class MouthLook(NamedTuple):
    """One frame's mouth.

    Attributes:
        thumb: (24, 24, 3) uint8 RGB.
        sharpness: mean absolute Laplacian of the mouth's patch, in levels.
    """

    thumb: Bytes
    sharpness: float


def look_at(image: Bytes, mesh: Array, neutral: Array) -> MouthLook:
    """What the mouth looks like in a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        mesh: (478, 3) pixels.
        neutral: (478, 3) any canonical face.
    """
    patch = crop_patch(MOUTH, image, patch_frame(MOUTH, neutral, fit_pose(mesh, neutral)))
    thumb = cv2.resize(patch, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    fine = cv2.Laplacian(cv2.cvtColor(patch[24:72, 16:80], cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    return MouthLook(np.asarray(thumb, np.uint8), float(np.abs(fine).mean()))


def features_of(face: FilmFace) -> Array:
    """(T, 8) what a mouth's look usually follows from: turn of the head and its square, place, opening, width."""
    turn = np.degrees(rotation_angles(face.poses.rotation))
    canonical = face.poses.invert(face.meshes)
    corners = canonical[:, list(topo.OUTER_CORNERS)]
    width = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
    place = face.poses.offset[:, :2] / face.poses.scale[:, None]
    opening = lip_gaps(canonical).max(1)
    columns = [turn, (turn[:, 1:2] / 10) ** 2, 10 * place, 100 * opening[:, None]]
    return np.concatenate([*columns, 100 * width[:, None]], 1).astype(np.float32)


def far_share(off: Array) -> Array:
    """(T,) share of pixels beside the mouth that are far off.

    Args:
        off: (T, h * w * 3), in spreads.
    """
    height, width = ROWS.stop - ROWS.start, COLUMNS.stop - COLUMNS.start
    far = off.reshape(len(off), height, width, 3).max(-1) > FAR
    beside = np.ones((height, width), bool)
    beside[MOUTH_ROWS, MOUTH_COLUMNS] = False
    return np.asarray(far[:, beside].mean(1), np.float32)


def strange(thumbs: Bytes, features: Array) -> Array:
    """(T,) share of each mouth's pixels that are not as pose and opening make them in the rest of a shot.

    A line a pixel is fitted to most of the frames, and again to those that it suits.

    Args:
        thumbs: (T, 24, 24, 3) uint8 RGB.
        features: (T, F) from `features_of`.
    """
    size = len(thumbs)
    scaled = features - features.mean(0)
    scaled /= scaled.std(0) + 1e-2
    design = np.concatenate([scaled, np.ones((size, 1), np.float32)], 1)
    ridge = np.diag(np.array([RIDGE] * features.shape[1] + [1e-3], np.float32))
    chosen = np.arange(0, size, max(1, size // FIT_FRAMES))
    part = thumbs[chosen][:, ROWS, COLUMNS].reshape(len(chosen), -1).astype(np.float32)
    # A hand that is there for a while must not be learned: what is near to the median comes first.
    far = np.abs(part - np.median(part, axis=0)).mean(1)
    good = far <= np.quantile(far, FIT_BEST)
    for _ in range(FIT_ROUNDS):
        known = design[chosen[good]]
        weights = np.linalg.solve(known.T @ known + ridge, known.T @ part[good])
        off = np.abs(part - design[chosen] @ weights)
        spread = np.maximum(1.5 * np.median(off[good], axis=0), LEAST_SPREAD)
        share = far_share(off / spread)
        good = share <= np.quantile(share, FIT_BEST)
    shares = []
    for start in range(0, size, BLOCK):
        rows = slice(start, start + BLOCK)
        seen = thumbs[rows][:, ROWS, COLUMNS].reshape(-1, part.shape[1]).astype(np.float32)
        usual = np.clip(design[rows] @ weights, 0, 255)
        # The lamp may be dimmed or a cloud pass.
        level = np.median((seen + 8) / (usual + 8), axis=1, keepdims=True)
        off = np.abs(seen - usual * np.clip(level, 0.7, 1.4)) / spread
        shares.append(far_share(off))
    return np.concatenate(shares).astype(np.float32)


def strangeness(face: FilmFace, thumbs: Bytes, tracked: Flags) -> Array:
    """(T,) as `strange`, each shot by itself; 0 where no mouth is replaced and in shots too short to tell.

    Args:
        face: through the film.
        thumbs: (T, 24, 24, 3) uint8 RGB.
        tracked: (T,) False where no face is seen.
    """
    features = features_of(face)
    found = np.zeros(len(thumbs), np.float32)
    for run in runs(tracked, face.meshes):
        frames = np.arange(run.start, run.stop)[face.strength[run] > 0]
        if len(frames) >= SHORTEST:
            found[frames] = strange(thumbs[frames], features[frames])
    return found


def hidden(strangeness: Array, fps: Fraction | int) -> Flags:
    """(T,) True where a hand, a cup or a caption is in front of the mouth.

    Args:
        strangeness: (T,) see there.
        fps: of the film.
    """
    least = HIDDEN_SECONDS * float(fps)
    off = np.concatenate([[False], strangeness > SETTLED, [False]])
    # One frame between two others is part of what they are part of.
    off[1:-1] |= off[:-2] & off[2:]
    found = np.zeros(len(strangeness), bool)
    edges = np.flatnonzero(np.diff(off.astype(np.int8)))
    for start, end in edges.reshape(-1, 2):
        found[start:end] = strangeness[start:end].max() > HIDDEN and end - start > least
    return found


def lip_height(canonical: Array) -> Array:
    """(T,) mean height of the red of both lips of canonical meshes (T, 478, 3)."""
    upper = (
        canonical[:, list(topo.UPPER_INNER_LIP), 1] - canonical[:, list(topo.UPPER_OUTER_LIP), 1]
    )
    lower = (
        canonical[:, list(topo.LOWER_OUTER_LIP), 1] - canonical[:, list(topo.LOWER_INNER_LIP), 1]
    )
    return np.asarray(upper.mean(1) + lower.mean(1), np.float32)


def calm_frame(face: FilmFace, sharpness: Array, strangeness: Array) -> int:
    """The frame whose lips are the easiest to lend: closed, sharp, at rest, turned as usual, in full view.

    Lips that are parted there would keep a dark edge, and a slit where they are to close.

    Args:
        face: through the film.
        sharpness: (T,) of each mouth, see `MouthLook`.
        strangeness: (T,) see there.
    """
    canonical = face.poses.invert(face.meshes)
    lips = face.meshes[:, list(topo.LIPS), :2]
    step = np.linalg.norm(np.diff(lips, axis=0), axis=-1).mean(1) / face.poses.scale[1:]
    motion = np.zeros(len(lips), np.float32)
    motion[1:] += step
    motion[:-1] += step
    shown = face.strength > 0
    turn = np.degrees(rotation_angles(face.poses.rotation)[:, :2])
    away = np.linalg.norm(turn - np.median(turn[shown], axis=0), axis=1)
    height = lip_height(canonical)
    pressed = 1 - height / max(float(np.percentile(height[shown], 70)), 1e-3)
    blur = 1 - sharpness / max(float(np.percentile(sharpness[shown], 90)), 1e-3)
    cost = np.abs(lip_gaps(canonical).max(1)) / 0.03
    cost += np.clip(pressed, 0, 1) / 0.25 + np.clip(blur, 0, 1) / 0.25
    cost += motion / 0.04 + away / 10 + 5 * strangeness + 100 * (1 - face.strength)
    return int(np.argmin(cost))
