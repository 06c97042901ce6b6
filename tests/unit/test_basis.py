"""The linear face model: pose fits, angles, and the split of a portrait."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from talkhead_models import topology as topo
from talkhead_models.basis import FaceBasis, fit_pose, lip_gaps, rotation_angles, rotation_matrix
from talkhead_models.motion import EXPRESSION_SIZE

angles = hnp.arrays(np.float32, 3, elements=st.floats(-1.25, 1.25, width=32))


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


@given(angles)
def test_angles_round_trip(value):
    np.testing.assert_allclose(rotation_angles(rotation_matrix(value)), value, atol=1e-4)


def test_signs_of_rotation():
    nose = np.array([0, 0, -1], np.float32)
    right = np.array([1, 0, 0], np.float32)
    assert (rotation_matrix(np.array([0.2, 0, 0])) @ nose)[1] > 0.1, "a nod carries the nose down"
    assert (rotation_matrix(np.array([0, 0.2, 0])) @ nose)[0] > 0.1, (
        "positive yaw carries the nose right"
    )
    assert (rotation_matrix(np.array([0, 0, 0.2])) @ right)[1] > 0.1, "positive roll is clockwise"


@settings(max_examples=30, deadline=None)
@given(angles, st.floats(20, 900), st.floats(-500, 3000))
def test_fit_pose_finds_the_pose(basis, value, scale, shift):
    mesh = (basis.mean @ rotation_matrix(value).T) * np.float32(scale) + np.float32(shift)
    pose = fit_pose(mesh.astype(np.float32), basis.mean)
    assert pose.scale == pytest.approx(scale, rel=1e-3)
    np.testing.assert_allclose(pose.invert(mesh), basis.mean, atol=5e-3)
    np.testing.assert_allclose(pose.apply(basis.mean), mesh, atol=0.01 * scale)


def test_projection_returns_the_expression(basis):
    wanted = np.random.default_rng(0).normal(size=(5, EXPRESSION_SIZE)).astype(np.float32)
    found = basis.project(basis.deltas(wanted), ridge=0)
    np.testing.assert_allclose(found, wanted, atol=0.02)


def test_mirror_twice_is_identity(basis):
    np.testing.assert_allclose(basis.mirror @ basis.mirror, np.eye(EXPRESSION_SIZE), atol=0.05)
    assert np.array_equal(basis.mirror_points[basis.mirror_points], np.arange(topo.NUM_POINTS))


def test_mean_face_has_closed_lips_and_unit_eyes(basis):
    assert np.abs(lip_gaps(basis.mean)).max() < 1e-3
    left, right = basis.mean[list(topo.OUTER_EYES)]
    assert np.linalg.norm(left - right) == pytest.approx(1, abs=0.05)


def test_split_explains_an_open_mouth(basis):
    coefficients = np.zeros((1, EXPRESSION_SIZE), np.float32)
    coefficients[0, 0] = -1.5  # The first direction opens the jaw when negative.
    opened = basis.mean + basis.deltas(coefficients)[0]
    neutral, _ = basis.split_portrait(opened)
    assert lip_gaps(opened).max() > 0.08
    assert np.abs(lip_gaps(neutral)).max() < 0.35 * lip_gaps(opened).max()


def test_triangles_leave_mouth_and_eyes_open(basis):
    assert basis.triangles.shape == (854, 3)
    inner = set(topo.INNER_LIPS)
    assert not any(set(triangle) <= inner for triangle in basis.triangles.tolist())
