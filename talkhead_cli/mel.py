"""The log-mel spectrogram the speech encoder reads, at once or block by block with the same numbers."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hz of the waveform that features are computed from."""

HOP = 160
"""Samples between mel frames: 100 frames a second."""

WINDOW = 400
"""Samples under the Hann window of one frame."""

FFT_SIZE = 512
NUM_MELS = 80

LEFT = (WINDOW - HOP) // 2
"""Samples of a frame's window before its own hop: frame i is centred on the hop [160 i, 160 i + 160)."""

MEL_FLOOR = 1e-7
"""Smallest mel power: about 16-bit rounding noise."""

Array = NDArray[np.float32]


LOWEST_HZ = 40.0
"""Lower edge of the lowest mel filter."""


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's mel scale: 200/3 Hz a mel up to 1 kHz, from there on 27 mels for each factor of 6.4."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


@lru_cache(maxsize=1)
def mel_filters() -> Array:
    """Triangles of equal area, (80, 257) float32, at equal distances on Slaney's mel scale.

    M. Slaney, Auditory Toolbox, Interval Research Technical Report 1998-010. The same numbers as
    `librosa.filters.mel`, whose import takes a second.
    """
    lowest = LOWEST_HZ * 3 / 200
    highest = 15 + 27 * np.log(SAMPLE_RATE / 2 / 1000) / np.log(6.4)
    edges = mel_to_hz(np.linspace(lowest, highest, NUM_MELS + 2))
    bins = np.arange(FFT_SIZE // 2 + 1) * SAMPLE_RATE / FFT_SIZE
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * 2 / (right - left)).astype(np.float32)


@lru_cache(maxsize=1)
def hann_window() -> Array:
    """Periodic Hann window, (400,) float32."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW), np.float32)


def num_mel_frames(num_samples: int) -> int:
    """Mel frames of a clip: a multiple of four (one video frame at 25 fps), the last ones padded with silence."""
    return -(-num_samples // (4 * HOP)) * 4


def framed_log_mel(samples: Array) -> Array:
    """Log-mel of every whole window in samples.

    Args:
        samples: (S,) float32 in [-1, 1] at 16 kHz; the first frame's window starts at its first sample.

    Returns:
        (n, 80) float32, log10 of mel power, n = (S - 400) // 160 + 1 where that is positive.
    """
    if len(samples) < WINDOW:
        return np.zeros((0, NUM_MELS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP] * hann_window()
    power = np.abs(np.fft.rfft(frames, FFT_SIZE, axis=1)).astype(np.float32) ** 2
    return np.log10(np.maximum(power @ mel_filters().T, np.float32(MEL_FLOOR)))


def log_mel(waveform: Array) -> Array:
    """Log-mel spectrogram of a clip.

    Args:
        waveform: (S,) float32 in [-1, 1] at 16 kHz.

    Returns:
        (L2, 80) float32, log10 of mel power from -7 up, 100 frames a second, L2 = `num_mel_frames(S)`.

    Raises:
        ValueError: the waveform has another number of axes.
    """
    if waveform.ndim != 1:
        raise ValueError(f"waveform must be (S,), got {waveform.shape}")
    count = num_mel_frames(len(waveform))
    padded = np.zeros(count * HOP + WINDOW - HOP, np.float32)
    padded[LEFT : LEFT + len(waveform)] = waveform
    blocks = [
        framed_log_mel(padded[first * HOP : min(first + 1000, count) * HOP + WINDOW - HOP])
        for first in range(0, count, 1000)
    ]
    return np.concatenate(blocks) if blocks else np.zeros((0, NUM_MELS), np.float32)
