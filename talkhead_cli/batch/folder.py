"""The folder of a run inside its output folder: made when needed, taken back when nothing came of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from talkhead_cli.batch.job import RUN_FOLDER
from talkhead_cli.errors import InputError, write_error


def make_folder(out_dir: Path) -> list[Path]:
    """Make the run's folder; the folders that were missing, the innermost first.

    Raises:
        InputError: it cannot be made.
    """
    folder = out_dir / RUN_FOLDER
    if folder.is_symlink():
        raise InputError(f"{folder}: is a link; remove it, the state of a run is kept here")
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = "cannot be used as output folder"
        raise write_error(out_dir, error, what, "; choose another --out-dir") from error
    return missing


@contextmanager
def taken_back(made: list[Path]) -> Iterator[list[Path]]:
    """Take folders away again on an error, unless the list was emptied before.

    Args:
        made: the run's folder first, if it was made, then those that it lies in.
    """
    try:
        yield made
    except BaseException:
        if made:
            shutil.rmtree(made[0], ignore_errors=True)
        for path in made[1:]:
            with suppress(OSError):
                path.rmdir()
        raise


def keep_names(folder: Path) -> None:
    """Have the names of a folder's files on the disk, so that a power cut does not take them away again.

    Raises:
        OSError: the folder is gone.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems know no such thing, and need none
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
