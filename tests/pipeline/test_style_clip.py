"""A speaking style measured on a clip of the renderer's own whose motion is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talkhead_cli.errors import InputError
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.settings import RenderSettings
from talkhead_cli.style_clip import load_style
from talkhead_models.motion import FaceMotion
from talkhead_models.speech import SpeechFeatures
from talkhead_models.style import StyleStatistics, made_up_speech
from tests.conftest import run_ffmpeg
from tests.pipeline.conftest import FILMED_SECONDS, Filmed


def test_the_manner_of_a_clip_is_found_in_it(lively: TalkingHeadPipeline, filmed: Filmed) -> None:
    clip = load_style(filmed.path)
    known = StyleStatistics.of(filmed.motion, lively.basis)
    assert clip.seconds == pytest.approx(FILMED_SECONDS)
    assert clip.lost_frames == 0
    assert any("say little of a manner" in warning for warning in clip.warnings)
    # A portrait's limits narrow large turns, and a tracker sees small lips a little otherwise.
    np.testing.assert_allclose(clip.statistics.turn, known.turn, rtol=0.5)
    np.testing.assert_allclose(clip.statistics.speed, known.speed, rtol=0.6)
    assert clip.statistics.openings[0] == pytest.approx(known.openings[0], rel=0.4)
    assert clip.statistics.blinks == known.blinks


def test_speaking_in_a_style_and_then_as_usual(lively: TalkingHeadPipeline, filmed: Filmed) -> None:
    settings = RenderSettings.model_validate({"device": "cpu", "num_inference_steps": 1})
    pipeline = TalkingHeadPipeline(settings, lively.networks)
    features = SpeechFeatures(made_up_speech(20, 4.0), 4.0)

    def moved() -> np.ndarray:
        return np.concatenate([m.to_array() for m in pipeline.motion(features, 100)])

    usual = moved()
    style = load_style(filmed.path).learnt_by(pipeline)
    pipeline.perform_as(style)
    styled = moved()
    assert np.abs(styled - usual).max() > 0.1
    gaps = [
        lively.basis.lip_gap(FaceMotion.from_array(rows).expression) for rows in (usual, styled)
    ]
    # Another manner, the same words.
    assert np.corrcoef(gaps)[0, 1] > 0.9
    pipeline.perform_as(None)
    assert np.array_equal(moved(), usual)


def test_a_clip_too_short_for_a_style(filmed: Filmed, tmp_path: Path) -> None:
    short = tmp_path / "short.mp4"
    run_ffmpeg("-i", filmed.path, "-t", 1.5, short)
    with pytest.raises(InputError, match="a style needs 3 s"):
        load_style(short)
