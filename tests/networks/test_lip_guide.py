"""The lip guide: what it sees, what it says, and what a generator makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from talkhead_models.articulation import Articulation
from talkhead_models.lip_guide import AHEAD, OPENNESS, PAST, WINDOW, LipGuide, LipGuideConfig
from talkhead_models.speech_kinds import KINDS, WIDE_SIZE, silent_features

TINY = LipGuideConfig(
    speech_kinds=("visemes",), width=4, hidden=8, clarity=0.5, strength=0.8, amplitude=0.1
)


def make_guide(config: LipGuideConfig = TINY) -> LipGuide:
    torch.manual_seed(0)
    return LipGuide(config).eval()


def features_of(frames: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    features = rng.random((PAST + 2 * frames + AHEAD, 20)).astype(np.float32)
    features[:, :16] = rng.dirichlet(np.full(16, 0.2), len(features))
    return features


def test_piece_by_piece_equals_the_whole() -> None:
    guide, features = make_guide(), features_of(12)
    whole = guide.opening(features)
    assert whole.shape == (12,)
    parts = [guide.opening(features[2 * at : 2 * at + PAST + 8 + AHEAD]) for at in (0, 4, 8)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)


def test_it_looks_no_further_than_its_window() -> None:
    guide, features = make_guide(), features_of(20)
    changed = features.copy()
    changed[WINDOW:] += 0.3
    np.testing.assert_allclose(guide.opening(changed)[0], guide.opening(features)[0], atol=1e-6)
    assert abs(guide.opening(changed)[2] - guide.opening(features)[2]) > 0


def test_clarity_is_the_share_of_the_visemes() -> None:
    guide = make_guide(replace(TINY, clarity=1.0, amplitude=0.2))
    features = silent_features(PAST + 20 + AHEAD, 20)
    assert np.abs(guide.opening(features)).max() == 0
    features[:, 0], features[:, 12] = 0, 1  # an open vowel all along
    np.testing.assert_allclose(guide.opening(features), 0.2 * OPENNESS[12], rtol=1e-5)


def test_lips_are_drawn_to_the_opening() -> None:
    rng = np.random.default_rng(0)
    gaps = rng.normal(0, 0.02, (32, 9)).astype(np.float32)
    articulation = Articulation(
        gaps, np.full(9, 0.01, np.float32), np.linalg.pinv(gaps).astype(np.float32)
    )
    expression = rng.normal(0, 1, (6, 32)).astype(np.float32)
    wanted = np.linspace(0, 0.1, 6).astype(np.float32)

    def middle(values: np.ndarray) -> np.ndarray:
        return np.asarray(articulation.rest[4] + values @ articulation.gaps[:, 4])

    full = articulation.drawn_to(expression, wanted, 1.0)
    np.testing.assert_allclose(middle(full), wanted, atol=1e-4)
    half = articulation.drawn_to(expression, wanted, 0.5)
    np.testing.assert_allclose(middle(half), (wanted + middle(expression)) / 2, atol=1e-4)
    assert np.array_equal(articulation.drawn_to(expression, wanted, 0.0), expression)


@pytest.mark.parametrize("kinds", [("visemes",), ("visemes", "lips")])
def test_only_the_named_kinds_are_heard(kinds: tuple[str, ...]) -> None:
    guide = make_guide(replace(TINY, speech_kinds=kinds))
    windows = torch.rand(3, WINDOW, WIDE_SIZE)
    before = guide(windows)
    for kind, columns in KINDS.items():
        changed = windows.clone()
        changed[..., columns] += 0.5
        assert torch.equal(guide(changed), before) == (kind not in kinds)


@pytest.mark.parametrize("training", [True, False])
def test_every_parameter_learns(training: bool) -> None:
    guide = make_guide().train(training)
    guide(torch.rand(8, WINDOW, 20)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in guide.parameters())
