"""The 478-point mesh from 68 landmarks, and the face-alignment backend around it."""

import logging
import sys
import types
from urllib.error import URLError

import numpy as np
import pytest
import torch

from talkhead_cli.errors import WeightsError
from talkhead_cli.face import alignment_backend
from talkhead_cli.face.alignment_backend import FaceAlignmentBackend
from talkhead_cli.face.fit68 import MESH_OF_68, NUM_LANDMARKS, bend, fit_mesh
from talkhead_cli.face.landmarks import (
    INNER_LIPS,
    OUTER_LIPS,
    eye_distance,
    face_basis,
    head_angles,
    mouth_gap,
)
from talkhead_models.basis import Pose, rotation_matrix


def random_mesh(seed, scale=120.0, strength=1.0):
    """A face of the model with random identity, expression and pose, (478, 3) float32 pixels."""
    rng = np.random.default_rng(seed)
    basis = face_basis()
    shape = basis.mean.copy()
    for modes in (basis.identity, basis.expression):
        size = rng.normal(0, strength, len(modes)).clip(-2, 2) * 0.9 ** np.arange(len(modes))
        shape += np.tensordot(size, modes, 1).astype(np.float32)
    angles = np.radians(rng.uniform(-1, 1, 3) * (15, 20, 25))
    pose = Pose(np.float32(scale), rotation_matrix(angles), np.array([300, 250, 0], np.float32))
    return pose.apply(shape)


def landmarks_of(mesh):
    return mesh[list(MESH_OF_68), :2].astype(np.float64)


def test_table_names_each_point_once():
    assert NUM_LANDMARKS == 68
    assert len(set(MESH_OF_68)) == 68


@pytest.mark.parametrize("seed", range(6))
def test_mesh_comes_back(seed):
    mesh = random_mesh(seed)
    fitted = fit_mesh(landmarks_of(mesh))
    unit = eye_distance(mesh)
    error = np.linalg.norm((fitted - mesh)[:, :2], axis=1) / unit
    lips = list(OUTER_LIPS + INNER_LIPS)
    assert error.mean() < 0.03
    assert error[lips].mean() < 0.01
    assert abs(mouth_gap(fitted) - mouth_gap(mesh)) < 0.03
    np.testing.assert_allclose(head_angles(fitted), head_angles(mesh), atol=6)


def test_landmarks_are_met():
    mesh = random_mesh(3)
    target = landmarks_of(mesh) + np.random.default_rng(0).normal(0, 1.0, (68, 2))
    met = landmarks_of(fit_mesh(target))
    assert np.abs(met - target).max() < 0.5


def test_fit_follows_scale_and_place():
    mesh = random_mesh(4)
    first = fit_mesh(landmarks_of(mesh))
    second = fit_mesh(landmarks_of(mesh) * 3 + 40)
    np.testing.assert_allclose(second[:, :2], first[:, :2] * 3 + 40, atol=0.05)


def test_noise_stays_noise():
    mesh = random_mesh(5)
    unit = eye_distance(mesh)
    noise = np.random.default_rng(1).normal(0, 0.02 * unit, (68, 2))
    fitted = fit_mesh(landmarks_of(mesh) + noise)
    assert np.linalg.norm((fitted - mesh)[:, :2], axis=1).mean() < 0.06 * unit


def test_wrong_shape():
    with pytest.raises(ValueError, match="68"):
        fit_mesh(np.zeros((67, 2)))


def test_bend_reproduces_an_affine_move():
    rng = np.random.default_rng(2)
    places = rng.normal(size=(50, 2))
    move = places @ np.array([[0.1, 0.2], [-0.3, 0.05]]) + (1.0, -2.0)
    index = list(range(20))
    np.testing.assert_allclose(bend(places, index, move[index]), move, atol=1e-6)


class FakeModel:
    """Stands in for the library's networks: two faces, the right one first."""

    def __init__(self, *_args, **options):
        self.options = options
        self.meshes = [random_mesh(11) + np.float32([250, 0, 0]), random_mesh(12)]
        self.face_detector = types.SimpleNamespace(detect_from_image=self.boxes)

    def boxes(self, image):
        self.factor = image.shape[1] / 2000
        return [
            np.array([*mesh[:, :2].min(0), *mesh[:, :2].max(0), 1.3]) * ([self.factor] * 4 + [1])
            for mesh in self.meshes
        ]

    def get_landmarks_from_image(self, image, detected_faces):
        assert image.shape == (1000, 2000, 3)
        for box, mesh in zip(detected_faces, self.meshes, strict=True):
            np.testing.assert_allclose(box[:2], mesh[:, :2].min(0), atol=1e-3)
        return [landmarks_of(mesh) for mesh in self.meshes]


def test_backend_gives_faces_from_left_to_right(monkeypatch):
    monkeypatch.setattr("face_alignment.FaceAlignment", FakeModel)
    backend = FaceAlignmentBackend()
    faces = backend.detect(np.zeros((1000, 2000, 3), np.uint8))
    assert [face.score for face in faces] == [1.0, 1.0]
    assert faces[0].box[0] < faces[1].box[0]
    assert faces[0].mesh.shape == (478, 3)
    assert faces[0].mesh.dtype == np.float32
    backend.close()


def test_backend_without_faces(monkeypatch):
    class Nothing(FakeModel):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.meshes = []

    monkeypatch.setattr("face_alignment.FaceAlignment", Nothing)
    assert FaceAlignmentBackend().detect(np.zeros((1000, 2000, 3), np.uint8)) == []


@pytest.mark.parametrize(
    "error",
    [URLError("no route"), TimeoutError("timed out"), RuntimeError("invalid\nhash value")],
)
def test_no_network_is_one_clear_error(monkeypatch, capsys, caplog, error):
    def fail(*_args, **_options):
        sys.stdout.write("Downloading: a file\n")
        raise error

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    monkeypatch.setattr("face_alignment.FaceAlignment", fail)
    caplog.set_level(logging.DEBUG, alignment_backend.__name__)
    with pytest.raises(WeightsError, match="face backend mediapipe") as caught:
        FaceAlignmentBackend().detect(np.zeros((200, 200, 3), np.uint8))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 5
    assert capsys.readouterr().out == ""
    assert "Downloading" in caplog.text
