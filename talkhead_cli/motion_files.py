"""Motion files: the motion of a render, kept to be looked at, edited and shown again.

`.npz` keeps it to the last bit; `.csv` holds ARKit blendshapes as Live Link Face writes them, see `motion_csv`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from talkhead_cli.errors import InputError, UsageError, write_error
from talkhead_cli.motion_csv import csv_text, read_csv
from talkhead_cli.paths import check_output, check_regular, publish, temporary_beside
from talkhead_cli.playback import MotionSource, SavedMotion
from talkhead_models.basis import FaceBasis
from talkhead_models.live import SpeechStream
from talkhead_models.motion import FaceMotion
from talkhead_models.motion_npz import (
    MAX_SECONDS,
    UNREADABLE,
    StoredMotion,
    check_motion,
    read_npz,
    write_npz,
)
from talkhead_models.speech import SpeechFeatures

SUFFIXES = (".npz", ".csv")
LENGTH_SLACK = 0.15
"""Seconds that motion and sound may differ in length without a word."""


class MotionRecorder:
    """Gathers the motion of a render while it is shown.

    Attributes:
        generated: see `SavedMotion`.
    """

    def __init__(self, generated: bool) -> None:
        self.generated = generated
        self._chunks: list[FaceMotion] = []

    @classmethod
    def of(cls, source: MotionSource) -> MotionRecorder:
        """For a clip of motion from a source."""
        if isinstance(source, SavedMotion):
            return cls(source.generated)
        return cls(isinstance(source, SpeechFeatures | SpeechStream))

    def __call__(self, motion: FaceMotion) -> None:
        """Take one more chunk."""
        self._chunks.append(motion)

    @property
    def saved(self) -> SavedMotion:
        """All of it."""
        array = np.concatenate([chunk.to_array() for chunk in self._chunks])
        motion = FaceMotion.from_array(array, self._chunks[0].fps)
        sizes = tuple(chunk.num_frames for chunk in self._chunks)
        return SavedMotion(motion, sizes, self.generated)

    def save(self, path: Path, overwrite: bool) -> None:
        """Write it; see `save_motion`."""
        save_motion(path, self.saved, overwrite)


def length_warning(saved: SavedMotion, seconds: float | None) -> list[str]:
    """What is done where motion is not as long as a sound; without a sound, that there is none."""
    if seconds is None:
        return ["no sound goes with the motion, and so the video is silent; give AUDIO for one"]
    missing = seconds - saved.duration_seconds
    if missing > LENGTH_SLACK:
        return [
            f"the motion ends {missing:.1f} s before the sound; from there on the head stays where it is "
            "and the face rests"
        ]
    if missing < -LENGTH_SLACK:
        return [f"the motion is longer than the sound; only its first {seconds:.1f} s are used"]
    return []


def check_suffix(path: Path, option: str) -> None:
    """Insist on a name that says which kind of file it is.

    Raises:
        UsageError: it does not.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{option} {path}: a motion file's name ends in .npz or .csv")


def check_motion_output(
    path: Path, overwrite: bool, inputs: tuple[Path, ...], outputs: Iterable[Path]
) -> Path:
    """The absolute path that a motion file will have.

    Args:
        path: as the user gave it.
        overwrite: whether an existing file may be replaced.
        inputs: files that must never be replaced.
        outputs: other files that the render will write.

    Raises:
        UsageError: the name does not say which kind of file it is, or is that of another output.
        InputError: it cannot be written there.
    """
    check_suffix(path, "--motion-out")
    target = check_output(path, overwrite, inputs)
    if target in outputs:
        raise UsageError(f"--motion-out {path}: this is another output's name; choose another")
    return target


def save_motion(path: Path | str, saved: SavedMotion | FaceMotion, overwrite: bool = True) -> None:
    """Write a motion file, by renaming.

    Args:
        path: ends in .npz or .csv.
        saved: what to write.
        overwrite: whether an existing file may be replaced.

    Raises:
        UsageError: the name ends otherwise.
        InputError: it cannot be written.
        DiskFull: there is no room for it.
    """
    path = Path(path)
    saved = saved if isinstance(saved, SavedMotion) else SavedMotion(saved)
    target = check_motion_output(path, overwrite, (), ())
    temporary = temporary_beside(target)
    try:
        if path.suffix.lower() == ".npz":
            # Not into the file at once: numpy and a full disk leave a file behind that cannot be closed.
            buffer = io.BytesIO()
            write_npz(buffer, StoredMotion(saved.motion, saved.chunks, saved.generated))
            temporary.write_bytes(buffer.getvalue())
        else:
            temporary.write_text(csv_text(saved.motion, FaceBasis.load()), encoding="ascii")
        publish(temporary, target)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def load_motion(
    path: Path | str, max_seconds: float = MAX_SECONDS, fps: Fraction = Fraction(25)
) -> SavedMotion:
    """Read a motion file.

    Args:
        path: ends in .npz or .csv.
        max_seconds: longest motion accepted.
        fps: frame rate of a table that does not tell its own.

    Raises:
        UsageError: the name ends otherwise.
        InputError: the file cannot be read, or holds no motion of a face.
    """
    path = Path(path)
    check_suffix(path, "--motion-in")
    check_regular(path)
    try:
        if path.suffix.lower() == ".npz":
            saved = SavedMotion(*read_npz(path, max_seconds))
        else:
            saved = SavedMotion(read_csv(path, FaceBasis.load(), max_seconds, fps))
        check_motion(saved.motion, max_seconds)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UNREADABLE as error:
        reason = " ".join(str(error.args[0] if error.args else "it is cut off").split())
        raise InputError(
            f"{path}: not a motion file that can be used ({reason}); see docs/motion.md"
        ) from error
    return saved
