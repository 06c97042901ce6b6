"""Features of a HuBERT checkpoint: a tiny random one through transformers' own code, and every way it can fail."""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from talkhead_models.hubert import MARGIN_STEPS, HubertError, load_hubert

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    # As the large checkpoints: nothing is taken over the whole clip, so that a sound stays where it is.
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("hubert")
    model = transformers.HubertModel(transformers.HubertConfig(**SIZES))
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text('{"do_normalize": false}')
    return folder


def copy_of(checkpoint: Path, folder: Path, **changes: Any) -> Path:
    """The checkpoint with another config."""
    folder.mkdir(exist_ok=True)
    for path in checkpoint.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def noise(num_samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, num_samples).astype(np.float32)


@pytest.mark.parametrize("num_samples", [0, 1, 640, 641, 16_000])
def test_as_many_steps_as_speech_features(checkpoint: Path, num_samples: int) -> None:
    hubert = load_hubert(checkpoint)
    features = hubert.encode(noise(num_samples))
    assert features.shape == (-(-num_samples // 640) * 2, hubert.size)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_numbers_are_those_of_transformers(checkpoint: Path) -> None:
    from transformers import HubertModel

    wave = noise(6400)
    padded = torch.from_numpy(np.pad(wave, (40, 40)))[None]
    with torch.no_grad():
        wanted = HubertModel.from_pretrained(checkpoint).eval()(padded, output_hidden_states=True)
    np.testing.assert_allclose(
        load_hubert(checkpoint).encode(wave), wanted.last_hidden_state[0], atol=1e-5
    )
    np.testing.assert_allclose(
        load_hubert(checkpoint, layer=1).encode(wave), wanted.hidden_states[1][0], atol=1e-5
    )


def test_a_sound_is_felt_where_it_is(checkpoint: Path) -> None:
    wave = np.zeros(32_000, np.float32)
    wave[16_000:16_320] = noise(320)
    hubert = load_hubert(checkpoint, layer=0)
    moved = np.abs(hubert.encode(wave) - hubert.encode(np.zeros_like(wave))).sum(1)
    # A convolution over 16 steps around each tells it its position.
    assert moved[50] > 0.1
    assert moved[:40].max() < 1e-4
    assert moved[61:].max() < 1e-4


def test_long_sound_goes_in_pieces(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talkhead_models.hubert.PIECE_STEPS", 40)
    wave = noise(32_000)
    pieces = load_hubert(checkpoint).encode(wave)
    assert pieces.shape == (100, 16)
    assert MARGIN_STEPS >= 100
    monkeypatch.undo()
    # Each piece has the whole clip as its context here, so nothing may differ.
    np.testing.assert_allclose(pieces, load_hubert(checkpoint).encode(wave), atol=1e-5)


def test_normalisation_is_read_from_the_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    folder = copy_of(checkpoint, tmp_path / "large")
    (folder / "preprocessor_config.json").unlink()
    hubert, raw = load_hubert(folder), load_hubert(checkpoint)
    wave = noise(6400)
    np.testing.assert_allclose(hubert.encode(wave), hubert.encode(3 * wave + 0.5), atol=1e-3)
    assert np.abs(raw.encode(wave) - raw.encode(3 * wave + 0.5)).max() > 0.01


def test_waveforms_only(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="waveform"):
        load_hubert(checkpoint).encode(np.zeros((2, 640), np.float32))


def sentence(folder: Path, match: str, **options: Any) -> None:
    """Loading is refused in one sentence that names the folder."""
    with pytest.raises(HubertError, match=match) as caught:
        load_hubert(folder, **options)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_layer(checkpoint: Path) -> None:
    sentence(checkpoint, "no layer 7", layer=7)


def test_no_weights(checkpoint: Path, tmp_path: Path) -> None:
    folder = copy_of(checkpoint, tmp_path / "bare")
    (folder / "model.safetensors").unlink()
    sentence(folder, "cannot be loaded")


def test_damaged_weights(checkpoint: Path, tmp_path: Path) -> None:
    folder = copy_of(checkpoint, tmp_path / "cut")
    (folder / "model.safetensors").write_bytes(b"\x00" * 100)
    sentence(folder, "cannot be loaded")


def test_weights_of_another_size(checkpoint: Path, tmp_path: Path) -> None:
    sentence(copy_of(checkpoint, tmp_path / "deep", num_hidden_layers=3), "lacks")


# ---- without transformers -----------------------------------------------------------------------------------------


def write_config(folder: Path, values: Mapping[str, Any] | str) -> Path:
    text = values if isinstance(values, str) else json.dumps(values)
    (folder / "config.json").write_text(text)
    return folder


def test_no_folder(tmp_path: Path) -> None:
    sentence(tmp_path / "nowhere", "is missing")


def test_no_config(tmp_path: Path) -> None:
    sentence(tmp_path, "cannot be read")


@pytest.mark.parametrize("text", ["{", "\x00"])
def test_damaged_config(tmp_path: Path, text: str) -> None:
    sentence(write_config(tmp_path, text), "cannot be read")


@pytest.mark.parametrize("values", [{"model_type": "bert"}, {}, "[1]"])
def test_another_network(tmp_path: Path, values: Any) -> None:
    sentence(write_config(tmp_path, values), "not a HuBERT")


def test_another_pace(tmp_path: Path) -> None:
    values = {"model_type": "hubert", "conv_stride": [5, 2, 2, 2, 2, 2, 1]}
    sentence(write_config(tmp_path, values), "50 steps")


def test_transformers_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.split(".")[0] == "transformers":
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(HubertError, match=r"pip install 'talkhead\[hubert\]'"):
        load_hubert(write_config(tmp_path, {"model_type": "hubert"}))
