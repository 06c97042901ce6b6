"""XMP packets: writing ours, and reading anybody's without letting it hurt.

Properties are those of IPTC's Photo Metadata Standard 2025.1 and Video Metadata Hub 1.7 (the same names in both),
besides `xmp:CreatorTool` and `dc:description`. A packet is read by expat; document types, and with them entities, are
refused, and so is what is too large, too deep or has too many elements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.parsers import expat
from xml.sax.saxutils import escape

from talkhead_cli.marking.limits import MAX_DEPTH, MAX_ELEMENTS, MAX_XMP_BYTES, MarkError

if TYPE_CHECKING:
    from talkhead_cli.marking.record import Marks

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
XMP = "http://ns.adobe.com/xap/1.0/"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
OWN = "urn:talkhead:marking:1#"

XMP_KEY = "XML:com.adobe.xmp"
"""Keyword of the text chunk that holds a PNG picture's packet."""

HEAD = '<?xpacket begin="\N{ZERO WIDTH NO-BREAK SPACE}" id="W5M0MpCehiHzreSzNTczkc9d"?>'
TAIL = '<?xpacket end="r"?>'


def build_packet(marks: Marks) -> str:
    """The packet of a file, on one line: tags of containers do not all keep line breaks."""
    simple = (
        ("xmp:CreatorTool", marks.tool),
        ("Iptc4xmpExt:DigitalSourceType", marks.source_type),
        ("Iptc4xmpExt:AISystemUsed", marks.system),
        ("Iptc4xmpExt:AISystemVersionUsed", marks.version),
        ("Iptc4xmpExt:AIPromptInformation", marks.prompt),
        ("talkhead:SettingsSha256", marks.settings_sha256),
    )
    properties = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in simple)
    words = escape(marks.statement)
    return (
        f'{HEAD}<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">'
        f'<rdf:Description rdf:about="" xmlns:xmp="{XMP}" xmlns:dc="{DC}" xmlns:Iptc4xmpExt="{IPTC}" '
        f'xmlns:talkhead="{OWN}">{properties}'
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{words}</rdf:li></rdf:Alt></dc:description>'
        f"</rdf:Description></rdf:RDF></x:xmpmeta>{TAIL}"
    )


def read_packet(packet: bytes) -> dict[str, str]:
    """What a packet says: the properties that `build_packet` writes, by the names below, of those that are there.

    Both forms of RDF are read, elements and attributes, since other programs write packets anew.

    Returns:
        `creator_tool`, `source_type`, `system`, `version`, `settings_sha256`, `description`.

    Raises:
        MarkError: it is no XMP, or more than a packet ever is.
    """
    if len(packet) > MAX_XMP_BYTES:
        raise MarkError(f"the XMP packet is larger than {MAX_XMP_BYTES} bytes")
    reader = PacketReader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(packet.strip(b"\0 \t\r\n"), True)
    except MarkError:
        raise
    except (expat.ExpatError, ValueError) as error:
        raise MarkError(f"the XMP packet cannot be read ({error})") from error
    if not reader.is_rdf:
        raise MarkError("the XMP packet holds no RDF")
    return reader.found


NAMES = {
    f"{XMP} CreatorTool": "creator_tool",
    f"{IPTC} DigitalSourceType": "source_type",
    f"{IPTC} AISystemUsed": "system",
    f"{IPTC} AISystemVersionUsed": "version",
    f"{OWN} SettingsSha256": "settings_sha256",
    f"{DC} description": "description",
}
"""Expat's names of the properties that are read."""


class PacketReader:
    """Takes expat's events.

    Attributes:
        found: name to value.
        is_rdf: whether there was any RDF.
    """

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self.is_rdf = False
        self._open: list[str] = []
        self._count = 0

    def refuse(self, *declaration: object) -> None:
        """A document type can hold entities, which can swell without limit or name files."""
        raise MarkError("the XMP packet has a document type, which is not read")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self._open.append(name)
        self._count += 1
        if len(self._open) > MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise MarkError("the XMP packet has too many elements")
        self.is_rdf |= name == f"{RDF} RDF"
        if name == f"{RDF} Description":
            for key, value in attributes.items():
                self._take(key, value)
        elif f"{RDF} resource" in attributes:
            self._take(name, attributes[f"{RDF} resource"])

    def end(self, name: str) -> None:
        """An element ends."""
        self._open.pop()

    def text(self, data: str) -> None:
        """Text counts for the property that it lies in, at whatever depth."""
        inside = next((name for name in reversed(self._open) if name in NAMES), None)
        if inside is not None and self.is_rdf:
            self._take(inside, data)

    def _take(self, name: str, value: str) -> None:
        key = NAMES.get(name)
        if key is not None and value.strip():
            self.found[key] = f"{self.found.get(key, '')} {value.strip()}".strip()
