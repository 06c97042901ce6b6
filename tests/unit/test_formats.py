"""Which codec goes into which file: told by name and settings before anything is rendered."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkhead_cli.errors import UsageError
from talkhead_cli.formats import (
    ENCODERS,
    FITS,
    MUXERS,
    PICTURES,
    check_format,
    codec_of,
    unfit,
    usual_suffix,
)
from talkhead_cli.settings import RenderSettings


def settings(codec: str = "h264", alpha: bool = False) -> RenderSettings:
    return RenderSettings.model_validate({"video_codec": codec, "alpha": alpha})


@pytest.mark.parametrize(
    ("name", "codec", "alpha", "words"),
    [
        ("out", "h264", False, "must end in .mp4"),
        ("out.avi", "h264", False, "must end in .mp4"),
        ("out.mp4.txt", "h264", False, "must end in .mp4"),
        ("mp4", "h264", False, "must end in .mp4"),
        ("frames/", "h264", False, "must end in .mp4"),
        ("out.webm", "h264", False, "WebM cannot hold h264; end the name in .mp4"),
        ("out.webm", "hevc", False, "or choose the codec av1"),
        ("out.mov", "av1", False, "QuickTime cannot hold av1"),
        ("out.mp4", "prores", False, "MP4 cannot hold prores; end the name in .mov"),
        ("out", "prores", False, "must end in .mov"),
        ("-", "prores", False, "cannot hold prores"),
        ("-", "h264", True, "cannot hold transparency"),
        ("out.mp4", "h264", True, "ends in .mov (ProRes 4444) or .webm (VP9), or in a slash"),
        ("out.png", "h264", True, "or in a slash for a folder of PNG pictures"),
        ("out.webm", "prores", True, "must end in .mov"),
        ("frames/", "prores", True, "must end in .mov"),
        ("out.mov", "hevc", True, "hevc holds no transparency"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    name: str, codec: str, alpha: bool, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check_format(name, settings(codec, alpha))
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert not message.endswith(".")


@pytest.mark.parametrize(
    ("name", "codec", "alpha", "chosen"),
    [
        ("-", "hevc", False, "hevc"),
        ("out.MP4", "h264", False, "h264"),
        ("out.mkv", "prores", False, "prores"),
        ("out.webm", "av1", False, "av1"),
        ("out.mov", "prores", True, "prores4444"),
        ("out.mov", "h264", True, "prores4444"),
        ("out.webm", "h264", True, "vp9"),
        ("frames", "h264", True, PICTURES),
        ("take.2/", "h264", True, PICTURES),
    ],
)
def test_what_fits_is_written_so(name: str, codec: str, alpha: bool, chosen: str) -> None:
    check_format(name, settings(codec, alpha))
    target = None if name == "-" else Path(name).absolute()
    assert codec_of(target, settings(codec, alpha)) == chosen


def test_folder_that_is_there_holds_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "take.2"
    assert unfit(folder, settings(alpha=True)) is not None
    folder.mkdir()
    check_format(folder, settings(alpha=True))
    assert codec_of(folder, settings(alpha=True)) == PICTURES


@given(
    suffix=st.sampled_from(["", ".avi", ".PNG", *MUXERS]),
    codec=st.sampled_from(sorted(FITS)),
    alpha=st.booleans(),
    in_batch=st.booleans(),
)
def test_all_that_passes_can_be_encoded(
    suffix: str, codec: str, alpha: bool, in_batch: bool
) -> None:
    name, chosen = f"clip{suffix}", settings(codec, alpha)
    problem = unfit(name, chosen, name if in_batch else None)
    if problem is None:
        codec = codec_of(Path(name), chosen)
        assert codec in ENCODERS or (codec == PICTURES and not in_batch)
        assert (suffix in MUXERS) == (codec != PICTURES)
    else:
        assert name in problem or "--alpha" in problem


@pytest.mark.parametrize("codec", sorted(FITS))
def test_made_up_names_fit(codec: str) -> None:
    name = f"clip{usual_suffix(settings(codec))}"
    assert unfit(name, settings(codec), name) is None


def test_made_up_names_of_transparent_videos_fit() -> None:
    assert unfit(f"clip{usual_suffix(settings(alpha=True))}", settings(alpha=True), "clip") is None
