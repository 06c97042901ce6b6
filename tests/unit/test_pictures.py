"""Folders of PNG pictures: exact, whole or not there, and nothing of anybody else's is lost."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkhead_cli import pictures
from talkhead_cli.errors import InputError, MediaError
from talkhead_cli.paths import check_output
from talkhead_cli.pictures import PictureWriter

SIZE = (24, 16)


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 24, 4), dtype=np.uint8)


def write(path: Path, frames: np.ndarray, **options: bool) -> Path:
    with PictureWriter(path, *SIZE, **options) as writer:
        writer.write(frames[:1])
        writer.write(frames[1:])
        writer.finish()
    return path


def read(folder: Path) -> np.ndarray:
    found = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            found.append(np.asarray(image))
    return np.stack(found)


def test_pictures_are_the_frames(tmp_path: Path) -> None:
    frames = noise(12)
    folder = write(tmp_path / "frames", frames)
    assert [path.name for path in sorted(folder.iterdir())] == [f"{i:06}.png" for i in range(12)]
    assert np.array_equal(read(folder), frames)
    with Image.open(folder / "000003.png") as image:
        assert image.info["srgb"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_folder_has_usual_permissions(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        folder = write(tmp_path / "frames", noise(2))
    finally:
        os.umask(previous)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert stat.S_IMODE((folder / "000000.png").stat().st_mode) == 0o640


def test_nothing_is_there_before_all_is(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    with pytest.raises(KeyboardInterrupt), PictureWriter(path, *SIZE) as writer:
        writer.write(noise(3))
        assert not path.exists()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    assert check_output(tmp_path / "frames", False, pictures=True) == tmp_path / "frames"
    assert len(read(write(tmp_path / "frames", noise(2)))) == 2


def test_pictures_are_replaced_only_when_asked(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", noise(5))
    for attempt in (
        lambda: check_output(folder, False, pictures=True),
        lambda: write(folder, noise(2, 1)),
    ):
        with pytest.raises(InputError, match="--overwrite"):
            attempt()
    assert np.array_equal(read(folder), noise(5))
    check_output(folder, True, pictures=True)
    write(folder, noise(2, 1), overwrite=True)
    assert np.array_equal(read(folder), noise(2, 1))
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


@pytest.mark.parametrize("name", ["holiday.png", "000000.jpg", "12.png", "notes"])
def test_folders_of_other_things_are_never_replaced(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", noise(1))
    (folder / name).write_text("precious")
    for attempt in (
        lambda: check_output(folder, True, pictures=True),
        lambda: write(folder, noise(2), overwrite=True),
    ):
        with pytest.raises(InputError, match="holds other things"):
            attempt()
    assert (folder / name).read_text() == "precious"


def test_folder_that_somebody_used_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    with pytest.raises(InputError, match="other things"), PictureWriter(path, *SIZE) as writer:
        writer.write(noise(2))
        path.mkdir()
        (path / "notes").write_text("precious")
    assert [item.name for item in tmp_path.rglob("*")] == ["frames", "notes"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "frames").write_text("precious")
    with pytest.raises(InputError, match="is a file where a folder is wanted"):
        check_output(tmp_path / "frames", True, pictures=True)


def test_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(frame: np.ndarray, path: Path, marks: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pictures, "save_picture", fail)
    with pytest.raises(MediaError, match="disk is full"):
        write(tmp_path / "frames", noise(2))
    assert list(tmp_path.iterdir()) == []


def test_wrong_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"frames must be \(n, 16, 24, 4\)"):
        write(tmp_path / "frames", noise(2)[..., :3])
