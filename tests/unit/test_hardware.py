"""Hardware encoders are believed only after a trial; a stand-in plays ffmpeg."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from talkhead_cli import ffmpeg_binary
from talkhead_cli.encoding import hardware_options, picture_options
from talkhead_cli.errors import MediaError
from talkhead_cli.formats import ENCODERS
from talkhead_cli.hardware import HARDWARE, choose_encoder, find_hardware, tell_fallback
from talkhead_cli.settings import RenderSettings


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    caches = (ffmpeg_binary.ffmpeg_path, ffmpeg_binary.list_encoders, find_hardware, tell_fallback)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def stand_in(
    folder: Path, listed: list[str], working: list[str], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An ffmpeg that lists encoders, of which some work; it writes down what it is asked to do."""
    asked = folder / "asked"
    asked.write_text("")
    path = folder / "ffmpeg"
    lines = "\n".join(f"echo ' V....D {name} x'" for name in listed)
    cases = "\n".join(f'*" -vcodec {name} "*) printf picture; exit 0;;' for name in working)
    path.write_text(
        f'#!/bin/sh\ncase "$*" in *-encoders*) {lines or ":"}; exit 0;; esac\n'
        f'echo "$*" >> "{asked}"\ncase "$*" in\n{cases}\n*) printf header; exit 1;;\nesac\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("TALKHEAD_FFMPEG", str(path))
    return asked


def test_first_that_works_is_taken_and_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = stand_in(tmp_path, ["h264_nvenc", "h264_qsv", "h264_vaapi"], ["h264_qsv"], monkeypatch)
    for _ in range(3):
        assert choose_encoder("h264", "auto", 512, 512) == "h264_qsv"
    trials = asked.read_text().splitlines()
    assert [line.split("-vcodec ")[1].split()[0] for line in trials] == ["h264_nvenc", "h264_qsv"]
    assert "s=512x512" in trials[0]
    choose_encoder("h264", "auto", 8192, 8192)
    assert len(asked.read_text().splitlines()) == 4


def test_without_any_that_works_software_encodes_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in(tmp_path, ["hevc_nvenc", "hevc_vaapi"], [], monkeypatch)
    with caplog.at_level(logging.WARNING):
        with pytest.raises(MediaError, match="hevc works on this machine"):
            choose_encoder("hevc", "hardware", 512, 512)
        for _ in range(3):
            assert choose_encoder("hevc", "auto", 512, 512) == "libx265"
    assert [record.getMessage() for record in caplog.records] == [
        "no hardware encoder for hevc works here at 512x512: libx265 encodes"
    ]


def test_what_is_not_listed_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = stand_in(tmp_path, ["h264_amf"], [*HARDWARE["h264"]], monkeypatch)
    assert choose_encoder("h264", "hardware", 256, 256) == "h264_amf"
    assert len(asked.read_text().splitlines()) == 1


def test_software_asks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = stand_in(tmp_path, [*HARDWARE["av1"]], [*HARDWARE["av1"]], monkeypatch)
    assert choose_encoder("av1", "software", 256, 256) == "libsvtav1"
    assert asked.read_text() == ""


def test_one_that_hangs_does_not_hang_the_render(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, ["h264_nvenc"], [], monkeypatch)
    script = tmp_path / "ffmpeg"
    script.write_text(script.read_text().replace("*) printf header", "*) exec sleep 60"))
    monkeypatch.setattr("talkhead_cli.hardware.TRIAL_SECONDS", 0.2)
    assert choose_encoder("h264", "auto", 256, 256) == "libx264"


@pytest.mark.parametrize(
    ("codec", "encoder"), [(codec, name) for codec, names in HARDWARE.items() for name in names]
)
def test_every_encoder_is_told_quality_and_colours(codec: str, encoder: str) -> None:
    options = picture_options(codec, encoder, 18, Fraction(25))
    assert options["vcodec"] == encoder != ENCODERS[codec]
    assert "crf" not in options
    assert options["color_range"] == "tv"
    assert options["vf"].endswith("hwupload") == encoder.endswith("vaapi")
    if codec != "prores":
        better, worse = (hardware_options(encoder, crf) for crf in (10, 40))
        assert better != worse


def test_frames_made_on_a_gpu_are_encoded_in_software_unless_asked() -> None:
    wish = RenderSettings(device="cuda:0").encoder
    assert choose_encoder("h264", wish, 512, 512) == "libx264"
