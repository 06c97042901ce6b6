"""Which writer a render gets."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from talkhead_cli.formats import PLANAR
from talkhead_cli.media import VideoWriter
from talkhead_cli.pictures import PictureWriter
from talkhead_cli.result import OutputOptions
from talkhead_cli.segments import SegmentedWriter
from talkhead_cli.settings import RenderSettings
from talkhead_cli.writing import file_writer, stream_writer

LONG, SHORT = 5000, 100


def scene(target: Path | None) -> Any:
    portrait = SimpleNamespace(image=np.zeros((128, 128, 3), np.uint8))
    pipeline = SimpleNamespace(gives_planes=PLANAR.__contains__)
    return SimpleNamespace(portrait=portrait, target=target, pipeline=pipeline)


@pytest.fixture(autouse=True)
def works_on_nvidia(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(ffmpeg: str, codec: str, width: int, height: int) -> str:
        return f"{codec}_nvenc"

    monkeypatch.setattr("talkhead_cli.hardware.find_hardware", find)


@pytest.mark.parametrize(
    ("name", "frames", "given", "kind"),
    [
        ("out.mp4", SHORT, {}, VideoWriter),
        ("out.mp4", LONG, {}, SegmentedWriter),
        ("out.mkv", LONG, {"video_codec": "hevc"}, SegmentedWriter),
        ("out.mov", LONG, {"video_codec": "prores"}, SegmentedWriter),
        ("out.mp4", LONG, {"encoder": "auto"}, VideoWriter),
        ("out.mov", LONG, {"alpha": True}, VideoWriter),
        ("frames", LONG, {"alpha": True}, PictureWriter),
        ("frames", SHORT, {"alpha": True}, PictureWriter),
    ],
)
def test_long_videos_are_in_segments_where_these_join(
    name: str, frames: int, given: dict[str, Any], kind: type, tmp_path: Path
) -> None:
    settings = RenderSettings.model_validate(given)
    writer = file_writer(scene(tmp_path / name), None, frames, settings, OutputOptions())
    assert type(writer) is kind


def test_hardware_encodes_files_but_not_live_streams(tmp_path: Path) -> None:
    settings = RenderSettings(encoder="hardware")
    place = scene(tmp_path / "out.mp4")
    writer = stream_writer(place, None, settings, OutputOptions())
    assert isinstance(writer, VideoWriter)
    assert writer.encoder == "h264_nvenc"
    assert "crf" not in writer._picture_options()
    live = stream_writer(place, None, settings, OutputOptions(), live=True)
    assert isinstance(live, VideoWriter)
    assert live.encoder == "libx264"
