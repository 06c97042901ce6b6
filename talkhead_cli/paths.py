"""Where things lie: the files of the package, and private places to work in."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from talkhead_cli.errors import InputError, PresetError, write_error
from talkhead_cli.leftovers import PREFIX, PRIVATE_PREFIX, hold, let_go, remove_leftovers

PICTURE_NAME = r"\d{6,}\.png"
"""What the pictures of a folder are called."""

PACKAGE = Path(__file__).parent


def presets_folder() -> Path:
    """The folder of the built-in presets: inside the package (wheel), else beside it (checkout).

    Raises:
        PresetError: the installation is incomplete.
    """
    for folder in (PACKAGE / "presets", PACKAGE.parent / "presets"):
        if folder.is_dir():
            return folder
    raise PresetError(f"the presets folder is missing from {PACKAGE}: reinstall talkhead")


def check_input(path: Path, kind: type[InputError] = InputError) -> None:
    """Insist that a path leads to something.

    Raises:
        InputError: or the kind given: there is nothing, or no way to it.
    """
    try:
        path.stat()
    except FileNotFoundError as error:
        raise kind(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise kind(f"{path}: cannot be read ({reason})") from error


def check_regular(path: Path, kind: type[InputError] = InputError) -> None:
    """Insist on a file, where there is something, that ends and that can be read twice: no pipe, no device.

    Raises:
        InputError: or the kind given: it is none.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return  # what is wrong then is told by who opens it
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise kind(f"{path}: is not a regular file; give a file that can be read twice")


def check_output(
    path: Path, overwrite: bool, inputs: tuple[Path, ...] = (), pictures: bool = False
) -> Path:
    """The absolute path an output will have, after all that can be known beforehand is checked.

    Args:
        path: as the user gave it.
        overwrite: whether an existing file may be replaced.
        inputs: files that must never be replaced.
        pictures: the output is a folder of numbered pictures, not a file.

    Raises:
        InputError: the folder is missing or read-only, or the file is there already.
    """
    folder = path.parent
    try:
        target = path.resolve()
        if not folder.exists():
            raise InputError(f"{folder}: the output folder does not exist; create it first")
        if not folder.is_dir():
            raise InputError(f"{folder}: the output folder is not a folder")
        present = target.exists()
        if path.is_symlink() and not present:
            raise InputError(f"{path}: is a link that leads nowhere; remove it")
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: cannot be written to ({error})") from error
    if present:
        if any(given.exists() and given.samefile(target) for given in inputs):
            raise InputError(f"{path}: this is one of the inputs; choose another output")
        if pictures:
            check_pictures(target, overwrite)
        elif not target.is_file():
            raise InputError(f"{path}: exists and is not a regular file; choose another output")
        else:
            check_free(target, overwrite)
    remove_leftovers(target.parent)
    # Trying is the only sure way: rights do not tell of read-only mounts, nor of what a server thinks of them.
    temporary_beside(target).unlink()
    return target


def check_pictures(folder: Path, overwrite: bool) -> None:
    """Refuse to replace a folder by a folder of pictures, unless it is empty, or is one and may be replaced.

    Raises:
        InputError: it must stay.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is a file where a folder is wanted; choose another output")
    held = list(folder.iterdir())
    if any(not path.is_file() or not re.fullmatch(PICTURE_NAME, path.name) for path in held):
        raise InputError(f"{folder}: holds other things than numbered pictures; choose another")
    if held:
        check_free(folder, overwrite)


def check_free(path: Path, overwrite: bool, instead: str = "") -> None:
    """Refuse to replace a file unless asked to; `instead` is what else can be done, after "replace it".

    Raises:
        InputError: the file exists, or can never exist.
    """
    try:
        present = path.exists()
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    if present and not overwrite:
        raise InputError(f"{path}: exists already; give --overwrite to replace it{instead}")


def temporary_beside(path: Path) -> Path:
    """A new empty file in the folder of `path`, to be renamed to it when complete.

    Raises:
        InputError: the folder cannot be written to.
        DiskFull: it has no room.
    """

    def make() -> str:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=PREFIX, suffix=path.suffix)
        os.close(handle)
        return name

    return _held(make, path.parent)


def temporary_folder_beside(path: Path) -> Path:
    """A new empty folder in the folder of `path`, to be renamed to it when complete, or removed.

    Raises:
        InputError: the folder cannot be written to.
        DiskFull: it has no room.
    """
    return _held(lambda: tempfile.mkdtemp(dir=path.parent, prefix=PREFIX), path.parent)


def _held(make: Callable[[], str], folder: Path) -> Path:
    """What `make` makes in a folder, held; made again where somebody removed it as a leftover in between."""
    while True:
        try:
            made = Path(make())
        except OSError as error:
            raise write_error(folder, error, "cannot write to the output folder") from error
        if hold(made):
            return made


def publish(temporary: Path, path: Path) -> None:
    """Rename a complete file into place, with the permissions a new file would have."""
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)
    temporary.replace(path)
    let_go(temporary)


class PendingFile:
    """A file that is written under another name and appears at its path, by renaming, when it is complete.

    Attributes:
        path: where it is to appear.
        temporary: what is written; on the same file system.
    """

    def __init__(
        self,
        path: Path,
        overwrite: bool,
        folder: Path | None = None,
        on_complete: Callable[[Path], None] | None = None,
    ) -> None:
        """Make the temporary file.

        Args:
            path: where the file is to appear.
            overwrite: whether an existing file may be replaced.
            folder: where it is written; used only where renaming from there is possible. None writes it beside.
            on_complete: called with the complete file before it is renamed.

        Raises:
            InputError: the file exists, or cannot be created.
        """
        self.path = path
        self.overwrite = overwrite
        self.on_complete = on_complete
        check_free(path, overwrite)
        beside = path
        if folder is not None and folder.stat().st_dev == path.parent.stat().st_dev:
            beside = folder / path.name
        self.temporary = temporary_beside(beside)

    def publish(self) -> None:
        """Put it in place.

        Raises:
            InputError: something is in its place by now, or it cannot be put there.
            DiskFull: there is no room for it.
        """
        if self.on_complete is not None:
            self.on_complete(self.temporary)
        check_free(self.path, self.overwrite)
        try:
            publish(self.temporary, self.path)
        except OSError as error:
            raise write_error(self.path, error, "cannot be put in place") from error

    def discard(self) -> None:
        """Remove what was written; harmless when it is in place."""
        self.temporary.unlink(missing_ok=True)
        let_go(self.temporary)


@contextmanager
def private_folder() -> Iterator[Path]:
    """A temporary folder of our own that is gone afterwards; what a kill has left is removed by the next one."""
    remove_leftovers(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PRIVATE_PREFIX, ignore_cleanup_errors=True) as name:
        hold(Path(name))
        yield Path(name)
