"""The face of a film, frame by frame: where it is, and where new speech puts its mouth and jaw.

Nothing above the base of the nose moves. Jaw and cheeks get the difference of two expressions, the generated one and
the film's own, so that what is the person's (and the tracker's habits with this face) stays; the lips get the generated
shape itself, so that they close where they are to close.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.basis import FaceBasis, Pose, fit_pose, lip_gaps, rotation_angles
from talkhead_models.motion import FaceMotion
from talkhead_models.rig import settle_lips
from talkhead_models.tracking import EXPRESSION_WINDOW, canonicalise, smooth_columns
from talkhead_models.unfold import unfold_chin

Array = NDArray[np.float32]
Flags = NDArray[np.bool_]

NEUTRAL_FRAMES = 1500
"""Frames, spread over the film, that the neutral face is looked for in."""

JUMP = 0.35
"""Canonical units that a face moves between two frames only where the picture was cut."""

RAMP_SECONDS = 0.16
"""How long the new mouth takes to come and go beside frames that keep their own."""

YAW_FULL, YAW_NONE = 35.0, 45.0
"""Degrees of head turn up to which a mouth is replaced, and from which it is left as filmed."""

WIDE_X = (0.38, 0.72)
"""Canonical units from the middle of the mouth to which cheeks and jaw follow in full, and from which not at all."""

LIP_REACH = 0.14
"""Canonical units around the lips over which the generated shape gives way to the difference of expressions."""

SUBNASALE = 2
"""Where the nose ends above the upper lip."""

COLUMNS = 96
"""Columns smoothed at once, so that memory beside the meshes does not grow."""

REFERENCE_GAP = 0.09
"""Inner-lip gap from which a mouth shows its teeth; wider ones show no more."""


def smoothstep(value: Array) -> Array:
    """0 up to 0, 1 from 1 on, smooth in between."""
    clipped = np.clip(value, 0, 1)
    return np.asarray(clipped * clipped * (3 - 2 * clipped), np.float32)


def jaw_weights(neutral: Array) -> Array:
    """(478,) share of a change of expression that each point follows: 0 above the upper lip, 1 at mouth and chin.

    Args:
        neutral: (478, 3) canonical.
    """
    lips = neutral[list(topo.LIPS)]
    top, base = lips[:, 1].min(), neutral[SUBNASALE, 1]
    down = smoothstep((neutral[:, 1] - base) / max(top - base, 0.02))
    across = np.abs(neutral[:, 0] - lips[:, 0].mean())
    beside = 1 - smoothstep((across - WIDE_X[0]) / (WIDE_X[1] - WIDE_X[0]))
    weights = down * beside
    weights[topo.NUM_FACE_POINTS :] = 0
    return np.asarray(weights, np.float32)


def lip_weights(neutral: Array) -> Array:
    """(478,) share of the generated shape itself: 1 on the lips, 0 from `LIP_REACH` around them."""
    lips = neutral[list(topo.LIPS), :2]
    distance = np.linalg.norm(neutral[:, None, :2] - lips[None], axis=-1).min(1)
    return np.asarray((1 - smoothstep(distance / LIP_REACH)) * jaw_weights(neutral), np.float32)


def runs(tracked: Flags, meshes: Array) -> list[slice]:
    """Stretches of frames in which the face is seen and the picture is not cut.

    Args:
        tracked: (T,) False where no face is seen.
        meshes: (T, 478, 3) pixels.
    """
    eyes = meshes[:, list(topo.OUTER_EYES), :2]
    unit = np.maximum(np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=-1), 1e-3)
    step = np.linalg.norm(np.diff(eyes.mean(1), axis=0), axis=-1) / unit[1:]
    starts = np.flatnonzero(np.concatenate([[True], (step > JUMP) | ~tracked[1:] | ~tracked[:-1]]))
    found = zip(starts, [*starts[1:], len(tracked)], strict=True)
    return [slice(int(start), int(end)) for start, end in found if tracked[start]]


def fading(tracked: Flags, fps: Fraction) -> Array:
    """(T,) how far the mouth is replaced: 0 without a face, rising to 1 over `RAMP_SECONDS` beside such frames."""
    frames = np.arange(len(tracked))
    lost = np.flatnonzero(~tracked)
    if not len(lost):
        return np.ones(len(tracked), np.float32)
    after = np.searchsorted(lost, frames)
    before = frames - lost[np.maximum(after - 1, 0)]
    before[after == 0] = len(frames)
    ahead = lost[np.minimum(after, len(lost) - 1)] - frames
    ahead[after == len(lost)] = len(frames)
    nearest = np.minimum(before, ahead)
    return smoothstep(nearest / np.float32(max(1.0, RAMP_SECONDS * fps)))


@dataclass(frozen=True)
class FilmFace:
    """One person's face through a film.

    Attributes:
        meshes: (T, 478, 3) float32 pixels, the tracker's jitter smoothed away.
        poses: of each frame.
        neutral: (478, 3) float32, the person's canonical face with closed lips.
        strength: (T,) in [0, 1], how far the mouth is replaced.
        basis: the linear face model.
    """

    meshes: Array
    poses: Pose
    neutral: Array
    strength: Array
    basis: FaceBasis

    @classmethod
    def measure(
        cls, meshes: Array, tracked: Flags, basis: FaceBasis, fps: Fraction | int
    ) -> FilmFace:
        """From what a tracker gives.

        Args:
            meshes: (T, 478, 3) float32 pixels, smoothed in place; anything where no face is seen.
            tracked: (T,) False there.
            basis: the linear face model.
            fps: of the film.

        Raises:
            ValueError: no frame shows a face.
        """
        if not tracked.any():
            raise ValueError("no frame shows a face")
        for run in runs(tracked, meshes):
            rows = meshes[run].reshape(run.stop - run.start, -1)
            for start in range(0, rows.shape[1], COLUMNS):
                part = rows[:, start : start + COLUMNS]
                rows[:, start : start + COLUMNS] = smooth_columns(part, EXPRESSION_WINDOW, fps)
        known = np.flatnonzero(tracked)
        meshes[~tracked] = meshes[known[0]]
        spread = known[:: max(1, len(known) // NEUTRAL_FRAMES)]
        every = np.ones(len(spread), bool)
        neutral = canonicalise(meshes[spread], every, basis.mean).neutral.astype(np.float32)
        poses = fit_pose(meshes, neutral)
        yaw = np.degrees(np.abs(rotation_angles(poses.rotation)[:, 1]))
        turned = 1 - smoothstep((yaw - YAW_FULL) / (YAW_NONE - YAW_FULL))
        return cls(meshes, poses, neutral, fading(tracked, Fraction(fps)) * turned, basis)

    @cached_property
    def jaw(self) -> Array:
        """(478, 1) share of a change of expression that each point follows."""
        return jaw_weights(self.neutral)[:, None]

    @cached_property
    def lips(self) -> Array:
        """(478, 1) share of the generated shape itself."""
        return lip_weights(self.neutral)[:, None]

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.meshes)

    def pose(self, index: int) -> Pose:
        """Of one frame."""
        return Pose(*(value[index] for value in self.poses))

    def reference(self) -> int:
        """The frame that shows the mouth best: open, towards the camera."""
        canonical = self.poses.invert(self.meshes)
        gap = np.clip(lip_gaps(canonical).max(1), 0, REFERENCE_GAP) / REFERENCE_GAP
        yaw = np.abs(rotation_angles(self.poses.rotation)[:, 1])
        return int(np.argmax(gap - yaw - 10 * (1 - self.strength)))

    def targets(self, indices: list[int], motion: FaceMotion) -> Array:
        """Meshes in the film's pixels (n, 478, 3) of some frames under generated motion.

        Args:
            indices: of the frames.
            motion: n frames; only its expression counts.
        """
        poses = Pose(*(value[indices] for value in self.poses))
        own = poses.invert(self.meshes[indices])
        wanted = self.basis.deltas(motion.expression)
        change = wanted - self.basis.deltas(self.basis.project(own - self.neutral))
        shape = self.neutral + wanted
        settle_lips(shape)
        unfold_chin(shape, self.neutral)
        moved = own + self.jaw * change
        moved += self.lips * (shape - own - change)
        unfold_chin(moved, self.neutral)
        # The points that the unfolding touches lie below the lips; what does not follow stays exactly where it is.
        shift = np.where(self.jaw > 0, moved - own, 0) * self.strength[indices][:, None, None]
        turned = shift @ np.swapaxes(poses.rotation, -1, -2) * poses.scale[:, None, None]
        return np.asarray(self.meshes[indices] + turned, np.float32)
