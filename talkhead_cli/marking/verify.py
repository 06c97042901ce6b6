"""Are the marks of a file there, and do they agree?"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from talkhead_cli.errors import EXIT_DONE, EXIT_INPUT, EXIT_UNMARKED, InputError, TalkheadError
from talkhead_cli.hashing import sha256_of
from talkhead_cli.marking.boxes import read_xmp
from talkhead_cli.marking.c2pa_reader import read_manifest
from talkhead_cli.marking.limits import MAX_SHOWN, MarkError
from talkhead_cli.marking.reading import Kind, kind_of, picture_texts, read_tags
from talkhead_cli.marking.record import AI_SOURCE_TYPES, settings_hash
from talkhead_cli.marking.xmp import XMP_KEY, read_packet
from talkhead_cli.paths import PICTURE_NAME, check_input
from talkhead_cli.sidecar import read_sidecar

State = Literal["found", "untrusted", "absent", "missing", "broken"]

GOOD = frozenset({"found", "untrusted", "absent"})


@dataclass(frozen=True)
class Mark:
    """One mark of a file.

    Attributes:
        name: "metadata", "xmp", "c2pa", "watermark" or "sidecar".
        state: "found"; "untrusted": intact, but nobody vouches for the signer; "absent": not there, and need not be;
            "missing": not there and should be; "broken": damaged, or it contradicts what is.
        detail: what to know of it, for people.
        settings_sha256: what it says of the settings; "" where it does not.
    """

    name: str
    state: State
    detail: str = ""
    settings_sha256: str = ""

    def __post_init__(self) -> None:
        # What stands in a file may be meant for a terminal: control characters go.
        for name in ("detail", "settings_sha256"):
            text = "".join(each if each.isprintable() else " " for each in getattr(self, name))
            object.__setattr__(self, name, text[:MAX_SHOWN])


@dataclass(frozen=True)
class Verdict:
    """What became of a file.

    Attributes:
        file: as it was given.
        marks: all that were looked for.
        error: why it cannot be read; "" where it can.
        exit_code: 0 every mark that is expected is there; 9 some are not; 3 it cannot be read.
    """

    file: str
    marks: tuple[Mark, ...] = ()
    error: str = ""
    exit_code: int = EXIT_DONE

    def to_json(self) -> dict[str, Any]:
        """The values, JSON-able."""
        return asdict(self)


def verify_file(path: Path, signed: bool = False) -> Verdict:
    """Look for all marks of a file, or of a folder of pictures; never raises.

    Args:
        path: a video or PNG picture, or a folder of numbered PNG pictures.
        signed: a C2PA manifest is expected, too; it always is where the JSON file tells of one.
    """
    try:
        check_input(path)
        marks = folder_marks(path) if path.is_dir() else file_marks(path, signed)
    except TalkheadError as error:
        return Verdict(str(path), error=" ".join(str(error).split()), exit_code=error.exit_code)
    except OSError as error:
        words = f"{path}: cannot be read ({error.strerror})"
        return Verdict(str(path), error=words, exit_code=EXIT_INPUT)
    marks = agreeing(marks)
    good = all(mark.state in GOOD for mark in marks)
    return Verdict(str(path), marks, exit_code=EXIT_DONE if good else EXIT_UNMARKED)


def file_marks(path: Path, signed: bool) -> tuple[Mark, ...]:
    """The marks of one file.

    Raises:
        TalkheadError: it cannot be read.
    """
    kind = kind_of(path)
    sidecar, told = sidecar_mark(path)
    return (
        metadata_mark(path, kind),
        xmp_mark(path, kind),
        c2pa_mark(path, kind, signed or "c2pa" in told),
        watermark_mark(path),
        sidecar,
    )


def metadata_mark(path: Path, kind: Kind) -> Mark:
    """The container's tags.

    Raises:
        TalkheadError: it cannot be read.
    """
    name = "metadata"
    try:
        tags = read_tags(path, kind)
    except MarkError as error:
        return Mark(name, "broken", str(error))
    kept = f"{tags.get('digital_source_type', '')} {tags.get('comment', '')}"
    if not any(term in kept for term in AI_SOURCE_TYPES):
        return Mark(name, "missing", "no tag tells a digital source type")
    in_comment = re.search(r"sha256: ([0-9a-f]{64})", kept)
    sha256 = tags.get("settings_sha256") or (in_comment.group(1) if in_comment else "")
    return Mark(name, "found", tags.get("software", ""), sha256)


def xmp_mark(path: Path, kind: Kind) -> Mark:
    """The XMP packet.

    Raises:
        TalkheadError: the file cannot be read.
    """
    name = "xmp"
    try:
        packet = packet_of(path, kind)
        if packet is None:
            return Mark(name, "missing", "there is no XMP packet")
        found = read_packet(packet)
    except MarkError as error:
        return Mark(name, "broken", str(error))
    if found.get("source_type") not in AI_SOURCE_TYPES:
        return Mark(name, "missing", "the XMP packet tells no digital source type of AI")
    words = found.get("creator_tool", "")
    return Mark(name, "found", words, found.get("settings_sha256", ""))


def packet_of(path: Path, kind: Kind) -> bytes | None:
    """The XMP packet wherever a kind of file has it; None where there is none."""
    if kind == "mov":
        return read_xmp(path)
    texts = picture_texts(path) if kind == "png" else read_tags(path, kind)
    text = texts.get(XMP_KEY) or texts.get("xmp")
    return None if text is None else text.encode("utf-8", "replace")


def c2pa_mark(path: Path, kind: Kind, expected: bool) -> Mark:
    """The signed manifest."""
    found = read_manifest(path, kind)
    sha256 = found.settings_sha256
    if found.state == "trusted":
        return Mark("c2pa", "found", found.detail, sha256)
    if found.state == "untrusted":
        return Mark("c2pa", "untrusted", found.detail, sha256)
    if found.state == "broken":
        return Mark("c2pa", "broken", found.detail, sha256)
    return Mark("c2pa", "missing" if expected else "absent", found.detail)


def watermark_mark(path: Path) -> Mark:
    """The invisible watermark of a video or of pictures; it holds the first digits of the settings' hash."""
    from talkhead_cli.marking.watermark_reader import read_watermark

    try:
        reading = read_watermark(path)
    except (TalkheadError, ValueError) as error:
        return Mark("watermark", "broken", " ".join(str(error).split()))
    words = f"score {reading.score:.1f}"
    if not reading.found:
        return Mark("watermark", "missing", words)
    # Its first digit is the version of the watermark.
    return Mark("watermark", "found", words, (reading.payload or "")[1:])


def sidecar_mark(path: Path) -> tuple[Mark, frozenset[str]]:
    """The JSON file beside a video, and the marks that it tells of."""
    name, nothing = "sidecar", frozenset[str]()
    record = read_sidecar(path)
    marking = record.get("marking")
    if not isinstance(marking, dict) or Path(str(record.get("output"))).suffix != path.suffix:
        # Films that differ in their suffix alone share the name of their JSON file.
        return Mark(name, "absent"), nothing
    written = marking.get("written")
    told = frozenset(map(str, written if isinstance(written, list) else ()))
    if not told:
        return Mark(name, "missing", "rendered with --no-marking"), told
    sha256 = str(marking.get("settings_sha256", ""))
    if record.get("output_sha256") != sha256_of(path):
        return Mark(name, "broken", "is of another file: output_sha256 is not this one's"), told
    settings, bundles = record.get("settings"), record.get("bundles")
    if not isinstance(settings, dict) or not isinstance(bundles, dict):
        return Mark(name, "broken", "tells no settings or weights"), told
    if settings_hash(settings, bundles) != sha256:
        return Mark(name, "broken", "settings_sha256 is not that of its settings"), told
    consent = marking.get("consent_ref")
    return Mark(name, "found", f"consent {consent}" if consent else "", sha256), told


def folder_marks(folder: Path) -> tuple[Mark, ...]:
    """The marks of a folder of pictures: each is as good as the worst picture's.

    Raises:
        TalkheadError: one cannot be read, or there is none.
    """
    pictures = sorted(path for path in folder.iterdir() if re.fullmatch(PICTURE_NAME, path.name))
    if not pictures:
        raise InputError(f"{folder}: holds no numbered PNG pictures; give a video or such a folder")
    worst: dict[str, Mark] = {}
    for picture in pictures:
        for mark in (metadata_mark(picture, kind_of(picture)), xmp_mark(picture, "png")):
            known = worst.get(mark.name)
            if known is None or (known.state in GOOD and mark.state not in GOOD):
                worst[mark.name] = mark
            elif mark.settings_sha256 != known.settings_sha256 and known.state in GOOD:
                worst[mark.name] = Mark(mark.name, "broken", f"{picture.name} is of another render")
    return (*worst.values(), watermark_mark(folder))


def agreeing(marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """The same marks; those that say something else of the settings than the first that does are broken."""
    first = next((mark.settings_sha256 for mark in marks if len(mark.settings_sha256) == 64), "")
    if not first:
        return marks
    return tuple(
        mark
        if first.startswith(mark.settings_sha256) or mark.state not in GOOD
        else Mark(mark.name, "broken", "is of other settings than the rest", mark.settings_sha256)
        for mark in marks
    )
