"""`talkhead render`: what it writes where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from talkhead_cli.media import probe_media
from tests.cli.conftest import Talkhead, contents, start_process
from tests.conftest import decode_audio, decode_frames, leftovers

pytestmark = pytest.mark.usefixtures("stand_in")


def test_makes_video_and_sidecar(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    done = talkhead("render", astronaut_png, short_wav, "-o", output, "--seed", "7")
    assert done.code == 0
    assert done.out == f"{output}\n"
    assert "30 frames of 256x256 at 25 frames/s" in done.err
    assert len(decode_frames(output, 256, 256)) == 30
    assert probe_media(output).audio_codec == "aac"
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["seed"] == record["settings"]["seed"] == 7
    assert record["num_frames"] == 30
    assert record["bundles"]["stand-in"] == "0" * 64
    assert len(record["bundles"]["speech"]) == 64
    assert {"torch", "ffmpeg", "python"} <= set(record["versions"])
    assert {"face", "speech", "encode", "renderer"} <= set(record["timings"])
    assert record["device"] == record["settings"]["device"] == "cpu"
    assert leftovers(tmp_path) == []


def test_json_gives_one_event_a_line(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    done = talkhead("render", astronaut_png, short_wav, "-o", tmp_path / "out.mp4", "--json")
    assert done.code == 0
    assert done.err == ""
    kinds = [event["event"] for event in done.events]
    assert kinds[0] == "start"
    assert kinds[-1] == "done"
    assert {"face", "audio", "progress"} <= set(kinds)
    assert done.event("face")["width"] == 256
    assert done.event("audio")["duration_seconds"] == pytest.approx(1.2, abs=0.01)
    progress = [event for event in done.events if event["event"] == "progress"]
    assert progress[-1]["frames"] == progress[-1]["num_frames"] == 30
    assert progress[-1]["seconds_left"] == 0
    assert done.event("done")["output"] == str(tmp_path / "out.mp4")


def test_quiet_says_nothing(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    done = talkhead("render", astronaut_png, short_wav, "-o", tmp_path / "out.mp4", "-q")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_verbose_says_what_is_done(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    done = talkhead("render", astronaut_png, short_wav, "-o", tmp_path / "out.mp4", "-v")
    assert done.code == 0
    assert done.out == f"{tmp_path / 'out.mp4'}\n"
    assert "face: box=" in done.err
    assert "audio: duration_seconds=1.2" in done.err


def test_dry_run_writes_nothing(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    done = talkhead(
        "render", astronaut_png, short_wav, "-o", tmp_path / "out.mp4", "--dry-run", "--fps", "50"
    )
    assert done.code == 0
    assert done.out == ""
    assert "ready: would make 60 frames of 256x256 at 50 frames/s" in done.err
    assert list(tmp_path.iterdir()) == []


def test_no_sidecar(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    done = talkhead("render", astronaut_png, short_wav, "-o", tmp_path / "out.mp4", "--no-sidecar")
    assert done.code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_overwrite_replaces_both_files(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    for name in ("out.mp4", "out.json"):
        (tmp_path / name).write_text("old")
    done = talkhead("render", astronaut_png, short_wav, "-o", tmp_path / "out.mp4", "--overwrite")
    assert done.code == 0
    assert probe_media(tmp_path / "out.mp4").has_video
    assert json.loads((tmp_path / "out.json").read_text())["num_frames"] == 30


def test_foreign_sidecar_is_not_replaced(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    (tmp_path / "out.json").write_text("{}")
    done = talkhead("render", astronaut_png, short_wav, "-o", tmp_path / "out.mp4")
    assert done.code == 3
    assert contents(tmp_path) == {"out.json": b"{}"}


@pytest.mark.parametrize(("fps", "frames"), [("24", 29), ("29.97", 36), ("60", 72)])
def test_frame_rate(
    fps: str, frames: int, talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    done = talkhead(
        "render", astronaut_png, short_wav, "-o", tmp_path / "out.mp4", "--fps", fps, "--json"
    )
    assert done.event("done")["num_frames"] == frames
    assert len(decode_frames(tmp_path / "out.mp4", 256, 256)) == frames


def test_options_beat_the_preset(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text("crf: 30\nstill: true\npose_scale: 0.5\n")
    given = ["--preset", preset, "--crf", "28", "--no-still", "--max-seconds", "5"]
    done = talkhead(
        "render", astronaut_png, short_wav, "-o", tmp_path / "o.mp4", "--dry-run", "--json", *given
    )
    settings = done.event("start")["settings"]
    assert (settings["crf"], settings["still"], settings["pose_scale"]) == (28, False, 0.5)
    assert (settings["preset"], settings["max_seconds"]) == ("mine", 5.0)


def test_every_settings_key_has_an_option() -> None:
    import inspect

    from talkhead_cli.commands.render import render
    from talkhead_cli.settings import RenderSettings

    keys = RenderSettings.model_fields.keys() - {"description"}
    assert keys <= inspect.signature(render).parameters.keys()


def test_size_and_crop(
    talkhead: Talkhead, hopper_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    given = ["--crop", "face", "--size", "201", "--dry-run", "--json"]
    done = talkhead("render", hopper_png, short_wav, "-o", tmp_path / "o.mp4", *given)
    face = done.event("face")
    assert face["width"] == face["height"] == 200


def test_relative_and_hostile_names(
    talkhead: Talkhead,
    astronaut_png: Path,
    short_wav: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("it's a [red]\n.png").write_bytes(astronaut_png.read_bytes())
    Path("-speech:1.wav").write_bytes(short_wav.read_bytes())
    done = talkhead("render", "-o", "-o ut.mp4", "--", "it's a [red]\n.png", "-speech:1.wav")
    assert done.code == 0
    assert probe_media(tmp_path / "-o ut.mp4").has_video


@pytest.mark.usefixtures("stand_in")
def test_speech_from_standard_input(
    talkhead: Talkhead,
    astronaut_png: Path,
    short_wav: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with short_wav.open() as speech:
        monkeypatch.setattr("sys.stdin", speech)
        done = talkhead("render", astronaut_png, "-", "-o", tmp_path / "out.mp4")
    assert done.code == 0, done.err
    assert done.out == f"{tmp_path / 'out.mp4'}\n"
    assert len(decode_audio(tmp_path / "out.mp4")) == pytest.approx(1.2 * 16000, abs=320)


def test_video_to_standard_output(astronaut_png: Path, short_wav: Path, tmp_path: Path) -> None:
    with start_process("render", astronaut_png, short_wav, "-o", "-") as process:
        out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    (tmp_path / "piped.mp4").write_bytes(out)
    assert len(decode_frames(tmp_path / "piped.mp4", 256, 256)) == 30
    # Nothing but our own words: the face networks' native log lines are kept out.
    assert b"W0000" not in error
    assert b"INFO" not in error
