"""Finding ffmpeg, and asking it what it can do."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from talkhead_cli.errors import MediaError
from talkhead_cli.watchdog import UNABLE, run_watched

log = logging.getLogger(__name__)

FFMPEG_VARIABLE = "TALKHEAD_FFMPEG"
MIN_VERSION = (4, 4)
"""The first that can move a copied sound track to its start."""

MIN_VERSION_TEXT = ".".join(map(str, MIN_VERSION))

PROTOCOLS = "file,pipe,crypto,data"
"""All that ffmpeg may open: a playlist given as audio must not reach the network."""


@lru_cache(maxsize=8)
def ffmpeg_path(encoder: str | None = None) -> str:
    """The ffmpeg to run: TALKHEAD_FFMPEG where set, else the system's, else the one imageio-ffmpeg carries.

    Args:
        encoder: what it must be able to encode with, such as libx264; a system build without it, or an outdated one,
            is passed over.

    Raises:
        MediaError: there is none.
    """
    chosen = os.environ.get(FFMPEG_VARIABLE)
    if chosen:
        found = shutil.which(chosen)
        if found is None:
            raise MediaError(
                f"{FFMPEG_VARIABLE} names {chosen}, which cannot be run: correct or unset it"
            )
        return found
    system = shutil.which("ffmpeg")
    if system is not None and is_outdated(system):
        log.info("%s is older than ffmpeg %s and is passed over", system, MIN_VERSION_TEXT)
        system = None
    candidates = [path for path in (system, bundled_ffmpeg()) if path]
    if not candidates:
        raise MediaError("ffmpeg was not found: install it, or `pip install imageio-ffmpeg`")
    for path in candidates:
        if encoder is None or encoder in list_encoders(path):
            return path
    raise MediaError(
        f"{candidates[0]} cannot encode with {encoder}: install another ffmpeg, or `pip install imageio-ffmpeg`"
    )


def bundled_ffmpeg() -> str | None:
    """The binary in imageio-ffmpeg's wheel, None where it is not installed or has none for this system."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


@lru_cache(maxsize=8)
def list_encoders(ffmpeg: str) -> frozenset[str]:
    """Names of the encoders an ffmpeg was built with; empty where it does not run."""
    result = run_if_possible([ffmpeg, "-hide_banner", "-encoders"])
    lines = result.splitlines()
    return frozenset(parts[1] for parts in map(str.split, lines) if len(parts) > 1)


def ffmpeg_version(ffmpeg: str) -> str:
    """The version an ffmpeg reports, or "unknown"."""
    found = re.search(r"ffmpeg version (\S+)", run_if_possible([ffmpeg, "-version"]))
    return found.group(1) if found else "unknown"


def is_outdated(ffmpeg: str) -> bool:
    """Whether an ffmpeg says that it is older than `MIN_VERSION`; builds named by a commit are taken as new."""
    found = re.match(r"n?(\d+)\.(\d+)", ffmpeg_version(ffmpeg))
    return found is not None and (int(found.group(1)), int(found.group(2))) < MIN_VERSION


def run_captured(arguments: Sequence[str], seconds: float = 60) -> str:
    """Both outputs of an ffmpeg that looks at something, as text; that it does not like what it sees is no error.

    Empty where it works for longer than `seconds`: then what it looks at is to blame.

    Raises:
        MediaError: it cannot be run, was killed, or hung.
    """
    name = arguments[0]
    try:
        result = run_watched(arguments, name, merged=True, seconds=seconds)
    except OSError as error:
        raise MediaError(f"{name} cannot be run ({error.strerror}): reinstall ffmpeg") from error
    except subprocess.TimeoutExpired as error:
        log.debug("%s: %s", name, error)
        return ""
    text = result.stdout.decode("utf-8", "replace")
    if result.returncode < 0 and -result.returncode != signal.SIGXCPU:
        raise MediaError(f"{name} was killed by signal {-result.returncode}: reinstall ffmpeg")
    if result.returncode in UNABLE:
        last = "".join(text.strip().splitlines()[-1:])
        raise MediaError(f"{name} cannot be run ({last}): reinstall ffmpeg")
    return text


def run_if_possible(arguments: Sequence[str]) -> str:
    """As `run_captured`, but empty where it cannot be run.

    Raises:
        MediaError: it hung.
    """
    try:
        return run_watched(arguments, arguments[0], merged=True).stdout.decode("utf-8", "replace")
    except OSError as error:
        log.debug("%s: %s", arguments[0], error)
        return ""


def file_url(path: str | Path) -> str:
    """A path as ffmpeg takes it whatever it is called: leading dashes, colons and spaces included."""
    return "file:" + os.path.abspath(path)  # noqa: PTH100 - symlinks and .. stay as they are
