"""OUT.json: what made a video, in enough detail to make it again."""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkhead_cli import __version__
from talkhead_cli.errors import write_error
from talkhead_cli.paths import publish, temporary_beside
from talkhead_cli.speech_encoder import SPEECH_BUNDLE, speech_hash

if TYPE_CHECKING:
    from talkhead_cli.drive import DrivingClip
    from talkhead_cli.pipeline import TalkingHeadPipeline
    from talkhead_cli.result import Inputs, Performance, RenderResult, Scene
    from talkhead_cli.settings import RenderSettings

SUFFIX = ".json"

LONGEST_NAME = 255
"""Bytes of a file's name on nearly all file systems."""

LARGEST = 1 << 20
"""Bytes of a sidecar that are read; ours have two thousand."""

VERSIONED = ("torch", "numpy", "mediapipe", "opencv-python")


def sidecar_path(output: Path) -> Path:
    """OUT.json beside OUT.mp4; the end of a name is left out where it would be too long for a file."""
    stem = os.fsencode(output.stem)[: LONGEST_NAME - len(SUFFIX)]
    if len(stem) < len(os.fsencode(output.stem)):
        return output.with_name(stem.decode("utf-8", "ignore") + SUFFIX)
    return output.with_suffix(SUFFIX)


def write_sidecar(path: Path, record: dict[str, Any]) -> None:
    """Write the JSON file beside the video, by renaming.

    Raises:
        InputError: it cannot be written.
        DiskFull: there is no room for it.
    """
    temporary = temporary_beside(path)
    try:
        temporary.write_text(to_json(record) + "\n", encoding="utf-8")
        publish(temporary, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def to_json(record: dict[str, Any]) -> str:
    """A record as people read it; paths of bytes that are no text are escaped."""
    text = json.dumps(record, indent=2, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(record, indent=2)
    return text


def describe(
    scene: Scene,
    performance: Performance,
    result: RenderResult,
    settings: RenderSettings,
    motion_out: Path | None,
) -> dict[str, Any]:
    """What is to be known of a render: all that went in, all that came out."""
    made = result.to_event()
    for key in ("event", "sidecar", "dry_run"):
        del made[key]
    return {
        "talkhead": __version__,
        **scene.inputs.to_event(),
        **made,
        "seed": settings.seed,
        "device": settings.device,
        "settings": settings.model_dump(mode="json"),
        "bundles": used_bundles(scene.inputs, scene.pipeline, performance.clip),
        **({"motion_out": str(motion_out)} if motion_out else {}),
        "versions": versions(),
    }


def used_bundles(
    inputs: Inputs, pipeline: TalkingHeadPipeline, clip: DrivingClip | None = None
) -> dict[str, str]:
    """Names of the weights that a render uses, to their sha256."""
    heard = {} if inputs.movers else {SPEECH_BUNDLE: speech_hash()}
    return {**pipeline.hashes, **(clip.bundles if clip else heard)}


def versions() -> dict[str, str]:
    """Versions of what decides the pixels."""
    from talkhead_cli.media import ffmpeg_path, ffmpeg_version

    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    found["ffmpeg"] = ffmpeg_version(ffmpeg_path())
    return found


def read_sidecar(video: Path) -> dict[str, Any]:
    """What the JSON file beside a video says; nothing where there is none of ours."""
    path = sidecar_path(video)
    try:
        if not path.is_file():
            return {}
        with path.open("rb") as file:
            record = json.loads(file.read(LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) and "talkhead" in record else {}
