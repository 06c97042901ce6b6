"""What the measures are called, what real people score on them, and what a render should reach."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Literal

Verdict = Literal["good", "poor", ""]

LEAST_GAIN = 0.05
"""Correlation that a lag must win over no lag to count as one."""

LEAST_VISIBLE = 0.05
"""Levels of warping error that nobody sees."""


@dataclass(frozen=True)
class Measure:
    """One line of the report.

    Attributes:
        key: in `Evaluation.to_dict`.
        title: for people.
        low, high: what is good, both ends included; both infinite where no verdict is passed.
        real: what real people score, as text; empty where it is not known.
        real_by_visemes: the same where visemes judge the lips, if that makes a difference.
        digits: after the point.
        unit: behind the value.
    """

    key: str
    title: str
    low: float = -inf
    high: float = inf
    real: str = ""
    real_by_visemes: str = ""
    digits: int = 2
    unit: str = ""

    def show(self, value: float | None) -> str:
        """A value as the table has it."""
        return "-" if value is None else f"{value:.{self.digits}f}{self.unit}"

    def judge(self, value: float | None) -> Verdict:
        """Whether a value is as it should be; nothing where it is unknown or no limit is set."""
        if value is None or (self.low == -inf and self.high == inf):
            return ""
        return "good" if self.low <= value <= self.high else "poor"

    def real_score(self, judge: str | None) -> str:
        """What real people score, by the judge of the lips."""
        return self.real_by_visemes if judge == "visemes" and self.real_by_visemes else self.real

    @property
    def wanted(self) -> str:
        """The limits as text."""
        low, high = (f"{value:g}{self.unit}" for value in (self.low, self.high))
        if self.low == -inf:
            return "" if self.high == inf else f"<= {high}"
        return f">= {low}" if self.high == inf else f"{low} to {high}"


MEASURES = (
    Measure("closure_recall", "lips close on p b m", 0.9, real="1.00", real_by_visemes="0.8 to 1"),
    Measure("open_vowel_recall", "lips open on open vowels", 0.9, real="1.00"),
    Measure(
        "openness_correlation", "opening follows speech", 0.5, real="0.62", real_by_visemes="0.61"
    ),
    Measure("openness_correlation_best", "the same at the best lag"),
    Measure("best_lag_ms", "lips late by", -40, 40, real="0 to 40 ms", digits=0, unit=" ms"),
    Measure("mouth_rest", "mouth open in pauses", high=0.12, real="0.07", real_by_visemes="0.10"),
    Measure("mouth_opening_p95", "mouth opens to", real="0.15", digits=3),
    Measure("blinks_per_minute", "blinks a minute", 5, 40, real="29", digits=1),
    Measure("blink_opening", "eye left open in a blink", high=0.35, real="0.24"),
    Measure("blink_opening_worst", "the same, worst blink", real="0.37"),
    Measure("head_motion", "head motion", real="0.03 to 0.19", digits=3),
    Measure("jerk", "jerk", high=0.012, real="0.006 to 0.017", digits=4),
    Measure("lost_frames", "frames without a face", high=0, real="0", digits=0),
    Measure("chunk_step", "step at chunk boundaries", high=1.6, real="1.03"),
    Measure("length_gap_ms", "picture longer than sound", -20, 20, digits=0, unit=" ms"),
    Measure("likeness_min", "likeness, worst frame", 0.7),
    Measure("likeness_first", "likeness, first eighth"),
    Measure("likeness_last", "likeness, last eighth"),
    Measure("colour_drift_max", "colour drift, worst frame", high=6),
    Measure("colour_drift_first", "colour drift, first eighth"),
    Measure("colour_drift_last", "colour drift, last eighth"),
    Measure("sharpness_first", "sharpness, first eighth", 0.6),
    Measure("sharpness_last", "sharpness, last eighth", 0.6),
    Measure("border_psnr_min", "border against the portrait", 40, digits=1, unit=" dB"),
    Measure("mouth_sharpness", "mouth: sharpness", real="14", digits=1),
    Measure("mouth_flicker", "mouth: flicker", real="13", digits=1),
    Measure("warping_error", "warping error", real="0.96"),
    Measure("warping_error_mouth", "warping error, mouth", real="3.4"),
    Measure("warping_error_background", "warping error, background", real="0.14", digits=3),
    Measure("warping_error_still", "the same of the still alone", digits=3),
    Measure("warping_ratio_background", "background over still", high=1.1),
    Measure("reference_frames", "frames against the real clip", digits=0),
    Measure("landmark_distance_mouth", "real clip: lips apart by", digits=3),
    Measure("landmark_distance_face", "real clip: face apart by", digits=3),
    Measure("mouth_l1", "real clip: mouth L1", digits=3),
    Measure("mouth_ssim", "real clip: mouth SSIM", digits=3),
    Measure("mouth_sharpness_ratio", "real clip: mouth sharpness over it", 0.8, 1.2, real="1"),
    Measure("mouth_flicker_ratio", "real clip: mouth flicker over it", high=1.2, real="1"),
)
"""All measures in the order of the report."""


def judge_all(values: dict[str, Any]) -> dict[str, Verdict]:
    """Verdicts of all measures by key, empty where there is none to pass.

    Args:
        values: from `Evaluation.to_dict`.
    """
    verdicts = {item.key: item.judge(values.get(item.key)) for item in MEASURES}
    now, best = values.get("openness_correlation"), values.get("openness_correlation_best")
    if now is not None and best is not None and best - now < LEAST_GAIN:
        # Nothing is won by shifting: the curve is flat, and its highest point says nothing of a lag.
        verdicts["best_lag_ms"] = ""
    if (values.get("warping_error_background") or inf) < LEAST_VISIBLE:
        # Over a still that the encoder hardly touches, any number is a multiple.
        verdicts["warping_ratio_background"] = ""
    return verdicts
