"""What a file says of itself: the hash of its settings, its tags, and how they are read back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkhead_cli.errors import InputError
from talkhead_cli.marking.consent import MAX_CONSENT, consent_in, renew_consent, unfit_consent
from talkhead_cli.marking.reading import kind_of, parse_tags
from talkhead_cli.marking.record import SOURCE_TYPE, Marks, hash_of, settings_hash
from talkhead_cli.settings import RenderSettings

BUNDLES = {"talkhead": "ab" * 32, "speech": "cd" * 32}


def test_the_hash_is_what_the_documents_say() -> None:
    settings = RenderSettings(seed=7, background="#ffé")
    values = json.loads(json.dumps(settings.model_dump(mode="json")))
    for name in ("preset", "description", "device", "max_seconds"):
        del values[name]
    text = json.dumps(
        {"settings": values, "bundles": BUNDLES}, sort_keys=True, separators=(",", ":")
    )
    assert hash_of(settings, BUNDLES) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"seed": 1}, False),
        ({"crf": 17}, False),
        ({"device": "cuda"}, True),
        ({"description": "mine", "max_seconds": 5.0, "preset": "mine"}, True),
    ],
)
def test_the_hash_changes_with_what_changes_the_pictures(changed: dict, same: bool) -> None:
    first = hash_of(RenderSettings(), BUNDLES)
    assert (hash_of(RenderSettings(**changed), BUNDLES) == first) is same
    assert hash_of(RenderSettings(**changed), {**BUNDLES, "more": "ef" * 32}) != first


def test_the_hash_can_be_computed_again_from_the_sidecar() -> None:
    settings = RenderSettings(size=512, emotion="happy")
    stored = json.loads(json.dumps({"settings": settings.model_dump(mode="json"), "b": BUNDLES}))
    assert settings_hash(stored["settings"], stored["b"]) == hash_of(settings, BUNDLES)


@pytest.mark.parametrize("muxer", ["mp4", "mov", "matroska", "webm"])
def test_tags_tell_everything(muxer: str) -> None:
    marks = Marks("ab" * 32)
    tags = marks.tags(muxer)
    assert tags["digital_source_type"] == SOURCE_TYPE
    assert tags["settings_sha256"] == marks.settings_sha256
    assert tags["ai_generated"] == "true"
    # Readers that know one tag only get all of it.
    for part in ("AI-generated", marks.tool, SOURCE_TYPE, marks.settings_sha256):
        assert part in tags["comment"]
    assert ("xmp" in tags) == (muxer in {"matroska", "webm"})
    assert len(marks.ffmpeg_options(muxer)) == len(tags)


def escaped(text: str) -> str:
    return "".join(f"\\{each}" if each in "=;#\\\n" else each for each in text)


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1),
        st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])),
    )
)
def test_tags_are_read_as_ffmpeg_writes_them(tags: dict[str, str]) -> None:
    lines = [f"{key}={escaped(value)}" for key, value in tags.items()]
    text = "\n".join([";FFMETADATA1", *lines, "[STREAM]", "comment=of a stream", ""])
    assert parse_tags(text) == tags


@given(st.text())
def test_any_text_can_be_taken_for_tags(text: str) -> None:
    assert all(key == key.lower() for key in parse_tags(text))


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\x1aE\xdf\xa3\x01", "matroska"),
        (b"\0\0\0\x20ftypisom", "mov"),
    ],
)
def test_a_file_is_known_by_its_first_bytes(tmp_path: Path, head: bytes, kind: str) -> None:
    path = tmp_path / "film.txt"
    path.write_bytes(head + bytes(20))
    assert kind_of(path) == kind


@pytest.mark.parametrize("head", [b"", b"#EXTM3U\nfile:///etc/passwd", b"ffconcat version 1.0"])
def test_playlists_and_other_files_are_refused(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(head)
    with pytest.raises(InputError, match=r"film\.mp4: is no MP4"):
        kind_of(path)
    with pytest.raises(InputError, match="not a regular file"):
        kind_of(Path("/dev/zero"))


@given(st.text(max_size=2 * MAX_CONSENT))
def test_a_consent_is_a_short_line(text: str) -> None:
    fits = unfit_consent(text) is None
    assert fits == (len(text) <= MAX_CONSENT and all(each.isprintable() for each in text))


@pytest.mark.parametrize("heading", ["consent_ref", "Consent Ref", "CONSENT-REF"])
def test_a_consent_is_found_whatever_its_heading(heading: str) -> None:
    assert consent_in({"id": "1", heading: "contract 12"}) == "contract 12"
    assert consent_in({heading: "null"}) == consent_in({"id": "1"}) == ""


def test_a_consent_is_renewed_where_there_is_a_sidecar_of_ours(tmp_path: Path) -> None:
    video, sidecar = tmp_path / "a.mp4", tmp_path / "a.json"
    renew_consent(video, "new")
    assert not sidecar.exists()
    for foreign in ("[]", '{"marking": 1}', "not JSON"):
        sidecar.write_text(foreign)
        renew_consent(video, "new")
        assert sidecar.read_text() == foreign
    sidecar.write_text('{"talkhead": "1", "marking": {"consent_ref": "old", "written": ["xmp"]}}')
    renew_consent(video, "new")
    assert json.loads(sidecar.read_text())["marking"] == {"consent_ref": "new", "written": ["xmp"]}
    renew_consent(video, "")
    assert json.loads(sidecar.read_text())["marking"]["consent_ref"] is None
