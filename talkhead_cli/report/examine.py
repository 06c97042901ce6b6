"""Look at one video, in a process of its own: a small picture of it, its measures, its curve."""

from __future__ import annotations

import base64
import io
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from talkhead_cli.batch.board import printable
from talkhead_cli.errors import InputError, TalkheadError
from talkhead_cli.report.curve import Curve, make_curve

VERSION = 1
"""Of what is measured: what an older version has found is measured anew."""

POSTER_SIDE = 320
"""Pixels of the picture's longest side."""

POSTER_SECONDS = 0.6
"""Where it is taken; of shorter videos the last frame."""

POSTER_QUALITY = 62


@dataclass(frozen=True)
class Task:
    """What to look at.

    Attributes:
        key: of what is found; of the contents of the files and of what is measured.
        video: the file.
        portrait: what it was made from; None where that is unknown or gone.
        audio: likewise; the video's own sound is taken then.
        measure: beside the picture, measure the video.
        flow: and its optical flow.
    """

    key: str
    video: str
    portrait: str | None
    audio: str | None
    measure: bool
    flow: bool


class Examined(BaseModel):
    """What was found; as JSON it is what is kept.

    Attributes:
        version: of the measures.
        key: of the task.
        poster: WebP, in base64; "" where no frame can be decoded.
        width, height: of the video as shown; 0 where unknown.
        codec: ffmpeg's name.
        measured: whether it was tried to measure the video.
        flow: with its optical flow.
        measures: numbers by the names of docs/metrics.md; empty where it could not be measured.
        judged_by: "phones", "visemes" or "".
        warnings: what could not be measured and why.
        curve: for the plot.
        problem: why the video cannot be measured; "" where it was.
        passing: the problem is the machine's, not the video's: try again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: int = VERSION
    key: str
    poster: str = Field(default="", pattern=r"^[A-Za-z0-9+/=]*$")
    width: int = 0
    height: int = 0
    codec: str = Field(default="", max_length=40)
    measured: bool = False
    flow: bool = False
    measures: dict[str, float] = {}
    judged_by: str = ""
    warnings: tuple[str, ...] = ()
    curve: Curve | None = None
    problem: str = ""
    passing: bool = False


def examine(task: Task) -> Examined:
    """Look at one video; never raises."""
    flow = task.measure and task.flow
    seen: dict[str, Any] = {"key": task.key, "measured": task.measure, "flow": flow}
    try:
        seen |= look_at_first_frames(Path(task.video))
        if task.measure:
            seen |= measure(task)
    except TalkheadError as error:
        seen |= {"problem": plain(error), "passing": not isinstance(error, InputError)}
    except Exception as error:
        words = f"{task.video}: cannot be measured ({type(error).__name__}: {error})"
        seen |= {"problem": plain(words), "passing": True}
    return Examined.model_validate(seen)


def crashed(task: Task) -> Examined:
    """What to say of a video that ended the process that looked at it."""
    words = f"{task.video}: cannot be measured (reading it ends the program); render it again"
    return Examined(key=task.key, problem=plain(words), passing=True)


def plain(words: object) -> str:
    """A message on one line, of characters that any file can hold: names of files may be no text."""
    return printable(" ".join(str(words).split()))


def measure(task: Task) -> dict[str, Any]:
    """The measures of a video.

    Raises:
        TalkheadError: it cannot be measured.
    """
    from talkhead_cli.evaluation import EvaluationRequest, evaluate_video

    video = Path(task.video)
    portrait, notes = usable_portrait(task)
    audio = Path(task.audio) if task.audio else None
    found = evaluate_video(EvaluationRequest(video, portrait, audio, flow=task.flow))
    values = found.to_dict()
    return {
        "measures": {key: value for key, value in values.items() if isinstance(value, int | float)},
        "judged_by": values["lips_judged_by"] or "",
        "warnings": tuple(plain(words) for words in (*notes, *found.warnings)),
        "curve": make_curve(found.timeline),
    }


def usable_portrait(task: Task) -> tuple[Path | None, list[str]]:
    """The portrait to compare with, and what is to be said of it: films that were dubbed are no portraits."""
    from talkhead_cli.face.image import open_image
    from talkhead_cli.film import is_film

    if task.portrait is None:
        return None, []
    path = Path(task.portrait)
    try:
        if is_film(path):
            return None, []
        open_image(path).close()
    except InputError as error:
        return None, [f"not compared with the portrait: {error}"]
    return path, []


def look_at_first_frames(video: Path) -> dict[str, Any]:
    """A small picture of a video, and its size.

    Raises:
        TalkheadError: it holds no moving picture that can be decoded.
    """
    from PIL import Image

    from talkhead_cli.evaluation.stream import VideoReader, read_video_header

    header = read_video_header(video)
    fps = min(header.fps, Fraction(25))
    with VideoReader(video, fps) as reader:
        # The last of the first few; a video without any is refused by the reader.
        (frame,) = deque(islice(reader, max(1, round(POSTER_SECONDS * fps))), maxlen=1)
    height, width = frame.shape[:2]
    picture = Image.fromarray(frame)
    picture.thumbnail((POSTER_SIDE, POSTER_SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, format="WEBP", quality=POSTER_QUALITY, method=4)
    poster = base64.b64encode(file.getvalue()).decode("ascii")
    return {"poster": poster, "width": width, "height": height, "codec": header.codec[:40]}
