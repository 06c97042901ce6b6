"""Folds of the mesh: where a wide-open lower lip would slide over the chin's skin, the skin gives way instead."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

COLUMNS = (
    (146, 43, 202, 210),
    (91, 106, 204, 211),
    (181, 182, 194, 32),
    (84, 83, 201, 208),
    (17, 18, 200, 199),
    (314, 313, 421, 428),
    (405, 406, 418, 262),
    (321, 335, 424, 431),
    (375, 273, 422, 430),
)
"""Points from the lower lip's outer edge down to the chin, a column each, right to left of the face."""

LEAST = 0.5
"""Share of the neutral distance that neighbours of a column keep at least."""

SOFT = 0.15
"""Width of the transition, in shares of the least distance."""


def unfold_chin(mesh: Array, neutral: Array) -> None:
    """Keep the rings below the lower lip apart, in place; where nothing folds nothing moves visibly.

    Args:
        mesh: (T, 478, 3) canonical, y down.
        neutral: (478, 3) canonical.
    """
    columns = np.array(COLUMNS)
    for upper, lower in zip(columns.T[:-1], columns.T[1:], strict=True):
        least = LEAST * np.maximum(neutral[lower, 1] - neutral[upper, 1], 1e-3)
        distance = mesh[:, lower, 1] - mesh[:, upper, 1]
        soft = SOFT * least
        # Softplus: the distance itself while there is enough of it, never below the least.
        kept = least + soft * np.logaddexp(0, (distance - least) / soft)
        mesh[:, lower, 1] += kept - distance
