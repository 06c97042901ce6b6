"""The pre-flight report on a portrait: what is there, what will go wrong, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import NoFaceError
from talkhead_cli.face.backend import Face, get_backend, select_face
from talkhead_cli.face.image import PortraitImage, parse_colour, read_portrait_image
from talkhead_cli.face.landmarks import (
    FACE_OVAL,
    INNER_LIPS,
    LEFT_EYE,
    LEFT_IRIS,
    OUTER_LIPS,
    RIGHT_EYE,
    RIGHT_IRIS,
    Box,
    Mesh,
    eye_openness,
    head_angles,
    mouth_gap,
)
from talkhead_cli.face.portrait import EYES_CLOSED_BELOW, face_problem
from talkhead_cli.face.quality import BLURRED_BELOW, face_sharpness, occlusion_hints

MOUTH_OPEN_FROM = 0.03
WIDE_OPEN_FROM = 0.25
SIDEWAYS_FROM = 22.0
TILTED_FROM = 22.0
ROLLED_FROM = 25.0
SMALL_FACE = 128


@dataclass(frozen=True)
class FaceReport:
    """One face of the picture; left and right are those of the picture.

    Attributes:
        number: counted from the left, beginning at 1: what `--face` takes.
        chosen: this is the face that would be animated.
        box: (x0, y0, x1, y1) pixels.
        score: confidence of the detector in [0, 1].
        yaw, pitch, roll: degrees, positive to the right, downwards, clockwise.
        sharpness: see `talkhead_cli.face.quality.BLURRED_BELOW`.
        mouth_gap: inner-lip gap over the distance of the outer eye corners.
        mouth: "open" or "closed".
        eyes: "open", "closed", "left closed" or "right closed".
        occlusions: hints at things in front of the face.
        problem: why it cannot be animated, or None.
        mesh: (478, 3) float32 pixels; not in `PortraitReport.to_dict`.
    """

    number: int
    chosen: bool
    box: Box
    score: float
    yaw: float
    pitch: float
    roll: float
    sharpness: float
    mouth_gap: float
    mouth: str
    eyes: str
    occlusions: tuple[str, ...]
    problem: str | None
    mesh: Mesh


@dataclass(frozen=True)
class PortraitReport:
    """What is known about a picture before rendering.

    Attributes:
        path: the file.
        format: Pillow's name of its format.
        file_size: width and height as stored.
        size: width and height as it would be rendered: upright and even.
        transparent: it has an alpha channel that matters.
        backend: the face backend that looked at it.
        faces: from left to right.
        ready: the chosen face can be animated.
        warnings: each says what is the matter and what to do.
        notes: what was done to the picture on reading.
    """

    path: Path
    format: str
    file_size: tuple[int, int]
    size: tuple[int, int]
    transparent: bool
    backend: str
    faces: tuple[FaceReport, ...]
    ready: bool
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def chosen(self) -> FaceReport | None:
        """The face that would be animated."""
        return next((face for face in self.faces if face.chosen), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the meshes."""
        values = asdict(self)
        values["path"] = str(self.path)
        for face in values["faces"]:
            del face["mesh"]
            face["box"] = [round(value, 1) for value in face["box"]]
            for key, digits in (
                ("yaw", 1),
                ("pitch", 1),
                ("roll", 1),
                ("score", 3),
                ("sharpness", 4),
                ("mouth_gap", 4),
            ):
                face[key] = round(face[key], digits)
        return values


def probe_portrait(
    path: str | Path,
    face: str = "largest",
    backend: str = "mediapipe",
    background: str | tuple[int, int, int] | None = None,
) -> PortraitReport:
    """Look at a portrait without rendering it.

    Args:
        path: any still picture.
        face: as for `load_portrait`.
        backend: "mediapipe" or "face-alignment".
        background: colour behind a transparent picture; faces are looked for before the usual one, as when rendering.

    Raises:
        InputError: the picture cannot be read.
        UsageError: no colour.
    """
    parse_colour(background)
    source = read_portrait_image(path)
    found = get_backend(backend).detect(source.pixels)
    problems: list[str] = []
    chosen: Face | None = None
    try:
        chosen = select_face(found, face)
    except NoFaceError as error:
        problems.append(str(error))
    reports = tuple(
        report_face(number, item, item is chosen, source.pixels)
        for number, item in enumerate(found, start=1)
    )
    subject = next((item for item in reports if item.chosen), None)
    if subject is not None and subject.problem:
        problems.append(subject.problem)
    height, width = source.pixels.shape[:2]
    return PortraitReport(
        path=source.path,
        format=source.file_format,
        file_size=source.file_size,
        size=(width, height),
        transparent=source.alpha is not None,
        backend=backend,
        faces=reports,
        ready=not problems,
        warnings=tuple(problems + advice(source, reports, subject, background is not None)),
        notes=source.notes,
    )


def report_face(number: int, face: Face, chosen: bool, pixels: NDArray[np.uint8]) -> FaceReport:
    """Everything about one face; hands are looked for at the chosen one only."""
    yaw, pitch, roll = head_angles(face.mesh)
    gap = mouth_gap(face.mesh)
    return FaceReport(
        number=number,
        chosen=chosen,
        box=face.box,
        score=face.score,
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        sharpness=face_sharpness(pixels, face.mesh),
        mouth_gap=gap,
        mouth="open" if gap >= MOUTH_OPEN_FROM else "closed",
        eyes=eyes_in_words(face.mesh),
        occlusions=occlusion_hints(pixels, face.mesh, look_for_hands=chosen),
        problem=face_problem(face, pixels.shape),
        mesh=face.mesh,
    )


def eyes_in_words(mesh: Mesh) -> str:
    """ "open", "closed", "left closed" or "right closed"."""
    left, right = (value < EYES_CLOSED_BELOW for value in eye_openness(mesh))
    if left and right:
        return "closed"
    return "left closed" if left else "right closed" if right else "open"


def advice(
    source: PortraitImage,
    faces: tuple[FaceReport, ...],
    subject: FaceReport | None,
    has_background: bool,
) -> list[str]:
    """What will look worse than it could, and what to do; one sentence each."""
    words: list[str] = []
    if source.alpha is not None and not has_background:
        words.append(
            "the picture is transparent and will be laid over white; give --background to choose a colour"
        )
    if len(faces) > 1:
        words.append(
            f"{len(faces)} faces were found; only face {subject.number if subject else 'none'} is animated, "
            "choose another with --face N (from the left) or --face X,Y"
        )
    if subject is not None and not subject.problem:
        words += face_advice(subject)
    return words


def face_advice(face: FaceReport) -> list[str]:
    """`advice` on the chosen face."""
    width = face.box[2] - face.box[0]
    words = []
    if width < SMALL_FACE:
        words.append(
            f"the face is only {width:.0f} pixels wide, so the mouth will be soft; use a larger picture"
        )
    if face.sharpness < BLURRED_BELOW:
        words.append("the face is blurred, and so will be the video; use a sharper picture")
    if abs(face.yaw) > SIDEWAYS_FROM:
        words.append(
            f"the head is turned {abs(face.yaw):.0f} degrees to the side, which strains the far cheek; "
            "a picture that looks towards the camera works better"
        )
    if abs(face.pitch) > TILTED_FROM:
        words.append(
            f"the head is tilted {abs(face.pitch):.0f} degrees {'down' if face.pitch > 0 else 'up'}; "
            "a level picture works better"
        )
    if abs(face.roll) > ROLLED_FROM:
        words.append(
            f"the head leans {abs(face.roll):.0f} degrees; turn the picture upright if it is not meant so"
        )
    if face.mouth_gap > WIDE_OPEN_FROM:
        words.append(
            "the mouth is wide open, so closed lips must be made up; a picture with closed lips works better"
        )
    if face.eyes != "open":
        words.append(f"eyes {face.eyes}: they stay so in the video; use a picture with open eyes")
    words += [
        f"{hint}; if something covers mouth or chin, use a picture with a free face"
        for hint in face.occlusions
    ]
    return words


def annotate(image: NDArray[np.uint8], report: PortraitReport) -> NDArray[np.uint8]:
    """The picture with boxes, numbers, face outlines, lips, eyes and irises drawn in.

    Args:
        image: (H, W, 3) uint8 RGB, upright, as read by `read_portrait_image`.
        report: from `probe_portrait` of the same picture.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    import cv2

    canvas = np.ascontiguousarray(image).copy()
    line = max(1, round(max(image.shape[:2]) / 600))
    for face in report.faces:
        colour = (230, 60, 60) if face.problem else (40, 200, 80) if face.chosen else (90, 160, 240)
        x0, y0, x1, y1 = (round(value) for value in face.box)
        cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, line)
        for part in (FACE_OVAL, OUTER_LIPS, INNER_LIPS, LEFT_EYE, RIGHT_EYE):
            outline = np.round(face.mesh[list(part), :2].astype(np.float64) * 16).astype(np.int32)
            cv2.polylines(canvas, [outline], True, colour, max(1, line // 2), cv2.LINE_AA, 4)
        for iris in (LEFT_IRIS, RIGHT_IRIS):
            centre = tuple(round(float(value)) for value in face.mesh[iris[0], :2])
            cv2.circle(canvas, centre, max(1, line), (250, 220, 60), -1, cv2.LINE_AA)
        label = f"{face.number}  yaw {face.yaw:.0f}  mouth {face.mouth}"
        scale = max(0.4, (x1 - x0) / 400)
        place = (x0, max(round(24 * scale), y0 - round(8 * scale)))
        thick = max(1, round(2 * scale))
        cv2.putText(
            canvas, label, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), thick + 2, cv2.LINE_AA
        )
        cv2.putText(
            canvas, label, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thick, cv2.LINE_AA
        )
    return canvas
