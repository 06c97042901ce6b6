"""Real files, damaged: by bytes, where a format's own numbers stand, and across files."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

INTERESTING = (0, 1, -1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
PNG = b"\x89PNG\r\n\x1a\n"

Change = Callable[[bytearray, random.Random], bytearray]


def place(data: bytearray, rng: random.Random) -> int:
    """A position, in the header as often as anywhere."""
    reach = min(len(data), rng.choice([16, 64, 512, len(data), len(data), len(data)]))
    return rng.randrange(max(1, reach))


def cut(data: bytearray, rng: random.Random) -> bytearray:
    return data[: place(data, rng)]


def flip(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice([1, 4, 64])):
        if data:
            data[place(data, rng)] ^= 1 << rng.randrange(8)
    return data


def number(data: bytearray, rng: random.Random) -> bytearray:
    """Overwrite what may be a size, a count or an offset."""
    size, order = rng.choice([1, 2, 4, 8]), rng.choice(["little", "big"])
    value = rng.choice(INTERESTING) % (1 << 8 * size)
    start = place(data, rng)
    data[start : start + size] = value.to_bytes(size, "big" if order == "big" else "little")
    return data


def fill(data: bytearray, rng: random.Random) -> bytearray:
    start, length = place(data, rng), rng.choice([4, 64, 4096])
    filler = rng.choice([b"\0", b"\xff", rng.randbytes(1)])
    data[start : start + length] = filler * min(length, max(0, len(data) - start))
    return data


def remove(data: bytearray, rng: random.Random) -> bytearray:
    start = place(data, rng)
    del data[start : start + rng.choice([1, 3, 64, 1024])]
    return data


def repeat(data: bytearray, rng: random.Random) -> bytearray:
    start = place(data, rng)
    block = bytes(data[start : start + rng.choice([1, 16, 256])])
    data[start:start] = block * rng.choice([1, 100])
    return data


def insert(data: bytearray, rng: random.Random) -> bytearray:
    start = place(data, rng)
    data[start:start] = rng.randbytes(rng.choice([1, 2, 100]))
    return data


CHANGES: tuple[Change, ...] = (cut, flip, flip, number, number, fill, remove, repeat, insert)


def mutate(data: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """A damaged file; now and then the beginning of one and the end of another, or nothing but noise."""
    kind = rng.random()
    if kind < 0.04:
        return rng.randbytes(rng.choice([0, 1, 100, 20_000]))
    found = bytearray(data)
    if others and kind < 0.14:
        other = rng.choice(others)
        found = found[: place(found, rng)] + other[rng.randrange(max(1, len(other))) :]
    else:
        for _ in range(rng.randint(1, 3)):
            found = rng.choice(CHANGES)(found, rng)
    if found.startswith(PNG) and rng.random() < 0.7:
        found = bytearray(with_checksums(bytes(found)))
    return bytes(found)


def with_checksums(png: bytes) -> bytes:
    """A PNG file whose chunks have the checksums that they should have: damage is to be met further inside."""
    out, position = [PNG], len(PNG)
    while position + 12 <= len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        if position + 12 + length > len(png):
            break
        body = png[position + 4 : position + 8 + length]
        out.append(png[position : position + 4] + body + struct.pack(">I", zlib.crc32(body)))
        position += 12 + length
    return b"".join(out) + png[position:]


def mutate_text(text: str, rng: random.Random, words: Sequence[str]) -> str:
    """A text with pieces of it replaced by others, moved and left out."""
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice([0, 0, 1, 5, 30]))
        text = text[:start] + rng.choice(words) + text[end:]
    return text
