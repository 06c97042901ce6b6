"""`talkhead report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkhead_cli.commands.common import JsonObject, Session, Verbose, choose_reporter
from talkhead_cli.console import write_json, write_message, write_result

if TYPE_CHECKING:
    from talkhead_cli.report.build import Report

LEFT = "what was measured is kept, the page was not written"


def report(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(help="Output folder of a batch, or any folder of videos.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page; by default report.html in the folder."),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure/--no-measure", help="Measure videos that have not been measured yet."
        ),
    ] = True,
    flow: Annotated[
        bool,
        typer.Option("--flow", help="Measure the background's steadiness, too: ten times as long."),
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; by default one a core.")
    ] = None,
    as_json: JsonObject = False,
    verbose: Verbose = False,
) -> None:
    """Measure the videos of a batch and write a page on which to watch, approve and reject them.

    Examples:

    \b
    talkhead report videos
    talkhead report clips -o clips/report.html --no-measure
    """
    reporter = choose_reporter(context, as_json=as_json, verbose=verbose)
    if isinstance(context.obj, Session):
        context.obj.left = LEFT

    from talkhead_cli.report.build import ReportRequest, build_report
    from talkhead_cli.report.progress import ReportProgress

    request = ReportRequest(folder, output, measure, flow, jobs)
    with ReportProgress(reporter.mode) as progress:
        found = build_report(request, progress)
    if as_json:
        write_json({**found.to_event(), "rows": [row.to_dict() for row in found.rows]})
    else:
        show(found)


def show(found: Report) -> None:
    """The page's path on standard output; what it is about on standard error."""
    for words in found.notes:
        write_message(f"warning: {words}")
    write_message(found.words())
    write_result(str(found.page))
