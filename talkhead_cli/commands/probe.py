"""`talkhead probe`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkhead_cli.commands.common import JsonObject, Verbose, choose_reporter
from talkhead_cli.console import print_table, write_json
from talkhead_cli.errors import EXIT_INPUT

if TYPE_CHECKING:
    from talkhead_cli.preflight import Preflight


def probe(
    context: typer.Context,
    portrait: Annotated[Path, typer.Argument(help="Picture with a face.")],
    audio: Annotated[
        Path | None, typer.Argument(help="Speech in any format ffmpeg decodes.")
    ] = None,
    face: Annotated[str, typer.Option(help="largest, N (from the left) or X,Y.")] = "largest",
    face_backend: Annotated[str, typer.Option(help="mediapipe or face-alignment.")] = "mediapipe",
    background: Annotated[
        str | None, typer.Option(help="Colour behind a transparent portrait.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="Write the picture with what was found drawn in.")
    ] = None,
    as_json: JsonObject = False,
    verbose: Verbose = False,
) -> None:
    """Tell before rendering what a portrait and a recording are good for.

    Ends with 3 when they cannot be rendered.

    Examples:

    \b
    talkhead probe portrait.png speech.wav
    talkhead probe group.jpg --face 2 --image found.png
    """
    choose_reporter(context, as_json=as_json, verbose=verbose)

    from talkhead_cli.preflight import run_preflight, save_annotated

    found = run_preflight(portrait, audio, face, face_backend, background)
    if image is not None:
        save_annotated(found.portrait, image, background)
    if as_json:
        write_json({"event": "probe", **found.to_dict()})
    else:
        show(found)
    if not found.ready:
        raise typer.Exit(EXIT_INPUT)


def show(found: Preflight) -> None:
    """The report as tables."""
    report = found.portrait
    width, height = report.size
    title = f"{report.path}: {report.format}, {width}x{height}, {len(report.faces)} face(s)"
    rows = [
        (
            f"{item.number}{' *' if item.chosen else ''}",
            "{:.0f},{:.0f} to {:.0f},{:.0f}".format(*item.box),
            f"{item.yaw:+.0f} {item.pitch:+.0f} {item.roll:+.0f}",
            f"{item.sharpness:.3f}",
            item.mouth,
            item.eyes,
        )
        for item in report.faces
    ]
    print_table(title, ("face", "box", "yaw pitch roll", "sharpness", "mouth", "eyes"), rows)
    if found.audio is not None:
        values = asdict(found.audio)
        print_table(
            "audio",
            ("", ""),
            [(key.replace("_", " "), text(value)) for key, value in values.items()],
        )
    lines = [f"note: {line}" for line in report.notes] + [
        f"warning: {line}" for line in report.warnings
    ]
    if found.audio is not None:
        lines += [f"warning: {line}" for line in found.audio.warnings]
    if found.audio_problem:
        lines.append(f"warning: {found.audio_problem}")
    lines.append("ready to render" if found.ready else "cannot be rendered")
    print_table("", ("",), [(line,) for line in lines])


def text(value: object) -> str:
    """A value as a table shows it."""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return "-" if value is None else str(value)
