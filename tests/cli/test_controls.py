"""`talkhead render --emotion --gaze --style`: what goes together, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from talkhead_cli.film_rules import refusals
from talkhead_cli.settings import RenderSettings
from tests.cli.conftest import Talkhead
from tests.conftest import run_ffmpeg

pytestmark = pytest.mark.usefixtures("stand_in")


@pytest.fixture(scope="module")
def clip(astronaut_png: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.2 s of the astronaut."""
    path = tmp_path_factory.mktemp("film") / "clip.mp4"
    picture = ("-loop", 1, "-framerate", 10, "-i", astronaut_png)
    run_ffmpeg(*picture, "-t", 1.2, "-pix_fmt", "yuv420p", path)
    return path


def test_controls_are_settings(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    given = ["--emotion", "happy", "--emotion-strength", "0.8", "--gaze", "free"]
    line = ["render", astronaut_png, short_wav, "-o", tmp_path / "o.mp4", "--dry-run", "--json"]
    settings = talkhead(*line, *given).event("start")["settings"]
    assert [settings[key] for key in ("emotion", "emotion_strength", "gaze")] == [
        "happy",
        0.8,
        "free",
    ]
    usual = RenderSettings()
    assert (usual.emotion, usual.emotion_strength, usual.gaze) == ("neutral", 0.5, "camera")


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (["--emotion", "bored"], "--emotion"),
        (["--emotion-strength", "1.5"], "--emotion-strength"),
        (["--gaze", "away"], "--gaze"),
    ],
)
def test_unknown_controls_are_refused(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, given: list[str], word: str
) -> None:
    done = talkhead("render", astronaut_png, short_wav, "-o", "o.mp4", *given)
    assert done.code == 2
    assert word in done.err


def test_a_style_is_for_generated_motion(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, clip: Path
) -> None:
    given = ["-o", "o.mp4", "--style", clip]
    done = talkhead("render", astronaut_png, short_wav, *given, "--drive", clip)
    assert done.code == 2
    assert "--style is for generated motion" in done.err


def test_a_film_keeps_its_own_manner(clip: Path) -> None:
    sad = RenderSettings(emotion="sad")
    wrong = refusals(clip, sad, drive=False, audio=True, style=True)
    assert [option for option, _ in wrong] == ["style", "emotion"]
    assert all(f"leave --{option} out" in words for option, words in wrong)
    assert refusals(clip, RenderSettings(), drive=False, audio=True) == []


def test_a_style_wants_a_person_long_enough(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, clip: Path, tmp_path: Path
) -> None:
    line = ["render", astronaut_png, short_wav, "-o", tmp_path / "o.mp4"]
    done = talkhead(*line, "--style", clip, "--json")
    assert done.code == 3
    assert "a style needs 3 s" in done.err
    # As with a driving clip, the preset's strengths give way.
    settings = done.event("start")["settings"]
    assert (settings["pose_scale"], settings["expression_scale"]) == (1.0, 1.0)
    done = talkhead(*line, "--style", tmp_path / "none.mp4")
    assert done.code == 3
    assert list(tmp_path.iterdir()) == []


def test_emotion_over_filmed_motion_is_said_to_be_left_out(
    talkhead: Talkhead, astronaut_png: Path, clip: Path, tmp_path: Path
) -> None:
    line = ["render", astronaut_png, "-o", tmp_path / "o.mp4", "--drive", clip, "--dry-run"]
    done = talkhead(*line, "--json", "--emotion", "sad")
    assert done.code == 0, done.err
    words = [event["message"] for event in done.events if event["event"] == "warning"]
    assert any("left without emotion" in word for word in words)
