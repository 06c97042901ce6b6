"""Lip sync judged against speech whose phones are known to the millisecond."""

from __future__ import annotations

from pathlib import Path

import numpy as np

BILABIAL = {"p", "b", "m"}
OPEN = {"aa", "ae", "ao", "aw", "ay", "ah", "ey", "eh", "ow"}
SILENT = {"pau", "sil", "h#"}
TARGET = {
    **dict.fromkeys((*BILABIAL, *SILENT), 0.0),
    **dict.fromkeys(("f", "v"), 0.12),
    **dict.fromkeys(("uw", "uh", "w", "iy", "ih", "er", "ax"), 0.45),
    **dict.fromkeys(("aa", "ae", "ao", "aw", "ay"), 1.0),
    **dict.fromkeys(("ah", "eh", "ey", "ow", "oy"), 0.8),
}
"""How open the mouth is for a phone, 1 = widest; 0.3 for those not named."""

Phones = list[tuple[str, float, float]]
"""(phone, start, end) in seconds."""


def read_phones(path: Path) -> Phones:
    """``phone:end phone:end ...`` to (phone, start, end) in seconds."""
    phones, start = [], 0.0
    for token in path.read_text().split():
        phone, end = token.rsplit(":", 1)
        phones.append((phone, start, float(end)))
        start = float(end)
    return phones


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation; 0 where one of the two never changes, for that follows nothing."""
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0


def score_phones(gap: np.ndarray, phones: Phones, fps: float = 25.0) -> dict[str, float]:
    """Closures, open vowels, correlation with the phone target, rest in silence.

    Args:
        gap: (T,) inner-lip gap in outer-eye distances.
        phones: what was said when.
        fps: frames a second of the gap.

    Returns:
        closure: share of p, b, m whose least gap within 40 ms is under the larger of 0.02 and 15 %
            of the gap's 95th percentile (p95).
        open: share of open vowels of 60 ms and more whose largest gap within 20 ms is over 35 % of
            p95 and over 0.05.
        corr: correlation of the gap with the smoothed openness target of the phones, at lag 0.
        lag_ms: the lag, within +-8 frames, at which that correlation is largest; positive where the
            lips come late.
        silence: mean gap in pauses over p95; NaN where the speech has no pause or the
            mouth never opens.
        p95: in outer-eye distances.
    """
    times = (np.arange(len(gap)) + 0.5) / fps
    p95 = float(np.percentile(gap, 95))

    def span(start: float, end: float, pad: float) -> np.ndarray:
        inside = gap[(times >= start - pad) & (times <= end + pad)]
        return inside if len(inside) else np.array([np.nan])

    closed = [np.nanmin(span(s, e, 0.04)) for p, s, e in phones if p in BILABIAL]
    opened = [np.nanmax(span(s, e, 0.02)) for p, s, e in phones if p in OPEN and e - s >= 0.06]
    target = np.zeros(len(gap))
    silent = np.zeros(len(gap), bool)
    for phone, start, end in phones:
        target[(times >= start) & (times < end)] = TARGET.get(phone, 0.3)
        if phone in SILENT and end - start >= 0.25:
            silent |= (times > start + 0.12) & (times < end - 0.08)
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / 1.5) ** 2)
    target = np.convolve(target, kernel / kernel.sum(), "same")
    inner = slice(12, -12)
    lags = {lag: correlation(np.roll(gap, -lag)[inner], target[inner]) for lag in range(-8, 9)}
    best = max(lags, key=lambda lag: (lags[lag], -abs(lag)))
    silence = float(gap[silent].mean() / p95) if silent.any() and p95 > 0 else float("nan")
    return {
        "closure": float(np.mean(np.array(closed) < max(0.02, 0.15 * p95))),
        "open": float(np.mean((np.array(opened) > 0.35 * p95) & (np.array(opened) > 0.05))),
        "corr": lags[0],
        "lag_ms": best * 1000 / fps,
        "silence": silence,
        "p95": p95,
    }
