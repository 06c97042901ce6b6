"""Render settings: what a preset says, what an option says, and which of them wins."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails

from talkhead_cli.errors import PresetError, UsageError
from talkhead_cli.paths import presets_folder

DEFAULT_PRESET = "talkhead"

DEFAULT_CHUNK: Literal[32] = 32
"""Frames that a generator makes at once where nobody waits for them."""

MOST_AHEAD = 16
"""Frames of sound behind a chunk that leave nothing of what it reads unsettled."""

LIVE: Mapping[str, Any] = {"chunk_frames": 4, "lookahead_frames": 5}
"""What a render whose speech arrives meanwhile takes where nobody has chosen."""

IRRELEVANT = frozenset({"preset", "description", "device", "max_seconds"})
"""Settings that leave the pictures as they are."""

MIN_FPS, MAX_FPS = 5, 120

LARGEST_PRESET = 1 << 16
"""Bytes."""

LONGEST_SHOWN = 200
"""Characters of a value, or of a reason, that a message quotes."""

NTSC_RATES = {
    round(float(rate), digits): rate
    for rate in (Fraction(nominal * 1000, 1001) for nominal in (24, 30, 48, 60, 120))
    for digits in (2, 3)
}
"""What people write for the NTSC rates, such as 29.97, and what they mean."""


def parse_fps(value: object) -> Fraction:
    """A frame rate from 25, 29.97, "25" or "30000/1001".

    Raises:
        ValueError: not a rate, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
        raise ValueError(
            "a frame rate is a number such as 25 or 29.97, or a fraction such as 30000/1001"
        )
    try:
        exact = Fraction(str(value).strip())
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(
            "a frame rate is a number such as 25 or 29.97, or a fraction such as 30000/1001"
        ) from error
    if not MIN_FPS <= exact <= MAX_FPS:
        raise ValueError(f"the frame rate must be from {MIN_FPS} to {MAX_FPS}")
    return NTSC_RATES.get(float(exact), exact).limit_denominator(100_000)


def show_fps(value: Fraction) -> str | int:
    """A frame rate as `parse_fps` reads it back: a whole number where it is one."""
    return value.numerator if value.denominator == 1 else str(value)


Fps = Annotated[Fraction, BeforeValidator(parse_fps), PlainSerializer(show_fps)]


class RenderSettings(BaseModel):
    """All that decides what a render looks like; the keys are those of a preset file.

    Attributes:
        preset: name of the preset these settings came from.
        description: one line on the preset.
        bundle: name of the motion generator's weight bundle.
        num_inference_steps: denoising steps per chunk.
        chunk_frames: frames at 25/s that are made at once; live pictures wait for as much speech. More
            than the network makes at once is as much as that.
        lookahead_frames: frames of sound heard behind a chunk before it is made; 16 leave nothing unsettled.
        guidance_scale: weight of the speech against free motion; 1 = as trained.
        pose_scale: size of head motion; 0 holds the head still.
        expression_scale: size of lip and face motion.
        blink_scale: frequency of blinks; 0 = none.
        emotion: put on to the speech.
        emotion_strength: from 0 to 1.
        gaze: the eyes keep to the camera, or are free to look away.
        still: only the face moves: no head motion, no breathing.
        drive_pose: the head pose of a driving clip: relative to its first frame, or absolute, that is as filmed, the
            clip's median pose being the portrait's own.
        fps: output frame rate.
        size: longest side of the output in pixels; None keeps the portrait's.
        crop: keep the whole picture, or a square around the head.
        crf: x264 quality, smaller = better.
        video_codec: h264, hevc, av1 or prores.
        encoder: software, whose bytes are always the same; auto, hardware where it works; hardware.
        alpha: the person on transparency.
        seed: of the motion; the same seed gives the same motion.
        device: auto, cpu, cuda, cuda:N or mps.
        face: largest, N (from the left, 1 = leftmost) or X,Y.
        face_backend: which detector finds the face.
        background: colour behind a transparent portrait.
        max_seconds: longest speech accepted.
        label: visible text in the bottom left corner; "" shows none.
        marking: say in the file, readable for programs, that it is made by AI; a preset cannot switch it off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    preset: str = DEFAULT_PRESET
    description: str = ""
    bundle: str = "talkhead"
    num_inference_steps: int = Field(default=4, ge=1, le=100)
    chunk_frames: Literal[4, 8, 16, 32] = DEFAULT_CHUNK
    lookahead_frames: int = Field(default=MOST_AHEAD, ge=0, le=MOST_AHEAD)
    guidance_scale: float = Field(default=1.0, ge=0.0, le=10.0)
    pose_scale: float = Field(default=1.0, ge=0.0, le=3.0)
    expression_scale: float = Field(default=1.0, ge=0.0, le=3.0)
    blink_scale: float = Field(default=1.0, ge=0.0, le=3.0)
    emotion: Literal["neutral", "happy", "sad", "angry", "surprised"] = "neutral"
    emotion_strength: float = Field(default=0.5, ge=0.0, le=1.0)
    gaze: Literal["camera", "free"] = "camera"
    still: bool = False
    drive_pose: Literal["relative", "absolute"] = "relative"
    fps: Fps = Fraction(25)
    size: int | None = Field(default=None, ge=128, le=8192)
    crop: Literal["full", "face"] = "full"
    crf: int = Field(default=18, ge=0, le=51)
    video_codec: Literal["h264", "hevc", "av1", "prores"] = "h264"
    encoder: Literal["software", "auto", "hardware"] = "software"
    alpha: bool = False
    seed: int = Field(default=0, ge=0, lt=2**63)
    device: str = "auto"
    face: str = "largest"
    face_backend: Literal["mediapipe", "face-alignment"] = "mediapipe"
    background: str | None = None
    max_seconds: float = Field(default=600.0, gt=0.0, le=86_400.0)
    label: str = ""
    marking: bool = True

    @classmethod
    def from_preset(cls, preset: str | None = None, **options: Any) -> RenderSettings:
        """The settings of a render with a preset, None being the default one; options win. See `resolve_settings`.

        Raises:
            PresetError: the preset is unknown or holds a wrong key or value.
            UsageError: an option is out of range.
        """
        return resolve_settings(preset, options)

    @field_validator("device")
    @classmethod
    def _check_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", value):
            raise ValueError("the device is auto, cpu, cuda, cuda:N or mps")
        return value

    @field_validator("label")
    @classmethod
    def _check_label(cls, value: str) -> str:
        if not value:
            return value
        from talkhead_cli.label import check_label

        return check_label(value)

    @field_validator("face", mode="before")
    @classmethod
    def _check_face(cls, value: object) -> str:
        text = str(value).strip()
        number = r"\d+(\.\d+)?"
        if isinstance(value, bool) or not re.fullmatch(
            rf"largest|[1-9]\d*|{number},\s*{number}", text
        ):
            raise ValueError("the face is largest, N (from the left, beginning at 1) or X,Y")
        return text


DRIVEN: Mapping[str, Any] = {"pose_scale": 1.0, "expression_scale": 1.0}
"""What a preset says of strengths is tuned to generated motion; filmed motion, or a filmed
person's style, is taken as it is."""


def resolve_settings(
    preset: str | None, options: Mapping[str, Any], *, driven: bool = False
) -> RenderSettings:
    """The settings of a render: an option given wins over the preset, the preset over the default.

    Args:
        preset: name or path of a preset; None takes the default preset.
        options: by settings key; None means "not given".
        driven: motion, or its style, comes from a clip: the preset's strengths of motion give way to 1.

    Raises:
        PresetError: the preset is unknown or holds a wrong key or value.
        UsageError: an option is out of range.
    """
    name = preset or DEFAULT_PRESET
    values = {**load_preset(name), **(DRIVEN if driven else {})}
    given = {key: value for key, value in options.items() if value is not None}
    try:
        return RenderSettings.model_validate({**values, **given})
    except ValidationError as error:
        # The preset alone was valid, so that an option is at fault.
        detail = error.errors()[0]
        option = "--" + str(detail["loc"][0]).replace("_", "-")
        raise UsageError(f"{option}: {explain(detail)}") from error


def live_settings(settings: RenderSettings) -> RenderSettings:
    """The settings of a render whose speech arrives meanwhile: what nobody has chosen is as short as is good."""
    chosen = settings.model_fields_set
    return settings.model_copy(
        update={key: value for key, value in LIVE.items() if key not in chosen}
    )


class PresetLoader(yaml.SafeLoader):
    """Plain values only: no tags that make objects, and no aliases, which make much of little."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """As always, but of aliases.

        Raises:
            ComposerError: here is one.
        """
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "a preset has no aliases", mark)
        return super().compose_node(parent, index)


def load_preset(name_or_path: str) -> dict[str, Any]:
    """The keys of a preset, checked.

    Raises:
        PresetError: no such preset, or a wrong key or value in it.
    """
    path = preset_path(name_or_path)
    try:
        if path.stat().st_size > LARGEST_PRESET:
            raise PresetError(f"{path}: is larger than {LARGEST_PRESET} bytes, and no preset")
        values = yaml.load(path.read_text(encoding="utf-8"), PresetLoader)
    except OSError as error:
        raise PresetError(f"{path}: the preset cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = " ".join(str(error).split())[:LONGEST_SHOWN]
        raise PresetError(f"{path}: not a YAML file that can be read ({where})") from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise PresetError(f"{path}: a preset is a list of `key: value` lines")
    values = {"preset": path.stem, **values}
    try:
        RenderSettings.model_validate(values)
    except ValidationError as error:
        raise PresetError(f"{path}: {explain_preset(error.errors()[0])}") from error
    if not values.get("marking", True):
        # Whoever leaves it out is to know, and to say so each time.
        raise PresetError(
            f"{path}: marking: a preset cannot switch it off; remove the line and give --no-marking"
        )
    return values


def to_yaml(settings: RenderSettings) -> str:
    """Settings as a preset file, every key written out; it can be read back."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def preset_path(name_or_path: str) -> Path:
    """The file of a preset: a path where it looks like one, else a built-in name.

    Raises:
        PresetError: there is none of that name; the message names the closest.
    """
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if not path.is_file():
            raise PresetError(f"{path}: there is no such preset file")
        return path
    names = list_presets()
    if name_or_path not in names:
        raise PresetError(f"there is no preset {name_or_path!r}; {suggest(name_or_path, names)}")
    return presets_folder() / f"{name_or_path}.yaml"


def list_presets() -> list[str]:
    """Names of the built-in presets, sorted."""
    return sorted(path.stem for path in presets_folder().glob("*.yaml"))


def suggest(wrong: str, names: list[str]) -> str:
    """The closest valid name, and all of them where they are few."""
    close = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"choose one of: {', '.join(names) or 'none is installed'}"


def explain_preset(detail: ErrorDetails) -> str:
    """One line on what is wrong in a preset."""
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"unknown key {key!r}; {suggest(key, sorted(RenderSettings.model_fields))}"
    return f"{key}: {explain(detail)}"


def explain(detail: ErrorDetails) -> str:
    """One line on a value that was refused."""
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    hint = ""
    if isinstance(detail["input"], str) and detail["type"] in {"int_type", "float_type"}:
        hint = "; write numbers without quotes, and 10.0 rather than 1e1"
    return f"{message}, got {show_value(detail['input'])}{hint}"


def show_value(value: object) -> str:
    """A value as a message quotes it; one without end is cut, one beyond words is named by its kind."""
    if isinstance(value, dict | list | tuple) or (isinstance(value, int) and abs(value) >= 10**30):
        return f"a value of the type {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."
