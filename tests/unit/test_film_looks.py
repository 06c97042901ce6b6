"""What a film's mouth looks like: hands before it, the frame that lends its lips, light from frame to frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_models.basis import FaceBasis, Pose
from talkhead_models.film_face import FilmFace
from talkhead_models.film_looks import (
    HIDDEN_SECONDS,
    THUMB,
    calm_frame,
    hidden,
    look_at,
    strange,
    strangeness,
)
from talkhead_models.jaw_warp import warp_box
from talkhead_models.lip_texture import LIGHT_LIMITS, LipTexture, light_between, lip_box
from talkhead_models.motion import EXPRESSION_SIZE

FRAMES = 80


@pytest.fixture(scope="module")
def face() -> FilmFace:
    """A head that nods a little, its mouth opening and closing."""
    basis = FaceBasis.load()
    time = np.arange(FRAMES, dtype=np.float32) / 25
    expression = np.zeros((FRAMES, EXPRESSION_SIZE), np.float32)
    expression[:, 0] = -1 - np.sin(4 * np.pi * time)
    offset = np.stack([160 + 5 * np.sin(time), 150 + 0 * time, 0 * time], 1).astype(np.float32)
    turn = np.repeat(np.eye(3, dtype=np.float32)[None], FRAMES, 0)
    poses = Pose(np.full(FRAMES, 90, np.float32), turn, offset)
    meshes = poses.apply(basis.mean + basis.deltas(expression)).astype(np.float32)
    return FilmFace.measure(meshes, np.ones(FRAMES, bool), basis, 25)


def thumbs_of(seed: int, gain: np.ndarray | float = 1.0) -> np.ndarray:
    """A textured skin with noise, (T, 24, 24, 3)."""
    rng = np.random.default_rng(seed)
    skin = cv2.resize(rng.uniform(60, 180, (6, 6, 3)), (THUMB, THUMB))
    noise = rng.normal(0, 3, (FRAMES, THUMB, THUMB, 3))
    level = np.broadcast_to(gain, FRAMES)[:, None, None, None]
    return np.clip(skin * level + noise, 0, 255).astype(np.uint8)


@settings(max_examples=25)
@given(start=st.integers(0, FRAMES - 20), length=st.integers(8, 20), seed=st.integers(0, 50))
def test_a_hand_is_seen_where_it_is(start: int, length: int, seed: int) -> None:
    thumbs = thumbs_of(seed)
    thumbs[start : start + length, 6:] = (235, 120, 30)
    features = np.random.default_rng(seed).normal(size=(FRAMES, 3)).astype(np.float32)
    found = hidden(strange(thumbs, features), 25)
    wanted = np.zeros(FRAMES, bool)
    wanted[start : start + length] = True
    np.testing.assert_array_equal(found, wanted)


def test_dimmed_light_and_open_mouths_are_no_hands(face: FilmFace) -> None:
    dimmed = thumbs_of(3, np.linspace(1, 0.75, FRAMES))
    dimmed[30:34, 8:16, 8:16] = 20
    everywhere = np.ones(FRAMES, bool)
    assert not hidden(strangeness(face, dimmed, everywhere), 25).any()


def test_what_is_short_is_no_hand() -> None:
    share = np.zeros(FRAMES, np.float32)
    share[10 : 10 + int(HIDDEN_SECONDS * 25)] = 0.9
    assert not hidden(share, 25).any()
    share[10 : 12 + int(HIDDEN_SECONDS * 25)] = 0.9
    share[13] = 0
    assert hidden(share, 25).sum() == 2 + int(HIDDEN_SECONDS * 25)


def test_a_sharp_frame_that_nothing_hides_lends_its_lips(face: FilmFace) -> None:
    sharpness = np.full(FRAMES, 2.0, np.float32)
    nothing = np.zeros(FRAMES, np.float32)
    best = calm_frame(face, sharpness, nothing)
    blurred, hand = sharpness.copy(), nothing.copy()
    blurred[best] = 0.5
    hand[best] = 0.6
    assert calm_frame(face, blurred, nothing) != best
    assert calm_frame(face, sharpness, hand) != best


def test_sharpness_is_seen(face: FilmFace) -> None:
    rng = np.random.default_rng(5)
    picture = rng.integers(0, 255, (320, 320, 3)).astype(np.uint8)
    mesh = face.meshes[0]
    sharp = look_at(picture, mesh, face.neutral)
    soft = look_at(cv2.GaussianBlur(picture, (0, 0), 2), mesh, face.neutral)
    assert sharp.thumb.shape == (THUMB, THUMB, 3)
    assert soft.sharpness < 0.5 * sharp.sharpness


@settings(max_examples=25)
@given(level=st.floats(0.7, 1.4))
def test_lips_take_on_the_light_of_the_frame(level: float, face: FilmFace) -> None:
    rows, columns = np.indices((320, 320), np.float32)
    skin = np.stack([90 + 0.1 * columns, 80 + 0.1 * rows, 70 + 0 * rows], -1)
    picture = skin.astype(np.uint8)
    lit = np.clip(skin * level, 0, 255).astype(np.uint8)
    lips = LipTexture.cut(face, 0, picture, np.zeros(3, np.float32))
    target = face.meshes[20]
    box = lip_box(target, 90.0, (320, 320))
    x0, y0, x1, y1 = box
    points = target[:, :2] - np.array([x0, y0], np.float32)
    light = light_between(lit[y0:y1, x0:x1], lips.warp(target, box), points, 90.0)
    middle = light[light.shape[0] // 2, light.shape[1] // 2]
    assert LIGHT_LIMITS[0] <= middle.min() <= middle.max() <= LIGHT_LIMITS[1]
    np.testing.assert_allclose(middle, level, atol=0.08)


@given(step=st.integers(1, 4), dx=st.integers(-3, 3), dy=st.integers(-3, 3))
def test_a_box_is_filled_from_where_it_says(step: int, dx: int, dy: int) -> None:
    picture = np.random.default_rng(7).integers(0, 255, (60, 70, 3)).astype(np.uint8)
    out = picture.copy()
    box = (10, 12, 10 + 8 * step, 12 + 6 * step)
    shift = np.zeros((6, 8, 2), np.float32) + np.array([dx, dy], np.float32)
    warp_box(picture, out, shift, step, box)
    x0, y0, x1, y1 = box
    np.testing.assert_array_equal(out[y0:y1, x0:x1], picture[y0 + dy : y1 + dy, x0 + dx : x1 + dx])
    out[y0:y1, x0:x1] = picture[y0:y1, x0:x1]
    np.testing.assert_array_equal(out, picture)
