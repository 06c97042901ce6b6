"""Where to look for faces: the whole picture, its tiles, and, when there is nothing, altered views of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.face.graphs import Detection, MediapipeGraphs

Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]

MIN_FACE = 64.0
"""Smaller faces are of no use, in pixels."""
MIN_SHARE = 0.25
"""Faces smaller than this part of the largest one are not looked for."""
TILE_SHARE = 0.12
"""The full-range detector finds faces from this part of its picture on."""
TILE_OVERLAP = 0.3
VIEW_SIDE = 384
"""Views are shrunk to this side first: the detectors look at 128 or 192 pixels."""
FLOOR, TILE_FLOOR, RETRY_FLOOR = 0.5, 0.65, 0.2
"""Least score of a detection; what passes is looked at again more closely."""


@dataclass(frozen=True)
class Candidate:
    """A face the detectors suspect, in pixels of the picture, and how it was found."""

    detection: Detection
    means: str


@dataclass(frozen=True)
class View:
    """A part or variant of the picture.

    Attributes:
        pixels: (h, w, 3) uint8 RGB.
        matrix: (2, 3) affine map from view pixels to picture pixels.
        name: for `Candidate.means`.
    """

    pixels: Pixels
    matrix: Matrix
    name: str = ""


def find_candidates(graphs: MediapipeGraphs, image: Pixels) -> list[Candidate]:
    """Faces in the whole picture and in its tiles, best first."""
    found = look(graphs, part(image, (0, 0, image.shape[1], image.shape[0])), FLOOR)
    for side in tile_sides(image.shape, max((face_side(item) for item in found), default=0.0)):
        shrunk = shrink(image, side)
        for box in tile_boxes(image.shape, side):
            tile = part(shrunk, box, f"tile {side}", image.shape)
            for item in look(graphs, tile, TILE_FLOOR, models=("full",)):
                if not touches_edge(item.detection, box, image.shape):
                    found.append(item)
    return merged(found)


def retry_views(image: Pixels) -> Iterator[View]:
    """Views for a picture in which no face was found, from the likeliest to the least likely."""
    height, width = image.shape[:2]
    whole = part(image, (0, 0, width, height))
    yield View(whole.pixels, whole.matrix, "low floor")
    yield View(level_contrast(whole.pixels), whole.matrix, "contrast raised")
    yield padded(whole)
    yield mirrored(whole)
    for share in (0.75, 0.5):
        side = int(min(height, width) * share)
        for box in tile_boxes(image.shape, side):
            view = part(image, box)
            yield View(view.pixels, view.matrix, f"part {share:g}")
            yield View(level_contrast(view.pixels), view.matrix, f"part {share:g}, contrast raised")
    for quarter_turns in (1, 3, 2):
        yield turned(whole, quarter_turns)


def look(
    graphs: MediapipeGraphs, view: View, floor: float, models: tuple[str, ...] = ("full", "short")
) -> list[Candidate]:
    """Faces in one view, in pixels of the picture."""
    found = []
    for model in models:
        for detection in graphs.detect(view.pixels, model):
            if detection.score >= floor:
                means = f"{model} range" + (f", {view.name}" if view.name else "")
                found.append(Candidate(to_picture(detection, view.matrix), means))
    return found


def to_picture(detection: Detection, matrix: Matrix) -> Detection:
    """A detection from view pixels to picture pixels; in a mirrored view left and right change places."""
    x0, y0, x1, y1 = detection.box
    corners = apply(matrix, np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]))
    points = apply(matrix, detection.keypoints)
    if np.linalg.det(matrix[:, :2]) < 0:
        points = points[[1, 0, 2, 3, 5, 4]]
    box = np.concatenate([corners.min(0), corners.max(0)])
    return Detection(box, points, detection.score)


def apply(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (N, 2) through an affine map (2, 3)."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def shrink(image: Pixels, side: int) -> Pixels:
    """The picture so much smaller that a tile of that side has `VIEW_SIDE` pixels."""
    import cv2

    if side <= VIEW_SIDE:
        return image
    size = tuple(max(2, round(length * VIEW_SIDE / side)) for length in image.shape[1::-1])
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def part(
    image: Pixels,
    box: tuple[int, int, int, int],
    name: str = "",
    shape: tuple[int, ...] | None = None,
) -> View:
    """A box of the picture, shrunk to what a detector needs.

    Args:
        image: (H, W, 3) uint8 RGB, the picture or a smaller copy of it.
        box: x0, y0, x1, y1 in pixels of the picture.
        name: for `View.name`.
        shape: the picture's shape, where `image` is a smaller copy.
    """
    height, width = shape[:2] if shape else image.shape[:2]
    step_x, step_y = width / image.shape[1], height / image.shape[0]
    x0, y0 = round(box[0] / step_x), round(box[1] / step_y)
    x1, y1 = round(box[2] / step_x), round(box[3] / step_y)
    cut = image[y0:y1, x0:x1]
    pixels = shrink(cut, max(cut.shape[:2]))
    step_x *= cut.shape[1] / pixels.shape[1]
    step_y *= cut.shape[0] / pixels.shape[0]
    shift_x = x0 * width / image.shape[1] + step_x / 2 - 0.5
    shift_y = y0 * height / image.shape[0] + step_y / 2 - 0.5
    return View(pixels, np.array([[step_x, 0.0, shift_x], [0.0, step_y, shift_y]]), name)


def padded(view: View, share: float = 0.5) -> View:
    """The view with a border all around: a face that fills the picture is too large for the detectors."""
    import cv2

    height, width = view.pixels.shape[:2]
    border = round(max(height, width) * share)
    pixels = cv2.copyMakeBorder(
        view.pixels, border, border, border, border, cv2.BORDER_CONSTANT, value=(128, 128, 128)
    )
    matrix = view.matrix.copy()
    matrix[:, 2] = apply(view.matrix, np.array([[-border, -border]], np.float64))[0]
    return View(np.asarray(pixels, np.uint8), matrix, "padded")


def mirrored(view: View) -> View:
    """The view as in a mirror."""
    flip = np.array([[-1.0, 0.0, view.pixels.shape[1] - 1.0], [0.0, 1.0, 0.0]])
    return View(np.ascontiguousarray(view.pixels[:, ::-1]), chain(view.matrix, flip), "mirrored")


def turned(view: View, quarter_turns: int) -> View:
    """The view turned counter-clockwise by quarter turns."""
    height, width = view.pixels.shape[:2]
    back = {
        1: np.array([[0.0, -1.0, width - 1.0], [1.0, 0.0, 0.0]]),
        2: np.array([[-1.0, 0.0, width - 1.0], [0.0, -1.0, height - 1.0]]),
        3: np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, height - 1.0]]),
    }[quarter_turns]
    pixels = np.ascontiguousarray(np.rot90(view.pixels, quarter_turns))
    return View(pixels, chain(view.matrix, back), f"turned {90 * quarter_turns}")


def chain(outer: Matrix, inner: Matrix) -> Matrix:
    """The affine map that applies `inner`, then `outer`."""
    linear = outer[:, :2] @ inner[:, :2]
    return np.hstack([linear, (outer[:, :2] @ inner[:, 2] + outer[:, 2])[:, None]])


def level_contrast(pixels: Pixels) -> Pixels:
    """Local contrast raised in the lightness only, (H, W, 3) uint8 RGB."""
    import cv2

    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(4, 4)).apply(lab[..., 0])
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


def tile_sides(shape: tuple[int, ...], largest: float) -> list[int]:
    """Sides of the tiles to look at, each half of the last, down to where the smallest useful face shows."""
    smallest = max(MIN_FACE, largest * MIN_SHARE) / TILE_SHARE
    sides, side = [], max(shape[:2]) / 2
    while side >= smallest:
        sides.append(round(side))
        side /= 2
    if max(shape[:2]) > 1.25 * smallest and (not sides or sides[-1] > 1.25 * smallest):
        sides.append(round(smallest))
    return sides


def tile_boxes(shape: tuple[int, ...], side: int) -> list[tuple[int, int, int, int]]:
    """Overlapping squares (x0, y0, x1, y1) that cover the picture."""

    def starts(length: int) -> list[int]:
        if length <= side:
            return [0]
        number = int(np.ceil((length - side) / (side * (1 - TILE_OVERLAP)))) + 1
        return [round(value) for value in np.linspace(0, length - side, number)]

    height, width = shape[:2]
    return [
        (x, y, min(width, x + side), min(height, y + side))
        for y in starts(height)
        for x in starts(width)
    ]


def touches_edge(
    detection: Detection, tile: tuple[int, int, int, int], shape: tuple[int, ...]
) -> bool:
    """Tell whether a face is cut by an edge of the tile that is no edge of the picture."""
    x0, y0, x1, y1 = detection.box
    return bool(
        (x0 < tile[0] and tile[0] > 0)
        or (y0 < tile[1] and tile[1] > 0)
        or (x1 > tile[2] and tile[2] < shape[1])
        or (y1 > tile[3] and tile[3] < shape[0])
    )


def face_side(candidate: Candidate) -> float:
    """The longer side of a face in pixels."""
    box = candidate.detection.box
    return float(max(box[2] - box[0], box[3] - box[1]))


def merged(candidates: list[Candidate]) -> list[Candidate]:
    """One candidate for each face, best first."""
    kept: list[Candidate] = []
    for item in sorted(candidates, key=lambda item: -item.detection.score):
        if all(overlap(item.detection.box, other.detection.box) <= 0.4 for other in kept):
            kept.append(item)
    return kept


def overlap(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Intersection over the smaller of two boxes, in [0, 1]."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    common = float(np.prod(np.maximum(high - low, 0.0)))
    smaller = min(float(np.prod(box[2:] - box[:2])) for box in (first, second))
    return common / max(smaller, 1e-6)
