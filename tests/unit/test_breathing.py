"""Breathing: a function of time and seed, and where it lifts."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkhead_models.breathing import LIFT, breath_lift, breathing

FPS = Fraction(25)


@given(st.integers(0, 2**40), st.integers(0, 10**5), st.integers(1, 40))
def test_chunks_join(seed, first, cut):
    whole = breathing(seed, first, 60, FPS)
    assert np.array_equal(whole[:cut], breathing(seed, first, cut, FPS))
    assert np.array_equal(whole[cut:], breathing(seed, first + cut, 60 - cut, FPS))


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_twelve_to_sixteen_slow_breaths_a_minute(seed):
    breath = breathing(seed, 0, 60 * 25, FPS)
    assert 0 <= breath.min() < 0.01
    assert 0.99 < breath.max() <= 1
    peaks = (np.diff(np.sign(np.diff(breath))) < 0).sum()
    assert 11 <= peaks <= 17
    assert np.abs(np.diff(breath)).max() < 0.06


def test_seeds_breathe_apart():
    assert np.abs(breathing(0, 0, 100, FPS) - breathing(1, 0, 100, FPS)).max() > 0.1


def test_lift_is_full_below_the_chin_and_nothing_at_the_edges():
    grid = np.stack(np.meshgrid(np.arange(400.0), np.arange(500.0)), -1).astype(np.float32)
    lift = breath_lift(grid, np.array([200.0, 250.0]), 100, 499)
    assert not lift[:250].any()
    assert not lift[499].any()
    assert not lift[:, :10].any()
    assert lift.max() == pytest.approx(100 * LIFT, rel=0.01)
    # No place is squeezed by more than a twelfth.
    assert max(np.abs(np.diff(lift, axis=0)).max(), np.abs(np.diff(lift, axis=1)).max()) < 1 / 12
