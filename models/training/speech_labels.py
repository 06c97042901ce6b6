"""Frame labels of an utterance: viseme from phone times, voicing and pitch from the waveform."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models")]

from talkhead_cli.mel import HOP, SAMPLE_RATE, log_mel, num_mel_frames  # noqa: E402
from talkhead_models.phones import SILENCE  # noqa: E402

Segment = tuple[float, tuple[int, ...]]
"""End in seconds and the visemes that share the time since the end before; () = decide by energy."""


def frame_energy(wave: np.ndarray, count: int) -> np.ndarray:
    """RMS in dBFS of each 10 ms hop, (count,)."""
    padded = np.zeros(count * HOP, np.float32)
    padded[: len(wave)] = wave[: count * HOP]
    return 10 * np.log10(np.mean(padded.reshape(count, HOP) ** 2, axis=1) + 1e-12)


def frame_visemes(segments: list[Segment], energy: np.ndarray) -> np.ndarray:
    """Viseme of each mel frame, (N,) uint8: a segment's visemes share its time, an undecided one follows the energy."""
    labels = np.full(len(energy), SILENCE, np.uint8)
    times = (np.arange(len(energy)) + 0.5) / 100
    start, before = 0.0, SILENCE
    for end, visemes in segments:
        inside = (times >= start) & (times < end)
        if visemes:
            position = ((times[inside] - start) / max(end - start, 1e-6) * len(visemes)).astype(int)
            labels[inside] = np.array(visemes, np.uint8)[np.minimum(position, len(visemes) - 1)]
            before = visemes[-1]
        else:
            labels[inside] = np.where(energy[inside] < -55, SILENCE, before)
        start = end
    return labels


def frame_pitch(wave: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pitch by the YIN method: (aperiodicity, f0 in Hz) of each mel frame; 0.2 and less is clearly voiced."""
    window, longest, shortest = 512, SAMPLE_RATE // 60, SAMPLE_RATE // 450
    padded = np.pad(wave.astype(np.float32), (400, 1600))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window + longest)[::HOP][:count]
    dips, lags = [], []
    for block in np.array_split(frames, max(1, len(frames) // 500)):
        head = np.fft.rfft(block[:, :window], 1024)
        cross = np.fft.irfft(np.conj(head) * np.fft.rfft(block, 1024))[:, : longest + 1]
        square = np.pad(np.cumsum(block.astype(np.float64) ** 2, axis=1), ((0, 0), (1, 0)))
        moving = square[:, window : window + longest + 1] - square[:, : longest + 1]
        difference = np.maximum(moving[:, :1] + moving - 2 * cross, 0)
        running = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, longest + 1)
        normal = difference[:, 1:] / np.maximum(running, 1e-9)
        search = normal[:, shortest:]
        low = search < np.maximum(
            search.min(axis=1, keepdims=True), 0.15
        )  # the first good dip, not an octave below
        first = np.where(low.any(axis=1), low.argmax(axis=1), search.argmin(axis=1))
        for row, index in enumerate(first):  # down to the bottom of that dip
            while index + 1 < search.shape[1] and search[row, index + 1] < search[row, index]:
                index += 1
            first[row] = index
        dips.append(search[np.arange(len(first)), first])
        lags.append(first + shortest + 1)
    aperiodicity, period = np.concatenate(dips), np.concatenate(lags)
    short = count - len(period)
    return np.pad(aperiodicity, (0, short), constant_values=1.0), SAMPLE_RATE / np.pad(
        period, (0, short), mode="edge"
    )


def label(wave: np.ndarray, segments: list[Segment]) -> dict[str, np.ndarray]:
    """All arrays of one utterance."""
    count = num_mel_frames(len(wave))
    energy = frame_energy(wave, count)
    viseme = frame_visemes(segments, energy)
    aperiodicity, pitch = frame_pitch(wave, count)
    voiced = (aperiodicity < 0.25) & (energy > energy.max() - 45) & (viseme != SILENCE)
    return {
        "mel": log_mel(wave).astype(np.float16),
        "viseme": viseme,
        "voiced": voiced.astype(np.uint8),
        "pitch": np.log2(pitch / 100).astype(np.float16),
    }
