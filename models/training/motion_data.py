"""Windows of motion and speech for the generator's three stages (autoencoder, teacher, student).

Most speech with clean sync is one man's (48 minutes of a 51-word vocabulary, a still head); most
head motion, blinks and expression is other people's. So windows are put together: lips and brows
with their speech from one clip, head pose and gaze from another; mirrored, stretched in time
(speech and motion together), scaled. Before a clip begins and after it ends the face is held and
the speech is silence, so that lips learn to rest.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.signal import savgol_filter
from splits import HELD_OUT_PREFIXES, SINGLE_SPEAKER, is_validation_clip

from talkhead_models.basis import FaceBasis
from talkhead_models.motion import APPEARANCE_SIZE, GEOMETRY_SIZE
from talkhead_models.motion import EXPRESSION_SIZE as K
from talkhead_models.speech import FEATURE_SIZE
from talkhead_models.speech_kinds import silent_features

MIN_SYNC = 0.3
"""Clips whose mouth follows the speech less than this are used without it."""

OPENNESS = np.array(
    [0, 0, 0.12, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.45, 0.45, 0.9, 1, 0.85, 0.45, 0.45], np.float32
)
"""Roughly how open the mouth is for each viseme."""

ALIGNED_SHARE = 0.85
"""How often the speech of a clip that is aligned comes from the alignment, see align_clips.py."""

SPLICE_CANDIDATES = 10
"""Places among which the one that joins best is taken."""

LONG_WINDOW = 100
"""Frames from which a window is filled with further clips."""

FOLLOW_ON = 0.9
"""Chance of a further clip behind each."""

RISE_FRAMES = 8
"""Frames a face takes from the portrait's expression to the speaker's own rest."""

RIGID = slice(K + 2, GEOMETRY_SIZE)
"""Gaze, rotation, translation: what may come from another clip than lips and speech."""

APPEARANCE = slice(GEOMETRY_SIZE, GEOMETRY_SIZE + APPEARANCE_SIZE)
"""What belongs to the lips but is not in the mesh."""


@dataclass(frozen=True)
class Clip:
    """One clip: motion (T, D) at 25/s, speech features (2 T, F) at 50/s or None, style (9,); F is 20,
    or 56 where the other kinds of features are there too."""

    name: str
    person: str
    motion: np.ndarray
    features: np.ndarray | None
    style: np.ndarray
    rests_at_start: bool
    rests_at_end: bool
    aligned: np.ndarray | None = None
    """The features with visemes from forced alignment instead of the encoder's, where known."""

    @property
    def num_frames(self) -> int:
        return len(self.motion)


class Windows(NamedTuple):
    """A batch: motion (B, T, D), features (B, L, F), style (B, 9), spoken (B,) bool: the features
    belong to the motion."""

    motion: np.ndarray
    features: np.ndarray
    style: np.ndarray
    spoken: np.ndarray


def style_of(motion: np.ndarray, basis: FaceBasis, *, clean: bool = True) -> np.ndarray:
    """What the style token says, (9,) float32, all around 1.

    Lip opening (95th percentile, deviation), expression's deviation, deviations of pitch, yaw,
    roll, of the position and of the scale; last, 1 for studio recordings, whose sound fits the
    mouth exactly, and 0 for others, so that loose sync is not learned as the rule.
    """
    gap = basis.lip_gap(motion[:, :K])
    deviation = motion.std(0)
    turn, place = deviation[K + 4 : K + 7], deviation[K + 7 : GEOMETRY_SIZE]
    numbers = [
        np.percentile(gap, 95) / 0.12,
        gap.std() / 0.045,
        deviation[:K].mean() / 0.6,
        *(turn / np.radians(3.0)),
        np.hypot(place[0], place[1]) / 0.07,
        place[2] / 0.01,
        float(clean),
    ]
    return np.clip(np.array(numbers, np.float32), 0, 3)


def mirrored(motion: np.ndarray, basis: FaceBasis) -> np.ndarray:
    """Left and right exchanged, (..., T, D)."""
    result = motion.copy()
    result[..., :K] = motion[..., :K] @ basis.mirror
    result[..., K : K + 2] = motion[..., [K + 1, K]]
    for column in (K + 2, K + 5, K + 6, K + 7):  # gaze x, yaw, roll, translation x
        result[..., column] *= -1
    return result


def read_rows(data: Path) -> dict[str, dict[str, str]]:
    """clips.csv by clip name."""
    with (data / "clips.csv").open(newline="") as file:
        return {Path(row["file"]).stem: row for row in csv.DictReader(file)}


def load_features(path: Path, num_frames: int, wide: Path | None = None) -> np.ndarray | None:
    """Features of a clip, cut or padded with its last vector to two a frame; None where there are
    none.

    Args:
        path: the visemes' file.
        num_frames: T.
        wide: file of the other kinds, whose columns are put behind; None for visemes alone.
    """
    if not path.exists():
        return None
    with np.load(path) as stored:
        features = np.asarray(stored["features"], np.float32)
    if wide is not None:
        with np.load(wide) as stored:
            features = np.concatenate([features, np.asarray(stored["wide"], np.float32)], axis=1)
    if abs(len(features) - 2 * num_frames) > 25 or not len(features):
        return None
    index = np.minimum(np.arange(2 * num_frames), len(features) - 1)
    return features[index]


def is_studio(row: dict[str, str]) -> bool:
    """Whether a clip is a GRID recording: clean sound, exact sync."""
    return row["person"] == SINGLE_SPEAKER or row["person"].startswith(HELD_OUT_PREFIXES)


def follows_sound(motion: np.ndarray, features: np.ndarray, basis: FaceBasis) -> bool:
    """Whether the mouth opens when the speech says so, within two frames; most clips in the wild fail.

    A mouth-against-energy screen is not enough: clips that pass it with 0.5 and fail here taught the
    generator to ignore the speech.
    """
    said = np.convolve(
        (features[:, : len(OPENNESS)] @ OPENNESS).reshape(-1, 2).mean(1), (0.25, 0.5, 0.25), "same"
    )
    gap = basis.lip_gap(motion[:, :K])
    inner = slice(5, -5)
    found = [np.corrcoef(np.roll(gap, -lag)[inner], said[inner])[0, 1] for lag in range(-2, 3)]
    return bool(max(found) >= MIN_SYNC)


def align_features(features: np.ndarray | None, path: Path) -> np.ndarray | None:
    """Features whose visemes come from forced alignment; None where there is none."""
    if features is None or not path.exists():
        return None
    with np.load(path) as stored:
        visemes = stored["visemes"]
    index = np.minimum(np.arange(len(features)), len(visemes) - 1)
    return np.concatenate([visemes[index], features[:, visemes.shape[1] :]], axis=1)


def with_appearance(motion: np.ndarray, path: Path, ok: np.ndarray) -> np.ndarray:
    """Motion (T, 42) with the mouth's appearance code (T, 12) beside it; zeros where there is none."""
    codes = np.zeros((len(motion), APPEARANCE_SIZE), np.float32)
    if path.exists():
        with np.load(path) as stored:
            known = stored["codes"]
        good = np.flatnonzero(ok[: len(known)])
        for column in range(APPEARANCE_SIZE):
            codes[:, column] = np.interp(np.arange(len(motion)), good, known[good, column])
        codes = savgol_filter(codes, 5, 2, axis=0)
    return np.concatenate([motion, codes], 1).astype(np.float32)


def usable_features(
    row: dict[str, str], work: Path, motion: np.ndarray, basis: FaceBasis, *, wide: bool
) -> np.ndarray | None:
    """A clip's features where its sound belongs to its mouth."""
    if row["speech"] != "yes":
        return None
    name = f"{Path(row['file']).stem}.npz"
    other = work / "features_wide" / name if wide else None
    features = load_features(work / "features" / name, len(motion), other)
    if features is None or not follows_sound(motion, features, basis):
        return None
    return features


def load_clips(
    data: Path,
    work: Path,
    basis: FaceBasis,
    *,
    validation: bool = False,
    tiers: tuple[str, ...] = ("permissive",),
    wide: bool = False,
) -> list[Clip]:
    """Clips of the training part, or of the validation part, of some tiers; `wide` with all kinds of
    speech features."""
    clips = []
    for name, row in read_rows(data).items():
        path = work / "motion" / f"{name}.npz"
        if (
            row["tier"] not in tiers
            or is_validation_clip(row["person"], name) != validation
            or not path.exists()
        ):
            continue
        with np.load(path) as stored:
            motion, ok = stored["array"].astype(np.float32), stored["ok"]
        if ok.mean() < 0.97 or len(motion) < 50:
            continue
        motion[:, :K] = np.clip(motion[:, :K], -5, 5)
        motion = with_appearance(motion, work / "appearance" / f"{name}.npz", ok)
        features = usable_features(row, work, motion, basis, wide=wide)
        aligned = align_features(features, work / "aligned" / f"{name}.npz")
        rests = [
            bool(basis.lip_gap(part[:, :K]).max() < 0.02) for part in (motion[:2], motion[-2:])
        ]
        clips.append(
            Clip(
                name,
                row["person"],
                motion,
                features,
                style_of(motion, basis, clean=is_studio(row)),
                *rests,
                aligned,
            )
        )
    return clips


def interpolate(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Linear interpolation of rows at fractional positions, held at both ends."""
    positions = np.clip(positions, 0, len(values) - 1)
    low = np.floor(positions).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    share = (positions - low)[:, None].astype(np.float32)
    return (1 - share) * values[low] + share * values[high]


class WindowSampler:
    """Draws augmented windows; deterministic by its seed."""

    def __init__(
        self, clips: list[Clip], basis: FaceBasis, seed: int, *, single_share: float = 0.6
    ) -> None:
        self.basis = basis
        self.rng = np.random.default_rng(seed)
        self.single = [clip for clip in clips if clip.person == SINGLE_SPEAKER]
        self.others = [clip for clip in clips if clip.person != SINGLE_SPEAKER]
        self.single_share = single_share if self.others else 1.0
        if not self.single:
            self.single, self.single_share = self.others, 0.0
        sizes = [clip.features.shape[1] for clip in clips if clip.features is not None]
        self.feature_size = max(sizes, default=FEATURE_SIZE)

    def pick(self, single: bool) -> Clip:
        pool = self.single if single else self.others
        # Longer clips say more, but one long clip must not stand for everybody.
        weights = np.sqrt([clip.num_frames for clip in pool])
        return pool[self.rng.choice(len(pool), p=weights / weights.sum())]

    def cut(self, clip: Clip, num_frames: int, before: int) -> tuple[np.ndarray, np.ndarray, bool]:
        """One window: motion (T, D), features (2 T, F), and whether the features belong to it."""
        rng = self.rng
        rate = float(rng.uniform(0.8, 1.25)) if rng.random() < 0.5 else 1.0
        length = num_frames * rate
        spoken = clip.features is not None
        if spoken:
            low = -before if clip.rests_at_start else 0
            high = clip.num_frames - length + (20 if clip.rests_at_end else 0)
        else:
            low, high = 0, max(clip.num_frames - length, 0)
        start = float(rng.integers(int(low), int(max(high, low)) + 1))
        places = start + rate * np.arange(num_frames)
        motion = interpolate(clip.motion, places)
        if start < 0 and rng.random() < 0.5:
            # In use a clip starts from the portrait at rest, which is zero, not from this person's rest.
            motion[:, :K] *= np.clip(1 + places / RISE_FRAMES, 0, 1)[:, None].astype(np.float32)
        features = silent_features(2 * num_frames, self.feature_size)
        known = clip.features
        if clip.aligned is not None and rng.random() < ALIGNED_SHARE:
            known = clip.aligned
        if known is not None:
            positions = 2 * start + 0.5 + rate * (np.arange(2 * num_frames) - 0.5)
            inside = (positions >= 0) & (positions <= len(known) - 1)
            features[inside] = interpolate(known, positions[inside])
        return motion, features, spoken

    def follow_on(self, motion: np.ndarray, features: np.ndarray) -> None:
        """Fill a long window behind the end of its clip with further clips of the single speaker, in
        place: his clips last three seconds, and a window of silence teaches nothing."""
        speaking = np.flatnonzero(features[:, 0] < 0.5)
        at = (int(speaking[-1]) // 2 if len(speaking) else 0) + 8
        while at < len(motion) - 16 and self.rng.random() < FOLLOW_ON:
            clip = self.pick(True)
            known = clip.features
            if clip.aligned is not None and self.rng.random() < ALIGNED_SHARE:
                known = clip.aligned
            if known is None:
                return
            count = min(len(motion) - at, clip.num_frames)
            fade = np.clip(1 - np.arange(count) / 6, 0, 1)[:, None].astype(np.float32)
            for part in (slice(0, K), APPEARANCE):
                jump = motion[at - 1, part] - clip.motion[0, part]
                motion[at : at + count, part] = clip.motion[:count, part] + fade * jump
                motion[at + count :, part] = motion[at + count - 1, part]
            features[2 * at : 2 * (at + count)] = known[: 2 * count]
            features[2 * (at + count) :] = silent_features(
                len(features) - 2 * (at + count), features.shape[1]
            )
            at += count

    def splice(self, motion: np.ndarray, features: np.ndarray) -> None:
        """Continue a window with another piece of the single speaker's speech, in place.

        Fifty-one words in one order of syntax are soon known by heart; pieces joined where the
        faces are alike make sequences of phones that were never said.
        """
        rng, num_frames = self.rng, len(motion)
        at = int(rng.integers(12, num_frames - 12))
        best, least = None, np.inf
        for _ in range(SPLICE_CANDIDATES):
            clip = self.pick(True)
            if clip.features is None or clip.num_frames < num_frames - at + 8:
                continue
            start = int(rng.integers(4, clip.num_frames - (num_frames - at) + 1))
            distance = float(
                np.abs(clip.motion[start - 1 : start + 1, :K] - motion[at - 1 : at + 1, :K]).mean()
            )
            if distance < least:
                best, least = (clip, start), distance
        if best is None:
            return
        clip, start = best
        span = slice(start, start + num_frames - at)
        known = (
            clip.aligned
            if clip.aligned is not None and rng.random() < ALIGNED_SHARE
            else clip.features
        )
        features[2 * at :] = known[2 * span.start : 2 * span.stop]
        # The step between the two faces fades over the first frames.
        fade = np.clip(1 - (np.arange(num_frames - at) + 1) / 4, 0, 1)[:, None].astype(np.float32)
        for part in (slice(0, K), APPEARANCE):
            jump = motion[at - 1, part] - clip.motion[start - 1, part]
            motion[at:, part] = clip.motion[span, part] + fade * jump

    def window(
        self, num_frames: int, before: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        """One augmented window with its style."""
        rng = self.rng
        clip = self.pick(rng.random() < self.single_share)
        motion, features, spoken = self.cut(clip, num_frames, before)
        style = clip.style.copy()
        if spoken and clip.person == SINGLE_SPEAKER:
            if num_frames > LONG_WINDOW:
                self.follow_on(motion, features)
            for _ in range(int(rng.choice((0, 1, 2), p=(0.4, 0.35, 0.25)))):
                self.splice(motion, features)
        if self.others and rng.random() < (0.75 if clip.person == SINGLE_SPEAKER else 0.15):
            other = self.pick(False)
            donor, _, _ = self.cut(other, num_frames, 0)
            motion[:, RIGID] = donor[:, RIGID]
            style[3:8] = other.style[3:8]
        amount = float(rng.uniform(0.85, 1.25))
        motion[:, :K] *= amount
        style[:3] *= amount
        turn = float(rng.uniform(0.4, 1.2))
        motion[:, K + 4 : GEOMETRY_SIZE] *= turn
        style[3:8] *= turn
        if rng.random() < 0.5:
            motion = mirrored(motion, self.basis)
        return motion, features, style, spoken

    def batch(self, size: int, num_frames: int, before: int) -> Windows:
        """A batch of windows of `num_frames`, beginning up to `before` frames ahead of their
        clips."""
        parts = [self.window(num_frames, before) for _ in range(size)]
        motion, features, style, spoken = zip(*parts, strict=True)
        return Windows(
            np.stack(motion).astype(np.float32),
            np.stack(features),
            np.stack(style),
            np.array(spoken, bool),
        )
