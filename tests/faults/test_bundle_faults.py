"""Bundles of weights that were changed: exit code 5, never a video made with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from talkhead_cli.devices import model_errors
from talkhead_cli.errors import EXIT_WEIGHTS, WeightsError
from talkhead_cli.networks import Networks
from talkhead_models.bundle import SUMS_NAME, BundleError, load_bundle, save_bundle, weights_folder
from tests.cli.conftest import Case, Talkhead, refused


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A bundle of a few numbers, with its sum recorded."""
    tensors = {"weight": torch.arange(6.0)}
    save_bundle(tmp_path / "small.safetensors", tensors, {"size": 6}, {"licence": "none"})
    save_bundle(tmp_path / "other.safetensors", {"bias": torch.ones(2)}, {"size": 2}, {})
    return tmp_path / "small.safetensors"


def test_every_flipped_byte_is_noticed(small: Path) -> None:
    content = small.read_bytes()
    load_bundle(small)
    for place in range(len(content)):
        small.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(BundleError, match="does not match its recorded sha256"):
            load_bundle(small)


def test_every_length_is_noticed(small: Path) -> None:
    content = small.read_bytes()
    for size in range(len(content)):
        small.write_bytes(content[:size])
        with pytest.raises(BundleError, match="does not match"):
            load_bundle(small)
        # Also where somebody has taken the record of the sums away.
    (small.parent / SUMS_NAME).unlink()
    for size in range(len(content)):
        small.write_bytes(content[:size])
        with pytest.raises(BundleError, match="is damaged"):
            load_bundle(small)


def test_swapped_names_are_noticed(small: Path) -> None:
    other = small.with_name("other.safetensors")
    small.rename(small.with_suffix(".x"))
    other.rename(small)
    small.with_suffix(".x").rename(other)
    for path in (small, other):
        with pytest.raises(BundleError, match="does not match its recorded sha256"):
            load_bundle(path)


def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    shutil.copytree(weights_folder(), folder)
    monkeypatch.setenv("TALKHEAD_WEIGHTS", str(folder))
    return folder


def swap_and_sign(folder: Path, one: str, other: str) -> None:
    """Give two bundles each other's name, and record their sums as they are then."""
    first, second = folder / f"{one}.safetensors", folder / f"{other}.safetensors"
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    sums = json.loads((folder / SUMS_NAME).read_text())
    sums[first.name], sums[second.name] = sums[second.name], sums[first.name]
    (folder / SUMS_NAME).write_text(json.dumps(sums))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("talkhead", "detail"),
        ("refiner-mouth", "appearance"),
        ("detail", "speech"),
        ("face-basis", "talkhead"),
    ],
)
def test_networks_of_another_kind_under_the_name_are_noticed(
    one: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap_and_sign(weights(tmp_path, monkeypatch), one, other)
    with pytest.raises(WeightsError), model_errors():
        Networks.load("talkhead", "cpu")


@pytest.mark.slow
def test_bundles_replaced_while_they_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = weights(tmp_path, monkeypatch)
    from talkhead_cli import networks

    load = networks.load_detail

    def load_and_replace(name: str) -> object:
        found = load(name)
        shutil.copy(folder / "speech.safetensors", folder / "detail.safetensors")
        return found

    monkeypatch.setattr(networks, "load_detail", load_and_replace)
    with pytest.raises(WeightsError, match="does not match its recorded sha256"), model_errors():
        Networks.load("talkhead", "cpu")


@pytest.mark.slow
def test_the_command_line_refuses_a_swapped_bundle(
    case: Case, talkhead: Talkhead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap_and_sign(weights(tmp_path, monkeypatch), "refiner-mouth", "refiner-eyes")
    swap_and_sign(Path(tmp_path / "weights"), "talkhead", "detail")
    refused(case, talkhead, EXIT_WEIGHTS, "reinstall talkhead")
