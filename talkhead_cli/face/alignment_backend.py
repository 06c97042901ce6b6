"""Faces by face-alignment: its 68 landmarks, to which the 478-point mesh is fitted.

The library loads its own weights and downloads them at first use; nothing else in talkhead needs a network.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import socket
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import WeightsError
from talkhead_cli.face.backend import Face
from talkhead_cli.face.fit68 import fit_mesh
from talkhead_cli.face.landmarks import mesh_box
from talkhead_cli.face.plausible import implausible

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]

DETECT_SIDE = 1280
"""Its face detector looks at the picture shrunk to this: it is slow, and finds faces of 20 pixels."""
NETWORK_TIMEOUT_SECONDS = 30.0


class FaceAlignmentBackend:
    """The face-alignment library; see `talkhead_cli.face.backend.FaceBackend`."""

    name = "face-alignment"

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._model: Any = None
        self._lock = threading.Lock()

    def detect(self, image: Pixels) -> list[Face]:
        """All faces from left to right.

        Raises:
            WeightsError: the library's weights are not there and cannot be downloaded.
        """
        with self._lock:
            if self._model is None:
                self._model = load_model(self._device)
            boxes = find_boxes(self._model, image)
            landmarks = find_landmarks(self._model, image, boxes)
        faces = []
        for box, points in zip(boxes, landmarks, strict=True):
            mesh = fit_mesh(points)
            reason = implausible(mesh)
            if reason:
                log.debug("face at %s refused: %s", np.round(box), reason)
                continue
            faces.append(Face(mesh_box(mesh), float(np.clip(box[4], 0, 1)), mesh, self.name))
        return sorted(faces, key=lambda face: face.box[0] + face.box[2])

    def close(self) -> None:
        """Let the networks go; they are loaded again at the next use."""
        with self._lock:
            self._model = None


def load_model(device: str) -> Any:
    """The library's model, which downloads its weights when they are not in its cache.

    Raises:
        WeightsError: they cannot be had.
    """
    import face_alignment

    options: dict[str, Any] = {"device": device, "flip_input": True}
    if "compile" in inspect.signature(face_alignment.FaceAlignment.__init__).parameters:
        options["compile"] = False  # compiling takes longer than the few faces of a portrait
    try:
        with quiet_download():
            return face_alignment.FaceAlignment(face_alignment.LandmarksType.TWO_HALF_D, **options)
    except (OSError, EOFError, RuntimeError, ValueError) as error:
        raise WeightsError(
            "face-alignment could not load its own weights, which it downloads at first use "
            f"({one_line(error)}); connect to the internet once, or choose the face backend mediapipe"
        ) from error


@contextlib.contextmanager
def quiet_download() -> Iterator[None]:
    """Keep the library's progress bar off the terminal, and let no dead network hang for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT_SECONDS)
    output = io.StringIO()
    try:
        with (
            contextlib.redirect_stderr(output),
            contextlib.redirect_stdout(output),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        socket.setdefaulttimeout(before)
        log.debug("face-alignment: %s", output.getvalue())


def find_boxes(model: Any, image: Pixels) -> list[NDArray[np.float64]]:
    """Boxes (5,) float64 of the faces, x0 y0 x1 y1 in pixels and a score."""
    import cv2

    factor = min(1.0, DETECT_SIDE / max(image.shape[:2]))
    small = image
    if factor < 1:
        size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    found = model.face_detector.detect_from_image(small.copy())
    boxes = [np.asarray(box, np.float64)[:5] for box in found]
    return [np.concatenate([box[:4] / factor, box[4:]]) for box in boxes]


def find_landmarks(
    model: Any, image: Pixels, boxes: list[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """The 68 landmarks (68, 2) float64 pixels of each box."""
    if not boxes:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = model.get_landmarks_from_image(image, detected_faces=[box.copy() for box in boxes])
    return [np.asarray(points, np.float64)[:, :2] for points in found or []]


def one_line(error: BaseException) -> str:
    """An error's message without line breaks, or its class where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


_shared: FaceAlignmentBackend | None = None


def shared_alignment_backend() -> FaceAlignmentBackend:
    """The process's one backend."""
    global _shared
    if _shared is None:
        _shared = FaceAlignmentBackend()
    return _shared
