"""The model behind the report: limits, order, addresses, plots, and what is kept."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkhead_cli.evaluation.phones import Segment, script_of_phones
from talkhead_cli.evaluation.result import Timeline
from talkhead_cli.evaluation.targets import judge_all
from talkhead_cli.report.curve import MOST_CLOSURES, MOST_POINTS, Curve, make_curve, thin
from talkhead_cli.report.examine import Examined
from talkhead_cli.report.judgement import MEASURE, ORDER, RULES, judge
from talkhead_cli.report.rows import ReportRow, folder_rows, natural
from talkhead_cli.report.store import Store
from talkhead_cli.report.view import relative_url, row_id, view_row
from tests.conftest import ROOT

GOOD = {
    "num_frames": 1000.0,
    "fps": 25.0,
    "num_closures": 20.0,
    "closure_recall": 1.0,
    "num_open_vowels": 20.0,
    "open_vowel_recall": 0.95,
    "openness_correlation": 0.6,
    "openness_correlation_best": 0.7,
    "best_lag_ms": 0.0,
    "lost_frames": 0.0,
    "length_gap_ms": 10.0,
    "likeness_min": 0.9,
    "colour_drift_max": 2.0,
    "mouth_rest": 0.05,
    "blinks_per_minute": 20.0,
    "blink_opening": 0.3,
    "jerk": 0.01,
    "chunk_step": 1.0,
    "sharpness_last": 0.8,
    "border_psnr_min": 45.0,
    "warping_error_background": 0.2,
    "warping_ratio_background": 1.0,
}
KEY = "k"
ROW = ReportRow(1, "a.mp4", Path("/none/a.mp4"), "done")
PAGE = Path("/none/report.html")


def seen(**values: float) -> Examined:
    """A video that was measured, good but for some values."""
    return Examined(key=KEY, measured=True, measures=GOOD | values)


def level(**values: float) -> str:
    return view_row(ROW, "", seen(**values), PAGE).level


def test_the_good_are_green() -> None:
    view = view_row(ROW, "", seen(), PAGE)
    assert {item.key: item.level for item in view.findings} == {rule.key: "good" for rule in RULES}
    assert (view.level, view.headline, view.trouble) == ("good", "No faults found", 0)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.key)
def test_limits_of_every_measure(rule) -> None:
    """Green up to the limits of evaluate, red beyond those of the report, amber between; a minor one a step less."""
    measure = MEASURE[rule.key]
    sides = [(measure.low, rule.red_low, -1), (measure.high, rule.red_high, 1)]
    steps = {"bad": "check", "check": "good", "good": "good"}
    tried = 0
    for limit, red, sign in sides:
        if not np.isfinite(limit):
            continue
        tried += 1
        cases = [(limit, "good"), (limit + sign * 1e-3 * max(abs(limit), 1), "check")]
        if np.isfinite(red):
            assert sign * red > sign * limit
            cases += [(red, "check"), (red + sign * 1e-3 * max(abs(red), 1), "bad")]
        for value, wanted in cases:
            values = {rule.key: value}
            found = {item.key: item for item in judge(GOOD | values)}[rule.key]
            assert found.level == wanted, value
            weight = wanted if rule.major else steps[wanted]
            assert found.weight == weight
            assert level(**values) == weight
            assert (found.words == "") == (wanted == "good")
    assert tried


@given(st.fixed_dictionaries({rule.key: st.floats(-200, 200) for rule in RULES}))
def test_green_is_what_evaluate_calls_good(values) -> None:
    measures = GOOD | values
    verdicts = judge_all(measures)
    for item in judge(measures):
        wanted = {"good": {"good"}, "poor": {"check", "bad"}, "": {"none"}}[verdicts[item.key]]
        assert item.level in wanted


@pytest.mark.parametrize(
    ("values", "key", "wanted"),
    [
        ({"num_closures": 2.0, "closure_recall": 0.0}, "closure_recall", "none"),
        ({"num_closures": 3.0, "closure_recall": 2 / 3}, "closure_recall", "check"),
        ({"num_closures": 6.0, "closure_recall": 4 / 6}, "closure_recall", "bad"),
        ({"num_frames": 100.0, "blinks_per_minute": 0.0}, "blinks_per_minute", "none"),
        ({"num_frames": 50.0, "openness_correlation": 0.0}, "openness_correlation", "none"),
        # Nothing is won by shifting: no lag.
        ({"best_lag_ms": 200.0, "openness_correlation_best": 0.61}, "best_lag_ms", "none"),
    ],
)
def test_what_is_too_little_to_judge_by(values, key, wanted) -> None:
    found = {item.key: item for item in judge(GOOD | values)}[key]
    assert found.level == wanted


def test_order_is_by_trouble() -> None:
    rows = {
        "failed": view_row(replace(ROW, state="failed", video=None, message="no"), "", None, PAGE),
        "gone": view_row(replace(ROW, state="missing", video=None), "", None, PAGE),
        "unreadable": view_row(ROW, "", Examined(key=KEY, problem="broken"), PAGE),
        "faceless": view_row(ROW, "", Examined(key=KEY, problem="no face", poster="AAAA"), PAGE),
        "two reds": view_row(ROW, "", seen(likeness_min=0.1, lost_frames=90.0), PAGE),
        "red": view_row(ROW, "", seen(likeness_min=0.1), PAGE),
        "amber": view_row(ROW, "", seen(likeness_min=0.6), PAGE),
        "warned": view_row(replace(ROW, warnings=("quiet",)), "", seen(), PAGE),
        "not measured": view_row(ROW, "", Examined(key=KEY), PAGE),
        "minor": view_row(ROW, "", seen(jerk=0.02), PAGE),
        "good": view_row(ROW, "", seen(), PAGE),
        "running": view_row(replace(ROW, state="running", video=None), "", None, PAGE),
        "waiting": view_row(replace(ROW, state="waiting", video=None), "", None, PAGE),
    }
    assert sorted(rows, key=lambda name: -rows[name].trouble) == list(rows)
    levels = ["bad"] * 6 + ["check"] * 2 + ["none"] + ["good"] * 2 + ["none"] * 2
    assert [row.level for row in rows.values()] == levels
    for name in ("failed", "gone", "unreadable", "waiting"):
        assert rows[name].error is not None
        assert rows[name].error["hint"]


def test_a_video_changed_since_the_run_is_told() -> None:
    view = view_row(replace(ROW, sha256="aa"), "bb", seen(), PAGE)
    assert view.warnings == ("the video was changed since it was rendered",)
    assert view.level == "check"


names = (
    st.binary(min_size=1, max_size=40)
    .map(
        lambda raw: raw.replace(b"\0", b"_").replace(b"/", b"_").decode("utf-8", "surrogateescape")
    )
    .filter(lambda name: name not in {".", ".."})
)


@given(st.lists(names, min_size=1, max_size=3))
def test_addresses_lead_to_the_file_and_nowhere_else(parts) -> None:
    video = Path("/folder/videos").joinpath(*parts)
    url = relative_url(video, Path("/folder/pages/report.html"))
    assert url.isascii()
    assert not set(url) & set("\"'<>&\\` :?#")
    found = urlsplit(urljoin("file:///folder/pages/report.html", url))
    assert (found.scheme, found.netloc, found.query, found.fragment) == ("file", "", "", "")
    assert unquote_to_bytes(found.path) == str(video).encode("utf-8", "surrogateescape")


@given(st.lists(names, min_size=2, max_size=2, unique=True))
def test_rows_are_told_apart_and_no_spreadsheet_mangles_their_names(two) -> None:
    one, other = (row_id(replace(ROW, name=name)) for name in two)
    assert one != other
    assert one.startswith("r-")
    assert one == row_id(replace(ROW, name=two[0], number=7))


@given(names, names, st.text())
def test_a_view_is_text_that_can_be_written(name, kind, message) -> None:
    row = replace(
        ROW, name=name, state="failed", kind=kind, message=message, warnings=(message, name)
    )
    view = view_row(row, "", None, PAGE)
    text = json.dumps(view.to_dict(), ensure_ascii=False)
    text.encode()
    assert all(char.isprintable() for char in view.name + view.headline + "".join(view.warnings))


def curve_of(gap: np.ndarray, phones: tuple[Segment, ...] = (), loudness: int = 0) -> Curve:
    script = script_of_phones(phones) if phones else None
    return make_curve(Timeline(gap, 25.0, script, np.full(loudness, 0.5, np.float32)))


@given(st.integers(1, 3000), st.integers(0, 7000))
def test_plots_stay_small_and_full(frames, loudness) -> None:
    curve = curve_of(np.random.default_rng(0).uniform(0, 0.3, frames), loudness=loudness)
    assert min(frames, 150) <= len(curve.gap) <= MOST_POINTS
    assert len(curve.loudness) <= MOST_POINTS
    assert curve.gap_path().startswith("M0 ")
    assert "nan" not in curve.gap_path() + curve.loudness_path()
    assert curve == Curve.model_validate_json(curve.model_dump_json())


def test_short_closures_survive_in_long_videos() -> None:
    gap = np.full(15000, 0.2)
    gap[[777, 9000]] = 0.0
    thinned = thin(gap)
    assert len(thinned) == MOST_POINTS
    assert (thinned == 0).sum() == 2


def test_missed_closures_are_marked_and_kept_first() -> None:
    gap = np.full(25 * 200, 0.2)
    gap[: 25 * 100] = 0.0
    phones = tuple(Segment("p", at / 2, at / 2 + 0.1) for at in range(400))
    curve = curve_of(gap, phones)
    assert len(curve.closures) == MOST_CLOSURES
    missed = [item for item in curve.closures if not item.met]
    assert len(missed) == sum(phone.start - 0.04 > 100 for phone in phones)
    assert [item.start for item in curve.closures] == sorted(item.start for item in curve.closures)
    assert curve.closures_path(met=False).count("M") == len(missed)


def test_a_still_mouth_is_drawn_small() -> None:
    assert max(curve_of(np.full(50, 0.01)).gap) < 100
    assert max(curve_of(np.full(50, 0.4)).gap) > 800


def test_what_is_kept_comes_back_and_only_that(tmp_path: Path) -> None:
    store = Store(tmp_path)
    found = seen()
    store.put(found)
    assert store.get(KEY) == found
    (path,) = (tmp_path / ".talkhead" / "report").iterdir()
    for bad in (
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"key": "k", "poster": "<script>"}',
        b'{"version": 0, "key": "k"}',
        b'{"key": "other"}',
    ):
        path.write_bytes(bad)
        assert store.get(KEY) is None
    store.put(found.model_copy(update={"passing": True, "problem": "no ffmpeg"}))
    assert store.get(KEY) is None
    store.prune(set())
    assert list((tmp_path / ".talkhead" / "report").iterdir()) == []


def test_keys_tell_contents_apart(tmp_path: Path) -> None:
    portrait = tmp_path / "a.png"
    row = replace(ROW, video=tmp_path / "a.mp4", inputs={"portrait": "a.png"})

    def key(row: ReportRow = row, sha256: str = "aa") -> str:
        return Store(tmp_path).key(row, sha256)

    first = key()
    portrait.write_bytes(b"one")
    second = key()
    portrait.write_bytes(b"two")
    keys = {first, second, key(), key(sha256="bb"), key(replace(row, settings={"crop": "face"}))}
    assert len(keys) == 5
    assert key(replace(row, settings={"seed": 5}, name="b")) == key()


def test_a_folder_is_read_in_the_order_of_people(tmp_path: Path) -> None:
    for name in (
        "row10.mp4",
        "row2.MP4",
        "b/row1.webm",
        ".hidden.mp4",
        ".talkhead/x.mp4",
        "notes.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "lost.mp4").symlink_to("nowhere")
    sidecar = {
        "talkhead": "1",
        "settings": {"seed": 3},
        "marking": {"consent_ref": "C-1"},
        "portrait": "p.png",
    }
    (tmp_path / "row2.json").write_text(json.dumps(sidecar))
    (tmp_path / "row10.json").write_text("[" * 100_000)
    rows = list(folder_rows(tmp_path))
    assert [row.name for row in rows] == ["b/row1.webm", "lost.mp4", "row2.MP4", "row10.mp4"]
    assert [row.state for row in rows] == ["done", "missing", "done", "done"]
    assert (rows[2].settings, rows[2].consent_ref) == ({"seed": 3}, "C-1")
    assert rows[3].settings == {}


@given(st.text(max_size=8), st.integers(0, 10**6), st.integers(0, 10**6), st.text(max_size=8))
def test_numbers_in_names_are_sorted_as_numbers(before, one, other, after) -> None:
    before += "x"
    keys = [natural(f"{before}{number}y{after}") for number in (one, other)]
    assert (keys[0] < keys[1]) == (one < other)


@given(st.lists(st.text("0a²٣ ", max_size=6)))
def test_any_names_can_be_sorted(texts) -> None:
    for _, name in sorted((natural(text), text) for text in texts):
        words = "".join(part for kind, _, part in natural(name) if kind)
        assert words == re.sub("[0-9]", "", name.casefold())


def test_limits_are_those_of_the_document() -> None:
    page = (ROOT / "docs" / "report.md").read_text()
    for rule in RULES:
        measure = MEASURE[rule.key]
        wanted = measure.wanted.replace(">=", "≥").replace("<=", "≤")
        ends = [f"under {rule.red_low:g}"] * math.isfinite(rule.red_low)
        ends += [f"over {rule.red_high:g}"] * math.isfinite(rule.red_high)
        weight = "" if rule.major else "minor"
        line = f"| {rule.title} | `{rule.key}` | {wanted} | {', '.join(ends)}{measure.unit} | {rule.least} | {weight} |"
        assert line in page, line


def test_levels_are_ordered() -> None:
    assert ORDER == ("none", "good", "check", "bad")
