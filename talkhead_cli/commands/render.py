"""`talkhead render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talkhead_cli.commands.common import Verbose, choose_reporter

INPUT = "Input and output"
MOTION = "Motion"
PICTURE = "Picture and encoding"


def render(
    context: typer.Context,
    portrait: Annotated[
        Path, typer.Argument(help="Picture with a face: PNG, JPEG, WebP, HEIC, ...")
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="MP4 file to write; - writes fragmented MP4 to standard output."
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
    max_seconds: Annotated[float | None, typer.Option(help="Longest speech accepted.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Another seed gives other motion.", rich_help_panel=MOTION)
    ] = None,
    num_inference_steps: Annotated[
        int | None, typer.Option(help="Denoising steps per chunk.", rich_help_panel=MOTION)
    ] = None,
    guidance_scale: Annotated[
        float | None,
        typer.Option(help="How closely motion follows the speech.", rich_help_panel=MOTION),
    ] = None,
    pose_scale: Annotated[
        float | None,
        typer.Option(help="Size of head motion; 1 is natural.", rich_help_panel=MOTION),
    ] = None,
    expression_scale: Annotated[
        float | None, typer.Option(help="Size of lip and face motion.", rich_help_panel=MOTION)
    ] = None,
    blink_scale: Annotated[
        float | None,
        typer.Option(help="Frequency of blinks; 0 is none.", rich_help_panel=MOTION),
    ] = None,
    still: Annotated[
        bool | None,
        typer.Option(
            "--still/--no-still",
            help="Only the face moves: no head motion, no breathing.",
            rich_help_panel=MOTION,
        ),
    ] = None,
    drive_pose: Annotated[
        str | None,
        typer.Option(
            help="Head pose of the --drive clip: relative to its first frame, or absolute.",
            rich_help_panel=MOTION,
        ),
    ] = None,
    bundle: Annotated[
        str | None, typer.Option(help="Weights of the motion generator.", rich_help_panel=MOTION)
    ] = None,
    face: Annotated[
        str | None,
        typer.Option(help="largest, N (from the left) or X,Y.", rich_help_panel=PICTURE),
    ] = None,
    face_backend: Annotated[
        str | None, typer.Option(help="mediapipe or face-alignment.", rich_help_panel=PICTURE)
    ] = None,
    background: Annotated[
        str | None,
        typer.Option(help="Colour behind a transparent portrait.", rich_help_panel=PICTURE),
    ] = None,
    crop: Annotated[str | None, typer.Option(help="full or face.", rich_help_panel=PICTURE)] = None,
    size: Annotated[
        int | None,
        typer.Option(help="Longest side of the video in pixels.", rich_help_panel=PICTURE),
    ] = None,
    fps: Annotated[
        str | None,
        typer.Option(help="Frame rate: 25, 29.97, 30000/1001, ...", rich_help_panel=PICTURE),
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option(help="Quality 0-51; smaller is better.", rich_help_panel=PICTURE),
    ] = None,
    video_codec: Annotated[
        str | None, typer.Option(help="h264, hevc or av1.", rich_help_panel=PICTURE)
    ] = None,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Begin before the speech has ended. The default where it comes and the video goes through a pipe.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, render nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON event a line on standard output.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but errors.")] = False,
    verbose: Verbose = False,
) -> None:
    """Turn a portrait and a speech recording, or a film of a face, into a talking-head video."""
    given = dict(locals())
    if as_json and output == "-":
        raise typer.BadParameter("--json and -o - both need standard output")
    reporter = choose_reporter(context, as_json=as_json, quiet=quiet, verbose=verbose)

    from talkhead_cli.render import OutputOptions, render_file
    from talkhead_cli.settings import RenderSettings, resolve_settings

    keys = RenderSettings.model_fields.keys() - {"preset"}
    chosen = {key: given[key] for key in keys & given.keys()}
    settings = resolve_settings(preset, chosen, driven=drive is not None)
    options = OutputOptions(overwrite, not no_sidecar, dry_run, stream)
    with reporter:
        result = render_file(settings, portrait, audio, output, reporter, options, drive=drive)
    reporter.finish_render(result)
