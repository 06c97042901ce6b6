"""Other containers than MP4, and transparency, against a real ffmpeg."""

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkhead_cli.media import VideoWriter, ffmpeg_path, probe_media
from tests.conftest import decode_audio, leftovers, run_ffmpeg

SIDE = 128

SOURCES = {
    "pcm.wav": ["-ar", "44100"],
    "5.1.wav": ["-ar", "48000", "-ac", "6"],
    "a.m4a": ["-ar", "44100", "-c:a", "aac"],
    "a.ogg": ["-c:a", "libvorbis"],
    "a.opus": ["-c:a", "libopus"],
}

CONTAINERS = {
    (".mov", "pcm.wav"): "pcm_s16le",
    (".mov", "a.opus"): "aac",
    (".mov", "a.m4a"): "aac",
    (".mkv", "pcm.wav"): "pcm_s16le",
    (".mkv", "a.m4a"): "aac",
    (".mkv", "a.ogg"): "vorbis",
    (".webm", "pcm.wav"): "opus",
    (".webm", "a.m4a"): "opus",
    (".webm", "a.opus"): "opus",
    (".webm", "5.1.wav"): "opus",
}


@pytest.mark.parametrize(("suffix", "name"), CONTAINERS)
def test_sound_fits_the_container_and_is_in_step(
    suffix: str, name: str, tmp_path: Path, speech_wav: Path
) -> None:
    source = tmp_path / name
    run_ffmpeg("-t", "1.6", "-i", speech_wav, *SOURCES[name], source)
    before = decode_audio(source)
    codec = "av1" if suffix == ".webm" else "h264"
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, SIDE, SIDE, Fraction(25), audio=source, codec=codec) as writer:
        writer.write(np.full((round(len(before) / 640), SIDE, SIDE, 3), 90, np.uint8))
    assert probe_media(path).audio_codec == CONTAINERS[suffix, name]
    after = decode_audio(path)
    length = min(len(before), len(after))
    assert length >= len(before) - 0.03 * 16000
    spectrum = np.fft.rfft(after[:length], 2 * length) * np.conj(
        np.fft.rfft(before[:length], 2 * length)
    )
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    lag -= 2 * length if lag > length else 0
    assert abs(lag) <= 0.002 * 16000
    assert leftovers(tmp_path) == []


TRANSPARENT = {"prores4444": (".mov", "bt709", 2), "vp9": (".webm", "bt601", 4)}


@pytest.mark.parametrize("codec", TRANSPARENT)
def test_transparency_survives(codec: str, tmp_path: Path) -> None:
    suffix, matrix, most = TRANSPARENT[codec]
    ramp = np.linspace(0, 255, SIDE).astype(np.uint8)
    frame = np.full((SIDE, SIDE, 4), (200, 120, 40, 255), np.uint8)
    frame[..., 3] = ramp
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, SIDE, SIDE, Fraction(25), codec=codec, crf=8) as writer:
        writer.write(np.repeat(frame[None], 6, 0))
    decoder = ["-c:v", "libvpx-vp9"] if codec == "vp9" else []
    chain = f"scale=in_color_matrix={matrix}:in_range=limited:out_range=full,format=rgba"
    command = [ffmpeg_path(), "-v", "error", *decoder, "-i", str(path), "-vf", chain]
    done = subprocess.run([*command, "-f", "rawvideo", "-"], check=True, capture_output=True)
    seen = np.frombuffer(done.stdout, np.uint8).reshape(-1, SIDE, SIDE, 4)
    assert len(seen) == 6
    assert np.abs(seen.astype(int) - frame).max() <= most
    if codec == "vp9":
        # Matroska's AlphaMode element, without which browsers show the picture opaque.
        assert b"\x53\xc0\x81\x01" in path.read_bytes()


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("prores", ".mov"), ("prores4444", ".mov"), ("vp9", ".webm"), ("h264", ".mkv")],
)
def test_files_are_the_same_every_time(codec: str, suffix: str, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}{suffix}"
        with VideoWriter(path, SIDE, SIDE, Fraction(25), codec=codec) as writer:
            rng = np.random.default_rng(0)
            frames = rng.integers(0, 255, (5, SIDE, SIDE, writer.channels), np.uint8)
            writer.write(frames)
        made.append(path.read_bytes())
    assert made[0] == made[1]
