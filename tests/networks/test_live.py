"""Motion from speech that arrives in blocks equals motion from all of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from talkhead_models.generator import FEATURES_PER_FRAME, GenerateOptions, MotionGenerator
from talkhead_models.live import stream_motion
from tests.networks.test_generator import FEATURE_SIZE, make_features, make_generator

OPTIONS = GenerateOptions(num_inference_steps=1)


@pytest.fixture(scope="module")
def generator() -> MotionGenerator:
    return make_generator()


def cut(features: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    """Blocks of these sizes, the last with all that is left."""
    cuts = [end for end in np.cumsum(sizes) if end < len(features)]
    return np.split(features, cuts)


@settings(max_examples=30)
@given(st.integers(1, 300), st.lists(st.integers(0, 120), max_size=12), st.integers(0, 3))
@example(64, [], 0)
@example(76, [76], 0)
@example(77, [1] * 76, 0)
@example(140, [63, 1, 12, 64], 0)
def test_any_cut_gives_the_same_motion(
    generator: MotionGenerator, length: int, sizes: list[int], seed: int
) -> None:
    features = make_features(length)
    whole = [m.to_array() for m in generator.generate(features, seed, OPTIONS)]
    parts = [m.to_array() for m in stream_motion(generator, cut(features, sizes), seed, OPTIONS)]
    assert [len(part) for part in parts] == [len(part) for part in whole]
    assert all(np.array_equal(part, chunk) for part, chunk in zip(parts, whole, strict=True))


def test_a_chunk_comes_as_soon_as_its_lookahead_is_there(generator: MotionGenerator) -> None:
    given_so_far = 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal given_so_far
        for vector in make_features(300):
            given_so_far += 1
            yield vector[None]

    own = generator.frames_per_chunk * FEATURES_PER_FRAME
    heard = []
    for motion in stream_motion(generator, blocks(), 0, OPTIONS):
        assert motion.num_frames
        heard.append(given_so_far)
    whole = [own * (index + 1) + generator.lookahead for index in range(len(heard))]
    assert heard == [min(wanted, 300) for wanted in whole]


def test_no_features_give_no_motion(generator: MotionGenerator) -> None:
    assert list(stream_motion(generator, [], 0)) == []
    assert list(stream_motion(generator, [np.zeros((0, FEATURE_SIZE), np.float32)], 0)) == []


def test_blocks_of_another_width_are_refused(generator: MotionGenerator) -> None:
    with pytest.raises(ValueError, match="features must be"):
        list(stream_motion(generator, [np.zeros((5, FEATURE_SIZE + 1), np.float32)], 0))
