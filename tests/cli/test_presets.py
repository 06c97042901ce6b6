"""Every built-in preset, as a person meets it: listed, its weights there, and a video at the end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from talkhead_cli.media import probe_media
from talkhead_cli.paths import presets_folder
from talkhead_cli.settings import DEFAULT_PRESET, list_presets, resolve_settings
from tests.cli.conftest import Talkhead
from tests.conftest import ROOT, decode_frames

PRESETS = list_presets()

PAPERS = {
    "temposyncdiff": "2603.06057",
    "rest": "2512.11229",
    "syncdiff": "2503.13371",
    "asymtalker": "2605.02948",
}


def test_the_presets_are_the_default_and_those_of_papers() -> None:
    assert DEFAULT_PRESET in PRESETS
    assert set(PRESETS) - {DEFAULT_PRESET} <= PAPERS.keys()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_where_it_comes_from_and_has_weights_of_its_own(name: str) -> None:
    text = (presets_folder() / f"{name}.yaml").read_text()
    head = text[: text.index("description:")]
    assert all(line.startswith("#") for line in head.splitlines())
    if name in PAPERS:
        assert f"arXiv {PAPERS[name]}" in head
    settings = resolve_settings(name, {})
    assert settings.bundle == name
    assert settings.description
    uncommented = [line for line in text.splitlines() if "#" not in line]
    assert [line for line in uncommented if not line.startswith("description:")] == []


@pytest.mark.parametrize("name", PRESETS)
def test_the_generator_of_a_preset_is_documented(name: str) -> None:
    page = (ROOT / "docs" / "generator.md").read_text()
    assert f"\n| `{name}` |" in page
    if name in PAPERS:
        assert f"arXiv {PAPERS[name]}" in page


def test_models_tell_size_tier_and_licence_of_every_preset(talkhead: Talkhead) -> None:
    found = {item["name"]: item for item in json.loads(talkhead("models", "list", "--json").out)}
    for name in PRESETS:
        item = found[name]
        assert 1e6 < item["size"] < 12e6
        assert item["data_tier"] == "permissive"
        assert "unknown" not in (item["licence"], item["training_command"])
        assert Path(item["path"]).stat().st_size == item["size"]
    assert talkhead("models", "verify", *PRESETS).code == 0
    told = talkhead("models", "list").out
    assert all(name in told for name in PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_renders(
    name: str, talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    given = ["-o", output, "--preset", name, "--device", "cpu", "--size", "128", "--json"]
    done = talkhead("render", astronaut_png, short_wav, *given)
    assert done.code == 0, done.err
    assert done.events[-1]["event"] == "done"
    record = json.loads(output.with_suffix(".json").read_text())
    assert record["settings"]["preset"] == name
    assert len(record["bundles"][name]) == 64
    assert probe_media(output).audio_codec == "aac"
    frames = decode_frames(output, 128, 128).astype(np.int16)
    assert len(frames) == 30
    assert np.abs(np.diff(frames, axis=0)).max() > 20, "nothing moves"
