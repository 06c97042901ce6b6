"""What a render would say of a row's files, told from what is known of them; the words are the render's own."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from talkhead_cli.batch.files import FileBook, Value
from talkhead_cli.batch.job import Fault
from talkhead_cli.batch.look import PROBLEM, portrait_kind
from talkhead_cli.batch.rows import Draft
from talkhead_cli.errors import InputError, NoFaceError, TalkheadError
from talkhead_cli.film_rules import adopt, film_size, refusals
from talkhead_cli.settings import RenderSettings


@dataclass(frozen=True)
class Verdict:
    """What becomes of a row whose files can be used.

    Attributes:
        seconds: of video.
        width: of the video.
        height: of the video.
        settings: of the render: a film's frame rate and quality taken over.
        film: whether a film is dubbed.
    """

    seconds: float
    width: int
    height: int
    settings: RenderSettings
    film: bool = False


class Judge:
    """Judges rows by what is known of their files.

    Args:
        book: what is known.

    Attributes:
        faults: found so far.
        warnings: what does not stop a row.
    """

    def __init__(self, book: FileBook) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self._book = book
        self._taken_over: dict[tuple[int, frozenset[str], Fraction], RenderSettings] = {}

    def ask(self, draft: Draft) -> None:
        """Say what must be known to judge a row; files that are not there are faults."""
        for column, path in draft.files.items():
            found = self._book.identify(path)
            if isinstance(found, str):
                self._fault(draft, column, found)
            else:
                for kind in wanted_kinds(draft, column, draft.settings):
                    self._book.want(path, kind, draft.settings.max_seconds)

    def judge(self, draft: Draft) -> Verdict | None:
        """What becomes of a row; None where something of it cannot be used."""
        settings = draft.settings
        shown = self._value(draft, "portrait", picture_kind(settings))
        dubbed = shown is not None and bool(shown.get("film"))
        if shown is not None and dubbed:
            size = self._dubbed(draft, shown)
            settings = self._adopted(draft, Fraction(shown["fps"]))
        else:
            size = None if shown is None else self._portrait(draft, shown)
        film = self._value(draft, "drive", "film")
        style = self._value(draft, "style", "film")
        seconds = None
        if "audio" in draft.files:
            seconds = self._sound(draft, "audio", settings)
        elif film is not None and film["has_audio"]:
            seconds = self._sound(draft, "drive", settings)
        elif film is not None:
            seconds = self._length(draft, "drive", film["seconds"] or 0.0, "film", settings)
        clips = {"drive": film, "style": style}
        if any(column in draft.files and clips[column] is None for column in clips):
            return None
        if size is None or seconds is None:
            return None
        return Verdict(seconds, *size, settings, dubbed)

    def _fault(self, draft: Draft, column: str, message: str) -> None:
        """Note a fault, the file called as the manifest calls it."""
        if column in draft.files:
            message = message.replace(draft.files[column], draft.written[column])
        self.faults.append(Fault(draft.row, draft.line, column, message))

    def _warn(self, draft: Draft, column: str, messages: list[str]) -> None:
        shown = draft.written[column]
        for message in messages:
            self.warnings.append(Fault(draft.row, draft.line, column, f"{shown}: {message}"))

    def _value(self, draft: Draft, column: str, kind: str) -> Value | None:
        """What is known of a file; None where there is none, or something is wrong with it."""
        path = draft.files.get(column)
        if path is None or isinstance(self._book.identify(path), str):
            return None
        value = self._book.known(path, kind)
        if value.get(PROBLEM):
            self._fault(draft, column, value[PROBLEM])
            return None
        return value

    def _portrait(self, draft: Draft, value: Value) -> tuple[int, int] | None:
        """Width and height of a picture's video."""
        path = draft.files["portrait"]
        try:
            size = video_size(path, value, draft.settings)
        except TalkheadError as error:
            self._fault(draft, "portrait", str(error))
            return None
        self._warn(draft, "portrait", value["notes"])
        return size

    def _dubbed(self, draft: Draft, value: Value) -> tuple[int, int] | None:
        """Width and height of a film's video; what does not go with films is a fault of its column."""
        path = draft.files["portrait"]
        drive, audio = ("drive" in draft.files), ("audio" in draft.files)
        wrong = refusals(
            path, draft.settings, drive=drive, audio=audio, style="style" in draft.files
        )
        if not audio and not drive:
            wrong = [item for item in wrong if item[0] != "audio"]  # the empty cell has been told
        try:
            check_film_face(path, value, draft.settings)
        except TalkheadError as error:
            wrong.append(("portrait", str(error)))
        for column, message in wrong:
            # Told of the row: the file is called as its own column calls it.
            named = message.replace(path, draft.written["portrait"])
            self.faults.append(Fault(draft.row, draft.line, column, named))
        if wrong:
            return None
        return film_size(value["width"], value["height"], draft.settings.size)

    def _adopted(self, draft: Draft, fps: Fraction) -> RenderSettings:
        """A row's settings with those of its film; the same object for the same values."""
        key = id(draft.settings), draft.given & {"fps", "crf"}, fps
        if key not in self._taken_over:
            self._taken_over[key] = adopt(draft.settings, draft.given, fps)
        return self._taken_over[key]

    def _sound(self, draft: Draft, column: str, settings: RenderSettings) -> float | None:
        """Seconds of the sound of a recording or a film."""
        value = self._value(draft, column, "audio")
        if value is None:
            return None
        drives_lips = "drive" not in draft.files
        if value["seconds"] is None:
            return self._length(draft, column, value["declared_seconds"], "audio", settings)
        if drives_lips and value["silent"]:
            self._fault(
                draft, column, f"{draft.written[column]}: is silent; give a recording of speech"
            )
            return None
        if drives_lips:
            self._warn(draft, column, value["warnings"])
        return self._length(draft, column, value["seconds"], "audio", settings)

    def _length(
        self, draft: Draft, column: str, seconds: float, what: str, settings: RenderSettings
    ) -> float | None:
        """The length, where it is allowed."""
        if seconds <= settings.max_seconds:
            return seconds
        self._fault(
            draft,
            column,
            f"{draft.written[column]}: {seconds:.0f} seconds of {what} are more than the "
            f"{settings.max_seconds:.0f} allowed; raise --max-seconds",
        )
        return None


def wanted_kinds(draft: Draft, column: str, settings: RenderSettings) -> list[str]:
    """What must be known of the file of a column."""
    kinds = ["sha256"]
    if column == "portrait":
        kinds.append(picture_kind(settings))
    if column in {"drive", "style"}:
        kinds.append("film")
    if column == "audio" or (column == "drive" and "audio" not in draft.files):
        kinds.append("audio")
    return kinds


def picture_kind(settings: RenderSettings) -> str:
    """The kind of knowledge of a portrait."""
    return portrait_kind(settings.face_backend)


def check_film_face(path: str, value: Value, settings: RenderSettings) -> None:
    """Insist on a face in a film.

    Args:
        path: for messages.
        value: what is known of the film.
        settings: which face, how large.

    Raises:
        NoFaceError: there is no such face, or it is too small.
        UsageError: the choice cannot be read.
    """
    from talkhead_cli.face.backend import select_face
    from talkhead_cli.film_track import least_face, small_face

    if value["face_width"] is None:
        raise NoFaceError(f"{path}: no face is seen; give a film of one talking person")
    if settings.face != "largest":
        select_face([known_face(face) for face in value["faces"]], settings.face, path)
    side = max(value["width"], value["height"])
    width = value["face_width"] * min(1.0, (settings.size or side) / side)
    if width < least_face():
        raise NoFaceError(small_face(path, width))


def video_size(path: str, value: Value, settings: RenderSettings) -> tuple[int, int]:
    """Width and height that a picture's video will have.

    Args:
        path: for messages.
        value: what is known of the picture.
        settings: which face, how large, how much of the picture.

    Raises:
        NoFaceError: there is no such face, or it cannot be animated.
        InputError: the result would be too small.
    """
    from talkhead_cli.face.backend import select_face
    from talkhead_cli.face.portrait import check_scaled_face, face_crop, scaled_size, whole

    faces = [known_face(face) for face in value["faces"]]
    chosen = select_face(faces, settings.face, path)
    problem = value["faces"][faces.index(chosen)][PROBLEM]
    if problem:
        raise InputError(f"{path}: {problem}")
    shape = value["height"], value["width"]
    box = face_crop(shape, chosen) if settings.crop == "face" else whole(shape)
    width, height, scale = scaled_size(box, settings.size, path)
    check_scaled_face(chosen, scale, settings.size, path)
    return width // 2 * 2, height // 2 * 2


def known_face(face: dict[str, Any]) -> Any:
    """A face without its mesh."""
    import numpy as np

    from talkhead_cli.face.backend import Face

    x0, y0, x1, y1 = face["box"]
    return Face((x0, y0, x1, y1), face["score"], np.zeros((0, 3), np.float32))
