"""The moving box: doubled pictures, coarse maps, and bands that change nothing."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from talkhead_models import body as body_module
from talkhead_models.basis import FaceBasis
from talkhead_models.body import COARSE, Body, enlarge, seen_columns
from talkhead_models.doubled import Doubled
from talkhead_models.motion import MOTION_SIZE, FaceMotion
from talkhead_models.rig import FaceRig

BASIS = FaceBasis.load()


def make_body(person: slice) -> Body:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (300, 260, 3), np.uint8), (0, 0), 1.2)
    mesh = (BASIS.mean * np.float32(40) + np.array([130, 150, 0], np.float32)).astype(np.float32)
    mask = np.zeros((300, 260), np.float32)
    mask[70:, person] = 1
    return Body.create(image, FaceRig.fit(mesh, BASIS), mask)


def moved(seed: int, frames: int = 3) -> FaceMotion:
    rng = np.random.default_rng(seed)
    motion = FaceMotion.from_array(rng.normal(0, 0.3, (frames, MOTION_SIZE)).astype(np.float32))
    motion.rotation[:] = rng.normal(0, 0.06, (frames, 3))
    motion.translation[:] = rng.normal(0, 0.05, (frames, 3))
    return motion


@pytest.mark.parametrize("person", [slice(70, 190), slice(0, 260), slice(120, 140)])
@pytest.mark.parametrize("band", [8, 64, 100])
def test_bands_change_nothing(person: slice, band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    body = make_body(person)
    frames = body.place(body.limits.apply(moved(1)), np.array([0, 0.5, 1], np.float32))

    def draw() -> np.ndarray:
        drawn = np.stack([body.image] * len(frames))
        for frame, out in zip(frames, drawn, strict=True):
            body.compose(frame, out)
        return drawn.astype(int)

    monkeypatch.setattr(body_module, "BAND", 4096)
    monkeypatch.setattr(body_module, "seen_columns", lambda near, width: (0, width))
    whole = draw()
    monkeypatch.undo()
    monkeypatch.setattr(body_module, "BAND", band)
    assert np.abs(draw() - whole).max() <= 1
    assert np.abs(whole - body.image).max() > 20


def test_whole_pixels_stay_as_they_are() -> None:
    image = np.random.default_rng(0).integers(0, 255, (50, 60, 3), np.uint8)
    doubled = Doubled.of(image, (20, 22, 40, 45), cv2.INTER_LANCZOS4)
    grid = np.stack(np.meshgrid(np.arange(20, 40), np.arange(22, 45)), -1).astype(np.float32)
    maps = cv2.convertMaps(doubled.places(grid), None, cv2.CV_16SC2)
    np.testing.assert_array_equal(doubled.warp(maps), image[22:45, 20:40])


def test_a_doubled_warp_is_close_to_a_long_kernel_and_sharper_than_a_linear_one() -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (80, 80), np.uint8), (0, 0), 1)
    grid = np.stack(np.meshgrid(np.arange(20, 60), np.arange(20, 60)), -1).astype(np.float32)
    doubled = Doubled.of(image, (20, 20, 60, 60), cv2.INTER_LANCZOS4)
    errors = {"doubled": 0.0, "linear": 0.0}
    for shift in (0.1, 0.25, 0.5, 0.7):
        places = grid + np.float32(shift)
        best = cv2.remap(image, places, None, cv2.INTER_LANCZOS4).astype(int)
        maps = cv2.convertMaps(doubled.places(places), None, cv2.CV_16SC2)
        linear = cv2.remap(image, places, None, cv2.INTER_LINEAR)
        errors["doubled"] += float(np.abs(doubled.warp(maps) - best).mean())
        errors["linear"] += float(np.abs(linear - best).mean())
    assert errors["doubled"] < 0.4 * errors["linear"]


@hypothesis_settings(max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90))
def test_a_coarse_map_of_places_is_enlarged_to_those_places(width: int, height: int) -> None:
    size = [-(-side // COARSE) + 2 for side in (width, height)]
    cells = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in size)), -1)
    fine = enlarge(cells * COARSE - np.float32((COARSE + 1) / 2), (width, height))
    assert fine.shape == (height, width, 2)
    exact = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    np.testing.assert_allclose(fine, exact, atol=1e-3)


@given(st.lists(st.booleans(), min_size=4, max_size=30))
def test_no_column_near_a_seen_cell_is_left_out(cells: list[bool]) -> None:
    width = (len(cells) - 2) * COARSE
    left, right = seen_columns(np.array([cells, [False] * len(cells)]), width)
    assert left % COARSE == 0
    assert 0 <= left <= width
    reach = [
        column
        for column in range(width)
        for cell in np.flatnonzero(cells)
        # Linear enlargement: a cell has a part in the pixels less than one cell away.
        if abs((column + (COARSE + 1) / 2) / COARSE - cell) < 1
    ]
    assert all(left <= column < right for column in reach)
