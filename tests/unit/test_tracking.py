"""A tracked face as motion: meshes made by the renderer's own rig must give back the motion that made them."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkhead_models.basis import FaceBasis, lip_gaps
from talkhead_models.motion import GEOMETRY_SIZE, MOTION_SIZE, FaceMotion
from talkhead_models.rig import FaceRig
from talkhead_models.tracking import (
    close_lips,
    come_to_rest,
    fill_lost,
    motion_from_meshes,
    relative_to_frame,
    smooth_columns,
)

FRAMES = 100


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


def speaking(frames: int = FRAMES) -> FaceMotion:
    """Smooth motion with closed lips now and then, a blink, a turning head."""
    random = np.random.default_rng(5)
    time = np.arange(frames)[:, None] / 25
    waves = np.zeros((frames, GEOMETRY_SIZE), np.float32)
    # The first direction opens the jaw when it is negative.
    waves[:, 0] = -1.2 * np.maximum(0, np.sin(2 * np.pi * 1.5 * time[:, 0]))
    waves[:, 1:6] = 0.4 * np.sin(2 * np.pi * time * random.uniform(0.5, 2, 5))
    waves[:, 1:6] *= waves[:, :1]
    waves[40:44, 32:34] = 1
    waves[:, 36:39] = np.radians(5) * np.sin(2 * np.pi * time * np.array([0.4, 0.3, 0.5]))
    waves[:, 39:42] = np.array([0.05, 0.05, 0.02]) * np.sin(2 * np.pi * time * 0.35)
    return FaceMotion.from_array(waves)


def film(motion: FaceMotion) -> np.ndarray:
    """Meshes of a face that moves so, (T, 478, 3) pixels, as a true solid: the renderer eases depths."""
    basis = FaceBasis.load()
    rig = FaceRig.fit(basis.mean * 120 + 256, basis)
    return rig.move(rig.pose.apply(rig.canonical(motion)), motion)


@pytest.fixture(scope="module")
def filmed() -> np.ndarray:
    return film(speaking())


def test_motion_comes_back(basis: FaceBasis, filmed: np.ndarray) -> None:
    wanted, found = speaking(), motion_from_meshes(filmed, np.ones(FRAMES, bool), basis).motion
    gaps = [basis.lip_gap(motion.expression) for motion in (wanted, found)]
    assert np.corrcoef(gaps)[0, 1] > 0.98
    assert gaps[1].max() == pytest.approx(gaps[0].max(), rel=0.15)
    turned = relative_to_frame(wanted).rotation, relative_to_frame(found).rotation
    np.testing.assert_allclose(*turned, atol=np.radians(0.6))
    moved = relative_to_frame(wanted).translation, relative_to_frame(found).translation
    np.testing.assert_allclose(*moved, atol=0.012)
    assert found.lids[41:43].min() > 0.95
    assert np.abs(found.lids[:38]).max() < 0.1
    assert not found.appearance.any()


def test_size_and_place_of_the_face_do_not_matter(basis: FaceBasis, filmed: np.ndarray) -> None:
    tracked = np.ones(FRAMES, bool)
    near = motion_from_meshes(filmed, tracked, basis).motion.to_array()
    far = motion_from_meshes(filmed * 0.4 + 90, tracked, basis).motion.to_array()
    np.testing.assert_allclose(far, near, atol=0.01)


def test_lost_frames_lie_between_their_neighbours(basis: FaceBasis, filmed: np.ndarray) -> None:
    tracked = np.ones(FRAMES, bool)
    tracked[[0, 1, 60, 61, 62, FRAMES - 1]] = False
    broken = np.where(tracked[:, None, None], filmed, 0).astype(np.float32)
    whole = motion_from_meshes(filmed, np.ones(FRAMES, bool), basis).motion.rotation
    found = motion_from_meshes(broken, tracked, basis).motion
    assert np.isfinite(found.to_array()).all()
    np.testing.assert_allclose(found.rotation[2:-1], whole[2:-1], atol=np.radians(1.0))
    assert np.abs(np.diff(found.rotation, axis=0)).max() < np.radians(1.5)


def test_refuses_what_it_cannot_use(basis: FaceBasis, filmed: np.ndarray) -> None:
    with pytest.raises(ValueError, match="every frame"):
        motion_from_meshes(filmed, np.zeros(FRAMES, bool), basis)
    with pytest.raises(ValueError, match="478"):
        motion_from_meshes(filmed[:, :468], np.ones(FRAMES, bool), basis)


@given(st.integers(1, 40))
def test_any_number_of_frames(length: int) -> None:
    basis = FaceBasis.load()
    found = motion_from_meshes(film(speaking(length)), np.ones(length, bool), basis, Fraction(60))
    assert found.motion.num_frames == length
    assert found.motion.fps == 60
    assert np.isfinite(found.motion.to_array()).all()


def test_lips_of_a_neutral_face_meet(basis: FaceBasis) -> None:
    opened = basis.mean + basis.deltas(np.array([[-0.5] + [0] * 31], np.float32))[0]
    assert lip_gaps(opened).max() > 0.01
    assert np.abs(lip_gaps(close_lips(opened))).max() < 1e-5


@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
def test_filled_rows_keep_what_is_known(known: list[bool]) -> None:
    tracked = np.array(known)
    rows = np.random.default_rng(len(known)).normal(size=(len(known), 3)).astype(np.float32)
    filled = fill_lost(np.where(tracked[:, None], rows, 1e6).astype(np.float32), tracked)
    np.testing.assert_array_equal(filled[tracked], rows[tracked])
    assert filled.max() <= rows[tracked].max()


def test_smoothing_covers_the_same_time_at_any_rate() -> None:
    noise = np.random.default_rng(0).normal(size=(600, 1)).astype(np.float32)
    slow, fast = (smooth_columns(noise, 9, fps).std() for fps in (25, 100))
    assert slow < 0.6
    assert fast < 0.6 * slow
    np.testing.assert_array_equal(smooth_columns(noise, 5, 10), noise)


@given(st.integers(0, FRAMES - 1))
def test_pose_is_relative_to_the_frame(frame: int) -> None:
    motion = speaking()
    moved = relative_to_frame(motion, frame)
    assert np.abs(moved.rotation[frame]).max() < 1e-6
    assert np.abs(moved.translation[frame]).max() < 1e-6
    np.testing.assert_array_equal(moved.expression, motion.expression)
    # Relative to where it is relative to already: nothing changes.
    np.testing.assert_allclose(relative_to_frame(moved, frame).rotation, moved.rotation, atol=1e-5)


def test_motion_that_ends_comes_to_rest() -> None:
    motion = speaking()[:10]
    motion = replace(motion, lids=np.ones((10, 2), np.float32))
    longer = come_to_rest(motion, 60)
    assert longer.num_frames == 60
    np.testing.assert_allclose(longer.to_array()[:10], motion.to_array(), atol=1e-7)
    assert np.abs(longer.expression[-1]).max() < 0.02
    assert np.abs(longer.lids[-1]).max() < 0.02
    # The head stays near where it was and does not stop dead.
    steps = np.abs(np.diff(longer.rotation, axis=0)).max(1)
    assert steps[-1] < 1e-4
    assert steps[9] > 0.5 * steps[8]
    assert np.abs(longer.rotation[-1] - longer.rotation[9]).max() < np.radians(3)
    assert come_to_rest(motion, 4) is motion


@given(st.integers(0, FRAMES - 1))
def test_portrait_taken_from_a_frame_moves_as_the_film_does(frame: int) -> None:
    """Every point of the head is where it was filmed, whichever frame the portrait is."""
    basis = FaceBasis.load()
    head = FaceMotion.from_array(speaking().to_array() * (np.arange(MOTION_SIZE) >= 36))
    meshes = film(head)
    rig = FaceRig.fit(meshes[frame], basis)
    again = rig.move(rig.mesh, relative_to_frame(head, frame))
    np.testing.assert_allclose(again, meshes, atol=0.5)
