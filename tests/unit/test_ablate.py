"""The ablations' tables: every row is another recipe, and differs in what its label says."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "training"))

import ablate
from ablation_lab import Lab
from recipes import RECIPES, Recipe
from results import COLUMNS


class Pretended(Lab):
    """A laboratory that notes what it is asked for."""

    def __init__(self) -> None:
        self.sizes, self.wide, self.folder = ablate.FULL, True, Path("pretended")
        self.asked: list[tuple[str, Recipe, int]] = []

    def teacher(self, recipe: Recipe, seed: int) -> SimpleNamespace:
        self.asked.append(("teacher", recipe, seed))
        return SimpleNamespace()

    def student(self, recipe: Recipe, seed: int) -> SimpleNamespace:
        self.asked.append(("student", recipe, seed))
        return SimpleNamespace()

    def generator(self, denoiser: object, *, distilled: bool = True) -> SimpleNamespace:
        return SimpleNamespace(autoencoder=None, denoiser=None, parts=None)

    def measure(self, key: str, generator: object, steps: int, **more: object) -> dict[str, float]:
        return {"corr": float(len(self.asked)), "key": hash(key)}


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    monkeypatch.setattr(ablate.OfflineGenerator, "of", lambda *parts: SimpleNamespace())
    return Pretended()


@pytest.mark.parametrize("name", ablate.EXPERIMENTS)
def test_every_row_is_another_network(name: str, lab: Pretended) -> None:
    experiment = ablate.EXPERIMENTS[name]
    rows = experiment.rows(lab, [0, 1, 2])
    assert len(rows) >= 4
    assert all(len(row) == 3 for row in rows.values())
    if name != "temposyncdiff-steps":  # there one student takes other numbers of steps
        keys = [numbers["key"] for row in rows.values() for numbers in row]
        assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", ablate.EXPERIMENTS)
def test_columns_are_known_measures(name: str) -> None:
    assert set(ablate.EXPERIMENTS[name].columns) <= set(COLUMNS)


def asked_for(lab: Pretended, rows: object, kind: str) -> list[Recipe]:
    return [recipe for what, recipe, seed in lab.asked if what == kind and seed == 0]


def test_caches_differ_in_sink_and_context(lab: Pretended) -> None:
    recipes = asked_for(lab, ablate.rest_cache(lab, [0]), "student")
    found = {
        (r.denoiser.reference_steps > 0, r.denoiser.context_steps > 0, r.asynchronous)
        for r in recipes
    }
    assert found == {
        (False, False, True),
        (True, False, True),
        (False, True, True),
        (True, True, True),
        (True, True, False),
    }
    assert all(r.denoiser.block_causal for r in recipes)


def test_pasts_and_features_are_crossed(lab: Pretended) -> None:
    recipes = asked_for(lab, ablate.sync_past(lab, [0]), "teacher")
    found = {
        (r.denoiser.context_steps > 0, r.denoiser.past_bottleneck, r.denoiser.speech_kinds)
        for r in recipes
    }
    assert len(found) == 9
    assert all(r.past_noise == 0 for r in recipes)


def test_asymmetry_is_all_that_akd_changes(lab: Pretended) -> None:
    neither, tre, akd, both = asked_for(lab, ablate.asymmetric(lab, [0]), "student")
    assert both == lab.small(RECIPES["asymtalker"])
    assert (neither.denoiser, tre.denoiser) == (akd.denoiser, both.denoiser)
    assert neither.denoiser.reference_encoding == "frame"
    assert not tre.asymmetric
    assert not tre.own_past
    assert tre.matching == 0
    assert akd.asymmetric
    assert akd.own_past
    assert akd.matching > 0


def test_keys_tell_trainings_apart(lab: Pretended) -> None:
    small = lab.small(RECIPES["rest"])
    assert lab.teacher_path(small, 0) != lab.teacher_path(small, 1)
    # Students with and without a past have the same non-streaming teacher.
    alone = ablate.replace(small, denoiser=ablate.replace(small.denoiser, context_steps=0))
    assert lab.teacher_path(alone, 0) == lab.teacher_path(small, 0)
    assert lab.student_path(alone, 0) != lab.student_path(small, 0)
