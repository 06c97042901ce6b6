"""What the commands share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from talkhead_cli.console import Mode, Reporter, setup_logging

JsonObject = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say what is done.")]


@dataclass
class Session:
    """What `main` knows of the command that is running: where errors are to be shown."""

    reporter: Reporter | None = None


def choose_reporter(
    context: typer.Context, *, as_json: bool = False, quiet: bool = False, verbose: bool = False
) -> Reporter:
    """The sink of a command's events, by its options.

    Raises:
        typer.BadParameter: options that exclude each other.
    """
    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose exclude each other")
    mode: Mode = "json" if as_json else "quiet" if quiet else "human"
    setup_logging(verbose)
    reporter = Reporter(mode, verbose)
    if isinstance(context.obj, Session):
        context.obj.reporter = reporter
    return reporter
