"""What goes with a film that is dubbed, and what a render takes over from it: told of paths and settings alone."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from talkhead_cli.settings import RenderSettings

FILM_CRF = 12
"""Quality of a dubbed film where none is asked for: what is not touched stays within 45 dB (luma) of the film, less the
watermark's 0.4 to 1 dB."""


def adopt(settings: RenderSettings, given: frozenset[str], fps: Fraction) -> RenderSettings:
    """The settings, with those of the film in place of what was not asked for by name.

    Args:
        settings: of the render.
        given: names of those that were asked for.
        fps: of the film.
    """
    own: dict[str, object] = {}
    if "fps" not in given:
        own["fps"] = fps
    if "crf" not in given:
        own["crf"] = min(settings.crf, FILM_CRF)
    return settings.model_copy(update=own)


def refusals(
    film: Path | str, settings: RenderSettings, *, drive: bool, audio: bool, style: bool = False
) -> list[tuple[str, str]]:
    """What does not go with a film: name of the option or file, and in one sentence what to do.

    Args:
        film: for messages.
        settings: of the render.
        drive: whether there is a driving clip.
        audio: whether there is a recording.
        style: whether there is a clip whose style is to be taken.
    """
    found = []
    if style:
        found.append(("style", f"{film} is a film: it keeps its own manner, leave --style out"))
    if settings.emotion != "neutral":
        words = f"{film} is a film: it keeps its expression, leave --emotion out"
        found.append(("emotion", words))
    if drive:
        words = f"{film} is a film: it keeps its own head motion, leave --drive out"
        found.append(("drive", words))
    if settings.alpha:
        words = f"{film} is a film and keeps its background: leave --alpha out"
        found.append(("alpha", words))
    if not audio:
        found.append(("audio", f"{film} is a film: give the new speech as AUDIO"))
    if settings.crop != "full":
        found.append(("crop", f"{film} is a film and keeps its frame: leave --crop out"))
    return found


def film_size(width: int, height: int, size: int | None) -> tuple[int, int]:
    """Width and height of a dubbed film's video.

    Args:
        width: of the film, pixels square.
        height: likewise.
        size: longest side asked for; None keeps the film's.
    """
    fit = min(Fraction(1), Fraction(size, max(width, height))) if size else Fraction(1)
    return tuple(max(2, int(side * fit) // 2 * 2) for side in (width, height))  # type: ignore[return-value]
