"""A person's way of speaking, measured on a film of them, and put on to generated motion.

What is measured is statistics, not movements: how far and how fast the head moves, how it is held, how often the eyes
blink and how far they wander, how much the brows do, how wide the mouth opens, and what the face looks like on average.
The denoiser is told of part of that as its style token, which it was trained with; what is missing then is made up
for by scales and offsets with limits, found by a rehearsal: the generator speaks a made-up stretch of speech, is
measured in the same way, and the two are compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.basis import FaceBasis
from talkhead_models.emotion import face_basis, gap_free, without_gaps
from talkhead_models.liveliness import EventConfig
from talkhead_models.motion import MOTION_FPS, FaceMotion
from talkhead_models.speech import LOUDNESS, LOUDNESS_STEP, NUM_VISEMES, PITCH, STEP_RATE, VOICING

Array = NDArray[np.float32]

WINDOW = 4 * MOTION_FPS
"""Frames that spreads are measured over: heads wander, so that those of long clips are larger than those of short."""

LEAST_SECONDS = 3.0
"""Of a film that a style can be measured on."""

BLINK_SECONDS = (1.2, 9.0)
"""Median seconds between blinks, at least and at most."""

TURN_GAIN, FACE_GAIN, LIP_GAIN = (0.3, 2.5), (0.7, 1.5), (0.75, 1.35)
BROW_GAIN, NOD_GAIN, GAZE_GAIN = (0.3, 2.5), (0.4, 2.0), (0.5, 3.0)
"""Limits of what is scaled: the head's rotation, the face beside the opening of the mouth, that opening, what stress
does to the brows and to the head, and the eyes' wandering."""

TOKEN = (0.35, 2.0)
"""Limits of the numbers of the style token: beyond them the denoiser was hardly ever trained."""

TILT = np.radians(4.0)
"""Largest tilt of the head to a side that is taken over."""

HABIT = 0.05
"""Largest displacement of a point of the face by its usual expression, in outer-eye distances."""

SMILE = 0.5
"""Largest share of a smile, or of its opposite, that a mouth keeps."""

REHEARSED_SECONDS = 24
"""Of made-up speech."""


@dataclass(frozen=True)
class StyleStatistics:
    """Statistics of motion, the same for filmed and for generated motion.

    Attributes:
        turn: (3,) deviation of pitch, yaw and roll within four seconds, radians.
        speed: (3,) mean absolute speed of each, radians a second.
        place: (2,) deviation of the position and of the scale's logarithm.
        tilt: how the head is held to a side, radians.
        blinks: a minute.
        gaze: (2,) deviation, eye widths.
        brows: deviation of the brows' height within four seconds, outer-eye distances.
        face: mean deviation of the expression's numbers within four seconds.
        openings: 95th percentile and deviation of the gap between the lips, outer-eye distances.
        usual: (K,) mean expression.
        smile: share of a smile in the face with closed lips.
    """

    turn: Array
    speed: Array
    place: Array
    tilt: float
    blinks: float
    gaze: Array
    brows: float
    face: float
    openings: tuple[float, float]
    usual: Array
    smile: float = 0.0

    @classmethod
    def of(
        cls, motion: FaceMotion, basis: FaceBasis, tilt: float = 0.0, smile: float = 0.0
    ) -> StyleStatistics:
        """Those of motion at 25 frames a second.

        Args:
            motion: `LEAST_SECONDS` long at least.
            basis: the face model.
            tilt: see above; motion does not tell it.
            smile: likewise.

        Raises:
            ValueError: the motion is too short, or has another frame rate.
        """
        if motion.fps != MOTION_FPS or motion.num_frames < LEAST_SECONDS * MOTION_FPS:
            raise ValueError(f"a style needs {LEAST_SECONDS} s of motion at {MOTION_FPS} frames/s")
        gap = basis.lip_gap(motion.expression)
        shut = motion.lids.min(1) > 0.5
        blinks = int((shut[1:] & ~shut[:-1]).sum())
        place = spread_of(motion.translation)
        return cls(
            spread_of(motion.rotation),
            np.abs(np.diff(motion.rotation, axis=0)).mean(0) * MOTION_FPS,
            np.array([np.hypot(place[0], place[1]), place[2]], np.float32),
            tilt,
            60 * MOTION_FPS * blinks / motion.num_frames,
            motion.gaze[motion.lids.max(1) < 0.4].std(0),
            float(spread_of(brow_height(motion.expression, basis)[:, None])[0]),
            float(spread_of(motion.expression).mean()),
            (float(np.percentile(gap, 95)), float(gap.std())),
            motion.expression.mean(0),
            smile,
        )

    def token(self) -> Array:
        """The numbers that the denoiser knows of, (8,), see `style_of` of the training code."""
        numbers = [
            self.openings[0] / 0.12,
            self.openings[1] / 0.045,
            self.face / 0.6,
            *(self.turn / np.radians(3.0)),
            self.place[0] / 0.07,
            self.place[1] / 0.01,
        ]
        return np.clip(np.array(numbers, np.float32), *TOKEN)


def spread_of(rows: Array) -> Array:
    """Deviation of rows (T, D) within windows of four seconds, root of the mean square over them, (D,)."""
    starts = range(0, max(1, len(rows) - WINDOW + 1), WINDOW // 2)
    squares = [rows[start : start + WINDOW].var(0) for start in starts]
    return np.asarray(np.sqrt(np.mean(squares, axis=0)), np.float32)


def brow_height(expression: Array, basis: FaceBasis) -> Array:
    """Mean height of the brows (T,) of expressions (T, K), outer-eye distances, up is positive."""
    rise = -basis.expression[:, list(topo.BROWS), 1].mean(1)
    return np.asarray(expression @ rise, np.float32)


def smile_of(neutral: Array, basis: FaceBasis) -> float:
    """Share of a smile in a person's canonical face with closed lips (478, 3)."""
    _, shown = basis.split_portrait(neutral)
    smile = gap_free((("MouthSmile", 1.0),))
    corners = [61, 291]
    rise = basis.expression[:, corners, 1].mean(1)
    return float(np.clip((without_gaps(shown) @ rise) / (smile @ rise), -SMILE, SMILE))


@dataclass(frozen=True)
class SpeakingStyle:
    """What makes a generator speak in a person's way.

    Attributes:
        numbers: (8,) of the style token.
        turns: (3,) scale of the head's rotation.
        nods: scale of what stress does to the head.
        tilt: added to the head's roll, radians.
        brows: scale of what stress does to the brows.
        faces: scale of the expression beside the opening of the mouth.
        lips: scale of that opening.
        offset: (K,) added to the expression; leaves the gap between the lips.
        blink_seconds: median time between blinks.
        gaze: (2,) scale of the eyes' wandering.
    """

    numbers: Array
    turns: Array
    nods: float
    tilt: float
    brows: float
    faces: float
    lips: float
    offset: Array
    blink_seconds: float
    gaze: Array

    @classmethod
    def told(cls, clip: StyleStatistics, events: EventConfig) -> SpeakingStyle:
        """A style whose token is set, all else as it is: what is rehearsed with."""
        none = np.ones(3, np.float32)
        return cls(
            clip.token(),
            none,
            1.0,
            0.0,
            1.0,
            1.0,
            1.0,
            np.zeros_like(clip.usual),
            events.blink_seconds,
            none[:2],
        )

    def fitted(self, clip: StyleStatistics, made: StyleStatistics) -> SpeakingStyle:
        """The style with what was missing in a rehearsal made up for.

        Args:
            clip: what is wanted.
            made: what this style gives as it is.
        """
        turns = limited(clip.turn / np.maximum(made.turn, 1e-4) * self.turns, TURN_GAIN)
        # A head that moves as far but faster nods more.
        faster = float((clip.speed / made.speed).mean() / (clip.turn / made.turn).mean())
        rate = np.clip(clip.blinks, 3.0, 60.0) / max(made.blinks, 3.0)
        return replace(
            self,
            turns=turns,
            nods=float(np.clip(self.nods * faster, *NOD_GAIN)),
            tilt=float(np.clip(clip.tilt, -TILT, TILT)),
            brows=float(np.clip(self.brows * clip.brows / max(made.brows, 1e-4), *BROW_GAIN)),
            faces=float(np.clip(self.faces * clip.face / max(made.face, 1e-3), *FACE_GAIN)),
            lips=float(
                np.clip(self.lips * clip.openings[0] / max(made.openings[0], 1e-3), *LIP_GAIN)
            ),
            offset=habit_of(clip, made.usual - self.offset),
            blink_seconds=float(np.clip(self.blink_seconds / rate, *BLINK_SECONDS)),
            gaze=limited(self.gaze * clip.gaze / np.maximum(made.gaze, 1e-4), GAZE_GAIN),
        )

    def token(self, usual: Array) -> Array:
        """The style token (9,), what it does not tell as usual."""
        return np.concatenate([self.numbers, usual[len(self.numbers) :]]).astype(np.float32)

    def events(self, usual: EventConfig) -> EventConfig:
        """Rates of blinks and gaze shifts."""
        return replace(
            usual,
            blink_seconds=self.blink_seconds,
            gaze_x=usual.gaze_x * float(self.gaze[0]),
            gaze_y=usual.gaze_y * float(self.gaze[1]),
        )

    def scaled(self, expression: Array) -> Array:
        """Expression (T, K) with the face's scale and offset on it; the gap between the lips stays."""
        free = without_gaps(expression)
        return np.asarray(expression + (self.faces - 1) * free + self.offset, np.float32)

    def turned(self, rotation: Array) -> Array:
        """Rotation (T, 3) scaled and tilted."""
        tilt = np.array([0, 0, self.tilt], np.float32)
        return np.asarray(rotation * self.turns + tilt, np.float32)


def limited(values: Array, limits: tuple[float, float]) -> Array:
    """Values within limits."""
    return np.clip(values, *limits).astype(np.float32)


def habit_of(clip: StyleStatistics, usual: Array) -> Array:
    """Expression (K,) that a person's face has beside the usual one of generated motion, the gap between the lips left
    out."""
    basis = face_basis()
    offset = without_gaps(clip.usual - usual)
    offset = offset + np.float32(clip.smile) * gap_free((("MouthSmile", 1.0),))
    moved = float(np.linalg.norm(basis.deltas(offset[None])[0, :, :2], axis=1).max())
    return np.asarray(offset * min(1.0, HABIT / max(moved, 1e-6)), np.float32)


def made_up_speech(size: int, seconds: float = REHEARSED_SECONDS) -> Array:
    """Speech features of a language of no one, (L, size) float32: syllables in phrases with pauses and stress.

    Kinds of features beside visemes and prosody are 0, which generators of such kinds take for silence in part.
    """
    rng = np.random.default_rng(7)
    length = round(seconds * STEP_RATE) // 2 * 2
    features = np.zeros((length, size), np.float32)
    features[:, 0] = 1
    index = 15
    while index < length - 30:
        end = min(index + int(rng.integers(70, 150)), length - 30)
        begin = index
        while index < end:
            stress = rng.random() < 0.35
            consonant, vowel = int(rng.integers(1, 10)), int(rng.integers(10, NUM_VISEMES))
            parts = ((consonant, 4, 0.35), (vowel, 9 if stress else 6, 0.75 if stress else 0.55))
            for viseme, lasts, loud in parts:
                run = slice(index, min(index + lasts, end))
                features[run, 0] = 0
                features[run, viseme] = 1
                features[run, LOUDNESS] = loud
                features[run, VOICING] = float(viseme >= 10)
                fall = 0.15 - 0.3 * (index - begin) / (end - begin)
                features[run, PITCH] = (fall + 0.15 * stress) * (viseme >= 10)
                index += lasts
        index = end + int(rng.integers(15, 40))
    blurred = np.pad(features, ((1, 1), (0, 0)), "edge")
    features = 0.25 * blurred[:-2] + 0.5 * blurred[1:-1] + 0.25 * blurred[2:]
    features[1:, LOUDNESS_STEP] = np.diff(features[:, LOUDNESS])
    return np.asarray(features, np.float32)
