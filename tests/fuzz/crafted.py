"""Files made to hurt: bombs, sizes and lengths that are not so. Each function writes one."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import soundfile

from tests.fuzz.seeds import run_ffmpeg

# Sound.


def wav(path: Path, rate: int, channels: int, samples: bytes, data_size: int | None = None) -> Path:
    """A wav file of 16-bit samples whose header says what it is told to."""
    size = len(samples) if data_size is None else data_size
    form = struct.pack(
        "<HHIIHH", 1, channels, rate, (rate * channels * 2) % 2**32, (2 * channels) % 2**16, 16
    )
    body = (
        b"WAVEfmt "
        + struct.pack("<I", len(form))
        + form
        + b"data"
        + struct.pack("<I", size % 2**32)
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", (36 + size) % 2**32) + body + samples)
    return path


def generate(source: str, *rest: object) -> None:
    """Run ffmpeg on a source of its own."""
    run_ffmpeg("-f", "lavfi", "-i", source, *rest)


def slow_wav(path: Path) -> Path:
    return wav(path, 1, 1, bytes(2000))


def fast_wav(path: Path) -> Path:
    return wav(path, 10_000_000, 1, bytes(10_000_000))


def wide_wav(path: Path) -> Path:
    return wav(path, 16000, 255, bytes(255 * 2 * 16000))


def zero_length_wav(path: Path) -> Path:
    return wav(path, 16000, 1, b"")


def boastful_wav(path: Path) -> Path:
    """Says that it lasts for hours, and holds half a second."""
    return wav(path, 16000, 1, bytes(16000), 0x7FF00000)


def not_numbers_wav(path: Path) -> Path:
    samples = np.full(16000, np.nan, np.float32)
    samples[::3] = np.inf
    samples[1::3] = -np.inf
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    return path


def endless_flac(path: Path) -> Path:
    """A few kilobytes of silence that are an hour, and do not say so."""
    whole = path.with_name("short.flac")
    generate(
        "anullsrc=r=8000:cl=mono:d=3600",
        "-c:a",
        "flac",
        "-compression_level",
        "0",
        "-frame_size",
        "65535",
        whole,
    )
    data = bytearray(whole.read_bytes())
    whole.unlink()
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    return path


def large_art_mp3(path: Path) -> Path:
    """An mp3 file whose picture says that it is 256 MiB large."""
    whole = path.with_name("plain.mp3")
    generate("sine=d=1:r=16000", whole)
    size = bytes([0x7F, 0x7F, 0x7F, 0x7F])
    frame = b"APIC" + size + b"\0\0" + b"\0image/png\0\3\0"
    path.write_bytes(b"ID3\4\0\0" + size + frame + bytes(2_000_000) + whole.read_bytes())
    whole.unlink()
    return path


# Films.


def ages_film(path: Path) -> Path:
    """Two pictures that are years apart: at a constant rate, thousands of millions."""
    whole = path.with_name("two.mp4")
    generate(
        "testsrc=s=256x256:r=25:d=0.08",
        "-c:v",
        "mpeg4",
        "-use_editlist",
        "0",
        "-video_track_timescale",
        "25",
        whole,
    )
    data = bytearray(whole.read_bytes())
    whole.unlink()
    times = data.index(b"stts")
    data[times + 16 : times + 20] = struct.pack(">I", 0x7FFF0000)
    path.write_bytes(data)
    return path


def vast_film(path: Path) -> Path:
    """One picture of 30000 by 30000 pixels."""
    whole = path.with_name("small.avi")
    generate(
        "color=s=128x128:r=25:d=0.04",
        "-c:v",
        "rawvideo",
        "-pix_fmt",
        "bgr24",
        whole,
    )
    data = bytearray(whole.read_bytes())
    whole.unlink()
    for sign in (1, -1):  # upright, and as such files mostly are
        small, vast = struct.pack("<Ii", 128, 128 * sign), struct.pack("<Ii", 30000, 30000 * sign)
        data = data.replace(small, vast)
    path.write_bytes(data)
    return path


# Pictures.


def png_chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png(path: Path, width: int, height: int, *chunks: bytes) -> Path:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b""))
    return path


def bomb_png(path: Path) -> Path:
    """A tenth of a megabyte that unfolds to 8000 by 8000 pixels, which are within the limit, and none is a face."""
    rows = zlib.compress(bytes(8000 * (8000 * 3 + 1)), 9)
    return png(path, 8000, 8000, png_chunk(b"IDAT", rows))


def vast_png(path: Path) -> Path:
    return png(path, 60_000, 60_000, png_chunk(b"IDAT", zlib.compress(b"\0")))


def text_bomb_png(path: Path) -> Path:
    """Remarks and a colour profile that unfold to a hundred megabytes each."""
    bomb = zlib.compress(bytes(100_000_000), 9)
    texts = [png_chunk(b"zTXt", b"a%d\0\0" % index + bomb) for index in range(5)]
    rows = zlib.compress(bytes(256 * (256 * 3 + 1)))
    return png(
        path, 256, 256, png_chunk(b"iCCP", b"x\0\0" + bomb), *texts, png_chunk(b"IDAT", rows)
    )


def many_frames_gif(path: Path) -> Path:
    """A hundred thousand pictures."""
    head = b"GIF89a" + struct.pack("<HHBBB", 256, 256, 0x80, 0, 0) + bytes(6)
    picture = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    path.write_bytes(head + picture * 100_000 + b";")
    return path


def many_frames_tif(path: Path) -> Path:
    """A hundred thousand pictures, each the next of the one before."""
    parts = [struct.pack("<2sHI", b"II", 42, 8)]
    position = 8
    for _ in range(100_000):
        tags = [
            (256, 4, 256),
            (257, 4, 256),
            (258, 3, 8),
            (259, 3, 1),
            (262, 3, 1),
            (273, 4, 8),
            (279, 4, 65536),
        ]
        size = 2 + 12 * len(tags) + 4
        position += size
        parts.append(struct.pack("<H", len(tags)))
        parts += [struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags]
        parts.append(struct.pack("<I", position))
    path.write_bytes(b"".join(parts) + bytes(65536))
    return path


def circular_tif(path: Path) -> Path:
    """A picture that is followed by itself."""
    tags = [
        (256, 4, 256),
        (257, 4, 256),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 200),
        (279, 4, 65536),
    ]
    body = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(tags))
    body += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    path.write_bytes((body + struct.pack("<I", 8)).ljust(200, b"\0") + bytes(65536))
    return path


# Numbers and text.


def npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


class Payload:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def pickled_npz(path: Path) -> Path:
    objects = np.array([Payload(path.with_name("unpickled"))], dtype=object)
    return npz(path, version=npy(objects), fps=npy(objects), expression=npy(objects))


def bomb_npz(path: Path) -> Path:
    """A file of half a megabyte that unfolds to 512."""
    return npz(
        path,
        version=npy(np.array(1)),
        fps=npy(np.array([25, 1])),
        expression=npy(np.zeros((2**20, 128), np.float32)),
    )


def boastful_npz(path: Path) -> Path:
    """An array that says that it has more numbers than there are atoms."""
    head = npy(np.zeros((2, 3), np.float32)).replace(b"(2, 3)", b"(9999999999999, 9999999)")
    return npz(path, version=npy(np.array(1)), fps=npy(np.array([25, 1])), expression=head)


def wide_csv(path: Path) -> Path:
    row = ",".join(f"c{index}" for index in range(1_000_000))
    path.write_text(f"Timecode,JawOpen,{row}\n00:00:00:00,0.1,{row}\n")
    return path


def nul_csv(path: Path) -> Path:
    path.write_bytes(b"Timecode,JawOpen\n00:00:00:00,\x000.5\n00:00:00:01,0.5\x00\n")
    return path


def wide_manifest(path: Path) -> Path:
    row = ",".join(f"c{index}" for index in range(1_000_000))
    path.write_text(f"portrait,audio,{row}\nface.png,speech.wav,{row}\n")
    return path


def nul_manifest(path: Path) -> Path:
    path.write_bytes(
        b"portrait,audio\n" + b"face.png,speech.wav\n" * 300 + b"fa\0ce.png,speech.wav\n"
    )
    return path


def deep_manifest(path: Path) -> Path:
    path.write_text('{"portrait": ' + "[" * 100_000 + "]" * 100_000 + "}\n")
    return path


def long_number_manifest(path: Path) -> Path:
    path.write_text(
        '{"portrait": "face.png", "audio": "speech.wav", "seed": ' + "9" * 10_000 + "}\n"
    )
    return path


def laughing_preset(path: Path) -> Path:
    """Aliases of aliases: nine lines that are a thousand million words."""
    lines = ['a0: &a0 ["lol"]']
    for level in range(1, 10):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]")
    path.write_text("\n".join([*lines, "crf: *a9", ""]))
    return path


def merging_preset(path: Path) -> Path:
    path.write_text("a: &a {crf: 20}\n<<: *a\n")
    return path


def tagged_preset(path: Path) -> Path:
    path.write_text(f"crf: !!python/object/apply:pathlib.Path.touch [{path.with_name('tagged')}]\n")
    return path


def deep_preset(path: Path) -> Path:
    path.write_text("crf: " + "[" * 2000 + "\n")
    return path


def impossible_date_preset(path: Path) -> Path:
    path.write_text("description: 2001-99-99\n")
    return path


def long_number_preset(path: Path) -> Path:
    path.write_text("crf: 0x" + "f" * 20_000 + "\n")
    return path


# Bundles: bytes that take the place of a real one.


def bundle_bytes(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


VAST = {"channels": [2**30, 2**30], "hidden": 2**40, "denoiser": {"hidden": 2**40}}

BUNDLES = {
    "empty": b"",
    "endless-header": (2**63 - 1).to_bytes(8, "little") + b"{}",
    "deep-header": bundle_bytes(b'{"__metadata__": ' + b"[" * 100_000),
    "list-header": bundle_bytes([1, 2]),
    "list-metadata": bundle_bytes({"__metadata__": ["config"]}),
    "number-config": bundle_bytes({"__metadata__": {"config": "7"}}),
    "list-config": bundle_bytes({"__metadata__": {"config": "[1]"}}),
    "no-tensors": bundle_bytes({"__metadata__": {"config": "{}"}}),
    "overlap": bundle_bytes(
        {"__metadata__": {"config": "{}"}, "a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, bytes(4)
    ),
    "vast-network": bundle_bytes({"__metadata__": {"config": json.dumps(VAST)}}),
}  # fmt: skip
