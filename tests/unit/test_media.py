"""The video writer against a real ffmpeg."""

import os
import stat
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkhead_cli import media, paths
from talkhead_cli.errors import InputError, MediaError
from talkhead_cli.media import VideoWriter, ffmpeg_path, probe_media, run_captured
from tests.conftest import decode_audio, decode_frames, leftovers, make_tone, run_ffmpeg

SIDE = 128


def flat_frames(count: int, colour: tuple[int, int, int] = (200, 120, 40)) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (count, SIDE, SIDE, 3))


def write(path: Path, count: int = 10, fps: Fraction = Fraction(25), **options: object) -> Path:
    with VideoWriter(path, SIDE, SIDE, fps, **options) as writer:  # type: ignore[arg-type]
        writer.write(flat_frames(count))
    return path


def describe(path: Path) -> str:
    return run_captured([ffmpeg_path(), "-hide_banner", "-i", str(path)])


def test_writes_a_tagged_video_of_the_right_length(tmp_path: Path) -> None:
    path = write(tmp_path / "out.mp4", 50)
    text = describe(path)
    assert "h264" in text
    assert "yuv420p(tv, smpte170m/bt709/bt709" in text
    assert "25 fps" in text
    assert len(decode_frames(path, SIDE, SIDE)) == 50
    assert probe_media(path).duration_seconds == pytest.approx(2.0, abs=0.02)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (90, 60, 30)]
)
def test_colours_survive(colour: tuple[int, int, int], tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", SIDE, SIDE, Fraction(25), crf=4) as writer:
        writer.write(flat_frames(3, colour))
    seen = decode_frames(tmp_path / "out.mp4", SIDE, SIDE)[1].reshape(-1, 3).mean(0)
    assert np.abs(seen - colour).max() < 4


@pytest.mark.parametrize(
    "fps", [Fraction(24), Fraction(30000, 1001), Fraction(30), Fraction(50), Fraction(60)]
)
def test_frame_rates_are_exact(fps: Fraction, tmp_path: Path) -> None:
    path = write(tmp_path / "out.mp4", 30, fps)
    assert probe_media(path).duration_seconds == pytest.approx(30 / fps, abs=0.011)
    assert f"{float(fps):.4g} fps" in describe(path)


@pytest.mark.parametrize(("codec", "named"), [("hevc", "hevc"), ("av1", "av1")])
def test_other_codecs(codec: str, named: str, tmp_path: Path) -> None:
    assert named in describe(write(tmp_path / "out.mp4", 5, codec=codec))


SOUNDS = {
    "8k.wav": ["-ar", "8000"],
    "stereo.wav": ["-ar", "44100", "-ac", "2"],
    "96k.wav": ["-ar", "96000", "-c:a", "pcm_s24le"],
    "192k.wav": ["-ar", "192000"],
    "5.1.wav": ["-ar", "48000", "-ac", "6"],
    "a.mp3": ["-ar", "44100", "-c:a", "libmp3lame"],
    "a.m4a": ["-ar", "44100", "-c:a", "aac"],
    "a.aac": ["-ar", "44100", "-c:a", "aac"],
    "a.ogg": ["-c:a", "libvorbis"],
    "a.opus": ["-c:a", "libopus"],
    "a.flac": ["-c:a", "flac"],
    "alac.m4a": ["-c:a", "alac"],
    "a.ac3": ["-ar", "48000", "-c:a", "ac3"],
}
COPIED = {
    "a.mp3": "mp3",
    "a.m4a": "aac",
    "a.aac": "aac",
    "a.opus": "opus",
    "a.flac": "flac",
    "alac.m4a": "alac",
    "a.ac3": "ac3",
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sound_is_the_original_and_in_step(name: str, tmp_path: Path, speech_wav: Path) -> None:
    source = tmp_path / name
    run_ffmpeg("-t", "3.3", "-i", speech_wav, *SOUNDS[name], source)
    before = decode_audio(source)
    num_frames = round(Fraction(len(before), 16000) * 25)
    path = write(tmp_path / "out.mp4", num_frames, audio=source)
    after = decode_audio(path)
    assert probe_media(path).audio_codec == COPIED.get(name, "aac")
    # Nothing is cut off. The container says where the sound ends; older decoders play the last frame's padding.
    assert len(after) >= len(before) - 0.02 * 16000
    seconds = probe_media(path).duration_seconds
    assert seconds == pytest.approx(max(num_frames / 25, len(before) / 16000), abs=0.03)
    length = min(len(before), len(after))
    spectrum = np.fft.rfft(after[:length], 2 * length) * np.conj(
        np.fft.rfft(before[:length], 2 * length)
    )
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    lag -= 2 * length if lag > length else 0
    assert abs(lag) <= 0.002 * 16000


def test_own_rate_and_channels_are_kept(tmp_path: Path) -> None:
    source = make_tone(tmp_path / "tone.wav", 1.0, rate=22050, channels=2)
    text = describe(write(tmp_path / "out.mp4", 25, audio=source))
    assert "22050 Hz, stereo" in text


def test_sound_track_that_begins_late_is_moved_to_the_start(
    tmp_path: Path, speech_wav: Path
) -> None:
    film = tmp_path / "film.mp4"
    late = [
        "-itsoffset",
        "0.5",
        "-t",
        "3",
        "-i",
        speech_wav,
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c:a",
        "aac",
    ]
    run_ffmpeg("-f", "lavfi", "-i", "color=c=red:s=128x128:r=25:d=4", *late, film)
    seconds = len(decode_audio(film)) / 16000
    path = write(tmp_path / "out.mp4", round(seconds * 25), audio=film)
    assert probe_media(path).duration_seconds == pytest.approx(seconds, abs=0.04)


def test_sound_with_gaps_in_its_time_stamps_is_mended(tmp_path: Path, speech_wav: Path) -> None:
    film = tmp_path / "gap.mkv"
    run_ffmpeg(
        "-t",
        "4",
        "-i",
        speech_wav,
        "-af",
        "asetpts='PTS+gt(T,2)*0.7/TB'",
        "-c:a",
        "libmp3lame",
        film,
    )
    seconds = len(decode_audio(film)) / 16000
    path = write(tmp_path / "out.mp4", round(seconds * 25), audio=film)
    assert probe_media(path).duration_seconds == pytest.approx(seconds, abs=0.04)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    [
        "-i.wav",
        "a b.wav",
        'it\'s "so".wav',
        "new\nline.wav",
        "käse 日本.wav",
        "http:x.wav",
        "%03d.wav",
        "a:b|c.wav",
    ],
)
def test_hostile_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_tone(tmp_path / name, 0.4)
    with VideoWriter(
        Path(name).with_suffix(".mp4"), SIDE, SIDE, Fraction(25), audio=Path(name)
    ) as writer:
        writer.write(flat_frames(10))
    made = tmp_path / Path(name).with_suffix(".mp4")
    assert probe_media(made).audio_codec == "aac"


def test_frames_may_come_in_any_pieces(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (7, SIDE, SIDE, 3), dtype=np.uint8)
    for name, sizes in (("one.mp4", [7]), ("many.mp4", [1, 0, 3, 2, 1])):
        with VideoWriter(tmp_path / name, SIDE, SIDE, Fraction(25)) as writer:
            start = 0
            for size in sizes:
                writer.write(noise[start : start + size])
                start += size
            assert writer.num_frames == 7
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "many.mp4").read_bytes()


def test_frames_need_not_lie_in_one_piece(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (4, 2 * SIDE, SIDE, 3), dtype=np.uint8)
    with VideoWriter(tmp_path / "out.mp4", SIDE, SIDE, Fraction(25)) as writer:
        writer.write(noise[:, ::2])
    assert len(decode_frames(tmp_path / "out.mp4", SIDE, SIDE)) == 4


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((1, SIDE, SIDE + 2, 3), np.uint8),
        np.zeros((SIDE, SIDE, 3), np.uint8),
        np.zeros((1, SIDE, SIDE, 3)),
    ],
)
def test_wrong_frames_are_refused_and_leave_nothing(frames: np.ndarray, tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="frames must be"),
        VideoWriter(tmp_path / "out.mp4", SIDE, SIDE, Fraction(25)) as writer,
    ):
        writer.write(frames)
    assert list(tmp_path.iterdir()) == []


def test_odd_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        VideoWriter("-", 127, 128, Fraction(25))


def test_interrupt_leaves_nothing_and_ends_ffmpeg(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", SIDE, SIDE, Fraction(25))
    with pytest.raises(KeyboardInterrupt), writer:
        writer.write(flat_frames(5))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    assert writer._process is not None
    assert writer._process.poll() is not None


def test_output_that_appeared_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with (
        pytest.raises(InputError, match="--overwrite"),
        VideoWriter(path, SIDE, SIDE, Fraction(25)) as writer,
    ):
        writer.write(flat_frames(2))
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"
    assert leftovers(tmp_path) == []


def test_failed_render_keeps_the_old_output(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("old")
    with (
        pytest.raises(ValueError, match="frames"),
        VideoWriter(path, SIDE, SIDE, Fraction(25), overwrite=True) as writer,
    ):
        writer.write(np.zeros((1, 2, 2, 3), np.uint8))
    assert path.read_text() == "old"


def test_video_has_usual_permissions(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        path = write(tmp_path / "out.mp4", 2)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def stand_in_ffmpeg(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a shell script in ffmpeg's place."""
    path = folder / "stand-in"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(media, "ffmpeg_path", lambda encoder=None: str(path))


def test_ffmpeg_that_dies_half_way_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_ffmpeg(
        tmp_path, "head -c 100000 >/dev/null; echo 'the encoder broke' >&2; exit 9", monkeypatch
    )
    with pytest.raises(MediaError, match=r"exit status 9 \(the encoder broke\)"):
        write(tmp_path / "out.mp4", 400)
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "out.mp4").exists()


def test_ffmpeg_that_is_killed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_ffmpeg(tmp_path, "kill -9 $$", monkeypatch)
    with pytest.raises(MediaError, match="killed by signal 9"):
        write(tmp_path / "out.mp4", 400)


def test_ffmpeg_that_floods_standard_error_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_ffmpeg(
        tmp_path, "yes noise | head -c 3000000 >&2; cat >/dev/null; exit 1", monkeypatch
    )
    with pytest.raises(MediaError, match="noise"):
        write(tmp_path / "out.mp4", 100)


def test_ffmpeg_that_writes_nothing_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_ffmpeg(tmp_path, "cat >/dev/null", monkeypatch)
    with pytest.raises(MediaError, match="exit status 0"):
        write(tmp_path / "out.mp4", 3)
    assert leftovers(tmp_path) == []


def test_ffmpeg_that_cannot_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "ffmpeg_path", lambda encoder=None: str(tmp_path))
    with pytest.raises(MediaError, match="cannot be run"):
        write(tmp_path / "out.mp4", 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / ".talkhead-x.mp4"
    link.symlink_to("/dev/full")
    monkeypatch.setattr(paths, "temporary_beside", lambda path: link)
    noise = np.random.default_rng(0).integers(0, 255, (60, SIDE, SIDE, 3), dtype=np.uint8)
    with (
        pytest.raises(MediaError, match="disk is full"),
        VideoWriter(tmp_path / "out.mp4", SIDE, SIDE, Fraction(25)) as writer,
    ):
        writer.write(noise)
    assert list(tmp_path.iterdir()) == []


def test_standard_output_is_fragmented_and_complete(tmp_path: Path, short_wav: Path) -> None:
    code = (
        "import sys, numpy as np; from fractions import Fraction; from pathlib import Path\n"
        "from talkhead_cli.media import VideoWriter\n"
        "with VideoWriter('-', 128, 128, Fraction(25), audio=Path(sys.argv[1])) as w:\n"
        "    w.write(np.zeros((30, 128, 128, 3), np.uint8))\n"
    )
    import sys

    done = subprocess.run(
        [sys.executable, "-c", code, str(short_wav)], check=True, capture_output=True
    )
    path = tmp_path / "piped.mp4"
    path.write_bytes(done.stdout)
    assert b"moof" in done.stdout
    assert len(decode_frames(path, 128, 128)) == 30
    assert len(decode_audio(path)) == pytest.approx(1.2 * 16000, abs=320)
