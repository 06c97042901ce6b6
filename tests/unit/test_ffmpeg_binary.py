"""Finding an ffmpeg."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from talkhead_cli import ffmpeg_binary
from talkhead_cli.errors import MediaError
from talkhead_cli.ffmpeg_binary import ffmpeg_path, ffmpeg_version, file_url, run_captured


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """What was found is remembered for the life of a process."""
    ffmpeg_path.cache_clear()
    ffmpeg_binary.list_encoders.cache_clear()
    yield
    ffmpeg_path.cache_clear()
    ffmpeg_binary.list_encoders.cache_clear()


class TestFindingFfmpeg:
    def test_variable_wins(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        mine = tmp_path / "ffmpeg"
        mine.write_text("#!/bin/sh\n")
        mine.chmod(0o755)
        monkeypatch.setenv("TALKHEAD_FFMPEG", str(mine))
        assert ffmpeg_path() == str(mine)

    def test_variable_that_names_nothing_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TALKHEAD_FFMPEG", "/nowhere/ffmpeg")
        with pytest.raises(MediaError, match="TALKHEAD_FFMPEG"):
            ffmpeg_path()

    def test_system_comes_before_the_wheel(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        mine = tmp_path / "ffmpeg"
        mine.write_text("#!/bin/sh\n")
        mine.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert ffmpeg_path() == str(mine)

    def test_system_without_the_encoder_is_passed_over(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        mine = tmp_path / "ffmpeg"
        mine.write_text("#!/bin/sh\necho ' V..... mpeg4 x'\n")
        mine.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
        assert "imageio_ffmpeg" in ffmpeg_path("libx264")
        with pytest.raises(MediaError, match="cannot encode with libnothing"):
            ffmpeg_path("libnothing")

    def test_outdated_system_is_passed_over(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        mine = tmp_path / "ffmpeg"
        mine.write_text("#!/bin/sh\necho 'ffmpeg version 4.2.7-0ubuntu0.1 Copyright'\n")
        mine.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "imageio_ffmpeg" in ffmpeg_path()

    @pytest.mark.parametrize(
        ("version", "outdated"),
        [
            ("4.2.7-0ubuntu0.1", True),
            ("4.4.2-0ubuntu0.22", False),
            ("n9.0.2-17-g2a571b6068", False),
            ("N-112233-gabcdef", False),
            ("5.1", False),
            ("3.4.11", True),
        ],
    )
    def test_age(self, version: str, outdated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ffmpeg_binary, "ffmpeg_version", lambda path: version)
        assert ffmpeg_binary.is_outdated("ffmpeg") is outdated

    def test_none_at_all(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(ffmpeg_binary, "bundled_ffmpeg", lambda: None)
        with pytest.raises(MediaError, match="not found"):
            ffmpeg_path()


def test_file_url_is_absolute_and_plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert file_url("-a b:c") == f"file:{tmp_path}/-a b:c"


def test_version_of_what_does_not_run() -> None:
    assert ffmpeg_version("/nowhere/ffmpeg") == "unknown"
    with pytest.raises(MediaError, match="/nowhere/ffmpeg cannot be run"):
        run_captured(["/nowhere/ffmpeg"])
    assert ffmpeg_version(ffmpeg_path()) != "unknown"
