"""Checks of the installation: what is there, what is missing, what to do about it."""

from __future__ import annotations

import importlib
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from talkhead_cli import __version__
from talkhead_cli.errors import (
    EXIT_BUG,
    EXIT_DEVICE,
    EXIT_DONE,
    EXIT_MEDIA,
    EXIT_PRESET,
    EXIT_WEIGHTS,
    TalkheadError,
)

PACKAGES = (
    "torch",
    "numpy",
    "opencv-python",
    "mediapipe",
    "face-alignment",
    "pydantic",
    "typer",
)
LOW_SPACE_BYTES = 2 * 10**9


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: what was looked at.
        state: "ok", "note" (works without) or "problem".
        found: what is there.
        advice: what to do; empty where nothing needs doing.
        exit_code: what the command ends with when this is a problem.
    """

    name: str
    state: str
    found: str
    advice: str = ""
    exit_code: int = EXIT_DONE

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def run_checks() -> list[Check]:
    """All checks, in the order in which a render would need them."""
    checks: list[Check] = []
    for check in (
        check_versions,
        check_ffmpeg,
        check_devices,
        check_faces,
        check_bundles,
        check_presets,
        check_extras,
        check_space,
    ):
        checks += guarded(check)
    return checks


def guarded(check: Callable[[], list[Check]]) -> list[Check]:
    """The lines of one check; a library that cannot even be imported is a line too."""
    name = check.__name__.removeprefix("check_")
    try:
        return check()
    except TalkheadError as error:
        return [Check(name, "problem", str(error), exit_code=error.exit_code)]
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return [
            Check(
                name, "problem", f"{type(error).__name__}: {error}", "reinstall talkhead", EXIT_BUG
            )
        ]


def exit_code(checks: list[Check]) -> int:
    """The exit code of the first problem, 0 where there is none."""
    return next((check.exit_code for check in checks if check.state == "problem"), EXIT_DONE)


def check_versions() -> list[Check]:
    """talkhead, Python and the libraries."""
    lines = [
        Check("talkhead", "ok", __version__),
        Check("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
    ]
    for name in PACKAGES:
        try:
            lines.append(Check(name, "ok", metadata.version(name)))
        except metadata.PackageNotFoundError:
            lines.append(Check(name, "problem", "missing", f"pip install {name}", EXIT_BUG))
    return lines


def check_ffmpeg() -> list[Check]:
    """The ffmpeg that would run, and what it can encode."""
    from talkhead_cli.media import ENCODERS, ffmpeg_path, ffmpeg_version, list_encoders

    path = ffmpeg_path()
    version = ffmpeg_version(path)
    if version == "unknown":
        return [Check("ffmpeg", "problem", f"{path} does not run", "reinstall ffmpeg", EXIT_MEDIA)]
    lines = [Check("ffmpeg", "ok", f"{version} at {path}")]
    for codec, encoder in ENCODERS.items():
        try:
            ffmpeg_path(encoder)
            lines.append(Check(f"video codec {codec}", "ok", encoder))
        except TalkheadError:
            state = "problem" if codec == "h264" else "note"
            lines.append(
                Check(
                    f"video codec {codec}",
                    state,
                    f"{encoder} is missing",
                    "pip install imageio-ffmpeg",
                    EXIT_MEDIA,
                )
            )
    if "aac" not in list_encoders(ffmpeg_path(ENCODERS["h264"])):
        lines.append(
            Check("audio codec aac", "problem", "missing", "install another ffmpeg", EXIT_MEDIA)
        )
    return lines


def check_devices() -> list[Check]:
    """What can compute."""
    import torch

    threads = torch.get_num_threads()
    lines = [Check("device cpu", "ok", f"{threads} threads")]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            memory = f"{properties.total_memory / 2**30:.0f} GiB"
            lines.append(Check(f"device cuda:{index}", "ok", f"{properties.name}, {memory}"))
    elif shutil.which("nvidia-smi"):
        lines.append(
            Check(
                "device cuda",
                "problem",
                "a GPU is there but torch cannot use it",
                "install the CUDA build of torch, or use --device cpu",
                EXIT_DEVICE,
            )
        )
    else:
        lines.append(Check("device cuda", "note", "none; the CPU is used"))
    if torch.backends.mps.is_available():
        lines.append(Check("device mps", "ok", "available"))
    return lines


def check_faces() -> list[Check]:
    """The embedded face networks."""
    mediapipe = importlib.import_module("mediapipe")
    folder = Path(mediapipe.__file__ or "").parent / "modules"
    networks = sorted(folder.rglob("*.tflite"))
    if not networks:
        return [
            Check(
                "face networks",
                "problem",
                f"none in {folder}",
                "pip install mediapipe==0.10.21",
                EXIT_BUG,
            )
        ]
    return [Check("face networks", "ok", f"{len(networks)} embedded in mediapipe")]


def check_bundles() -> list[Check]:
    """The trained weights."""
    from talkhead_cli.weights import verify_bundles

    return [
        Check(f"bundle {name}", "ok", "whole")
        if problem is None
        else Check(f"bundle {name}", "problem", problem, "reinstall talkhead", EXIT_WEIGHTS)
        for name, problem in verify_bundles().items()
    ]


def check_presets() -> list[Check]:
    """The built-in presets, and whether their bundles are there."""
    from talkhead_cli.settings import list_presets, resolve_settings
    from talkhead_models.bundle import bundle_path

    lines = []
    for name in list_presets():
        bundle = resolve_settings(name, {}).bundle
        if bundle_path(bundle).is_file():
            lines.append(Check(f"preset {name}", "ok", f"bundle {bundle}"))
        else:
            lines.append(
                Check(
                    f"preset {name}",
                    "problem",
                    f"bundle {bundle} is missing",
                    "reinstall talkhead, or unset TALKHEAD_WEIGHTS",
                    EXIT_WEIGHTS,
                )
            )
    return lines or [Check("presets", "problem", "none", "reinstall talkhead", EXIT_PRESET)]


def check_extras() -> list[Check]:
    """What is optional."""
    try:
        version = metadata.version("pillow-heif")
        return [Check("HEIC pictures", "ok", f"pillow-heif {version}")]
    except metadata.PackageNotFoundError:
        return [Check("HEIC pictures", "note", "not supported", "pip install pillow-heif")]


def check_space() -> list[Check]:
    """Room for temporary files."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    state = "ok" if free >= LOW_SPACE_BYTES else "note"
    advice = "" if state == "ok" else "free some space, or set TMPDIR"
    return [Check("temporary files", state, f"{free / 1e9:.1f} GB free in {folder}", advice)]
