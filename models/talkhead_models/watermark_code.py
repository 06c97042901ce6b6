"""The bits of the invisible watermark: a payload and its checksum as places of patterns.

The 32 bits of payload and a CRC of 16 are cut into four symbols of 12. A symbol is said by where its pattern lies: at
one of 64 x 64 places of a torus. The reader takes the place that correlates best, or the next best ones, until the
checksum fits: a soft decision over 4,096 orthogonal signals for each symbol.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from itertools import product

PAYLOAD_BITS = 32
SYMBOLS = 4
SYMBOL_BITS = 12
PLACES = 1 << SYMBOL_BITS

VERSION = 1
"""Of patterns and code, the payload's first four bits."""

HASH_BITS = 28


def payload_of(settings_sha256: str) -> int:
    """The payload of a render: the version, then the beginning of the hash of its settings.

    Args:
        settings_sha256: in hexadecimal.

    Raises:
        ValueError: not hexadecimal, or shorter than what is taken of it.
    """
    digits = settings_sha256[: HASH_BITS // 4]
    if len(digits) < HASH_BITS // 4:
        raise ValueError(f"a hash of at least {HASH_BITS // 4} digits is wanted, got {digits!r}")
    return VERSION << HASH_BITS | int(digits, 16)


def show_payload(payload: int) -> str:
    """A payload as eight hexadecimal digits: the version, then seven of the hash."""
    return f"{payload:0{PAYLOAD_BITS // 4}x}"


def checksum(payload: int) -> int:
    """CRC-16 (CCITT) of a payload."""
    return binascii.crc_hqx(payload.to_bytes(PAYLOAD_BITS // 8, "big"), 0xFFFF)


def encode_payload(payload: int) -> tuple[int, ...]:
    """The four symbols of a payload, each below `PLACES`.

    Raises:
        ValueError: the payload has more than 32 bits.
    """
    if not 0 <= payload < 1 << PAYLOAD_BITS:
        raise ValueError(f"a payload has {PAYLOAD_BITS} bits, got {payload}")
    word = payload << 16 | checksum(payload)
    return tuple(word >> SYMBOL_BITS * k & PLACES - 1 for k in reversed(range(SYMBOLS)))


def decode_payload(candidates: Sequence[Sequence[int]]) -> int | None:
    """The payload whose checksum fits.

    Args:
        candidates: for each of the four symbols what it may be, the likeliest first.

    Returns:
        That of the likeliest combination that fits, of a version that is known; None where there is none.
    """
    ranked = product(*(list(enumerate(each)) for each in candidates))
    for choice in sorted(ranked, key=lambda each: sum(rank for rank, _ in each)):
        word = 0
        for _, symbol in choice:
            word = word << SYMBOL_BITS | symbol
        payload, check = word >> 16, word & 0xFFFF
        if checksum(payload) == check and payload >> HASH_BITS == VERSION:
            return payload
    return None
