"""What a render takes, finds and makes, as values and as events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from talkhead_cli.console import Event
from talkhead_cli.errors import UsageError
from talkhead_cli.settings import show_fps
from talkhead_cli.unchanged import Stamp, read_stamps

if TYPE_CHECKING:
    from talkhead_cli.drive import DrivingClip
    from talkhead_cli.face import Portrait
    from talkhead_cli.marking.signing import Signing
    from talkhead_cli.pipeline import TalkingHeadPipeline
    from talkhead_cli.playback import MotionSource, SavedMotion


@dataclass(frozen=True)
class Inputs:
    """Files as they were given.

    Attributes:
        portrait: a picture, or a film that is dubbed.
        audio: a recording, or "-"; None takes the sound of the driving clip.
        drive: a film of a face whose motion is used; None generates motion from the speech.
        motion_in: a file of motion that is used; likewise.
        style: a film of a person in whose way generated motion moves.
    """

    portrait: Path
    audio: Path | str | None
    drive: Path | None = None
    motion_in: Path | None = None
    style: Path | None = None

    @property
    def movers(self) -> tuple[Path, ...]:
        """Files whose motion is used; none where it is generated."""
        return tuple(path for path in (self.drive, self.motion_in) if path is not None)

    def check(self) -> None:
        """Insist on one thing that moves the portrait.

        Raises:
            UsageError: there is none, or more than one.
        """
        if self.audio is None and not self.movers:
            raise UsageError(
                "there is nothing to move the portrait: give AUDIO, or a clip as --drive, or a file as --motion-in"
            )
        if len(self.movers) > 1:
            raise UsageError(
                "--drive and --motion-in both tell how the portrait moves: leave one of them out"
            )
        if self.movers and self.style is not None:
            raise UsageError(
                "--style is for generated motion, that of a clip or file has its own: leave it out"
            )

    def stamps(self) -> dict[str, Stamp]:
        """What the files are now, for who is to see whether they have changed; none of pipes."""
        return read_stamps(path for path in vars(self).values() if str(path) not in ("None", "-"))

    def to_event(self) -> Event:
        """The paths as text, JSON-able; `drive`, `motion_in` and `style` only where there is one."""
        values = {key: None if path is None else str(path) for key, path in vars(self).items()}
        for key in ("drive", "motion_in", "style"):
            if values[key] is None:
                del values[key]
        return values


@dataclass(frozen=True)
class Performance:
    """What moves the portrait, and for how long.

    Attributes:
        audio: file whose sound goes with the pictures; None makes a silent video.
        duration_seconds: of that sound; of the driving clip where there is none.
        clip: what drives the motion.
        saved: motion from a file; where there is neither, it is generated from the sound.
    """

    audio: Path | None
    duration_seconds: float
    clip: DrivingClip | None = None
    saved: SavedMotion | None = None

    def given(self, fps: Fraction) -> MotionSource | None:
        """Motion that is there already, for a video of that frame rate; None where it is to be generated."""
        if self.saved is not None:
            return self.saved.lasting(self.duration_seconds, fps)
        return None if self.clip is None else [self.clip.lasting(self.duration_seconds)]


@dataclass(frozen=True)
class OutputOptions:
    """What happens around a render.

    Attributes:
        overwrite: an existing output may be replaced.
        sidecar: write OUT.json beside the video.
        dry_run: stop when everything is checked, before anything is written.
        stream: begin before the sound has ended; None does so where it comes and the video goes through a pipe.
        folder: where the finished segments of a long video are kept until it is complete, so that the next render with
            the same inputs and settings goes on from them; None lets go of them.
        resume: keep the parts of a long video beside it until it is complete, and go on from those that are there;
            instead of `folder`.
        on_complete: called with the finished video just before it is put in place.
        motion_out: where the motion is written, .npz or .csv; None writes none.
        given: settings that were asked for by name; without `fps` and `crf` among them, a film that is dubbed keeps
            its frame rate and is encoded more finely.
        consent_ref: what is named as the consent of the person shown, for the JSON file.
        signing: what a C2PA manifest in the video is signed with; None signs none.
    """

    overwrite: bool = False
    sidecar: bool = True
    dry_run: bool = False
    stream: bool | None = None
    folder: Path | None = None
    resume: bool = False
    on_complete: Callable[[Path], None] | None = None
    motion_out: Path | None = None
    consent_ref: str = ""
    signing: Signing | None = None

    def resolved(self, inputs: Iterable[Path], outputs: Iterable[Path]) -> OutputOptions:
        """The same, the motion's path absolute, after all that can be known of it beforehand is checked.

        Args:
            inputs: files that must never be replaced.
            outputs: other files that the render will write.

        Raises:
            TalkheadError: see `check_motion_output`.
        """
        if self.motion_out is None:
            return self
        from talkhead_cli.motion_files import check_motion_output

        target = check_motion_output(self.motion_out, self.overwrite, tuple(inputs), outputs)
        return replace(self, motion_out=target)

    given: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Scene:
    """What a render brings together.

    Attributes:
        inputs: files as they were given.
        portrait: what was found in the picture.
        pipeline: the networks.
        target: the output's final path; None for standard output.
    """

    inputs: Inputs
    portrait: Portrait
    pipeline: TalkingHeadPipeline
    target: Path | None


@dataclass(frozen=True)
class RenderResult:
    """What a render made.

    Attributes:
        output: the video; None when it went to standard output or the run was dry.
        sidecar: the JSON file beside it, where one was written.
        num_frames: frames written, or that would be.
        width: of the video.
        height: of the video.
        fps: frames a second.
        duration_seconds: of the speech.
        elapsed_seconds: from start to end.
        timings: seconds by stage.
        dry_run: nothing was written.
        resumed_frames: how many of the frames an earlier render had made.
    """

    output: Path | None
    sidecar: Path | None
    num_frames: int
    width: int
    height: int
    fps: Fraction
    duration_seconds: float
    elapsed_seconds: float
    timings: dict[str, float] = field(default_factory=dict)
    dry_run: bool = False
    resumed_frames: int = 0

    @property
    def frames_per_second(self) -> float:
        """Frames made per second of wall clock, start-up included."""
        return (self.num_frames - self.resumed_frames) / max(self.elapsed_seconds, 1e-9)

    def to_event(self) -> Event:
        """The values as a JSON-able event."""
        values = asdict(self)
        values["output"] = str(self.output) if self.output else None
        values["sidecar"] = str(self.sidecar) if self.sidecar else None
        values["fps"] = show_fps(self.fps)
        values["frames_per_second"] = round(self.frames_per_second, 2)
        return {"event": "done", **values}


def count_frames(duration_seconds: float, fps: Fraction) -> int:
    """Frames that cover a duration to within half a frame; at least one."""
    return max(1, round(Fraction(duration_seconds) * fps))


def face_event(portrait: Portrait) -> Event:
    """What was found in the picture."""
    height, width = portrait.image.shape[:2]
    return {
        "event": "face",
        "box": [round(float(edge), 1) for edge in portrait.box],
        "score": round(portrait.score, 3),
        "num_faces": portrait.num_faces,
        "width": width,
        "height": height,
        "yaw": round(portrait.yaw, 1),
        "pitch": round(portrait.pitch, 1),
        "roll": round(portrait.roll, 1),
        "backend": portrait.backend,
    }


def drive_event(clip: DrivingClip) -> Event:
    """What was found in the driving clip."""
    return {
        "event": "drive",
        "num_frames": clip.motion.num_frames,
        "fps": show_fps(clip.motion.fps),
        "duration_seconds": round(clip.duration_seconds, 3),
        "lost_frames": clip.lost_frames,
        "yaw": round(clip.yaw, 1),
    }


def motion_event(saved: SavedMotion) -> Event:
    """What was found in a motion file."""
    return {
        "event": "motion",
        "num_frames": saved.motion.num_frames,
        "fps": show_fps(saved.motion.fps),
        "duration_seconds": round(saved.duration_seconds, 3),
    }
