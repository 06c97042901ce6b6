"""Lips against phones and visemes, on openings that are made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkhead_cli.errors import InputError
from talkhead_cli.evaluation.lips import (
    correlate,
    frame_times,
    judge_closures,
    judge_openings,
    measure_lips,
    smooth,
)
from talkhead_cli.evaluation.phones import (
    Segment,
    read_phones,
    script_of_features,
    script_of_phones,
)
from talkhead_models.speech import FEATURE_SIZE, VISEMES, SpeechFeatures

FPS = 25.0


def made_up_phones(seconds: float = 8.0) -> tuple[Segment, ...]:
    """Pause, then p aa t iy over and over, each 120 ms, then a pause."""
    phones, start = [Segment("pau", 0.0, 0.4)], 0.4
    while start < seconds - 0.9:
        for label in ("p", "aa", "t", "iy"):
            phones.append(Segment(label, start, start + 0.12))
            start += 0.12
    phones.append(Segment("pau", start, seconds))
    return tuple(phones)


def obedient_gap(fps: float = FPS, seconds: float = 8.0) -> np.ndarray:
    """An opening that does what the phones say."""
    script = script_of_phones(made_up_phones(seconds))
    times = frame_times(round(seconds * fps), fps)
    return 0.2 * script.wanted(times)


def test_obedient_lips_score_full_marks() -> None:
    script = script_of_phones(made_up_phones())
    found = measure_lips(obedient_gap(), FPS, script)
    assert found.lips_judged_by == "phones"
    assert found.num_closures == found.num_open_vowels == 14
    assert found.closure_recall == found.open_vowel_recall == 1.0
    assert found.mouth_rest == 0.0
    assert found.best_lag_ms == 0.0
    assert found.openness_correlation == found.openness_correlation_best > 0.7
    assert found.mouth_opening_p95 == pytest.approx(0.2)


def test_held_open_lips_close_on_nothing() -> None:
    gap = obedient_gap() + 0.1
    found = measure_lips(gap, FPS, script_of_phones(made_up_phones()))
    assert found.closure_recall == 0.0
    assert found.mouth_rest == pytest.approx(0.1 / np.percentile(gap, 95))


def test_still_lips_tell_no_correlation() -> None:
    found = measure_lips(np.zeros(200), FPS, script_of_phones(made_up_phones()))
    assert found.closure_recall == 1.0
    assert found.open_vowel_recall == 0.0
    assert found.openness_correlation is None
    assert found.best_lag_ms is None


@given(st.integers(-8, 8), st.sampled_from([25.0, 50.0]))
def test_shifted_lips_have_that_lag(frames: int, fps: float) -> None:
    random = np.random.default_rng(3)
    phones, start = [], 0.0
    while start < 11.9:
        length = float(random.uniform(0.08, 0.3))
        phones.append(
            Segment(str(random.choice(["p", "aa", "t", "iy", "eh"])), start, start + length)
        )
        start += length
    script = script_of_phones(tuple(phones))
    gap = smooth(script.wanted(frame_times(round(12 * fps), fps)), fps)
    now, best, lag = correlate(np.roll(gap, frames), fps, script)
    assert lag == frames
    assert best == pytest.approx(1.0)
    assert now is not None
    assert now <= best


def test_nothing_to_judge_is_unknown_not_zero() -> None:
    found = measure_lips(obedient_gap(), FPS, script_of_phones((Segment("s", 0.0, 8.0),)))
    assert (found.num_closures, found.closure_recall) == (0, None)
    assert (found.num_open_vowels, found.open_vowel_recall) == (0, None)
    assert found.mouth_rest is None
    alone = measure_lips(obedient_gap(), FPS, None)
    assert alone.lips_judged_by is None
    assert alone.mouth_opening_p95 == pytest.approx(0.2)


def test_phones_behind_the_clip_are_not_judged() -> None:
    script = script_of_phones((Segment("p", 0.5, 0.6), Segment("p", 20.0, 20.1)))
    assert [item.segment.start for item in judge_closures(obedient_gap(), FPS, script)] == [0.5]


def test_short_vowels_are_not_judged() -> None:
    script = script_of_phones((Segment("aa", 0.5, 0.55), Segment("aa", 1.0, 1.2)))
    assert [item.segment.start for item in judge_openings(obedient_gap(), FPS, script)] == [1.0]


def features_of(names: list[str], sure: float = 1.0) -> SpeechFeatures:
    """Speech features of visemes, one a step of 20 ms."""
    array = np.zeros((len(names), FEATURE_SIZE), np.float32)
    array[:, : len(VISEMES)] = (1 - sure) / (len(VISEMES) - 1)
    array[np.arange(len(names)), [VISEMES.index(name) for name in names]] = sure
    return SpeechFeatures(array, len(names) / 50)


def test_visemes_make_the_same_demands_as_phones() -> None:
    steps = ["silence"] * 20 + (["PBM"] * 6 + ["AA"] * 6 + ["TDN"] * 6 + ["IY"] * 6) * 14
    script = script_of_features(features_of(steps + ["silence"] * 44))
    assert script.judged_by == "visemes"
    spoken = script_of_phones(made_up_phones())
    for ours, theirs in ((script.closures, spoken.closures), (script.openings, spoken.openings)):
        assert [item.start for item in ours] == pytest.approx([item.start for item in theirs])
    found = measure_lips(obedient_gap(), FPS, script)
    assert found.closure_recall == found.open_vowel_recall == 1.0
    assert found.mouth_rest == 0.0


def test_unsure_visemes_are_not_believed() -> None:
    steps = ["silence"] * 10 + ["PBM"] * 6 + ["AA"] * 6 + ["silence"] * 10
    assert script_of_features(features_of(steps, 0.5)).closures == ()
    assert len(script_of_features(features_of(steps, 0.9)).closures) == 1
    glimpse = ["silence"] * 10 + ["PBM"] + ["AA"] * 7 + ["silence"] * 10
    assert script_of_features(features_of(glimpse)).closures == ()


def write(folder: Path, text: str) -> Path:
    path = folder / "speech.phones"
    path.write_text(text)
    return path


def test_reads_flite_items(tmp_path: Path) -> None:
    found = read_phones(write(tmp_path, "pau:0.164 hh:0.255\nAH0:0.304 "))
    assert found == (
        Segment("pau", 0.0, 0.164),
        Segment("hh", 0.164, 0.255),
        Segment("ah", 0.255, 0.304),
    )


@pytest.mark.parametrize(
    ("label", "phone"),
    [
        ("sil", "sil"),
        ("x^x-sil+hh=iy@x_x/A:0_0_0/B:x-x", "sil"),
        ("hh^iy-t+er=n@1_4/A:1_1_2", "t"),
        ("p-AA1+t", "aa"),
        ("p-aa", "aa"),
        ("aa+t", "aa"),
        ("h#", "h#"),
    ],
)
def test_reads_htk_labels(label: str, phone: str, tmp_path: Path) -> None:
    text = f'#!MLF!#\n"*/a.lab"\n0 1300000 sil\n1300000 2050000 {label} -12.5\n.\n"*/b.lab"\n'
    assert read_phones(write(tmp_path, text)) == (
        Segment("sil", 0.0, 0.13),
        Segment(phone, 0.13, 0.205),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no phones"),
        ("Hello, and welcome.", "holds no phones"),
        ("pau:0.1 hh", "holds no phones"),
        ("0.0 0.13 sil\n", "holds no phones"),
        ("0 1300000\n", "holds no phones"),
        ("pau:0.2 p:0.1", "ends before it starts"),
        ("pau:nan p:0.1", "ends before it starts"),
        ("0 2000000 sil\n1000000 3000000 p\n", "overlaps another"),
        ("ʃ:0.2 ø:0.4", "none of its phones is known"),
    ],
)
def test_refuses_what_are_no_phones(text: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=words) as caught:
        read_phones(path)
    assert str(path) in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = write(tmp_path_factory.mktemp("phones"), "")
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        found = read_phones(path)
    except InputError:
        return
    assert all(item.start <= item.end for item in found)


def test_refuses_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "speech.phones"
    path.write_bytes(b"\xff\xfe\x00binary\x00")
    with pytest.raises(InputError, match="cannot be read as text"):
        read_phones(path)
    with pytest.raises(InputError, match="cannot be read as text"):
        read_phones(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_phones(tmp_path / "nowhere")
