"""A filmed person's way of speaking: follow the face of a clip and measure how it moves."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from talkhead_cli.console import Event
from talkhead_cli.drive import MAX_FPS, ClipReader, measure, track
from talkhead_cli.errors import InputError

if TYPE_CHECKING:
    from talkhead_cli.pipeline import TalkingHeadPipeline
    from talkhead_models.style import SpeakingStyle, StyleStatistics

MAX_SECONDS = 30.0
"""Of the clip that are looked at: a manner shows in less."""

SHORT_SECONDS = 8.0
"""Below that blinks are too few to count, and the head has hardly wandered."""

HARDLY_OPEN = 0.03
"""Openings of the mouth, in outer-eye distances, of somebody who does not speak."""


@dataclass(frozen=True)
class StyleClip:
    """A film of a person, measured.

    Attributes:
        path: the file.
        seconds: that were looked at.
        lost_frames: in which no face is seen.
        statistics: of the motion.
    """

    path: Path
    seconds: float
    lost_frames: int
    statistics: StyleStatistics

    @property
    def warnings(self) -> list[str]:
        """What a person should know, one sentence each."""
        found = []
        if self.seconds < SHORT_SECONDS:
            found.append(
                f"{self.seconds:.1f} s say little of a manner; give {SHORT_SECONDS:.0f} s or more"
            )
        if self.statistics.openings[0] < HARDLY_OPEN:
            found.append("the mouth hardly opens; give a film of the person speaking")
        return found

    def learnt_by(self, pipeline: TalkingHeadPipeline) -> SpeakingStyle:
        """The style as a pipeline's generator is to perform it."""
        from talkhead_cli.playback import generate_options
        from talkhead_models.rehearsal import learn_style

        options = generate_options(pipeline.settings)
        return learn_style(pipeline.generator, self.statistics, options)

    def to_event(self) -> Event:
        """What was found, JSON-able: degrees, blinks a minute, outer-eye distances."""
        found = self.statistics
        return {
            "event": "style",
            "duration_seconds": round(self.seconds, 3),
            "lost_frames": self.lost_frames,
            "turn": [round(float(angle), 2) for angle in np.degrees(found.turn)],
            "speed": [round(float(angle), 2) for angle in np.degrees(found.speed)],
            "blinks": round(found.blinks, 1),
            "openings": round(found.openings[0], 3),
            "smile": round(found.smile, 2),
        }


def take_style(path: Path, pipeline: TalkingHeadPipeline, stack: ExitStack) -> StyleClip:
    """Let a pipeline speak in the manner of a filmed person until the stack is left; see `load_style`."""
    clip = load_style(path)
    stack.callback(pipeline.perform_as, None)
    pipeline.perform_as(clip.learnt_by(pipeline))
    return clip


def load_style(path: Path) -> StyleClip:
    """Follow the face of a film and measure its manner.

    Raises:
        InputError: no film, or one too short.
        NoFaceError: no face, or too seldom.
        MediaError: ffmpeg is missing.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    return measured(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def measured(path: Path, size: int, mtime_ns: int) -> StyleClip:
    """See `load_style`; rows of a batch that name the same clip have it looked at once."""
    from talkhead_cli.evaluation.stream import read_video_header
    from talkhead_models.basis import FaceBasis, rotation_angles
    from talkhead_models.motion import MOTION_FPS, FaceMotion
    from talkhead_models.resample import resample_stream
    from talkhead_models.style import LEAST_SECONDS, StyleStatistics, smile_of

    fps = min(read_video_header(path).fps, MAX_FPS)
    with ClipReader(path, fps, 0.0, MAX_SECONDS) as reader:
        meshes, tracked = track(path, iter(reader))
    found = measure(path, meshes, tracked, fps)
    seconds = len(meshes) / float(fps)
    if seconds < LEAST_SECONDS:
        raise InputError(
            f"{path} lasts {seconds:.1f} s: a style needs {LEAST_SECONDS:.0f} s of a person speaking"
        )
    motion = found.motion
    if fps != MOTION_FPS:
        frames = int(seconds * MOTION_FPS)
        parts = [
            part.to_array() for part in resample_stream([motion], Fraction(MOTION_FPS), frames)
        ]
        motion = FaceMotion.from_array(np.concatenate(parts))
    basis = FaceBasis.load()
    tilt = float(np.median(rotation_angles(found.poses.rotation)[tracked, 2]))
    statistics = StyleStatistics.of(motion, basis, tilt, smile_of(found.neutral, basis))
    return StyleClip(path, seconds, int((~tracked).sum()), statistics)
