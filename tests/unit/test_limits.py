"""The limits on head motion: smooth, bounded, and narrower where the picture bears less."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from talkhead_models.basis import rotation_matrix
from talkhead_models.limits import MotionLimits
from talkhead_models.motion import MOTION_SIZE, FaceMotion

angles = st.tuples(*[st.floats(-0.5, 0.5)] * 3)
cuts = st.dictionaries(st.sampled_from(["top", "left", "right"]), st.floats(-1, 3))


def limited(limits: MotionLimits, values: np.ndarray) -> np.ndarray:
    """Head motion (T,) of one kind, all six alike, through the limits: (T, 6)."""
    array = np.zeros((len(values), MOTION_SIZE), np.float32)
    array[:, 36:42] = values[:, None]
    motion = limits.apply(FaceMotion.from_array(array))
    return np.concatenate([motion.rotation, motion.translation], 1)


@given(angles, cuts)
def test_monotone_bounded_and_unchanged_when_small(own, joins):
    limits = MotionLimits.of(rotation_matrix(np.array(own)), joins)
    out = limited(limits, np.linspace(-2, 2, 201))
    assert (np.diff(out, axis=0) >= 0).all()
    assert (out <= limits.high + 1e-6).all()
    assert (out >= -limits.low - 1e-6).all()
    small = np.array([-1e-4, 0, 1e-4])
    np.testing.assert_allclose(limited(limits, small), np.repeat(small[:, None], 6, 1), rtol=0.01)


@given(st.floats(0.05, 0.5))
def test_a_turned_face_bears_more_turning_back(yaw):
    limits = MotionLimits.of(rotation_matrix(np.array([0.0, yaw, 0.0])), {})
    frontal = MotionLimits.of(np.eye(3), {})
    assert limits.high[1] < frontal.high[1] < limits.low[1]
    np.testing.assert_allclose(limits.high[[0, 2]], frontal.high[[0, 2]], rtol=1e-5)


@given(st.floats(0.1, 0.3), st.floats(0.1, 0.5))
def test_less_room_above_means_less_motion(less, more):
    narrow, wide = (MotionLimits.of(np.eye(3), {"top": length}) for length in (less, less + more))
    assert (narrow.high <= wide.high).all()
    assert narrow.high[2] < wide.high[2]
