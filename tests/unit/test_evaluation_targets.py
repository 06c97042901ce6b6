"""Verdicts and how values are shown."""

from __future__ import annotations

from math import inf

from talkhead_cli.evaluation.targets import MEASURES, Measure, judge_all


def test_limits_are_inclusive_and_the_unknown_has_no_verdict() -> None:
    both = Measure("lag", "lag", -40, 40, unit=" ms", digits=0)
    assert [both.judge(value) for value in (-41, -40, 0, 40, 41)] == ["poor", *["good"] * 3, "poor"]
    assert both.judge(None) == ""
    assert (both.show(12.34), both.show(None)) == ("12 ms", "-")
    assert both.wanted == "-40 ms to 40 ms"
    assert Measure("a", "a", 0.9).wanted == ">= 0.9"
    assert Measure("a", "a", high=0.9).wanted == "<= 0.9"
    assert (Measure("a", "a").wanted, Measure("a", "a").judge(3)) == ("", "")


def test_real_score_goes_by_the_judge() -> None:
    lips = Measure("a", "a", real="1", real_by_visemes="0.8")
    assert [lips.real_score(judge) for judge in ("phones", "visemes", None)] == ["1", "0.8", "1"]
    assert Measure("a", "a", real="1").real_score("visemes") == "1"


def test_keys_are_unique_and_limits_ordered() -> None:
    assert len({item.key for item in MEASURES}) == len(MEASURES)
    assert all(item.low < item.high for item in MEASURES)
    assert any(item.low > -inf for item in MEASURES)


def test_a_lag_that_wins_nothing_is_none() -> None:
    flat = {"best_lag_ms": 280, "openness_correlation": 0.39, "openness_correlation_best": 0.4}
    assert judge_all(flat)["best_lag_ms"] == ""
    assert judge_all({**flat, "openness_correlation": 0.1})["best_lag_ms"] == "poor"
    assert judge_all({"best_lag_ms": 280.0})["best_lag_ms"] == "poor"
    assert judge_all({})["best_lag_ms"] == ""


def test_what_nobody_sees_is_not_judged() -> None:
    values = {"warping_error_background": 0.01, "warping_ratio_background": 4.0}
    assert judge_all(values)["warping_ratio_background"] == ""
    visible = {**values, "warping_error_background": 0.2}
    assert judge_all(visible)["warping_ratio_background"] == "poor"
