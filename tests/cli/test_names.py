"""Names that files may have, and that programs stumble over: they are names, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from talkhead_cli.media import VideoWriter, probe_media
from talkhead_cli.mux import builder_url, join_segments, with_global_options
from talkhead_cli.sidecar import sidecar_path, to_json
from tests.cli.conftest import Case, Talkhead
from tests.conftest import leftovers

NAMES = {
    "spaces": " a  b ",
    "quotes": """it's "so" `x` $HOME $(id)""",
    "newline": "a\nb",
    "carriage": "a\r\tb",
    "forged": "x':\n  Duration: 99:00:00.00\n  Stream #0:0: Audio: opus, 8000 Hz, mono",
    "emoji": "🙂 ё 漢",
    "decomposed": "a\u0308",
    "dash": "-y",
    "option": "--overwrite",
    "percent": "%03d %s %%",
    "pattern": "*?[a-z]{a,b}",
    "windows": 'a<b>c:d|e"f',
    "backslash": "a\\b",
    "protocol": "http:127.0.0.1",
    "concat": "concat:a|b",
    "dots": "...",
    "markup": "[bold red]x[end]",
    "escape": "\x1b[31mred\x07",
    "bytes": os.fsdecode(b"\xff\xfe\x80"),
    "long": "é" * 125,
}


def named(case: Case, name: str, folder: Path) -> tuple[Path, Path, Path]:
    """Portrait, speech and output that are all called so, in a folder that is, too."""
    place = folder / (name[:60].strip(".") or "dots")
    place.mkdir()
    portrait, audio = place / f"{name}.png", place / f"{name}.wav"
    shutil.copy(case.portrait, portrait)
    shutil.copy(case.audio, audio)
    return portrait, audio, place / f"{name}.mp4"


def check_render(name: str, case: Case, talkhead: Talkhead, folder: Path) -> Path:
    portrait, audio, output = named(case, name, folder)
    done = talkhead("render", portrait, audio, "-o", output)
    assert done.code == 0, done.err
    assert probe_media(output).audio_codec == "aac"
    assert Path(json.loads(sidecar_path(output).read_text())["output"]) == output
    assert not leftovers(output.parent)
    assert len(list(output.parent.iterdir())) == 4
    assert "\x1b" not in done.err
    return output


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("name", ["bytes"])
def test_render(name: str, case: Case, talkhead: Talkhead, tmp_path: Path) -> None:
    check_render(NAMES[name], case, talkhead, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NAMES))
def test_all_commands(name: str, case: Case, talkhead: Talkhead, tmp_path: Path) -> None:
    """With the real pipeline: render, probe, evaluate, drive, and a dub of what was made."""
    output = check_render(NAMES[name], case, talkhead, tmp_path)
    portrait, audio = output.with_suffix(".png"), output.with_suffix(".wav")
    for words in (
        ["probe", portrait, audio],
        ["probe", portrait, audio, "--json"],
        ["evaluate", output, "--portrait", portrait, "--audio", audio],
        ["evaluate", output, "--json"],
        ["render", portrait, "--drive", output, "-o", tmp_path / "driven.mp4"],
        ["render", output, audio, "-o", tmp_path / "dubbed.mp4"],
    ):
        done = talkhead(*words)
        assert done.code == 0, (words, done.err)
        assert "Traceback" not in done.err


@pytest.mark.slow
def test_batch(case: Case, talkhead: Talkhead, tmp_path: Path) -> None:
    """Control characters and bytes that are no text are refused in a manifest; blanks around a name are cut off."""
    rows = []
    for number, name in enumerate(sorted(NAMES)):
        folder = tmp_path / str(number)
        folder.mkdir()
        portrait, audio, output = named(case, NAMES[name], folder)
        if "\\" in name or len(os.fsencode(output.name)) > 237:
            output = output.with_name("short.mp4")
        rows.append({"portrait": str(portrait), "audio": str(audio), "output": output.name})
    manifest = tmp_path / "jobs.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = talkhead(
        "batch", manifest, "--out-dir", tmp_path / "videos", "--devices", "cpu", "--skip-faulty"
    )
    assert done.code == 8
    made = {path.name for path in (tmp_path / "videos").glob("*.mp4")}
    odd = {"newline", "carriage", "forged", "escape", "bytes"}
    wanted = {
        row["output"].strip()
        for row, name in zip(rows, sorted(NAMES), strict=True)
        if name not in odd
    }
    assert made == wanted


def test_leading_dashes_in_the_working_folder(
    case: Case, talkhead: Talkhead, stand_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case.folder)
    case.portrait.rename("-i.png")
    case.audio.rename("-y")
    done = talkhead("render", "-o", "-out.mp4", "--", "-i.png", "-y")
    assert done.code == 0, done.err
    assert probe_media(Path("-out.mp4")).has_video


def test_a_name_too_long_for_a_file(case: Case, talkhead: Talkhead, stand_in: None) -> None:
    done = talkhead("render", case.portrait, case.audio, "-o", case.folder / ("x" * 252 + ".mp4"))
    assert done.code == 3
    assert done.err.count("\n") == 1


def test_builder_urls_are_the_paths_bytes(tmp_path: Path) -> None:
    path = tmp_path / NAMES["bytes"]
    builder_url(path).encode()  # text, as ffmpeg-python wants it
    assert with_global_options(["ffmpeg", builder_url(path)])[-1] == f"file:{path}"


def test_sidecars_name_bytes_that_are_no_text() -> None:
    record = {"output": NAMES["bytes"], "note": "é"}
    assert json.loads(to_json(record).encode()) == record
    assert "é" in to_json({"note": "é"})


def test_sidecar_of_a_longest_name() -> None:
    assert sidecar_path(Path("a.b.mp4")) == Path("a.b.json")
    longest = Path("/out", "é" * 125 + "x.mp4")
    assert sidecar_path(longest) == Path("/out", "é" * 125 + ".json")
    assert len(os.fsencode(sidecar_path(longest).name)) == 255


def test_segments_are_joined_in_a_folder_of_any_name(tmp_path: Path, tone_wav: Path) -> None:
    from fractions import Fraction

    import numpy as np

    from talkhead_cli.ffmpeg_binary import ffmpeg_path

    folder = tmp_path / NAMES["bytes"] / NAMES["quotes"]
    folder.mkdir(parents=True)
    parts = [folder / "00000.mp4", folder / "00001.mp4"]
    for part in parts:
        with VideoWriter(part, 64, 64, Fraction(25)) as writer:
            writer.write(np.zeros((5, 64, 64, 3), np.uint8))
    target = folder / f"{NAMES['newline']}.mp4"
    join_segments(parts, tone_wav, target, ffmpeg_path())
    assert probe_media(target).has_video
