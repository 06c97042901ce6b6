"""What a single render can be told by its paths and options alone, before anything is loaded."""

from __future__ import annotations

import sys
from pathlib import Path

from talkhead_cli.errors import AudioError, UsageError
from talkhead_cli.formats import PICTURES, check_format, codec_of
from talkhead_cli.marking.stamp import check_marking
from talkhead_cli.paths import check_free, check_input, check_output
from talkhead_cli.result import Inputs, OutputOptions
from talkhead_cli.settings import RenderSettings
from talkhead_cli.sidecar import sidecar_path

STANDARD = "-"
"""In place of a path: standard input or output."""


def check_paths(
    inputs: Inputs, output: Path | str, settings: RenderSettings, options: OutputOptions
) -> tuple[Path | None, OutputOptions]:
    """Insist that everything can be read and written.

    Args:
        inputs: files as they were given.
        output: a video file, a folder for pictures, or "-" for standard output.
        settings: of the render.
        options: what happens around it.

    Returns:
        The output's absolute path, None for standard output; and the options with absolute paths.

    Raises:
        TalkheadError: one of its kinds: an input is not there, the output cannot be written or not hold what is asked
            for, or options contradict each other.
    """
    check_format(output, settings)
    check_input(inputs.portrait)
    given = [inputs.portrait]
    inputs.check()
    if inputs.audio is not None and str(inputs.audio) != STANDARD:
        check_input(Path(inputs.audio), AudioError)
        given.append(Path(inputs.audio))
    for path in (*inputs.movers, *([inputs.style] if inputs.style else [])):
        check_input(path)
        given.append(path)
    check_marking(settings, options, None if str(output) == STANDARD else Path(output))
    if str(output) == STANDARD:
        if sys.stdout.isatty() and not options.dry_run:
            raise UsageError(
                "-o -: a terminal cannot show video; redirect standard output to a file or a program"
            )
        return None, options.resolved(given, ())
    pictures = codec_of(Path(output), settings) == PICTURES
    target = check_output(Path(output), options.overwrite, tuple(given), pictures)
    if options.sidecar:
        instead = ", or --no-sidecar or another name to keep it"
        check_free(sidecar_path(target), options.overwrite, instead)
    return target, options.resolved(given, (target,))
