"""The sound files that fuzzing begins with: small, real, one of each format."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from talkhead_cli.ffmpeg_binary import ffmpeg_path

SPEECH = Path(__file__).parent.parent.parent / "examples" / "speech.wav"
PRESETS = Path(__file__).parent.parent.parent / "presets"

ENCODERS = {
    "flac": ["-c:a", "flac"],
    "mp3": ["-c:a", "libmp3lame", "-metadata", "title=a title"],
    "m4a": ["-c:a", "aac"],
    "ogg": ["-c:a", "libvorbis", "-ar", "16000"],
    "opus": ["-c:a", "libopus"],
    "mka": ["-c:a", "pcm_s16le"],
    "aiff": ["-c:a", "pcm_s16be"],
}


@dataclass(frozen=True)
class Seeds:
    """Sound files.

    Attributes:
        portrait: a picture that renders.
        speech: half a second that renders.
        pictures: by suffix.
        sounds: by suffix.
        films: by suffix.
        motions: by suffix.
        weights: folder of the shipped bundles.
    """

    portrait: Path
    speech: Path
    pictures: dict[str, Path] = field(default_factory=dict)
    sounds: dict[str, Path] = field(default_factory=dict)
    films: dict[str, Path] = field(default_factory=dict)
    motions: dict[str, Path] = field(default_factory=dict)
    weights: Path = Path()


def make_seeds(folder: Path) -> Seeds:
    """Write them; an astronaut's head and half a second of speech, in every format."""
    import skimage.data

    from talkhead_models.bundle_files import weights_folder

    folder.mkdir(parents=True, exist_ok=True)
    face = Image.fromarray(np.ascontiguousarray(skimage.data.astronaut()[30:286, 96:352]))
    seeds = Seeds(folder / "face.png", folder / "speech.wav", weights=weights_folder())
    save_pictures(face, folder, seeds)
    samples, rate = soundfile.read(SPEECH)
    soundfile.write(seeds.speech, samples[2000 : 2000 + rate // 2], rate, subtype="PCM_16")
    seeds.sounds["wav"] = seeds.speech
    for suffix, options in ENCODERS.items():
        seeds.sounds[suffix] = folder / f"speech.{suffix}"
        run_ffmpeg("-i", seeds.speech, *options, seeds.sounds[suffix])
    for suffix in ("mp4", "webm", "avi"):
        seeds.films[suffix] = folder / f"film.{suffix}"
        still = ["-loop", "1", "-framerate", "25", "-i", seeds.portrait, "-i", seeds.speech]
        run_ffmpeg(*still, "-t", "0.5", "-pix_fmt", "yuv420p", seeds.films[suffix])
    save_motions(folder, seeds)
    return seeds


def save_pictures(face: Image.Image, folder: Path, seeds: Seeds) -> None:
    """The portrait in all formats."""
    from pillow_heif import register_heif_opener

    register_heif_opener()
    half = face.copy()
    half.putalpha(200)
    for suffix, picture in {
        "png": face,
        "jpg": face,
        "webp": half,
        "gif": face.quantize(64),
        "tif": face,
        "heic": face,
        "bmp": face,
        "avif": face,
        "jp2": face,
    }.items():
        seeds.pictures[suffix] = folder / f"face.{suffix}"
        picture.save(seeds.pictures[suffix])


def save_motions(folder: Path, seeds: Seeds) -> None:
    """Half a second of motion as both kinds of file."""
    from fractions import Fraction

    from talkhead_cli.motion_files import save_motion
    from talkhead_models.motion import FaceMotion
    from talkhead_models.motion_npz import WIDTHS

    waves = np.sin(np.arange(12)[:, None] / 3).astype(np.float32)
    parts = {name: 0.1 * np.repeat(waves, size, 1) for name, size in WIDTHS.items()}
    motion = FaceMotion(**parts, fps=Fraction(25))
    for suffix in ("npz", "csv"):
        seeds.motions[suffix] = folder / f"motion.{suffix}"
        save_motion(seeds.motions[suffix], motion)


def weights_with(seeds: Seeds, folder: Path, name: str, data: bytes, recorded: bool) -> Path:
    """A folder of bundles in which one is replaced; its hash is recorded, or the true one's is."""
    import hashlib
    import json

    folder.mkdir()
    for path in seeds.weights.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / name).unlink()
    (folder / name).write_bytes(data)
    if recorded:
        sums = json.loads((seeds.weights / "SHA256SUMS.json").read_text())
        sums[name] = hashlib.sha256(data).hexdigest()
        (folder / "SHA256SUMS.json").unlink()
        (folder / "SHA256SUMS.json").write_text(json.dumps(sums))
    return folder


def run_ffmpeg(*arguments: object) -> None:
    """Run ffmpeg to prepare an input."""
    command = [ffmpeg_path(), "-hide_banner", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def copy_to(path: Path, folder: Path) -> Path:
    """A copy in a case's folder."""
    return Path(shutil.copy(path, folder / path.name))
