"""Blinks, gaze and the articulatory constraint."""

from __future__ import annotations

import numpy as np
import pytest

from talkhead_models.articulation import (
    BILABIAL,
    CLOSED_GAP,
    MARGIN,
    SILENCE,
    Articulation,
    fit_moves,
)
from talkhead_models.liveliness import EventConfig, blinks, gaze_shifts, start_events

CONFIG = EventConfig()


def run(seed: int, chunks: list[int]) -> tuple[np.ndarray, np.ndarray]:
    state = start_events(CONFIG, seed)
    lids, gaze, first = [], [], 0
    for count in chunks:
        pace = 1 + np.sin((first + np.arange(count)) / 20).astype(np.float32)
        one, state = blinks(CONFIG, seed, state, first, pace)
        two, state = gaze_shifts(CONFIG, seed, state, first, count)
        lids.append(one)
        gaze.append(two)
        first += count
    return np.concatenate(lids), np.concatenate(gaze)


@pytest.mark.parametrize("seed", range(2))
def test_events_do_not_depend_on_how_the_clip_is_cut(seed: int) -> None:
    whole_lids, whole_gaze = run(seed, [1500])
    for size in (1, 7, 32):
        lids, gaze = run(seed, [size] * (1500 // size) + ([1500 % size] if 1500 % size else []))
        np.testing.assert_allclose(lids, whole_lids, atol=1e-5)
        np.testing.assert_allclose(gaze, whole_gaze, atol=1e-6)


def test_blinks_are_as_people_blink() -> None:
    rates = []
    for seed in range(5):
        lids, _ = run(seed, [1500])
        closed = lids.min(1) > 0.5
        starts = np.flatnonzero(closed[1:] & ~closed[:-1]) + 1
        ends = np.flatnonzero(~closed[1:] & closed[:-1]) + 1
        rates.append(len(starts))
        for start in starts:
            end = ends[ends > start][0] if (ends > start).any() else len(lids)
            assert 2 <= end - start <= 9
            if end < len(lids):
                assert lids[start:end].max() > 0.95
        assert lids.min() >= 0
        assert lids.max() <= 1
    assert 5 <= np.median(rates) <= 40


def test_no_minute_is_short_of_blinks() -> None:
    """The last of ten minutes has about as many as the first, whatever the seed."""
    config, minute = EventConfig(blink_seconds=2.22, blink_spread=0.6), 60 * 25
    for seed in range(10):
        pace = np.ones(10 * minute, np.float32)
        lids, _ = blinks(config, seed, start_events(config, seed), 0, pace)
        shut = lids.max(1) > 0.5
        counts = (shut[1:] & ~shut[:-1])[: 10 * minute - 1]
        first, last = counts[:minute].sum(), counts[-minute:].sum()
        assert 0.8 <= last / first <= 1.25


def test_blinks_wait_for_a_better_moment() -> None:
    """Ten seconds in which time stands still have no blink but one that is under way; then it comes soon."""
    for seed in range(4):
        state = start_events(CONFIG, seed)
        _, state = blinks(CONFIG, seed, state, 0, np.ones(100, np.float32))
        still, state = blinks(CONFIG, seed, state, 100, np.zeros(250, np.float32))
        assert still[15:].max() == 0
        soon, _ = blinks(CONFIG, seed, state, 350, np.full(100, 8, np.float32))
        assert soon.max() > 0.9


def make_articulation() -> Articulation:
    rng = np.random.default_rng(0)
    gaps = rng.normal(0, 0.02, (12, 9)).astype(np.float32)
    moves = fit_moves(gaps, rng.standard_normal((500, 12)).astype(np.float32), ridge=1e-9)
    return Articulation(gaps, np.zeros(9, np.float32), moves, 0.08)


def make_features(viseme: int, frames: int) -> np.ndarray:
    features = np.zeros((2 * frames + 2 * MARGIN, 20), np.float32)
    features[:, viseme] = 1
    return features


@pytest.mark.parametrize("viseme", [SILENCE, BILABIAL])
def test_lips_meet_where_they_must(viseme: int) -> None:
    articulation = make_articulation()
    expression = np.random.default_rng(1).standard_normal((20, 12)).astype(np.float32)
    result = articulation(expression, make_features(viseme, 20))
    assert (articulation.rest + result @ articulation.gaps).max() < CLOSED_GAP + 0.004
    assert np.array_equal(articulation(expression, make_features(viseme, 20), 0.0), expression)


def test_open_vowels_open_and_consonants_are_left_alone() -> None:
    articulation = make_articulation()
    expression = np.zeros((20, 12), np.float32)
    opened = articulation.rest + articulation(expression, make_features(12, 20)) @ articulation.gaps
    assert opened[:, 4].min() > 0.07
    expression = np.random.default_rng(1).standard_normal((20, 12)).astype(np.float32)
    assert np.array_equal(articulation(expression, make_features(4, 20)), expression)


def test_the_constraint_is_continuous_in_time() -> None:
    articulation = make_articulation()
    expression = np.tile(np.random.default_rng(2).standard_normal((1, 12)), (40, 1)).astype(
        np.float32
    )
    features = make_features(4, 40)
    features[40:46] = make_features(BILABIAL, 40)[:6]
    moved = articulation(expression, features) @ articulation.gaps
    spread = np.abs(np.diff(moved, axis=0)).max() / np.ptp(moved, axis=0).max()
    # Closing takes more than one frame even when the posterior jumps from 0 to 1.
    assert 0 < spread < 0.95
