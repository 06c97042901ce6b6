"""Pictures in Display P3 and Adobe RGB come out in sRGB; the profiles are made from the published primaries."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkhead_cli.face.image import read_portrait_image

# Columns: red, green and blue as XYZ adapted to D50, as profiles hold them.
PRIMARIES = {
    "Display P3": [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]],
    "Adobe RGB (1998)": [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]],
    "sRGB": [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]],
}  # fmt: skip
ADOBE_GAMMA = 563 / 256


def from_srgb(values: np.ndarray) -> np.ndarray:
    """sRGB's curve to linear light, both in [0, 1]; Display P3 has the same."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def to_srgb(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def make_profile(name: str) -> bytes:
    """A version 2 ICC profile: a matrix and a curve (ICC.1:2001-04)."""

    def xyz(values: list[float]) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    if name == "Adobe RGB (1998)":
        curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(ADOBE_GAMMA * 256)) + b"\0\0"
    else:
        points = np.rint(from_srgb(np.linspace(0, 1, 1024)) * 65535).astype(int)
        curve = b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *points)
    label = name.encode() + b"\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", len(label)) + label + bytes(78)
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz([0.9642, 1.0, 0.8249])}
    for index, colour in enumerate(b"rgb"):
        tags[bytes([colour]) + b"XYZ"] = xyz([row[index] for row in PRIMARIES[name]])
        tags[bytes([colour]) + b"TRC"] = curve
    offset = 132 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for key, content in tags.items():
        table += key + struct.pack(">II", offset + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s4sIIIQI12s48s",
        offset + len(data), b"test", 0x02400000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp", bytes(4),
        0, 0, 0, 0, 0, struct.pack(">3i", 63190, 65536, 54061), bytes(48),
    )  # fmt: skip
    return header + table + data


def expected(pixels: np.ndarray, name: str) -> np.ndarray:
    """What a picture in a profile's colours looks like in sRGB, by the definitions."""
    values = pixels / 255
    light = values**ADOBE_GAMMA if name == "Adobe RGB (1998)" else from_srgb(values)
    matrix = np.linalg.inv(PRIMARIES["sRGB"]) @ np.array(PRIMARIES[name])
    return to_srgb(light @ matrix.T) * 255


@pytest.mark.parametrize("name", ["Display P3", "Adobe RGB (1998)"])
@pytest.mark.parametrize("transparent", [False, True])
def test_colours_are_converted(name: str, transparent: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    # Colours of skin, hair and cloth, and fully saturated ones, which sRGB cannot hold.
    muted = 128 + (rng.uniform(-1, 1, (8, 16, 3)) * 70)
    vivid = rng.choice([0, 255], (2, 16, 3))
    pixels = np.concatenate([muted, vivid]).round().astype(np.uint8).repeat(16, 0).repeat(16, 1)
    picture = pixels
    if transparent:
        picture = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], -1)
        picture[:2, :, 3] = 0
    path = tmp_path / "portrait.png"
    Image.fromarray(picture).save(path, icc_profile=make_profile(name))
    result = read_portrait_image(path, "white")
    wanted = expected(pixels, name)
    assert np.abs(wanted - pixels).max() > 15
    seen = result.pixels.astype(float)
    assert np.abs(seen - wanted)[2:].max() <= 2
    assert any(name in note for note in result.notes)
