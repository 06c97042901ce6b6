"""Which pixels belong to the person: coarse segmentation, sharpened along the edges of the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.face.graphs import MediapipeGraphs, shared_graphs
from talkhead_cli.face.landmarks import FACE_OVAL, Mesh, mesh_box

Pixels = NDArray[np.uint8]
Mask = NDArray[np.float32]

HEAD_CROP = 3.5
"""Side of the second, closer look at the head, in face sizes."""
GUIDE_SIDE = 1536
GUIDE_FACE = 256
"""The mask is refined on a picture of at most this size, with a face of at most that width, then enlarged."""
COLOUR_NOISE = 0.04
MAX_EVIDENCE = 3.0


def person_mask(
    image: Pixels,
    mesh: Mesh,
    alpha: NDArray[np.float32] | None = None,
    others: Sequence[Mesh] = (),
    graphs: MediapipeGraphs | None = None,
) -> Mask:
    """How much each pixel belongs to the person, (H, W) float32 in [0, 1].

    Right around the head and shoulders of the person whose mesh is given; the face itself is always inside.

    Args:
        image: (H, W, 3) uint8 RGB.
        mesh: (478, 3) float32 pixels.
        alpha: (H, W) float32 in [0, 1]; a transparent pixel belongs to nobody.
        others: meshes of other people's faces, whose share of the mask is taken away.
        graphs: mediapipe graphs, the shared ones by default.
    """
    import cv2

    graphs = graphs or shared_graphs()
    height, width = image.shape[:2]
    x0, _, x1, _ = mesh_box(mesh)
    # The networks see 256 pixels and the eye no finer edges: all but the last step works on a smaller copy.
    factor = min(1.0, GUIDE_SIDE / max(height, width), GUIDE_FACE / (x1 - x0))
    small = image
    if factor < 1:
        size = (max(2, round(width * factor)), max(2, round(height * factor)))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    face, *rest = (scaled(points, factor) for points in (mesh, *others))
    mask = graphs.segment(small)
    blend_head(mask, small, face, graphs)
    mask = refine_edges(small, mask, face)
    if rest:
        mask *= territory(mask.shape, face, rest)
    if factor < 1:
        mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR))
    np.maximum(mask, face_area(mask.shape, mesh), out=mask)
    if alpha is not None:
        np.minimum(mask, alpha, out=mask)
    return np.clip(mask, 0.0, 1.0, out=mask)


def scaled(mesh: Mesh, factor: float) -> Mesh:
    """A mesh in pixels of a picture of another size."""
    half = np.array([0.5, 0.5, 0.0], np.float32)
    return np.asarray((mesh + half) * np.float32(factor) - half, np.float32)


def head_box(
    shape: tuple[int, ...], mesh: Mesh, scale: float = HEAD_CROP
) -> tuple[int, int, int, int]:
    """Square around the head with hair and shoulders, cut to the picture: x0, y0, x1, y1."""
    x0, y0, x1, y1 = mesh_box(mesh)
    half = max(x1 - x0, y1 - y0) * scale / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    left, top = int(max(0, np.floor(x - half))), int(max(0, np.floor(y - half)))
    return left, top, int(min(shape[1], np.ceil(x + half))), int(min(shape[0], np.ceil(y + half)))


def blend_head(mask: Mask, image: Pixels, mesh: Mesh, graphs: MediapipeGraphs) -> None:
    """Replace the head's part of a mask by a closer look, faded out towards the borders of that look."""
    x0, y0, x1, y1 = head_box(mask.shape, mesh)
    close = graphs.segment(image[y0:y1, x0:x1])
    weight = np.ones(close.shape, np.float32)
    # Fade only where the crop ends inside the picture.
    for axis, (low, high, full) in enumerate(((y0, y1, mask.shape[0]), (x0, x1, mask.shape[1]))):
        length = high - low
        ramp = np.ones(length, np.float32)
        fade = max(1, length // 8)
        slope = (np.arange(fade, dtype=np.float32) + 1) / (fade + 1)
        if low > 0:
            ramp[:fade] = slope
        if high < full:
            ramp[-fade:] = np.minimum(ramp[-fade:], slope[::-1])
        weight *= ramp[:, None] if axis == 0 else ramp[None, :]
    part = mask[y0:y1, x0:x1]
    part += (close - part) * weight


def refine_edges(image: Pixels, coarse: Mask, mesh: Mesh) -> Mask:
    """Let the edges of the mask follow those of the picture, hair above all.

    Where the coarse mask is unsure, a pixel goes to the side whose colours nearby it has (Bayes' rule with the coarse
    mask as prior); a guided filter then smooths the result without crossing edges.
    """
    import cv2

    colours = image.astype(np.float32) / 255.0
    x0, _, x1, _ = mesh_box(mesh)
    sharp = by_colour(colours, coarse, x1 - x0)
    radius = max(1, round((x1 - x0) * 0.02))
    smooth = cv2.ximgproc.guidedFilter(guide=colours, src=sharp, radius=radius, eps=1e-3)
    smooth = np.clip((np.asarray(smooth, np.float32) - 0.05) / 0.9, 0.0, 1.0)
    return without_islands(smooth, mesh[:, :2])


def without_islands(mask: Mask, points: NDArray[np.float32]) -> Mask:
    """The mask without parts that do not hang together with the face, whose points (478, 2) are given."""
    import cv2

    number, labels = cv2.connectedComponents((mask > 0.3).astype(np.uint8), connectivity=8)
    places = np.clip(np.round(points).astype(int), 0, (mask.shape[1] - 1, mask.shape[0] - 1))
    kept = np.zeros(number, np.float32)
    kept[np.unique(labels[places[:, 1], places[:, 0]])] = 1.0
    kept[0] = 0.0
    body = cv2.dilate(kept[labels], np.ones((3, 3), np.uint8), iterations=2)
    return np.asarray(mask * body, np.float32)


def by_colour(colours: NDArray[np.float32], coarse: Mask, unit: float) -> Mask:
    """Decide by colour where a coarse mask is unsure, (H, W) float32.

    Args:
        colours: (H, W, 3) float32 in [0, 1].
        coarse: (H, W) float32 in [0, 1].
        unit: width of the face in pixels.
    """
    import cv2

    margin = max(1, round(unit * 0.05))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    inner = cv2.erode((coarse > 0.9).astype(np.uint8), kernel)
    outer = cv2.erode((coarse < 0.1).astype(np.uint8), kernel)
    unsure = (inner + outer) == 0
    person = log_likelihood(colours, np.asarray(inner, np.float32), unit)
    behind = log_likelihood(colours, np.asarray(outer, np.float32), unit)
    prior = np.clip(cv2.GaussianBlur(coarse, (0, 0), max(0.5, unit * 0.03)), 0.03, 0.97)
    evidence = np.clip(person - behind, -MAX_EVIDENCE, MAX_EVIDENCE) + np.log(prior / (1 - prior))
    return np.where(unsure, 1.0 / (1.0 + np.exp(-evidence)), coarse).astype(np.float32)


def log_likelihood(colours: NDArray[np.float32], side: Mask, unit: float) -> Mask:
    """How well each pixel's colour fits to those nearby that belong to one side, (H, W) float32."""
    import cv2

    # Statistics change slowly: they are taken on a small copy.
    step = max(1.0, unit / 64)
    size = tuple(max(2, round(length / step)) for length in colours.shape[1::-1])
    small = cv2.resize(colours, size, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(side, size, interpolation=cv2.INTER_AREA)[..., None]
    sigma = unit / step * 0.15

    def nearby(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return cv2.GaussianBlur(values, (0, 0), sigma).reshape(*weight.shape[:2], -1)

    total = nearby(weight) + 1e-4
    overall = (small * weight).sum((0, 1)) / max(float(weight.sum()), 1e-3)
    mean = (nearby(small * weight) + 1e-4 * overall) / total
    variance = (nearby((small - mean) ** 2 * weight) + 1e-4 * 0.05) / total + COLOUR_NOISE**2
    shape = (colours.shape[1], colours.shape[0])
    mean, variance = (
        cv2.resize(part, shape, interpolation=cv2.INTER_LINEAR) for part in (mean, variance)
    )
    return np.asarray(
        -0.5 * ((colours - mean) ** 2 / variance + np.log(variance)).sum(-1), np.float32
    )


def face_area(shape: tuple[int, ...], mesh: Mesh) -> Mask:
    """1 inside the face oval, anti-aliased, 0 outside, (H, W) float32."""
    import cv2

    area = np.zeros(shape[:2], np.uint8)
    points = np.round(mesh[list(FACE_OVAL), :2].astype(np.float64) * 16).astype(np.int32)
    cv2.fillPoly(area, [points], (255,), lineType=cv2.LINE_AA, shift=4)
    return area.astype(np.float32) / 255.0


def territory(shape: tuple[int, ...], mesh: Mesh, others: Sequence[Mesh]) -> Mask:
    """1 where a pixel is nearer to this face than to any other, (H, W) float32, soft at the border.

    Distances are counted in sizes of each face. A body hangs below its head, so that distances down count for less than
    those to the side.
    """
    height, width = shape[:2]
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None]

    def distance(face: Mesh) -> Mask:
        x0, y0, x1, y1 = mesh_box(face)
        unit = max(x1 - x0, y1 - y0)
        across = (columns - (x0 + x1) / 2) / unit
        down = (rows - (y0 + y1) / 2) / unit
        down = np.where(down > 0, down / 3, down)
        return np.asarray(np.hypot(across, down), np.float32)

    nearest = np.minimum.reduce([distance(face) for face in others])
    return np.clip((nearest - distance(mesh)) / 0.1 + 0.5, 0.0, 1.0).astype(np.float32)
