"""What the melody of speech says to head, brows and eyes: accents, pauses, phrase starts, pursed vowels.

Everything here is a function of a bounded stretch of speech features, `HISTORY` behind a moment and `AHEAD` before
it, and holds no state: so a stream, a file, and a clip that is gone on with after an interruption find the same
accents, wherever the chunks are cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkhead_models.speech import LOUDNESS, PITCH, STEP_RATE, VOICING

Array = NDArray[np.float32]
Flags = NDArray[np.bool_]

HISTORY = 130
"""Feature vectors (50/s) that must be known before the first frame: 2.6 s."""

AHEAD = 12
"""And behind the last frame: 0.24 s, what the denoiser hears ahead."""

PER_FRAME = 2
"""Feature vectors a video frame."""

SPREAD = (1.0, 2.0, 3.0, 2.0, 1.0)
"""Smoothing of loudness and pitch over 0.1 s."""

RIVALS = 5
"""Vectors to each side that an accent is the largest of: 0.1 s, so that it is known 0.14 s after it."""

BASELINE = 60
"""Vectors that an accent stands out from: the 1.2 s before it."""

SPACING = 15
"""Vectors (0.3 s) within which only the largest accent counts: stress falls on every second or third syllable."""

PITCH_WEIGHT = 0.5
"""Loudness that an octave of pitch is worth: stress raises both (Fry, "Experiments in the perception of stress",
Language and Speech 1, 1958)."""

STANDS_OUT = 0.32
"""Loudness above what went before of a plain accent, whose strength is 1."""

PAUSE = 9
"""Vectors of silence (0.18 s) that make a pause; the closure of a plosive is shorter."""

LONGEST = 1.6
"""Seconds that a pause is measured up to: within `HISTORY`."""

PURSED = {10: 1.0, 11: 0.8, 6: 0.5, 9: 0.4}
"""Visemes whose lips are pursed or rounded (uw, oh, sh, r), and how much."""


@dataclass(frozen=True)
class Accent:
    """A stressed syllable.

    Attributes:
        frame: of its peak in the clip, in video frames, to half a frame.
        strength: 0 to 1.6, 1 = a plain one.
        pitch: octaves above the speaker's usual one, 0 where it is not voiced.
    """

    frame: float
    strength: float
    pitch: float


@dataclass(frozen=True)
class Prosody:
    """The melody around a run of T frames.

    Attributes:
        first_frame: number of the first frame in the clip.
        accents: those whose peaks lie from 1 s before the run to 0.08 s behind its end, in order.
        pauses: frames of the clip at which speech came to a pause, from 1.6 s before the run on.
        starts: likewise at which speech began after a pause, up to 0.12 s behind the run.
        voice: (T,) in [0, 1], the share of speech in the last half second.
        silent: (T,) seconds since speech paused, 1.6 at most, 0 while there is speech.
        pursed: (T,) in [0, 1], how far the lips are pursed by what is said.
    """

    first_frame: int
    accents: tuple[Accent, ...]
    pauses: tuple[float, ...]
    starts: tuple[float, ...]
    voice: Array
    silent: Array
    pursed: Array

    @property
    def frames(self) -> Array:
        """Numbers of the run's frames (T,)."""
        return self.first_frame + np.arange(len(self.voice), dtype=np.float32)

    def pulses(self, rise: float, fall: float, gains: Array, lead: float = 0.08) -> Array:
        """Each accent's pulse, summed, (T,).

        Args:
            rise: seconds from a pulse's begin to its top.
            fall: seconds from there to its end.
            gains: height of each accent's pulse.
            lead: seconds before the accent's peak that it begins, at most 0.08, or the future would be needed; it
                must have ended 0.9 s behind it.
        """
        total = np.zeros(len(self.voice), np.float32)
        for accent, gain in zip(self.accents, gains, strict=True):
            seconds = (self.frames - accent.frame) * (PER_FRAME / STEP_RATE) + lead
            up = smooth_step(seconds / rise)
            total += np.float32(gain) * up * (1 - smooth_step((seconds - rise) / fall))
        return total


def smooth_step(x: Array) -> Array:
    """Rises from 0 to 1 over x in [0, 1], level at both ends."""
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)


def spread(values: Array, kernel: tuple[float, ...] | Array) -> Array:
    """Values smoothed by a kernel of odd length, the ends held."""
    weights = np.asarray(kernel, np.float64)
    half = len(weights) // 2
    padded = np.pad(values.astype(np.float64), half, mode="edge")
    return np.asarray(np.convolve(padded, weights / weights.sum(), "valid"))


def find_accents(features: Array, origin: float) -> list[Accent]:
    """Accents of a stretch of features (L, F) whose first vector lies at video frame `origin`; those that cannot be
    told yet, near the ends, are left out."""
    speech = spread(1 - features[:, 0], SPREAD)
    loud = spread(features[:, LOUDNESS], SPREAD)
    high = spread(features[:, PITCH] * features[:, VOICING], SPREAD)
    height = (loud + PITCH_WEIGHT * high) * speech
    tops: list[tuple[int, float]] = []
    # What is smoothed over the ends of the stretch would be otherwise in another one.
    edge = len(SPREAD) // 2
    for index in range(BASELINE + edge, len(height) - RIVALS - edge):
        around = height[index - RIVALS : index + RIVALS + 1]
        if height[index] < around.max() or height[index] == around[0] or loud[index] < 0.2:
            continue
        before = slice(index - BASELINE, index)
        usual = (height[before] * speech[before]).sum() / (speech[before].sum() + 8)
        strength = min((height[index] - usual) / STANDS_OUT, 1.6)
        if strength > 0.3:
            tops.append((index, float(strength)))
    kept = []
    for index, strength in tops:
        rival = [s for i, s in tops if i != index and index - SPACING < i < index]
        if not rival or strength > max(rival):
            kept.append(Accent(origin + index / PER_FRAME, strength, float(high[index])))
    return kept


def find_breaks(silence: Flags, origin: float) -> tuple[list[float], list[float], Flags]:
    """Where speech pauses and where it begins again, in frames of the clip, and which vectors lie in a pause (L,).

    A pause is `PAUSE` vectors of silence at least; it is known when they are there.

    Args:
        silence: (L,) whether nothing is said.
        origin: frame of the first vector.
    """
    quiet = np.zeros(len(silence), bool)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], silence, [False]]).astype(int)))
    pauses, starts = [], []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin < PAUSE:
            continue
        quiet[begin:end] = True
        if begin:
            pauses.append(origin + begin / PER_FRAME)
        if end < len(silence):
            starts.append(origin + end / PER_FRAME)
    return pauses, starts, quiet


def listen(joined: Array, before: int, first_frame: int, num_frames: int) -> Prosody:
    """The melody around a run of frames.

    Args:
        joined: (>= before + 2 T + AHEAD, F) float32 speech features.
        before: vectors in front of the run's first one, `HISTORY` at least.
        first_frame: number of the run's first frame in the clip.
        num_frames: T.
    """
    if before < HISTORY or len(joined) < before + PER_FRAME * num_frames + AHEAD:
        raise ValueError("too little speech around the frames")
    heard = joined[before - HISTORY : before + PER_FRAME * num_frames + AHEAD]
    origin = first_frame - HISTORY / PER_FRAME
    own = slice(HISTORY, HISTORY + PER_FRAME * num_frames)
    silence = spread(heard[:, 0], SPREAD) > 0.5
    pauses, starts, quiet = find_breaks(silence, origin)
    since = np.zeros(len(quiet), np.float32)
    for index in range(1, len(quiet)):
        longer = min(since[index - 1] + 1 / STEP_RATE, LONGEST)
        since[index] = longer if quiet[index] else 0
    # A mean over what lies behind: of what comes, a pause is only known when it is long enough.
    voiced = np.convolve(~quiet, np.hanning(26)[1:-1] / np.hanning(26).sum(), "full")
    voice = voiced[own.start + 1 : own.stop + 1]
    pursed = sum(weight * heard[:, viseme] for viseme, weight in PURSED.items())
    pursed = spread(np.clip(pursed, 0, 1), (1, 2, 3, 4, 4, 4, 3, 2, 1))
    reach = first_frame + num_frames
    return Prosody(
        first_frame,
        tuple(a for a in find_accents(heard, origin) if first_frame - 25 <= a.frame <= reach + 2),
        tuple(p for p in pauses if first_frame - 40 <= p <= reach),
        tuple(s for s in starts if first_frame - 40 <= s <= reach + 3),
        np.asarray(voice.reshape(-1, PER_FRAME).mean(1), np.float32),
        since[own].reshape(-1, PER_FRAME).mean(1),
        np.asarray(pursed[own].reshape(-1, PER_FRAME).mean(1), np.float32),
    )
