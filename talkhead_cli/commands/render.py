"""`talkhead render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from talkhead_cli.commands.common import (
    MARKING,
    C2paCert,
    C2paKey,
    C2paTsa,
    Session,
    Verbose,
    choose_reporter,
)
from talkhead_cli.commands.options import takes_render_options


@takes_render_options
def render(
    context: typer.Context,
    portrait: Annotated[
        Path,
        typer.Argument(
            help="Picture with a face: PNG, JPEG, WebP, HEIC, ...; or a film to be dubbed."
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="File to write (.mp4, .mov, .mkv, .webm); - writes fragmented MP4 to standard output.",
        ),
    ],
    audio: Annotated[
        str | None,
        typer.Argument(
            help="Speech in any format ffmpeg decodes; - reads standard input. "
            "With --drive it may be left out: the clip's own sound is taken."
        ),
    ] = None,
    drive: Annotated[
        Path | None,
        typer.Option(help="Film of a face whose motion is used instead of generated motion."),
    ] = None,
    motion_in: Annotated[
        Path | None,
        typer.Option(help="Motion file (.npz, .csv) that is used instead of generated motion."),
    ] = None,
    style: Annotated[
        Path | None,
        typer.Option(help="Film of a person in whose way the generated motion is to move."),
    ] = None,
    motion_out: Annotated[
        Path | None,
        typer.Option(help="Write the motion of the video: .npz, or .csv of ARKit blendshapes."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Name or path of a preset; see `talkhead presets list`.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing output.")
    ] = False,
    no_sidecar: Annotated[
        bool, typer.Option("--no-sidecar", help="Do not write OUT.json.")
    ] = False,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Begin before the speech has ended. The default where it comes and the video goes through a pipe.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep what is finished of a long video when interrupted, and go on from there next time.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, render nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON event a line on standard output.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but errors.")] = False,
    verbose: Verbose = False,
    c2pa_cert: C2paCert = None,
    c2pa_key: C2paKey = None,
    c2pa_tsa: C2paTsa = None,
    consent_ref: Annotated[
        str,
        typer.Option(
            help="Names the consent of the person shown, for OUT.json.", rich_help_panel=MARKING
        ),
    ] = "",
    **given: Any,
) -> None:
    """Turn a portrait and a speech recording, or a film of a face, into a talking-head video.

    Examples:

    \b
    talkhead render portrait.png speech.wav -o out.mp4
    talkhead render portrait.png speech.wav -o out.mp4 --seed 3 --fps 30 --size 720 --json
    talkhead render portrait.png -o out.mp4 --drive clip.mp4
    talkhead render film.mp4 speech.wav -o dubbed.mp4
    talkhead render portrait.png - -o - < speech.wav > out.mp4
    """
    if as_json and output == "-":
        raise typer.BadParameter("--json and -o - both need standard output")
    if resume and (stream or output == "-"):
        raise typer.BadParameter("--resume needs a file to write, and no --stream")
    reporter = choose_reporter(context, as_json=as_json, quiet=quiet, verbose=verbose)

    if resume and isinstance(context.obj, Session):
        context.obj.left = "the same command goes on from what is finished"

    from talkhead_cli.marking.signing import signing_of
    from talkhead_cli.render import OutputOptions, render_file
    from talkhead_cli.settings import resolve_settings

    driven = any(path is not None for path in (drive, motion_in, style))
    settings = resolve_settings(preset, {"device": device, **given}, driven=driven)
    options = OutputOptions(
        overwrite,
        not no_sidecar,
        dry_run,
        stream,
        resume=resume,
        motion_out=motion_out,
        given=frozenset(key for key, value in given.items() if value is not None),
        consent_ref=consent_ref,
        signing=signing_of(c2pa_cert, c2pa_key, c2pa_tsa),
    )
    files = portrait, audio, output
    with reporter:
        result = render_file(
            settings, *files, reporter, options, drive=drive, motion_in=motion_in, style=style
        )
    reporter.finish_render(result)
