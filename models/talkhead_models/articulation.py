"""Articulatory constraint: lips meet on p, b, m and rest in silence, whatever the sampler left
open.

A generator trained on little speech leaves some closures a fraction open, which people see at
once. The inner-lip gaps
are linear in the expression, so the smallest natural change that closes them is linear too: a
matrix, applied with a weight that follows the viseme posteriors continuously in time. Where the
lips are closed already nothing changes. A lip guide (see `lip_guide`) draws the opening to what the
speech says in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SILENCE, BILABIAL = 0, 1
OPEN_VOWELS = (11, 12, 13)
LOUDNESS = 16

MARGIN = 6
"""Feature vectors needed on each side of the frames for the smoothing in time."""

CLOSED_GAP = -0.003
"""What closed lips come to, outer-eye distances: a little pressed, so that no light is left
between them."""


@dataclass(frozen=True)
class Articulation:
    """The linear maps between expression and inner-lip gaps.

    Attributes:
        gaps: (K, G) float32; ``rest + expression @ gaps`` are the gaps in outer-eye distances.
        rest: (G,) float32, gaps of the neutral face.
        moves: (G, K) float32; ``change @ moves`` is the most natural expression change for a
            change of the gaps.
        open_gap: gap at the middle of the mouth that an open vowel reaches at least, outer-eye
            distances.
    """

    gaps: Array
    rest: Array
    moves: Array
    open_gap: float = 0.0

    def drawn_to(self, expression: Array, opening: Array, weight: float) -> Array:
        """Expression (T, K) with the gap at the middle of the mouth drawn to `opening` (T,) by a
        weight in [0, 1]."""
        middle = self.gaps.shape[1] // 2
        change = weight * (opening - self.rest[middle] - expression @ self.gaps[:, middle])
        return self._open_by(expression, change)

    def _open_by(self, expression: Array, change: Array) -> Array:
        """Expression with the gaps changed by (T,) at the middle, less towards the corners."""
        count = self.gaps.shape[1]
        profile = np.sin(np.pi * (np.arange(count) + 1) / (count + 1))
        moved = (change[:, None] * profile).astype(np.float32) @ self.moves
        return np.asarray(expression + moved, np.float32)

    def __call__(self, expression: Array, features: Array, strength: float = 1.0) -> Array:
        """Constrain some frames.

        Args:
            expression: (T, K) float32.
            features: (2 T + 2 * MARGIN, F) float32, the frames' own vectors with a margin on each
                side.
            strength: 0 = none, 1 = full.

        Returns:
            (T, K) float32.
        """
        closing, resting, opening = weights(features)
        middle = self.gaps.shape[1] // 2
        gap = self.rest + expression @ self.gaps  # (T, G)
        # Opening first: a closure next to a vowel wins.
        missing = np.maximum(0.0, self.open_gap - gap[:, middle]) * opening * strength
        expression = self._open_by(expression, missing)
        gap = self.rest + expression @ self.gaps
        weight = np.maximum(closing, resting)[:, None] * strength
        change = -np.maximum(0.0, gap - CLOSED_GAP) * weight
        return np.asarray(expression + change.astype(np.float32) @ self.moves, np.float32)


def smoothed(values: Array, kernel: tuple[float, ...]) -> Array:
    """Convolution of (L,) with a kernel of odd length that sums to 1, shorter by its length less
    one."""
    weights = np.array(kernel, np.float32)
    return np.convolve(values, weights / weights.sum(), "valid").astype(np.float32)


def per_frame(values: Array, num_frames: int) -> Array:
    """Values at 50/s to their mean over each video frame; what the smoothing left over is cut
    evenly."""
    spare = (len(values) - 2 * num_frames) // 2
    pairs = values[spare : spare + 2 * num_frames].reshape(num_frames, 2)
    return np.asarray(pairs.mean(1), np.float32)


def highest(values: Array, num_frames: int) -> Array:
    """Values at 50/s to the larger of each video frame's two; what is left over is cut evenly."""
    spare = (len(values) - 2 * num_frames) // 2
    pairs = values[spare : spare + 2 * num_frames].reshape(num_frames, 2)
    return np.asarray(pairs.max(1), np.float32)


def weights(features: Array) -> tuple[Array, Array, Array]:
    """How much each frame should be closed (p, b, m), at rest (silence), and open (vowels), (T,)
    each in [0, 1].

    Args:
        features: (2 T + 2 * MARGIN, F).
    """
    num_frames = len(features) // 2 - MARGIN
    # An unsure encoder gives p, b, m a third and their rivals a sixth each: what counts is the lead.
    bilabial, others = features[:, BILABIAL], features[:, BILABIAL + 1 : LOUDNESS].max(1)
    rivals = 0.7 * others + 0.3 * features[:, SILENCE]
    lead = bilabial / (bilabial + rivals + 1e-6)
    steady = 3.0 * per_frame(smoothed(lead, (1, 2, 3, 2, 1)), num_frames) - 0.6
    # A short stop is over before a mean of a tenth of a second has risen: its height counts, too.
    brief = 3.0 * highest(smoothed(lead, (1, 2, 1)), num_frames) - 0.9
    closing = np.clip(np.maximum(steady, brief), 0, 1)
    # Rest needs silence for a while: the smallest of a tenth of a second, then smooth.
    silent = features[:, SILENCE]
    sustained = np.min([silent[i : len(silent) - 4 + i] for i in range(5)], axis=0)
    resting = np.clip(
        1.4 * per_frame(smoothed(sustained, (1, 2, 3, 4, 3, 2, 1)), num_frames) - 0.4, 0, 1
    )
    vowels = features[:, list(OPEN_VOWELS)].sum(1)
    opening = np.clip(2.2 * per_frame(smoothed(vowels, (1, 2, 3, 2, 1)), num_frames) - 0.5, 0, 1)
    return closing, resting, opening * (1 - closing)


def fit_moves(gaps: Array, expressions: Array, ridge: float = 1e-5) -> Array:
    """The most natural expression change for a change of the gaps, (G, K).

    "Natural" is small in the metric of real expressions' covariance: lips close the way they close
    in real speech.

    Args:
        gaps: (K, G).
        expressions: (N, K) real expressions.
        ridge: in squared outer-eye distances; what the gaps may miss rather than bend the face.
    """
    covariance = np.cov(expressions.T)
    spread = covariance @ gaps
    inner = gaps.T @ spread + ridge * np.eye(gaps.shape[1])
    return np.asarray(np.linalg.solve(inner, spread.T), np.float32)
