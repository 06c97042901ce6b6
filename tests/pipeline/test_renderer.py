"""The renderer on a real picture, its mesh taken from the face model: what moves, what must not."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from talkhead_models import topology as topo
from talkhead_models.basis import FaceBasis, lip_gaps
from talkhead_models.body import COARSE
from talkhead_models.motion import MOTION_SIZE, FaceMotion
from talkhead_models.patches import dark_of, eye_opening, hole_coverage
from talkhead_models.planes import planes_of
from talkhead_models.renderer import FaceRenderer
from talkhead_models.rig import FaceRig, inset_lips
from talkhead_models.warp import coverage, signed_areas

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


def test_breath_lifts_the_shoulders_and_nothing_else(renderer):
    rest, full = (renderer.render(motion(1), np.array([b], np.float32))[0] for b in (0.0, 1.0))
    assert np.array_equal(rest, renderer.render(motion(1))[0])
    changed = np.any(rest != full, -1)
    rows = np.flatnonzero(changed.any(1))
    chin = renderer.body.rig.mesh[152, 1]
    assert chin < rows[0]
    x0, y0, _, _ = renderer.body.box
    wall = np.ones(changed.shape, bool)
    height, width = renderer.body.mask.shape
    wall[y0 : y0 + height, x0 : x0 + width] = renderer.body.mask == 0
    # A lift of two pixels carries the shoulders' own edge over the wall.
    near = cv2.dilate((~wall).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert not changed[~near].any()


def test_hair_clear_of_the_border_moves_as_one(renderer, basis):
    # The mask's top lies below the border strip: between them the ramp, in the mask full motion.
    image = np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8)
    mesh = (basis.mean * np.float32(70) + np.array([200, 200, 0], np.float32)).astype(np.float32)
    mask = np.zeros((400, 400), np.float32)
    mask[60:, 120:280] = 1
    body = FaceRenderer.create(image, mesh, mask, basis, {}).body
    top = int((60 - body.box[1]) / COARSE)
    assert body.anchor[top + 1 :, body.anchor.shape[1] // 2][:20].min() > 0.99
    cut = FaceRenderer.create(image, mesh, np.ones_like(mask), basis, {}).body
    assert cut.anchor[top + 1, cut.anchor.shape[1] // 2] < 0.9
    high = (mesh - np.array([0, 125, 0], np.float32)).astype(np.float32)
    near = FaceRenderer.create(image, high, np.ones_like(mask), basis, {}).body
    assert near.limits.high[2] < 0.7 * body.limits.high[2]


@pytest.mark.parametrize("yaw", [-0.22, 0.22])
def test_a_turned_head_folds_nowhere(basis, yaw):
    rig = FaceRig.fit((basis.mean * 100 + 300).astype(np.float32), basis)
    corners = rig.meshes(motion(1, yaw=(37, yaw)))[0, :, :2][basis.triangles]
    before = signed_areas(rig.meshes(motion(1))[0, :, :2][basis.triangles])
    large = np.abs(before) > 10
    assert (signed_areas(corners)[large] / before[large] > 0.2).all()


def test_shut_eyes_show_no_eyeball_and_a_dark_line(renderer):
    shut = renderer.render(motion(1, left=(32, 1.0), right=(33, 1.0)))[0].astype(int)
    mesh = renderer.body.rig.meshes(motion(1, left=(32, 1.0), right=(33, 1.0)))[0]
    for eye in range(2):
        assert eye_opening(mesh, eye) is None
        assert eye_opening(renderer.body.rig.mesh, eye) is not None
        x, y = mesh[topo.UPPER_LIDS[eye][3], :2].round().astype(int)
        line, lid = shut[y, x].sum(), shut[y - 5, x - 2 : x + 3].sum(-1).mean()
        assert line < lid


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


def test_holes_of_large_faces_are_rounded_and_never_smaller():
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    edge = np.stack([np.cos(angles), 0.7 * np.sin(angles)], 1).astype(np.float32)
    small, large = 10 * edge + 20, 150 * edge + 200
    assert np.array_equal(hole_coverage(small, (40, 40)), coverage(small, (40, 40)))
    facets, rounded = coverage(large, (400, 400)), hole_coverage(large, (400, 400))
    assert (rounded >= facets).all()
    exact = np.pi * 150 * 150 * 0.7
    assert abs(rounded.sum() - exact) < 0.3 * abs(facets.sum() - exact)


def test_planes_are_those_of_the_frames(renderer, monkeypatch):
    turned = motion(2, yaw=(37, 0.15), roll=(38, 0.1), jaw=(0, -1.5))
    # Of a frame drawn before there must be nothing left, inside the moving box and outside.
    paste = type(renderer.painters[0]).paste

    def paste_far_out(painter, out, frame, painted):
        paste(painter, out, frame, painted)
        out[1:6, 501:508] = 255 * frame.pose.rotation[0, 1] > 20
        return 501, 1, 508, 6

    monkeypatch.setattr(type(renderer.painters[0]), "paste", paste_far_out)
    for each in (turned, motion(3), turned):
        expected = [planes_of(frame) for frame in renderer.render(each)]
        np.testing.assert_array_equal(renderer.render_planes(each), expected)
