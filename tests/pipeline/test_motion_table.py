"""The example's motion as ARKit blendshapes and back: how much of it is lost."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from talkhead_cli.audio import extract_features
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_models import topology as topo
from talkhead_models.arkit import from_arkit, to_arkit
from talkhead_models.motion import FaceMotion
from talkhead_models.speech import load_speech_encoder


def test_mouths_open_as_far_and_lips_move_nearly_alike(
    lively: TalkingHeadPipeline, speech_wav: Path
) -> None:
    features = extract_features(speech_wav, load_speech_encoder(), lip_encoder=lively.lip_audio)
    chunks = list(lively.motion(features, round(features.duration_seconds * 25)))
    motion = FaceMotion.from_array(np.concatenate([chunk.to_array() for chunk in chunks]))
    basis = lively.basis
    back = from_arkit(to_arkit(motion, basis), basis, Fraction(25))
    gaps = basis.lip_gap(motion.expression)
    assert gaps.max() > 0.12
    lost = np.abs(gaps - basis.lip_gap(back.expression))
    assert lost.mean() < 0.002
    assert lost.max() < 0.005
    lips = list(topo.LIPS)
    moved, missed = (
        np.linalg.norm(basis.deltas(expression)[:, lips, :2], axis=2).mean()
        for expression in (motion.expression, motion.expression - back.expression)
    )
    assert missed < 0.2 * moved
    assert missed < 0.008
    np.testing.assert_allclose(back.lids, motion.lids, atol=1e-6)
    np.testing.assert_allclose(back.gaze, motion.gaze, atol=1e-6)
    np.testing.assert_array_equal(back.rotation, motion.rotation)
