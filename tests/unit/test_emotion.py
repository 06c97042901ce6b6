"""Emotions and gaze: they show, they come and go, and they leave the lips to the speech."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talkhead_models import topology as topo
from talkhead_models.articulation import Articulation, fit_moves
from talkhead_models.basis import FaceBasis, lip_gaps
from talkhead_models.emotion import EMOTIONS, LOOKS, Emotion, feel, gap_free, level_of
from talkhead_models.gaze import EYE_DEPTH, compensate, direct, looks_away
from talkhead_models.liveliness import EventConfig, start_events
from talkhead_models.manner import Manner, Performer
from talkhead_models.motion import EXPRESSION_SIZE, FaceMotion
from talkhead_models.prosody import Prosody
from talkhead_models.style import brow_height
from tests.unit.test_prosody import FRAMES, heard

FELT: list[Emotion] = [emotion for emotion in EMOTIONS if emotion != "neutral"]
CORNERS = [61, 291]


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


@pytest.fixture(scope="module")
def prosody() -> Prosody:
    return heard(0, FRAMES)


@pytest.fixture(scope="module")
def articulation(basis: FaceBasis) -> Articulation:
    upper, lower = list(topo.UPPER_INNER_LIP), list(topo.LOWER_INNER_LIP)
    gaps = basis.expression[:, lower, 1] - basis.expression[:, upper, 1]
    examples = np.random.default_rng(0).standard_normal((400, EXPRESSION_SIZE))
    return Articulation(gaps, np.zeros(9, np.float32), fit_moves(gaps, examples.astype(np.float32)))


def talking() -> FaceMotion:
    """Motion of which every other half second has closed lips."""
    rng = np.random.default_rng(3)
    expression = 0.5 * rng.standard_normal((FRAMES, EXPRESSION_SIZE)).astype(np.float32)
    zero = np.zeros((FRAMES, 2), np.float32)
    return FaceMotion(
        expression, zero, zero, np.zeros((FRAMES, 3), np.float32), np.zeros((FRAMES, 3), np.float32)
    )


def performed(
    articulation: Articulation, prosody: Prosody, seed: int = 0, **manner: object
) -> FaceMotion:
    performer = Performer(Manner(**manner), EventConfig(), articulation, seed)
    motion, _ = performer.perform(talking(), prosody, start_events(EventConfig(), seed))
    return motion


@pytest.mark.parametrize("emotion", FELT)
def test_lips_meet_and_open_as_without_emotion(
    basis: FaceBasis, articulation: Articulation, prosody: Prosody, emotion: Emotion
) -> None:
    plain, felt = (
        lip_gaps(basis.deltas(performed(articulation, prosody, **manner).expression))
        for manner in ({}, {"emotion": emotion, "emotion_strength": 1.0})
    )
    share = LOOKS[emotion].openings
    # Mouths that are open may be opened by a share more; closed ones must not change.
    closed = plain[:, 4] <= 0.012
    assert closed.any()
    np.testing.assert_allclose(felt[closed], plain[closed], atol=1e-4)
    np.testing.assert_allclose(felt[:, 4], plain[:, 4], atol=1e-4 + abs(share) * plain.max())
    if share == 0:
        np.testing.assert_allclose(felt, plain, atol=1e-4)


def test_faces_show_what_they_feel(basis: FaceBasis, prosody: Prosody) -> None:
    def seen(emotion: Emotion) -> tuple[float, float, float]:
        feeling = feel(emotion, 1.0, prosody, 0)
        assert feeling is not None
        moved = basis.deltas(feeling.mouth[50:]).mean(0)
        height = brow_height(feeling.expression[50:], basis).mean()
        return float(-moved[CORNERS, 1].mean()), float(height), float(feeling.lids[50:].mean())

    corners, brows, lids = zip(*(seen(emotion) for emotion in FELT), strict=True)
    happy, sad, angry, surprised = range(4)
    assert corners[happy] > 0.03 > 0 > corners[sad]
    assert brows[surprised] > 0.02 > -0.015 > brows[angry]
    assert lids[surprised] < -0.05 < 0 < lids[happy]


def test_no_mask_and_no_two_seeds_alike(prosody: Prosody) -> None:
    levels = [level_of(prosody, seed, "feeling", 0.2, 0.1) for seed in range(3)]
    for level in levels:
        assert 0.3 < level.min() < level.max() < 1.15
        assert np.ptp(level) > 0.15
    assert np.abs(np.corrcoef(levels)[np.triu_indices(3, 1)]).max() < 0.98


def test_a_smile_relaxes_for_pursed_lips(basis: FaceBasis, prosody: Prosody) -> None:
    wide, narrow = (
        replace(prosody, pursed=np.full(FRAMES, pursed, np.float32)) for pursed in (0.0, 1.0)
    )
    width = [
        np.ptp(
            basis.deltas(feel("happy", 1.0, heard_so, 0).mouth[100:])[:, CORNERS, 0], axis=1
        ).mean()
        for heard_so in (wide, narrow)
    ]
    assert width[1] < 0.6 * width[0]


def test_neutral_and_strength_zero_do_nothing(prosody: Prosody) -> None:
    assert feel("neutral", 1.0, prosody, 0) is None
    assert feel("sad", 0.0, prosody, 0) is None


def test_shapes_leave_every_gap_between_the_lips(basis: FaceBasis) -> None:
    for name in ("MouthSmile", "MouthFrown", "MouthPress", "BrowInnerUp", "JawOpen"):
        moved = basis.deltas(gap_free(((name, 1.0),))[None])[0]
        assert np.abs(lip_gaps(moved)).max() < 1e-3


def test_eyes_keep_to_the_camera_while_the_head_turns(prosody: Prosody) -> None:
    turned = np.zeros((FRAMES, 3), np.float32)
    turned[:, 0], turned[:, 1] = np.radians(-5), np.radians(8)
    held = compensate(turned)
    assert held[0, 0] == pytest.approx(-EYE_DEPTH * np.sin(np.radians(8)))
    assert held[0, 1] > 0
    nothing = np.zeros((FRAMES, 2), np.float32)
    gaze, lids = direct("camera", nothing, turned, prosody, 0)
    # What is left is the tremor of a fixation, well under a degree.
    assert np.abs(gaze - held).max() < 0.008
    assert np.abs(lids).max() < 0.02


def test_free_eyes_look_away_where_phrases_begin_and_come_back(prosody: Prosody) -> None:
    away = [look for seed in range(12) for look in looks_away(prosody, seed)]
    assert len(away) > 12
    sizes = np.array([np.hypot(*look.place) for look in away])
    assert 0.02 < sizes.min() < sizes.max() < 0.14
    assert all(0.1 < (look.end - look.begin) / 25 <= 1.4 for look in away)
    still = np.zeros((FRAMES, 3), np.float32)
    gaze, lids = direct("free", np.zeros((FRAMES, 2), np.float32), still, prosody, 1)
    at_camera = np.hypot(*gaze.T) < 0.015
    assert 0.4 < at_camera.mean() < 0.98
    down = gaze[:, 1] > 0.03
    if down.any():
        assert lids[down].min() > 0.05


def test_a_still_heads_eyes_do_not_make_up_for_turns_that_are_not_shown(
    articulation: Articulation, prosody: Prosody
) -> None:
    moving, still = (
        performed(articulation, prosody, pose_shown=shown).gaze for shown in (1.0, 0.0)
    )
    assert np.abs(still).max() < 0.05
    assert np.abs(moving - still).max() > 0.002
