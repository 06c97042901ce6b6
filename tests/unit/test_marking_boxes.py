"""The XMP packet as a box of MP4 files."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkhead_cli.marking import boxes
from talkhead_cli.marking.boxes import XMP_UUID, append_box, read_boxes, read_xmp, xmp_box
from talkhead_cli.marking.limits import MarkError

kinds = st.sampled_from([b"ftyp", b"moov", b"mdat", b"free", b"uuid", b"moof"])
contents = st.binary(min_size=16, max_size=60)


def box(kind: bytes, content: bytes, large: bool = False) -> bytes:
    if large:
        return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content
    return struct.pack(">I4s", 8 + len(content), kind) + content


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return tmp_path / "film.mp4"


@given(st.lists(st.tuples(kinds, contents, st.booleans()), min_size=1, max_size=6), st.binary())
def test_a_packet_is_found_behind_whatever_there_was(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[bytes, bytes, bool]],
    packet: bytes,
) -> None:
    film = tmp_path_factory.getbasetemp() / "any-boxes.mp4"
    before = b"".join(box(*part) for part in parts)
    film.write_bytes(before)
    append_box(film, xmp_box(packet))
    after = film.read_bytes()
    assert after.startswith(before)
    assert read_xmp(film) == packet
    with film.open("rb") as file:
        found = list(read_boxes(file))
    assert [each.kind for each in found] == [*(part[0] for part in parts), b"uuid"]
    assert sum(each.size for each in found) == len(after)


def test_the_box_is_what_the_standard_says() -> None:
    made = xmp_box(b"<x/>")
    assert made[:4] == (28).to_bytes(4, "big")
    assert made[4:8] == b"uuid"
    assert made[8:24].hex().upper() == "BE7ACFCB97A942E89C71999491E3AFAC"
    assert made[24:] == b"<x/>"


def test_nothing_is_put_behind_a_box_without_end(film: Path) -> None:
    film.write_bytes(box(b"ftyp", b"isom") + struct.pack(">I4s", 0, b"mdat") + b"frames")
    before = film.read_bytes()
    with pytest.raises(MarkError, match="has no size"):
        append_box(film, xmp_box(b"<x/>"))
    assert film.read_bytes() == before
    assert read_xmp(film) is None


@pytest.mark.parametrize(
    "damaged",
    [
        box(b"ftyp", b"isom")[:-1],
        box(b"ftyp", b"isom") + b"\0\0\0",
        struct.pack(">I4s", 7, b"free"),
        struct.pack(">I4sQ", 1, b"mdat", 15),
        struct.pack(">I4sQ", 1, b"mdat", 2**63),
        struct.pack(">I4s", 1, b"mdat") + b"\0\0",
    ],
)
def test_damaged_boxes_are_told(film: Path, damaged: bytes) -> None:
    film.write_bytes(damaged)
    with pytest.raises(MarkError, match="damaged"):
        read_xmp(film)


def test_a_packet_is_not_read_beyond_its_limit(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "MAX_XMP_BYTES", 10)
    film.write_bytes(xmp_box(b"x" * 11))
    with pytest.raises(MarkError, match="larger than 10 bytes"):
        read_xmp(film)


def test_there_is_an_end_to_the_boxes_that_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "MAX_BOXES", 5)
    with pytest.raises(MarkError):
        list(read_boxes(io.BytesIO(box(b"free", b"") * 6)))


@given(st.binary(max_size=120))
def test_noise_is_no_film(noise: bytes) -> None:
    try:
        found = list(read_boxes(io.BytesIO(noise)))
    except MarkError:
        return
    assert all(each.start + each.size <= len(noise) for each in found)


def test_of_other_boxes_with_an_identity_nothing_is_read(film: Path) -> None:
    other = bytes(reversed(XMP_UUID.bytes))
    film.write_bytes(box(b"uuid", other + b"<x/>") + box(b"uuid", b"short"))
    assert read_xmp(film) is None
