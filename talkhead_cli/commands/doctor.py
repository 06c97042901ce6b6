"""`talkhead doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from talkhead_cli.commands.common import choose_reporter
from talkhead_cli.console import native_stderr_silenced, print_table, write_json


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Check the installation: versions, ffmpeg, devices, weights, presets; say what to do.

    Ends with the exit code of the first problem.

    Examples:

    \b
    talkhead doctor
    talkhead doctor --json
    """
    choose_reporter(context, as_json=as_json)

    from talkhead_cli.doctor import exit_code, run_checks

    with native_stderr_silenced():
        checks = run_checks()
    if as_json:
        write_json([check.to_dict() for check in checks])
    else:
        rows = [(check.state, check.name, check.found, check.advice) for check in checks]
        print_table("", ("", "what", "found", "what to do"), rows)
    code = exit_code(checks)
    if code:
        raise typer.Exit(code)
