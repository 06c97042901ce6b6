"""Motion files: the motion of a render, kept to be looked at, edited and shown again.

`.npz` keeps it to the last bit; `.csv` holds ARKit blendshapes as Live Link Face writes them, see `motion_csv`.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import InputError, UsageError
from talkhead_cli.motion_csv import FASTEST, csv_text, read_csv
from talkhead_cli.paths import check_output, check_regular, publish, temporary_beside
from talkhead_cli.playback import MotionSource, SavedMotion
from talkhead_models.basis import FaceBasis
from talkhead_models.live import SpeechStream
from talkhead_models.motion import APPEARANCE_SIZE, EXPRESSION_SIZE, FaceMotion
from talkhead_models.speech import SpeechFeatures

SUFFIXES = (".npz", ".csv")
VERSION = 1

WIDTHS = {
    "expression": EXPRESSION_SIZE,
    "lids": 2,
    "gaze": 2,
    "rotation": 3,
    "translation": 3,
    "appearance": APPEARANCE_SIZE,
}
"""Columns of the arrays of a .npz file, which are FaceMotion's fields."""

BOUNDS = {
    "expression": 60.0,
    "lids": 2.0,
    "gaze": 2.0,
    "rotation": math.pi,
    "translation": 3.0,
    "appearance": 60.0,
}
"""Largest values, either way: what is beyond is no motion of a face, whatever the unit."""

MAX_SECONDS = 600.0
"""Longest motion that is read where nothing else is said."""

LENGTH_SLACK = 0.15
"""Seconds that motion and sound may differ in length without a word."""

HEADER_BYTES = 1 << 16
"""What the headers of a file may take beside its numbers."""


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
    """
    path = Path(path)
    saved = saved if isinstance(saved, SavedMotion) else SavedMotion(saved)
    target = check_motion_output(path, overwrite, (), ())
    temporary = temporary_beside(target)
    try:
        if path.suffix.lower() == ".npz":
            with temporary.open("wb") as file:
                write_npz(file, saved)
        else:
            temporary.write_text(csv_text(saved.motion, FaceBasis.load()), encoding="ascii")
        publish(temporary, target)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
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
            saved = read_npz(path, max_seconds)
        else:
            saved = SavedMotion(read_csv(path, FaceBasis.load(), max_seconds, fps))
        check_motion(saved.motion, max_seconds)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error.args[0] if error.args else "it is cut off").split())
        raise InputError(
            f"{path}: not a motion file that can be used ({reason}); see docs/motion.md"
        ) from error
    return saved


def check_motion(motion: FaceMotion, max_seconds: float) -> None:
    """Insist on something that a face could do.

    Raises:
        ValueError: it has no frames or too many, or numbers that are none or too large.
    """
    if motion.num_frames == 0:
        raise ValueError("it has no frames")
    check_length(motion.num_frames, motion.fps, max_seconds)
    for name, bound in BOUNDS.items():
        values = getattr(motion, name)
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds values that are not finite numbers")
        if np.abs(values).max() > bound:
            raise ValueError(f"{name} holds values beyond {bound:.3g}")


def check_length(num_frames: int, fps: Fraction, max_seconds: float) -> None:
    """Insist on motion that is not too long.

    Raises:
        ValueError: it is.
    """
    if num_frames > max_seconds * fps + 1:
        raise ValueError(
            f"its {num_frames} frames are more than the {max_seconds:.0f} seconds allowed; raise --max-seconds"
        )


def write_npz(file: IO[bytes], saved: SavedMotion) -> None:
    """Named arrays, uncompressed, no pickle; the same motion gives the same bytes."""
    motion = saved.motion
    arrays: dict[str, Any] = {
        field.name: np.ascontiguousarray(getattr(motion, field.name))
        for field in fields(motion)
        if field.name != "fps"
    }
    np.savez(
        file,
        version=np.array(VERSION),
        fps=np.array([motion.fps.numerator, motion.fps.denominator]),
        chunks=np.array(saved.chunks, np.int64),
        generated=np.array(saved.generated),
        **arrays,
    )


def read_npz(path: Path, max_seconds: float) -> SavedMotion:
    """The inverse of `write_npz`.

    Every array's header is looked at before its numbers are, so that a small file cannot ask for much memory.

    Raises:
        OSError: the file cannot be read.
        ValueError: or another of what `load_motion` catches: it holds no motion.
    """
    rows = math.ceil(max_seconds * FASTEST) + 1
    if path.stat().st_size > 8 * rows * sum(WIDTHS.values()) + HEADER_BYTES:
        raise ValueError("it is larger than motion of the length allowed; raise --max-seconds")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}

            def read(name: str, *shape: int | None) -> NDArray[Any]:
                if name not in members:
                    raise ValueError(f"it has no array {name!r}")
                with archive.open(members[name]) as file:
                    return read_array(file, name, shape, rows)

            version = int(read("version"))
            if version != VERSION:
                raise ValueError(f"its version is {version}, this program reads {VERSION}")
            fps = read_fps(read("fps", 2))
            chunks = (
                tuple(int(size) for size in read("chunks", None)) if "chunks" in members else ()
            )
            generated = bool(read("generated")) if "generated" in members else True
            arrays = {name: read(name, None, width) for name, width in WIDTHS.items()}
    except (RuntimeError, NotImplementedError, OverflowError) as error:
        # zipfile's own, of an encrypted member, of a way to compress that it does not know, of sizes beyond all bounds.
        raise ValueError(f"it cannot be unpacked: {error}") from error
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"its arrays differ in length: {told}")
    if any(size < 1 for size in chunks):
        raise ValueError("chunks holds numbers below 1")
    parts = {name: array.astype(np.float32) for name, array in arrays.items()}
    motion = FaceMotion(**parts, fps=fps)
    # An edit that changes the length leaves them behind.
    return SavedMotion(motion, chunks if sum(chunks) == motion.num_frames else (), generated)


def read_fps(pair: NDArray[Any]) -> Fraction:
    """A frame rate from numerator and denominator.

    Raises:
        ValueError: it is none.
    """
    if pair.dtype.kind not in "iu" or not 0 < int(pair[1]) <= 10**6:
        raise ValueError("fps is not a numerator and a denominator")
    fps = Fraction(int(pair[0]), int(pair[1]))
    if not 1 <= fps <= FASTEST:
        raise ValueError(f"fps must be from 1 to {FASTEST}")
    return fps


def read_array(
    file: IO[bytes], name: str, shape: tuple[int | None, ...], rows: int
) -> NDArray[Any]:
    """One array of a .npz file, after a look at what its header announces.

    Args:
        file: its member.
        name: for messages.
        shape: expected; None is any length up to `rows`.
        rows: see there.

    Raises:
        ValueError: it is of another shape, or not of plain numbers, or cut off.
    """
    version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in headers:
        raise ValueError(f"{name} is of an unknown format")
    found, fortran, kind = headers[version](file)  # type: ignore[no-untyped-call]
    if kind.hasobject or kind.kind not in "biuf" or kind.itemsize > 8:
        raise ValueError(f"{name} is not an array of plain numbers")
    fits = len(found) == len(shape) and all(
        size <= rows if wanted is None else size == wanted
        for size, wanted in zip(found, shape, strict=False)
    )
    if not fits:
        wanted = ", ".join("frames" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} has the shape {found}, not ({wanted})")
    size = math.prod(found) * kind.itemsize
    data = file.read(size)
    if len(data) != size:
        raise ValueError(f"{name} is cut off")
    return np.frombuffer(data, kind).reshape(found, order="F" if fortran else "C")
