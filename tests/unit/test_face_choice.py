"""Choosing one face among several, and the reasons for refusing it."""

import numpy as np
import pytest

from talkhead_cli.errors import InputError, NoFaceError, UsageError
from talkhead_cli.face import Face, get_backend, select_face
from talkhead_cli.face.landmarks import face_basis, head_angles, mesh_box
from talkhead_cli.face.portrait import check_face, face_crop, face_problem
from talkhead_models.basis import Pose, rotation_matrix

SHAPE = (400, 600, 3)


def face_at(x, y, width=100.0, angles=(0.0, 0.0, 0.0)):
    """A mean face at a place, turned by pitch, yaw and roll in degrees."""
    mean = face_basis().mean
    unit = np.ptp(mean[:468, 0])
    pose = Pose(
        np.float32(width / unit),
        rotation_matrix(np.radians(np.array(angles))),
        np.array([x, y, 0], np.float32),
    )
    mesh = pose.apply(mean)
    return Face(mesh_box(mesh), 0.9, mesh)


LEFT, MIDDLE, RIGHT = face_at(100, 200, 80), face_at(300, 200, 120), face_at(500, 200, 100)
FACES = [RIGHT, LEFT, MIDDLE]


def test_largest():
    assert select_face(FACES) is MIDDLE
    assert select_face(FACES, "LARGEST ") is MIDDLE


@pytest.mark.parametrize(("choice", "expected"), [("1", LEFT), ("2", MIDDLE), ("3", RIGHT)])
def test_number_counts_from_the_left(choice, expected):
    assert select_face(FACES, choice) is expected


def test_number_out_of_range_says_how_many_there_are():
    with pytest.raises(NoFaceError, match=r"a\.png: face 4 was asked for but 3 faces were found"):
        select_face(FACES, "4", "a.png")
    with pytest.raises(NoFaceError, match="1 face was found"):
        select_face([LEFT], "2")
    with pytest.raises(NoFaceError):
        select_face(FACES, "0")


@pytest.mark.parametrize(
    ("choice", "expected"), [("100,200", LEFT), ("500, 210.5", RIGHT), ("370,200", MIDDLE)]
)
def test_point(choice, expected):
    assert select_face(FACES, choice) is expected


def test_point_far_from_all_faces_lists_them():
    with pytest.raises(NoFaceError, match=r"no face at 100,390; 3 faces were found, at"):
        select_face(FACES, "100,390")


def test_smaller_face_wins_where_boxes_overlap():
    small = face_at(300, 200, 60)
    assert select_face([MIDDLE, small], "300,200") is small


def test_no_faces():
    with pytest.raises(NoFaceError, match="no face found"):
        select_face([], "largest", "a.png")


@pytest.mark.parametrize("choice", ["", "biggest", "1,", "-1", "1.5", "a,b", "1,2,3"])
def test_unreadable_choice(choice):
    with pytest.raises(UsageError, match="does not choose a face"):
        select_face(FACES, choice)


def test_unknown_backend():
    with pytest.raises(UsageError, match="mediapipe, face-alignment"):
        get_backend("dlib")


def test_good_face_has_no_problem():
    assert face_problem(MIDDLE, SHAPE) is None
    check_face(MIDDLE, SHAPE, "a.png")


@pytest.mark.parametrize(
    ("angles", "words"),
    [
        ((0, 50, 0), "turned 50 degrees to the side"),
        ((0, -50, 0), "turned 50 degrees to the side"),
        ((45, 0, 0), "tilted 45 degrees down"),
        ((-45, 0, 0), "tilted 45 degrees up"),
        ((0, 0, 90), "90 degrees on its side"),
        ((0, 0, 180), "180 degrees on its side"),
    ],
)
def test_turned_faces_are_refused(angles, words):
    face = face_at(300, 200, 120, angles)
    assert words in (face_problem(face, SHAPE) or "")
    with pytest.raises(NoFaceError, match=f"a.png: .*{words}"):
        check_face(face, SHAPE, "a.png")


@pytest.mark.parametrize("angles", [(0, 30, 0), (0, -30, 0), (25, 0, 0), (-25, 0, 0), (0, 0, 40)])
def test_moderately_turned_faces_are_taken(angles):
    assert face_problem(face_at(300, 200, 120, angles), SHAPE) is None


@pytest.mark.parametrize("angles", [(10, 20, 5), (-20, -15, 30), (0, 0, -40)])
def test_head_angles_are_those_of_the_pose(angles):
    yaw, pitch, roll = head_angles(face_at(300, 200, 120, angles).mesh)
    np.testing.assert_allclose((pitch, yaw, roll), angles, atol=0.1)


def test_small_and_cut_faces_are_refused():
    assert "at least 64" in (face_problem(face_at(300, 200, 60), SHAPE) or "")
    assert "cuts off" in (face_problem(face_at(20, 200, 100), SHAPE) or "")
    assert "cuts off" in (face_problem(face_at(300, 385, 100), SHAPE) or "")


def test_errors_are_input_errors():
    assert issubclass(NoFaceError, InputError)
    assert NoFaceError("x").exit_code == 3


@pytest.mark.parametrize("place", [(300, 200), (40, 60), (580, 380)])
def test_face_crop_is_an_even_square_inside_the_picture(place):
    x0, y0, x1, y1 = face_crop(SHAPE, face_at(*place, 90))
    assert x1 - x0 == y1 - y0
    assert (x1 - x0) % 2 == 0
    assert min(x0, y0) >= 0
    assert x1 <= 600
    assert y1 <= 400


def test_face_crop_leaves_room_for_hair_and_shoulders():
    shape = (2000, 2000, 3)
    face = face_at(1000, 1000, 200)
    x0, y0, x1, y1 = face_crop(shape, face)
    height = face.height
    assert face.box[1] - y0 > 0.5 * height
    assert y1 - face.box[3] > 0.5 * height
    assert face.box[0] - x0 > 0.5 * face.width
    assert x1 - face.box[2] > 0.5 * face.width
