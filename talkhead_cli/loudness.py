"""How loud speech is against its own level, and where nobody speaks: causal but for a short look-ahead.

A quiet recording must drive the lips as fully as a loud one, while digital silence and room noise must not drive them
at all. So energy is read between two running levels: the noise floor, and the level of what the encoder calls speech.
"""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from talkhead_models.speech import (
    FEATURE_SIZE,
    LOUDNESS,
    LOUDNESS_STEP,
    NUM_VISEMES,
    PITCH,
    VOICING,
)

LOOKAHEAD = 10
"""Steps (20 ms each) that must be known after a step before its features are settled."""

SPEECH_RANGE = 30.0
"""dB below the speech level at which loudness is 0."""

HEADROOM = 5.0
"""dB above the speech level at which loudness is 1."""

FLOOR_MARGIN = 6.0
"""dB above the noise floor below which loudness is 0."""

FIRST_FLOOR = -20.0
"""dB above which the first noise floor is not believed: the recording may begin in the middle of a word."""

FLOOR_RISE = 0.04
"""dB a step by which the noise floor may rise: 2 dB a second."""

SILENT_ENERGY = -48.0
"""dB of mel energy (a full-scale tone has about +26) that is digital silence, whatever the floor says."""

QUIET_RUN = 10
"""Steps at the noise floor that make a pause: shorter ones are closures of stops."""

RELEASE, ONSET = 3, 4
"""Steps at the beginning and end of a pause that are left to the encoder."""

LEVEL_MEMORY = 500
"""Steps of speech (10 s) after which the speech level forgets."""

LEVEL_FALL = 0.02
"""dB a step by which speech far below the level pulls it down: somebody has moved away from the microphone."""

PITCH_MEMORY = 250
"""Voiced steps whose median is the speaker's pitch."""

PAUSE_NEEDED = 0.5
"""Silence posterior above which a step is not speech."""

Array = NDArray[np.float32]


def mel_energy(log_mel: Array) -> Array:
    """Energy of each step in dB.

    Args:
        log_mel: (2 m, 80) float32, log10 power.

    Returns:
        (m,) float32.
    """
    power = np.power(10.0, log_mel, dtype=np.float32).sum(axis=1)
    return np.asarray(10 * np.log10(power.reshape(-1, 2).mean(axis=1)), np.float32)


@dataclass
class FeatureStream:
    """Turns posteriors, prosody and energy into speech features, step by step, whatever the block sizes.

    It is the state of one clip: feed the blocks in order, and `finish` at the end.

    Attributes:
        floor: noise floor in dB; None before the first step.
        level: level of speech in dB; None before the first speech.
    """

    floor: float | None = None
    level: float | None = None
    _speech_steps: int = 0
    _quiet_before: int = QUIET_RUN
    _last_loudness: float = 0.0
    _pitches: deque[float] = field(default_factory=lambda: deque(maxlen=PITCH_MEMORY))
    _waiting: list[tuple[Array, Array, float]] = field(default_factory=list)
    _quiet: list[bool] = field(default_factory=list)
    _open_end: bool = False

    def push(self, visemes: Array, prosody: Array, energy: Array) -> Array:
        """Take the next steps and give those that are settled.

        Args:
            visemes: (m, 16) float32 logits.
            prosody: (m, 2) float32 voicing logit and log2(f0 / 100 Hz).
            energy: (m,) float32 dB, see `mel_energy`.

        Returns:
            (n, 20) float32 features.
        """
        shifted = visemes - visemes.max(axis=1, keepdims=True, initial=-1e9)
        posteriors = np.exp(shifted)
        posteriors /= posteriors.sum(axis=1, keepdims=True)
        voicing = 1 / (1 + np.exp(-np.clip(prosody[:, 0], -30, 30)))
        sound = np.stack([voicing, prosody[:, 1]], axis=1)
        self._waiting += [
            (posterior, pair, float(value))
            for posterior, pair, value in zip(posteriors, sound, energy, strict=True)
        ]
        return self._settle(LOOKAHEAD)

    def finish(self) -> Array:
        """The last steps, (n, 20) float32: what follows the end counts as silence."""
        return self._settle(0)

    def peek(self, visemes: Array, prosody: Array, energy: Array) -> Array:
        """What can be said of all steps that are not settled, and of these, by what is known; nothing is taken.

        Args:
            visemes, prosody, energy: as `push`.

        Returns:
            (n, 20) float32 features, the newest last.
        """
        other = copy.deepcopy(self)
        other._open_end = True
        return np.concatenate([other.push(visemes, prosody, energy), other.finish()])

    def _settle(self, held_back: int) -> Array:
        rows = []
        while len(self._waiting) > held_back:
            rows.append(self._next_step())
            self._waiting.pop(0)
        return np.stack(rows) if rows else np.zeros((0, FEATURE_SIZE), np.float32)

    def _next_step(self) -> Array:
        posterior, (voicing, pitch), energy = self._waiting[0]
        ahead = [value for _, _, value in self._waiting[1 : LOOKAHEAD + 1]]
        self._follow(posterior, energy, ahead)
        gate = self._gate()
        loudness = 0.0
        if self.level is not None and energy > gate:
            loudness = min(1.0, (energy - gate) / max(self.level + HEADROOM - gate, 6.0))
        features = np.zeros(FEATURE_SIZE, np.float32)
        features[:NUM_VISEMES] = self._gate_posterior(posterior, energy, ahead, gate)
        loudness *= 1 - float(
            features[0]
        )  # hiss and music between words are loud but nobody speaks
        features[LOUDNESS] = loudness
        features[LOUDNESS_STEP] = loudness - self._last_loudness
        features[VOICING] = voicing * (1 - features[0])
        features[PITCH] = self._relative_pitch(float(features[VOICING]), float(pitch))
        self._last_loudness = loudness
        return features

    def _follow(self, posterior: Array, energy: float, ahead: list[float]) -> None:
        """Move the noise floor and the speech level."""
        if self.floor is None:
            self.floor = min([energy, *ahead, FIRST_FLOOR])
        self.floor = min(self.floor + FLOOR_RISE, max(energy, SILENT_ENERGY))
        if posterior[0] > PAUSE_NEEDED or energy < max(self.floor, SILENT_ENERGY) + FLOOR_MARGIN:
            return
        if self.level is None:
            self.level = max([energy, *ahead]) - 4.0
            self._speech_steps = 15
        if energy > self.level - SPEECH_RANGE / 2:  # vowels and the like, not closures
            self._speech_steps = min(self._speech_steps + 1, LEVEL_MEMORY)
            self.level += (energy - self.level) / self._speech_steps
        else:
            self.level -= LEVEL_FALL

    def _gate(self) -> float:
        """Energy in dB below which there is no speech."""
        floor = max(self.floor if self.floor is not None else 0.0, SILENT_ENERGY)
        if self.level is None:
            return floor + FLOOR_MARGIN
        # a steady voice lifts the floor: it never comes nearer than half the range to speech
        floor = min(floor, self.level - SPEECH_RANGE / 2 - FLOOR_MARGIN)
        return max(floor + FLOOR_MARGIN, self.level - SPEECH_RANGE)

    def _gate_posterior(
        self, posterior: Array, energy: float, ahead: list[float], gate: float
    ) -> Array:
        """The posterior, made silence inside a pause at the noise floor."""
        if energy > gate:
            self._quiet_before = 0
            return posterior
        # Behind the end there is silence; behind the newest step of speech that goes on, nobody knows.
        behind = len(ahead) if self._open_end else QUIET_RUN
        after = next((i for i, value in enumerate(ahead) if value > gate), behind)
        at_end = len(ahead) < LOOKAHEAD and after == QUIET_RUN and not self._open_end
        before, self._quiet_before = self._quiet_before, self._quiet_before + 1
        long_enough = before + 1 + after >= QUIET_RUN
        if not long_enough or before < RELEASE or (after < ONSET and not at_end):
            return posterior
        silence = np.zeros_like(posterior)
        silence[0] = 1.0
        return silence

    def _relative_pitch(self, voicing: float, pitch: float) -> float:
        """Octaves above the speaker's running median, 0 where unvoiced."""
        if voicing < 0.5:
            return 0.0
        self._pitches.append(pitch)
        return float(np.clip(pitch - np.median(np.asarray(self._pitches)), -1.0, 1.0))
