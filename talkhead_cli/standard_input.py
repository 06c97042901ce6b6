"""A recording that comes through standard input."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from talkhead_cli.errors import AudioError, UsageError, write_error
from talkhead_cli.paths import private_folder


def check_piped() -> None:
    """Insist that standard input is not a terminal.

    Raises:
        UsageError: it is, or it is closed.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("AUDIO -: nothing is piped into standard input")


def keep_standard_input(stack: ExitStack) -> Path:
    """Standard input as a file that can be read twice.

    Args:
        stack: holds the file.

    Raises:
        UsageError: nothing is piped in.
        InputError: it cannot be kept.
        AudioError: it is empty.
    """
    check_piped()
    path = stack.enter_context(private_folder()) / "speech"
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    except OSError as error:
        raise write_error(path.parent, error, "standard input cannot be kept here") from error
    if path.stat().st_size == 0:
        raise AudioError("standard input is empty: pipe an audio file into it")
    return path
