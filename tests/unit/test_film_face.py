"""The face of a film under new speech: what moves, what does not, and where it fades."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkhead_models import topology as topo
from talkhead_models.basis import FaceBasis, Pose, lip_gaps, rotation_matrix
from talkhead_models.body import Placed
from talkhead_models.dubbing import restore_above
from talkhead_models.film_face import (
    RAMP_SECONDS,
    SUBNASALE,
    FilmFace,
    fading,
    jaw_weights,
    lip_weights,
    runs,
)
from talkhead_models.jaw_warp import JawWarp
from talkhead_models.lip_texture import mouth_mask
from talkhead_models.motion import EXPRESSION_SIZE, FaceMotion
from talkhead_models.patches import MOUTH

FRAMES = 24


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


def filmed_meshes(basis: FaceBasis) -> np.ndarray:
    """A head that turns and speaks: (T, 478, 3) pixels."""
    time = np.arange(FRAMES, dtype=np.float32) / 25
    expression = np.zeros((FRAMES, EXPRESSION_SIZE), np.float32)
    expression[:, 0] = -1 - np.sin(2 * np.pi * 2 * time)
    angles = np.stack([0.1 * np.sin(time), 0.3 * np.sin(2 * time), 0.1 * time], 1)
    offset = np.stack([160 + 5 * time, 150 - 3 * time, 0 * time], 1).astype(np.float32)
    poses = Pose(np.full(FRAMES, 90, np.float32), rotation_matrix(angles), offset)
    return poses.apply(basis.mean + basis.deltas(expression)).astype(np.float32)


def face_of(basis: FaceBasis) -> FilmFace:
    everywhere = np.ones(FRAMES, bool)
    return FilmFace.measure(filmed_meshes(basis), everywhere, basis, 25)


def motion_of(rows: np.ndarray) -> FaceMotion:
    zeros = {"lids": 2, "gaze": 2, "rotation": 3, "translation": 3}
    rest = {key: np.zeros((len(rows), size), np.float32) for key, size in zeros.items()}
    return FaceMotion(expression=rows.astype(np.float32), **rest)


def test_nothing_above_the_upper_lip_moves(basis: FaceBasis) -> None:
    face = face_of(basis)
    rng = np.random.default_rng(1)
    motion = motion_of(rng.normal(size=(FRAMES, EXPRESSION_SIZE)))
    targets = face.targets(list(range(FRAMES)), motion)
    above = face.neutral[:, 1] <= face.neutral[SUBNASALE, 1]
    assert above.sum() > 200
    np.testing.assert_array_equal(targets[:, above], face.meshes[:, above])
    assert np.abs(targets - face.meshes)[:, list(topo.LIPS)].max() > 3


def test_lips_close_where_they_are_to_close(basis: FaceBasis) -> None:
    face = face_of(basis)
    frames = list(range(FRAMES))
    assert lip_gaps(face.poses.invert(face.meshes)).max() > 0.05
    rest = face.targets(frames, motion_of(np.zeros((FRAMES, EXPRESSION_SIZE))))
    assert np.abs(lip_gaps(face.poses.invert(rest))).max() < 0.02


def test_weights_fall_from_the_mouth_to_the_nose_and_the_ears(basis: FaceBasis) -> None:
    jaw, lips = jaw_weights(basis.mean), lip_weights(basis.mean)
    assert (jaw[list(topo.LIPS)] > 0.99).all()
    assert jaw[152] > 0.99
    for point in (*topo.BROWS, *topo.lid_points(), 1, SUBNASALE, 234, 454, 468, 473):
        assert jaw[point] == 0
    assert (lips <= jaw + 1e-6).all()
    assert lips[152] == 0


def test_faces_fade_beside_frames_without_one() -> None:
    tracked = np.ones(60, bool)
    tracked[20:23] = False
    strength = fading(tracked, Fraction(25))
    assert (strength[20:23] == 0).all()
    reach = int(np.ceil(RAMP_SECONDS * 25))
    assert (np.delete(strength, range(20 - reach, 23 + reach)) == 1).all()
    assert (np.diff(strength[23 : 23 + reach]) > 0).all()
    assert (np.diff(strength[20 - reach : 20]) < 0).all()
    assert (fading(np.ones(5, bool), Fraction(25)) == 1).all()


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_runs_are_the_tracked_frames(flags: list[bool]) -> None:
    tracked = np.array(flags)
    meshes = np.zeros((len(flags), 478, 3), np.float32)
    meshes[:, 263, 0] = 50
    found = np.zeros(len(flags), int)
    for run in runs(tracked, meshes):
        found[run] += 1
    np.testing.assert_array_equal(found, tracked.astype(int))


def test_cuts_part_runs(basis: FaceBasis) -> None:
    meshes = filmed_meshes(basis)
    meshes[10:] += 60
    everywhere = np.ones(FRAMES, bool)
    assert runs(everywhere, meshes) == [slice(0, 10), slice(10, FRAMES)]
    # Nothing of one shot is smoothed into the other.
    before = meshes.copy()
    face = FilmFace.measure(meshes, everywhere, basis, 25)
    assert np.abs(face.meshes - before).max() < 6


def test_a_face_must_be_seen(basis: FaceBasis) -> None:
    with pytest.raises(ValueError, match="no frame shows a face"):
        FilmFace.measure(filmed_meshes(basis), np.zeros(FRAMES, bool), basis, 25)


def test_turned_heads_keep_their_mouths(basis: FaceBasis) -> None:
    angles = np.zeros((FRAMES, 3), np.float32)
    angles[12:, 1] = np.radians(60)
    poses = Pose(
        np.full(FRAMES, 90, np.float32),
        rotation_matrix(angles),
        np.full((FRAMES, 3), 160, np.float32),
    )
    meshes = poses.apply(np.repeat(basis.mean[None], FRAMES, 0)).astype(np.float32)
    face = FilmFace.measure(meshes, np.ones(FRAMES, bool), basis, 25)
    assert (face.strength[:8] == 1).all()
    assert (face.strength[16:] == 0).all()
    assert face.reference() < 12


def test_warp_leaves_the_film_alone_but_for_the_jaw(basis: FaceBasis) -> None:
    face = face_of(basis)
    picture = np.random.default_rng(2).integers(0, 255, (380, 320, 3)).astype(np.uint8)
    warp = JawWarp(face)
    mesh = face.meshes[0]
    np.testing.assert_array_equal(warp.apply(picture, mesh, mesh, 90.0)[:170], picture[:170])
    rows = np.zeros((1, EXPRESSION_SIZE), np.float32)
    rows[0, 0] = 3
    target = face.targets([0], motion_of(rows))[0]
    warped = warp.apply(picture, mesh, target, 90.0)
    zero, codes = np.zeros(2, np.float32), np.zeros(12, np.float32)
    restore_above(warped, picture, Placed(target, zero, face.pose(0), zero, codes))
    moved = (warped != picture).any(-1)
    assert moved.sum() > 1000
    assert not moved[: int(mesh[SUBNASALE, 1])].any()
    # It ends inside the picture: neck and background far from the jaw stay.
    reach = mesh[152, 1] + 0.75 * 90
    assert not moved[int(reach) :].any()
    assert not moved[:, [0, -1]].any()


def test_mask_ends_below_the_nose(basis: FaceBasis) -> None:
    mask = mouth_mask(basis.mean)
    assert mask.shape == (MOUTH.height, MOUTH.width)
    assert mask.max() == 1
    centre = basis.mean[list(MOUTH.anchors), 1].mean() + MOUTH.drop
    row = (MOUTH.height - 1) / 2 + (basis.mean[SUBNASALE, 1] - centre) * 87
    assert not mask[: int(row)].any()
    for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]):
        assert not edge.any()
    lips = (MOUTH.height - 1) / 2 + (basis.mean[list(topo.LIPS), 1] - centre) * 87
    assert mask[round(lips.min()) : round(lips.max()), 48].min() > 0.95
