"""The parts of the batched renderer against the OpenCV code that they are twins of."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from talkhead_models import topology as topo
from talkhead_models.basis import FaceBasis, Pose, rotation_matrix
from talkhead_models.batched.coverage import cover
from talkhead_models.batched.geometry import (
    eye_constants,
    eye_maps,
    eye_outlines,
    frames_of,
    hole_of,
    lid_insets,
    longest_edge,
    smooth_curves,
    transformed,
    window_frames,
    within,
)
from talkhead_models.batched.mapping import affines_between, enlarge, normalised, read
from talkhead_models.batched.raster import choose_engine, edges_of, fill_torch, raster_last
from talkhead_models.batched.upload import Parcel
from talkhead_models.body import COARSE, Placed
from talkhead_models.body import enlarge as enlarge_one
from talkhead_models.patches import EYES, MOUTH, EyeMap, eye_opening, hole_coverage, patch_frame
from talkhead_models.rig import inset_lids
from talkhead_models.sharpening import window_frame
from talkhead_models.warp import (
    box_of,
    coverage,
    raster_ids,
    smooth_curve,
    transform,
    triangle_affines,
)
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def meshes() -> np.ndarray:
    """(3, 478, 3) faces of 60 pixels an eye distance: at rest, eyes half shut, shaken."""
    basis = FaceBasis.load()
    mesh = basis.mean * np.float32(60) + np.array([90, 90, 0], np.float32)
    many = np.stack([mesh, mesh, mesh])
    for eye in range(2):
        upper, lower = list(topo.UPPER_LIDS[eye]), list(topo.LOWER_LIDS[eye])
        many[1, upper] += 0.8 * (many[1, lower] - many[1, upper])
    many[2] += np.random.default_rng(0).normal(scale=0.4, size=mesh.shape)
    return many.astype(np.float32)


def test_triangles_cover_what_opencv_fills(meshes):
    triangles = FaceBasis.load().triangles
    corners = meshes[:, triangles]
    order = np.argsort(-corners[..., 2].mean(2), 1)
    drawn = np.take_along_axis(corners[..., :2], order[..., None, None], 1)
    found = raster_last(torch.from_numpy(drawn), (170, 160)).numpy()
    for ranks, frame in zip(found, drawn, strict=True):
        expected = raster_ids(frame, (170, 160))
        assert (expected >= 0).mean() > 0.2
        # No gap; at shared edges either neighbour may have the pixel.
        assert ((ranks >= 0) != (expected >= 0)).mean() < 2e-3
        assert (ranks != expected).mean() < 0.03


def test_small_batches_of_pairs_give_the_same_picture(meshes, monkeypatch):
    corners = torch.from_numpy(meshes[:, FaceBasis.load().triangles, :2])
    whole = raster_last(corners, (170, 160))
    monkeypatch.setattr("talkhead_models.batched.raster.MOST_PAIRS", 1000)
    assert torch.equal(raster_last(corners, (170, 160)), whole)


@hypothesis_settings(max_examples=25)
@given(st.lists(st.tuples(*[st.floats(-20, 60, width=32)] * 6), min_size=1, max_size=6))
def test_what_lies_in_a_triangle_is_its_and_what_lies_a_pixel_away_is_not(corners):
    drawn = np.array(corners, np.float32).reshape(1, -1, 3, 2)
    found = raster_last(torch.from_numpy(drawn), (40, 32))[0].numpy()
    for index, triangle in enumerate(drawn[0]):
        for x, y in ((0, 0), (20, 16), (39, 31), *np.rint(triangle.mean(0, keepdims=True))):
            if not (0 <= x < 40 and 0 <= y < 32):
                continue
            distance = cv2.pointPolygonTest(triangle[:, None], (float(x), float(y)), True)
            last = found[int(y), int(x)]
            assert last >= index or distance < 0.1
            assert last != index or distance > -1


def test_affines_are_those_of_the_cpu():
    rng = np.random.default_rng(1)
    target, source = rng.normal(size=(2, 5, 3, 2)).astype(np.float32)
    target[2] = target[2, :1]
    expected = triangle_affines(target, source)
    found = affines_between(torch.from_numpy(target), torch.from_numpy(source)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("supersample", [2, 4])
def test_polygons_cover_what_opencv_fills(meshes, supersample):
    outlines = meshes[:, list(topo.INNER_LIPS), :2].copy()
    outlines[1, :, 1] += 3 * np.sin(np.arange(20) * np.pi / 10)
    outlines[2] = outlines[2].mean(0) + 4 * (outlines[2] - outlines[2].mean(0)) - 70
    steps = longest_edge(outlines, supersample)
    found = cover(torch.from_numpy(outlines), (150, 160), steps, supersample).numpy()
    for share, outline in zip(found, outlines, strict=True):
        expected = coverage(outline, (150, 160), supersample)
        # Lips that touch are a line.
        assert expected.max() > 0.2
        assert np.abs(share - expected).mean() < 2e-4
        assert np.abs(share - expected).max() <= 0.5


def test_nothing_is_covered_far_away():
    polygons = torch.full((2, 5, 2), -1000.0)
    polygons[1] += 3000
    assert not cover(polygons, (20, 10), 3).any()


def test_outlines_and_curves_are_those_of_the_cpu(meshes):
    points = meshes[..., :2].copy()
    lids = [*topo.UPPER_LIDS[1], *topo.LOWER_LIDS[1]]
    points[2, lids] = points[2, lids].mean(0)
    for eye in range(2):
        outlines, shown = eye_outlines(points, eye)
        for frame, outline, seen in zip(points, outlines, shown, strict=True):
            expected = eye_opening(frame, eye)
            assert (expected is not None) == seen
            if expected is not None:
                np.testing.assert_allclose(outline, expected, atol=1e-4)
        for curve, outline in zip(smooth_curves(outlines), outlines, strict=True):
            np.testing.assert_allclose(curve, smooth_curve(outline), atol=1e-4)
    assert not eye_outlines(points, 1)[1][2]


def test_wide_holes_are_rounded(meshes):
    outlines = 6 * meshes[:, list(topo.INNER_LIPS), :2]
    outlines[0] /= 6
    limit = (int(outlines[1:, :, 0].min()) - 20, 300, 900, 900)
    hole = hole_of(outlines, np.array([True, True, False]), limit)
    assert len(hole.polygons) == 2
    assert hole.box is not None
    x0, y0, x1, y1 = hole.box
    corner = np.array([x0, y0], np.float32)
    parts = [
        cover(torch.from_numpy(p - corner), (x1 - x0, y1 - y0), longest_edge(p))
        for p in hole.polygons
    ]
    found = torch.maximum(*parts).numpy()
    expected = hole_coverage(outlines[1] - corner, (x1 - x0, y1 - y0))
    assert np.abs(found[1] - expected).mean() < 1e-3
    assert not found[2].any()


def test_eyes_take_their_pixels_where_the_cpu_takes_them(meshes):
    source, targets = meshes[0], meshes[..., :2] * 1.3 + 5
    gaze = np.random.default_rng(2).normal(scale=0.1, size=(3, 2)).astype(np.float32)
    place = np.random.default_rng(3).uniform(80, 160, size=(40, 2)).astype(np.float32)
    for eye in range(2):
        maps = eye_maps(targets, source, eye, gaze)
        middle, axis, half = np.split(eye_constants(source, eye), [2, 4])
        normal = np.array([-axis[1], axis[0]])
        for target, numbers, change in zip(targets, maps, gaze, strict=True):
            along = place @ numbers[:2] + numbers[2]
            across = place @ numbers[3:5] + numbers[5]
            fade = np.clip(1 - (along / half) ** 2, 0, 1)[:, None]
            found = middle + along[:, None] * axis + across[:, None] * normal - fade * numbers[6:]
            expected = EyeMap.between(target, source, eye, change).positions(place)
            np.testing.assert_allclose(found, expected, atol=2e-3)


def test_small_geometry_is_that_of_the_cpu(meshes):
    for inset, target in zip(lid_insets(meshes[0], meshes), meshes, strict=True):
        np.testing.assert_allclose(inset, inset_lids(meshes[0], target)[:, :2], atol=1e-4)
    matrices = np.random.default_rng(0).normal(size=(3, 2, 3)).astype(np.float32)
    for found, points, matrix in zip(
        transformed(meshes[..., :2], matrices), meshes[..., :2], matrices, strict=True
    ):
        np.testing.assert_allclose(found, transform(points, matrix), rtol=1e-4, atol=1e-3)
    points = meshes[0, :, :2]
    x0, y0, x1, y1 = box_of(points - 10, 1, (60, 70))
    assert within(points, 1, (10, 10, 70, 80)) == (x0 + 10, y0 + 10, x1 + 10, y1 + 10)


@pytest.mark.parametrize("spec", [MOUTH, EYES])
def test_patch_frames_are_those_of_the_cpu(spec, meshes):
    rng = np.random.default_rng(5)
    neutral = FaceBasis.load().mean
    angles = rng.normal(scale=0.2, size=(3, 3)).astype(np.float32)
    poses = [
        Pose(np.float32(60 + i), rotation_matrix(angles[i]), rng.normal(size=3).astype(np.float32))
        for i in range(3)
    ]
    placed = [
        Placed(mesh, mesh, pose, mesh, mesh) for mesh, pose in zip(meshes, poses, strict=True)
    ]
    frames = frames_of(spec, neutral, placed)
    for found, pose in zip(frames, poses, strict=True):
        np.testing.assert_allclose(found, patch_frame(spec, neutral, pose), rtol=1e-5, atol=1e-4)
    for level in range(3):
        for found, frame in zip(window_frames(frames, level), frames, strict=True):
            np.testing.assert_allclose(found, window_frame(frame, level), rtol=1e-5, atol=1e-4)


def test_coarse_maps_and_pictures_are_read_as_on_the_cpu():
    rng = np.random.default_rng(4)
    coarse = rng.normal(size=(9, 8, 2)).astype(np.float32)
    size = (COARSE * 6 - 1, COARSE * 7 - 2)
    planes = torch.from_numpy(coarse).permute(2, 0, 1)[None]
    found = enlarge(planes, size)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, enlarge_one(coarse, size), atol=1e-5)
    picture = torch.from_numpy(rng.normal(size=(1, 3, 5, 7)).astype(np.float32))
    places = torch.tensor([[2.0, 3.0], [2.5, 3.0], [-4.0, 9.0]])
    seen = read(picture, normalised(places, (7, 5))[None, None])[0, :, 0].T
    expected = [picture[0, :, 3, 2], picture[0, :, 3, 2:4].mean(1), picture[0, :, 4, 0]]
    torch.testing.assert_close(seen, torch.stack(expected))


def test_a_parcel_gives_back_what_was_put_in():
    parcel = Parcel()
    arrays = [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.zeros((0, 4), np.float32),
        np.ones(2),
    ]
    numbers = [parcel.add(array) for array in arrays]
    parcel.send(torch.device("cpu"))
    for number, array in zip(numbers, arrays, strict=True):
        assert np.array_equal(parcel[number].numpy(), array)


INTERPRETED = """
import torch
from talkhead_models.basis import FaceBasis
from talkhead_models.batched.raster import edges_of, fill_torch
from talkhead_models.batched.raster_triton import fill_triton
basis = FaceBasis.load()
corners = torch.from_numpy(basis.mean[basis.triangles][None, ..., :2] * 40 + 50)
edges = edges_of(corners, (90, 110))
drawn = fill_torch(edges, (90, 110))
assert (drawn >= 0).float().mean() > 0.2
assert torch.equal(fill_triton(edges, (90, 110)), drawn)
"""


def test_triton_covers_what_torch_does_without_a_gpu():
    """In triton's interpreter, which is chosen when it is imported; where it is installed at all."""
    pytest.importorskip("triton")
    path = os.pathsep.join([str(ROOT), str(ROOT / "models"), os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", INTERPRETED], check=True, env=variables)


@pytest.mark.gpu
def test_triton_covers_what_torch_does(meshes):
    pytest.importorskip("triton")
    from talkhead_models.batched.raster_triton import fill_triton

    corners = torch.from_numpy(meshes[:, FaceBasis.load().triangles, :2]).cuda()
    edges = edges_of(corners, (170, 160))
    # The one rounds products before it adds them, the other does not.
    same = fill_triton(edges, (170, 160)) == fill_torch(edges, (170, 160))
    assert same.float().mean() > 0.9999


@pytest.mark.gpu
def test_triton_is_chosen_where_it_works():
    pytest.importorskip("triton")
    assert choose_engine(torch.device("cuda")) == "triton"


def test_the_cpu_draws_with_torch():
    assert choose_engine(torch.device("cpu")) == "torch"
