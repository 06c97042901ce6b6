"""Mouths of all training clips brought to one person's habit."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from talkhead_models.motion import MOTION_SIZE

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "training"))

from appearance_style import STYLE_PERSON, opening_terms, share_appearance
from motion_data import APPEARANCE, Clip

BASIS = SimpleNamespace(lip_gap=lambda expression: expression[:, 0])


def talker(person: str, habit: np.ndarray, lively: float, seed: int) -> Clip:
    """Someone whose lips open and close, with a mouth that looks by habit and a little otherwise."""
    random = np.random.default_rng(seed)
    motion = np.zeros((400, MOTION_SIZE), np.float32)
    motion[:, 0] = 0.1 + 0.09 * np.sin(np.arange(400) / 7)
    motion[:, APPEARANCE] = opening_terms(motion[:, 0]) @ habit
    motion[:, APPEARANCE] += lively * random.standard_normal((400, habit.shape[1]))
    return Clip("clip", person, motion, None, np.ones(9, np.float32), False, False)


@pytest.fixture
def people() -> list[Clip]:
    random = np.random.default_rng(5)
    habits = random.standard_normal((2, 3, APPEARANCE.stop - APPEARANCE.start))
    return [talker(STYLE_PERSON, habits[0], 0.3, 0), talker("someone", habits[1], 0.1, 1)]


def test_everyone_gets_the_habit_and_keeps_what_is_said(people):
    style, other = share_appearance(people, BASIS)
    before = np.abs(people[1].motion[:, APPEARANCE] - people[0].motion[:, APPEARANCE]).mean()
    after = np.abs(other.motion[:, APPEARANCE] - style.motion[:, APPEARANCE]).mean()
    assert after < 0.5 * before
    # What is not habit stays in step with what it was.
    rest = [clip.motion[:, APPEARANCE] for clip in (people[1], other)]
    terms = opening_terms(people[1].motion[:, 0])
    rest = [r - terms @ np.linalg.lstsq(terms, r, rcond=None)[0] for r in rest]
    assert np.corrcoef(rest[0].ravel(), rest[1].ravel())[0, 1] > 0.99


def test_nothing_but_the_appearance_changes(people):
    for old, new in zip(people, share_appearance(people, BASIS), strict=True):
        same = np.delete(np.arange(MOTION_SIZE), np.r_[APPEARANCE])
        assert np.array_equal(old.motion[:, same], new.motion[:, same])
        assert new.person == old.person


def test_without_the_person_clips_stay_as_they_are(people):
    assert share_appearance(people[1:], BASIS) == people[1:]
