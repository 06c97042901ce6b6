"""Triangle warps: exact affine maps, full cover, and coverage of polygons."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from talkhead_models.warp import (
    apply_affines,
    box_of,
    coverage,
    invert_affine,
    raster_ids,
    similarity,
    smooth_curve,
    transform,
    triangle_affines,
)

corner = hnp.arrays(np.float32, (1, 3, 2), elements=st.floats(0, 60, width=32))


def area(triangle: np.ndarray) -> float:
    a, b = triangle[1] - triangle[0], triangle[2] - triangle[0]
    return float(abs(a[0] * b[1] - a[1] * b[0]) / 2)


@settings(deadline=None)
@given(corner, corner)
def test_affine_carries_corners_to_corners(target, source):
    assume(area(target[0]) > 5)
    a, b, c, d, e, f = triangle_affines(target, source)[0]
    for there, here in zip(target[0], source[0], strict=True):
        assert a * there[0] + b * there[1] + c == pytest.approx(here[0], abs=0.05)
        assert d * there[0] + e * there[1] + f == pytest.approx(here[1], abs=0.05)


def test_triangle_without_area_maps_to_its_corner():
    flat = np.array([[[1, 1], [2, 2], [3, 3]]], np.float32)
    source = np.array([[[7, 8], [9, 9], [1, 4]]], np.float32)
    assert np.isfinite(triangle_affines(flat, source)).all()


def test_two_triangles_cover_a_square_without_gap():
    square = np.array([[[0, 0], [20, 0], [0, 20]], [[20, 0], [20, 20], [0, 20]]], np.float32)
    ids = raster_ids(square, (21, 21))
    assert (ids >= 0).all()
    position = np.zeros((21, 21, 2), np.float32)
    apply_affines(ids, triangle_affines(square, square + 5), position)
    columns, rows = np.meshgrid(np.arange(21), np.arange(21))
    np.testing.assert_allclose(position, np.stack([columns, rows], -1) + 5, atol=1e-3)


def test_drawing_order_decides():
    both = np.array([[[0, 0], [10, 0], [0, 10]]] * 2, np.float32)
    assert raster_ids(both, (11, 11), np.array([1, 0]))[2, 2] == 0
    assert raster_ids(both, (11, 11), np.array([0, 1]))[2, 2] == 1


def test_triangles_outside_are_skipped():
    far = np.array(
        [[[500, 500], [510, 500], [500, 510]], [[-9, -9], [-5, -9], [-9, -5]]], np.float32
    )
    assert (raster_ids(far, (20, 20)) == -1).all()


@settings(deadline=None, max_examples=30)
@given(st.floats(2, 12), st.floats(2, 12), st.floats(10, 20), st.floats(10, 20))
def test_coverage_sums_to_the_area(x, y, width, height):
    box = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float32)
    share = coverage(box, (40, 40))
    assert share.min() >= 0
    assert share.max() <= 1
    # cv2 draws a polygon's border too: half a sub-pixel around.
    assert share.sum() == pytest.approx(width * height, rel=0.08)


@given(hnp.arrays(np.float32, (2, 2), elements=st.floats(-50, 50, width=32)))
def test_similarity_is_exact_on_its_points(points):
    assume(np.linalg.norm(points[0] - points[1]) > 1)
    target = np.array([[3, 4], [10, -2]], np.float32)
    matrix = similarity(points, target)
    np.testing.assert_allclose(transform(points, matrix), target, atol=1e-2)
    np.testing.assert_allclose(transform(target, invert_affine(matrix)), points, atol=0.1)


@given(hnp.arrays(np.float32, (4, 2), elements=st.floats(-200, 300, width=32)), st.floats(0, 30))
def test_box_stays_in_the_picture(points, margin):
    x0, y0, x1, y1 = box_of(points, margin, (100, 80))
    assert 0 <= x0 < x1 <= 100
    assert 0 <= y0 < y1 <= 80


def test_smooth_curve_passes_through_its_points_and_rounds_a_circle():
    angles = np.linspace(0, np.pi, 9)
    points = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32) * 100
    curve = smooth_curve(points, 6)
    np.testing.assert_allclose(curve[::6], points, atol=1e-3)
    # The polygon's edges lie up to 1.9 inside the circle.
    inner = curve[6:-6]
    np.testing.assert_allclose(np.linalg.norm(inner, axis=1), 100, atol=0.2)
