"""`talkhead render` into other files than MP4: refused before anything is made, or whole and in place."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from talkhead_cli.media import ffmpeg_path, run_captured
from tests.cli.conftest import Case, Talkhead, contents, refused
from tests.conftest import leftovers

pytestmark = pytest.mark.usefixtures("stand_in")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("out.webm", [], "WebM cannot hold h264"),
        ("out.mp4", ["--video-codec", "prores"], "MP4 cannot hold prores; end the name in .mov"),
        ("out.mp4", ["--alpha"], "--alpha needs a name that ends in .mov"),
        ("out.mov", ["--alpha", "--video-codec", "av1"], "av1 holds no transparency"),
        ("frames", [], "must end in .mp4"),
        ("out.mp4", ["--encoder", "magic"], "--encoder"),
        ("out.mp4", ["--video-codec", "vp9"], "--video-codec"),
    ],
)
def test_combinations_that_cannot_be(
    name: str, options: list[str], words: str, case: Case, talkhead: Talkhead
) -> None:
    case.output, case.options = case.folder / name, options
    refused(case, talkhead, 2, words)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("out.mov", ["--video-codec", "prores"], "prores (HQ)"),
        ("out.webm", ["--alpha"], "Video: vp9"),
    ],
)
def test_files_are_what_their_names_say(
    name: str, options: list[str], words: str, case: Case, talkhead: Talkhead
) -> None:
    path = case.folder / name
    done = talkhead("render", case.portrait, case.audio, "-o", path, *options)
    assert done.code == 0, done.err
    assert words in run_captured([ffmpeg_path(), "-hide_banner", "-i", str(path)])
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["settings"]["alpha"] == ("--alpha" in options)
    assert leftovers(case.folder) == []


@pytest.mark.usefixtures("stand_in")
def test_two_files_of_one_name_say_how_to_keep_the_record_of_the_first(
    case: Case, talkhead: Talkhead
) -> None:
    (case.folder / "clip.json").write_text("{}")
    line = ["render", case.portrait, case.audio, "-o", case.folder / "clip.webm", "--alpha"]
    done = talkhead(*line)
    assert done.code == 3
    assert "clip.json: exists already" in done.err
    assert "--no-sidecar" in done.err
    assert talkhead(*line, "--no-sidecar", "--fps", "5").code == 0
    assert (case.folder / "clip.json").read_text() == "{}"


def test_folder_of_pictures(case: Case, talkhead: Talkhead) -> None:
    path = case.folder / "take.2"
    arguments = ["render", case.portrait, case.audio, "--alpha", "-o"]
    done = talkhead(*arguments, f"{path}/")
    assert done.code == 0, done.err
    names = sorted(item.name for item in path.iterdir())
    assert names == [f"{index:06}.png" for index in range(30)]
    with Image.open(path / "000007.png") as image:
        alpha = np.asarray(image)[..., 3]
    assert alpha.min() == 0
    assert alpha.max() == 255
    before = contents(case.folder)
    assert talkhead(*arguments, path).code == 3
    assert contents(case.folder) == before
    assert talkhead(*arguments, path, "--overwrite").code == 0
    (path / "notes").write_text("precious")
    done = talkhead(*arguments, path, "--overwrite")
    assert done.code == 3
    assert "holds other things than numbered pictures" in done.err
    assert leftovers(case.folder) == []


def test_hardware_that_is_not_there(
    case: Case, talkhead: Talkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkhead_cli.hardware.works", lambda *given: False)
    done = talkhead("render", case.portrait, case.audio, "-o", case.output, "--encoder", "auto")
    assert done.code == 0, done.err
    assert case.output.exists()
    arguments = ["-o", case.folder / "other.mp4", "--encoder", "hardware"]
    done = talkhead("render", case.portrait, case.audio, *arguments)
    assert done.code == 6
    assert "no hardware encoder for h264 works on this machine at 256x256" in done.err
    assert not (case.folder / "other.mp4").exists()
    assert leftovers(case.folder) == []
