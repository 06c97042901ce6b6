"""Variation of training speech in the mel domain: voice, room, channel, noise. All of it cheap, all of it seeded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.fft import dct, idct

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from talkhead_cli.mel import MEL_FLOOR, NUM_MELS  # noqa: E402

FLOOR = float(np.log10(MEL_FLOOR))
MEL_TOP = 45.245640471924965  # Slaney mels of 8 kHz
MEL_LOW = 0.6  # and of 40 Hz

ENVELOPE_SIZE = 16
"""Cosine coefficients of a mel spectrum that are its envelope; the others are harmonics."""

PITCH_SPREAD = 0.5
"""Largest change of pitch by `vary_pitch`, natural logarithm."""

SPOILED_SHARE = 0.65
"""How often a crop whose real faults are known is taken with them rather than with made-up ones."""

Babble = Callable[[], np.ndarray]


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """Slaney's mel scale: linear to 1 kHz, logarithmic above."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def hz_to_mel(hz: np.ndarray) -> np.ndarray:
    """The inverse of `mel_to_hz`."""
    return np.where(
        hz < 1000, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1) / 1000) * 27 / np.log(6.4)
    )


CENTRES = mel_to_hz(np.linspace(MEL_LOW, MEL_TOP, NUM_MELS + 2)[1:-1])
SPACING = (MEL_TOP - MEL_LOW) / (NUM_MELS + 1)


FRAMED_MELS = ("mel", "noisy")
"""Arrays of a crop that are spectra; the others are labels of its frames."""


def stretch(rng: np.random.Generator, crop: dict, length: int) -> dict:
    """Speak faster or slower: frames read at another pace."""
    pace = np.exp(rng.uniform(np.log(0.78), np.log(1.3)))
    position = np.minimum(np.arange(length) * pace, len(crop["viseme"]) - 1.001)
    low = position.astype(int)
    share = (position - low).astype(np.float32)[:, None]
    nearest = np.minimum(np.round(position).astype(int), len(crop["viseme"]) - 1)
    return {
        key: array[low] * (1 - share) + array[low + 1] * share
        if key in FRAMED_MELS
        else array[nearest]
        for key, array in crop.items()
    }


def warp_frequency(mel: np.ndarray, factor: float) -> np.ndarray:
    """Multiply all frequencies by a factor: another vocal tract and pitch."""
    position = (hz_to_mel(CENTRES / factor) - MEL_LOW) / SPACING - 1
    outside = position > NUM_MELS - 1
    position = np.clip(position, 0, NUM_MELS - 1.001)
    low = position.astype(int)
    share = (position - low).astype(np.float32)
    warped = mel[:, low] * (1 - share) + mel[:, low + 1] * share
    if outside.any():
        warped[:, outside] -= 0.5
    return warped


def smooth_curve(rng: np.random.Generator, size: int, knots: int, spread: float) -> np.ndarray:
    """A random smooth curve, (size,) float32."""
    values = rng.normal(0, spread, knots)
    return np.interp(np.linspace(0, knots - 1, size), np.arange(knots), values).astype(np.float32)


def noise_power(rng: np.random.Generator, length: int, babble: Babble | None) -> np.ndarray:
    """Power of a disturbance, (length, 80), of any level: hiss, hum, babble, music or bursts."""
    kind = rng.choice(["stationary", "babble", "music", "bursts"], p=[0.5, 0.25, 0.15, 0.1])
    if kind == "babble" and babble is not None:
        pieces = [babble() for _ in range(int(rng.integers(2, 6)))]
        total = sum(
            10 ** (piece[:length] - piece[:length].max() + rng.uniform(-1, 0)) for piece in pieces
        )
        return np.pad(total, ((0, length - len(total)), (0, 0)), mode="edge")
    if kind == "music":
        power = np.full((length, NUM_MELS), 1e-4)
        for _ in range(int(rng.integers(2, 6))):
            start = 0
            while start < length:
                hold = int(rng.integers(10, 80))
                base = rng.uniform(80, 700)
                envelope = np.exp(-np.arange(min(hold, length - start)) / rng.uniform(10, 80))[
                    :, None
                ]
                for harmonic in range(1, 9):
                    place = (hz_to_mel(np.array(base * harmonic)) - MEL_LOW) / SPACING - 1
                    line = np.exp(
                        -0.5 * ((np.arange(NUM_MELS) - place) / 0.7) ** 2
                    ) / harmonic ** rng.uniform(0.5, 2)
                    power[start : start + hold] += envelope * line
                start += hold
        return power
    slope = rng.uniform(-3.0, 0.5) * np.linspace(0, 1, NUM_MELS)
    spectrum = slope + smooth_curve(rng, NUM_MELS, int(rng.integers(2, 10)), 0.4)
    level = smooth_curve(rng, length, int(rng.integers(2, 8)), 0.25)
    if kind == "bursts":
        level = level + np.where(rng.random(length) < 0.05, rng.uniform(0.5, 2.0, length), 0.0)
    flutter = 0.25 * rng.standard_normal((length, NUM_MELS), np.float32)
    return 10 ** (spectrum + level[:, None] + flutter)


def smear(rng: np.random.Generator, power: np.ndarray) -> np.ndarray:
    """Reverberation: an exponential tail on the power of each band."""
    span = np.arange(1, 40)
    tail = np.exp(-span / rng.uniform(3, 16))
    tail *= rng.uniform(0.03, 1.1) / tail.sum()
    kernel = np.concatenate([[1.0], tail])
    size = 1024 if len(power) + 40 > 512 else 512
    spread = np.fft.irfft(
        np.fft.rfft(power, size, axis=0) * np.fft.rfft(kernel, size)[:, None], size, axis=0
    )
    return np.maximum(spread[: len(power)], 0)


def degrade(rng: np.random.Generator, mel: np.ndarray) -> np.ndarray:
    """Channel faults: band limits, coarse coding, a lost band."""
    if rng.random() < 0.22:
        top = rng.choice([3400, 3700, 4000, 5500, 7000])
        bottom = 300 if top < 4001 and rng.random() < 0.6 else 0
        mel = np.where(
            (top > CENTRES) & (bottom < CENTRES), mel, np.maximum(mel - rng.uniform(2, 6), FLOOR)
        )
    if rng.random() < 0.15:  # a codec keeps what is near the loudest band of the frame
        kept = mel.max(axis=1, keepdims=True) - rng.uniform(2.0, 4.5)
        mel = np.where(
            mel > kept, np.round(mel / 0.3) * 0.3, np.maximum(mel - rng.uniform(0.5, 4), FLOOR)
        )
    if rng.random() < 0.3:
        first, width = int(rng.integers(0, NUM_MELS)), int(rng.integers(2, 12))
        mel[:, first : first + width] = mel.mean()
    return mel


def finish(rng: np.random.Generator, mel: np.ndarray) -> np.ndarray:
    return np.maximum(mel, FLOOR).astype(np.float32)


def vary_pitch(rng: np.random.Generator, mel: np.ndarray) -> np.ndarray:
    """Another pitch for the same vocal tract: the spectrum's fine structure moves, its envelope stays."""
    coefficients = dct(mel, axis=1, norm="ortho")
    coefficients[:, ENVELOPE_SIZE:] = 0
    envelope = idct(coefficients, axis=1, norm="ortho")
    factor = float(np.exp(rng.uniform(-PITCH_SPREAD, PITCH_SPREAD)))
    return np.asarray(envelope + warp_frequency(mel - envelope, factor), np.float32)


def vary_voice(rng: np.random.Generator, mels: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    """The same words by another voice into another microphone, the same one for each of the spectra.

    Args:
        rng: source of all randomness.
        mels: (n, 80) float32 each, log10 power.

    Returns:
        As many spectra, and the factor that all frequencies were multiplied by.
    """
    factor = float(np.exp(rng.uniform(np.log(0.84), np.log(1.2))))
    tilt = np.linspace(-0.5, 0.5, NUM_MELS, dtype=np.float32) * rng.uniform(-1.4, 1.4)
    channel = smooth_curve(rng, NUM_MELS, 8, 0.25)
    level = smooth_curve(rng, len(mels[0]), int(rng.integers(2, 9)), 0.12)[:, None]
    return [warp_frequency(mel, factor) + tilt + channel + level for mel in mels], factor


def at_level(rng: np.random.Generator, power: np.ndarray, speech: float) -> np.ndarray:
    """Log-mel of a power, as if recorded quieter or louder; `speech` is the power of its loud frames."""
    level = 10 ** rng.uniform(-2.8, 0.6)
    return np.log10(np.maximum(power * level * 30.0 / max(speech, 1e-9), 10**FLOOR))


def loud_power(power: np.ndarray) -> float:
    """The 90th percentile of a spectrogram's frames."""
    return float(np.sort(power.sum(axis=1))[int(0.9 * len(power))])


def through_room(rng: np.random.Generator, mel: np.ndarray, babble: Babble) -> np.ndarray:
    """A room, noise, another level and channel faults on (n, 80)."""
    power = 10.0**mel
    if rng.random() < 0.45:
        power = smear(rng, power)
    speech = loud_power(power)
    if rng.random() < 0.85:
        noise = noise_power(rng, len(mel), babble)
        ratio = 10 ** (rng.uniform(0.7, 4.5) if rng.random() < 0.88 else rng.uniform(-0.3, 1.0))
        power = power + noise * (speech / ratio / max(noise.sum(axis=1).mean(), 1e-12))
    return finish(rng, degrade(rng, at_level(rng, power, speech)))


def augment_sound(
    rng: np.random.Generator, mel: np.ndarray, babble: Babble
) -> tuple[np.ndarray, float]:
    """Another voice, room, channel and noise for the same words at the same pace.

    Args:
        rng: source of all randomness.
        mel: (n, 80) float32, log10 power.
        babble: draws mel (m, 80) of other speech, for the background.

    Returns:
        (n, 80) float32, and the factor that all frequencies were multiplied by.
    """
    (varied,), factor = vary_voice(rng, [mel])
    return through_room(rng, varied, babble), factor


def augment_crop(rng: np.random.Generator, crop: dict, babble: Babble, length: int) -> dict:
    """One varied training item.

    Args:
        rng: source of all randomness.
        crop: mel (n, 80) float32, viseme, voiced, pitch, labelled (n,), and perhaps noisy (n, 80), the same frames
            with faults that are real already; n at least 1.3 times the length.
        babble: draws mel (n, 80) of other speech, for the background.
        length: frames wanted.

    Returns:
        mel and the labels, `length` frames each, and clean (length, 80): the same voice without its faults.
    """
    item = stretch(rng, crop, length)
    spoiled = item.pop("noisy", None)
    if spoiled is not None and rng.random() < SPOILED_SHARE:
        (clean, spoiled), factor = vary_voice(rng, [item["mel"], spoiled])
        power = 10.0**spoiled
        mel = finish(rng, at_level(rng, power, loud_power(power)))
    else:
        (clean,), factor = vary_voice(rng, [item["mel"]])
        mel = through_room(rng, clean, babble)
    power = 10.0**clean
    clean = np.log10(np.maximum(power * (3.0 / max(loud_power(power), 1e-9)), 10**FLOOR))
    pitch = item["pitch"] + np.float32(np.log2(factor))
    return item | {"mel": mel, "clean": clean.astype(np.float32), "pitch": pitch}


def noise_only(rng: np.random.Generator, length: int) -> dict:
    """An item without speech: noise or digital silence, all of it labelled silence."""
    power = noise_power(rng, length, None)
    mel = np.log10(np.maximum(power * 10 ** rng.uniform(-5, 0.5), 10**FLOOR))
    if rng.random() < 0.15:
        mel = np.full_like(mel, FLOOR)
    zeros = np.zeros(length, np.float32)
    mel = finish(rng, mel)
    return {
        "mel": mel,
        "clean": mel,
        "labelled": np.ones(length, np.float32),
        "viseme": np.zeros(length, np.uint8),
        "voiced": zeros,
        "pitch": zeros,
    }
