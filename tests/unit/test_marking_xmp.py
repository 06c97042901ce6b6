"""XMP packets: ours read back, others' forms, and packets that are made to hurt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkhead_cli.marking.limits import MAX_DEPTH, MAX_XMP_BYTES, MarkError
from talkhead_cli.marking.record import SOURCE_TYPE, Marks
from talkhead_cli.marking.xmp import DC, IPTC, RDF, XMP, build_packet, read_packet

HASH = "0123456789abcdef" * 4
MARKS = Marks(HASH)

words = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufffe\uffff"),
    min_size=1,
).filter(lambda text: text == text.strip() and text.isprintable())


def wrapped(inside: str) -> bytes:
    names = f'xmlns:xmp="{XMP}" xmlns:i="{IPTC}" xmlns:dc="{DC}"'
    return f'<rdf:RDF xmlns:rdf="{RDF}" {names}>{inside}</rdf:RDF>'.encode()


@given(words, words)
def test_what_is_written_is_read(version: str, source_type: str) -> None:
    marks = Marks(HASH, version, source_type)
    packet = build_packet(marks)
    assert "\n" not in packet
    found = read_packet(packet.encode())
    assert found == {
        "creator_tool": f"talkhead {version}",
        "source_type": source_type,
        "system": "talkhead",
        "version": version,
        "settings_sha256": HASH,
        "description": marks.statement,
    }


@pytest.mark.parametrize(
    "inside",
    [
        f'<rdf:Description i:DigitalSourceType="{SOURCE_TYPE}" xmp:CreatorTool="talkhead 1"/>',
        f'<rdf:Description xmp:CreatorTool="talkhead 1"><i:DigitalSourceType rdf:resource="{SOURCE_TYPE}"/>'
        "</rdf:Description>",
        f"<rdf:Description><i:DigitalSourceType>\n {SOURCE_TYPE}\n</i:DigitalSourceType>"
        "<xmp:CreatorTool>talkhead 1</xmp:CreatorTool></rdf:Description>",
    ],
)
def test_every_form_of_rdf_is_read(inside: str) -> None:
    found = read_packet(wrapped(inside) + b" \n\0\0")
    assert found == {"source_type": SOURCE_TYPE, "creator_tool": "talkhead 1"}


def test_entities_are_refused_before_they_swell() -> None:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE x [<!ENTITY l0 "ha">{levels}]><x>&l11;</x>'
    with pytest.raises(MarkError, match="document type"):
        read_packet(bomb.encode())
    outside = b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>'
    with pytest.raises(MarkError, match="document type"):
        read_packet(outside)


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (b" " * (MAX_XMP_BYTES + 1), "larger than"),
        (b"<a>" * (MAX_DEPTH + 1), "too many elements"),
        (b"<a>" + b"<b/>" * 100_001 + b"</a>", "too many elements"),
        (b"<a></b>", "cannot be read"),
        (b"", "cannot be read"),
        (b"<a/>", "no RDF"),
    ],
)
def test_what_is_no_packet_is_told(packet: bytes, message: str) -> None:
    with pytest.raises(MarkError, match=message):
        read_packet(packet)


@given(st.binary(max_size=200), st.integers(0, 1000), st.integers(1, 40))
def test_damage_never_does_worse_than_be_told(noise: bytes, start: int, length: int) -> None:
    packet = build_packet(MARKS).encode()
    damaged = packet[:start] + noise + packet[start + length :]
    for each in (noise, damaged):
        try:
            read_packet(each)
        except MarkError as error:
            assert str(error)
