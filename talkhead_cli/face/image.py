"""Reading a portrait: any still picture Pillow can read becomes 8-bit sRGB of even size."""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import InputError, UsageError
from talkhead_cli.paths import check_regular

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)

MIN_SIDE = 128
MAX_PIXELS = 8192 * 8192
MAX_SIDE = 16384
ORIENTATION_TAG = 0x0112
DEFAULT_BACKGROUND = (255, 255, 255)
"""What shows through a transparent picture when no background colour is given."""

FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "GIF",
    "BMP",
    "DIB",
    "PPM",
    "TIFF",
    "JPEG2000",
    "HEIF",
    "AVIF",
    "TGA",
)
"""Pillow's names of the formats that are opened; no decoder of another one sees a file."""

DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    ArithmeticError,
    LookupError,
    TypeError,
)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class PortraitImage:
    """A picture ready for use.

    Attributes:
        pixels: (H, W, 3) uint8 sRGB, H and W even, already composited where the file was transparent.
        alpha: (H, W) float32 in [0, 1], None when the picture is opaque.
        path: the file it came from.
        file_size: width and height as stored in the file, before EXIF orientation and trimming.
        file_format: Pillow's name of the format, e.g. "PNG".
        notes: what was done to the picture that a person may want to know.
    """

    pixels: Pixels
    alpha: NDArray[np.float32] | None
    path: Path
    file_size: tuple[int, int]
    file_format: str
    notes: tuple[str, ...] = ()


def read_portrait_image(
    path: str | Path, background: str | tuple[int, int, int] | None = None
) -> PortraitImage:
    """Read a picture, upright, in sRGB, trimmed to even size.

    Args:
        path: any still picture; of an animation the first frame is taken.
        background: colour to composite a transparent picture over: a CSS name, "#rrggbb", or three values 0-255.

    Raises:
        InputError: the file is missing, unreadable, not a picture, damaged, too small or too large.
    """
    path = Path(path)
    colour = parse_colour(background)
    notes: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # Pillow warns of odd metadata and of sizes that are checked here
        with open_image(path) as image:
            file_size, file_format = image.size, image.format or "unknown"
            check_size(path, *image.size)
            if getattr(image, "is_animated", False) and image.format != "MPO":
                notes.append("a picture of several frames: the first is used")
            try:
                image.seek(0)
                image.load()
                upright = transpose_upright(image, notes)
                pixels, alpha = to_srgb(upright, notes)
            except MemoryError as error:
                raise InputError(f"{path}: not enough memory to read this picture") from error
            except DECODE_ERRORS as error:
                raise InputError(
                    f"{path}: the picture is damaged or incomplete ({error}); export it again"
                ) from error
    if min(pixels.shape[:2]) < MIN_SIDE:
        height, width = pixels.shape[:2]
        raise InputError(
            f"{path}: the picture is only {width}x{height}; at least {MIN_SIDE} pixels a side are needed"
        )
    if alpha is not None:
        if not alpha.any():
            raise InputError(
                f"{path}: the whole picture is transparent; export it with its content"
            )
        pixels = composite(pixels, alpha, colour or DEFAULT_BACKGROUND)
    pixels, alpha = trim_to_even(pixels, alpha)
    return PortraitImage(pixels, alpha, path, file_size, file_format, tuple(notes))


def parse_colour(value: str | tuple[int, int, int] | None) -> tuple[int, int, int] | None:
    """Three values 0-255 from a colour name, "#rrggbb", or the values themselves.

    Raises:
        UsageError: not a colour.
    """
    if value is None:
        return None
    if isinstance(value, str):
        from PIL import ImageColor

        try:
            red, green, blue = ImageColor.getrgb(value.strip())[:3]
        except ValueError as error:
            raise UsageError(
                f"{value!r} is no background colour; give a name like 'white' or a value like '#00ff00'"
            ) from error
        return red, green, blue
    if len(value) != 3 or any(not 0 <= part <= 255 for part in value):
        raise UsageError(f"{value!r} is no background colour; give three values from 0 to 255")
    return value


def open_image(path: Path) -> Image.Image:
    """Open the file and read its header only.

    Raises:
        InputError: it cannot be opened, or is not a picture.
    """
    from PIL import Image, UnidentifiedImageError

    has_heif = register_heif()
    check_regular(path)
    try:
        if path.is_dir():
            raise InputError(f"{path}: this is a folder; give a picture file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty (0 bytes)")
        image = Image.open(path, formats=known_formats(has_heif))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read this file") from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path}: the picture is far too large; scale it down to 8192x8192 or less"
        ) from error
    except UnidentifiedImageError as error:
        if not has_heif and looks_like_heif(path):
            raise InputError(
                f"{path}: to read HEIC pictures run `pip install pillow-heif`, or export a JPEG or PNG"
            ) from error
        raise InputError(
            f"{path}: not a picture of a format that is opened; give a JPEG, PNG or WebP"
        ) from error
    except DECODE_ERRORS as error:
        raise InputError(f"{path}: cannot be read as a picture ({error})") from error
    return image


def known_formats(has_heif: bool) -> list[str]:
    """Those of `FORMATS` that this Pillow can open."""
    missing = set() if has_heif else {"HEIF"}
    if find_spec("PIL.AvifImagePlugin") is None:
        missing.add("AVIF")
    return [name for name in FORMATS if name not in missing]


def register_heif() -> bool:
    """Teach Pillow to read HEIC where pillow-heif is installed; tell whether it is."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def looks_like_heif(path: Path) -> bool:
    """Tell by the first bytes whether the file is HEIC or HEIF."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in {
        b"heic",
        b"heix",
        b"hevc",
        b"heim",
        b"mif1",
        b"msf1",
    }


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse by the header alone what would not fit into memory.

    Raises:
        InputError: more pixels than `MAX_PIXELS`, or a side longer than `MAX_SIDE`.
    """
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise InputError(
            f"{path}: the picture is {width}x{height}, which is too large; scale it down to 8192x8192 or less"
        )


def transpose_upright(image: Image.Image, notes: list[str]) -> Image.Image:
    """Apply the EXIF orientation; a damaged EXIF block is ignored."""
    from PIL import ImageOps

    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
        upright = ImageOps.exif_transpose(image)
    except Exception as error:  # EXIF parsing fails in many ways, none of which harms the pixels
        log.debug("EXIF of %s ignored: %s", image, error)
        notes.append("damaged EXIF block ignored")
        return image
    if orientation != 1:
        notes.append("turned upright by its EXIF orientation")
    return upright


def to_srgb(image: Image.Image, notes: list[str]) -> tuple[Pixels, NDArray[np.float32] | None]:
    """Pixels (H, W, 3) uint8 sRGB and alpha (H, W) float32, or None where every pixel is opaque."""
    if image.mode.startswith(("I", "F")):
        grey = scale_to_eight_bits(np.asarray(image))
        return np.repeat(grey[..., None], 3, axis=2), None
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        channel = np.asarray(image.getchannel("A"))
        if channel.min() < 255:
            alpha = channel.astype(np.float32) / 255.0
        profile = image.info.get("icc_profile")
        image = image.convert("RGB")
        image.info["icc_profile"] = profile
    pixels = np.array(convert_profile(image, notes), np.uint8)
    return pixels, alpha


def convert_profile(image: Image.Image, notes: list[str]) -> Image.Image:
    """The picture in sRGB by its embedded colour profile; a profile that does not fit is ignored."""
    from PIL import ImageCms

    data = image.info.get("icc_profile")
    if not data or image.mode not in {"RGB", "L", "CMYK", "LAB"}:
        return image.convert("RGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        name = ImageCms.getProfileDescription(profile).strip()
        if "sRGB" in name and image.mode == "RGB":
            return image
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, *DECODE_ERRORS) as error:
        log.debug("colour profile ignored: %s", error)
        notes.append("damaged colour profile ignored")
        return image.convert("RGB")
    notes.append(f"colours converted to sRGB from {name or 'the embedded profile'}")
    return converted or image.convert("RGB")


def scale_to_eight_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Grey of 16 or 32 bits or floating point as uint8, scaled and never clipped.

    Floats up to 1 are taken as [0, 1], integers and floats up to 65535 as 16 bits, all else by their own range.
    """
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(numbers.min()), float(numbers.max())
    if low < 0:
        numbers, high = numbers - low, high - low
    if np.issubdtype(values.dtype, np.floating):
        full = 1.0 if high <= 1.0 else 255.0 if high <= 255.0 else 65535.0
    else:
        full = 65535.0
    return np.round(numbers * (255.0 / max(full, high))).astype(np.uint8)


def composite(pixels: Pixels, alpha: NDArray[np.float32], colour: tuple[int, int, int]) -> Pixels:
    """Lay the picture over one colour."""
    weight = alpha[..., None]
    mixed = pixels * weight + np.array(colour, np.float32) * (1.0 - weight)
    return np.round(mixed).astype(np.uint8)


def replace_background(
    pixels: Pixels,
    alpha: NDArray[np.float32],
    old: tuple[int, int, int],
    new: tuple[int, int, int],
) -> Pixels:
    """Lay a picture (H, W, 3) that was laid over one colour over another one."""
    if old == new:
        return pixels
    change = np.array(new, np.float32) - np.array(old, np.float32)
    mixed = np.rint(pixels + change * (1.0 - alpha[..., None]))
    return np.clip(mixed, 0, 255).astype(np.uint8)


def trim_to_even(
    pixels: Pixels, alpha: NDArray[np.float32] | None
) -> tuple[Pixels, NDArray[np.float32] | None]:
    """Cut off the last row and column where needed, since video needs even sizes; nothing is stretched."""
    height, width = (side // 2 * 2 for side in pixels.shape[:2])
    cut = np.ascontiguousarray(pixels[:height, :width])
    return cut, None if alpha is None else np.ascontiguousarray(alpha[:height, :width])
