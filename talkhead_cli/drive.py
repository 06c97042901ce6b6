"""A filmed face as the source of motion: decode a clip, track its face, measure how it moves.

ffmpeg decodes, so that any codec, frame rate and rotation will do; pictures are looked at one by one and not kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import InputError, NoFaceError
from talkhead_cli.evaluation.stream import VideoReader, read_video_header
from talkhead_cli.ffmpeg_binary import run_captured
from talkhead_cli.reading import reading_command

if TYPE_CHECKING:
    from talkhead_models.motion import FaceMotion
    from talkhead_models.tracking import TrackedMotion

Pixels = NDArray[np.uint8]
Array = NDArray[np.float32]
Flags = NDArray[np.bool_]

MAX_SIDE = 960
"""Longest side of the pictures that the tracker sees: more says no more to it, and takes time to decode."""

MAX_FPS = Fraction(60)
"""Clips of higher rates are thinned out: faces do not move that fast."""

MARGIN = 0.2
"""Seconds of a driving clip that are read beyond the sound's end, for the last frames to lie in between."""

MIN_FRAMES = 5
MAX_LOST = 0.5
"""Share of frames without a face above which there is nothing to go by."""

MAX_YAW = 30.0
"""Degrees of head turn beyond which the tracker guesses the far half of the mouth."""

LENGTH_SLACK = 0.15
"""Seconds that pictures and sound may differ in length without a word."""

APPEARANCE_BUNDLE = "appearance"


@dataclass(frozen=True)
class DrivingClip:
    """A film of a face, measured.

    Attributes:
        path: the file.
        motion: of the face, at the film's own rate.
        declared_seconds: length of the whole film as its file says; None where it does not.
        lost_frames: frames in which no face is seen; their motion is put in between.
        yaw: largest turn of the head to a side, in degrees.
        bundles: name to sha256 of the networks that had a part in it.
    """

    path: Path
    motion: FaceMotion
    declared_seconds: float | None
    lost_frames: int
    yaw: float
    bundles: dict[str, str] = field(default_factory=dict)

    @property
    def duration_seconds(self) -> float:
        """Of the part that was read."""
        return self.motion.num_frames / float(self.motion.fps)

    @property
    def warnings(self) -> list[str]:
        """What a person should know before rendering, one sentence each."""
        found = []
        if self.lost_frames:
            found.append(
                f"no face is seen in {self.lost_frames} of {self.motion.num_frames} frames; "
                "their motion is put in between"
            )
        if self.yaw > MAX_YAW:
            found.append(
                f"the head turns {self.yaw:.0f} degrees to the side; beyond {MAX_YAW:.0f} the lips are measured poorly"
            )
        return found

    def length_warning(self, seconds: float) -> str | None:
        """What is done where the film is not as long as the sound; None where it is."""
        missing = seconds - self.duration_seconds
        if missing > LENGTH_SLACK:
            return (
                f"the clip ends {missing:.1f} s before the sound; from there on the head stays where it is "
                "and the face rests"
            )
        if (self.declared_seconds or 0) > seconds + LENGTH_SLACK:
            return f"the clip is longer than the sound; only its first {seconds:.1f} s are used"
        return None

    def lasting(self, seconds: float) -> FaceMotion:
        """The motion, come to rest where the film ends earlier than that."""
        from talkhead_models.tracking import come_to_rest

        return come_to_rest(self.motion, ceil(seconds * self.motion.fps) + 3)


def load_drive(
    path: Path, seconds: float, *, own_sound: bool = True, relative: bool = True
) -> DrivingClip:
    """Track the face of a film and measure its motion.

    Args:
        path: any film ffmpeg decodes.
        seconds: how much of it is read.
        own_sound: the film's own sound goes with the motion, which is therefore counted from its first sample on.
        relative: head pose relative to the first frame's, rather than to the film's median pose.

    Raises:
        InputError: no film, or one too short.
        NoFaceError: no face, or too seldom.
        MediaError: ffmpeg is missing.
    """
    from talkhead_models.basis import rotation_angles
    from talkhead_models.tracking import relative_to_frame

    header = read_video_header(path)
    start = sound_start(path) if own_sound else 0.0
    fps = min(header.fps, MAX_FPS)
    with ClipReader(path, fps, start, seconds) as reader:
        meshes, tracked = track(path, iter(reader))
    found = measure(path, meshes, tracked, fps)
    motion, bundles = found.motion, dict[str, str]()
    if has_appearance():
        with ClipReader(path, fps, start, seconds) as reader:
            motion, bundles = add_appearance(found, iter(reader), meshes, tracked)
    if relative:
        motion = relative_to_frame(motion)
    yaw = float(np.degrees(np.abs(rotation_angles(found.poses.rotation)[tracked, 1]).max()))
    return DrivingClip(path, motion, header.seconds, int((~tracked).sum()), yaw, bundles)


class ClipReader(VideoReader):
    """Decodes a part of a film, with square pixels, made smaller where it is large.

    Args:
        path: the film.
        fps: frames a second; a film of another rate, or of a varying one, gets frames repeated and left out.
        start: seconds that the first picture stands for.
        seconds: how long.
    """

    def __init__(self, path: Path, fps: Fraction, start: float, seconds: float) -> None:
        fit = f"min(1,{MAX_SIDE}/max(iw*sar,ih))"
        filters = (
            f"fps={fps}:start_time={start:.6f},setpts=PTS-STARTPTS,"
            f"scale=w='max(2,trunc(iw*sar*{fit}))':h='max(2,trunc(ih*{fit}))':flags=area"
        )
        super().__init__(path, fps, filters)
        self._command += ["-t", f"{seconds:.6f}"]


def sound_start(path: Path) -> float:
    """Seconds from the start of a film to its first audio sample; 0 where it has none."""
    command = [*reading_command(path), "-map", "0:a:0", "-frames:a", "1", "-af", "ashowinfo"]
    text = run_captured([*command, "-f", "null", "-"])
    found = re.search(r"pts_time:(-?[\d.]+)", text)
    return max(0.0, float(found.group(1))) if found else 0.0


def track(path: Path, pictures: Iterator[Pixels]) -> tuple[Array, Flags]:
    """Meshes (T, 478, 3) float32 in pixels, zeros where no face is seen, and where one is seen (T,).

    Raises:
        InputError: too few pictures, or none.
        NoFaceError: no face, or too seldom.
    """
    from talkhead_cli.evaluation.tracker import FaceTracker

    first = next(pictures, None)
    if first is None:
        raise InputError(f"{path} has no pictures: give a film of a face")
    tracker = FaceTracker("drive", first)
    nothing = np.zeros((478, 3), np.float32)
    seen = [tracker.find(picture) for picture in chain([first], pictures)]
    tracked = np.array([mesh is not None for mesh in seen])
    if len(tracked) < MIN_FRAMES:
        raise InputError(f"{path} has only {len(tracked)} pictures: give a film of a moving face")
    if not tracked.any():
        raise NoFaceError(f"{path}: no face is seen; give a film of one clearly visible face")
    lost = 1 - tracked.mean()
    if lost > MAX_LOST:
        raise NoFaceError(
            f"{path}: no face is seen in {lost:.0%} of the frames; give a film that shows one face throughout"
        )
    return np.stack([nothing if mesh is None else mesh for mesh in seen]), tracked


def measure(path: Path, meshes: Array, tracked: Flags, fps: Fraction) -> TrackedMotion:
    """Motion of the tracked meshes.

    Raises:
        NoFaceError: what was tracked cannot be measured.
    """
    from talkhead_models.basis import FaceBasis
    from talkhead_models.tracking import motion_from_meshes

    found = motion_from_meshes(meshes, tracked, FaceBasis.load(), fps)
    if not np.isfinite(found.motion.to_array()).all():
        raise NoFaceError(f"{path}: the face cannot be measured; give a film of a clear face")
    return found


def has_appearance() -> bool:
    """Whether the weights have the network that reads off the mouth what a mesh does not say."""
    from talkhead_models.bundle import bundle_path

    return bundle_path(APPEARANCE_BUNDLE).is_file()


def add_appearance(
    found: TrackedMotion, images: Iterator[Pixels], meshes: Array, tracked: Flags
) -> tuple[FaceMotion, dict[str, str]]:
    """The motion with the appearance code of the real mouth, read off the pictures as they are decoded anew.

    Args:
        found: the motion.
        images: the pictures that the meshes were tracked in.
        meshes: (T, 478, 3) float32 pixels.
        tracked: (T,) where a face is seen.

    Returns:
        The motion, and name and sha256 of the network.
    """
    from talkhead_models.appearance import encode_mouths, load_appearance_encoder
    from talkhead_models.bundle import bundle_path, read_checked
    from talkhead_models.tracking import fill_lost

    encoder = load_appearance_encoder(APPEARANCE_BUNDLE)
    codes = encode_mouths(encoder, images, meshes, found.neutral, found.poses)
    motion = replace(found.motion, appearance=fill_lost(codes, tracked))
    return motion, {APPEARANCE_BUNDLE: read_checked(bundle_path(APPEARANCE_BUNDLE))[1]}
