"""Motion at other frame rates: right length, right time, no repeats, whatever the chunks."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_models.motion import MOTION_SIZE, FaceMotion
from talkhead_models.resample import frame_positions, interpolate, resample_stream

RATES = [
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60),
]


def ramp(frames: int) -> np.ndarray:
    return np.repeat(np.arange(frames, dtype=np.float32)[:, None], MOTION_SIZE, 1)


def cut(array: np.ndarray, sizes: list[int]) -> list[FaceMotion]:
    chunks, start = [], 0
    for size in [*sizes, len(array)]:
        if start < len(array):
            chunks.append(FaceMotion.from_array(array[start : start + size]))
            start += size
    return chunks


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(RATES), st.integers(5, 90), st.lists(st.integers(1, 32), min_size=1, max_size=6)
)
def test_chunks_do_not_matter(fps, frames, sizes):
    array = np.cumsum(np.random.default_rng(frames).normal(size=(frames, MOTION_SIZE)), 0).astype(
        np.float32
    )
    count = max(1, round(frames * fps / 25))
    whole = np.concatenate(
        [m.to_array() for m in resample_stream(cut(array, [frames]), fps, count)]
    )
    parts = np.concatenate([m.to_array() for m in resample_stream(cut(array, sizes), fps, count)])
    assert len(whole) == count
    np.testing.assert_allclose(parts, whole, atol=1e-4)


@pytest.mark.parametrize("fps", RATES)
def test_time_is_kept(fps):
    count = int(80 * fps / 25)
    out = np.concatenate([m.to_array() for m in resample_stream(cut(ramp(80), [80]), fps, count)])[
        :, 0
    ]
    expected = frame_positions(0, count, fps, Fraction(25))
    inner = (expected > 1) & (expected < 78)
    np.testing.assert_allclose(out[inner], expected[inner], atol=1e-3)
    assert (np.diff(out[inner]) > 0).all(), "a frame was repeated"


def test_interpolation_hits_its_knots():
    array = np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32)
    np.testing.assert_allclose(interpolate(array, np.arange(9.0)), array, atol=1e-6)


def test_no_motion_is_an_error():
    with pytest.raises(ValueError, match="no motion"):
        list(resample_stream([], Fraction(30), 5))


def test_motion_round_trip_and_shape_error():
    array = np.random.default_rng(0).normal(size=(7, MOTION_SIZE)).astype(np.float32)
    np.testing.assert_array_equal(FaceMotion.from_array(array).to_array(), array)
    assert FaceMotion.from_array(array)[2:5].num_frames == 3
    with pytest.raises(ValueError, match="motion must be"):
        FaceMotion.from_array(array[:, :5])
