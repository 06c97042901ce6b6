"""The renderer on a real picture, its mesh taken from the face model: what moves, what must not."""

import numpy as np
import pytest
from skimage.data import astronaut

from talkhead_models import topology as topo
from talkhead_models.basis import FaceBasis, lip_gaps
from talkhead_models.motion import MOTION_SIZE, FaceMotion
from talkhead_models.patches import dark_of
from talkhead_models.renderer import FaceRenderer
from talkhead_models.rig import FaceRig, inset_lips

FACE_CENTRE, EYE_DISTANCE = np.array([222.0, 110.0, 0.0], np.float32), 58.0


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


@pytest.fixture(scope="module")
def renderer(basis) -> FaceRenderer:
    image = np.ascontiguousarray(astronaut())
    mesh = basis.mean * np.float32(EYE_DISTANCE) + FACE_CENTRE
    mask = np.zeros(image.shape[:2], np.float32)
    mask[20:400, 120:330] = 1
    return FaceRenderer.create(image, mesh.astype(np.float32), mask, basis, {})


def motion(frames: int = 2, **parts: tuple[int, float]) -> FaceMotion:
    array = np.zeros((frames, MOTION_SIZE), np.float32)
    for index, value in parts.values():
        array[:, index] = value
    return FaceMotion.from_array(array)


def test_pixels_outside_the_moving_box_are_the_portraits(renderer):
    frames = renderer.render(motion(yaw=(37, 0.1), jaw=(0, -1.5)))
    x0, y0, x1, y1 = renderer.body.box
    outside = np.ones(frames.shape[1:3], bool)
    outside[y0:y1, x0:x1] = False
    assert outside.any()
    assert np.array_equal(frames[0][outside], renderer.image[outside])


def test_rest_is_nearly_the_portrait(renderer):
    frame = renderer.render(motion(1))[0].astype(float)
    assert np.abs(frame - renderer.image).mean() < 1.5


def test_background_stays_still_when_the_head_turns(renderer):
    frame = renderer.render(motion(1, yaw=(37, 0.15)))[0]
    still = renderer.body.mask == 0
    x0, y0, x1, y1 = renderer.body.box
    moved = renderer.render(motion(1, yaw=(37, 0.15)))[0][y0:y1, x0:x1]
    same = np.all(moved == renderer.image[y0:y1, x0:x1], -1)
    # Background away from the person, so that the head has not moved over it.
    columns = np.indices(still.shape)[1] + x0
    far = still & ((columns < 105) | (columns > 345))
    assert far.any()
    assert same[far].mean() > 0.999
    assert np.abs(frame.astype(float) - renderer.image).mean() > 0.3


def test_each_frame_stands_alone(renderer):
    array = (
        np.random.default_rng(0).normal(scale=0.3, size=(5, MOTION_SIZE)).astype(np.float32) * 0.3
    )
    together = renderer.render(FaceMotion.from_array(array))
    alone = renderer.render(FaceMotion.from_array(array[3:4]))
    assert np.array_equal(together[3], alone[0])


def test_open_jaw_darkens_the_mouth(renderer):
    lips = renderer.rig.meshes(motion(1, jaw=(0, -2.0)))[0]
    x, y = lips[[13, 14], :2].mean(0).round().astype(int)
    frame = renderer.render(motion(1, jaw=(0, -2.0)))[0]
    np.testing.assert_allclose(frame[y, x], dark_of(renderer.image, renderer.rig.mesh), atol=3)


def test_a_smile_with_an_open_mouth_can_close(basis):
    coefficients = np.zeros((1, 32), np.float32)
    coefficients[0, :2] = (-1.8, 1.0)
    mesh = (basis.mean + basis.deltas(coefficients)[0]) * 100 + 300
    assert lip_gaps(mesh / 100).max() > 0.08
    rig = FaceRig.fit(mesh.astype(np.float32), basis)
    closed = rig.canonical(motion(1))
    assert np.abs(lip_gaps(closed)).max() < 1e-3


def test_lids_close_fully_and_lips_never_cross(basis):
    rig = FaceRig.fit((basis.mean * 100 + 300).astype(np.float32), basis)
    array = np.random.default_rng(0).normal(size=(40, MOTION_SIZE)).astype(np.float32)
    array[:, 32:34] = 1
    meshes = rig.canonical(FaceMotion.from_array(array))
    assert lip_gaps(meshes).min() > -1e-3
    for eye in range(2):
        opening = meshes[:, list(topo.LOWER_LIDS[eye])] - meshes[:, list(topo.UPPER_LIDS[eye])]
        assert np.abs(opening).max() < 1e-3


def test_the_border_of_the_picture_never_moves(basis):
    # A head that nearly fills the picture: without the anchor its hair drags the top border along.
    image = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    mesh = basis.mean * np.float32(90) + np.array([150, 150, 0], np.float32)
    whole = np.ones((300, 300), np.float32)
    renderer = FaceRenderer.create(image, mesh.astype(np.float32), whole, basis, {})
    frame = renderer.render(motion(1, pitch=(36, 0.15), yaw=(37, 0.15)))[0]
    assert np.array_equal(frame[:8], image[:8])
    assert np.array_equal(frame[:100, :8], image[:100, :8])
    assert not np.array_equal(frame[140:160, 140:160], image[140:160, 140:160])


def test_parted_lips_give_their_pixels_from_inside_the_lips(basis):
    coefficients = np.zeros((1, 32), np.float32)
    coefficients[0, 0] = -1.8
    opened = ((basis.mean + basis.deltas(coefficients)[0]) * 100 + 300).astype(np.float32)
    upper, lower = list(topo.UPPER_INNER_LIP), list(topo.LOWER_INNER_LIP)
    inset = inset_lips(opened, 100)
    assert (inset[upper, 1] <= opened[upper, 1]).all()
    assert (inset[lower, 1] >= opened[lower, 1]).all()
    assert (inset[lower, 1] - inset[upper, 1]).max() > (opened[lower] - opened[upper])[:, 1].max()
    closed = (basis.mean * 100 + 300).astype(np.float32)
    np.testing.assert_allclose(inset_lips(closed, 100), closed, atol=0.05)
