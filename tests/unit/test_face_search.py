"""Tiles, altered views and patches: coordinates survive every way there and back; wrong meshes are recognised."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_cli.face.graphs import Detection
from talkhead_cli.face.landmarks import face_basis, mirror_points
from talkhead_cli.face.mediapipe_backend import (
    PATCH_SIDE,
    MediapipeBackend,
    Roi,
    closer,
    cut_patch,
    disagreement,
    patch_matrix,
    patch_to_image,
    roi_of_detection,
    roi_of_mesh,
)
from talkhead_cli.face.plausible import canonical_misfit, implausible, inside
from talkhead_cli.face.search import (
    Candidate,
    apply,
    merged,
    mirrored,
    overlap,
    padded,
    part,
    retry_views,
    shrink,
    tile_boxes,
    tile_sides,
    to_picture,
    touches_edge,
    turned,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(64, 3000), st.integers(64, 3000), st.integers(64, 1500))
def test_tiles_cover_the_picture_and_overlap(height, width, side):
    boxes = np.array(tile_boxes((height, width), side))
    assert boxes[:, :2].min() == 0
    assert boxes[:, 2].max() == width
    assert boxes[:, 3].max() == height
    for low, high, length in ((0, 2, width), (1, 3, height)):
        starts = np.unique(boxes[:, low])
        ends = np.unique(boxes[:, high])
        assert (boxes[:, high] - boxes[:, low] == min(side, length)).all()
        assert (ends[:-1] - starts[1:] >= 0.3 * side - 1).all()


def test_tile_sides_reach_the_smallest_useful_face():
    assert tile_sides((512, 512), 0) == []
    assert tile_sides((512, 512), 300) == []
    assert min(tile_sides((1080, 1920), 0)) <= 1.25 * 64 / 0.12
    assert min(tile_sides((4320, 7680), 0)) <= 1.25 * 64 / 0.12
    assert tile_sides((4320, 7680), 3000) == []


def marks(height=90, width=140):
    """A dark picture with three bright dots, and where they are."""
    image = np.zeros((height, width, 3), np.uint8)
    points = np.array([[30, 20], [100, 25], [64, 70]])
    for x, y in points:
        image[y, x] = 255
    return image, points.astype(float)


@pytest.mark.parametrize(
    "change",
    [padded, mirrored, lambda v: turned(v, 1), lambda v: turned(v, 2), lambda v: turned(v, 3)],
)
def test_views_know_the_way_back(change):
    image, points = marks()
    view = change(part(image, (10, 5, 130, 85)))
    rows, columns = np.nonzero(view.pixels[..., 0] == 255)
    back = apply(view.matrix, np.stack([columns, rows], 1).astype(float))
    assert sorted(map(tuple, back.round(6))) == sorted(map(tuple, points))


def test_shrunk_parts_keep_their_place():
    image = np.zeros((2000, 1500, 3), np.uint8)
    image[1200:1240, 700:740] = 255
    for shape_source in (image, shrink(image, 800)):
        view = part(shape_source, (500, 1000, 1300, 1800), shape=image.shape)
        weight = view.pixels[..., 0].astype(float)
        rows, columns = np.mgrid[0 : weight.shape[0], 0 : weight.shape[1]]
        centre = np.array([[(columns * weight).sum(), (rows * weight).sum()]]) / weight.sum()
        np.testing.assert_allclose(apply(view.matrix, centre), [[719.5, 1219.5]], atol=0.6)


def detection(box, score=0.9):
    x0, y0, x1, y1 = box
    names = [(0.3, 0.3), (0.7, 0.3), (0.5, 0.5), (0.5, 0.75), (0.05, 0.4), (0.95, 0.4)]
    points = np.array([(x0 + a * (x1 - x0), y0 + b * (y1 - y0)) for a, b in names])
    return Detection(np.array(box, float), points, score)


def test_mirrored_detections_swap_left_and_right():
    image, _ = marks()
    view = mirrored(part(image, (0, 0, 140, 90)))
    back = to_picture(detection((10, 20, 50, 60)), view.matrix)
    np.testing.assert_allclose(back.box, (89, 20, 129, 60))
    assert back.keypoints[0, 0] < back.keypoints[1, 0]
    assert back.keypoints[4, 0] < back.keypoints[5, 0]


def test_merged_keeps_the_best_of_each_face():
    boxes = [(0, 0, 100, 100), (10, 10, 95, 95), (300, 0, 400, 100)]
    items = [
        Candidate(detection(box, score), "")
        for box, score in zip(boxes, (0.5, 0.9, 0.7), strict=True)
    ]
    assert [item.detection.score for item in merged(items)] == [0.9, 0.7]
    assert overlap(np.array(boxes[0], float), np.array(boxes[2], float)) == 0.0


def test_faces_cut_by_a_tile_are_left_to_the_next_tile():
    shape, tile = (1000, 1000, 3), (300, 0, 700, 400)
    assert touches_edge(detection((280, 50, 400, 150)), tile, shape)
    assert not touches_edge(detection((320, 0, 400, 150)), tile, shape)
    assert touches_edge(detection((320, 300, 400, 420)), tile, shape)


@settings(max_examples=40, deadline=None)
@given(st.floats(100, 900), st.floats(100, 900), st.floats(20, 900), st.floats(-np.pi, np.pi))
def test_patch_and_back_is_the_identity(x, y, side, rotation):
    roi = Roi(x, y, side, rotation)
    matrix = patch_matrix(roi)
    inverse = np.linalg.inv(matrix[:, :2])
    mesh = np.random.default_rng(0).uniform(0, 1000, (478, 3)).astype(np.float32)
    patch = mesh.copy()
    patch[:, :2] = (mesh[:, :2] - matrix[:, 2]) @ inverse.T
    patch[:, 2] *= PATCH_SIDE / side
    np.testing.assert_allclose(patch_to_image(patch, roi), mesh, atol=0.01)


@pytest.mark.parametrize("side", [60.0, 200.0, 300.0, 900.0])
@pytest.mark.parametrize("rotation", [0.0, 0.4, 1.6])
def test_patch_shows_the_right_place(side, rotation):
    image = np.zeros((1200, 1200, 3), np.uint8)
    x, y = 640, 500
    size = max(2, round(side / 30))
    image[y - size : y + size + 1, x - size : x + size + 1] = 255
    roi = Roi(600.0, 520.0, side, rotation)
    patch = cut_patch(image, roi)[..., 0].astype(float)
    rows, columns = np.mgrid[0:PATCH_SIDE, 0:PATCH_SIDE]
    if patch.sum() == 0:
        return
    centre = np.array([[(columns * patch).sum(), (rows * patch).sum()]]) / patch.sum()
    back = apply(patch_matrix(roi), centre)
    if 0.2 < centre[0, 0] / PATCH_SIDE < 0.8 and 0.2 < centre[0, 1] / PATCH_SIDE < 0.8:
        np.testing.assert_allclose(back, [[x, y]], atol=max(0.3, side / PATCH_SIDE))


@settings(max_examples=40, deadline=None)
@given(st.floats(-200, 1400), st.floats(-200, 1100), st.floats(0, 3000))
def test_closer_view_and_back_is_the_identity(x, y, side):
    image = np.zeros((900, 1200, 3), np.uint8)
    close = closer(image, Roi(x, y, side))
    assert min(close.pixels.shape[:2]) >= 2
    assert close.roi.side <= 400 * 1.1
    point = np.array([[close.roi.x, close.roi.y, 0]], np.float32)
    np.testing.assert_allclose(close.mesh_to_image(point), [[x, y, 0]], atol=0.01)


def test_patch_outside_the_picture_is_black():
    patch = cut_patch(np.full((100, 100, 3), 255, np.uint8), Roi(-500.0, 50.0, 60.0))
    assert patch.shape == (PATCH_SIDE, PATCH_SIDE, 3)
    assert not patch.any()


def canonical(scale=100.0, at=(300.0, 250.0)):
    mesh = face_basis().mean * np.float32(scale)
    mesh[:, :2] += np.float32(at)
    return mesh


def test_region_of_a_mesh_turns_with_it():
    mesh = canonical()
    roi = roi_of_mesh(mesh)
    assert abs(roi.rotation) < 0.02
    angle = 0.5
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    mesh[:, :2] = (mesh[:, :2] - 300) @ turn.T + 300
    rolled = roi_of_mesh(mesh)
    assert rolled.rotation == pytest.approx(roi.rotation + angle, abs=1e-3)
    assert rolled.side == pytest.approx(roi.side, rel=1e-3)
    assert roi_of_detection(detection((0, 0, 100, 120))).side == pytest.approx(180)


def test_the_mean_face_is_plausible():
    assert canonical_misfit(canonical()) < 1e-4
    assert implausible(canonical()) is None
    assert implausible(canonical(), careful=True) is None


def test_wrong_meshes_are_recognised():
    rng = np.random.default_rng(0)
    noisy = canonical() + rng.normal(0, 20, (478, 3)).astype(np.float32)
    assert "eye distances" in (implausible(noisy) or "")
    squeezed = canonical() * np.float32([1, 0.3, 1])
    assert implausible(squeezed) is not None
    missing = canonical()
    missing[5] = np.nan
    assert "finite" in (implausible(missing) or "")
    mouth = canonical()
    lips = np.unique([*range(0, 0), 61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291])
    mouth[lips, 0] += 120
    assert implausible(mouth) is not None


def test_detector_and_mesh_must_agree():
    mesh = canonical()
    eyes = [mesh[[33, 133], :2].mean(0), mesh[[362, 263], :2].mean(0)]
    mouth = mesh[[13, 14], :2].mean(0)
    points = np.array([*eyes, mesh[1, :2], mouth, eyes[0], eyes[1]], float)
    found = Detection(np.zeros(4), points, 0.9)
    assert disagreement(mesh, found) is None
    assert "left eye" in (disagreement(mesh + np.float32([80, 0, 0]), found) or "")


def test_inside():
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
    assert inside(square, np.array([5, 5]))
    assert not inside(square, np.array([15, 5]))
    assert not inside(square, np.array([5, -1]))


class BlindGraphs:
    """Detectors that see nothing, and count how often they were asked."""

    def __init__(self):
        self.asked = 0

    def detect(self, image, model):
        assert image.ndim == 3
        self.asked += 1
        return []

    def close(self):
        self.asked = -1


def test_all_altered_views_are_tried_before_giving_up():
    graphs = BlindGraphs()
    backend = MediapipeBackend(graphs)
    image = np.full((200, 260, 3), 90, np.uint8)
    assert backend.detect(image) == []
    names = [view.name for view in retry_views(image)]
    assert {"padded", "mirrored", "contrast raised", "turned 90", "turned 180"} <= set(names)
    assert graphs.asked == 2 * (1 + len(names))
    backend.close()
    assert graphs.asked == -1


def test_mirror_table_is_an_involution():
    table = mirror_points()
    np.testing.assert_array_equal(table[table], np.arange(478))


def test_importing_the_package_is_light():
    code = (
        "import sys, talkhead_cli.face; "
        "print([m for m in ('mediapipe', 'cv2', 'torch', 'face_alignment', 'PIL') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
