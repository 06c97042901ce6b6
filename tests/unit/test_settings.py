"""Settings: precedence, ranges, messages, frame rates."""

from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from talkhead_cli.errors import PresetError, UsageError
from talkhead_cli.settings import (
    RenderSettings,
    list_presets,
    load_preset,
    parse_fps,
    resolve_settings,
    show_fps,
    to_yaml,
)


def preset(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_option_beats_preset_beats_default(tmp_path: Path) -> None:
    name = preset(tmp_path, "crf: 20\nseed: 5\n")
    settings = resolve_settings(name, {"seed": 9, "crf": None})
    assert (settings.seed, settings.crf, settings.pose_scale) == (9, 20, 1.0)
    assert settings.preset == "mine"


def test_falsy_options_count_as_given(tmp_path: Path) -> None:
    name = preset(tmp_path, "seed: 5\nstill: true\npose_scale: 2.0\n")
    settings = resolve_settings(name, {"seed": 0, "still": False, "pose_scale": 0.0})
    assert (settings.seed, settings.still, settings.pose_scale) == (0, False, 0.0)


@pytest.mark.parametrize("name", list_presets())
def test_built_in_presets_are_flat_and_say_everything_they_change(name: str) -> None:
    values = load_preset(name)
    assert values["preset"] == name
    assert all(not isinstance(value, dict | list) for value in values.values())
    assert values["description"]
    assert len(values) <= 16


@pytest.mark.parametrize("name", list_presets())
def test_shown_preset_reads_back_as_itself(name: str, tmp_path: Path) -> None:
    settings = resolve_settings(name, {})
    assert resolve_settings(preset(tmp_path, to_yaml(settings)), {}) == settings


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("guidence_scale: 1.0", "did you mean 'guidance_scale'"),
        ("zzz: 1", "unknown key 'zzz'"),
        ("crf: 99", "crf"),
        ("crf: '18'", "without quotes"),
        ("pose_scale: 1e1", "10.0 rather than 1e1"),
        ("fps: fast", "frame rate"),
        ("fps: 1000", "from 5 to 120"),
        ("device: gpu", "auto, cpu, cuda"),
        ("face: 0", "largest, N"),
        ("- 1\n- 2", "key: value"),
        ("a: [", "YAML"),
        ("seed: true", "seed"),
        ("pose_scale: .nan", "pose_scale"),
    ],
)
def test_wrong_preset_is_explained(text: str, wanted: str, tmp_path: Path) -> None:
    with pytest.raises(PresetError, match=wanted) as caught:
        load_preset(preset(tmp_path, text))
    assert "mine.yaml" in str(caught.value)


def test_unknown_preset_names_the_closest() -> None:
    with pytest.raises(PresetError, match="did you mean 'talkhead'"):
        resolve_settings("talkhed", {})


def test_missing_preset_file() -> None:
    with pytest.raises(PresetError, match="no such preset file"):
        resolve_settings("nowhere/x.yaml", {})


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"crf": 52}, "--crf"),
        ({"num_inference_steps": 0}, "--num-inference-steps"),
        ({"fps": "0"}, "--fps"),
        ({"seed": -1}, "--seed"),
        ({"size": 64}, "--size"),
        ({"crop": "half"}, "--crop"),
        ({"video_codec": "vp9"}, "--video-codec"),
        ({"max_seconds": 0.0}, "--max-seconds"),
        ({"face": "left"}, "--face"),
        ({"device": "cuda:x"}, "--device"),
    ],
)
def test_wrong_option_is_a_usage_error(options: dict[str, object], wanted: str) -> None:
    with pytest.raises(UsageError, match=wanted):
        resolve_settings(None, options)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (25, Fraction(25)),
        (29.97, Fraction(30000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        ("12.5", Fraction(25, 2)),
        (" 50 ", Fraction(50)),
    ],
)
def test_frame_rates(written: object, meant: Fraction) -> None:
    assert parse_fps(written) == meant


@pytest.mark.parametrize("written", ["", "x", "1/0", None, True, "nan", "inf", 4, 121, "-25", [25]])
def test_no_frame_rates(written: object) -> None:
    with pytest.raises(ValueError, match="frame rate"):
        parse_fps(written)


@given(st.fractions(min_value=5, max_value=120, max_denominator=1001))
def test_frame_rate_round_trip(rate: Fraction) -> None:
    once = parse_fps(rate)
    assert parse_fps(show_fps(once)) == once
    assert abs(once - rate) < Fraction(1, 100)


@given(
    st.dictionaries(
        st.sampled_from(sorted(RenderSettings.model_fields)),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12)),
    )
)
def test_options_either_resolve_or_are_refused_in_words(options: dict[str, object]) -> None:
    options.pop("preset", None)
    try:
        settings = resolve_settings(None, options)
    except UsageError as error:
        assert str(error).startswith("--")
    else:
        for key, value in options.items():
            if value is not None and key not in {"fps", "face"}:
                assert getattr(settings, key) == value


@given(st.text(max_size=200))
def test_no_preset_text_crashes(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.yaml"
        path.write_text(text, encoding="utf-8", errors="replace")
        try:
            load_preset(str(path))
        except PresetError as error:
            assert "any.yaml" in str(error)


def test_settings_are_frozen() -> None:
    settings = resolve_settings(None, {})
    with pytest.raises(ValueError, match="frozen"):
        settings.crf = 3  # type: ignore[misc]


def test_preset_files_are_commented() -> None:
    from talkhead_cli.paths import presets_folder

    for path in presets_folder().glob("*.yaml"):
        lines = path.read_text().splitlines()
        keys = yaml.safe_load(path.read_text())
        assert lines[0].startswith("#")
        assert set(keys) <= set(RenderSettings.model_fields)


def test_marking_is_switched_off_by_an_option_and_by_no_preset(tmp_path: Path) -> None:
    assert resolve_settings(None, {}).marking
    assert resolve_settings(preset(tmp_path, "marking: true\n"), {}).marking
    assert not resolve_settings(None, {"marking": False}).marking
    with pytest.raises(PresetError, match=r"mine\.yaml: marking: .* give --no-marking"):
        resolve_settings(preset(tmp_path, "marking: false\n"), {"marking": False})
