"""Faces by mediapipe: two detectors over the picture and its tiles, then the mesh on an upright, enlarged patch."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.face.backend import Face
from talkhead_cli.face.graphs import Detection, MediapipeGraphs, shared_graphs
from talkhead_cli.face.landmarks import Mesh, eye_distance, mesh_box
from talkhead_cli.face.plausible import implausible

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]

PATCH_SIDE = 256
ROI_SCALE = 1.5
"""Side of the patch over the longer side of the face: what the mesh network was trained with."""
MESH_SCALES = (1.42, 1.5, 1.58)
TILE_SIDE = 640
MAX_FACES = 24


@dataclass(frozen=True)
class Roi:
    """A square to read a face from: centre and side in pixels, rotation in radians (clockwise)."""

    x: float
    y: float
    side: float
    rotation: float = 0.0


class MediapipeBackend:
    """The embedded detector and mesh; see `talkhead_cli.face.backend.FaceBackend`."""

    name = "mediapipe"

    def __init__(self, graphs: MediapipeGraphs | None = None) -> None:
        self._graphs = graphs or shared_graphs()

    def detect(self, image: Pixels) -> list[Face]:
        """All faces from left to right."""
        faces = self._faces(image, self._candidates(image))
        return sorted(faces, key=lambda face: face.box[0] + face.box[2])

    def close(self) -> None:
        """Stop the graphs."""
        self._graphs.close()

    def _candidates(self, image: Pixels) -> list[tuple[Detection, str]]:
        found = []
        for model in ("full", "short"):
            for detection in self._graphs.detect(image, model):
                if detection.score >= 0.4:
                    found.append((detection, f"{model}-range"))
        return found

    def _faces(self, image: Pixels, candidates: list[tuple[Detection, str]]) -> list[Face]:
        faces: list[Face] = []
        for detection, means in sorted(candidates, key=lambda item: -item[0].score)[: 3 * MAX_FACES]:
            if any(overlap(detection.box, np.array(face.box)) > 0.3 for face in faces):
                continue
            mesh = self.fit_mesh(image, roi_of_detection(detection))
            if mesh is None:
                continue
            reason = implausible(mesh)
            if reason:
                log.debug("mesh refused at %s: %s", detection.box, reason)
                continue
            box = mesh_box(mesh)
            if any(overlap(np.array(box), np.array(face.box)) > 0.3 for face in faces):
                continue
            faces.append(Face(box, detection.score, mesh, means))
        return faces[:MAX_FACES]

    def fit_mesh(self, image: Pixels, roi: Roi) -> Mesh | None:
        """The mesh of the face in a region: found, centred again, then the mean over slightly different scales."""
        mesh = self._mesh_at(image, roi)
        for _ in range(2):
            if mesh is None:
                return None
            mesh = self._mesh_at(image, roi_of_mesh(mesh))
        if mesh is None:
            return None
        tries = [self._mesh_at(image, roi_of_mesh(mesh, scale)) for scale in MESH_SCALES]
        good = [item for item in tries if item is not None]
        if len(good) < len(MESH_SCALES):
            return None
        stack = np.stack(good)
        spread = np.linalg.norm(stack - stack.mean(0), axis=2).mean() / eye_distance(mesh)
        if spread > 0.05:
            log.debug("mesh refused: it moves by %.3f eye distances with the scale", spread)
            return None
        return stack.mean(0).astype(np.float32)

    def _mesh_at(self, image: Pixels, roi: Roi) -> Mesh | None:
        mesh = self._graphs.mesh(cut_patch(image, roi))
        return None if mesh is None else patch_to_image(mesh, roi)


def roi_of_detection(detection: Detection) -> Roi:
    """The region mediapipe itself takes for a detection."""
    x0, y0, x1, y1 = detection.box
    across = detection.keypoints[1] - detection.keypoints[0]
    rotation = float(np.arctan2(across[1], across[0]))
    side = max(x1 - x0, y1 - y0) * ROI_SCALE
    return Roi(float(x0 + x1) / 2, float(y0 + y1) / 2, float(side), rotation)


def roi_of_mesh(mesh: Mesh, scale: float = ROI_SCALE) -> Roi:
    """The region that a mesh fills when it is upright."""
    across = mesh[263, :2] - mesh[33, :2]
    rotation = float(np.arctan2(across[1], across[0]))
    cos, sin = np.cos(rotation), np.sin(rotation)
    axes = np.array([[cos, sin], [-sin, cos]])
    upright = mesh[:, :2].astype(np.float64) @ axes.T
    low, high = upright.min(0), upright.max(0)
    centre = (low + high) / 2 @ axes
    return Roi(float(centre[0]), float(centre[1]), float((high - low).max() * scale), rotation)


def cut_patch(image: Pixels, roi: Roi) -> Pixels:
    """The region as an upright square patch, (P, P, 3) uint8 RGB, black outside the picture."""
    import cv2

    height, width = image.shape[:2]
    reach = roi.side * 0.75 + 2
    x0, y0 = (int(np.floor(max(0.0, value - reach))) for value in (roi.x, roi.y))
    x1 = int(np.ceil(min(width, roi.x + reach)))
    y1 = int(np.ceil(min(height, roi.y + reach)))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return np.zeros((PATCH_SIDE, PATCH_SIDE, 3), np.uint8)
    cut = image[y0:y1, x0:x1]
    shrink = 1.0
    if roi.side > 2 * PATCH_SIDE:  # average before sampling, or fine detail turns into noise
        size = tuple(max(2, round(side * PATCH_SIDE * 1.5 / roi.side)) for side in (x1 - x0, y1 - y0))
        cut = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
    shrink_x, shrink_y = cut.shape[1] / (x1 - x0), cut.shape[0] / (y1 - y0)
    del shrink
    to_image = patch_matrix(roi)
    scale = np.array([[shrink_x], [shrink_y]])
    offset = np.array([[x0 - 0.5], [y0 - 0.5]])
    matrix = np.hstack([to_image[:, :2] * scale, (to_image[:, 2:] - offset) * scale - 0.5])
    mode = cv2.INTER_CUBIC if roi.side < PATCH_SIDE else cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpAffine(cut, matrix, (PATCH_SIDE, PATCH_SIDE), flags=mode | cv2.WARP_INVERSE_MAP),
        np.uint8,
    )


def patch_matrix(roi: Roi) -> NDArray[np.float64]:
    """(2, 3) affine map from patch pixels to picture pixels, both with pixel centres at integers."""
    step = roi.side / PATCH_SIDE
    cos, sin = np.cos(roi.rotation) * step, np.sin(roi.rotation) * step
    middle = (PATCH_SIDE - 1) / 2
    linear = np.array([[cos, -sin], [sin, cos]])
    shift = np.array([roi.x, roi.y]) - linear @ np.array([middle, middle])
    return np.hstack([linear, shift[:, None]])


def patch_to_image(mesh: Mesh, roi: Roi) -> Mesh:
    """A mesh from patch pixels to picture pixels; depth is scaled alike."""
    matrix = patch_matrix(roi)
    out = mesh.astype(np.float64)
    out[:, :2] = mesh[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    out[:, 2] = mesh[:, 2] * (roi.side / PATCH_SIDE)
    return out.astype(np.float32)


def overlap(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Intersection over the smaller of two boxes, in [0, 1]."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    common = float(np.prod(np.maximum(high - low, 0.0)))
    smaller = min(float(np.prod(box[2:] - box[:2])) for box in (first, second))
    return common / max(smaller, 1e-6)


_shared: MediapipeBackend | None = None


def shared_mediapipe_backend() -> MediapipeBackend:
    """The process's one backend."""
    global _shared
    if _shared is None:
        _shared = MediapipeBackend()
    return _shared
