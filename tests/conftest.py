"""Fixtures shared by all tests: example portraits, sounds, and a pipeline that needs no trained generator."""

from __future__ import annotations

import os
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from PIL import Image

# Before torch and OpenCV are loaded: the tests share two cores with each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Slow machines and busy ones run these too; the same examples every time.
hypothesis_settings.register_profile(
    "talkhead",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("talkhead")

ROOT = Path(__file__).parent.parent
SPEECH = ROOT / "examples" / "speech.wav"


def save_picture(pixels: np.ndarray, path: Path) -> Path:
    """Write (H, W, 3) uint8 RGB as a picture file."""
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """(512, 512, 3) uint8 RGB, one face with an open smile."""
    import skimage.data

    return np.asarray(skimage.data.astronaut())


@pytest.fixture(scope="session")
def astronaut_png(astronaut: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The head of the astronaut as a file of 256x256: small, so that frames are cheap."""
    return save_picture(astronaut[30:286, 96:352], tmp_path_factory.mktemp("portrait") / "face.png")


@pytest.fixture(scope="session")
def hopper_png(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grace Hopper, 512x600, closed lips, as a file."""
    from matplotlib import cbook

    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
        pixels = np.asarray(image.convert("RGB"))
    return save_picture(pixels, tmp_path_factory.mktemp("portrait") / "hopper.png")


@pytest.fixture(scope="session")
def speech_wav() -> Path:
    """8.6 s of synthetic speech, 16 kHz mono."""
    return SPEECH


@pytest.fixture(scope="session")
def short_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 1.2 s of the speech."""
    samples, rate = soundfile.read(SPEECH)
    path = tmp_path_factory.mktemp("sound") / "short.wav"
    soundfile.write(path, samples[: round(1.2 * rate)], rate)
    return path


def make_tone(path: Path, seconds: float, rate: int = 16000, channels: int = 1) -> Path:
    """Write bursts of a tone."""
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.4 * np.sin(2 * np.pi * 220 * time) * (np.sin(2 * np.pi * 3 * time) > 0)
    soundfile.write(
        path, np.repeat(wave[:, None], channels, 1).astype(np.float32), rate, subtype="PCM_16"
    )
    return path


@pytest.fixture
def tone_wav(tmp_path: Path) -> Path:
    """One second of tone bursts, 16 kHz mono."""
    return make_tone(tmp_path / "tone.wav", 1.0)


def run_ffmpeg(*arguments: object) -> None:
    """Run ffmpeg to prepare a test's input."""
    from talkhead_cli.media import ffmpeg_path

    command = [ffmpeg_path(), "-hide_banner", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def decode_audio(path: Path, rate: int = 16000) -> np.ndarray:
    """What a player would play of a file's first audio stream: (S,) float32 mono."""
    from talkhead_cli.media import ffmpeg_path

    command = [ffmpeg_path(), "-v", "error", "-i", path, "-map", "0:a:0", "-f", "f32le", "-ac", "1"]
    done = subprocess.run(
        [*map(str, command), "-ar", str(rate), "-"], check=True, capture_output=True
    )
    return np.frombuffer(done.stdout, np.float32)


def frame_times(path: Path) -> list[Fraction]:
    """Seconds at which a video's frames are shown, in that order, as the file tells them."""
    from talkhead_cli.media import ffmpeg_path

    command = [ffmpeg_path(), "-v", "error", "-i", path, "-map", "0:v:0", "-c", "copy"]
    done = subprocess.run(
        [*map(str, command), "-f", "framecrc", "-"], check=True, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    base = Fraction(next(line for line in lines if line.startswith("#tb")).split()[-1])
    return sorted(base * int(line.split(",")[2]) for line in lines if line[:1] == "0")


def decode_frames(path: Path, width: int, height: int) -> np.ndarray:
    """A video's frames, (T, H, W, 3) uint8 RGB, by its colour tags."""
    from talkhead_cli.media import ffmpeg_path

    command = [
        ffmpeg_path(),
        "-v",
        "error",
        "-i",
        path,
        "-map",
        "0:v:0",
        "-fps_mode",
        "passthrough",
    ]
    command += [
        "-vf",
        "scale=in_color_matrix=bt601:in_range=limited:out_range=full",
        "-pix_fmt",
        "rgb24",
    ]
    done = subprocess.run(
        [*map(str, command), "-f", "rawvideo", "-"], check=True, capture_output=True
    )
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


def leftovers(folder: Path) -> list[str]:
    """Names of files in a folder that a render should have removed."""
    return sorted(
        path.name for path in folder.iterdir() if path.name.startswith((".talkhead-", "talkhead-"))
    )
