"""Damaged files: hundreds through the real command line when asked to, and a few dozen readers' worth always."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from talkhead_cli.batch.manifest import parse_manifest
from talkhead_cli.errors import InputError, PresetError, TalkheadError
from talkhead_cli.face.image import read_portrait_image
from talkhead_cli.motion_files import load_motion, save_motion
from talkhead_cli.settings import load_preset
from talkhead_cli.wav_header import parse_wav
from talkhead_models.bundle import BundleError, load_bundle
from talkhead_models.motion_npz import WIDTHS
from tests.fuzz import crafted
from tests.fuzz.cases import WORDS, manifest_text
from tests.fuzz.fuzz import run_all, say, table
from tests.fuzz.mutation import mutate, mutate_text
from tests.fuzz.seeds import PRESETS


@pytest.mark.slow
def test_five_hundred_damaged_inputs(tmp_path: Path) -> None:
    count, seed = int(os.environ.get("FUZZ_COUNT", "500")), int(os.environ.get("FUZZ_SEED", "0"))
    ended = run_all(count, seed, tmp_path / "fuzz")
    say(table(ended))
    assert len(ended) >= count
    assert not [problem for item in ended for problem in item.problems]


def damaged(data: bytes, count: int) -> list[bytes]:
    """The same few dozen damaged files every time."""
    rng = random.Random(f"{len(data)}")
    return [mutate(data, rng) for _ in range(count)]


@pytest.mark.parametrize("suffix", ["png", "gif", "tif", "jpg"])
def test_pictures_are_read_or_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(
        np.arange(128 * 130 * 3, dtype=np.uint32).astype(np.uint8).reshape(128, 130, 3)
    ).save(path)
    for data in damaged(path.read_bytes(), 30):
        path.write_bytes(data)
        try:
            assert min(read_portrait_image(path).pixels.shape[:2]) >= 128
        except InputError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_motion_is_read_or_refused(suffix: str, tmp_path: Path) -> None:
    from fractions import Fraction

    from talkhead_models.motion import FaceMotion

    path = tmp_path / f"a.{suffix}"
    parts = {name: np.full((4, width), 0.1, np.float32) for name, width in WIDTHS.items()}
    save_motion(path, FaceMotion(**parts, fps=Fraction(25)))
    for data in damaged(path.read_bytes(), 20):
        path.write_bytes(data)
        try:
            assert load_motion(path).motion.num_frames > 0
        except InputError as error:
            assert str(path) in str(error)


def test_headers_of_wav_files_are_read_or_left(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(400), 16000)
    for data in damaged(path.read_bytes(), 200):
        header = parse_wav(data)
        assert header is None or 2000 <= header.sample_rate <= 768_000


@given(seed=st.integers(0, 10**6))
def test_presets_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    text = mutate_text((PRESETS / "talkhead.yaml").read_text(), random.Random(seed), WORDS)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load_preset(str(path))
    except PresetError as error:
        assert str(path) in str(error)
        assert len(str(error)) < 1000


@given(seed=st.integers(0, 10**6))
def test_manifests_are_read_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    text, suffix = manifest_text(rng)
    data = mutate_text(text, rng, WORDS).encode("utf-8", "surrogatepass")
    try:
        sheet = parse_manifest(data, f"a.{suffix}", Path(f"a.{suffix}"), Path())
    except TalkheadError as error:
        assert f"a.{suffix}" in str(error)
    else:
        assert sheet.rows or sheet.faults


@pytest.mark.parametrize("name", sorted(crafted.BUNDLES))
def test_bundles_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(crafted.BUNDLES[name])
    if name in {"no-tensors", "vast-network"}:
        assert load_bundle(path).tensors == {}
        return
    with pytest.raises(BundleError, match=r"a\.safetensors"):
        load_bundle(path)


PRESET_MAKERS: list[Callable[[Path], Path]] = [
    crafted.laughing_preset,
    crafted.merging_preset,
    crafted.tagged_preset,
    crafted.deep_preset,
    crafted.impossible_date_preset,
    crafted.long_number_preset,
]


@pytest.mark.parametrize("make", PRESET_MAKERS, ids=lambda make: make.__name__)
def test_presets_made_to_hurt(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path / "a.yaml")
    with pytest.raises(PresetError, match=r"a\.yaml") as caught:
        load_preset(str(path))
    assert len(str(caught.value)) < 1000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", [crafted.pickled_npz, crafted.boastful_npz, crafted.nul_csv])
def test_motion_made_to_hurt(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path / ("a.csv" if "csv" in make.__name__ else "a.npz"))
    with pytest.raises(InputError, match="not a motion file"):
        load_motion(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", [crafted.deep_manifest, crafted.long_number_manifest])
def test_manifests_made_to_hurt(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path / "a.jsonl")
    try:
        assert parse_manifest(path.read_bytes(), "a", path, tmp_path).faults
    except TalkheadError as error:
        assert "a: " in str(error)


def test_manifest_of_a_million_columns() -> None:
    row = ",".join(f"c{index}" for index in range(2000))
    sheet = parse_manifest(f"portrait,audio,{row}\na,b,{row}\n".encode(), "a.csv", None, Path())
    assert "2002 columns are more than the 1000" in sheet.faults[0].message
    line = "{" + ", ".join(f'"c{index}": 1' for index in range(2000)) + "}"
    sheet = parse_manifest(line.encode(), "a.jsonl", None, Path())
    assert "2000 columns are more than the 1000" in sheet.faults[0].message
