"""`talkhead render --drive`: motion from a film of a face."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from talkhead_cli.media import probe_media
from tests.cli.conftest import Talkhead, contents
from tests.conftest import ROOT, decode_audio, decode_frames, leftovers, run_ffmpeg

pytestmark = pytest.mark.usefixtures("stand_in")


@pytest.fixture(scope="module")
def clip(astronaut_png: Path, short_wav: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.2 s of the astronaut, 20 frames a second, with sound."""
    path = tmp_path_factory.mktemp("film") / "clip.mp4"
    picture = ("-loop", 1, "-framerate", 20, "-i", astronaut_png)
    run_ffmpeg(*picture, "-i", short_wav, "-t", 1.2, "-pix_fmt", "yuv420p", path)
    return path


@pytest.fixture(scope="module")
def silent_clip(clip: Path) -> Path:
    path = clip.with_name("silent.mp4")
    run_ffmpeg("-i", clip, "-an", "-c", "copy", path)
    return path


def test_takes_motion_and_sound_of_the_clip(
    talkhead: Talkhead, astronaut_png: Path, clip: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    done = talkhead("render", astronaut_png, "-o", output, "--drive", clip, "--json")
    assert done.code == 0, done.err
    assert done.err == ""
    assert done.event("start")["drive"] == str(clip)
    assert done.event("start")["audio"] is None
    drive = done.event("drive")
    assert (drive["num_frames"], drive["fps"], drive["lost_frames"]) == (24, 20, 0)
    assert len(decode_frames(output, 256, 256)) == 30
    assert len(decode_audio(output)) == pytest.approx(1.2 * 16000, abs=1100)
    record = json.loads((tmp_path / "out.json").read_text())
    assert (record["drive"], record["audio"]) == (str(clip), None)
    assert "speech" not in record["bundles"]
    assert leftovers(tmp_path) == []


def test_audio_replaces_the_sound_of_the_clip(
    talkhead: Talkhead, astronaut_png: Path, clip: Path, speech_wav: Path, tmp_path: Path
) -> None:
    given = ["--drive", clip, "--dry-run", "--json", "--fps", "50"]
    done = talkhead("render", astronaut_png, speech_wav, "-o", tmp_path / "out.mp4", *given)
    assert done.code == 0, done.err
    assert done.event("done")["num_frames"] == pytest.approx(8.6 * 50, abs=10)
    assert "ends 7.4 s before the sound" in done.event("warning")["message"]
    assert list(tmp_path.iterdir()) == []


def test_clip_that_is_longer_is_cut(
    talkhead: Talkhead, astronaut_png: Path, clip: Path, short_wav: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half.wav"
    run_ffmpeg("-i", short_wav, "-t", 0.6, half)
    given = ["--drive", clip, "--json"]
    done = talkhead("render", astronaut_png, half, "-o", tmp_path / "out.mp4", *given)
    assert done.event("done")["num_frames"] == 15
    assert "only its first 0.6 s are used" in done.event("warning")["message"]


def test_silent_clip_makes_a_silent_video(
    talkhead: Talkhead, astronaut_png: Path, silent_clip: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    done = talkhead("render", astronaut_png, "-o", output, "--drive", silent_clip)
    assert done.code == 0, done.err
    assert "has no sound, and so will the video" in done.err
    assert probe_media(output).audio_codec is None
    assert len(decode_frames(output, 256, 256)) == 30


def test_strengths_of_the_preset_are_for_generated_motion(
    talkhead: Talkhead, astronaut_png: Path, clip: Path, tmp_path: Path
) -> None:
    def settings(*given: object) -> dict[str, object]:
        line = ["render", astronaut_png, "-o", tmp_path / "o.mp4", "--dry-run", "--json"]
        return talkhead(*line, "--drive", clip, *given).event("start")["settings"]

    plain, given = settings(), settings("--pose-scale", "0.5", "--drive-pose", "absolute")
    assert (plain["expression_scale"], plain["pose_scale"]) == (1.0, 1.0)
    assert plain["drive_pose"] == "relative"
    assert (given["pose_scale"], given["drive_pose"]) == (0.5, "absolute")


def test_nothing_to_move_the_portrait(
    talkhead: Talkhead, astronaut_png: Path, tmp_path: Path
) -> None:
    done = talkhead("render", astronaut_png, "-o", tmp_path / "out.mp4")
    assert done.code == 2
    assert "give AUDIO, or a clip as --drive" in done.err


def make_film(kind: str, folder: Path) -> Path:
    path = folder / "film.mp4"
    if kind == "a test card":
        run_ffmpeg("-f", "lavfi", "-i", "testsrc=s=320x240:d=1", path)
    elif kind == "text":
        path.write_text("not a film")
    elif kind == "empty":
        path.touch()
    elif kind == "a folder":
        path.mkdir()
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("a test card", "no face is seen"),
        ("text", "moving picture"),
        ("empty", "moving picture"),
        ("a folder", "folder"),
        ("missing", "no such file"),
    ],
)
@pytest.mark.parametrize("spoken", [False, True])
def test_films_that_cannot_drive(
    kind: str,
    words: str,
    spoken: bool,
    talkhead: Talkhead,
    astronaut_png: Path,
    short_wav: Path,
    tmp_path: Path,
) -> None:
    film = make_film(kind, tmp_path)
    before = contents(tmp_path)
    speech = [short_wav] if spoken else []
    done = talkhead(
        "render", astronaut_png, *speech, "-o", tmp_path / "out.mp4", "--drive", film, "-q"
    )
    assert done.code == 3, done.err
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("error: ")
    assert words in done.err
    assert str(film) in done.err
    assert contents(tmp_path) == before


def test_clip_is_never_replaced(talkhead: Talkhead, astronaut_png: Path, clip: Path) -> None:
    before = clip.read_bytes()
    done = talkhead("render", astronaut_png, "-o", clip, "--drive", clip, "--overwrite")
    assert done.code == 3
    assert "one of the inputs" in done.err
    assert clip.read_bytes() == before


def test_wrong_pose_word(talkhead: Talkhead, astronaut_png: Path, clip: Path) -> None:
    done = talkhead(
        "render", astronaut_png, "-o", "o.mp4", "--drive", clip, "--drive-pose", "sideways"
    )
    assert done.code == 2
    assert "--drive-pose" in done.err


def test_clip_longer_than_allowed(
    talkhead: Talkhead, astronaut_png: Path, silent_clip: Path, tmp_path: Path
) -> None:
    given = ["--drive", silent_clip, "--max-seconds", "1"]
    done = talkhead("render", astronaut_png, "-o", tmp_path / "out.mp4", *given)
    assert done.code == 3
    assert "raise --max-seconds" in done.err
    assert list(tmp_path.iterdir()) == []


def test_page_on_driving_is_true(
    talkhead: Talkhead,
    astronaut_png: Path,
    clip: Path,
    short_wav: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from talkhead_cli import drive

    page = (ROOT / "docs" / "drive.md").read_text()
    assert f"rates above {drive.MAX_FPS} " in page
    assert f"larger than {drive.MAX_SIDE} pixels" in page
    assert f"by up to {drive.MAX_YAW:.0f} degrees" in page
    for source, name in (
        (astronaut_png, "portrait.png"),
        (clip, "clip.mp4"),
        (short_wav, "speech.wav"),
    ):
        shutil.copy(source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    commands = [line for line in page.splitlines() if line.startswith("talkhead render")]
    assert len(commands) == 2
    for command in commands:
        assert talkhead(*command.split()[1:], "--overwrite").code == 0
    code = page.split("```python\n")[1].split("```")[0]
    exec(compile(code, "drive.md", "exec"), {})
    assert probe_media(Path("driven.mp4")).has_video
