"""What the commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from talkhead_cli.console import Mode, Reporter, setup_logging

MARKING = "Marking"

JsonObject = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
C2paCert = Annotated[
    Path | None,
    typer.Option(
        help="PEM file: sign a C2PA manifest with this certificate; the chain may follow.",
        rich_help_panel=MARKING,
    ),
]
C2paKey = Annotated[
    Path | None,
    typer.Option(help="PEM file of its private key.", rich_help_panel=MARKING),
]
C2paTsa = Annotated[
    str | None,
    typer.Option(
        help="Address of a time stamp authority for the signature.", rich_help_panel=MARKING
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say what is done.")]


@dataclass
class Session:
    """What `main` knows of the command that is running.

    Attributes:
        reporter: where errors are to be shown.
        told: the command has said itself how it ended.
        left: what an interruption leaves, in words.
    """

    reporter: Reporter | None = None
    told: bool = False
    left: str = "nothing was left behind"


AnyReporter = TypeVar("AnyReporter", bound=Reporter)


def choose_reporter(
    context: typer.Context, *, as_json: bool = False, quiet: bool = False, verbose: bool = False
) -> Reporter:
    """The sink of a command's events, by its options.

    Raises:
        typer.BadParameter: options that exclude each other.
    """
    return use_reporter(context, Reporter(choose_mode(as_json, quiet, verbose), verbose))


def choose_mode(as_json: bool, quiet: bool, verbose: bool) -> Mode:
    """Whom a command's output is for.

    Raises:
        typer.BadParameter: options that exclude each other.
    """
    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose exclude each other")
    return "json" if as_json else "quiet" if quiet else "human"


def use_reporter(context: typer.Context, reporter: AnyReporter) -> AnyReporter:
    """Send errors and log records where a command's events go."""
    setup_logging(reporter.verbose)
    if isinstance(context.obj, Session):
        context.obj.reporter = reporter
    return reporter
