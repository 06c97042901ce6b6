"""The boxes of MP4 and QuickTime files (ISO/IEC 14496-12), as far as an XMP packet needs them.

The packet is a top-level box of type `uuid`, as XMP's specification part 3 says for MPEG-4. Ours is the last, so that
no offset of a sample changes, and after a fragmented stream it can still be written.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from talkhead_cli.marking.limits import MAX_BOXES, MAX_XMP_BYTES, MarkError

XMP_UUID = UUID("BE7ACFCB-97A9-42E8-9C71-999491E3AFAC")

SMALL = struct.Struct(">I4s")
LARGE = struct.Struct(">Q")


@dataclass(frozen=True)
class Box:
    """A top-level box.

    Attributes:
        kind: its four bytes.
        start: offset in the file, in bytes.
        size: in bytes, the header included.
        header: size of the header alone.
    """

    kind: bytes
    start: int
    size: int
    header: int


def xmp_box(packet: bytes) -> bytes:
    """A packet as a box."""
    payload = XMP_UUID.bytes + packet
    return SMALL.pack(SMALL.size + len(payload), b"uuid") + payload


def append_box(path: Path, box: bytes) -> None:
    """Add a box behind the last one.

    Raises:
        MarkError: the last box has no size but reaches to the end of the file, or the file is damaged.
        OSError: the file cannot be written.
    """
    with path.open("rb+") as file:
        for last in read_boxes(file):
            if last.size == 0:
                raise MarkError("the last box of the file has no size, so that none can follow")
        file.seek(0, os.SEEK_END)
        file.write(box)


def read_boxes(file: BinaryIO, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes from the first on; the size of one that reaches to the end of the file is 0.

    Args:
        file: to be read anywhere.
        start: offset of the first box; that of the content of a box, for those inside.
        end: where the last one ends; the end of the file unless given.

    Raises:
        MarkError: a box reaches beyond the end, or there are too many.
    """
    if end is None:
        end = file.seek(0, os.SEEK_END)
    count = 0
    while start < end:
        file.seek(start)
        head = file.read(SMALL.size)
        count += 1
        if len(head) < SMALL.size or count > MAX_BOXES:
            raise MarkError("the boxes of the file are damaged")
        size, kind = SMALL.unpack(head)
        header = SMALL.size
        if size == 1:
            large = file.read(LARGE.size)
            header += LARGE.size
            if len(large) < LARGE.size:
                raise MarkError("the boxes of the file are damaged")
            (size,) = LARGE.unpack(large)
        if size == 0:
            yield Box(kind, start, 0, header)
            return
        if size < header or start + size > end:
            raise MarkError("the boxes of the file are damaged, or the file is cut off")
        yield Box(kind, start, size, header)
        start += size


def read_xmp(path: Path) -> bytes | None:
    """The XMP packet of an MP4 or QuickTime file; None where there is none, the last where there are several.

    Raises:
        MarkError: the file is damaged, or the packet too large.
        OSError: it cannot be read.
    """
    found = None
    with path.open("rb") as file:
        for box in read_boxes(file):
            if box.kind != b"uuid" or box.size < box.header + len(XMP_UUID.bytes):
                continue
            file.seek(box.start + box.header)
            if file.read(len(XMP_UUID.bytes)) != XMP_UUID.bytes:
                continue
            size = box.size - box.header - len(XMP_UUID.bytes)
            if size > MAX_XMP_BYTES:
                raise MarkError(f"the XMP packet is larger than {MAX_XMP_BYTES} bytes")
            found = file.read(size)
    return found
