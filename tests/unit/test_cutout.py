"""The person taken out of the picture: exact where the picture says how, plausible where it does not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkhead_models.cutout import Cutout, by_contrast, ramp, solid

UNIT = 40.0
SIDE = 160


BOX = (0, 0, SIDE, SIDE)


def disc(radius: float, blur: float) -> np.ndarray:
    """A soft disc (SIDE, SIDE) in [0, 1]."""
    mask = np.zeros((SIDE, SIDE), np.float32)
    cv2.circle(mask, (SIDE // 2, SIDE // 2), round(radius), 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), blur), np.float32)


def over(colours: np.ndarray, alpha: np.ndarray, behind: object) -> np.ndarray:
    """Straight colours and alpha, uint8, laid over a picture or a colour."""
    share = alpha[..., None].astype(np.float64) / 255
    return colours * share + (1 - share) * np.asarray(behind, np.float64)


def layered(seed: int, matte: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
    """A textured person with a matte before a flat wall, and the wall's colour."""
    rng = np.random.default_rng(seed)
    person = cv2.resize(rng.uniform(20, 235, (12, 12, 3)), (SIDE, SIDE))
    wall = rng.integers(0, 256, 3)
    image = person * matte[..., None] + wall * (1 - matte[..., None])
    return np.rint(image).astype(np.uint8), tuple(wall.tolist())


@given(seed=st.integers(0, 10**6))
def test_own_transparency_is_kept_and_any_colour_may_lie_behind(seed: int) -> None:
    matte = disc(45, 4)
    image, wall = layered(seed, matte)
    behind = np.full_like(image, wall)
    moving = np.full(matte.shape, 255, np.uint8)
    cutout = Cutout.create(image, matte, behind, moving, UNIT, True, BOX)
    colours, alpha = cutout.straight(cutout.layer)
    assert np.abs(alpha - 255 * matte).max() <= 0.5 + 1e-3
    assert np.abs(over(colours, alpha, wall) - image).max() <= 2
    rng = np.random.default_rng(seed)
    person = cv2.resize(rng.uniform(20, 235, (12, 12, 3)), (SIDE, SIDE))
    for colour in ((0, 255, 0), (255, 0, 255)):
        wanted = person * matte[..., None] + np.array(colour) * (1 - matte[..., None])
        assert np.abs(over(colours, alpha, colour) - wanted).max() <= 3


def test_edge_is_found_where_the_colours_change() -> None:
    true = disc(45, 1.5)
    image = 60 * true[..., None] + np.array([230, 220, 210]) * (1 - true[..., None])
    wall = np.broadcast_to(np.float32([230, 220, 210]), image.shape)
    guess = disc(48, 3)
    found, person = by_contrast(solid(guess, UNIT), image.astype(np.float32), wall, UNIT)
    assert np.abs(found - true).mean() < 0.35 * np.abs(guess - true).mean()
    rim = (true > 0.05) & (true < 0.95)
    assert np.abs(person[rim] - 60).max() < 15
    front = image - (1 - found[..., None]) * wall
    # No halo: what is left before black is not lighter than the person.
    assert (front - 60 * found[..., None])[rim].mean() < 8


def test_mask_stands_where_colours_tell_nothing() -> None:
    guess = solid(disc(45, 3), UNIT)
    image = np.full((SIDE, SIDE, 3), 80, np.float32)
    found, _ = by_contrast(guess, image, image, UNIT)
    assert np.array_equal(found, guess)


def test_inside_is_opaque_and_outside_clear() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    wall = rng.integers(0, 256, image.shape, dtype=np.uint8)
    mask = np.minimum(disc(45, 3), 0.8)
    moving = np.full(mask.shape, 255, np.uint8)
    _, alpha = Cutout.create(image, mask, wall, moving, UNIT, False, BOX).straight(
        Cutout.create(image, mask, wall, moving, UNIT, False, BOX).layer
    )
    rows, columns = np.indices(alpha.shape) - SIDE // 2
    distance = np.hypot(rows, columns)
    assert (alpha[distance < 45 - 0.15 * UNIT] == 255).all()
    assert (alpha[distance > 45 + 0.25 * UNIT] == 0).all()


def test_transparent_pixels_near_the_outline_have_its_colour() -> None:
    matte = (disc(45, 0.6) > 0.5).astype(np.float32)
    image = np.where(matte[..., None] > 0, np.uint8([200, 40, 30]), np.uint8([0, 0, 255]))
    behind = np.full_like(image, (0, 0, 255))
    cutout = Cutout.create(
        image, matte, behind, np.full(matte.shape, 255, np.uint8), UNIT, True, BOX
    )
    colours, alpha = cutout.straight(cutout.layer)
    ring = (alpha == 0) & (cv2.dilate(alpha, np.ones((3, 3), np.uint8)) > 0)
    assert ring.any()
    assert np.abs(colours[ring].astype(int) - [200, 40, 30]).max() <= 1
    assert (colours[0, 0] == 0).all()


def test_what_does_not_move_stays() -> None:
    matte = np.zeros((SIDE, SIDE), np.float32)
    matte[:20, :20] = 0.5  # a thing that is not the person's
    image = np.full((SIDE, SIDE, 3), 100, np.uint8)
    moving = np.zeros(matte.shape, np.uint8)
    cutout = Cutout.create(image, matte, np.full_like(image, 255), moving, UNIT, True, BOX)
    far = cutout.moving.places(np.full((40, 40, 2), SIDE - 1, np.float32))
    maps = cv2.convertMaps(far, None, cv2.CV_16SC2)
    layer = cutout.moved(maps, np.zeros((40, 40), np.float32), (0, 0))
    assert np.allclose(layer[:20, :20, 3], 127.5)
    assert np.allclose(layer[20:, 20:, 3], 0)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-2.0, 5.0), (0.3, 0.1)])
def test_ramp(low: float, high: float) -> None:
    values = np.float32([low, (low + high) / 2, high, high + 3 * (high - low)])
    assert np.allclose(ramp(values, low, high), [0, 0.5, 1, 1], atol=1e-6)
