"""Portraits through the real detector: the two public-domain pictures that scikit-image and matplotlib carry."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import matplotlib.cbook
import numpy as np
import pytest
import skimage.data
from PIL import Image

from talkhead_cli.errors import InputError, NoFaceError, UsageError
from talkhead_cli.face import annotate, get_backend, load_portrait, probe_portrait
from talkhead_cli.face.graphs import shared_graphs
from talkhead_cli.face.landmarks import (
    FACE_OVAL,
    INNER_LIPS,
    OUTER_LIPS,
    eye_distance,
    mirror_points,
)
from talkhead_cli.face.mask import face_area, territory
from talkhead_cli.face.quality import BLURRED_BELOW, face_sharpness, occlusion_hints


def open_picture(path):
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


@pytest.fixture(scope="module")
def astronaut():
    """An open smile, (512, 512, 3) uint8 RGB."""
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def hopper():
    """Closed lips, (600, 512, 3) uint8 RGB."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        return open_picture(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, astronaut, hopper):
    folder = tmp_path_factory.mktemp("portraits")
    Image.fromarray(astronaut).save(folder / "astronaut.png")
    Image.fromarray(hopper).save(folder / "hopper.png")
    both = np.full((600, 1100, 3), 128, np.uint8)
    both[:512, :512] = astronaut
    both[:, 580:1092] = hopper
    Image.fromarray(both).save(folder / "both.png")
    wall = np.random.default_rng(0).integers(80, 160, (24, 24, 3)).astype(np.uint8)
    Image.fromarray(cv2.resize(wall, (320, 320))).save(folder / "wall.png")
    return folder


@pytest.fixture(scope="module")
def portrait(folder):
    return load_portrait(folder / "astronaut.png")


def detect_one(image):
    faces = get_backend().detect(np.ascontiguousarray(image))
    assert len(faces) == 1
    return faces[0]


def test_portrait_is_complete(portrait, astronaut):
    np.testing.assert_array_equal(portrait.image, astronaut)
    assert portrait.mesh.shape == (478, 3)
    assert portrait.mesh.dtype == np.float32
    assert portrait.person_mask.shape == (512, 512)
    assert portrait.person_mask.dtype == np.float32
    assert 0 <= portrait.person_mask.min() <= portrait.person_mask.max() <= 1
    assert portrait.alpha is None
    assert portrait.num_faces == 1
    assert portrait.backend == "mediapipe"
    assert portrait.crop_box == (0, 0, 512, 512)
    assert portrait.scale == 1.0
    x0, y0, x1, y1 = portrait.box
    assert 150 < x0 < x1 < 300
    assert 40 < y0 < y1 < 220
    assert abs(portrait.yaw) < 20
    assert abs(portrait.pitch) < 20
    assert portrait.sharpness > BLURRED_BELOW
    assert portrait.eyes_closed == (False, False)
    assert portrait.occlusions == ()


def test_mouths(portrait, folder):
    assert portrait.mouth_gap > 0.06
    assert load_portrait(folder / "hopper.png").mouth_gap < 0.03


def test_lips_lie_on_the_teeth_line(portrait):
    inner = portrait.mesh[list(INNER_LIPS), :2]
    area = np.zeros(portrait.image.shape[:2], np.uint8)
    cv2.fillPoly(area, [np.round(inner).astype(np.int32)], 1)
    outer = np.zeros_like(area)
    cv2.fillPoly(outer, [np.round(portrait.mesh[list(OUTER_LIPS), :2]).astype(np.int32)], 1)
    lips = (outer == 1) & (area == 0)
    lab = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2LAB)
    # Teeth are less red than the lips around them.
    assert lab[area == 1, 1].mean() < lab[lips, 1].mean() - 5


def test_mask_holds_the_person_and_not_the_wall(portrait):
    mask = portrait.person_mask
    assert mask[face_area(mask.shape, portrait.mesh) == 1].min() == 1
    assert mask[40:60, 200:240].mean() > 0.9  # hair
    assert mask[400:500, 150:300].mean() > 0.9  # suit
    assert mask[100:200, 10:60].mean() < 0.1
    assert mask[100:160, 320:350].mean() < 0.1


def test_mirror_picture_gives_the_mirror_mesh(astronaut, portrait):
    mirrored = detect_one(astronaut[:, ::-1]).mesh[mirror_points()]
    mirrored[:, 0] = 511 - mirrored[:, 0]
    error = np.linalg.norm((mirrored - portrait.mesh)[:, :2], axis=1).mean()
    assert error < 0.015 * eye_distance(portrait.mesh)


@pytest.mark.parametrize("factor", [0.6, 2.0])
def test_mesh_scales_with_the_picture(astronaut, portrait, factor):
    scaled = cv2.resize(astronaut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    mesh = detect_one(scaled).mesh
    expected = (portrait.mesh[:, :2] + 0.5) * factor - 0.5
    error = np.linalg.norm(mesh[:, :2] - expected, axis=1).mean()
    assert error < 0.02 * factor * eye_distance(portrait.mesh)
    assert np.ptp(mesh[:, 2]) == pytest.approx(np.ptp(portrait.mesh[:, 2]) * factor, rel=0.05)


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (3840, 2160)])
def test_small_face_in_a_large_picture(portrait, width, height):
    factor = 68 / (portrait.box[2] - portrait.box[0])
    small = cv2.resize(portrait.image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    canvas = np.full((height, width, 3), 120, np.uint8)
    y, x = height - small.shape[0] - 90, width - small.shape[1] - 300
    canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
    mesh = detect_one(canvas).mesh
    expected = portrait.mesh[:, :2] * factor + (x, y)
    error = np.linalg.norm(mesh[:, :2] - expected, axis=1).mean()
    assert error < 0.05 * factor * eye_distance(portrait.mesh)


def test_face_that_fills_the_picture(astronaut, portrait):
    x0, y0, x1, y1 = (int(value) for value in portrait.box)
    cut = astronaut[y0 - 4 : y1 + 4, x0 - 4 : x1 + 4]
    mesh = detect_one(cut).mesh
    error = np.linalg.norm(mesh[:, :2] + (x0 - 4, y0 - 4) - portrait.mesh[:, :2], axis=1).mean()
    assert error < 0.04 * eye_distance(portrait.mesh)


@pytest.mark.parametrize(("turns", "degrees"), [(1, 90), (2, 180), (3, 90)])
def test_faces_on_their_side_or_head_are_refused(tmp_path, hopper, turns, degrees):
    path = tmp_path / "turned.png"
    Image.fromarray(np.rot90(hopper, turns)).save(path)
    with pytest.raises(NoFaceError, match="on its side"):
        load_portrait(path)


def test_no_face_is_one_sentence(folder):
    with pytest.raises(NoFaceError, match="no face found") as caught:
        load_portrait(folder / "wall.png")
    assert "wall.png" in str(caught.value)


def test_clothes_are_no_face(astronaut):
    assert get_backend().detect(np.ascontiguousarray(astronaut[260:])) == []


def test_small_face_is_refused(tmp_path, astronaut):
    small = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    path = tmp_path / "small.png"
    Image.fromarray(small).save(path)
    with pytest.raises(NoFaceError, match="at least 64"):
        load_portrait(path)


def test_two_faces(folder):
    left = load_portrait(folder / "both.png", face="1")
    right = load_portrait(folder / "both.png", face="2")
    assert left.num_faces == right.num_faces == 2
    assert left.box[2] < 512 < right.box[0]
    assert load_portrait(folder / "both.png", face="850,250").box == right.box
    with pytest.raises(NoFaceError, match="2 faces were found"):
        load_portrait(folder / "both.png", face="3")
    # Each has a mask of its own.
    assert left.person_mask[right.person_mask > 0.9].mean() < 0.2
    share = territory(left.image.shape, left.mesh, [right.mesh])
    assert share[200, 100] == 1
    assert share[200, 1000] == 0


@pytest.mark.parametrize("size", [300, 400])
def test_size_shrinks_picture_mesh_and_mask_alike(folder, portrait, size):
    small = load_portrait(folder / "astronaut.png", size=size)
    assert small.image.shape == (size, size, 3)
    assert small.person_mask.shape == (size, size)
    assert small.scale == pytest.approx(size / 512)
    expected = (portrait.mesh[:, :2] + 0.5) * small.scale - 0.5
    np.testing.assert_allclose(small.mesh[:, :2], expected, atol=0.01)


def test_size_never_enlarges_and_must_make_sense(folder):
    assert load_portrait(folder / "hopper.png", size=4000).image.shape == (600, 512, 3)
    with pytest.raises(UsageError, match="size 100"):
        load_portrait(folder / "hopper.png", size=100)
    with pytest.raises(NoFaceError, match="larger size"):
        load_portrait(folder / "astronaut.png", size=140)
    with pytest.raises(UsageError, match="crop"):
        load_portrait(folder / "hopper.png", crop="head")


def test_face_crop(folder, portrait):
    cropped = load_portrait(folder / "astronaut.png", crop="face")
    x0, y0, x1, y1 = cropped.crop_box
    assert x1 - x0 == y1 - y0 < 512
    np.testing.assert_array_equal(cropped.image, portrait.image[y0:y1, x0:x1])
    np.testing.assert_allclose(cropped.mesh[:, :2] + (x0, y0), portrait.mesh[:, :2], atol=0.01)


def test_alpha_limits_the_mask(tmp_path, astronaut):
    alpha = np.full((512, 512), 255, np.uint8)
    alpha[:, 400:] = 0
    path = tmp_path / "cut.png"
    Image.fromarray(np.dstack([astronaut, alpha])).save(path)
    portrait = load_portrait(path, background="#00ff00")
    assert portrait.alpha is not None
    assert portrait.person_mask[:, 400:].max() == 0
    assert (portrait.image[:, 400:] == (0, 255, 0)).all()


def test_a_colour_behind_changes_nothing_but_the_colour(tmp_path, astronaut):
    """Nothing that networks find depends on it: not the mesh, not the person's outline."""
    rows, columns = np.indices((512, 512))
    alpha = np.clip(200 - np.hypot(rows - 120, columns - 220), 0, 1)
    path = tmp_path / "cut.png"
    Image.fromarray(np.dstack([astronaut, np.rint(255 * alpha).astype(np.uint8)])).save(path)
    white, green = load_portrait(path), load_portrait(path, background="#00ff00")
    assert (white.image[-1, 0].tolist(), green.image[-1, 0].tolist()) == ([255] * 3, [0, 255, 0])
    for name in ("mesh", "person_mask", "seen", "alpha"):
        np.testing.assert_array_equal(getattr(white, name), getattr(green, name))
    inside = alpha == 1
    np.testing.assert_array_equal(green.image[inside], astronaut[inside])
    share = green.alpha[..., None]
    wanted = astronaut * share + np.array([0, 255, 0]) * (1 - share)
    assert np.abs(green.image - wanted).max() <= 1


def test_same_picture_same_portrait(folder, portrait):
    again = load_portrait(folder / "astronaut.png")
    np.testing.assert_array_equal(again.mesh, portrait.mesh)
    np.testing.assert_array_equal(again.person_mask, portrait.person_mask)


def test_graphs_start_again_after_closing(folder, portrait):
    shared_graphs().close()
    np.testing.assert_array_equal(load_portrait(folder / "astronaut.png").mesh, portrait.mesh)


def test_blur_is_noticed(portrait):
    width = portrait.box[2] - portrait.box[0]
    blurred = cv2.GaussianBlur(portrait.image, (0, 0), width / 80)
    assert face_sharpness(blurred, portrait.mesh) < BLURRED_BELOW


def test_a_covered_mouth_is_hinted_at(portrait):
    assert occlusion_hints(portrait.image, portrait.mesh, look_for_hands=True) == ()
    covered = portrait.image.copy()
    x0, y0, x1, y1 = (int(value) for value in portrait.box)
    covered[y0 + int(0.6 * (y1 - y0)) : y1, x0:x1] = (120, 170, 210)
    assert "another colour" in occlusion_hints(covered, portrait.mesh)[0]


def test_probe_of_a_good_portrait(folder, astronaut):
    report = probe_portrait(folder / "astronaut.png")
    assert report.ready
    assert report.chosen is not None
    assert report.chosen.number == 1
    assert report.chosen.mouth == "open"
    assert report.chosen.eyes == "open"
    assert report.size == report.file_size == (512, 512)
    text = json.dumps(report.to_dict())
    assert json.loads(text)["faces"][0]["box"][0] > 100
    picture = annotate(astronaut, report)
    assert picture.shape == astronaut.shape
    changed = (picture != astronaut).any(-1)
    oval = report.chosen.mesh[list(FACE_OVAL), :2].round().astype(int)
    assert changed[oval[:, 1], oval[:, 0]].mean() > 0.9


def test_probe_warns_and_says_what_to_do(folder, tmp_path, astronaut):
    two = probe_portrait(folder / "both.png")
    assert two.ready
    assert any("--face" in words for words in two.warnings)
    none = probe_portrait(folder / "wall.png")
    assert not none.ready
    assert none.chosen is None
    assert "no face" in none.warnings[0]
    third = probe_portrait(folder / "both.png", face="3")
    assert not third.ready
    alpha = np.full((512, 512), 255, np.uint8)
    alpha[:50] = 0
    rgba = np.dstack([cv2.GaussianBlur(astronaut, (0, 0), 2), alpha])
    Image.fromarray(rgba).save(tmp_path / "soft.png")
    soft = probe_portrait(tmp_path / "soft.png")
    assert soft.transparent
    words = " ".join(soft.warnings)
    assert "--background" in words
    assert "blurred" in words
    assert "pixels wide" in words
    with pytest.raises(InputError):
        probe_portrait(folder / "missing.png")


def test_nothing_is_written_to_the_terminal(folder):
    code = (
        "import sys; from talkhead_cli.face import load_portrait; "
        f"load_portrait({str(folder / 'hopper.png')!r})"
    )
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{root}:{root / 'models'}",
            "HOME": str(folder),
        },
    )
    assert result.stdout == ""
    assert result.stderr == ""
