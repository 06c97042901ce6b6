"""Every kind of picture becomes upright 8-bit sRGB of even size, or one clear error."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from talkhead_cli.errors import InputError, UsageError
from talkhead_cli.face.image import (
    DEFAULT_BACKGROUND,
    parse_colour,
    read_portrait_image,
    scale_to_eight_bits,
)


def gradient(width=160, height=140):
    """A picture whose corners all differ, (H, W, 3) uint8."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)


def save(tmp_path, image, name="picture.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def test_plain_rgb_is_kept_exactly(tmp_path):
    pixels = gradient()
    result = read_portrait_image(save(tmp_path, Image.fromarray(pixels)))
    np.testing.assert_array_equal(result.pixels, pixels)
    assert result.alpha is None
    assert result.file_size == (160, 140)
    assert result.file_format == "PNG"
    assert result.notes == ()


@pytest.mark.parametrize(("width", "height"), [(161, 140), (160, 141), (161, 141), (129, 129)])
def test_odd_sides_lose_a_row_or_column_and_are_not_stretched(tmp_path, width, height):
    pixels = gradient(width, height)
    result = read_portrait_image(save(tmp_path, Image.fromarray(pixels)))
    expected = pixels[: height // 2 * 2, : width // 2 * 2]
    np.testing.assert_array_equal(result.pixels, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = gradient(160, 140)
    back = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
        8: lambda p: np.rot90(p, -1),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path, Image.fromarray(np.ascontiguousarray(back)), exif=exif)
    result = read_portrait_image(path)
    np.testing.assert_array_equal(result.pixels, upright)
    assert bool(result.notes) == (orientation != 1)


def test_damaged_exif_is_ignored(tmp_path):
    path = save(tmp_path, Image.fromarray(gradient()), exif=b"Exif\0\0MM\0*\0\0\0\xff garbage")
    assert read_portrait_image(path).pixels.shape == (140, 160, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB", "HSV"])
def test_colour_modes_become_rgb(tmp_path, mode):
    image = Image.fromarray(gradient())
    suffix = {"CMYK": "jpg", "YCbCr": "jpg", "LAB": "tif", "HSV": "tif"}.get(mode, "png")
    if mode == "LAB":
        lab = ImageCms.profileToProfile(
            image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
        path = save(tmp_path, lab, "picture.tif")
    elif mode == "HSV":
        path = save(tmp_path, image.convert("RGB"), "picture.tif")
    else:
        path = save(tmp_path, image.convert(mode), f"picture.{suffix}")
    pixels = read_portrait_image(path).pixels
    assert pixels.shape == (140, 160, 3)
    assert pixels.dtype == np.uint8
    if mode in {"CMYK", "YCbCr", "LAB"}:
        difference = np.abs(pixels.astype(float) - gradient())
        assert difference[:, :, :2].mean() < 12


def test_grey_has_three_equal_channels(tmp_path):
    pixels = read_portrait_image(save(tmp_path, Image.fromarray(gradient()).convert("L"))).pixels
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 1])
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, name):
    ramp = np.linspace(0, 65535, 160).astype(np.uint16)[None].repeat(140, 0)
    path = save(tmp_path, Image.fromarray(ramp), name)
    pixels = read_portrait_image(path).pixels
    np.testing.assert_allclose(pixels[0, :, 0], ramp[0] / 257.0, atol=0.51)


def test_floating_point_pictures(tmp_path):
    ramp = np.linspace(0, 1, 160, dtype=np.float32)[None].repeat(140, 0)
    ramp[0, 0] = np.nan
    pixels = read_portrait_image(save(tmp_path, Image.fromarray(ramp), "float.tif")).pixels
    np.testing.assert_allclose(pixels[1, :, 0], ramp[1] * 255, atol=0.51)
    assert pixels[0, 0, 0] == 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 65535], np.int32), [0, 255]),
        (np.array([0, 2**31 - 1], np.int32), [0, 255]),
        (np.array([-10, 0], np.int32), [0, 0]),
        (np.array([0.0, 128.0, 255.0], np.float32), [0, 128, 255]),
        (np.array([0.0, 65535.0], np.float32), [0, 255]),
        (np.array([np.inf, np.nan, 0.5], np.float32), [0, 0, 128]),
    ],
)
def test_scale_to_eight_bits(values, expected):
    assert scale_to_eight_bits(values).tolist() == expected


def transparent(width=160, height=140):
    pixels = np.dstack([gradient(width, height), np.full((height, width), 255, np.uint8)])
    pixels[:, : width // 2, 3] = 0
    return pixels


@pytest.mark.parametrize(
    ("background", "colour"),
    [(None, DEFAULT_BACKGROUND), ("#102030", (16, 32, 48)), ((1, 2, 3),) * 2],
)
def test_alpha_is_kept_and_composited(tmp_path, background, colour):
    rgba = transparent()
    result = read_portrait_image(save(tmp_path, Image.fromarray(rgba)), background)
    assert result.alpha is not None
    np.testing.assert_array_equal(result.alpha, rgba[..., 3] / np.float32(255))
    assert (result.pixels[:, :80] == colour).all()
    np.testing.assert_array_equal(result.pixels[:, 80:], rgba[:, 80:, :3])


def test_alpha_of_odd_size_is_trimmed_alike(tmp_path):
    result = read_portrait_image(save(tmp_path, Image.fromarray(transparent(161, 141))))
    assert result.alpha is not None
    assert result.alpha.shape == result.pixels.shape[:2] == (140, 160)


def test_opaque_alpha_is_dropped(tmp_path):
    rgba = np.dstack([gradient(), np.full((140, 160), 255, np.uint8)])
    assert read_portrait_image(save(tmp_path, Image.fromarray(rgba)), "red").alpha is None


def test_wholly_transparent_picture_is_refused(tmp_path):
    rgba = np.dstack([gradient(), np.zeros((140, 160), np.uint8)])
    with pytest.raises(InputError, match="transparent"):
        read_portrait_image(save(tmp_path, Image.fromarray(rgba)))


def test_palette_and_grey_with_transparency(tmp_path):
    palette = Image.fromarray(gradient()).quantize(16)
    result = read_portrait_image(save(tmp_path, palette, "palette.png", transparency=0))
    assert result.alpha is not None
    grey_alpha = Image.fromarray(transparent()).convert("LA")
    result = read_portrait_image(save(tmp_path, grey_alpha, "grey.png"))
    assert result.alpha is not None
    assert result.alpha.min() == 0


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_first_frame_of_an_animation(tmp_path, suffix):
    first = Image.new("RGB", (160, 140), (200, 30, 40))
    second = Image.new("RGB", (160, 140), (0, 0, 255))
    path = save(tmp_path, first, f"moving.{suffix}", save_all=True, append_images=[second])
    result = read_portrait_image(path)
    assert np.abs(result.pixels.astype(int) - (200, 30, 40)).max() <= 8
    assert "several frames" in result.notes[0]


def test_icc_profile_is_converted(tmp_path):
    image = Image.fromarray(gradient())
    # A profile whose description is no sRGB: L*a*b* to RGB cannot be stored, so a linear-light one is made by hand.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    renamed = profile.replace("sRGB".encode("utf-16-be"), "qRGB".encode("utf-16-be"))
    path = save(tmp_path, image, icc_profile=renamed)
    result = read_portrait_image(path)
    np.testing.assert_allclose(result.pixels.astype(int), gradient().astype(int), atol=2)


def test_damaged_icc_profile_is_ignored(tmp_path):
    path = save(tmp_path, Image.fromarray(gradient()), icc_profile=b"no profile at all")
    result = read_portrait_image(path)
    np.testing.assert_array_equal(result.pixels, gradient())
    assert result.notes == ("damaged colour profile ignored",)


def test_heic_where_pillow_heif_is_installed(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    path = save(tmp_path, Image.fromarray(gradient()), "picture.heic", quality=95)
    assert read_portrait_image(path).pixels.shape == (140, 160, 3)


def test_heic_without_pillow_heif_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("talkhead_cli.face.image.register_heif", lambda: False)
    path = tmp_path / "picture.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 64)
    with pytest.raises(InputError, match="pillow-heif"):
        read_portrait_image(path)


def png_header(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("width", "height"), [(50_000, 50_000), (9000, 9000), (20_000, 200), (2**31 - 1, 2**31 - 1)]
)
def test_bombs_are_refused_by_their_header(tmp_path, width, height):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(width, height))
    with pytest.raises(InputError, match="8192x8192"):
        read_portrait_image(path)


def test_too_small_is_refused(tmp_path):
    with pytest.raises(InputError, match="only 127x200"):
        read_portrait_image(save(tmp_path, Image.fromarray(gradient(127, 200))))


def broken_files(tmp_path):
    good = save(tmp_path, Image.fromarray(gradient()), "good.png").read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    jpeg = save(tmp_path, Image.fromarray(noise), "good.jpg", quality=95).read_bytes()
    return {
        "empty.png": b"",
        "text.jpg": b"this is no picture\n" * 50,
        "half.png": good[: len(good) // 2],
        "half.jpg": jpeg[: len(jpeg) // 3],
        "head.png": good[:20],
        "flipped.png": good[:60] + bytes(byte ^ 0xFF for byte in good[60:]),
    }


@pytest.mark.parametrize(
    "name", ["empty.png", "text.jpg", "half.png", "half.jpg", "head.png", "flipped.png"]
)
def test_broken_files_give_one_line_that_names_the_file(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(broken_files(tmp_path)[name])
    with pytest.raises(InputError) as caught:
        read_portrait_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folder_and_forbidden(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no such file"):
        read_portrait_image(tmp_path / "missing.png")
    with pytest.raises(InputError, match="folder"):
        read_portrait_image(tmp_path)
    path = save(tmp_path, Image.fromarray(gradient()))

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("PIL.Image.open", refuse)  # file modes do not stop a test that runs as root
    with pytest.raises(InputError, match="permission"):
        read_portrait_image(path)


def test_formats_that_start_other_programs_are_refused(tmp_path):
    path = tmp_path / "page.eps"
    path.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 200 200\n%%EndComments\nshowpage\n%%EOF\n"
    )
    with pytest.raises(InputError, match=r"EPS|picture"):
        read_portrait_image(path)


def test_colours():
    assert parse_colour(None) is None
    assert parse_colour("white") == (255, 255, 255)
    assert parse_colour(" #0f0 ") == (0, 255, 0)
    assert parse_colour((1, 2, 3)) == (1, 2, 3)
    for wrong in ("no colour", "#12", (1, 2), (0, 0, 256)):
        with pytest.raises(UsageError, match="background"):
            parse_colour(wrong)
