"""Looking at a file once, in a worker process: what it is, and what is wrong with it, as values.

Everything that would stop a render is found here, and nothing is made that only a render needs: no person mask, no
mesh, no speech features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import InputError, NoFaceError, TalkheadError
from talkhead_cli.hashing import sha256_of
from talkhead_cli.wav_header import MAX_HEADER, WavHeader, parse_wav

if TYPE_CHECKING:
    from talkhead_cli.audio import AudioStream
    from talkhead_cli.face.backend import Face

SILENT_FROM = 0.999
"""Share of silence from which there is no speech; as in `talkhead_cli.levels`."""

WAV_BLOCK = 1 << 16
"""Samples that are read at once."""

FIRST_PICTURES = 5
"""Pictures of a film, one a second from its beginning, in which a face is looked for first."""

SPREAD_PICTURES = 8
"""Pictures over all of a film in which a face is looked for then."""

PROBLEM, PASSING = "problem", "passing"
"""Keys of what is known: what is wrong; and that it may be otherwise at another time."""


@dataclass(frozen=True)
class Look:
    """What to find out about a file.

    Attributes:
        path: absolute.
        kinds: of knowledge, see `talkhead_cli.batch.check.Facts`.
        max_seconds: a recording whose header promises more than twice this is not decoded.
    """

    path: str
    kinds: tuple[str, ...]
    max_seconds: float


def portrait_kind(backend: str) -> str:
    """The kind of what a face backend sees in a picture."""
    return f"picture:{backend}"


def look_at(look: Look) -> dict[str, dict[str, Any]]:
    """Kind to what was found out; never raises. A value with "problem" says in one sentence what is wrong."""
    return {kind: look_for(kind, look) for kind in look.kinds}


def look_for(kind: str, look: Look) -> dict[str, Any]:
    """One kind of knowledge about a file."""
    path = Path(look.path)
    finders: dict[str, Callable[[], dict[str, Any]]] = {
        "sha256": lambda: {"sha256": sha256_of(path)},
        "audio": lambda: look_at_audio(path, look.max_seconds),
        "film": lambda: look_at_film(path, look.max_seconds),
        "picture": lambda: look_at_portrait(path, kind.split(":", 1)[1]),
    }
    try:
        return finders[kind.split(":", 1)[0]]()
    except TalkheadError as error:
        # Missing programs and downloads may be there tomorrow; a picture without a face stays one.
        return {PROBLEM: str(error), PASSING: not isinstance(error, InputError)}
    except OSError as error:
        return {PROBLEM: f"{path}: cannot be read ({error.strerror or error})", PASSING: True}
    except Exception as error:  # a library that stumbles over a file must not cost the other files
        words = " ".join(str(error).split()) or "no more is known"
        return {PROBLEM: f"{path}: cannot be used ({type(error).__name__}: {words})", PASSING: True}


def look_at_audio(path: Path, max_seconds: float) -> dict[str, Any]:
    """Length of a recording and what a person should know of it; "seconds" is None where it was not decoded.

    Raises:
        AudioError: it cannot be used.
    """
    from talkhead_cli.audio import check_file, decode_stream, read_header
    from talkhead_cli.levels import LevelMeter

    check_file(path)
    wav = plain_wav(path)
    stream = read_header(path) if wav is None else stream_of(wav)
    declared = stream.declared_seconds
    if declared is not None and declared > 2 * max_seconds:
        return {"declared_seconds": declared, "seconds": None}
    meter = LevelMeter(stream.sample_rate)
    for block in decode_stream(path, stream, None) if wav is None else wav_blocks(path, wav):
        meter.push(block)
    info = meter.info(stream.channels, stream.codec)
    silent = info.silence_share > SILENT_FROM
    return {
        "declared_seconds": declared,
        "seconds": info.duration_seconds,
        "silent": silent,
        "warnings": info.warnings,
    }


def plain_wav(path: Path) -> WavHeader | None:
    """The header of a whole wav file of 16-bit samples; None where ffmpeg has to be asked.

    Most recordings of most batches are such files, and to start ffmpeg twice takes longer than to read one.
    """
    from talkhead_cli.audio import MIN_SECONDS

    with path.open("rb") as file:
        header = parse_wav(file.read(MAX_HEADER))
    if header is None or header.samples != "s16le" or header.num_bytes is None:
        return None
    least = MIN_SECONDS * header.sample_rate * header.frame_bytes
    whole = header.offset + header.num_bytes <= path.stat().st_size
    return header if whole and header.num_bytes >= least else None


def stream_of(header: WavHeader) -> AudioStream:
    """What ffmpeg would say of a wav file."""
    from talkhead_cli.audio import AudioStream

    return AudioStream(header.codec, header.sample_rate, header.channels, header.seconds)


def wav_blocks(path: Path, header: WavHeader) -> Iterator[NDArray[np.float32]]:
    """The samples of a plain wav file, mixed to mono, (n,) float32, as ffmpeg gives them."""
    assert header.num_bytes is not None
    frames = header.num_bytes // header.frame_bytes
    with path.open("rb") as file:
        file.seek(header.offset)
        while frames > 0:
            data = file.read(min(frames, WAV_BLOCK) * header.frame_bytes)
            count = len(data) // header.frame_bytes
            if count == 0:
                return
            frames -= count
            samples = np.frombuffer(data[: count * header.frame_bytes], "<i2")
            mono = samples.reshape(-1, header.channels).sum(axis=1, dtype=np.float32)
            # The power of two channels is kept, as ffmpeg does.
            yield mono / np.float32(header.channels**0.5 * (1 << 15))


def look_at_portrait(path: Path, backend: str) -> dict[str, Any]:
    """Size of a picture, and its faces from left to right, each with what keeps it from being animated.

    A film, which is to be dubbed, is told by "film".

    Raises:
        InputError: the picture cannot be used.
        TalkheadError: the face backend cannot be used.
    """
    from talkhead_cli.face.backend import get_backend
    from talkhead_cli.face.image import read_portrait_image
    from talkhead_cli.face.portrait import face_problem
    from talkhead_cli.film import is_film

    if is_film(path):
        return look_at_dubbed(path)
    source = read_portrait_image(path)
    faces = get_backend(backend).detect(source.pixels)
    height, width = source.pixels.shape[:2]
    return {
        "width": width,
        "height": height,
        "notes": list(source.notes),
        "faces": [
            {
                "box": [float(edge) for edge in face.box],
                "score": float(face.score),
                PROBLEM: face_problem(face, source.pixels.shape),
            }
            for face in faces
        ],
    }


def look_at_dubbed(path: Path) -> dict[str, Any]:
    """Rate and size of a film that is to be dubbed, and the faces in some of its pictures.

    Raises:
        InputError: it cannot be decoded, or is too short.
        MediaError: ffmpeg is missing.
    """
    from talkhead_cli.drive import MIN_FRAMES
    from talkhead_cli.evaluation.stream import read_video_header
    from talkhead_cli.face.backend import get_backend
    from talkhead_cli.film import iter_film

    header = read_video_header(path)
    first = next(iter_film(path, header.fps, 1, None))
    if 0 < header.expected_frames < MIN_FRAMES:
        raise InputError(
            f"{path} has only {header.expected_frames} frames to use: give a longer film"
        )
    detector = get_backend()
    height, width = first.shape[:2]
    faces = detector.detect(first)
    widths = [widest(faces)] if faces else []
    if not faces:
        for picture in sample_pictures(path, header.seconds or FIRST_PICTURES):
            if found := detector.detect(picture):
                widths.append(widest(found) * width / picture.shape[1])
    return {
        "film": True,
        "fps": str(header.fps),
        "width": width,
        "height": height,
        "notes": [],
        "face_width": float(np.median(widths)) if widths else None,
        "faces": [
            {"box": [float(edge) for edge in face.box], "score": float(face.score)}
            for face in faces
        ],
    }


def widest(faces: Sequence[Face]) -> float:
    """Pixels that the widest face's mesh is wide."""
    return max(float(np.ptp(face.mesh[:, 0])) if len(face.mesh) else face.width for face in faces)


def look_at_film(path: Path, max_seconds: float) -> dict[str, Any]:
    """Length of a driving clip, whether it has sound, and whether a face is in it.

    The face is looked for in a few pictures only: to follow it through all of them is the render's work.

    Raises:
        InputError: no film, or one too short.
        NoFaceError: no face in any picture looked at.
        MediaError: ffmpeg is missing.
    """
    from talkhead_cli.drive import MIN_FRAMES
    from talkhead_cli.evaluation.stream import read_video_header
    from talkhead_cli.face.backend import get_backend

    header = read_video_header(path)
    if 0 < header.expected_frames < MIN_FRAMES:
        raise InputError(
            f"{path} has only {header.expected_frames} pictures: give a film of a moving face"
        )
    detector = get_backend()
    pictures = sample_pictures(path, min(header.seconds or max_seconds, max_seconds))
    first = next(pictures, None)
    if first is None:
        raise InputError(f"{path} has no pictures: give a film of a face")
    if not any(detector.detect(picture) for picture in chain([first], pictures)):
        raise NoFaceError(f"{path}: no face is seen; give a film of one clearly visible face")
    return {**asdict(header), "path": "", "fps": str(header.fps), "seconds": header.seconds}


def sample_pictures(path: Path, seconds: float) -> Iterator[Any]:
    """Pictures of a film's beginning, then pictures spread over the rest of it."""
    from talkhead_cli.drive import ClipReader

    plans = [(Fraction(1), min(seconds, FIRST_PICTURES))]
    if seconds > FIRST_PICTURES:
        spread = Fraction(SPREAD_PICTURES) / Fraction(seconds).limit_denominator(1000)
        plans.append((spread, seconds))
    for fps, length in plans:
        with ClipReader(path, fps, 0.0, length) as reader:
            yield from reader
