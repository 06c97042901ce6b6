"""OUT.json: what made a video, in enough detail to make it again."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from talkhead_cli.errors import InputError
from talkhead_cli.paths import publish, temporary_beside

VERSIONED = ("torch", "numpy", "mediapipe", "opencv-python")


def sidecar_path(output: Path) -> Path:
    """OUT.json beside OUT.mp4."""
    return output.with_suffix(".json")


def write_sidecar(path: Path, record: dict[str, Any]) -> None:
    """Write the JSON file beside the video, by renaming.

    Raises:
        InputError: it cannot be written.
    """
    temporary = temporary_beside(path)
    try:
        temporary.write_text(
            json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        publish(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


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
