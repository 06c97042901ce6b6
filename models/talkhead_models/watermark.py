"""The invisible watermark: made once for a render, added to every frame alike.

It is a pattern of about half a level of 255, stronger in textures than on smooth walls, that does not move. See
docs/watermark.md for the method, its figures and its limits; it is read by `talkhead_cli.marking.watermark_reader`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from talkhead_models.watermark_code import encode_payload
from talkhead_models.watermark_pattern import (
    Floats,
    blur,
    correlate,
    flatten,
    make_patterns,
    place_of,
    to_grid,
    whiten,
)

Bytes = NDArray[np.uint8]

WEIGHTS = (0.299, 0.587, 0.114)
"""Luma of red, green and blue."""

FAINTEST, STRONGEST = 0.42, 0.72
"""Levels of 255, rms, of the pattern where a picture is smooth, and where it is textured."""

PER_TEXTURE = 0.06
"""Levels of the pattern for a level of texture, rms."""

TEXTURE_REACH = 3.0
"""Sigma in cells that texture is measured over."""

PEAK = 2.2
"""Most that the pattern exceeds its rms by."""

ROUNDS = 2
"""Of evening out how well the patterns are found."""

PILOT = 1.15
"""How much better than the others the pattern is to be found that tells that there is a watermark."""


@dataclass(frozen=True)
class Watermark:
    """What is added to and taken from frames.

    Attributes:
        raised: (H, W) uint8, levels added.
        lowered: (H, W) uint8, levels taken off.
    """

    raised: Bytes
    lowered: Bytes
    _spread: dict[int, tuple[Bytes, Bytes]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def create(cls, picture: Bytes, payload: int) -> Watermark:
        """The watermark of a clip.

        Args:
            picture: (H, W, 3) uint8 RGB, what most of the clip looks like.
            payload: 32 bits.

        Raises:
            ValueError: a payload of more bits.
        """
        height, width = picture.shape[:2]
        luma = cv2.transform(picture.astype(np.float32), np.array([WEIGHTS], np.float32))
        cells = to_grid(np.asarray(luma, np.float32).reshape(height, width))
        strength = visible_limit(cells)
        pattern = balanced(cells, strength, payload, width, height)
        scaled = cv2.resize(pattern * strength, (width, height), interpolation=cv2.INTER_CUBIC)
        levels = np.rint(scaled).astype(np.int16)
        return cls(np.maximum(levels, 0).astype(np.uint8), np.maximum(-levels, 0).astype(np.uint8))

    @property
    def levels(self) -> NDArray[np.int16]:
        """(H, W) what a frame's luma is changed by."""
        return self.raised.astype(np.int16) - self.lowered

    def add(self, frames: Bytes) -> Bytes:
        """Frames with the watermark; see `add_to`."""
        marked = frames.copy()
        self.add_to(marked)
        return marked

    def add_to(self, frames: Bytes) -> None:
        """Put the watermark into frames, in place.

        Args:
            frames: (n, H, W, 3) uint8 RGB, (n, H, W, 4) RGBA, or planes (n, 3 H / 2, W). Alpha and chroma stay.

        Raises:
            ValueError: frames of another size.
        """
        height, width = self.raised.shape
        if frames.shape[1:] == (height * 3 // 2, width):
            targets, channels = frames[:, :height], 1
        elif frames.shape[1:3] == (height, width) and frames.shape[3:] in {(3,), (4,)}:
            targets, channels = frames, frames.shape[3]
        else:
            raise ValueError(f"frames of {width}x{height} are wanted, got {frames.shape}")
        raised, lowered = self._levels_of(channels)
        for target in targets:
            # OpenCV's bytes do not wrap around.
            cv2.add(target, raised, dst=target)
            cv2.subtract(target, lowered, dst=target)

    def _levels_of(self, channels: int) -> tuple[Bytes, Bytes]:
        """What is added to and taken from pixels of so many channels, a fourth left alone."""
        if channels == 1:
            return self.raised, self.lowered
        if channels not in self._spread:
            mask = np.array([1, 1, 1, 0], np.uint8)[:channels]
            self._spread[channels] = self.raised[..., None] * mask, self.lowered[..., None] * mask
        return self._spread[channels]


def visible_limit(cells: Floats) -> Floats:
    """Levels of 255, rms, that the pattern has in each cell: an eye sees less in a texture than on a wall."""
    rest = cells - blur(cells, 2.0)
    texture = np.sqrt(blur(rest * rest, TEXTURE_REACH))
    return np.clip(FAINTEST + PER_TEXTURE * texture, FAINTEST, STRONGEST).astype(np.float32)


def balanced(cells: Floats, strength: Floats, payload: int, width: int, height: int) -> Floats:
    """The sum of a payload's patterns, of standard deviation 1, so weighted that all are found equally well.

    A picture has something of each pattern by chance, for or against it. It is known here, so a pattern that
    it hides is made stronger at the cost of the others (informed embedding).

    Args:
        cells: (GRID, GRID) the picture.
        strength: (GRID, GRID) levels that the pattern will have.
        payload: 32 bits.
        width: of the frames.
        height: of the frames.
    """
    patterns = make_patterns(payload, width, height)
    places = [(0, 0), *map(place_of, encode_payload(payload))]
    wanted = np.ones(len(patterns))
    wanted[0] = PILOT
    weights = wanted.copy()
    pattern = normal_sum(patterns, weights)
    for _ in range(ROUNDS):
        spectrum = whiten(flatten(cells + strength * pattern), width, height)
        found = np.array([correlate(spectrum, k)[place] for k, place in enumerate(places)])
        scores = np.maximum(found / wanted, 1.0)
        weights *= np.clip(scores.mean() / scores, 0.5, 2.0) ** 0.7
        pattern = normal_sum(patterns, weights)
    return pattern


def normal_sum(patterns: Floats, weights: NDArray[np.float64]) -> Floats:
    """A weighted sum of standard deviation 1, its peaks cut."""
    pattern = np.tensordot(weights, patterns, 1)
    return np.clip(pattern / pattern.std(), -PEAK, PEAK).astype(np.float32)
