"""`talkhead presets list|show`."""

from __future__ import annotations

from typing import Annotated

import typer

from talkhead_cli.commands.common import choose_reporter
from talkhead_cli.console import print_table, write_json, write_result

app = typer.Typer(help="Presets: named sets of render settings.", no_args_is_help=True)


@app.command("list")
def list_all(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Name the built-in presets.

    Examples:

    \b
    talkhead presets list
    """
    choose_reporter(context, as_json=as_json)

    from talkhead_cli.settings import list_presets, resolve_settings

    found = [resolve_settings(name, {}) for name in list_presets()]
    if as_json:
        write_json([item.model_dump(mode="json") for item in found])
        return
    rows = [(item.preset, str(item.num_inference_steps), item.description) for item in found]
    print_table("", ("preset", "steps", "what it is for"), rows)


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name or path of a preset.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Print a preset with every key, defaults filled in.

    Examples:

    \b
    talkhead presets show talkhead > mine.yaml
    """
    choose_reporter(context, as_json=as_json)

    from talkhead_cli.settings import resolve_settings, to_yaml

    settings = resolve_settings(name, {})
    if as_json:
        write_json(settings.model_dump(mode="json"))
    else:
        write_result(to_yaml(settings).rstrip())
