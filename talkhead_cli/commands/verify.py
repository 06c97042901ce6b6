"""`talkhead verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkhead_cli.commands.common import JsonObject, Verbose, choose_reporter
from talkhead_cli.console import print_table, write_json, write_message
from talkhead_cli.errors import EXIT_DONE, EXIT_UNMARKED

if TYPE_CHECKING:
    from talkhead_cli.marking.verify import Verdict


def verify(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Videos, PNG pictures, or folders of numbered pictures."
        ),
    ],
    c2pa: Annotated[
        bool, typer.Option("--c2pa", help="A signed C2PA manifest must be there, too.")
    ] = False,
    as_json: JsonObject = False,
    verbose: Verbose = False,
) -> None:
    """Look whether videos say that AI has made them: metadata, XMP, C2PA, watermark, JSON file.

    Ends with 9 when a mark that is expected is missing or broken, with 3 when a file cannot be read.

    Examples:

    \b
    talkhead verify out.mp4
    talkhead verify out.mp4 --c2pa --json
    """
    choose_reporter(context, as_json=as_json, verbose=verbose)

    from talkhead_cli.marking.verify import verify_file

    found = [verify_file(path, c2pa) for path in files]
    code = worst(found)
    if as_json:
        write_json(
            {"event": "verified", "exit_code": code, "files": [each.to_json() for each in found]}
        )
    else:
        show(found)
    if code != EXIT_DONE:
        raise typer.Exit(code)


def worst(found: list[Verdict]) -> int:
    """The exit code: that of the first file that cannot be read, else 9 where a mark is missing."""
    codes = [each.exit_code for each in found if each.exit_code != EXIT_DONE]
    return next((code for code in codes if code != EXIT_UNMARKED), max(codes, default=EXIT_DONE))


def show(found: list[Verdict]) -> None:
    """A table of all files on standard output, what could not be read on standard error."""
    for each in found:
        if each.error:
            write_message(f"error: {each.error}")
            continue
        rows = [(mark.name, str(mark.state), mark.detail) for mark in each.marks]
        rows.append(("", "marked" if each.exit_code == EXIT_DONE else "NOT MARKED AS EXPECTED", ""))
        print_table(each.file, ("mark", "", ""), rows)
