"""What a single render keeps beside its output so that it can be gone on with after an interruption."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from talkhead_cli.errors import InputError, write_error
from talkhead_cli.hashing import sha256_of
from talkhead_cli.segments import FOLDER
from talkhead_cli.settings import IRRELEVANT, RenderSettings
from talkhead_cli.speech_encoder import SPEECH_BUNDLE, speech_hash

if TYPE_CHECKING:
    from talkhead_cli.result import Performance, Scene

KEY = "key"


def render_key(
    inputs: Iterable[Path | None], settings: RenderSettings, bundles: Mapping[str, str]
) -> str:
    """sha256 over all that decides a video: contents of the inputs, settings and weights.

    Args:
        inputs: portrait, audio, driving clip; None where there is none.
        settings: of the render.
        bundles: name to sha256.

    Raises:
        InputError: an input cannot be read.
    """
    digest = hashlib.sha256()
    for path in inputs:
        try:
            digest.update((sha256_of(path) if path is not None else "-").encode())
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    values = settings.model_dump(mode="json", exclude=set(IRRELEVANT))
    digest.update(json.dumps([values, dict(bundles)], sort_keys=True).encode())
    return digest.hexdigest()


def keep_parts(
    scene: Scene, performance: Performance, settings: RenderSettings, stack: ExitStack
) -> Path:
    """Let what is finished of a long video outlast an interruption; the folder that it is kept in.

    Raises:
        InputError: see `kept_parts`.
    """
    assert scene.target is not None
    inputs = scene.inputs
    files = (inputs.portrait, performance.audio, *inputs.movers, inputs.style)
    bundles = {**scene.pipeline.hashes, SPEECH_BUNDLE: speech_hash()}
    return stack.enter_context(kept_parts(scene.target, render_key(files, settings, bundles)))


def parts_folder(target: Path) -> Path:
    """Where the parts of an unfinished video are kept: hidden, beside it; its name fits whatever the video's."""
    name = hashlib.sha256(target.name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return target.parent / f".talkhead-{name}.parts"


@contextmanager
def kept_parts(target: Path, key: str) -> Iterator[Path]:
    """The folder of a video's parts while it is made; gone when it is complete, or when there is nothing to go on from.

    Args:
        target: the video.
        key: from `render_key`; parts of another are removed.

    Raises:
        InputError: another render of the same video is going on, or the folder cannot be written.
    """
    import fcntl

    folder = parts_folder(target)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        check_own(folder)
        lock = (folder / KEY).open("a+", encoding="utf-8")
    except OSError as error:
        raise write_error(folder, error, "parts of the video cannot be kept") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                f"{target}: another render of it with --resume is going on; wait for it or stop it"
            ) from error
        lock.seek(0)
        others = [path for path in folder.iterdir() if path.name != KEY]
        known = lock.read() == key
        for path in others:
            if not known or path.name.startswith(".talkhead-"):
                remove(path)
        try:
            lock.truncate(0)
            os.write(lock.fileno(), key.encode())
        except OSError as error:
            raise write_error(folder, error, "parts of the video cannot be kept") from error
        finished = False
        try:
            yield folder
            finished = True
        finally:
            if finished or not any((folder / FOLDER).glob("*.npz")):
                shutil.rmtree(folder, ignore_errors=True)


def check_own(folder: Path) -> None:
    """Insist on a folder that nobody has put there for us: what is in it is removed.

    Raises:
        InputError: it is a link, or another user's.
        OSError: it cannot be looked at.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise InputError(f"{folder}: is a link, or another user's; remove it")


def remove(path: Path) -> None:
    """Remove a file, or a folder with what is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
