"""A style measured on motion, and learnt by a tiny generator in a rehearsal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talkhead_models.basis import FaceBasis, lip_gaps
from talkhead_models.generator import GenerateOptions
from talkhead_models.motion import FaceMotion
from talkhead_models.rehearsal import in_style, learn_style, rehearse
from talkhead_models.style import (
    FACE_GAIN,
    LIP_GAIN,
    TILT,
    TURN_GAIN,
    SpeakingStyle,
    StyleStatistics,
    made_up_speech,
)
from tests.networks.test_generator import make_generator

OPTIONS = GenerateOptions(num_inference_steps=1)


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


def speaker(basis: FaceBasis, size: float, blinks: int, seed: int = 0) -> FaceMotion:
    """Ten seconds of somebody whose head moves by `size` degrees and who blinks so often."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(250)[:, None] / 25
    waves = np.sin(2 * np.pi * (0.4 + 0.2 * np.arange(3)) * seconds + rng.uniform(0, 6, 3))
    rotation = np.radians(size) * np.sqrt(2) * waves
    expression = size / 3 * rng.standard_normal((250, len(basis.expression)))
    lids = np.zeros((250, 2))
    for start in np.linspace(5, 230, blinks).astype(int):
        lids[start : start + 4] = 1
    parts = (expression, lids, 0.01 * rng.standard_normal((250, 2)), rotation, 0.01 * rotation)
    return FaceMotion(*(np.asarray(part, np.float32) for part in parts))


def test_statistics_are_those_of_the_motion(basis: FaceBasis) -> None:
    found = StyleStatistics.of(speaker(basis, 2.0, 5), basis)
    np.testing.assert_allclose(np.degrees(found.turn), 2.0, rtol=0.15)
    assert found.blinks == pytest.approx(30)
    twice = StyleStatistics.of(speaker(basis, 4.0, 5), basis)
    np.testing.assert_allclose(twice.turn, 2 * found.turn, rtol=1e-4)
    np.testing.assert_allclose(twice.speed, 2 * found.speed, rtol=1e-4)
    assert twice.brows == pytest.approx(2 * found.brows, rel=1e-3)


def test_too_short_motion_is_refused(basis: FaceBasis) -> None:
    with pytest.raises(ValueError, match="a style needs"):
        StyleStatistics.of(speaker(basis, 2.0, 5)[:60], basis)


def test_two_styles_are_told_apart_in_what_is_made(basis: FaceBasis) -> None:
    """Motion in a style is nearer to its own speaker than to the other one."""
    generator = make_generator()
    calm, lively = (
        replace(StyleStatistics.of(speaker(basis, size, blinks), basis), tilt=0.05)
        for size, blinks in ((1.0, 2), (4.0, 9))
    )
    made = {}
    for name, clip in (("calm", calm), ("lively", lively)):
        style = learn_style(generator, clip, OPTIONS)
        assert TURN_GAIN[0] <= style.turns.min() <= style.turns.max() <= TURN_GAIN[1]
        assert FACE_GAIN[0] <= style.faces <= FACE_GAIN[1]
        assert LIP_GAIN[0] <= style.lips <= LIP_GAIN[1]
        assert style.tilt == pytest.approx(min(0.05, TILT))
        assert np.abs(lip_gaps(basis.deltas(style.offset[None]))).max() < 1e-3
        made[name] = rehearse(generator, style, OPTIONS)
    assert made["calm"].turn.mean() < 0.6 * made["lively"].turn.mean()
    assert made["calm"].blinks < 0.7 * made["lively"].blinks
    assert made["calm"].face < made["lively"].face
    for name, own, other in (("calm", calm, lively), ("lively", lively, calm)):
        turn = np.log(made[name].turn.mean())
        assert abs(turn - np.log(own.turn.mean())) < abs(turn - np.log(other.turn.mean()))


def test_a_style_leaves_the_generator_as_it_was(basis: FaceBasis) -> None:
    generator = make_generator()
    before = generator.parts
    style = SpeakingStyle.told(
        StyleStatistics.of(speaker(basis, 3.0, 4), basis), generator.parts.events
    )
    changed = in_style(generator, style)
    assert generator.parts is before
    assert changed.denoiser is generator.denoiser
    assert not np.array_equal(changed.parts.style, before.style)
    assert changed.parts.style[-1] == before.style[-1]


def test_made_up_speech_is_speech() -> None:
    speech = made_up_speech(56)
    np.testing.assert_allclose(speech[:, :16].sum(1), 1, atol=1e-5)
    assert 0.1 < speech[:, 0].mean() < 0.5
    assert np.array_equal(speech[:, :20], made_up_speech(20))
