"""Fixtures of the pipeline tests."""

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
from PIL import Image
from skimage.data import astronaut

from talkhead_cli.audio import extract_features
from talkhead_cli.face import Portrait, load_portrait
from talkhead_cli.media import VideoWriter
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.settings import RenderSettings
from talkhead_models.motion import FaceMotion
from talkhead_models.speech import load_speech_encoder
from tests.conftest import SPEECH

FILMED_SECONDS = 4.0
FILMED_FRAMES = round(FILMED_SECONDS * 25)


@pytest.fixture(scope="session")
def portrait(tmp_path_factory) -> Portrait:
    """The astronaut's head and shoulders, detected for real."""
    path = tmp_path_factory.mktemp("portrait") / "astronaut.png"
    Image.fromarray(astronaut()).crop((80, 0, 380, 300)).save(path)
    return load_portrait(path)


class Filmed(NamedTuple):
    """A rendered clip with sound, and the motion that is in it."""

    path: Path
    motion: FaceMotion


@pytest.fixture(scope="session")
def lively() -> TalkingHeadPipeline:
    """The shipped weights, with more motion than usual."""
    settings = {"device": "cpu", "seed": 5, "pose_scale": 1.5, "expression_scale": 1.25}
    return TalkingHeadPipeline(RenderSettings.model_validate(settings))


@pytest.fixture(scope="session")
def filmed(
    lively: TalkingHeadPipeline, hopper_png: Path, tmp_path_factory: pytest.TempPathFactory
) -> Filmed:
    """Grace Hopper, 360x360, speaking for 4 s."""
    folder = tmp_path_factory.mktemp("drive")
    portrait = load_portrait(hopper_png, crop="face", size=360)
    samples, rate = soundfile.read(SPEECH)
    soundfile.write(folder / "speech.wav", samples[: round(FILMED_SECONDS * rate)], rate)
    encoder = load_speech_encoder()
    features = extract_features(folder / "speech.wav", encoder, lip_encoder=lively.lip_audio)
    height, width = portrait.image.shape[:2]
    clip = folder / "clip.mp4"
    with VideoWriter(clip, width, height, Fraction(25), audio=folder / "speech.wav") as writer:
        for frames in lively.render(portrait, features, FILMED_FRAMES):
            writer.write(frames)
    parts = [motion.to_array() for motion in lively.motion(features, FILMED_FRAMES)]
    return Filmed(clip, FaceMotion.from_array(np.concatenate(parts)[:FILMED_FRAMES]))
