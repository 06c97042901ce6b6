"""The whole pipeline with the shipped weights on a short clip."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from talkhead_cli.errors import AudioError, DeviceError, WeightsError
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.playback import scale_motion
from talkhead_cli.settings import RenderSettings
from talkhead_models.motion import MOTION_SIZE, FaceMotion
from talkhead_models.speech import FEATURE_SIZE, SpeechFeatures


def settings(**values: object) -> RenderSettings:
    return RenderSettings.model_validate({"device": "cpu", "seed": 3, **values})


def speech(seconds: float, viseme: int = 0, loudness: float = 0.0) -> SpeechFeatures:
    steps = round(seconds * 25) * 2
    array = np.zeros((steps, FEATURE_SIZE), np.float32)
    array[:, viseme] = 1
    array[:, 16] = loudness
    return SpeechFeatures(array, steps / 50)


def collect(pipeline: TalkingHeadPipeline, features: SpeechFeatures, frames: int) -> np.ndarray:
    return np.concatenate([m.to_array() for m in pipeline.motion(features, frames)])


@pytest.fixture(scope="module")
def pipeline() -> TalkingHeadPipeline:
    return TalkingHeadPipeline(settings())


def test_same_seed_same_motion_and_other_seed_other_motion(pipeline):
    features = speech(2.0, viseme=11, loudness=0.8)
    first, again = (collect(pipeline, features, 50) for _ in range(2))
    other = collect(TalkingHeadPipeline(settings(seed=4)), features, 50)
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_lips_rest_in_silence(pipeline):
    motion = collect(pipeline, speech(4.0), 100)
    assert pipeline.basis.lip_gap(motion[:, :32])[10:].mean() < 0.02


def test_open_vowel_opens_the_mouth(pipeline):
    array = np.concatenate([speech(1.0).array, speech(0.4, 11, 0.9).array, speech(1.0).array])
    motion = collect(pipeline, SpeechFeatures(array, len(array) / 50), 60)
    assert pipeline.basis.lip_gap(motion[:, :32])[25:36].max() > 0.05


@pytest.mark.parametrize("fps", [24, "30000/1001", 60])
def test_other_frame_rates_have_other_frames(fps):
    rate = Fraction(fps)
    count = round(2 * rate)
    motion = collect(TalkingHeadPipeline(settings(fps=fps)), speech(2.0, 11, 0.8), count)
    assert len(motion) == count
    assert np.abs(np.diff(motion[:, 36:39], axis=0)).max(1).min() > 0, "a frame was repeated"


def test_scales():
    wild = FaceMotion.from_array(np.full((3, MOTION_SIZE), 2, np.float32))
    out = scale_motion(wild, settings(still=True, expression_scale=0.5, blink_scale=0.0))
    assert not out.rotation.any()
    assert not out.translation.any()
    assert not out.lids.any()
    assert np.allclose(out.expression, 1)


def test_frames_come_in_the_number_asked_for(pipeline, portrait):
    # Speech a frame short of what was asked for: the last frame is held.
    frames = list(pipeline.render(portrait, speech(0.4, 11, 0.9), 12))
    assert sum(map(len, frames)) == 12
    assert frames[0].shape[1:] == portrait.image.shape
    assert frames[0].dtype == np.uint8
    assert set(pipeline.hashes) >= {"face-basis", "talkhead", "refiner-mouth"}


def test_with_alpha_the_person_is_the_same(pipeline, portrait):
    clear = TalkingHeadPipeline(settings(alpha=True), pipeline.networks)
    features = speech(0.4, 11, 0.9)
    opaque = np.concatenate(list(pipeline.render(portrait, features, 6)))
    frames = np.concatenate(list(clear.render(portrait, features, 6)))
    assert frames.shape == (*opaque.shape[:3], 4)
    alpha = frames[..., 3]
    assert 0.3 < (alpha == 255).mean() < 0.9
    assert (alpha == 0).mean() > 0.05
    error = np.abs(frames[..., :3].astype(int) - opaque).max(-1)
    # Mouth and eyes are painted into it alike; at the very outline interpolation overshoots alpha. The maps of the
    # opaque picture's bands are rounded to 1/32 of a pixel a little differently.
    inside = [cv2.erode(plane, np.ones((5, 5), np.uint8)) == 255 for plane in alpha]
    assert (error[np.stack(inside)] > 2).mean() < 1e-3


def test_a_recording_is_heard_as_long_as_it_is(pipeline, short_wav, speech_wav):
    features, count = pipeline.listen(short_wav)
    assert count == 30
    assert features.duration_seconds == pytest.approx(1.2, abs=1e-3)
    with pytest.raises(AudioError, match="longer than the 2 seconds allowed"):
        TalkingHeadPipeline(settings(max_seconds=2), pipeline.networks).listen(speech_wav)


def test_what_a_pipeline_cannot_have_is_an_error_of_ours():
    with pytest.raises(WeightsError, match="nowhere"):
        TalkingHeadPipeline(settings(bundle="nowhere"))
    with pytest.raises(DeviceError, match="cuda:7"):
        TalkingHeadPipeline(settings(device="cuda:7"))


def test_a_pipeline_lets_go_of_its_networks():
    with TalkingHeadPipeline(settings(device="auto")) as pipeline:
        assert pipeline.settings.device != "auto"
    assert not hasattr(pipeline, "networks")
