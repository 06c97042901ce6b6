"""`talkhead render FILM AUDIO`: new speech for a filmed person, with the shipped weights."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkhead_cli.app import run
from talkhead_cli.evaluation.stream import read_video_header
from talkhead_cli.film import FilmReader, load_film
from talkhead_cli.film_rules import FILM_CRF
from tests.cli.conftest import Talkhead, contents
from tests.conftest import ROOT, decode_audio, decode_frames, leftovers, run_ffmpeg

RATE = 20
FRAMES = 24
"""Of the film: 1.2 s."""


@pytest.fixture(scope="module")
def film(astronaut_png: Path, short_wav: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.2 s of the astronaut speaking, 256x256, 20 frames a second."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    given = ["--fps", RATE, "--expression-scale", 1.5, "--no-sidecar", "--quiet"]
    assert (
        run([str(word) for word in ("render", astronaut_png, short_wav, "-o", path, *given)]) == 0
    )
    return path


def above_the_mouth(film: Path, position: int) -> np.ndarray:
    """(256, 256) bool of one of its frames."""
    face = load_film(film, FRAMES, Fraction(RATE)).face
    rows = np.arange(256)[:, None]
    return np.broadcast_to(rows < face.meshes[position, 2, 1] - 4, (256, 256))


def test_longer_speech(talkhead: Talkhead, film: Path, speech_wav: Path, tmp_path: Path) -> None:
    speech, output = tmp_path / "new.wav", tmp_path / "out.mp4"
    run_ffmpeg("-ss", 3, "-i", speech_wav, "-t", 2.1, speech)
    done = talkhead("render", film, speech, "-o", output, "--json")
    assert done.code == 0, done.err
    found = done.event("film")
    assert (found["num_frames"], found["fps"], found["lost_frames"]) == (FRAMES, RATE, 0)
    assert (found["width"], found["height"]) == (256, 256)
    assert "it is played backwards and forwards" in done.event("warning")["message"]
    made = done.event("done")
    assert (made["num_frames"], made["fps"]) == (42, RATE)
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["portrait"] == str(film)
    assert (record["settings"]["fps"], record["settings"]["crf"]) == (RATE, FILM_CRF)
    assert leftovers(tmp_path) == []
    frames = decode_frames(output, 256, 256)
    assert len(frames) == 42
    assert read_video_header(output).fps == RATE
    assert len(decode_audio(output)) == pytest.approx(2.1 * 16000, abs=1100)
    with FilmReader(film, Fraction(RATE), 0, FRAMES) as reader:
        filmed = list(reader)
    # Forwards, and backwards from the film's last frame.
    for position, index in ((5, 5), (FRAMES + 6, FRAMES - 8)):
        error = frames[position].astype(float) - filmed[index]
        region = above_the_mouth(film, index)
        assert 10 * np.log10(255**2 / (error[region] ** 2).mean()) > 40
        assert np.abs(error[~region]).max() > 40


def test_shorter_speech_at_another_rate_and_size(
    talkhead: Talkhead, film: Path, short_wav: Path, tmp_path: Path
) -> None:
    speech, output = tmp_path / "new.wav", tmp_path / "out.mp4"
    run_ffmpeg("-i", short_wav, "-t", 0.6, speech)
    given = ["--fps", 30, "--size", 160, "--crf", 20, "--quiet"]
    done = talkhead("render", film, speech, "-o", output, *given)
    assert (done.code, done.err) == (0, "")
    assert len(decode_frames(output, 160, 160)) == 18
    record = json.loads((tmp_path / "out.json").read_text())
    assert (record["settings"]["fps"], record["settings"]["crf"]) == (30, 20)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--drive", "film.mp4"], "leave --drive out"),
        (["--stream"], "leave --stream out"),
        (["--motion-in", "motion.npz"], "leave --motion-in out"),
        (["--alpha"], "leave --alpha out"),
        (["--crop", "face"], "leave --crop out"),
    ],
)
def test_options_that_do_not_go_with_a_film(
    options: list[str], words: str, talkhead: Talkhead, film: Path, short_wav: Path, tmp_path: Path
) -> None:
    options = [str(film) if word == "film.mp4" else word for word in options]
    done = talkhead("render", film, short_wav, "-o", tmp_path / "out.mp4", *options)
    assert done.code == 2
    assert (len(done.err.splitlines()), done.err.count("error: ")) == (1, 1)
    assert f"{film} is a film" in done.err
    assert words in done.err
    assert contents(tmp_path) == {}


def test_a_film_needs_speech(talkhead: Talkhead, film: Path, tmp_path: Path) -> None:
    done = talkhead("render", film, "-o", tmp_path / "out.mp4")
    assert done.code == 2
    assert "give the new speech as AUDIO" in done.err


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("testsrc=s=256x256:r=10:d=1", "no face is seen; give a film of one talking person"),
        ("testsrc=s=256x256:r=10:d=0.3", "has only 3 frames"),
    ],
)
def test_films_that_cannot_be_dubbed(
    source: str, words: str, talkhead: Talkhead, short_wav: Path, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    run_ffmpeg("-f", "lavfi", "-i", source, film)
    before = contents(tmp_path)
    done = talkhead("render", film, short_wav, "-o", tmp_path / "out.mp4", "-q")
    assert done.code == 3
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith(f"error: {film}")
    assert words in done.err
    assert contents(tmp_path) == before


def test_film_is_never_replaced(talkhead: Talkhead, film: Path, short_wav: Path) -> None:
    before = film.read_bytes()
    done = talkhead("render", film, short_wav, "-o", film, "--overwrite")
    assert done.code == 3
    assert film.read_bytes() == before


@pytest.mark.slow
def test_a_batch_dubs_films(
    talkhead: Talkhead, film: Path, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    manifest, out, alone = tmp_path / "jobs.csv", tmp_path / "videos", tmp_path / "alone.mp4"
    rows = [f"{film},{short_wav},a.mp4,", f"{astronaut_png},{short_wav},b.mp4,128"]
    manifest.write_text("\n".join(["portrait,audio,output,size", *rows]) + "\n")
    done = talkhead("batch", manifest, "--out-dir", out, "--json")
    assert done.code == 0, done.err
    assert talkhead("render", film, short_wav, "-o", alone, "--no-sidecar").code == 0
    assert (out / "a.mp4").read_bytes() == alone.read_bytes()
    record = json.loads((out / "a.json").read_text())
    assert record["portrait"] == str(film)
    assert (record["settings"]["fps"], record["settings"]["crf"]) == (RATE, FILM_CRF)
    assert read_video_header(out / "b.mp4").fps == 25
    before = (out / "a.mp4").stat()
    again = talkhead("batch", manifest, "--out-dir", out, "--resume", "--json")
    assert again.code == 0, again.err
    assert (out / "a.mp4").stat().st_mtime_ns == before.st_mtime_ns


def test_page_on_dubbing_is_true() -> None:
    from talkhead_cli import film as films
    from talkhead_cli.face.portrait import MIN_SCALED_FACE
    from talkhead_models import film_face, film_looks, jaw_warp

    page = (ROOT / "docs" / "dubbing.md").read_text()
    for words in (
        f"at least {MIN_SCALED_FACE} pixels wide",
        f"over {film_face.RAMP_SECONDS} s",
        f"from {film_face.YAW_FULL:.0f} degrees",
        f"from {film_face.YAW_NONE:.0f} on",
        f"`--crf` is {FILM_CRF} unless",
        f"({films.BACKWARD_BYTES >> 20} MB of them)",
        f"for longer than {film_looks.HIDDEN_SECONDS} s",
        f"the face is {films.TRACKED_FACE} pixels wide",
        f"over {max(jaw_warp.RING_DISTANCES)} outer-eye distances",
    ):
        assert words in page
