"""Faces by mediapipe: two detectors over the picture and its tiles, then the mesh on an upright, enlarged patch."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.face.backend import Face
from talkhead_cli.face.graphs import Detection, MediapipeGraphs, shared_graphs
from talkhead_cli.face.landmarks import (
    LEFT_EYE,
    OUTER_LIPS,
    RIGHT_EYE,
    Mesh,
    eye_distance,
    mesh_box,
    mirror_points,
)
from talkhead_cli.face.plausible import implausible
from talkhead_cli.face.search import (
    RETRY_FLOOR,
    Candidate,
    find_candidates,
    look,
    merged,
    overlap,
    retry_views,
)

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]

PATCH_SIDE = 256
USEFUL_SIDE = 400
"""More pixels than this across a region add nothing to a patch."""
ROI_SCALE = 1.5
"""Side of the patch over the longer side of the face: what the mesh network was trained with."""
MESH_SCALES = (1.35, 1.5, 1.65)
SECOND_LOOK_SCALES = (2.0, 2.8)
SURE = 0.7
"""Least score of the second look: faces of all kinds have 0.9 and more, hands and cloth 0.5 and less."""
MAX_SPREAD = 0.03
"""Mean distance of a point between the tries, in eye distances, beyond which a mesh is not believed."""
MAX_FACES = 24


@dataclass(frozen=True)
class Roi:
    """A square to read a face from: centre and side in pixels, rotation in radians (clockwise)."""

    x: float
    y: float
    side: float
    rotation: float = 0.0


class MediapipeBackend:
    """The embedded detectors and mesh; see `talkhead_cli.face.backend.FaceBackend`."""

    name = "mediapipe"

    def __init__(self, graphs: MediapipeGraphs | None = None) -> None:
        self._graphs = graphs or shared_graphs()

    def detect(self, image: Pixels) -> list[Face]:
        """All faces from left to right; faces smaller than a fifth of the largest are not looked for."""
        faces = self._fit_all(image, find_candidates(self._graphs, image))
        if not faces:
            for view in retry_views(image):
                candidates = merged(look(self._graphs, view, RETRY_FLOOR))
                faces = self._fit_all(image, candidates, careful=True)
                if faces:
                    log.debug("face found only in an altered view: %s", view.name)
                    break
        return sorted(faces, key=lambda face: face.box[0] + face.box[2])

    def close(self) -> None:
        """Stop the graphs; they start again at the next use."""
        self._graphs.close()

    def _fit_all(
        self, image: Pixels, candidates: list[Candidate], careful: bool = False
    ) -> list[Face]:
        faces: list[Face] = []
        for item in candidates[:MAX_FACES]:
            close = closer(image, roi_of_detection(item.detection))
            mesh, score = self._fit_one(close, item, careful)
            if mesh is None:
                continue
            mesh = close.mesh_to_image(mesh)
            box = mesh_box(mesh)
            if all(overlap(np.array(box), np.array(face.box)) <= 0.4 for face in faces):
                faces.append(Face(box, score, mesh, item.means))
        return faces

    def _fit_one(
        self, close: CloseView, item: Candidate, careful: bool
    ) -> tuple[Mesh | None, float]:
        """Mesh in pixels of the closer view, and its score; None where it is not to be believed."""
        mesh = self.fit_mesh(close.pixels, close.roi)
        reason = "no mesh"
        if mesh is not None:
            in_image = close.mesh_to_image(mesh)
            reason = implausible(mesh, careful) or disagreement(in_image, item.detection) or ""
        if mesh is None or reason:
            log.debug("%s refused: %s", item, reason)
            return None, 0.0
        upright, upside_down = self._second_look(close.pixels, mesh)
        if upside_down > upright + 0.05:
            # The detectors half see a face that stands on its head, and fit it the wrong way round.
            roi = roi_of_mesh(mesh)
            mesh = self.fit_mesh(close.pixels, replace(roi, rotation=roi.rotation + np.pi))
            upright = upside_down
        if upright < SURE:
            log.debug("%s refused: at a second look the score is %.2f", item, upright)
            return None, 0.0
        return mesh, upright

    def _second_look(self, image: Pixels, mesh: Mesh) -> tuple[float, float]:
        """Scores of the short-range detector on the face that the mesh frames, as it is and turned by 180 degrees."""
        patches = [cut_patch(image, roi_of_mesh(mesh, scale)) for scale in SECOND_LOOK_SCALES]
        best = []
        for pixels in (patches, [patch[::-1, ::-1] for patch in patches]):
            found = [item.score for patch in pixels for item in self._graphs.detect(patch, "short")]
            best.append(max(found, default=0.0))
        return best[0], best[1]

    def fit_mesh(self, image: Pixels, roi: Roi) -> Mesh | None:
        """The mesh of the face in a region, or None.

        The region is centred anew on the mesh twice; then the mean is taken over slightly different scales and their
        mirror pictures, since a single still answer is off by a pixel or two, differently each time.
        """
        mesh = self._mesh_at(image, roi)
        for _ in range(2):
            if mesh is not None:
                mesh = self._mesh_at(image, roi_of_mesh(mesh))
        if mesh is None:
            return None
        tries = [
            self._mesh_at(image, roi_of_mesh(mesh, scale), mirror)
            for scale in MESH_SCALES
            for mirror in (False, True)
        ]
        good = [item for item in tries if item is not None]
        if len(good) < len(tries) - 1:
            return None
        stack = np.stack(good)
        spread = np.linalg.norm(stack[..., :2] - np.median(stack, 0)[..., :2], axis=2).mean()
        if spread > MAX_SPREAD * eye_distance(mesh):
            log.debug("mesh refused: it moves by %.1f pixels with the scale", spread)
            return None
        return np.asarray(stack.mean(0), np.float32)

    def _mesh_at(self, image: Pixels, roi: Roi, mirror: bool = False) -> Mesh | None:
        patch = cut_patch(image, roi)
        mesh = self._graphs.mesh(patch[:, ::-1] if mirror else patch)
        if mesh is None:
            return None
        if mirror:
            mesh = mesh[mirror_points()]
            mesh[:, 0] = PATCH_SIDE - 1 - mesh[:, 0]
        return patch_to_image(mesh, roi)


@dataclass(frozen=True)
class CloseView:
    """The neighbourhood of a face, made smaller where it has more pixels than the mesh network can use.

    Attributes:
        pixels: (h, w, 3) uint8 RGB.
        roi: the face in pixels of this view.
        corner: (x, y) of the view in the picture.
        factor: pixels of this view per pixel of the picture.
    """

    pixels: Pixels
    roi: Roi
    corner: tuple[int, int]
    factor: tuple[float, float]

    def mesh_to_image(self, mesh: Mesh) -> Mesh:
        """A mesh in pixels of this view in pixels of the picture."""
        factor = np.array([*self.factor, self.factor[0]], np.float32)
        half = np.array([0.5, 0.5, 0.0], np.float32)
        return np.asarray((mesh + half) / factor - half + np.array([*self.corner, 0]), np.float32)


def closer(image: Pixels, roi: Roi) -> CloseView:
    """Cut out the neighbourhood of a face; see `CloseView`."""
    import cv2

    height, width = image.shape[:2]
    reach = 1.5 * roi.side
    x0, y0 = (max(0, int(value - reach)) for value in (roi.x, roi.y))
    x0, y0 = min(x0, width - 2), min(y0, height - 2)
    x1, y1 = min(width, int(roi.x + reach) + 1), min(height, int(roi.y + reach) + 1)
    x1, y1 = max(x1, x0 + 2), max(y1, y0 + 2)
    cut = image[y0:y1, x0:x1]
    factor = min(1.0, USEFUL_SIDE / max(roi.side, 1.0))
    if factor < 1:  # average before sampling, or fine detail turns into noise
        size = (max(2, round((x1 - x0) * factor)), max(2, round((y1 - y0) * factor)))
        cut = np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)
    factors = cut.shape[1] / (x1 - x0), cut.shape[0] / (y1 - y0)
    x, y = (roi.x - x0 + 0.5) * factors[0] - 0.5, (roi.y - y0 + 0.5) * factors[1] - 0.5
    return CloseView(cut, Roi(x, y, roi.side * factors[0], roi.rotation), (x0, y0), factors)


def disagreement(mesh: Mesh, detection: Detection) -> str | None:
    """Why the mesh is not of the face that was detected, or None when it is."""
    unit = eye_distance(mesh)
    pairs = (
        ("left eye", mesh[list(LEFT_EYE), :2].mean(0), detection.keypoints[0], 0.4),
        ("right eye", mesh[list(RIGHT_EYE), :2].mean(0), detection.keypoints[1], 0.4),
        ("mouth", mesh[list(OUTER_LIPS), :2].mean(0), detection.keypoints[3], 0.5),
    )
    for name, ours, theirs, limit in pairs:
        if np.linalg.norm(ours - theirs) > limit * unit:
            return f"detector and mesh place the {name} differently"
    return None


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

    mode = cv2.INTER_CUBIC if roi.side < PATCH_SIDE else cv2.INTER_LINEAR
    patch = cv2.warpAffine(
        image, patch_matrix(roi), (PATCH_SIDE, PATCH_SIDE), flags=mode | cv2.WARP_INVERSE_MAP
    )
    return np.asarray(patch, np.uint8)


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


_shared: MediapipeBackend | None = None


def shared_mediapipe_backend() -> MediapipeBackend:
    """The process's one backend."""
    global _shared
    if _shared is None:
        _shared = MediapipeBackend()
    return _shared
