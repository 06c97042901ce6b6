"""Long videos in segments, so that a render that was killed goes on where it was.

A segment is about half a minute, cut between two chunks of motion and encoded on its own. Beside each lies the
checkpoint behind it. At the end the segments are joined without encoding them again. A video that was interrupted is
therefore, frame for frame, the one that was not: where segments end depends on nothing but the chunks.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from talkhead_cli import __version__
from talkhead_cli.encoding import TAGS
from talkhead_cli.errors import write_error
from talkhead_cli.ffmpeg_binary import ffmpeg_path
from talkhead_cli.formats import ENCODERS, FITS
from talkhead_cli.hashing import sha256_of
from talkhead_cli.media import VideoWriter
from talkhead_cli.mux import join_segments, mend_audio
from talkhead_cli.paths import PendingFile, temporary_beside, temporary_folder_beside
from talkhead_cli.playback import Checkpoint
from talkhead_cli.wholeness import check_whole
from talkhead_models.speech import SpeechFeatures

if TYPE_CHECKING:
    from talkhead_cli.marking.stamp import Stamp

SEGMENT_SECONDS = 30
"""Shortest segment; it ends with the chunk that reaches this length."""

FOLDER = "segments"
FEATURES = "speech.npz"


@dataclass(frozen=True)
class Segment:
    """A finished part of a video.

    Attributes:
        path: of the silent video.
        checkpoint: where the clip stands behind it.
    """

    path: Path
    checkpoint: Checkpoint


def segment_path(folder: Path, index: int, suffix: str = ".mp4") -> Path:
    """The video of a segment; its checkpoint has the suffix .npz."""
    return folder / f"{index:05}{suffix}"


def frames_in_segment(fps: Fraction) -> int:
    """Frames from which a segment may end."""
    return round(SEGMENT_SECONDS * fps)


def read_segments(folder: Path, suffix: str = ".mp4") -> list[Segment]:
    """The finished segments from the first on, up to the first that is missing, damaged or another version's."""
    found: list[Segment] = []
    while True:
        path = segment_path(folder, len(found), suffix)
        try:
            with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
                if stored["version"].tobytes().decode() != __version__:
                    return found  # another version's frames need not fit
                digest = stored["sha256"].tobytes().decode()
                checkpoint = Checkpoint.from_bytes(stored["checkpoint"].tobytes())
            if sha256_of(path) != digest:
                return found
        except (OSError, KeyError, EOFError, ValueError, BadZipFile):
            return found
        found.append(Segment(path, checkpoint))


def keep_segment(path: Path, checkpoint: Checkpoint) -> Segment:
    """Write a finished segment's checkpoint, which makes it count; both are on the disk afterwards.

    Raises:
        InputError: the folder cannot be written to.
        DiskFull: it has no room.
        OSError: the file cannot be written.
    """
    digest = np.frombuffer(sha256_of(path).encode(), np.uint8)
    buffer = io.BytesIO()
    version = np.frombuffer(__version__.encode(), np.uint8)
    state = np.frombuffer(checkpoint.to_bytes(), np.uint8)
    np.savez(buffer, sha256=digest, version=version, checkpoint=state)
    write_whole(path.with_suffix(".npz"), buffer.getvalue())
    return Segment(path, checkpoint)


def write_whole(path: Path, content: bytes) -> None:
    """A file that is whole at any moment, even after a loss of power.

    Raises:
        InputError: its folder cannot be written to.
        OSError: neither can the file.
    """
    temporary = temporary_beside(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_features(folder: Path | None) -> SpeechFeatures | None:
    """The speech features that an earlier render has kept: a long recording takes a while to listen to."""
    if folder is None:
        return None
    try:
        with np.load(folder / FEATURES, allow_pickle=False) as stored:
            views = stored.get("views")
            return SpeechFeatures(stored["array"], float(stored["duration_seconds"]), views)
    except (OSError, KeyError, EOFError, ValueError, BadZipFile):
        return None


def keep_features(folder: Path | None, features: SpeechFeatures) -> None:
    """Keep speech features for the render that goes on from this one.

    Raises:
        TalkheadError: they cannot be written, see `write_error`.
    """
    if folder is None:
        return
    buffer = io.BytesIO()
    views = {} if features.views is None else {"views": features.views}
    np.savez(buffer, array=features.array, duration_seconds=features.duration_seconds, **views)
    try:
        write_whole(folder / FEATURES, buffer.getvalue())
    except OSError as error:
        raise write_error(folder, error, "speech cannot be kept") from error


class SegmentedWriter:
    """Encodes frames with the original audio into a file, in segments; otherwise as `VideoWriter`.

    A context manager. Leaving it by an exception keeps the finished segments where a folder for them was given.

    Args:
        path: the output.
        encode: makes the writer of a silent video at a path, which it may replace.
        fps: frames a second.
        codec: key of `ENCODERS`.
        audio: file whose first audio stream goes with the frames; None = silent video.
        overwrite: whether an existing file may be replaced.
        folder: where segments are kept; those found there are gone on from. None keeps none.
        on_complete: called with the finished file before it is put in place.
        stamp: what marks the file; None leaves it unmarked.

    Raises:
        InputError: the output cannot be created.
        MediaError: ffmpeg is missing or failed.
    """

    def __init__(  # noqa: PLR0913 - all by name, and each is a thing of its own
        self,
        path: Path,
        encode: Callable[[Path], VideoWriter],
        fps: Fraction,
        codec: str,
        *,
        audio: Path | None = None,
        overwrite: bool = False,
        folder: Path | None = None,
        on_complete: Callable[[Path], None] | None = None,
        stamp: Stamp | None = None,
    ) -> None:
        self.path = path
        self.encode = encode
        self.fps = fps
        self.codec = codec
        self.suffix = FITS[codec][0]
        self.audio = audio
        self.overwrite = overwrite
        self.work = folder
        self.on_complete = on_complete
        self.stamp = stamp
        self._segments: list[Segment] = []
        self._open: VideoWriter | None = None
        self._last: Path | None = None
        self._pending: PendingFile | None = None

    def __enter__(self) -> SegmentedWriter:
        self._pending = PendingFile(self.path, self.overwrite, self.work, self.on_complete)
        try:
            if self.work is None:
                self.folder = temporary_folder_beside(self.path)
            else:
                self.folder = self.work / FOLDER
                self.folder.mkdir(exist_ok=True)
            self._segments = read_segments(self.folder, self.suffix)
        except OSError as error:
            self._pending.discard()
            folder = self.path.parent
            raise write_error(folder, error, "cannot write to the output folder") from error
        except BaseException:
            self._pending.discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._pending is not None
        try:
            if self._open is not None and kind is not None:
                self._open.__exit__(kind, error, trace)
                self._open = None
            if kind is None:
                self.finish()
                self._pending.publish()
        finally:
            self._pending.discard()
            if kind is None or self.work is None:
                shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Where the clip stands behind the newest finished segment; None at its beginning."""
        return self._segments[-1].checkpoint if self._segments else None

    @property
    def unpublished(self) -> Path:
        """The file that is written, complete after `finish`."""
        assert self._pending is not None
        return self._pending.temporary

    @property
    def num_frames(self) -> int:
        """Frames encoded so far, those of earlier renders included."""
        before = self.checkpoint.num_frames if self.checkpoint is not None else 0
        return before + (self._open.num_frames if self._open is not None else 0)

    def write(self, frames: NDArray[np.uint8]) -> None:
        """Encode frames; see `VideoWriter.write`."""
        if self._open is None:
            writer = self.encode(segment_path(self.folder, len(self._segments), self.suffix))
            writer.__enter__()
            self._open = writer
        self._open.write(frames)

    def mark(self, checkpoint: Checkpoint) -> None:
        """Say where the clip stands behind the frames written so far; the segment ends here if it is long enough.

        Raises:
            MediaError: ffmpeg failed, or the disk is full.
            InputError: the segment cannot be kept for another reason.
        """
        if self._open is None or self._open.num_frames < frames_in_segment(self.fps):
            return
        path = self._close()
        try:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
            self._segments.append(keep_segment(path, checkpoint))
        except OSError as error:
            raise write_error(path, error, "cannot be kept") from error

    def finish(self) -> None:
        """Encode the rest, join the segments and add the sound; the file is complete but not yet in place.

        Raises:
            MediaError: ffmpeg failed.
        """
        if self._last is not None:
            return
        assert self._pending is not None
        total = self.num_frames
        paths = [segment.path for segment in self._segments]
        if self._open is not None:
            paths.append(self._close())
        self._last = paths[-1]
        ffmpeg = ffmpeg_path(ENCODERS[self.codec])
        target = self._pending.temporary
        name, stamp = str(self.path), self.stamp
        join_segments(paths, self.audio, target, ffmpeg, TAGS.get(self.codec), stamp)
        check_whole(target, self.path, total)
        if self.audio is not None:
            mend_audio(target, self.audio, total / self.fps, ffmpeg, name, stamp)
        if stamp is not None:
            stamp.seal(target, name)

    def _close(self) -> Path:
        """End the open segment; its path."""
        assert self._open is not None
        writer, self._open = self._open, None
        writer.__exit__(None, None, None)
        assert isinstance(writer.path, Path)
        return writer.path
