"""What a case is, and one maker of cases for each kind of input."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.mutation import mutate, mutate_text
from tests.fuzz.seeds import PRESETS, Seeds, copy_to, weights_with

WORDS = (
    *('""', "'", ",", ";", "\t", "\n", "\r", "\0", "\ufeff", "é", "🙂", "\\", "/", "..", "~", "%s", "-", "--"),
    *("0", "-1", "1e999", "nan", "inf", "99999999999999999999", "0x", "null", "true", "[]", "{}", "[", "{", "]"),
    *("!!python/object/apply:os.system [id]", "&a", "*a", "<<: *a", "!!binary x", "2001-99-99", "? ", "- ", ": "),
    *("portrait", "audio", "output", "preset", "seed", "fps", "#", "x-mine", "../../out.mp4", "/etc/passwd", "=1+1"),
)  # fmt: skip

OPTIONS = (
    *("--preset", "--device", "--size", "--fps", "--crf", "--seed", "--crop", "--face", "--background", "--emotion"),
    *("--emotion-strength", "--gaze", "--video-codec", "--encoder", "--max-seconds", "--num-inference-steps"),
    *("--pose-scale", "--expression-scale", "--blink-scale", "--chunk-frames", "--lookahead-frames", "--bundle"),
    *("--guidance-scale", "--face-backend", "--drive", "--style", "--motion-in", "--motion-out", "--drive-pose"),
)  # fmt: skip

FLAGS = (
    "--alpha",
    "--still",
    "--overwrite",
    "--no-sidecar",
    "--stream",
    "--resume",
    "--json",
    "-q",
    "-v",
)

VALUES = (
    *("", " ", "-", "0", "1", "-1", "25", "256", "1e9", "1e999", "nan", "inf", "0x10", "99999999999999999999", "1/0"),
    *("30000/1001", "auto", "cpu", "cuda", "cuda:99", "largest", "1", "0,0", "128,100", "none", "happy", "h264", "av1"),
    *("prores", "red", "#12", "🙂", "a" * 300, "../x", "/", "/dev/null", "/dev/zero", "talkhead", "rest", "\x1b[31m"),
    *("nowhere.npz", "out.csv", "face.png", "speech.wav", "full", "face", "software", "hardware", "free", "camera"),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One command line.

    Attributes:
        kind: of the input that is spoilt.
        arguments: of the command.
        spoilt: the file that an error must name; None where no file is at fault.
        stdin: a file.
        environment: in addition.
        output: of the video that it may make; None where it makes none.
    """

    kind: str
    arguments: list[str]
    spoilt: Path | None = None
    stdin: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    output: Path | None = None


Maker = Callable[[random.Random, Path, Seeds], Case]


def render(folder: Path, *arguments: object, dry: bool, **values: object) -> Case:
    """A render to out.mp4 in the case's folder."""
    output = folder / "out.mp4"
    words = ["render", *map(str, arguments), "-o", str(output), *(["--dry-run"] if dry else [])]
    return Case(arguments=words, output=None if dry else output, **values)  # type: ignore[arg-type]


def spoil(sources: dict[str, Path], name: str, rng: random.Random, folder: Path) -> Path:
    """One of some files, damaged; sometimes under the suffix of another."""
    suffix = rng.choice(sorted(sources))
    others = [path.read_bytes() for path in sources.values()]
    data = mutate(sources[suffix].read_bytes(), rng, others)
    shown = suffix if rng.random() < 0.9 else rng.choice([*sorted(sources), "mp4", "m3u8", "txt"])
    path = folder / f"{name}.{shown}"
    path.write_bytes(data)
    return path


def portrait(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    spoilt = spoil(seeds.pictures, "spoilt", rng, folder)
    if rng.random() < 0.5:
        return Case("portrait", ["probe", str(spoilt), *rng.choice([[], ["--json"]])], spoilt)
    speech = copy_to(seeds.speech, folder)
    return render(folder, spoilt, speech, dry=rng.random() < 0.7, kind="portrait", spoilt=spoilt)


def speech(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    spoilt = spoil(seeds.sounds, "spoilt", rng, folder)
    face = copy_to(seeds.portrait, folder)
    if rng.random() < 0.2:
        return Case("speech", ["probe", str(face), str(spoilt)], spoilt)
    more = ["--stream"] if rng.random() < 0.2 else []
    dry = not more and rng.random() < 0.6
    return render(folder, face, spoilt, *more, dry=dry, kind="speech", spoilt=spoilt)


def film(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    spoilt = spoil(seeds.films, "spoilt", rng, folder)
    face, sound = copy_to(seeds.portrait, folder), copy_to(seeds.speech, folder)
    way = rng.random()
    if way < 0.3:
        return Case("film", ["evaluate", str(spoilt), *rng.choice([[], ["--json"]])], spoilt)
    if way < 0.5:
        return render(folder, spoilt, sound, dry=False, kind="film", spoilt=spoilt)
    option = rng.choice(["--drive", "--drive", "--style"])
    given = [face, sound, option, spoilt] if option == "--style" else [face, option, spoilt]
    return render(folder, *given, dry=rng.random() < 0.7, kind="film", spoilt=spoilt)


def motion(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    suffix = rng.choice(["npz", "csv"])
    data = seeds.motions[suffix].read_bytes()
    if suffix == "csv" and rng.random() < 0.6:
        data = mutate_text(data.decode(), rng, WORDS).encode()
    else:
        data = mutate(data, rng)
    spoilt = folder / f"spoilt.{suffix}"
    spoilt.write_bytes(data)
    face = copy_to(seeds.portrait, folder)
    dry = rng.random() < 0.7
    return render(folder, face, "--motion-in", spoilt, dry=dry, kind="motion", spoilt=spoilt)


def preset(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    text = (PRESETS / rng.choice(["talkhead.yaml", "rest.yaml"])).read_text()
    spoilt = folder / "spoilt.yaml"
    data = mutate_text(text, rng, WORDS).encode("utf-8", "surrogatepass")
    spoilt.write_bytes(data if rng.random() < 0.7 else mutate(data, rng))
    if rng.random() < 0.5:
        return Case("preset", ["presets", "show", str(spoilt)], spoilt)
    face, sound = copy_to(seeds.portrait, folder), copy_to(seeds.speech, folder)
    # A preset that is whole still may ask for a device, a face or a bundle that there is none of.
    return render(folder, face, sound, "--preset", spoilt, dry=True, kind="preset")


def manifest_text(rng: random.Random) -> tuple[str, str]:
    """A manifest of two rows, and its suffix."""
    if rng.random() < 0.5:
        return (
            "portrait,audio,output,seed\nface.png,speech.wav,a.mp4,1\nface.png,speech.wav,,2\n",
            "csv",
        )
    rows = [
        {"portrait": "face.png", "audio": "speech.wav", "output": "a.mp4", "fps": 25},
        {"portrait": "face.png", "audio": "speech.wav", "x-note": "mine"},
    ]
    return "".join(json.dumps(row) + "\n" for row in rows), "jsonl"


def manifest(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    text, suffix = manifest_text(rng)
    data = mutate_text(text, rng, WORDS).encode("utf-8", "surrogatepass")
    if rng.random() < 0.2:
        data = mutate(data, rng)
    # Mostly without the files that it names: to look at those takes processes that are started for it.
    if rng.random() < 0.15:
        copy_to(seeds.portrait, folder)
        copy_to(seeds.speech, folder)
    spoilt = folder / f"spoilt.{suffix}"
    spoilt.write_bytes(data)
    out = ["--out-dir", str(folder / "videos"), "--devices", "cpu", "--dry-run"]
    if rng.random() < 0.3:
        return Case("manifest", ["batch", "-", *out], stdin=spoilt)
    return Case("manifest", ["batch", str(spoilt), *out])


def bundle(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    names = sorted(path.name for path in seeds.weights.glob("*.safetensors"))
    used = [
        "talkhead",
        "face-basis",
        "refiner-mouth",
        "refiner-eyes",
        "speech",
        "lip-audio",
        "detail",
    ]
    name = rng.choice([f"{used_name}.safetensors" for used_name in used])
    assert name in names
    data = (seeds.weights / name).read_bytes()
    length = int.from_bytes(data[:8], "little")
    if rng.random() < 0.7:
        # The header alone: it is what says how all the rest is read.
        header = data[8 : 8 + length]
        if rng.random() < 0.5:
            text = mutate_text(header.decode(), rng, WORDS)
            header = text.encode("utf-8", "surrogatepass")
        else:
            header = mutate(header, rng)
        size = len(header).to_bytes(8, "little") if rng.random() < 0.8 else data[:8]
        data = size + header + data[8 + length :]
    else:
        data = mutate(data, rng)
    weights = weights_with(seeds, folder / "weights", name, data, recorded=rng.random() < 0.8)
    environment = {"TALKHEAD_WEIGHTS": str(weights)}
    if rng.random() < 0.3:
        words = ["models", rng.choice(["list", "verify"])]
        return Case("bundle", words, environment=environment)
    face, sound = copy_to(seeds.portrait, folder), copy_to(seeds.speech, folder)
    dry = rng.random() < 0.5
    return render(folder, face, sound, dry=dry, kind="bundle", environment=environment)


def option(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    face, sound = copy_to(seeds.portrait, folder), copy_to(seeds.speech, folder)
    words: list[str] = []
    for _ in range(rng.randint(1, 3)):
        words += [rng.choice(OPTIONS), rng.choice(VALUES)]
    words += rng.sample(FLAGS, rng.choice([0, 0, 1, 2]))
    return render(folder, face, sound, *words, dry=True, kind="option")


def stream(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    spoilt = spoil(seeds.sounds, "piped", rng, folder)
    face = copy_to(seeds.portrait, folder)
    more = rng.choice([[], ["--stream"], ["--no-stream"]])
    return render(folder, face, "-", *more, dry=False, kind="stream", stdin=spoilt)


MAKERS: dict[str, tuple[Maker, int]] = {
    "portrait": (portrait, 20),
    "speech": (speech, 18),
    "film": (film, 12),
    "motion": (motion, 10),
    "preset": (preset, 9),
    "manifest": (manifest, 9),
    "bundle": (bundle, 7),
    "option": (option, 8),
    "stream": (stream, 7),
}
"""Kind to its maker and its share, in percent."""
