"""Extraction of training features: every kind, rows that agree, files that are done are skipped."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import make_tone

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "training"))

import extract_features

Extract = Callable[..., None]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two clips, of which one has no speech, and one piece of trial speech."""
    folder = tmp_path / "data"
    (folder / "clips").mkdir(parents=True)
    (folder / "speech").mkdir()
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("file", "speech"), ("a.wav", "yes"), ("b.wav", "no")])
    make_tone(folder / "clips" / "a.wav", 1.01)
    make_tone(folder / "speech" / "flite_x.flac", 0.5)
    return folder


@pytest.fixture
def extract(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Extract:
    def call(*arguments: object) -> None:
        places = ["--data", data, "--work", tmp_path / "work"]
        monkeypatch.setattr(sys, "argv", ["extract", *map(str, places), *map(str, arguments)])
        extract_features.main()

    return call


def test_rows_of_all_kinds_agree(data: Path, tmp_path: Path, extract: Extract) -> None:
    extract()
    extract("--wide", "--speech", data / "speech")
    work = tmp_path / "work"
    assert [path.name for path in (work / "features").iterdir()] == ["a.npz"]
    assert {path.name for path in (work / "features_wide").iterdir()} == {"a.npz", "flite_x.npz"}
    with (
        np.load(work / "features" / "a.npz") as narrow,
        np.load(work / "features_wide" / "a.npz") as wide,
    ):
        assert narrow["features"].shape == (52, 20)
        assert wide["wide"].shape == (52, 36)
        assert wide["wide"].dtype == np.float16
    with np.load(work / "features_wide" / "flite_x.npz") as trial:
        assert trial["features"].shape == (26, 56)


def test_what_is_done_is_skipped(tmp_path: Path, extract: Extract) -> None:
    extract("--wide")
    path = tmp_path / "work" / "features_wide" / "a.npz"
    before = path.stat().st_mtime_ns
    extract("--wide")
    assert path.stat().st_mtime_ns == before
    np.savez(path, wide=np.zeros((1, 36)), bundle="of another encoder")
    extract("--wide")
    with np.load(path) as stored:
        assert stored["wide"].shape == (52, 36)


def test_no_hubert(tmp_path: Path, extract: Extract) -> None:
    with pytest.raises(SystemExit, match="is missing"):
        extract("--hubert", tmp_path / "nowhere")
    assert not (tmp_path / "work" / "features_hubert").exists()


def test_hubert(tmp_path: Path, extract: Extract) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.HubertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    transformers.HubertModel(config).save_pretrained(tmp_path / "tiny")
    extract("--hubert", tmp_path / "tiny")
    with np.load(tmp_path / "work" / "features_hubert" / "a.npz") as stored:
        assert stored["hubert"].shape == (52, 16)
        assert np.isfinite(stored["hubert"]).all()
