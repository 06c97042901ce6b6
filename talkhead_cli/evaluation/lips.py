"""Lips against speech: closures, openings, correlation, lag, rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.evaluation.phones import LipScript, Segment

Array = NDArray[np.float64]

CLOSURE_MARGIN, OPENING_MARGIN = 0.04, 0.02
"""Seconds either side of a phone in which the lips may be early or late."""
CLOSED_GAP, CLOSED_SHARE = 0.02, 0.15
OPEN_GAP, OPEN_SHARE = 0.05, 0.35
"""Gaps in outer-eye distances and as shares of the clip's 95th percentile."""
LONGEST_LAG = 0.32
EDGE = 0.48
"""Seconds at both ends that correlations leave out, so that every lag sees the same frames."""
SMOOTHING, KERNEL_REACH = 0.06, 0.16
"""Seconds: standard deviation and reach of the Gaussian that stands for the lips' inertia."""


@dataclass(frozen=True)
class LipMeasures:
    """Lips against speech; None where it cannot be told. Definitions: docs/metrics.md.

    Attributes:
        lips_judged_by: "phones" or "visemes".
        num_closures, num_open_vowels: how many there were to judge.
        closure_recall, open_vowel_recall: shares in [0, 1].
        openness_correlation: at lag 0; openness_correlation_best: at the best lag.
        best_lag_ms: positive where the lips are late.
        mouth_rest: mean gap in pauses over its 95th percentile.
        mouth_opening_p95: 95th percentile of the gap in outer-eye distances.
    """

    lips_judged_by: str | None = None
    num_closures: int | None = None
    closure_recall: float | None = None
    num_open_vowels: int | None = None
    open_vowel_recall: float | None = None
    openness_correlation: float | None = None
    openness_correlation_best: float | None = None
    best_lag_ms: float | None = None
    mouth_rest: float | None = None
    mouth_opening_p95: float | None = None


@dataclass(frozen=True)
class Judged:
    """One closure and whether the lips met."""

    segment: Segment
    met: bool


def frame_times(count: int, fps: float) -> Array:
    """(T,) seconds of the middles of frames."""
    return (np.arange(count) + 0.5) / fps


def judge_closures(gap: Array, fps: float, script: LipScript) -> list[Judged]:
    """Every closure of the script that lies within the clip, and whether the lips met.

    Args:
        gap: (T,) inner-lip gap in outer-eye distances.
        fps: frames a second.
        script: what the lips should do.
    """
    limit = max(CLOSED_GAP, CLOSED_SHARE * opening_p95(gap))
    return [
        Judged(segment, bool(part.min() < limit))
        for segment, part in parts(gap, fps, script.closures, CLOSURE_MARGIN)
    ]


def judge_openings(gap: Array, fps: float, script: LipScript) -> list[Judged]:
    """Every open vowel of the script that lies within the clip, and whether the lips opened."""
    limit = max(OPEN_GAP, OPEN_SHARE * opening_p95(gap))
    return [
        Judged(segment, bool(part.max() > limit))
        for segment, part in parts(gap, fps, script.openings, OPENING_MARGIN)
    ]


def opening_p95(gap: Array) -> float:
    """95th percentile of the gap."""
    return float(np.percentile(gap, 95))


def parts(
    gap: Array, fps: float, segments: tuple[Segment, ...], margin: float
) -> list[tuple[Segment, Array]]:
    """The gap during each segment and a margin around it; segments without a frame are left out."""
    times = frame_times(len(gap), fps)
    found = []
    for segment in segments:
        low = np.searchsorted(times, segment.start - margin)
        high = np.searchsorted(times, segment.end + margin, side="right")
        if low < high:
            found.append((segment, gap[low:high]))
    return found


def measure_lips(gap: Array, fps: float, script: LipScript | None) -> LipMeasures:
    """All measures of the lips against a script; only the opening where there is no script.

    Args:
        gap: (T,) inner-lip gap in outer-eye distances, T >= 1.
        fps: frames a second.
        script: what the lips should do.
    """
    high = opening_p95(gap)
    if script is None:
        return LipMeasures(mouth_opening_p95=high)
    closures, openings = judge_closures(gap, fps, script), judge_openings(gap, fps, script)
    now, best, lag = correlate(gap, fps, script)
    return LipMeasures(
        lips_judged_by=script.judged_by,
        num_closures=len(closures),
        closure_recall=share_met(closures),
        num_open_vowels=len(openings),
        open_vowel_recall=share_met(openings),
        openness_correlation=now,
        openness_correlation_best=best,
        best_lag_ms=None if lag is None else 1000 * lag / fps,
        mouth_rest=rest(gap, fps, script),
        mouth_opening_p95=high,
    )


def share_met(judged: list[Judged]) -> float | None:
    """Share of what was met; None of nothing."""
    return float(np.mean([item.met for item in judged])) if judged else None


def rest(gap: Array, fps: float, script: LipScript) -> float | None:
    """Mean gap in pauses over the 95th percentile of the gap; None without a pause."""
    times = frame_times(len(gap), fps)
    resting = np.zeros(len(gap), bool)
    for start, end in script.rests:
        resting |= (times > start) & (times < end)
    if not resting.any():
        return None
    return float(gap[resting].mean() / max(opening_p95(gap), 1e-6))


def smooth(values: Array, fps: float) -> Array:
    """Values (T,) a frame, smoothed as the lips' inertia does."""
    reach = max(1, round(KERNEL_REACH * fps))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (SMOOTHING * fps)) ** 2)
    return np.convolve(values, kernel / kernel.sum(), "same")


def correlate(
    gap: Array, fps: float, script: LipScript
) -> tuple[float | None, float | None, int | None]:
    """Pearson correlation of the gap with the wanted opening at lag 0 and at the best lag, and that lag in frames.

    A positive lag means that the lips are late. None where the clip is too short or nothing moves.
    """
    edge = round(EDGE * fps)
    inner = slice(edge, -edge)
    reach = round(LONGEST_LAG * fps)
    if len(gap) < 2 * edge + 2 * reach:
        return None, None, None
    wanted = smooth(script.wanted(frame_times(len(gap), fps)), fps)[inner]
    if wanted.std() < 1e-9 or gap[inner].std() < 1e-9:
        return None, None, None
    values = {
        lag: float(np.corrcoef(np.roll(gap, -lag)[inner], wanted)[0, 1])
        for lag in range(-reach, reach + 1)
    }
    best = max(values, key=lambda lag: values[lag])
    return values[0], values[best], best
