"""The chin's skin gives way to a wide-open lower lip."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_models.basis import FaceBasis
from talkhead_models.unfold import COLUMNS, LEAST, unfold_chin

NEUTRAL = FaceBasis.load().mean


def distances(mesh: np.ndarray) -> np.ndarray:
    return np.diff(mesh[:, np.array(COLUMNS), 1], axis=2)


@settings(max_examples=30, deadline=None)
@given(drop=st.floats(0, 0.4), seed=st.integers(0, 100))
def test_rings_below_the_lip_never_cross(drop, seed):
    mesh = np.repeat(NEUTRAL[None], 2, 0)
    lips = [column[0] for column in COLUMNS]
    mesh[:, lips, 1] += drop * np.random.default_rng(seed).random(len(lips)).astype(np.float32)
    before = mesh.copy()
    unfold_chin(mesh, NEUTRAL)
    least = LEAST * np.maximum(distances(NEUTRAL[None]), 1e-3)
    assert (distances(mesh) >= least - 1e-5).all()
    untouched = np.setdiff1d(np.arange(478), np.array(COLUMNS)[:, 1:])
    assert np.array_equal(mesh[:, untouched], before[:, untouched])
    assert np.array_equal(mesh[..., [0, 2]], before[..., [0, 2]])


def test_a_face_without_folds_stays():
    mesh = NEUTRAL[None].copy()
    unfold_chin(mesh, NEUTRAL)
    np.testing.assert_allclose(mesh, NEUTRAL[None], atol=1e-4)
