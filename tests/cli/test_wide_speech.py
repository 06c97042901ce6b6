"""Rendering with a generator that reads every kind of speech features: a tiny one, through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from talkhead_models.bundle import load_bundle, save_bundle, weights_folder
from talkhead_models.denoiser import Denoiser, DenoiserConfig
from talkhead_models.generator import MotionGenerator
from talkhead_models.generator_bundle import bundle_contents, load_motion_generator
from talkhead_models.speech_kinds import KINDS, WIDE_SIZE
from tests.cli.conftest import Case, Outcome, Talkhead


@pytest.fixture
def wide_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped bundles, and "wide": the shipped autoencoder behind a tiny random denoiser of all kinds."""
    torch.manual_seed(0)
    shipped = load_motion_generator()
    known = shipped.denoiser.config
    config = DenoiserConfig(
        latent_size=known.latent_size,
        style_size=known.style_size,
        width=24,
        layers=1,
        heads=2,
        past_bottleneck=4,
        speech_width=8,
        feature_size=WIDE_SIZE,
        speech_kinds=tuple(KINDS),
    )
    generator = MotionGenerator(shipped.autoencoder, Denoiser(config), shipped.parts)
    folder = tmp_path / "weights"
    shutil.copytree(weights_folder(), folder)
    save_bundle(folder / "wide.safetensors", *bundle_contents(generator), {"data_tier": "none"})
    monkeypatch.setenv("TALKHEAD_WEIGHTS", str(folder))
    return folder


def render(case: Case, talkhead: Talkhead) -> Outcome:
    """Render with the wide generator."""
    preset = case.folder / "wide.yaml"
    preset.write_text("description: every kind of speech features\nbundle: wide\n")
    return talkhead("render", case.portrait, case.audio, "-o", case.output, "--preset", preset)


def test_wide_generator_renders(wide_weights: Path, case: Case, talkhead: Talkhead) -> None:
    done = render(case, talkhead)
    assert done.code == 0, done.err
    assert case.output.stat().st_size > 10_000
    bundles = json.loads(case.output.with_suffix(".json").read_text())["bundles"]
    assert bundles["lip-audio"] == load_bundle("lip-audio").sha256


def test_wide_generator_needs_its_encoder(
    wide_weights: Path, case: Case, talkhead: Talkhead
) -> None:
    (wide_weights / "lip-audio.safetensors").unlink()
    done = render(case, talkhead)
    assert done.code == 5
    assert "lip-audio.safetensors" in done.err
    assert not case.output.exists()


def test_other_generators_do_without(wide_weights: Path, case: Case, talkhead: Talkhead) -> None:
    (wide_weights / "lip-audio.safetensors").unlink()
    done = talkhead("render", case.portrait, case.audio, "-o", case.output)
    assert done.code == 0, done.err
