"""Frames from speech that arrives in blocks are those from all of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from talkhead_cli.early import early_features, early_views
from talkhead_cli.face import Portrait
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.settings import RenderSettings
from talkhead_cli.speech_encoder import speech_encoder
from talkhead_models.live import SpeechStream
from talkhead_models.motion import FaceMotion
from talkhead_models.speech import FEATURE_SIZE, SpeechFeatures

SECONDS = 1.73


def make_features() -> SpeechFeatures:
    rng = np.random.default_rng(0)
    array = np.zeros((88, FEATURE_SIZE), np.float32)
    array[np.arange(88), rng.integers(0, 16, 88)] = 1
    array[:, 16] = 0.8
    return SpeechFeatures(array, SECONDS)


def arriving(features: SpeechFeatures) -> SpeechStream:
    """The same, in blocks of five; the length is told with the last."""

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, features.num_steps, 5):
            if start + 5 >= features.num_steps:
                stream.duration_seconds = features.duration_seconds
            yield features.array[start : start + 5]

    stream = SpeechStream(blocks())
    return stream


@pytest.fixture(scope="module")
def pipeline() -> TalkingHeadPipeline:
    return TalkingHeadPipeline(RenderSettings(device="cpu"))


@pytest.mark.parametrize(
    ("fps", "count", "chunk"),
    [(25, 43, 32), (30, 52, 16), ("30000/1001", 52, 4), (12, 21, 8), (25, 43, 4)],
)
def test_motion_is_the_same_at_any_frame_rate(
    fps: int | str, count: int, chunk: int, pipeline: TalkingHeadPipeline
) -> None:
    chosen = {"device": "cpu", "fps": fps, "chunk_frames": chunk}
    pipeline = TalkingHeadPipeline(RenderSettings.model_validate(chosen), pipeline.networks)
    features = make_features()
    whole = [m.to_array() for m, _ in pipeline._exactly(features, count)]
    parts = [m.to_array() for m, _ in pipeline._exactly(arriving(features), None)]
    assert sum(map(len, parts)) == count
    np.testing.assert_array_equal(np.concatenate(parts), np.concatenate(whole))


def test_frames_are_the_same(portrait: Portrait, pipeline: TalkingHeadPipeline) -> None:
    features = make_features()
    whole = np.concatenate(list(pipeline.render(portrait, features, 43)))
    batches = list(pipeline.render(portrait, arriving(features), None))
    assert [len(batch) for batch in batches[:4]] == [1, 1, 2, 4]
    np.testing.assert_array_equal(np.concatenate(batches), whole)


def test_only_a_stream_may_leave_its_length_open(
    portrait: Portrait, pipeline: TalkingHeadPipeline
) -> None:
    still = FaceMotion.from_array(np.zeros((10, 42), np.float32))
    with pytest.raises(ValueError, match="stream of speech"):
        list(pipeline.render(portrait, [still], None))


@pytest.mark.parametrize(("chunk", "ahead"), [(4, 6), (8, 0)])
def test_speech_heard_early_gives_the_same_motion_from_a_file(
    chunk: int, ahead: int, pipeline: TalkingHeadPipeline
) -> None:
    chosen = {"device": "cpu", "chunk_frames": chunk, "lookahead_frames": ahead}
    early = TalkingHeadPipeline(RenderSettings.model_validate(chosen), pipeline.networks)
    plan = early.ear_plan
    assert plan is not None
    samples = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    samples *= np.sin(np.arange(len(samples)) / 900) ** 2
    encoder = speech_encoder("cpu")
    array, views = early_features(iter([samples]), encoder, plan)
    features = SpeechFeatures(array, 1.0, views)
    pieces = iter(np.split(samples, [1, 700, 5000, 5001, 12_345]))
    stream = SpeechStream(early_views(pieces, encoder, plan), 1.0)
    whole = [m.to_array() for m, _ in early._exactly(features, 25)]
    parts = [m.to_array() for m, _ in early._exactly(stream, None)]
    assert len(parts) == -(-25 // chunk)
    np.testing.assert_array_equal(np.concatenate(parts), np.concatenate(whole))
