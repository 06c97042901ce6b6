"""A film of a talking person as the picture of a render: what it is, its frames forwards and backwards, its face.

Frames are decoded as they are asked for and not kept; what stays is one mesh a frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.drive import MAX_SIDE
from talkhead_cli.errors import InputError, NoFaceError
from talkhead_cli.evaluation.stream import VideoReader, read_video_header
from talkhead_cli.film_track import Track

if TYPE_CHECKING:
    from talkhead_models.film_face import FilmFace

Pixels = NDArray[np.uint8]

TEXT_CODECS = frozenset({"ansi", "bintext", "xbin", "idf"})
"""What ffmpeg takes text files for."""

BACKWARD_BYTES = 96 * 2**20
"""Frames held at once to play a film backwards."""

EXACT = "bicubic+accurate_rnd+full_chroma_int"
"""How ffmpeg turns the film into RGB: its quicker ways cost what is not touched 18 dB before it is encoded again."""

QUICK = "bilinear"

TRACKED_FACE = 320
"""Pixels that a face is wide where it is tracked: more says no more."""

LEAST_TRACKED = 480
"""Longest side of such pictures, where the film is so large: the face may come closer later."""

SEEK_SECONDS = 2
"""A film is decoded from so much earlier on: the picture shown at a time may have come before it."""


def is_film(path: Path) -> bool:
    """Whether a file is a film rather than a picture: it has more than one frame, and is no animated picture.

    Raises:
        MediaError: ffmpeg is missing.
    """
    from talkhead_cli.face.image import open_image

    try:
        open_image(path).close()
    except InputError:
        try:
            header = read_video_header(path)
            if header.codec in TEXT_CODECS:
                return False
            if header.seconds is not None:
                return header.expected_frames > 1
            # Recordings of browsers, for one, do not say how long they are.
            with VideoReader(path, header.fps) as reader:
                return len(list(islice(reader, 2))) > 1
        except InputError:
            return False
    return False


class FilmReader(VideoReader):
    """Decodes some frames of a film at a constant rate: upright, with square pixels, of even size.

    Args:
        path: the film.
        fps: frames a second.
        start: the first frame wanted.
        count: how many.
        size: longest side; larger pictures are made smaller, smaller ones stay. None keeps the film's.
        seek: skip to the place instead of decoding all that comes before it.
        exact: whether colours matter; otherwise it takes a third of the time.
    """

    def __init__(
        self,
        path: Path,
        fps: Fraction,
        start: int,
        count: int,
        size: int | None = None,
        *,
        seek: bool = False,
        exact: bool = True,
    ) -> None:
        fit = f"min(1,{size}/max(iw*sar,ih))" if size else "1"
        # Frames are numbered on the whole film's time scale, wherever decoding begins.
        filters = f"fps={fps}:start_time=0," if start == 0 or not seek else f"fps={fps},"
        filters += (
            f"trim=start_pts={start}:end_pts={start + count},setpts=PTS-STARTPTS,"
            f"scale=w='max(2,trunc(iw*sar*{fit}))':h='max(2,trunc(ih*{fit}))':flags={EXACT if exact else QUICK},"
            "crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0"
        )
        super().__init__(path, fps, filters)
        if seek and start > 0:
            place = max(0.0, float(start / fps) - SEEK_SECONDS)
            at = self._command.index("-i")
            self._command[at:at] = ["-ss", f"{place:.6f}", "-copyts", "-start_at_zero"]


@dataclass(frozen=True)
class Film:
    """A film as far as a render uses it.

    Attributes:
        path: the file.
        fps: frames a second it is read at.
        size: longest side of its pictures as read; None is the film's own.
        num_frames: N, frames used; at least 2 where more are played.
        loops: its end meets its beginning; played again from there, otherwise backwards and forwards.
    """

    path: Path
    fps: Fraction
    size: int | None
    num_frames: int
    loops: bool = False

    def index_at(self, position: int) -> int:
        """Which frame is shown at a position of the video."""
        if self.loops or self.num_frames == 1:
            return position % self.num_frames
        turn = 2 * self.num_frames - 2
        place = position % turn
        return place if place < self.num_frames else turn - place

    def play(self, start: int, end: int) -> Iterator[tuple[int, Pixels]]:
        """Frames for positions of the video, each with its number, (H, W, 3) uint8 RGB.

        Raises:
            InputError: the film cannot be read a second time.
        """
        position = start
        while position < end:
            first = self.index_at(position)
            step = self.index_at(position + 1) - first
            length = 1
            while (
                position + length < end
                and self.index_at(position + length) == first + step * length
            ):
                length += 1
            if step == -1:
                yield from self._backwards(first, length)
            else:
                yield from self._forwards(first, length)
            position += length

    def frame(self, index: int) -> Pixels:
        """One frame."""
        return self._block(index, 1)[0]

    def _forwards(self, start: int, length: int) -> Iterator[tuple[int, Pixels]]:
        """Frames from `start` on; all that come before are decoded too, since no seeking is as sure."""
        given = 0
        with FilmReader(self.path, self.fps, start, length, self.size) as reader:
            for frame in reader:
                yield start + given, frame
                given += 1
        if given < length:
            raise self._unlike(start + given)

    def _backwards(self, first: int, length: int) -> Iterator[tuple[int, Pixels]]:
        """Frames from `first` down, as many as fit into memory at a time."""
        last, held = first - length, 8
        while first > last:
            count = min(held, first - last)
            frames = self._block(first - count + 1, count)
            held = max(1, BACKWARD_BYTES // frames[0].nbytes)
            yield from zip(range(first, first - count, -1), reversed(frames), strict=True)
            first -= count

    def _block(self, start: int, count: int) -> list[Pixels]:
        """Some frames; where a file cannot be sought in, or stands still for long, it is decoded from its beginning."""
        for seek in (True, False):
            with FilmReader(self.path, self.fps, start, count, self.size, seek=seek) as reader:
                try:
                    frames = list(reader)
                except InputError:
                    continue
            if len(frames) == count:
                return frames
        raise self._unlike(start)

    def _unlike(self, index: int) -> InputError:
        return InputError(
            f"{self.path}: frame {index} cannot be decoded a second time; convert the film with ffmpeg"
        )


@dataclass(frozen=True)
class TrackedFilm:
    """A film and the face in it.

    Attributes:
        film: what is played.
        face: through all its frames.
        lost_frames: frames without a face, which stay as they are.
        turned_frames: frames in which the head is turned too far.
        first: (H, W, 3) uint8 RGB, the frame that shows the mouth best.
        reference: its number.
        calm: number and picture of the frame whose lips are lent to all.
        hidden_frames: frames in which something is in front of the mouth.
    """

    film: Film
    face: FilmFace
    lost_frames: int
    turned_frames: int
    first: Pixels
    reference: int
    calm: tuple[int, Pixels]
    hidden_frames: int = 0


def load_film(
    path: Path,
    num_frames: int,
    fps: Fraction,
    size: int | None = None,
    choice: str = "largest",
) -> TrackedFilm:
    """Track a face through the part of a film that is used.

    Args:
        path: the film.
        num_frames: of the video; no more of the film is read.
        fps: frames a second to read it at.
        size: longest side of the video; None keeps the film's.
        choice: of the face, as for `select_face`, in the first frame.

    Raises:
        InputError: not a film, or one too short or too small.
        NoFaceError: no face, or too seldom, or too small.
        UsageError: the choice cannot be read.
    """
    from talkhead_models.basis import FaceBasis
    from talkhead_models.film_face import FilmFace, fading
    from talkhead_models.film_looks import calm_frame, hidden, strangeness

    whole = next(iter_film(path, fps, 1, size), None)
    if whole is None:
        raise InputError(f"{path} has no pictures: give a film of a talking person")
    track = Track(path, whole.shape, choice)
    for picture in iter_film(path, fps, num_frames, tracking_size(whole, choice), exact=False):
        track.push(picture)
    meshes, tracked = track.result()
    face = FilmFace.measure(meshes, tracked, FaceBasis.load(), fps)
    turned = int((face.strength[tracked] == 0).sum())
    thumbs, sharpness = track.looks()
    strange = strangeness(face, thumbs, tracked)
    covered = hidden(strange, fps)
    face = replace(face, strength=face.strength * fading(~covered, fps))
    if not face.strength.any():
        raise NoFaceError(
            f"{path}: no frame shows a mouth that could be replaced; give a film of a face towards the camera"
        )
    loops = len(tracked) < num_frames and track.ends_meet()
    film = Film(path, fps, size, len(tracked), loops)
    reference = face.reference()
    calm = calm_frame(face, sharpness, strange)
    return TrackedFilm(
        film,
        face,
        int((~tracked).sum()),
        turned,
        film.frame(reference),
        reference,
        (calm, film.frame(calm)),
        int(covered.sum()),
    )


def iter_film(
    path: Path, fps: Fraction, count: int, size: int | None, *, exact: bool = True
) -> Iterator[Pixels]:
    """The first frames of a film."""
    with FilmReader(path, fps, 0, count, size, exact=exact) as reader:
        yield from reader


def tracking_size(first: Pixels, choice: str) -> int:
    """Longest side of the pictures that a face is tracked in: large enough for it, no larger than the film.

    Args:
        first: the film's first frame.
        choice: of the face.
    """
    from talkhead_cli.evaluation.tracker import LEAST_SIDE, pick_face
    from talkhead_cli.face.backend import get_backend

    side = max(first.shape[:2])
    most = min(MAX_SIDE, side)
    faces = get_backend("mediapipe").detect(first) if min(first.shape[:2]) >= LEAST_SIDE else []
    if not faces:
        return most
    width = pick_face(faces, choice, first.shape).width
    return int(np.clip(side * TRACKED_FACE / max(width, 1), min(LEAST_TRACKED, most), most))
