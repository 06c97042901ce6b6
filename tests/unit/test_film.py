"""Films in a portrait's place: what counts as one, and their frames forwards and backwards."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from talkhead_cli import film as film_module
from talkhead_cli.evaluation.stream import read_video_header
from talkhead_cli.film import Film, FilmReader, is_film
from talkhead_cli.film_track import Track, scaled_choice
from tests.conftest import make_tone, run_ffmpeg

CARD = ("-f", "lavfi", "-i", "testsrc=s=96x64:r=25:d=2")


@given(st.integers(2, 50), st.integers(0, 400), st.booleans())
def test_a_film_is_never_out_of_frames(num_frames: int, position: int, loops: bool) -> None:
    film = Film(Path("a.mp4"), Fraction(25), None, num_frames, loops)
    here, there = film.index_at(position), film.index_at(position + 1)
    assert 0 <= here < num_frames
    if position < num_frames:
        assert here == position
    # Only a loop jumps, and only from its end to its beginning.
    assert abs(there - here) == 1 or (loops and (here, there) == (num_frames - 1, 0))
    assert loops or film.index_at(position + 2 * num_frames - 2) == here


def test_what_counts_as_a_film(tmp_path: Path) -> None:
    film, still, endless = (tmp_path / name for name in ("film.mp4", "one.mp4", "endless.264"))
    run_ffmpeg(*CARD, film)
    run_ffmpeg(*CARD, "-frames:v", 1, still)
    # A bare stream does not say how long it is.
    run_ffmpeg(*CARD, "-t", 0.4, "-f", "h264", endless)
    assert read_video_header(endless).seconds is None
    pictures = [Image.new("RGB", (64, 64), (shade, 0, 0)) for shade in (0, 90, 180)]
    pictures[0].save(tmp_path / "moving.gif", save_all=True, append_images=pictures[1:])
    pictures[0].save(tmp_path / "still.png")
    (tmp_path / "words.txt").write_text("these are only words\n" * 20)
    make_tone(tmp_path / "tone.wav", 0.3)
    (tmp_path / "broken.png").write_bytes((tmp_path / "still.png").read_bytes()[:40])
    names = ("film.mp4", "endless.264", "one.mp4", "moving.gif", "still.png", "words.txt")
    found = [name for name in names if is_film(tmp_path / name)]
    assert found == ["film.mp4", "endless.264"]
    for name in ("tone.wav", "broken.png", "missing.mp4", "."):
        assert not is_film(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("long_groups.mp4", ["-g", "250", "-bf", "3"]),
        ("uneven.mkv", ["-vf", "select='mod(n,5)'", "-fps_mode", "vfr"]),
        ("stands_still.mkv", ["-vf", "select='not(between(n,3,44))'", "-fps_mode", "vfr"]),
        ("ten_bit.mov", ["-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"]),
        ("odd.avi", ["-c:v", "ffv1", "-vf", "scale=95:63", "-pix_fmt", "yuv444p"]),
        ("late.mp4", ["-vf", "setpts=PTS+0.3/TB"]),
    ],
)
def test_backwards_is_forwards_reversed(
    name: str, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    run_ffmpeg(*CARD, *options, path)
    fps = read_video_header(path).fps
    with FilmReader(path, fps, 0, 1000) as reader:
        frames = list(reader)
    assert frames[0].shape[0] % 2 == frames[0].shape[1] % 2 == 0
    # In more than one block.
    monkeypatch.setattr(film_module, "BACKWARD_BYTES", 20 * frames[0].nbytes)
    film = Film(path, fps, None, len(frames))
    start, end = len(frames) - 2, 2 * len(frames) + 1
    played = list(film.play(start, end))
    assert [index for index, _ in played] == [film.index_at(p) for p in range(start, end)]
    for index, picture in played:
        np.testing.assert_array_equal(picture, frames[index])


def test_wide_pixels_and_size(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    run_ffmpeg(*CARD, "-vf", "setsar=2", path)
    for size, shape in ((None, (64, 192, 3)), (96, (32, 96, 3)), (1000, (64, 192, 3))):
        with FilmReader(path, Fraction(10), 0, 30, size) as reader:
            frames = list(reader)
        assert (len(frames), frames[0].shape) == (20, shape)


def test_a_place_is_scaled_with_the_picture() -> None:
    assert scaled_choice("200,50", 0.5, 0.25) == "100.00,12.50"
    assert [scaled_choice(word, 0.5, 0.5) for word in ("largest", "2")] == ["largest", "2"]


def test_ends_that_meet() -> None:
    track = Track(Path("film.mp4"), (64, 64, 3), "largest")
    mesh = np.zeros((478, 3), np.float32)
    mesh[263, 0] = 40
    rng = np.random.default_rng(0)
    track.first = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
    track.last, track.meshes, track.steps = track.first, [mesh, mesh], [1.0]
    assert track.ends_meet()
    track.last = np.roll(track.first, 7, axis=1)
    assert not track.ends_meet()
    track.last, track.meshes = track.first, [mesh, mesh + 3]
    assert not track.ends_meet()
    track.meshes = [mesh, None]
    assert not track.ends_meet()
