"""Marks from the command line: written by default, signed on request, read back by `talkhead verify`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from talkhead_cli.hashing import sha256_of
from talkhead_cli.marking.record import SOURCE_TYPE, settings_hash
from talkhead_cli.marking.signing import Signing
from tests.certificates import make_signing
from tests.cli.conftest import Case, Outcome, Talkhead, contents, refused


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    return make_signing(tmp_path_factory.mktemp("signing"))


def signed_by(signing: Signing) -> list[str]:
    return ["--c2pa-cert", str(signing.certificate), "--c2pa-key", str(signing.key)]


def render(case: Case, talkhead: Talkhead, *options: str) -> Outcome:
    done = talkhead("render", case.portrait, case.audio, "-o", case.output, *options, "--json")
    assert done.code == 0, done.err
    return done


def verify(talkhead: Talkhead, *paths: object) -> tuple[int, list[dict[str, str]]]:
    """The exit code, and for each file the state of each mark."""
    done = talkhead("verify", *paths, "--json")
    (event,) = done.events
    assert event["event"] == "verified"
    assert event["exit_code"] == done.code
    files = [{mark["name"]: mark["state"] for mark in each["marks"]} for each in event["files"]]
    return done.code, files


ALL = dict.fromkeys(("metadata", "xmp", "watermark", "sidecar"), "found")


@pytest.mark.usefixtures("stand_in")
def test_a_signed_render_is_verified_and_tampering_is_found(
    case: Case, talkhead: Talkhead, signing: Signing
) -> None:
    done = render(case, talkhead, *signed_by(signing), "--consent-ref", "contract 12/2026")
    record = json.loads(case.output.with_suffix(".json").read_text())
    marking = record["marking"]
    assert marking["written"] == ["metadata", "xmp", "watermark", "c2pa"]
    assert marking["digital_source_type"] == SOURCE_TYPE
    assert marking["settings_sha256"] == settings_hash(record["settings"], record["bundles"])
    assert marking["consent_ref"] == "contract 12/2026"
    assert marking["c2pa"]["algorithm"] == "es256"
    assert record["output_sha256"] == sha256_of(case.output)
    secret = signing.key.read_text().splitlines()[1]
    assert secret not in json.dumps(record) + done.out + done.err
    assert b"contract 12" not in case.output.read_bytes()

    assert verify(talkhead, case.output, "--c2pa") == (0, [{**ALL, "c2pa": "untrusted"}])
    told = talkhead("verify", case.output)
    assert "intact, signed by Test signer" in told.out

    inner = bytearray(case.output.read_bytes())
    inner[inner.rfind(b"mdat") + len(b"mdat") + 2000] ^= 1
    tampered = case.folder / "tampered.mp4"
    tampered.write_bytes(inner)
    shutil.copy(case.output.with_suffix(".json"), tampered.with_suffix(".json"))
    code, (states,) = verify(talkhead, tampered)
    assert (code, states["c2pa"], states["sidecar"]) == (9, "broken", "broken")
    assert "bmffHash.mismatch" in talkhead("verify", tampered).out


@pytest.mark.usefixtures("stand_in")
def test_no_marking_leaves_nothing_and_says_so(case: Case, talkhead: Talkhead) -> None:
    done = render(case, talkhead, "--no-marking")
    assert "--no-marking: nothing in the output says" in done.event("warning")["message"]
    record = json.loads(case.output.with_suffix(".json").read_text())
    assert record["settings"]["marking"] is False
    assert record["marking"] == {"written": [], "consent_ref": None}
    assert b"digitalsourcetype" not in case.output.read_bytes()
    done = talkhead("verify", case.output, case.audio, case.folder / "none.mp4", "--json")
    film, sound, nothing = done.event("verified")["files"]
    missing = dict.fromkeys(ALL, "missing") | {"c2pa": "absent"}
    assert {mark["name"]: mark["state"] for mark in film["marks"]} == missing
    assert film["marks"][-1]["detail"] == "rendered with --no-marking"
    assert "speech.wav: is no MP4" in sound["error"]
    assert "none.mp4: no such file" in nothing["error"]
    assert [each["exit_code"] for each in (film, sound, nothing)] == [9, 3, 3]
    assert done.code == 3


@pytest.mark.parametrize(
    ("options", "output", "code", "words"),
    [
        (["--c2pa-cert", "none.pem"], "out.mp4", 2, "give --c2pa-key, too"),
        (["--c2pa-cert", "none.pem", "--c2pa-key", "none.pem"], "out.mp4", 3, "none.pem: cannot"),
        (["--c2pa-cert", "a", "--c2pa-key", "b"], "out.mkv", 2, "fits into .mp4"),
        (["--c2pa-cert", "a", "--c2pa-key", "b"], "-", 2, "a stream cannot be signed"),
        (["--c2pa-cert", "a", "--c2pa-key", "b", "--no-marking"], "out.mp4", 2, "choose one"),
        (["--consent-ref", "x" * 201], "out.mp4", 2, "at most 200 characters, this one has 201"),
        (["--consent-ref", "a\tb"], "out.mp4", 2, "a control character"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_loaded(
    case: Case, talkhead: Talkhead, options: list[str], output: str, code: int, words: str
) -> None:
    case.output = Path(output) if output == "-" else case.folder / output
    case.options = options
    refused(case, talkhead, code, words)


def test_no_preset_switches_marking_off(case: Case, talkhead: Talkhead) -> None:
    preset = case.folder / "quiet.yaml"
    preset.write_text("marking: false\n")
    case.options = ["--preset", str(preset)]
    refused(case, talkhead, 4, "a preset cannot switch it off; remove the line and give --no-mark")


@pytest.mark.slow
@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("name", ["out.mov", "out.mkv", "out.webm", "frames/"])
def test_every_kind_of_output_is_marked(case: Case, talkhead: Talkhead, name: str) -> None:
    case.output = case.folder / name.rstrip("/")
    options = {"out.webm": ["--video-codec", "av1"], "frames/": ["--alpha"]}.get(name, [])
    done = talkhead("render", case.portrait, case.audio, "-o", f"{case.folder}/{name}", *options)
    assert done.code == 0, done.err
    code, (states,) = verify(talkhead, case.output)
    assert code == 0
    assert states["metadata"] == states["xmp"] == states["watermark"] == "found"


@pytest.mark.slow
@pytest.mark.usefixtures("stand_in")
def test_a_long_video_in_segments_is_signed(
    case: Case, talkhead: Talkhead, signing: Signing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkhead_cli.segments.SEGMENT_SECONDS", 0.4)
    render(case, talkhead, "--resume", *signed_by(signing))
    assert verify(talkhead, case.output, "--c2pa") == (0, [{**ALL, "c2pa": "untrusted"}])
    assert not [name for name in contents(case.folder) if ".talkhead" in name]


@pytest.mark.slow
def test_a_real_render_is_signed_and_verified(
    case: Case, talkhead: Talkhead, signing: Signing
) -> None:
    render(case, talkhead, "--device", "cpu", "--overwrite", *signed_by(signing))
    assert verify(talkhead, case.output, "--c2pa") == (0, [{**ALL, "c2pa": "untrusted"}])
    case.output = case.folder / "again.mp4"
    render(case, talkhead, "--device", "cpu", "--motion-out", str(case.folder / "motion.npz"))
    assert verify(talkhead, case.output)[0] == 0
    replayed = case.folder / "replayed.mp4"
    words = ["--motion-in", case.folder / "motion.npz", "-o", replayed, "--device", "cpu"]
    assert talkhead("render", case.portrait, case.audio, *words).code == 0
    assert verify(talkhead, replayed)[0] == 0
    dubbed = case.folder / "dubbed.mp4"
    words = ["-o", dubbed, "--device", "cpu"]
    assert talkhead("render", case.output, case.audio, *words).code == 0
    assert verify(talkhead, dubbed)[0] == 0
