"""`talkhead.render`: one render, as one function with typed options; see docs/api.md."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from talkhead_cli.console import OnEvent
from talkhead_cli.errors import UsageError
from talkhead_cli.settings import RenderSettings, resolve_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from talkhead_cli.pipeline import TalkingHeadPipeline
    from talkhead_cli.result import OutputOptions, RenderResult

Source = Path | str


class SettingsGiven(TypedDict, total=False):
    """Settings by name, as options of a render: those of `RenderSettings`, but what names a preset."""

    bundle: str
    num_inference_steps: int
    chunk_frames: Literal[4, 8, 16, 32]
    lookahead_frames: int
    guidance_scale: float
    pose_scale: float
    expression_scale: float
    blink_scale: float
    emotion: Literal["neutral", "happy", "sad", "angry", "surprised"]
    emotion_strength: float
    gaze: Literal["camera", "free"]
    still: bool
    drive_pose: Literal["relative", "absolute"]
    fps: Fraction | float | str
    size: int | None
    crop: Literal["full", "face"]
    crf: int
    video_codec: Literal["h264", "hevc", "av1", "prores"]
    encoder: Literal["software", "auto", "hardware"]
    alpha: bool
    seed: int
    device: str
    face: str
    face_backend: Literal["mediapipe", "face-alignment"]
    background: str | None
    max_seconds: float
    label: str
    marking: bool


class FilesGiven(TypedDict, total=False):
    """Further files of a render, and what happens around it."""

    drive: Source | None
    motion_in: Source | None
    motion_out: Source | None
    style: Source | None
    overwrite: bool
    sidecar: bool
    resume: bool
    consent_ref: str
    c2pa_cert: Source | None
    c2pa_key: Source | None
    c2pa_tsa: str | None
    on_event: OnEvent
    pipeline: TalkingHeadPipeline | None


class RenderGiven(SettingsGiven, FilesGiven, total=False):
    """All that `render` takes by name."""


def render(
    portrait: Source,
    audio: Source | None,
    output: Source,
    *,
    settings: RenderSettings | None = None,
    preset: str | None = None,
    **options: Unpack[RenderGiven],
) -> RenderResult:
    """Turn a portrait and a speech recording into a talking-head video, as `talkhead render` does.

    The video appears at its path when it is complete, by renaming; after an error nothing is there.

    Args:
        portrait: a picture with a face, or a film that gets the speech as its new sound.
        audio: any recording ffmpeg decodes, up to ten minutes; None with `drive` or `motion_in` alone.
        output: a .mp4, .mov, .mkv or .webm file, or with `alpha` a folder for pictures.
        settings: all settings at once; else they come from `preset` and the options.
        preset: name or path of a preset; see `talkhead presets list`.
        options: single settings (`seed=3`, `fps=30`), which win over the preset; and `drive`, `motion_in`,
            `motion_out`, `style`: paths as of the options of that name; `overwrite=True`: the output may be replaced;
            `sidecar=False`: no OUT.json; `resume=True`: an interrupted long video is gone on with;
            `consent_ref`, `c2pa_cert`, `c2pa_key`, `c2pa_tsa`: as of the options of that name; `on_event`: called with
            every event of docs/events.md; `pipeline`: a loaded one of the same settings.

    Returns:
        Where the video is, its size, frames and length, and how long each stage took.

    Raises:
        UsageError: options are out of range, unknown, or contradict each other.
        InputError: a file cannot be used; among these NoFaceError and AudioError; or the output exists.
        PresetError, WeightsError, MediaError, DeviceError: see `talkhead_cli.errors`. All derive from TalkheadError.

    Example:
        >>> from talkhead import render
        >>> result = render("portrait.png", "speech.wav", "video.mp4", seed=3, size=256)
        >>> result.output.name, result.num_frames, str(result.fps)
        ('video.mp4', 30, '25')
    """
    from talkhead_cli.render import ignore_event, render_file

    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    files = {key: given.pop(key) for key in FilesGiven.__annotations__ if key in given}
    movers = {key: files.pop(key, None) for key in ("drive", "motion_in", "style")}
    on_event, pipeline = files.pop("on_event", ignore_event), files.pop("pipeline", None)
    chosen = choose_settings(settings, preset, given, driven=any(movers.values()))
    names = frozenset(given) if settings is None else frozenset(settings.model_fields_set)
    around = output_options(files, names)
    return render_file(chosen, portrait, audio, output, on_event, around, pipeline, **movers)


def output_options(files: dict[str, Any], names: frozenset[str]) -> OutputOptions:
    """What happens around a render, from what is left of `FilesGiven`; `names` are settings that were asked for.

    Raises:
        UsageError: options of the signature lack each other.
    """
    from talkhead_cli.marking.signing import signing_of
    from talkhead_cli.result import OutputOptions

    pem = (files.pop(key, None) for key in ("c2pa_cert", "c2pa_key"))
    cert, key = (None if path is None else Path(path) for path in pem)
    signing = signing_of(cert, key, files.pop("c2pa_tsa", None))
    motion_out = files.pop("motion_out", None)
    return OutputOptions(
        **files,
        motion_out=None if motion_out is None else Path(motion_out),
        given=names,
        signing=signing,
    )


def choose_settings(
    settings: RenderSettings | None,
    preset: str | None,
    given: Mapping[str, Any],
    *,
    driven: bool,
) -> RenderSettings:
    """The settings of a render: all of them as they are, or those of a preset with single ones put over it.

    Raises:
        UsageError: there are both, or a name or a value is wrong.
        PresetError: see `resolve_settings`.
    """
    if settings is not None:
        if preset is not None or given:
            extra = "preset" if preset is not None else next(iter(given))
            raise UsageError(
                f"settings and {extra} both say how to render: leave one of them out, or "
                "change the settings with model_copy(update=...)"
            )
        return settings
    for name in given:
        if name not in SettingsGiven.__annotations__:
            raise UsageError(f"render() takes no option {name!r}; see docs/api.md")
    return resolve_settings(preset, given, driven=driven)
