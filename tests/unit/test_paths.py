"""Output checks, renaming into place, private folders."""

import os
import stat
from pathlib import Path

import pytest

from talkhead_cli.batch.folder import make_folder
from talkhead_cli.errors import InputError
from talkhead_cli.keeping import kept_parts, parts_folder
from talkhead_cli.paths import (
    check_free,
    check_output,
    presets_folder,
    private_folder,
    publish,
    temporary_beside,
)


def test_presets_folder_is_found() -> None:
    assert (presets_folder() / "talkhead.yaml").is_file()


def test_free_output_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_output(Path("out.mp4"), overwrite=False) == tmp_path / "out.mp4"


def test_existing_output_is_kept_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        check_output(tmp_path / "out.mp4", overwrite=False)
    assert check_output(tmp_path / "out.mp4", overwrite=True) == tmp_path / "out.mp4"


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        check_output(tmp_path / "no" / "out.mp4", overwrite=False)


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a folder"):
        check_output(tmp_path / "file" / "out.mp4", overwrite=False)


def test_output_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(InputError, match="not a regular file"):
        check_output(tmp_path / "out.mp4", overwrite=True)


def test_output_that_is_an_input_is_never_replaced(tmp_path: Path) -> None:
    speech = tmp_path / "film.mp4"
    speech.write_text("x")
    link = tmp_path / "link.mp4"
    link.symlink_to(speech)
    with pytest.raises(InputError, match="one of the inputs"):
        check_output(link, overwrite=True, inputs=(speech,))


def test_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.mp4").write_text("x")
    (tmp_path / "link.mp4").symlink_to("real.mp4")
    assert check_output(tmp_path / "link.mp4", overwrite=True) == tmp_path / "real.mp4"


def test_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "link.mp4").symlink_to(tmp_path / "precious" / "new.mp4")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="leads nowhere"):
            check_output(tmp_path / "link.mp4", overwrite=overwrite)


def test_name_too_long(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too long"):
        check_free(tmp_path / ("x" * 300), overwrite=True)


def test_temporary_files_are_private_and_of_names_nobody_can_foresee(tmp_path: Path) -> None:
    made = {temporary_beside(tmp_path / "out.mp4") for _ in range(20)}
    assert len(made) == 20
    for path in made:
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert not path.is_symlink()


def test_parts_are_not_kept_behind_a_link(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    out = tmp_path / "out"
    out.mkdir()
    parts_folder(out / "a.mp4").symlink_to(precious)
    with pytest.raises(InputError, match="is a link"), kept_parts(out / "a.mp4", "key"):
        pass
    assert (precious / "file").read_text() == "x"


def test_state_of_a_run_is_not_kept_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / ".talkhead").symlink_to(tmp_path / "else")
    with pytest.raises(InputError, match="is a link"):
        make_folder(tmp_path)


def test_published_file_has_usual_permissions(tmp_path: Path) -> None:
    temporary = temporary_beside(tmp_path / "out.mp4")
    assert temporary.parent == tmp_path
    assert temporary.suffix == ".mp4"
    previous = os.umask(0o027)
    try:
        publish(temporary, tmp_path / "out.mp4")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "out.mp4").stat().st_mode) == 0o640
    assert not temporary.exists()


def test_no_temporary_file_in_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        temporary_beside(tmp_path / "no" / "out.mp4")


def test_private_folder_goes_away_even_on_errors() -> None:
    with pytest.raises(KeyboardInterrupt), private_folder() as folder:
        (folder / "speech").write_text("x")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        raise KeyboardInterrupt
    assert not folder.exists()
