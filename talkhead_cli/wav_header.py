"""The header of a wav file that comes through a pipe.

ffmpeg looks at 64 KiB of such a file before it gives the first sample: two seconds of 16 kHz speech. So the header of
the plain kinds is read here, and ffmpeg is given bare samples.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

LARGEST_RIFF = 0x7FFF_0000
"""Sizes above this in a wav header stand for "not known": programs that write to a pipe put them there."""

MAX_HEADER = 1 << 16
"""Bytes before the samples that are looked through."""

SLOWEST_RATE, FASTEST_RATE = 2000, 768_000
"""Samples a second outside of which nothing is speech."""

PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE

FORMATS = {
    (PCM, 8): "u8",
    (PCM, 16): "s16le",
    (PCM, 24): "s24le",
    (PCM, 32): "s32le",
    (FLOAT, 32): "f32le",
    (FLOAT, 64): "f64le",
    (ALAW, 8): "alaw",
    (MULAW, 8): "mulaw",
}
"""Format tag and bits of a sample to ffmpeg's name; the codec is called pcm_ and that."""


@dataclass(frozen=True)
class WavHeader:
    """What a wav header says.

    Attributes:
        offset: bytes before the first sample.
        samples: ffmpeg's name of the sample format, such as "s16le".
        sample_rate: Hz.
        channels: 1 or 2.
        frame_bytes: of one sample of every channel.
        num_bytes: of all samples; None where the header does not know.
    """

    offset: int
    samples: str
    sample_rate: int
    channels: int
    frame_bytes: int
    num_bytes: int | None

    @property
    def codec(self) -> str:
        """ffmpeg's name of the codec."""
        return f"pcm_{self.samples}"

    @property
    def seconds(self) -> float | None:
        """Length that the header promises."""
        if self.num_bytes is None:
            return None
        return self.num_bytes / self.frame_bytes / self.sample_rate


def is_complete(head: bytes) -> bool:
    """Whether there is enough of a file to say what `parse_wav` says of it."""
    return not looks_like_wav(head) or len(head) >= MAX_HEADER or "data" in find_chunks(head)


def parse_wav(head: bytes) -> WavHeader | None:
    """The header at the beginning of a file; None where it is none, or of a kind that is left to ffmpeg."""
    chunks = find_chunks(head) if looks_like_wav(head) else {}
    if "data" not in chunks or "fmt " not in chunks:
        return None
    start, length = chunks["fmt "]
    described = head[start : start + length]
    if len(described) < 16:
        return None
    tag, channels, rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", described[:16])
    if tag == EXTENSIBLE and len(described) >= 26:
        if struct.unpack("<H", described[18:20])[0] not in (0, bits):
            return None
        (tag,) = struct.unpack("<H", described[24:26])
    samples = FORMATS.get((tag, bits))
    if (
        samples is None
        or channels not in (1, 2)
        or not SLOWEST_RATE <= rate <= FASTEST_RATE
        or frame_bytes != channels * bits // 8
    ):
        return None
    offset, size = chunks["data"]
    return WavHeader(
        offset, samples, rate, channels, frame_bytes, size if 0 < size < LARGEST_RIFF else None
    )


def looks_like_wav(head: bytes) -> bool:
    """Whether a file may be a wav file, as far as it is known."""
    return b"RIFF".startswith(head[:4]) and b"WAVE".startswith(head[8:12])


def find_chunks(head: bytes) -> dict[str, tuple[int, int]]:
    """Name to start and length of the chunks of a wav file, up to and with its samples, as far as they are known."""
    found: dict[str, tuple[int, int]] = {}
    position = 12
    while position + 8 <= len(head) and "data" not in found:
        name, length = struct.unpack("<4sI", head[position : position + 8])
        found[name.decode("latin-1")] = (position + 8, length)
        position += 8 + length + length % 2
    return found
