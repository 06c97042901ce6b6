"""The portrait: a picture with one chosen face, its mesh and its person mask, checked and ready to animate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import InputError, NoFaceError, UsageError
from talkhead_cli.face.backend import Face, get_backend, select_face
from talkhead_cli.face.image import (
    DEFAULT_BACKGROUND,
    MAX_SIDE,
    MIN_SIDE,
    PortraitImage,
    parse_colour,
    read_portrait_image,
    replace_background,
    trim_to_even,
)
from talkhead_cli.face.landmarks import (
    LEFT_EYE,
    OUTER_LIPS,
    RIGHT_EYE,
    Box,
    Mesh,
    eye_openness,
    head_angles,
    mesh_box,
    mouth_gap,
)
from talkhead_cli.face.mask import person_mask
from talkhead_cli.face.quality import face_sharpness, occlusion_hints

MIN_FACE = 64
MIN_SCALED_FACE = 32
"""A face may be shrunk on purpose, but not below this."""
MAX_YAW = 40.0
MAX_PITCH = 35.0
MAX_ROLL = 60.0
EYES_CLOSED_BELOW = 0.12


@dataclass(frozen=True)
class Portrait:
    """What the renderer starts from. Left and right are those of the picture.

    Attributes:
        image: (H, W, 3) uint8 RGB, H and W even; transparent parts already composited.
        seen: as `image`, but before the usual colour: what networks see, so that a colour changes nothing else.
        alpha: (H, W) float32 in [0, 1], None when the picture is opaque.
        mesh: (478, 3) float32 pixels of `image`, z in the same unit, smaller towards the camera.
        box: (x0, y0, x1, y1) pixels, tight around the mesh.
        person_mask: (H, W) float32 in [0, 1].
        yaw: degrees, positive towards the right of the picture.
        pitch: degrees, positive downwards.
        roll: degrees, positive clockwise.
        sharpness: normalised Laplacian variance of the face; see `talkhead_cli.face.quality`.
        mouth_gap: inner-lip gap over the distance of the outer eye corners.
        eye_openness: height over width of the left and right eye.
        eyes_closed: for the left and right eye.
        occlusions: hints at things in front of the face; may be wrong.
        score: confidence of the detector in [0, 1].
        num_faces: faces in the picture.
        backend: name of the face backend.
        path: the picture's file.
        crop_box: (x0, y0, x1, y1) the part of the upright picture that is kept, in its pixels.
        scale: `image` pixels per pixel of the upright picture.
        notes: what was done to the picture on reading.
        behind: the colour that transparent parts were composited over.
    """

    image: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    alpha: NDArray[np.float32] | None
    mesh: Mesh
    box: Box
    person_mask: NDArray[np.float32]
    yaw: float
    pitch: float
    roll: float
    sharpness: float
    mouth_gap: float
    eye_openness: tuple[float, float]
    eyes_closed: tuple[bool, bool]
    occlusions: tuple[str, ...] = ()
    score: float = 1.0
    num_faces: int = 1
    backend: str = "mediapipe"
    path: Path | None = None
    crop_box: tuple[int, int, int, int] = (0, 0, 0, 0)
    scale: float = 1.0
    notes: tuple[str, ...] = ()
    behind: tuple[int, int, int] = DEFAULT_BACKGROUND

    @classmethod
    def load(
        cls,
        path: str | Path,
        face: str = "largest",
        backend: str = "mediapipe",
        background: str | None = None,
        size: int | None = None,
        crop: str = "full",
    ) -> Portrait:
        """Read a picture, choose a face, and check that it can be animated; see `load_portrait`."""
        return load_portrait(path, face, backend, background, size, crop)

    def matte(self) -> tuple[NDArray[np.float32], tuple[int, int, int] | None]:
        """The person's share of each pixel (H, W) in [0, 1]: of a transparent picture its own alpha, and the colour
        that is behind it in `seen`; of an opaque one the person mask, and None."""
        if self.alpha is None:
            return self.person_mask, None
        return self.alpha, DEFAULT_BACKGROUND


def load_portrait(
    path: str | Path,
    face: str = "largest",
    backend: str = "mediapipe",
    background: str | tuple[int, int, int] | None = None,
    size: int | None = None,
    crop: str = "full",
) -> Portrait:
    """Read a picture, choose a face, and check that it can be animated.

    Args:
        path: any still picture.
        face: "largest", N from the left, or "X,Y" in pixels of the upright picture.
        backend: "mediapipe" or "face-alignment".
        background: colour behind a transparent picture.
        size: longest side of the result in pixels; smaller pictures are not enlarged.
        crop: "full" keeps the picture, "face" a square around the head and shoulders.

    Raises:
        InputError: the picture cannot be used.
        UsageError: an argument is wrong.
        NoFaceError: no face, or one that cannot be animated.
    """
    if crop not in {"full", "face"}:
        raise UsageError(f"there is no crop {crop!r}; choose 'full' or 'face'")
    if size is not None and size < MIN_SIDE:
        raise UsageError(f"size {size} is too small; at least {MIN_SIDE} pixels are needed")
    behind = parse_colour(background) or DEFAULT_BACKGROUND
    source = read_portrait_image(path)
    detector = get_backend(backend)
    faces = detector.detect(source.pixels)
    chosen = select_face(faces, face, str(path))
    check_face(chosen, source.pixels.shape, str(path))
    box = face_crop(source.pixels.shape, chosen) if crop == "face" else whole(source.pixels.shape)
    image, alpha, to_result, scale = cut_and_scale(source, box, size)
    mesh = to_result(chosen.mesh)
    check_scaled_face(chosen, scale, size, path)
    others = [to_result(other.mesh) for other in faces if other is not chosen]
    portrait = make_portrait(image, mesh, alpha, others)
    if alpha is not None:
        image = replace_background(image, alpha, DEFAULT_BACKGROUND, behind)
    return replace(
        portrait,
        image=image,
        score=chosen.score,
        num_faces=len(faces),
        backend=detector.name,
        path=source.path,
        crop_box=box,
        scale=scale,
        notes=source.notes,
        behind=behind,
    )


def make_portrait(
    image: NDArray[np.uint8],
    mesh: Mesh,
    alpha: NDArray[np.float32] | None = None,
    others: Sequence[Mesh] = (),
) -> Portrait:
    """A portrait from a picture and its mesh: the measures and the person mask are made here.

    Args:
        image: (H, W, 3) uint8 RGB, H and W even.
        mesh: (478, 3) float32 pixels.
        alpha: (H, W) float32 in [0, 1] or None.
        others: meshes of further faces in the picture, whose people are kept out of the mask.
    """
    yaw, pitch, roll = head_angles(mesh)
    openness = eye_openness(mesh)
    return Portrait(
        image=image,
        seen=image,
        alpha=alpha,
        mesh=mesh,
        box=mesh_box(mesh),
        person_mask=person_mask(image, mesh, alpha, others),
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        sharpness=face_sharpness(image, mesh),
        mouth_gap=mouth_gap(mesh),
        eye_openness=openness,
        eyes_closed=(openness[0] < EYES_CLOSED_BELOW, openness[1] < EYES_CLOSED_BELOW),
        occlusions=occlusion_hints(image, mesh),
        crop_box=whole(image.shape),
    )


def check_face(face: Face, shape: tuple[int, ...], where: str) -> None:
    """Refuse a face that cannot be animated.

    Raises:
        NoFaceError: too small, turned too far, or cut off by the border.
    """
    problem = face_problem(face, shape)
    if problem:
        raise NoFaceError(f"{where}: {problem}")


def face_problem(face: Face, shape: tuple[int, ...]) -> str | None:
    """Why a face cannot be animated and what to do, or None."""
    if min(face.width, face.height) < MIN_FACE:
        return (
            f"the face is only {face.width:.0f}x{face.height:.0f} pixels; at least {MIN_FACE} are needed, "
            "use a larger picture or a closer crop"
        )
    yaw, pitch, roll = head_angles(face.mesh)
    if abs(roll) > MAX_ROLL:
        return f"the face lies {abs(roll):.0f} degrees on its side; turn the picture upright"
    height, width = shape[:2]
    vital = face.mesh[[*LEFT_EYE, *RIGHT_EYE, *OUTER_LIPS], :2]
    if (vital < 0).any() or (vital > (width - 1, height - 1)).any():
        return "the border of the picture cuts off eyes or mouth; use a picture of the whole face"
    if abs(yaw) > MAX_YAW:
        return (
            f"the head is turned {abs(yaw):.0f} degrees to the side, more than the {MAX_YAW:.0f} that can be animated; "
            "use a picture that looks towards the camera"
        )
    if abs(pitch) > MAX_PITCH:
        way = "down" if pitch > 0 else "up"
        return (
            f"the head is tilted {abs(pitch):.0f} degrees {way}, more than the {MAX_PITCH:.0f} that can be animated; "
            "use a picture that looks towards the camera"
        )
    return None


def check_scaled_face(face: Face, scale: float, size: int | None, where: str | Path) -> None:
    """Refuse a face that would be made too small.

    Raises:
        NoFaceError: it would be.
    """
    if min(face.width, face.height) * scale < MIN_SCALED_FACE:
        raise NoFaceError(
            f"{where}: at size {size} the face would be only {face.width * scale:.0f} pixels wide; "
            "choose a larger size, or the crop 'face'"
        )


def whole(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The box of a whole picture."""
    return 0, 0, int(shape[1]), int(shape[0])


def face_crop(shape: tuple[int, ...], face: Face) -> tuple[int, int, int, int]:
    """Square with room for hair above and shoulders below, inside the picture, of even size."""
    height, width = shape[:2]
    unit = max(face.width, face.height)
    side = int(min(round(2.5 * unit), width, height)) // 2 * 2
    left = (face.box[0] + face.box[2]) / 2 - side / 2
    top = (
        face.box[1] - 0.65 * unit
        if side >= 2.4 * unit
        else (face.box[1] + face.box[3]) / 2 - side / 2
    )
    x0 = int(np.clip(round(left), 0, width - side))
    y0 = int(np.clip(round(top), 0, height - side))
    return x0, y0, x0 + side, y0 + side


def scaled_size(
    box: tuple[int, int, int, int], size: int | None, where: str | Path
) -> tuple[int, int, float]:
    """Width and height, before they are made even, and scale of a part of a picture.

    Raises:
        InputError: the result would be too small.
    """
    x0, y0, x1, y1 = box
    scale = min(1.0, (size or MAX_SIDE) / max(x1 - x0, y1 - y0))
    width, height = round((x1 - x0) * scale), round((y1 - y0) * scale)
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"{where}: at size {size} the picture would be {width}x{height}; "
            f"at least {MIN_SIDE} pixels a side are needed"
        )
    return width, height, scale


def cut_and_scale(
    source: PortraitImage, box: tuple[int, int, int, int], size: int | None
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None, Callable[[Mesh], Mesh], float]:
    """A part of the picture and its alpha, made smaller where `size` asks for it; a map for meshes; the scale.

    Raises:
        InputError: the result would be too small.
    """
    import cv2

    x0, y0, x1, y1 = box
    cut = source.pixels[y0:y1, x0:x1]
    alpha = None if source.alpha is None else source.alpha[y0:y1, x0:x1]
    width, height, scale = scaled_size(box, size, source.path)
    if scale < 1:
        cut = np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        if alpha is not None:
            shrunk = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA)
            alpha = np.asarray(shrunk, np.float32)
    image, alpha = trim_to_even(cut, alpha)
    factors = np.array([width / (x1 - x0), height / (y1 - y0), scale], np.float32)
    half = np.array([0.5, 0.5, 0.0], np.float32)
    corner = np.array([x0, y0, 0.0], np.float32)

    def to_result(mesh: Mesh) -> Mesh:
        return np.asarray((mesh - corner + half) * factors - half, np.float32)

    return image, alpha, to_result, scale
