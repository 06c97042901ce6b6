"""The pre-flight report: would this portrait and this speech render, and what would look or sound poor?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkhead_cli.errors import AudioError, InputError, write_error
from talkhead_cli.paths import publish, temporary_beside

if TYPE_CHECKING:
    from talkhead_cli.audio import AudioInfo
    from talkhead_cli.face.probe import PortraitReport


@dataclass(frozen=True)
class Preflight:
    """What is known of a render before it starts.

    Attributes:
        portrait: the report on the picture.
        audio: what the recording is; None where none was given or it cannot be used.
        audio_problem: why the recording cannot be used.
    """

    portrait: PortraitReport
    audio: AudioInfo | None = None
    audio_problem: str | None = None

    @property
    def ready(self) -> bool:
        """Whether a render would start."""
        return self.portrait.ready and self.audio_problem is None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values: dict[str, Any] = {"ready": self.ready, "portrait": self.portrait.to_dict()}
        if self.audio is not None:
            values["audio"] = {**asdict(self.audio), "warnings": self.audio.warnings}
        if self.audio_problem is not None:
            values["audio"] = {"problem": self.audio_problem}
        return values


def run_preflight(
    portrait: Path,
    audio: Path | None = None,
    face: str = "largest",
    backend: str = "mediapipe",
    background: str | None = None,
) -> Preflight:
    """Look at a portrait and, where given, at a recording.

    Raises:
        InputError: the picture cannot be read.
    """
    from talkhead_cli.audio import probe_audio
    from talkhead_cli.face.probe import probe_portrait

    report = probe_portrait(portrait, face, backend, background)
    if audio is None:
        return Preflight(report)
    try:
        return Preflight(report, probe_audio(audio))
    except AudioError as error:
        return Preflight(report, audio_problem=str(error))


def save_annotated(report: PortraitReport, target: Path, background: str | None = None) -> None:
    """Write the picture with what was found drawn in; by renaming, an existing file is replaced.

    Raises:
        InputError: the picture cannot be written there.
    """
    from PIL import Image

    from talkhead_cli.face.image import read_portrait_image
    from talkhead_cli.face.probe import annotate

    source = read_portrait_image(report.path, background)
    picture = Image.fromarray(annotate(source.pixels, report))
    if target.exists() and target.samefile(report.path):
        raise InputError(f"{target}: this is the portrait itself; choose another name for --image")
    temporary = temporary_beside(target)
    try:
        picture.save(temporary)
        publish(temporary, target)
    except OSError as error:
        raise write_error(target, error, "the picture cannot be written") from error
    except (ValueError, KeyError) as error:
        raise InputError(f"{target}: the picture cannot be written ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)
