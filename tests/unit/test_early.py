"""What is heard of a chunk before its speech is settled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_cli.audio import features_of
from talkhead_cli.early import early_features, early_views
from talkhead_cli.mel import num_mel_frames
from talkhead_cli.sample_blocks import BlockCutter
from talkhead_models.lip_audio import LipAudioEncoder
from talkhead_models.live import SETTLED, EarPlan
from talkhead_models.speech import SpeechConfig, SpeechEncoder
from talkhead_models.streaming import silence

SMALL = SpeechConfig(channels=8, front_channels=(4, 4, 4))
PLANS = st.builds(EarPlan, st.sampled_from([8, 16, 32, 64]), st.integers(0, 40), st.just(12))


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    return SpeechEncoder(SMALL).eval()


def speech(num_samples: int) -> np.ndarray:
    """Noise that comes and goes."""
    swell = np.sin(np.arange(num_samples) / 1500) ** 2
    noise = np.random.default_rng(0).normal(0, 0.1, num_samples)
    return (noise * swell).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(PLANS, st.integers(1, 30_000), st.lists(st.integers(0, 9000), max_size=6))
def test_how_the_sound_arrives_changes_nothing(
    encoder: SpeechEncoder, plan: EarPlan, num_samples: int, sizes: list[int]
) -> None:
    samples = speech(num_samples)
    array, views = early_features(iter([samples]), encoder, plan)
    pieces = np.split(samples, np.minimum(np.cumsum(sizes, dtype=int), num_samples))
    found = list(early_views(iter(pieces), encoder, plan))
    assert sum(view.num_frames for view in found) == len(array) // 2
    assert len(array) == num_mel_frames(num_samples) // 2
    assert all(view.num_frames == plan.own // 2 for view in found[:-1])
    np.testing.assert_array_equal(np.stack([view.features for view in found]), views)
    assert views.shape[1] == plan.back + plan.own + plan.lookahead


@pytest.mark.parametrize("own", [8, 64])
@pytest.mark.parametrize("wide", [False, True])
def test_speech_that_is_waited_for_is_settled(encoder: SpeechEncoder, own: int, wide: bool) -> None:
    lips = LipAudioEncoder(
        SpeechConfig(**{**vars(SMALL), "dilations": (1,) * 4, "lookaheads": (2,) * 4})
    )
    samples, lip_encoder = speech(40_000), lips.eval() if wide else None
    settled = np.concatenate(list(features_of(iter([samples]), encoder, lip_encoder)))
    array, views = early_features(iter([samples]), encoder, EarPlan(own, SETTLED, 12), lip_encoder)
    np.testing.assert_allclose(array, settled, atol=1e-4)
    padded = np.concatenate([settled, silence(own + 12, settled.shape[1])])
    for index, view in enumerate(views):
        np.testing.assert_allclose(view, padded[index * own :][: own + 12], atol=1e-4)


@pytest.mark.parametrize("ahead", [0, 12, 20])
def test_no_chunk_knows_what_was_said_after_it(encoder: SpeechEncoder, ahead: int) -> None:
    plan, samples = EarPlan(8, ahead, 12), speech(32_000)
    other = samples.copy()
    chunks = 6
    heard = plan.heard(chunks - 1) * 320 + 120
    other[heard:] = -0.3
    _, first = early_features(iter([samples]), encoder, plan)
    _, second = early_features(iter([other]), encoder, plan)
    np.testing.assert_array_equal(first[:chunks], second[:chunks])
    assert not np.array_equal(first[chunks], second[chunks])


def test_the_past_is_read_again_as_it_is_known_by_then(encoder: SpeechEncoder) -> None:
    plan, samples = EarPlan(8, 4, 12), speech(32_000)
    settled = np.concatenate(list(features_of(iter([samples]), encoder)))
    _, views = early_features(iter([samples]), encoder, plan)
    index = 7
    start = index * plan.own - plan.back
    # 20 steps behind the newest that is heard, all is settled; nearer, it is not.
    known = plan.heard(index) - 20 - start
    np.testing.assert_allclose(views[index][:known], settled[start:][:known], atol=1e-4)
    assert np.abs(views[index][known:28] - settled[start + known :][: 28 - known]).max() > 1e-3
    np.testing.assert_array_equal(views[index][-8:], np.repeat(views[index][-9:-8], 8, 0))


@given(st.lists(st.binary(max_size=40), max_size=10), st.integers(1, 9))
def test_samples_are_cut_into_blocks(pieces: list[bytes], size: int) -> None:
    blocks: list[np.ndarray] = []
    cutter = BlockCutter("s16le", size, blocks.append)
    for piece in pieces:
        cutter.push(piece)
    cutter.finish()
    data = b"".join(pieces)
    whole = np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32) / 32768
    assert all(len(block) == size for block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate([np.zeros(0), *blocks]), whole)
