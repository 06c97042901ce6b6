"""Frames with alpha against the opaque render: they are the same picture, whatever lies behind."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talkhead_models import topology as topo
from talkhead_models.basis import FaceBasis
from talkhead_models.motion import MOTION_SIZE, FaceMotion
from talkhead_models.planes import planes_of
from talkhead_models.renderer import FaceRenderer

COLOURS = [(0, 255, 0), (255, 0, 255)]
CENTRE, EYE_DISTANCE = np.array([222.0, 110.0, 0.0], np.float32), 58.0
YAW, PITCH, ROLL = 37, 36, 38


def make(image: np.ndarray, mask: np.ndarray) -> FaceRenderer:
    basis = FaceBasis.load()
    mesh = (basis.mean * np.float32(EYE_DISTANCE) + CENTRE).astype(np.float32)
    return FaceRenderer.create(np.ascontiguousarray(image), mesh, mask, basis, {})


def motion() -> FaceMotion:
    """At rest, then turned and talking."""
    array = np.zeros((4, MOTION_SIZE), np.float32)
    array[1:, YAW] = [0.12, -0.12, 0.05]
    array[1:, PITCH] = [0.03, -0.06, 0.08]
    array[1:, ROLL] = [0.05, 0, -0.05]
    array[1:, 0] = [-2, 0.5, -1]
    return FaceMotion.from_array(array)


def over(frames: np.ndarray, behind: object) -> np.ndarray:
    share = frames[..., 3:].astype(np.float64) / 255
    return frames[..., :3] * share + (1 - share) * np.asarray(behind, np.float64)


@pytest.fixture(scope="module")
def mask(astronaut: np.ndarray) -> np.ndarray:
    """Roughly the astronaut's head and suit, soft."""
    mask = np.zeros(astronaut.shape[:2], np.float32)
    cv2.ellipse(mask, (222, 105), (62, 88), 0, 0, 360, 1.0, -1)
    cv2.rectangle(mask, (110, 190), (340, 512), 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 2.5), np.float32)


@pytest.fixture(scope="module")
def cut(astronaut: np.ndarray, mask: np.ndarray) -> tuple[FaceRenderer, np.ndarray]:
    """The renderer with its cutout, and RGBA frames."""
    renderer = make(astronaut, mask)
    renderer.cutout = renderer.body.cut_out(mask)
    return renderer, renderer.render(motion())


@pytest.mark.parametrize("colour", COLOURS)
def test_over_a_colour_it_is_the_opaque_render_of_the_person_before_it(
    colour: tuple[int, int, int], cut: tuple[FaceRenderer, np.ndarray], mask: np.ndarray
) -> None:
    renderer, frames = cut
    assert renderer.cutout is not None
    layer = renderer.cutout.layer
    share = layer[..., 3:] / 255
    placed = np.rint(np.clip(layer[..., :3] + (1 - share) * np.array(colour), 0, 255))
    opaque = make(placed.astype(np.uint8), mask)
    # The picture before the colour, through the code of opaque frames; its wall is that colour without a seam.
    opaque.body.plate[:] = colour
    wanted = opaque.render(motion())
    error = np.abs(over(frames, colour) - wanted)
    moved = np.abs(frames[1:].astype(int) - frames[:1]).max(-1) > 20
    assert moved.mean() > 0.02
    # At sharp edges cubic interpolation rings: alpha above 1 or below 0 cannot be written down.
    assert (error.max(-1) > 2).mean() < 3e-4
    assert error.mean() < 0.1


def test_over_its_own_background_it_is_the_opaque_render(
    cut: tuple[FaceRenderer, np.ndarray], mask: np.ndarray, astronaut: np.ndarray
) -> None:
    renderer, frames = cut
    wanted = make(astronaut, mask).render(motion())
    plate = renderer.image.copy()
    x0, y0, x1, y1 = renderer.body.box
    plate[y0:y1, x0:x1] = renderer.body.plate
    error = np.abs(over(frames, plate) - wanted).max(-1)
    alpha = frames[..., 3]
    assert (error[alpha == 255] > 2).mean() < 1e-3
    # The opaque render carries a rim of the wall along with the head, which a cutout must not.
    rim = cv2.dilate(renderer.body.full_mask, np.ones((41, 41), np.uint8)) > 0
    assert error[:, ~rim].max() <= 2
    assert np.median(error) <= 1


def test_face_is_opaque_wherever_it_moves(cut: tuple[FaceRenderer, np.ndarray]) -> None:
    renderer, frames = cut
    for frame, place in zip(frames, renderer.body.place(motion()), strict=True):
        inside = np.zeros(frame.shape[:2], np.uint8)
        cv2.fillPoly(inside, [np.rint(place.mesh[list(topo.FACE_OVAL), :2]).astype(int)], 255)
        inside = cv2.erode(inside, np.ones((5, 5), np.uint8))
        assert (frame[..., 3][inside > 0] == 255).all()


def test_alpha_moves_as_the_pixels_do(cut: tuple[FaceRenderer, np.ndarray]) -> None:
    renderer, frames = cut
    assert renderer.cutout is not None
    body = renderer.body
    x0, y0, x1, y1 = body.box
    for frame, place in zip(frames, body.place(motion()), strict=True):
        maps, weight = body.whole_map(place)
        assert weight is not None
        warped = renderer.cutout.moving.warp(maps)[..., 3]
        # At the rim, where the opaque picture fades into the wall, alpha does as well.
        shown = weight > 0.999
        warped = np.clip(warped, 0, 255)
        error = np.abs(frame[y0:y1, x0:x1, 3] - warped)
        assert error[shown].max() <= 1
        assert (frame[y0:y1, x0:x1, 3] <= warped + 1).all()
        assert np.median(error[~shown]) == 0
    soft = (frames[..., 3] > 20) & (frames[..., 3] < 235)
    assert soft.any(axis=(1, 2)).all()


def test_transparent_pictures_keep_their_alpha(astronaut: np.ndarray, mask: np.ndarray) -> None:
    white = np.rint(astronaut * mask[..., None] + 255 * (1 - mask[..., None])).astype(np.uint8)
    renderer = make(white, mask)
    renderer.cutout = renderer.body.cut_out(mask, (255, 255, 255))
    frame = renderer.render(motion()[:1])[0]
    x0, y0, x1, y1 = renderer.body.box
    outside = np.ones(mask.shape, bool)
    outside[y0:y1, x0:x1] = False
    assert np.abs(frame[..., 3] - 255 * mask)[outside].max() <= 0.5 + 1e-3
    assert np.abs(frame[..., 3] - 255 * mask).mean() < 0.5
    assert (
        np.abs(over(frame, (255, 255, 255)) - make(white, mask).render(motion()[:1])[0]).max() <= 3
    )


@pytest.mark.parametrize("colour", COLOURS)
def test_transparent_pictures_before_a_colour_are_their_alpha_over_it(
    colour: tuple[int, int, int], astronaut: np.ndarray, mask: np.ndarray
) -> None:
    """In every pixel of every frame, at sharp edges as well."""
    sharp = np.where(mask > 0.5, np.float32(1), mask)
    white = np.rint(astronaut * sharp[..., None] + 255 * (1 - sharp[..., None])).astype(np.uint8)
    cut, opaque = make(white, mask), make(white, mask)
    cut.cutout = cut.body.cut_out(sharp, (255, 255, 255))
    opaque.flatten(sharp, (255, 255, 255), colour)
    frames, wanted = cut.render(motion()), opaque.render(motion())
    assert (np.abs(wanted[1:].astype(int) - wanted[:1]).max(-1) > 20).mean() > 0.02
    assert np.abs(over(frames, colour) - wanted).max() <= 2
    planes = opaque.render_planes(motion()[1:2])
    np.testing.assert_array_equal(planes, planes_of(wanted[1])[None])


def test_nothing_is_painted_beside_a_person_cut_out(
    astronaut: np.ndarray, mask: np.ndarray
) -> None:
    renderer = make(astronaut, mask)
    half = mask.copy()
    half[:, : round(float(renderer.rig.mesh[13, 0]))] = 0
    renderer.keep_inside(half)
    for painter in renderer.painters:
        assert painter.share is not None
        height, width = painter.share.shape[:2]
        assert (height, width) == (painter.spec.height, painter.spec.width)
        middle = painter.share[height // 2, :, 0]
        assert middle[: width // 2].max() < 0.05
        assert middle[3 * width // 4] > 0.95
