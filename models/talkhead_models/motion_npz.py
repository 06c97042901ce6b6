"""Motion as a .npz file: named arrays of plain numbers, no pickle, read without trust; docs/motion.md lists them."""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkhead_models.motion import APPEARANCE_SIZE, EXPRESSION_SIZE, FaceMotion

FASTEST = 240
"""Largest frame rate of motion that is read."""

MAX_SECONDS = 600.0
"""Longest motion that is read where nothing else is said."""

UNREADABLE = (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading a file that holds no motion raises."""

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

HEADER_BYTES = 1 << 16
"""What the headers of a file may take beside its numbers."""


BOUNDS = {
    "expression": 60.0,
    "lids": 2.0,
    "gaze": 2.0,
    "rotation": math.pi,
    "translation": 3.0,
    "appearance": 60.0,
}
"""Largest values, either way: what is beyond is no motion of a face, whatever the unit."""


class StoredMotion(NamedTuple):
    """What a file holds.

    Attributes:
        motion: of its frames.
        chunks: numbers of frames that were made at once; empty where they are not known.
        generated: mouths take after the one that the portrait shows.
    """

    motion: FaceMotion
    chunks: tuple[int, ...] = ()
    generated: bool = True


def write_npz(file: IO[bytes], stored: StoredMotion) -> None:
    """Named arrays, uncompressed, no pickle; the same motion gives the same bytes."""
    motion = stored.motion
    arrays: dict[str, Any] = {
        field.name: np.ascontiguousarray(getattr(motion, field.name))
        for field in fields(motion)
        if field.name != "fps"
    }
    np.savez(
        file,
        version=np.array(VERSION),
        fps=np.array([motion.fps.numerator, motion.fps.denominator]),
        chunks=np.array(stored.chunks, np.int64),
        generated=np.array(stored.generated),
        **arrays,
    )


def read_npz(path: Path, max_seconds: float = MAX_SECONDS) -> StoredMotion:
    """The inverse of `write_npz`.

    Every array's header is looked at before its numbers are, so that a small file cannot ask for much memory.

    Raises:
        OSError: the file cannot be read.
        ValueError: or another of `UNREADABLE`: it holds no motion.
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
    return StoredMotion(motion, chunks if sum(chunks) == motion.num_frames else (), generated)


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
