"""Files that name others: each function writes one. `place` is where it leads: a path, or a URL."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.fuzz.seeds import run_ffmpeg


def hls(path: Path, place: str) -> Path:
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:9", "#EXTINF:9,", place, "#EXT-X-ENDLIST", ""]
    path.write_text("\n".join(lines))
    return path


def hls_key(path: Path, place: str) -> Path:
    """A playlist whose key lies elsewhere."""
    key = f'#EXT-X-KEY:METHOD=AES-128,URI="{place}"'
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n{key}\n#EXTINF:9,\n{place}\n")
    return path


def concat(path: Path, place: str) -> Path:
    path.write_text(f"ffconcat version 1.0\nfile '{place}'\n")
    return path


def sdp(path: Path, place: str) -> Path:
    port = place.rpartition(":")[2].partition("/")[0] if "//" in place else "5004"
    path.write_text(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=audio {port if port.isdigit() else 5004} RTP/AVP 0\na=control:{place}\n"
    )
    return path


def dash(path: Path, place: str) -> Path:
    path.write_text(
        '<?xml version="1.0"?><!DOCTYPE m [<!ENTITY x SYSTEM "' + place + '">]>'
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT9S">'
        f'<Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1"><BaseURL>{place}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>"
    )
    return path


def svg(path: Path, place: str) -> Path:
    path.write_text(
        '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "' + place + '">]>'
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="256" height="256"><image xlink:href="{place}" width="256" height="256"/><text>&x;</text></svg>'
    )
    return path


def postscript(path: Path, place: str) -> Path:
    path.write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 256 256\n"
        f"({place}) (r) file 100 string readstring pop show\nshowpage\n%%EOF\n"
    )
    return path


def vobsub(path: Path, place: str) -> Path:
    path.write_text(f"# VobSub index file, v7\nsize: 720x576\nid: en, index: 0\nfile: {place}\n")
    return path


def real_text(path: Path, place: str) -> Path:
    path.write_text(f"rtsptext\n--rmspt--\nFile1={place}\n[reference]\nRef1={place}\n")
    return path


def box(name: bytes, *parts: bytes) -> bytes:
    """A box of an MP4 file."""
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name) + content


def external_track(path: Path, place: str) -> Path:
    """A real film whose track says that its samples lie in another file."""
    whole = path.with_name(f"whole-{path.stem}.mov")
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=1:r=16000", "-c:a", "pcm_s16be", whole)
    data = whole.read_bytes()
    whole.unlink()
    name = place.encode()
    url = struct.pack(">I4sI", 12 + len(name) + 1, b"url ", 0) + name + b"\0"
    own = struct.pack(">I4sI", 12, b"url ", 1)
    start = data.index(own)
    grown = len(url) - len(own)
    new = bytearray(data[:start] + url + data[start + len(own) :])
    for kind in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        at = new.rindex(kind, 0, start) - 4
        (size,) = struct.unpack(">I", new[at : at + 4])
        new[at : at + 4] = struct.pack(">I", size + grown)
    path.write_bytes(new)
    return path


REFERENCES = (hls, hls_key, concat, sdp, dash, svg, postscript, vobsub, real_text, external_track)
