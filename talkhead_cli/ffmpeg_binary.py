"""Finding ffmpeg, and asking it what it can do."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from talkhead_cli.errors import MediaError

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
    result = run_captured([ffmpeg, "-hide_banner", "-encoders"])
    lines = result.splitlines()
    return frozenset(parts[1] for parts in map(str.split, lines) if len(parts) > 1)


def ffmpeg_version(ffmpeg: str) -> str:
    """The version an ffmpeg reports, or "unknown"."""
    found = re.search(r"ffmpeg version (\S+)", run_captured([ffmpeg, "-version"]))
    return found.group(1) if found else "unknown"


def is_outdated(ffmpeg: str) -> bool:
    """Whether an ffmpeg says that it is older than `MIN_VERSION`; builds named by a commit are taken as new."""
    found = re.match(r"n?(\d+)\.(\d+)", ffmpeg_version(ffmpeg))
    return found is not None and (int(found.group(1)), int(found.group(2))) < MIN_VERSION


def run_captured(arguments: Sequence[str], seconds: float = 60) -> str:
    """Both outputs of a short command as text; empty where it cannot be run, or takes longer than `seconds`."""
    try:
        result = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
            start_new_session=True,  # Ctrl-C in the terminal is not for it
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.debug("%s: %s", arguments[0], error)
        return ""
    return result.stdout.decode("utf-8", "replace")


def file_url(path: str | Path) -> str:
    """A path as ffmpeg takes it whatever it is called: leading dashes, colons and spaces included."""
    return "file:" + os.path.abspath(path)  # noqa: PTH100 - symlinks and .. stay as they are
