"""What measures mean for somebody who approves or rejects a video: green, amber or red, in plain words.

Green is what `talkhead evaluate` calls good (docs/metrics.md). Red lies further out; between them is amber. All limits
are listed in docs/report.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from talkhead_cli.evaluation.targets import MEASURES, judge_all

Level = Literal["good", "check", "bad", "none"]
"""Green, amber, red; grey where nothing can be said."""

Values = Mapping[str, Any]

ORDER: tuple[Level, ...] = ("none", "good", "check", "bad")
"""From the least to the most trouble."""

MEASURE = {item.key: item for item in MEASURES}


@dataclass(frozen=True)
class Rule:
    """When a measure is red, and how its trouble is told.

    Attributes:
        key: of the measure; green is what `evaluation.targets` calls good.
        title: for people, short.
        red_low, red_high: beyond these it is red.
        words: what is wrong, from all values.
        major: decides about the video; a minor one weighs one step less: its red counts as amber, its amber as nothing.
        enough: whether there is enough to judge by.
        least: what `enough` asks for, as text.
    """

    key: str
    title: str
    red_low: float
    red_high: float
    words: Callable[[Values], str]
    major: bool = True
    enough: Callable[[Values], bool] = lambda values: True
    least: str = ""


def seconds_of(values: Values) -> float:
    """Length of the picture."""
    return float(values.get("num_frames") or 0) / float(values.get("fps") or inf)


def missed(values: Values, share: str, count: str) -> int:
    """How many were missed, from the share that was met."""
    return round((1 - float(values[share])) * int(values[count] or 0))


def lag_words(values: Values) -> str:
    """Lips that are early or late."""
    lag = float(values["best_lag_ms"])
    return f"lips are {abs(lag):.0f} ms {'late' if lag > 0 else 'early'}"


def gap_words(values: Values) -> str:
    """A picture that is longer or shorter than its sound."""
    gap = float(values["length_gap_ms"])
    return f"picture is {abs(gap):.0f} ms {'longer' if gap > 0 else 'shorter'} than the sound"


def at_least(count: str, number: int) -> Callable[[Values], bool]:
    """Whether there were so many to judge by."""
    return lambda values: int(values.get(count) or 0) >= number


def lasting(seconds: float) -> Callable[[Values], bool]:
    """Whether the video is so long."""
    return lambda values: seconds_of(values) >= seconds


RULES = (
    Rule(
        "closure_recall",
        "Lips close on p, b, m",
        0.7,
        inf,
        lambda v: (
            f"lips stay open in {missed(v, 'closure_recall', 'num_closures')} of {v['num_closures']:.0f} p, b, m"
        ),
        enough=at_least("num_closures", 3),
        least="3 of them",
    ),
    Rule(
        "open_vowel_recall",
        "Mouth opens on open vowels",
        0.7,
        inf,
        lambda v: (
            "mouth stays nearly shut in "
            f"{missed(v, 'open_vowel_recall', 'num_open_vowels')} of {v['num_open_vowels']:.0f} open vowels"
        ),
        enough=at_least("num_open_vowels", 3),
        least="3 of them",
    ),
    Rule(
        "openness_correlation",
        "Mouth follows the speech",
        0.3,
        inf,
        lambda v: "mouth follows the speech poorly",
        enough=lasting(3),
        least="3 s",
    ),
    Rule("best_lag_ms", "Lips in time", -120, 120, lag_words, enough=lasting(3), least="3 s"),
    Rule(
        "lost_frames",
        "Face seen throughout",
        -inf,
        5,
        lambda v: f"no face is seen in {v['lost_frames']:.0f} of {v['num_frames']:.0f} frames",
    ),
    Rule("length_gap_ms", "As long as the sound", -100, 100, gap_words),
    Rule(
        "likeness_min",
        "Looks like the portrait",
        0.5,
        inf,
        lambda v: "face departs from the portrait",
    ),
    Rule(
        "colour_drift_max", "Colours hold", -inf, 12, lambda v: "colours drift from the portrait's"
    ),
    Rule(
        "mouth_rest",
        "Mouth rests in pauses",
        -inf,
        0.5,
        lambda v: "mouth moves or stays open in pauses",
        major=False,
    ),
    Rule(
        "blinks_per_minute",
        "Blinks",
        1,
        80,
        lambda v: f"blinks {v['blinks_per_minute']:.0f} times a minute",
        major=False,
        enough=lasting(20),
        least="20 s",
    ),
    Rule(
        "blink_opening",
        "Eyes shut in blinks",
        -inf,
        0.6,
        lambda v: "eyes do not shut in blinks",
        major=False,
    ),
    Rule("jerk", "Moves smoothly", -inf, 0.03, lambda v: "motion is jerky", major=False),
    Rule(
        "chunk_step",
        "No seams in time",
        -inf,
        2.5,
        lambda v: "motion jumps where chunks meet",
        major=False,
    ),
    Rule(
        "sharpness_last",
        "Stays sharp",
        0.35,
        inf,
        lambda v: "face is softer than the portrait",
        major=False,
    ),
    Rule(
        "border_psnr_min",
        "Border stays as it was",
        25,
        inf,
        lambda v: "picture's border differs from the portrait",
        major=False,
    ),
    Rule(
        "warping_ratio_background",
        "Background stays still",
        -inf,
        2.0,
        lambda v: "background moves",
        major=False,
    ),
)
"""What decides, in the order of the page."""

ONE_MISS = {"closure_recall": "num_closures", "open_vowel_recall": "num_open_vowels"}
"""Shares of few: one alone that was missed is never red."""


@dataclass(frozen=True)
class Finding:
    """One measure, judged.

    Attributes:
        key: of the measure.
        title: what is looked at.
        level: of the measure itself.
        weight: what it counts for the video: a minor one one step less.
        value: as shown.
        wanted: what is green, as text.
        words: what is wrong; or why it is not judged.
    """

    key: str
    title: str
    level: Level
    weight: Level
    value: str
    wanted: str
    words: str


def judge(values: Values) -> tuple[Finding, ...]:
    """The findings on one video, in the order of `RULES`; measures that are not known are left out.

    Args:
        values: of `Evaluation.to_dict`.
    """
    verdicts = judge_all(dict(values))
    return tuple(
        judge_one(rule, values, verdicts[rule.key])
        for rule in RULES
        if isinstance(values.get(rule.key), int | float)
    )


def judge_one(rule: Rule, values: Values, verdict: str) -> Finding:
    """One measure that is known."""
    measure, value = MEASURE[rule.key], float(values[rule.key])
    level: Level = "good"
    words = ""
    if not rule.enough(values):
        level, words = "none", f"too short to tell: {rule.least} are wanted"
    elif verdict == "":
        level = "none"
    elif verdict == "poor":
        level = "check" if rule.red_low <= value <= rule.red_high else "bad"
        if rule.key in ONE_MISS and missed(values, rule.key, ONE_MISS[rule.key]) <= 1:
            level = "check"
        words = rule.words(values)
    weight = level if rule.major else lighter(level)
    shown, wanted = measure.show(value), measure.wanted.replace(">=", "≥").replace("<=", "≤")
    if rule.key in ONE_MISS:
        shown, wanted = f"{100 * value:.0f} %", f"≥ {100 * measure.low:.0f} %"
    return Finding(rule.key, rule.title, level, weight, shown, wanted, words)


def lighter(level: Level) -> Level:
    """One step less trouble."""
    return {"bad": "check", "check": "good"}.get(level, level)  # type: ignore[return-value]


def worst(levels: list[Level]) -> Level:
    """The most trouble of several; "none" of none."""
    return max(levels, key=ORDER.index, default="none")
