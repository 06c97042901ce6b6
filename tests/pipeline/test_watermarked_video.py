"""The watermark of rendered videos, read back from files as people pass them on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkhead_cli.errors import InputError
from talkhead_cli.marking.watermark_reader import read_watermark
from talkhead_cli.render import OutputOptions, render_file
from talkhead_cli.settings import RenderSettings
from tests.conftest import run_ffmpeg

X264 = ("-c:v", "libx264", "-preset", "medium", "-crf", "28")


@pytest.fixture(scope="module")
def rendered(
    astronaut: np.ndarray, short_wav: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The astronaut speaking, 320x320, as `talkhead render` writes it."""
    folder = tmp_path_factory.mktemp("watermark")
    Image.fromarray(astronaut).crop((60, 0, 380, 320)).save(folder / "face.png")
    video = folder / "clip.mp4"
    render_file(RenderSettings(device="cpu"), folder / "face.png", short_wav, video)
    return video


def payload_in(sidecar: Path) -> str:
    """What the watermark should say, by the JSON file beside a video."""
    from talkhead_cli.marking.record import settings_hash

    record = json.loads(sidecar.read_text())
    return "1" + settings_hash(record["settings"], record["bundles"])[:7]


def test_it_outlasts_encoding_and_scaling(rendered: Path, tmp_path: Path) -> None:
    expected = payload_in(rendered.with_suffix(".json"))
    assert read_watermark(rendered).payload == expected
    again = tmp_path / "again.mp4"
    run_ffmpeg("-i", rendered, "-vf", "scale=-2:720", *X264, again)
    reading = read_watermark(again)
    assert reading.found
    assert reading.payload == expected
    assert reading.score > 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("filters", "codec"),
    [
        ("scale=480:480", ("-c:v", "libx265", "-crf", "28")),
        ("scale=-2:720", ("-c:v", "libvpx-vp9", "-crf", "34", "-b:v", "0", "-cpu-used", "5")),
        ("fps=30", ("-c:v", "libx264", "-crf", "22")),
        ("eq=brightness=0.05:contrast=1.1", ("-c:v", "libx264", "-crf", "22")),
        ("pad=iw*2:ih:-1:-1", ("-c:v", "libx264", "-crf", "20")),
        ("crop=304:304", ("-c:v", "libx264", "-crf", "20")),
    ],
)
def test_it_outlasts_other_changes(
    rendered: Path, tmp_path: Path, filters: str, codec: tuple[str, ...]
) -> None:
    again = tmp_path / "again.mkv"
    run_ffmpeg("-i", rendered, "-vf", filters, *codec, again)
    assert read_watermark(again).payload == payload_in(rendered.with_suffix(".json"))


@pytest.mark.slow
def test_without_marking_there_is_none(rendered: Path, short_wav: Path, tmp_path: Path) -> None:
    settings = RenderSettings(device="cpu", marking=False)
    video = tmp_path / "plain.mp4"
    render_file(settings, rendered.with_name("face.png"), short_wav, video)
    assert not read_watermark(video).found


def test_pictures_and_folders_of_pictures_are_read(rendered: Path, tmp_path: Path) -> None:
    expected = payload_in(rendered.with_suffix(".json"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    run_ffmpeg("-i", rendered, "-frames:v", "4", folder / "%06d.png")
    assert read_watermark(folder).payload == expected
    shutil.copy(folder / "000001.png", tmp_path / "still.png")
    assert read_watermark(tmp_path / "still.png").payload == expected


def test_what_holds_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="no moving picture"):
        read_watermark(tmp_path / "text.mp4")
    with pytest.raises(InputError, match="without numbered pictures"):
        read_watermark(tmp_path / "folder")
    with pytest.raises(InputError, match="no such file"):
        read_watermark(tmp_path / "nothing.mp4")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.mov", "out.webm", "pictures/"])
def test_transparent_videos_carry_it(
    rendered: Path, short_wav: Path, tmp_path: Path, name: str
) -> None:
    settings = RenderSettings(device="cpu", alpha=True, label="AI-generated")
    output = tmp_path / name
    options = OutputOptions()
    render_file(settings, rendered.with_name("face.png"), short_wav, output, options=options)
    sidecar = output.with_suffix(".json")
    assert read_watermark(output).payload == payload_in(sidecar)
