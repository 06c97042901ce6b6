"""`talkhead evaluate`: through the real command line on a real render, and everything that can be wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from talkhead_cli.app import run
from talkhead_cli.evaluation.targets import MEASURES
from tests.cli.conftest import Talkhead, contents
from tests.conftest import SPEECH, leftovers, run_ffmpeg

UNKNOWN_WITHOUT_REFERENCE = {
    "reference_frames",
    "landmark_distance_mouth",
    "landmark_distance_face",
    "mouth_l1",
    "mouth_ssim",
    "mouth_sharpness_ratio",
    "mouth_flicker_ratio",
}
SHORT = {"mouth_rest", "chunk_step", "blink_opening", "blink_opening_worst"}
"""What two seconds may be too short for."""


@dataclass(frozen=True)
class Rendered:
    """A render of the built-in example with what it was made from."""

    video: Path
    portrait: Path
    audio: Path
    phones: Path


@pytest.fixture(scope="module")
def rendered(hopper_png: Path, tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    folder = tmp_path_factory.mktemp("rendered")
    samples, rate = soundfile.read(SPEECH)
    audio = folder / "speech.wav"
    soundfile.write(audio, samples[: 2 * rate], rate)
    video = folder / "out.mp4"
    given = [hopper_png, audio, "-o", video, "--quiet", "--size", "400"]
    assert run(["render", *map(str, given)]) == 0
    return Rendered(video, hopper_png, audio, SPEECH.with_suffix(".phones"))


@pytest.fixture(scope="module")
def shorter(rendered: Rendered) -> Path:
    """Its first 0.6 s, without sound."""
    path = rendered.video.with_name("shorter.mp4")
    run_ffmpeg("-i", rendered.video, "-an", "-c:v", "copy", "-t", 0.6, path)
    return path


def test_json_and_plot_of_everything(
    rendered: Rendered, talkhead: Talkhead, tmp_path: Path
) -> None:
    plot = tmp_path / "plot.png"
    done = talkhead(
        "evaluate",
        rendered.video,
        "--portrait",
        rendered.portrait,
        "--audio",
        rendered.audio,
        "--phones",
        rendered.phones,
        "--reference",
        rendered.video,
        "--plot",
        plot,
        "--json",
    )
    assert done.code == 0, done.err
    assert done.err == ""
    (line,) = done.out.splitlines()
    found = json.loads(line)
    assert found["event"] == "evaluation"
    assert (found["num_frames"], found["width"], found["height"]) == (50, 340, 400)
    assert (found["fps"], found["codec"]) == (25, "h264")
    assert found["lips_judged_by"] == "phones"
    assert found["warnings"] == []
    assert [
        item.key for item in MEASURES if found[item.key] is None and item.key not in SHORT
    ] == []
    # The video is its own reference.
    assert found["reference_frames"] == 50
    assert found["landmark_distance_mouth"] == found["mouth_l1"] == 0
    assert found["mouth_ssim"] == found["mouth_flicker_ratio"] == 1
    # A sound render: the face is there, is the portrait's, and stays where it is.
    assert found["lost_frames"] == 0
    assert found["likeness_min"] > 0.6
    assert found["border_psnr_min"] > 30
    assert abs(found["length_gap_ms"]) <= 40
    assert found["num_closures"] == 1
    assert 0 < found["warping_error_background"] < found["warping_error_mouth"]
    with Image.open(plot) as picture:
        assert picture.format == "PNG"
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20
    assert leftovers(tmp_path) == []


def test_a_table_for_people_and_visemes_without_phones(
    rendered: Rendered, talkhead: Talkhead
) -> None:
    done = talkhead("evaluate", rendered.video)
    assert done.code == 0
    assert "50 frames of 340x400 at 25 frames/s, h264; lips judged by visemes" in done.out
    lines = [line.split("  ") for line in done.out.splitlines()]
    titles = {words[1].strip() for words in lines if len(words) > 2}
    assert {"measure", "jerk", "frames without a face", "mouth: flicker"} <= titles
    assert "likeness, worst frame" not in titles


def test_every_key_is_there_whatever_is_known(shorter: Path, talkhead: Talkhead) -> None:
    done = talkhead("evaluate", shorter, "--json")
    assert done.code == 0, done.err
    found = done.event("evaluation")
    assert {item.key for item in MEASURES} <= set(found)
    assert found["lips_judged_by"] is None
    assert found["closure_recall"] is None
    assert found["length_gap_ms"] is None
    assert found["likeness_min"] is None
    assert {key for key in UNKNOWN_WITHOUT_REFERENCE if found[key] is not None} == set()
    assert found["mouth_opening_p95"] > 0
    assert found["warnings"] == ["there is neither sound nor phones: lips cannot be judged"]
    told = talkhead("evaluate", shorter)
    assert "warning: there is neither sound nor phones" in told.err


def test_the_sidecar_tells_how_the_portrait_was_cut(
    astronaut: np.ndarray, rendered: Rendered, talkhead: Talkhead, tmp_path: Path
) -> None:
    portrait, video = tmp_path / "astronaut.png", tmp_path / "out.mp4"
    Image.fromarray(astronaut).save(portrait)
    given = "--crop", "face", "--size", "160", "--fps", "8", "-q"
    made = talkhead("render", portrait, rendered.audio, "-o", video, *given)
    assert made.code == 0, made.err
    known = talkhead("evaluate", video, "--portrait", portrait, "--json").event("evaluation")
    video.with_suffix(".json").unlink()
    guessed = talkhead("evaluate", video, "--portrait", portrait, "--json").event("evaluation")
    assert known["likeness_min"] > 0.6
    assert known["border_psnr_min"] > 30
    assert guessed["border_psnr_min"] < known["border_psnr_min"] - 10


def test_another_shape_than_the_portraits_is_said(
    shorter: Path, astronaut_png: Path, talkhead: Talkhead
) -> None:
    done = talkhead("evaluate", shorter, "--portrait", astronaut_png, "--json")
    assert done.code == 0
    found = done.event("evaluation")
    assert found["likeness_min"] is None
    assert any("another shape than the video" in words for words in found["warnings"])


@pytest.fixture(scope="module")
def inputs(rendered: Rendered, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are no good."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "text.mp4").write_text("This is not a video.\n" * 50)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "cut.mp4").write_bytes(rendered.video.read_bytes()[:3000])
    (folder / "words.phones").write_text("Hello there")
    run_ffmpeg("-f", "lavfi", "-i", "color=s=256x256:r=25:d=0.04", folder / "one.mp4")
    (folder / "playlist.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    )
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=s=256x256:d=1", folder / "faceless.mp4")
    run_ffmpeg("-f", "lavfi", "-i", "color=s=16x16:d=1", folder / "tiny.mp4")
    run_ffmpeg("-i", rendered.video, "-frames:v", "2", folder / "short.mp4")
    run_ffmpeg("-i", rendered.audio, folder / "sound.m4a")
    Image.new("RGB", (256, 256), "grey").save(folder / "grey.png")
    return folder


GOOD = "GOOD"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.mp4"], 3, "nowhere.mp4: no such file"),
        (["."], 3, "is a folder"),
        (["text.mp4"], 3, "text.mp4: holds no moving picture"),
        (["empty.mp4"], 3, "empty.mp4: holds no moving picture"),
        (["cut.mp4"], 3, "cut.mp4: not one frame can be decoded"),
        (["playlist.m3u8"], 3, "playlist.m3u8: is of a format that is not opened"),
        (["sound.m4a"], 3, "sound.m4a: holds no moving picture"),
        (["grey.png"], 3, "grey.png: is of a format that is not opened; give a film"),
        (["one.mp4"], 3, "one.mp4: has 1 frame(s)"),
        (["short.mp4"], 3, "short.mp4: has 2 frame(s)"),
        (["faceless.mp4"], 3, "no face found in any of its 25 frames"),
        (["tiny.mp4"], 3, "no face found"),
        ([GOOD, "--portrait", "nowhere.png"], 3, "nowhere.png"),
        ([GOOD, "--portrait", "grey.png"], 3, "no face found"),
        ([GOOD, "--portrait", "text.mp4"], 3, "text.mp4"),
        ([GOOD, "--audio", "nowhere.wav"], 3, "nowhere.wav"),
        ([GOOD, "--audio", "faceless.mp4"], 3, "faceless.mp4 has no sound"),
        ([GOOD, "--phones", "nowhere.phones"], 3, "nowhere.phones: no such file"),
        ([GOOD, "--phones", "words.phones"], 3, "words.phones: holds no phones"),
        ([GOOD, "--reference", "text.mp4"], 3, "text.mp4: holds no moving picture"),
        ([GOOD, "--reference", "faceless.mp4"], 3, "faceless.mp4: no face found"),
        ([GOOD, "--face", "2"], 3, "face 2 was asked for"),
        ([GOOD, "--face", "the left one"], 2, "does not choose a face"),
        ([GOOD, "--plot", "plot.jpg"], 2, "must end in .png"),
        ([GOOD, "--plot", "missing/plot.png"], 3, "does not exist"),
        (["grey.png", "--plot", "grey.png"], 3, "one of the inputs"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    arguments: list[str],
    code: int,
    words: str,
    inputs: Path,
    rendered: Rendered,
    talkhead: Talkhead,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(inputs)
    before = contents(inputs)
    given = [str(rendered.video) if item == GOOD else item for item in arguments]
    done = talkhead("evaluate", *given)
    assert done.code == code, done.err
    assert done.out == ""
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("error: ")
    assert words in lines[0]
    assert contents(inputs) == before
