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
"""The mask is refined on a picture of at most this size, then enlarged."""


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
    graphs = graphs or shared_graphs()
    mask = graphs.segment(image)
    blend_head(mask, image, mesh, graphs)
    mask = refine_edges(image, mask, mesh)
    if others:
        mask = mask * territory(mask.shape, mesh, others)
    mask = np.maximum(mask, face_area(mask.shape, mesh))
    if alpha is not None:
        mask = np.minimum(mask, alpha)
    return np.ascontiguousarray(np.clip(mask, 0.0, 1.0), np.float32)


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


def refine_edges(image: Pixels, mask: Mask, mesh: Mesh) -> Mask:
    """Let the edges of the mask follow those of the picture (guided filter)."""
    import cv2

    height, width = mask.shape
    factor = min(1.0, GUIDE_SIDE / max(height, width))
    size = (max(2, round(width * factor)), max(2, round(height * factor)))
    guide = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor < 1 else image
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA) if factor < 1 else mask
    x0, _, x1, _ = mesh_box(mesh)
    radius = max(2, round((x1 - x0) * factor * 0.06))
    refined = cv2.ximgproc.guidedFilter(
        guide=guide.astype(np.float32) / 255.0, src=small, radius=radius, eps=1e-4
    )
    refined = np.clip((refined - 0.1) / 0.8, 0.0, 1.0)
    if factor < 1:
        refined = cv2.resize(refined, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(refined, np.float32)


def face_area(shape: tuple[int, ...], mesh: Mesh) -> Mask:
    """1 inside the face oval, anti-aliased, 0 outside, (H, W) float32."""
    import cv2

    area = np.zeros(shape[:2], np.uint8)
    points = np.round(mesh[list(FACE_OVAL), :2].astype(np.float64) * 16).astype(np.int32)
    cv2.fillPoly(area, [points], (255,), lineType=cv2.LINE_AA, shift=4)
    return area.astype(np.float32) / 255.0


def territory(shape: tuple[int, ...], mesh: Mesh, others: Sequence[Mesh]) -> Mask:
    """1 where a pixel is nearer to this face than to any other, (H, W) float32, soft at the border.

    Distances are counted in sizes of each face. A body hangs below its head, so that distances down count for less than those to the side.
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
