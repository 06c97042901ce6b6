"""The articulatory constraint sees stops that last forty milliseconds."""

from __future__ import annotations

import numpy as np
import pytest

from talkhead_models.articulation import MARGIN, highest, weights
from talkhead_models.speech import VISEMES

VOWEL, BILABIAL = VISEMES.index("AA"), VISEMES.index("PBM")


def features_with_stop(first: int, count: int, share: float = 1.0) -> np.ndarray:
    """A vowel of forty frames with a stop of so many steps in it."""
    features = np.zeros((80 + 2 * MARGIN, 20), np.float32)
    features[:, VOWEL] = 1
    stop = slice(MARGIN + first, MARGIN + first + count)
    features[stop, BILABIAL], features[stop, VOWEL] = share, 1 - share
    return features


@pytest.mark.parametrize("first", [40, 41])
def test_a_stop_of_two_steps_closes_a_frame(first: int) -> None:
    closing, _, opening = weights(features_with_stop(first, 2))
    assert closing.max() == 1
    assert np.flatnonzero(closing == 1).tolist() in ([20], [20, 21])
    assert np.flatnonzero(closing).min() >= 18
    assert np.flatnonzero(closing).max() <= 22
    assert opening[closing == 1].max() == 0


def test_a_doubtful_stop_closes_less() -> None:
    heard = [weights(features_with_stop(40, 2, share))[0].max() for share in (0.2, 0.4, 0.6, 1.0)]
    assert heard == sorted(heard)
    assert heard[0] == 0
    assert 0 < heard[1] < heard[2] <= 1


def test_a_single_step_is_not_believed_fully() -> None:
    assert weights(features_with_stop(40, 1))[0].max() < 1


def test_highest_takes_the_larger_of_a_frames_two() -> None:
    values = np.array([9, 1, 2, 3, 0, 5, 4, 9], np.float32)
    assert highest(values, 3).tolist() == [2, 3, 5]
