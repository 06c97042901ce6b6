"""Steadiness of the picture: warping error by optical flow, flicker and sharpness of the mouth."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.evaluation.face import FaceFrame
from talkhead_models import topology as topo
from talkhead_models.patches import MOUTH, crop_patch
from talkhead_models.warp import coverage, transform

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]

OUTER_LIPS = (
    topo.OUTER_CORNERS[0],
    *topo.UPPER_OUTER_LIP,
    topo.OUTER_CORNERS[1],
    *reversed(topo.LOWER_OUTER_LIP),
)
"""The mouth as a closed polygon."""

LARGEST_ZOOM = 8
"""How many times as fine as the patch a mouth is read at most."""
FLOW_SIDE = 512
"""Longest side of the picture that optical flow is taken on."""
FLOW_PAIRS = 600
"""About how many pairs of frames of a long video optical flow is taken on."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def luma(patch: Pixels) -> Array:
    """Brightness (h, w) float32 in [0, 255] of RGB pixels (h, w, 3)."""
    return np.asarray(patch @ LUMA, np.float32)


def mouth_patch(frame: FaceFrame) -> Pixels:
    """The mouth in the canonical patch, (96, 96, 3) uint8 RGB; large faces are averaged, not sampled."""
    import cv2

    shrinking = 1 / max(float(np.hypot(frame.patch_frame[0, 0], frame.patch_frame[1, 0])), 1e-6)
    zoom = int(np.clip(round(shrinking), 1, LARGEST_ZOOM))
    if zoom == 1:
        return crop_patch(MOUTH, frame.image, frame.patch_frame)
    # Pixel centres: the middle of a zoomed pixel's block stays where it was.
    zoomed = frame.patch_frame * np.float32(zoom)
    zoomed[:, 2] += (zoom - 1) / 2
    size = (MOUTH.width * zoom, MOUTH.height * zoom)
    large = cv2.warpAffine(frame.image, zoomed, size, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(large, (MOUTH.width, MOUTH.height), interpolation=cv2.INTER_AREA))


def mouth_region(frame: FaceFrame) -> Array:
    """What the lips and the mouth cover of the canonical patch, (96, 96) float32 in [0, 1]."""
    outline = transform(frame.mesh[list(OUTER_LIPS), :2], frame.patch_frame)
    return coverage(outline, (MOUTH.width, MOUTH.height))


def weighted_mean(values: Array, weight: Array) -> float:
    """Mean of values (h, w) under a weight (h, w)."""
    return float((values * weight).sum() / max(float(weight.sum()), 1e-6))


def gradient_energy(picture: Array, region: Array) -> float:
    """Mean absolute difference of neighbours, across and down, within a region: levels a pixel.

    Args:
        picture: (h, w) float32 brightness.
        region: (h, w) float32 in [0, 1].
    """
    across = np.abs(np.diff(picture, axis=1))
    down = np.abs(np.diff(picture, axis=0))
    return weighted_mean(across, region[:, 1:]) + weighted_mean(down, region[1:])


class MouthRecorder:
    """Sharpness and flicker of the mouth, frame by frame; keeps three small patches."""

    def __init__(self) -> None:
        self._patches: list[tuple[Array, Array]] = []
        self._sharpness: list[float] = []
        self._flicker: list[float] = []

    def push(self, frame: FaceFrame) -> None:
        """Take the next frame; a lost one breaks the series."""
        if frame.lost:
            self._patches.clear()
            return
        self.push_patch(luma(mouth_patch(frame)), mouth_region(frame))

    def push_patch(self, patch: Array, region: Array) -> None:
        """Take the next patch (96, 96) float32 with its mouth region (96, 96)."""
        self._patches.append((patch, region))
        self._sharpness.append(gradient_energy(patch, region))
        if len(self._patches) == 3:
            (before, _), (middle, inside), (after, _) = self._patches
            self._flicker.append(weighted_mean(np.abs(before - 2 * middle + after), inside))
            self._patches.pop(0)

    @property
    def sharpness(self) -> float | None:
        """Mean gradient energy."""
        return float(np.mean(self._sharpness)) if self._sharpness else None

    @property
    def flicker(self) -> float | None:
        """Mean absolute second difference in time, in levels."""
        return float(np.mean(self._flicker)) if self._flicker else None


@dataclass
class RegionSum:
    """A mean that grows."""

    total: float = 0.0
    weight: float = 0.0

    def add(self, error: Array, valid: NDArray[np.bool_]) -> None:
        """Count the valid pixels of an error map."""
        self.total += float(error[valid].sum())
        self.weight += float(valid.sum())

    @property
    def mean(self) -> float | None:
        """None of nothing."""
        return self.total / self.weight if self.weight else None


class WarpingRecorder:
    """Warping error between consecutive frames (Lai et al. 2018), for the whole picture and parts of it.

    Optical flow between the two frames (DIS, Kroeger et al. 2016), the later one warped back on to the earlier, mean
    absolute difference in levels over the pixels that both show (Ruder et al. 2016).

    Args:
        background: (H, W) bool, pixels that no person ever covers; None where it is not known.
        every: take only every so manieth pair.
    """

    def __init__(self, background: NDArray[np.bool_] | None, every: int = 1) -> None:
        import cv2

        self._background = background
        self._every = every
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._before: tuple[int, Pixels] | None = None
        self._count = 0
        self.whole, self.behind, self.mouth = RegionSum(), RegionSum(), RegionSum()

    def push(self, image: Pixels, lips: Array | None = None) -> None:
        """Take the next frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            lips: (N, 2) pixels, the mouth's outline in it; None where there is none.
        """
        number, self._count = self._count, self._count + 1
        ahead, due = (number + 1) % self._every == 0, number % self._every == 0
        if not (ahead or due):
            return
        small, scale = shrink(image)
        if due and self._before is not None and self._before[0] == number - 1:
            self._compare(self._before[1], small, None if lips is None else lips * scale)
        self._before = (number, small)

    def _compare(self, before: Pixels, after: Pixels, lips: Array | None) -> None:
        import cv2

        error, valid = warping_error(before, after, self._flow)
        self.whole.add(error, valid)
        if self._background is not None:
            size = (error.shape[1], error.shape[0])
            if self._background.shape != error.shape:
                small = cv2.resize(
                    self._background.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA
                )
                self._background = np.asarray(small) == 255
            self.behind.add(error, valid & self._background)
        if lips is not None:
            inside = coverage(lips, (error.shape[1], error.shape[0])) > 0.5
            self.mouth.add(error, valid & inside)


def shrink(image: Pixels) -> tuple[Pixels, float]:
    """A picture of at most `FLOW_SIDE` pixels a side, and its scale."""
    import cv2

    scale = FLOW_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image, 1.0
    size = (max(16, round(image.shape[1] * scale)), max(16, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def warping_error(before: Pixels, after: Pixels, flow: object) -> tuple[Array, NDArray[np.bool_]]:
    """Difference (h, w) float32 in levels of the later frame, warped, to the earlier; and where it counts (h, w).

    Args:
        before, after: (h, w, 3) uint8 RGB.
        flow: an optical flow of OpenCV's.
    """
    import cv2

    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (before, after)]
    forward = np.asarray(flow.calc(greys[0], greys[1], None), np.float32)  # type: ignore[attr-defined]
    backward = np.asarray(flow.calc(greys[1], greys[0], None), np.float32)  # type: ignore[attr-defined]
    height, width = greys[0].shape
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    x, y = columns + forward[..., 0], rows + forward[..., 1]
    warped = cv2.remap(after, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    back = cv2.remap(backward, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    red, green, blue = cv2.split(cv2.absdiff(warped, before))
    error = (red.astype(np.float32) + green + blue) / 3
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return error, inside & consistent(forward, back) & ~motion_boundary(forward)


def squared_length(flow: Array) -> Array:
    """|flow|^2 (h, w) of a flow (h, w, 2)."""
    return np.asarray(flow[..., 0] ** 2 + flow[..., 1] ** 2, np.float32)


def consistent(forward: Array, back: Array) -> NDArray[np.bool_]:
    """Where forward flow (h, w, 2) and backward flow at its end cancel: pixels that both frames show."""
    size = squared_length(forward) + squared_length(back)
    return np.asarray(squared_length(forward + back) <= 0.01 * size + 0.5)


def motion_boundary(flow: Array) -> NDArray[np.bool_]:
    """Where a flow (h, w, 2) has an edge: one thing moves in front of another."""
    down, across = np.gradient(flow, axis=(0, 1))
    slope = squared_length(down) + squared_length(across)
    return np.asarray(slope > 0.01 * squared_length(flow) + 0.002)


def pair_stride(expected_frames: int, fps: float) -> int:
    """Every so manieth pair of frames is taken, out of step with key frames, which come every two seconds."""
    every = max(1, expected_frames // FLOW_PAIRS)
    while gcd(every, max(1, round(2 * fps))) != 1:
        every += 1
    return every
