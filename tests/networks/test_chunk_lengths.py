"""Chunks that are shorter than what the network makes at once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_models.generator import GenerateOptions, MotionGenerator
from talkhead_models.joining import POSE, join
from talkhead_models.live import View, stream_motion
from talkhead_models.streaming import ChunkPlan, StreamState, chunk_features
from tests.networks.test_generator import DENOISER, make_features, make_generator

OPTIONS = GenerateOptions(num_inference_steps=1)


@pytest.fixture(scope="module")
def generator() -> MotionGenerator:
    return make_generator()


@settings(max_examples=8, deadline=None)
@given(
    st.sampled_from([4, 8, 16, 32]),
    st.integers(1, 150),
    st.lists(st.integers(0, 60), max_size=6),
    st.integers(0, 3),
)
def test_a_stream_is_the_file_and_follows_the_plan(
    generator: MotionGenerator, chunk: int, length: int, sizes: list[int], seed: int
) -> None:
    features = make_features(length)
    short = generator.in_chunks_of(chunk)
    whole = [m.to_array() for m in short.generate(features, seed, OPTIONS)]
    blocks = np.split(features, [end for end in np.cumsum(sizes) if end < length])
    parts = [m.to_array() for m in stream_motion(short, blocks, seed, OPTIONS)]
    plan = ChunkPlan(-(-length // 2), chunk)
    assert [len(part) for part in parts] == [plan.frames_of(i) for i in range(plan.num_chunks)]
    np.testing.assert_array_equal(np.concatenate(parts), np.concatenate(whole))
    # What was heard of each chunk says the same as the features themselves.
    views = np.stack(
        [
            chunk_features(features, index, short.denoiser.config, short.chunk_steps)
            for index in range(plan.num_chunks)
        ]
    )
    heard = [View(view, plan.frames_of(index)) for index, view in enumerate(views)]
    seen = [m.to_array() for m in stream_motion(short, heard, seed, OPTIONS)]
    np.testing.assert_array_equal(np.concatenate(seen), np.concatenate(whole))
    walked = [m.to_array() for m, _ in short.walk(features, short.start(seed), OPTIONS, views)]
    np.testing.assert_array_equal(np.concatenate(walked), np.concatenate(whole))


@given(st.integers(1, 5000), st.sampled_from([4, 8, 16, 32]))
def test_a_plan_covers_the_clip(num_frames: int, chunk: int) -> None:
    plan = ChunkPlan(num_frames, chunk)
    sizes = [plan.frames_of(index) for index in range(plan.num_chunks)]
    assert sum(sizes) == num_frames
    assert all(size == chunk for size in sizes[:-1])
    assert 1 <= sizes[-1] <= chunk


@pytest.mark.parametrize("causal", [False, True], ids=["plain", "block-causal"])
def test_a_short_chunk_goes_on_from_a_stored_state(causal: bool) -> None:
    generator = make_generator(dataclasses.replace(DENOISER, block_causal=causal)).in_chunks_of(8)
    features = make_features(90)
    steps = list(generator.walk(features, generator.start(1), OPTIONS))
    whole = np.concatenate([motion.to_array() for motion, _ in steps])
    for index, (_, state) in enumerate(steps[:-1]):
        begin = StreamState.from_bytes(state.to_bytes())
        rest = [m.to_array() for m in generator.generate(features, 1, OPTIONS, begin)]
        np.testing.assert_array_equal(np.concatenate(rest), whole[8 * (index + 1) :])


def test_a_whole_chunk_is_what_it_always_was(generator: MotionGenerator) -> None:
    features = make_features(100)
    usual = [m.to_array() for m in generator.generate(features, 0, OPTIONS)]
    same = [m.to_array() for m in generator.in_chunks_of(32).generate(features, 0, OPTIONS)]
    np.testing.assert_array_equal(np.concatenate(same), np.concatenate(usual))
    short = [m.to_array() for m in generator.in_chunks_of(4).generate(features, 0, OPTIONS)]
    assert generator.frames_per_chunk == 32
    assert not np.array_equal(np.concatenate(short), np.concatenate(usual))


def test_speech_behind_the_look_ahead_is_not_heard(generator: MotionGenerator) -> None:
    short, features = generator.in_chunks_of(4), make_features(100)
    other = features.copy()
    other[2 * 12 + short.lookahead :] = make_features(100, 1)[2 * 12 + short.lookahead :]
    first, second = (
        np.concatenate([m.to_array() for m in short.generate(given, 0, OPTIONS)])
        for given in (features, other)
    )
    np.testing.assert_array_equal(first[:12], second[:12])
    assert not np.array_equal(first[12:16], second[12:16])


@pytest.mark.parametrize("frames", [0, 6, 36])
def test_other_lengths_are_refused(generator: MotionGenerator, frames: int) -> None:
    with pytest.raises(ValueError, match="are no part of 32"):
        generator.in_chunks_of(frames)


def test_the_past_can_be_told_again(generator: MotionGenerator) -> None:
    short, features = generator.in_chunks_of(4), make_features(60)
    config = short.denoiser.config
    _, state = short.step(short.start(0), chunk_features(features, 0, config, 1), OPTIONS)
    usual, after = short.step(state, chunk_features(features, 1, config, 1), OPTIONS)
    # The same past again changes nothing; another is heard, and remembered.
    same, _ = short.step(state, features[2 : 16 + short.lookahead], OPTIONS)
    np.testing.assert_array_equal(same.to_array(), usual.to_array())
    told = np.concatenate([make_features(6, 5), features[8 : 16 + short.lookahead]])
    other, changed = short.step(state, told, OPTIONS)
    assert not np.array_equal(other.to_array(), usual.to_array())
    np.testing.assert_array_equal(changed.speech[-14:-8], told[:6])
    np.testing.assert_array_equal(changed.speech[-8:], after.speech[-8:])
    with pytest.raises(ValueError, match="features of a chunk"):
        short.step(state, features[: 7 + short.lookahead], OPTIONS)


@pytest.mark.parametrize("frames", [4, 8, 16, 32])
def test_motion_that_goes_on_evenly_is_joined_as_it_is(frames: int) -> None:
    even = np.linspace(0, 1, frames + 1, dtype=np.float32)[:, None] * np.ones(54, np.float32)
    joined = join(even[1:], even[0])
    assert joined.shape == (frames, 54)
    if frames > 4:
        assert np.all(np.diff(joined[:, 0]) > -1e-6)
        return
    # A chunk of one latent has no seam to make good: only the face's pace changes.
    np.testing.assert_array_equal(joined[:, POSE], even[1:, POSE])
    np.testing.assert_array_equal(joined[-1], even[-1])
    assert 0 < np.abs(joined - even[1:]).max() < 0.4 / frames
