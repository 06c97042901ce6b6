"""`talkhead models list|verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from talkhead_cli.commands.common import choose_reporter
from talkhead_cli.console import print_table, write_json, write_message
from talkhead_cli.errors import EXIT_WEIGHTS

app = typer.Typer(
    help="Weight bundles: what is installed and whether it is whole.", no_args_is_help=True
)


@app.command("list")
def list_all(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Name the weight bundles with their size, origin and hash.

    Examples:

    \b
    talkhead models list
    """
    choose_reporter(context, as_json=as_json)

    from talkhead_cli.weights import describe_bundles

    found = describe_bundles()
    if as_json:
        write_json([item.to_dict() for item in found])
        return
    rows = [
        (
            item.name,
            f"{item.size / 1e6:.1f} MB",
            item.data_tier,
            item.licence,
            item.sha256[:12],
            item.training_command,
        )
        for item in found
    ]
    columns = ("bundle", "size", "trained on", "licence", "sha256", "trained by")
    print_table("", columns, rows)


@app.command()
def verify(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(help="Bundles; all where none is named.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Check every bundle against its recorded hash; ends with 5 when one is not whole.

    Examples:

    \b
    talkhead models verify
    talkhead models verify talkhead speech
    """
    choose_reporter(context, as_json=as_json)

    from talkhead_cli.weights import verify_bundles

    problems = verify_bundles(names or None)
    if as_json:
        write_json(problems)
    else:
        rows = [(name, problem or "whole") for name, problem in problems.items()]
        print_table("", ("bundle", "state"), rows)
    if any(problems.values()):
        if as_json:
            write_message("error: " + " ".join(problem for problem in problems.values() if problem))
        raise typer.Exit(EXIT_WEIGHTS)
