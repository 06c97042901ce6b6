"""Song, laughter, breath and pauses, made of a source and formants, with their visemes."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models"), str(ROOT / "models" / "training")]

from speech_labels import Segment  # noqa: E402

from talkhead_cli.mel import SAMPLE_RATE  # noqa: E402
from talkhead_models.phones import SILENCE  # noqa: E402
from talkhead_models.speech import VISEMES  # noqa: E402

Sound = tuple[np.ndarray, list[Segment]]

FORMANTS: dict[str, tuple[tuple[float, float, float], str]] = {
    "a": ((730, 1200, 2500), "AA"),
    "ah": ((640, 1190, 2390), "AA"),
    "e": ((500, 1900, 2550), "AE"),
    "ae": ((660, 1720, 2410), "AE"),
    "i": ((290, 2300, 3000), "IY"),
    "o": ((480, 850, 2500), "OH"),
    "u": ((320, 800, 2300), "UW"),
    "er": ((490, 1350, 1690), "R"),
    "m": ((250, 1100, 2200), "PBM"),
}
"""Formants in Hz of an adult man and the viseme; Peterson and Barney, J. Acoust. Soc. Am. 24 (1952), rounded. "m" is a
hum: its second formant is a nasal one and is drowned by `voiced`."""


def resonate(source: np.ndarray, hertz: float, width: float) -> np.ndarray:
    """A two-pole resonance of unit gain at 0 Hz."""
    radius = np.exp(-np.pi * width / SAMPLE_RATE)
    first = 2 * radius * np.cos(2 * np.pi * hertz / SAMPLE_RATE)
    return lfilter([1 - first + radius**2], [1, -first, radius**2], source)


def voiced(rng: random.Random, vowel: str, pitch: np.ndarray, tract: float) -> np.ndarray:
    """A vowel of a pitch for each sample, in [-1, 1].

    Args:
        rng: draws the voice's softness.
        vowel: a key of `FORMANTS`.
        pitch: (n,) Hz.
        tract: factor on the formants; 1 is a man, 1.2 a woman.
    """
    phase = np.cumsum(pitch / SAMPLE_RATE)
    pulses = np.diff(np.floor(phase), prepend=0.0)
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(len(pitch))
    sound = lfilter([1], [1, -rng.uniform(0.85, 0.96)], pulses + 0.01 * noise)
    formants, _ = FORMANTS[vowel]
    for index, hertz in enumerate(formants):
        width = (80, 110, 170)[index] * (3 if vowel == "m" and index else 1)
        sound = resonate(sound, hertz * tract * rng.uniform(0.95, 1.05), width)
    if vowel == "m":
        sound = 0.3 * lfilter([0.12], [1, -0.88], sound)
    return sound / max(float(np.abs(sound).max()), 1e-6) * (0.35 if vowel == "m" else 0.8)


def faded(sound: np.ndarray, seconds: float = 0.02) -> np.ndarray:
    """With a ramp up and down."""
    ramp = np.minimum(1, np.arange(len(sound)) / (seconds * SAMPLE_RATE))
    return sound * ramp * ramp[::-1]


def sung_vowels(rng: random.Random) -> Sound:
    """One to five notes held for 0.3 to 2.5 s, with glides and vibrato; a tune on vowels and hums."""
    tract, base = rng.choice((1.0, 1.1, 1.18)), rng.uniform(100, 380)
    waves, segments, at, before = [], [], 0.0, base
    for _ in range(rng.randint(1, 5)):
        seconds = rng.uniform(0.3, 2.5)
        time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        target = base * 2 ** (rng.choice((-5, -3, 0, 2, 4, 5, 7, 9)) / 12)
        glide = np.exp(-time / rng.uniform(0.02, 0.3))
        pitch = target * (before / target) ** glide
        pitch = pitch * (1 + rng.uniform(0, 0.03) * np.sin(2 * np.pi * rng.uniform(4, 7) * time))
        vowel = rng.choice([*FORMANTS, "a", "o", "e"])
        waves.append(faded(voiced(rng, vowel, pitch, tract)))
        at += len(time) / SAMPLE_RATE
        segments.append((at, (VISEMES.index(FORMANTS[vowel][1]),)))
        before = target
    return np.concatenate(waves).astype(np.float32), segments


def hiss(rng: random.Random, seconds: float, hertz: float) -> np.ndarray:
    """Breath: noise around a frequency, in [-1, 1]."""
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(int(seconds * SAMPLE_RATE))
    shaped = resonate(noise, hertz, 600) + 0.3 * resonate(noise, 2 * hertz, 900)
    return faded(shaped / np.abs(shaped).max(), 0.03)


def laughter(rng: random.Random) -> Sound:
    """Ha ha ha: short vowels that fall in pitch and loudness, with breath between them."""
    tract, pitch = rng.choice((1.0, 1.15)), rng.uniform(150, 450)
    vowel = rng.choice(("a", "ah", "ae", "e"))
    waves, segments, at, level = [], [], 0.0, 1.0
    for _ in range(rng.randint(3, 9)):
        puff, call = rng.uniform(0.05, 0.14), rng.uniform(0.06, 0.16)
        waves.append(0.15 * level * hiss(rng, puff, 1200 * tract))
        at += len(waves[-1]) / SAMPLE_RATE
        segments.append((at, (VISEMES.index("KG"),)))
        run = np.linspace(pitch * 1.1, pitch * 0.9, int(call * SAMPLE_RATE))
        waves.append(level * faded(voiced(rng, vowel, run, tract), 0.015))
        at += len(waves[-1]) / SAMPLE_RATE
        segments.append((at, (VISEMES.index(FORMANTS[vowel][1]),)))
        pitch, level = pitch * rng.uniform(0.88, 1.02), level * rng.uniform(0.7, 1.0)
    return np.concatenate(waves).astype(np.float32), segments


def breath(rng: random.Random) -> Sound:
    """Drawn or let out through a mouth that does not speak: silence to the lips."""
    seconds = rng.uniform(0.2, 0.9)
    wave = hiss(rng, seconds, rng.uniform(700, 2500)) * 10 ** (rng.uniform(-38, -18) / 20)
    return wave.astype(np.float32), [(seconds, (SILENCE,))]


def pause(rng: random.Random) -> Sound:
    """0.3 to 4 s of nothing, or of the faintest noise."""
    seconds = rng.uniform(0.3, 1.2) if rng.random() < 0.6 else rng.uniform(1.0, 4.0)
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(int(seconds * SAMPLE_RATE))
    level = 0.0 if rng.random() < 0.4 else 10 ** (rng.uniform(-75, -50) / 20)
    return (noise * level).astype(np.float32), [(seconds, (SILENCE,))]


def join(parts: Sequence[Sound]) -> Sound:
    """One after another."""
    segments: list[Segment] = []
    offset = 0.0
    for wave, own in parts:
        length = len(wave) / SAMPLE_RATE
        segments += [(min(end, length) + offset, visemes) for end, visemes in own]
        offset += length
        if own and own[-1][0] < length:
            segments.append((offset, ()))
    return np.concatenate([wave for wave, _ in parts]).astype(np.float32), segments
