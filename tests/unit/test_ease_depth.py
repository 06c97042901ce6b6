"""Depths that a head turn is done with: never steeper than allowed, never behind the true ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from talkhead_models.rig import ease_depth

points = arrays(np.float32, (12, 3), elements=st.floats(-100, 100, width=32))


@given(points, st.floats(0.2, 3))
def test_no_slope_is_steeper_and_no_point_goes_back(mesh, slope):
    eased = ease_depth(mesh, slope)
    across = np.linalg.norm(eased[:, None, :2] - eased[None, :, :2], axis=-1)
    rise = np.abs(eased[:, None, 2] - eased[None, :, 2])
    assert (rise <= slope * across + 1e-2).all()
    assert (eased[:, 2] <= mesh[:, 2]).all()
    assert np.array_equal(eased[:, :2], mesh[:, :2])
    assert eased[:, 2].min() == mesh[:, 2].min()


@given(points, st.floats(0.2, 3))
def test_gentle_depths_stay(mesh, slope):
    eased = ease_depth(mesh, slope)
    np.testing.assert_allclose(ease_depth(eased, slope), eased, atol=1e-2)
