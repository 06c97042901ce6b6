"""The render options: declared once, taken by every command that renders."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from talkhead_cli.commands.common import MARKING

MOTION = "Motion"
PICTURE = "Picture and encoding"

Command = TypeVar("Command", bound=Callable[..., None])


class RenderOptions:
    """What a command line may say of a render; the names are those of `RenderSettings`, None means "not given"."""

    max_seconds: Annotated[float | None, typer.Option(help="Longest speech accepted.")]
    seed: Annotated[
        int | None, typer.Option(help="Another seed gives other motion.", rich_help_panel=MOTION)
    ]
    num_inference_steps: Annotated[
        int | None, typer.Option(help="Denoising steps per chunk.", rich_help_panel=MOTION)
    ]
    chunk_frames: Annotated[
        int | None,
        typer.Option(
            help="Frames made at once: 4, 8, 16 or 32; live pictures wait for as much speech.",
            rich_help_panel=MOTION,
        ),
    ]
    lookahead_frames: Annotated[
        int | None,
        typer.Option(
            help="Frames of speech heard behind them before they are made, 0-16.",
            rich_help_panel=MOTION,
        ),
    ]
    guidance_scale: Annotated[
        float | None,
        typer.Option(help="How closely motion follows the speech.", rich_help_panel=MOTION),
    ]
    pose_scale: Annotated[
        float | None,
        typer.Option(help="Size of head motion; 1 is natural.", rich_help_panel=MOTION),
    ]
    expression_scale: Annotated[
        float | None, typer.Option(help="Size of lip and face motion.", rich_help_panel=MOTION)
    ]
    blink_scale: Annotated[
        float | None,
        typer.Option(help="Frequency of blinks; 0 is none.", rich_help_panel=MOTION),
    ]
    emotion: Annotated[
        str | None,
        typer.Option(help="neutral, happy, sad, angry or surprised.", rich_help_panel=MOTION),
    ]
    emotion_strength: Annotated[
        float | None,
        typer.Option(help="How much of the emotion shows, 0 to 1.", rich_help_panel=MOTION),
    ]
    gaze: Annotated[
        str | None,
        typer.Option(
            help="camera: the eyes keep to it; free: they look away at times.",
            rich_help_panel=MOTION,
        ),
    ]
    still: Annotated[
        bool | None,
        typer.Option(
            "--still/--no-still",
            help="Only the face moves: no head motion, no breathing.",
            rich_help_panel=MOTION,
        ),
    ]
    drive_pose: Annotated[
        str | None,
        typer.Option(
            help="Head pose of the driving clip: relative to its first frame, or absolute.",
            rich_help_panel=MOTION,
        ),
    ]
    bundle: Annotated[
        str | None, typer.Option(help="Weights of the motion generator.", rich_help_panel=MOTION)
    ]
    face: Annotated[
        str | None,
        typer.Option(help="largest, N (from the left) or X,Y.", rich_help_panel=PICTURE),
    ]
    face_backend: Annotated[
        str | None, typer.Option(help="mediapipe or face-alignment.", rich_help_panel=PICTURE)
    ]
    background: Annotated[
        str | None,
        typer.Option(help="Colour behind a transparent portrait.", rich_help_panel=PICTURE),
    ]
    crop: Annotated[str | None, typer.Option(help="full or face.", rich_help_panel=PICTURE)]
    size: Annotated[
        int | None,
        typer.Option(help="Longest side of the video in pixels.", rich_help_panel=PICTURE),
    ]
    fps: Annotated[
        str | None,
        typer.Option(
            help="Frame rate: 25, 29.97, 30000/1001, ...; a film keeps its own unless given.",
            rich_help_panel=PICTURE,
        ),
    ]
    crf: Annotated[
        int | None,
        typer.Option(help="Quality 0-51; smaller is better.", rich_help_panel=PICTURE),
    ]
    video_codec: Annotated[
        str | None, typer.Option(help="h264, hevc, av1 or prores.", rich_help_panel=PICTURE)
    ]
    encoder: Annotated[
        str | None,
        typer.Option(
            help="software, hardware, or auto: hardware where it works.", rich_help_panel=PICTURE
        ),
    ]
    alpha: Annotated[
        bool | None,
        typer.Option(
            "--alpha/--no-alpha",
            help="The person on transparency: a .mov or .webm file, or a folder for PNG pictures.",
            rich_help_panel=PICTURE,
        ),
    ]
    label: Annotated[
        str | None,
        typer.Option(
            help='Visible text in the bottom left corner, such as "AI-generated".',
            rich_help_panel=PICTURE,
        ),
    ]
    marking: Annotated[
        bool | None,
        typer.Option(
            "--marking/--no-marking",
            help="Say in the video, readable for programs, that AI has made it; the default.",
            rich_help_panel=MARKING,
        ),
    ]


def takes_render_options(command: Command) -> Command:
    """Put the render options in place of a command's `**options`, for Typer, which reads signatures."""
    hints = get_type_hints(command, include_extras=True)
    rest: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            added: dict[str, Any] = get_type_hints(RenderOptions, include_extras=True)
            del hints[parameter.name]
            hints.update(added)
            rest += [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
                for name in added
            ]
        else:
            # By name is how Typer calls, and lets defaults stand before the options without one.
            rest.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    typed = [parameter.replace(annotation=hints[parameter.name]) for parameter in rest]
    command.__signature__ = inspect.Signature(typed, return_annotation=None)  # type: ignore[attr-defined]
    command.__annotations__ = hints
    return command
