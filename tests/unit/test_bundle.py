"""Bundles: what is saved comes back, and what was tampered with does not load."""

import json

import pytest
import torch

from talkhead_models.bundle import (
    SUMS_NAME,
    WEIGHTS_VARIABLE,
    BundleError,
    list_bundles,
    load_bundle,
    save_bundle,
    verify_bundle,
)

SHIPPED = list_bundles()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    save_bundle(
        tmp_path / "toy.safetensors",
        {"a": torch.arange(4.0)},
        {"size": 4},
        {"licence": "Apache-2.0"},
    )
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    return tmp_path


def test_round_trip(folder):
    bundle = load_bundle("toy")
    assert bundle.config == {"size": 4}
    assert bundle.metadata["licence"] == "Apache-2.0"
    assert torch.equal(bundle.tensors["a"], torch.arange(4.0))
    assert (
        verify_bundle("toy").sha256
        == json.loads((folder / SUMS_NAME).read_text())["toy.safetensors"]
    )


def test_one_changed_byte_is_found(folder):
    path = folder / "toy.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="sha256"):
        load_bundle("toy")


def test_garbage_is_one_sentence(folder):
    (folder / "bad.safetensors").write_bytes(b"\x05\0\0\0\0\0\0\0hello")
    with pytest.raises(BundleError, match=r"bad\.safetensors is damaged"):
        load_bundle("bad")


def test_missing_names_what_there_is(folder):
    with pytest.raises(BundleError, match="toy"):
        load_bundle("nobody")


def test_unrecorded_bundle_does_not_verify(folder):
    (folder / SUMS_NAME).write_text("{}")
    with pytest.raises(BundleError, match="no recorded"):
        verify_bundle("toy")


def test_folder_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(BundleError, match="not a folder"):
        load_bundle("toy")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_bundles_verify_and_say_where_they_come_from(name):
    metadata = verify_bundle(name).metadata
    assert {"data_tier", "licence", "training_command"} <= set(metadata)
