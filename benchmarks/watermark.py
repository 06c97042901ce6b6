"""Whether the invisible watermark is read back after re-encoding and scaling, and never where there is none.

Renders portraits at several sizes with and without it; re-encodes those with it by x264 (medium, CRF 28) scaled to a
height of 720; reads all of them. One render of three goes through further attacks, for information. False alarms are
looked for in a folder of clips, the unmarked renders, noise and plain pictures.

Launch::

    python benchmarks/watermark.py --portraits PICTURES --speech RECORDING --clips CLIPS
    python benchmarks/watermark.py --portraits PICTURES --renders 40 --seconds 2 --json out/watermark.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from talkhead_cli.audio import extract_features
from talkhead_cli.errors import TalkheadError
from talkhead_cli.face import Portrait, load_portrait
from talkhead_cli.marking.watermark_reader import read_frames, read_watermark
from talkhead_cli.media import VideoWriter, ffmpeg_path
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.render import speech_encoder
from talkhead_cli.settings import resolve_settings
from talkhead_models.speech import SpeechFeatures
from talkhead_models.watermark import Watermark
from talkhead_models.watermark_code import payload_of, show_payload
from talkhead_models.watermark_search import aligned, mean_luma, searched

ROOT = Path(__file__).parent.parent
PICTURES = {".png", ".jpg", ".jpeg", ".webp"}
SIZES = (512, 320, 512, None, 768, 1280)
"""Longest sides, in turn; None keeps the picture's."""

LARGEST = 1920
X264 = ("-c:v", "libx264", "-preset", "medium", "-crf")
MAIN = "CRF 28, height 720"

ATTACKS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    MAIN: ("scale=-2:720", (*X264, "28")),
    "CRF 28": (None, (*X264, "28")),
    "CRF 33, height 720": ("scale=-2:720", (*X264, "33")),
    "CRF 28, half the size": ("scale=trunc(iw/4)*2:trunc(ih/4)*2", (*X264, "28")),
    "CRF 28, 5 % cut off": ("crop=trunc(iw*0.475)*2:trunc(ih*0.475)*2", (*X264, "28")),
    "CRF 28, between bars": ("pad=iw*1.5:ih:-1:-1,scale=-2:720", (*X264, "28")),
    "CRF 28, brighter, more contrast": ("eq=brightness=0.06:contrast=1.15", (*X264, "28")),
    "CRF 28, 30 frames/s": ("fps=30", (*X264, "28")),
    "HEVC, CRF 30, height 720": (
        "scale=-2:720",
        ("-c:v", "libx265", "-preset", "fast", "-crf", "30", "-x265-params", "log-level=error"),
    ),
    "VP9, CRF 36, height 720": (
        "scale=-2:720",
        ("-c:v", "libvpx-vp9", "-crf", "36", "-b:v", "0", "-cpu-used", "5", "-f", "matroska"),
    ),
    "CRF 28, mirrored": ("hflip", (*X264, "28")),
}


class Rendered(NamedTuple):
    """A render, its planes (n, 3 H / 2, W) not marked."""

    name: str
    portrait: Portrait
    planes: np.ndarray


def render_all(
    pictures: list[Path],
    count: int,
    features: SpeechFeatures,
    pipeline: TalkingHeadPipeline,
    done: int,
) -> Iterator[Rendered]:
    """Pictures and sizes in turn until there are so many renders; the first ones are done already."""
    made, turn = 0, 0
    frames = round(features.duration_seconds * 25)
    while made < count and turn < 4 * count:
        picture = pictures[turn % len(pictures)]
        size = SIZES[(turn % len(pictures) + turn // len(pictures)) % len(SIZES)]
        turn += 1
        try:
            portrait = load_portrait(picture, size=size)
            if max(portrait.image.shape) > LARGEST:
                portrait = load_portrait(picture, size=LARGEST)
        except TalkheadError as error:
            print(f"left out: {error}", flush=True)
            continue
        made += 1
        if made <= done:
            continue
        height, width = portrait.image.shape[:2]
        chunks = pipeline.render(portrait, features, frames, planes=True)
        yield Rendered(f"{picture.stem} {width}x{height}", portrait, np.concatenate(list(chunks)))


def encode(planes: np.ndarray, path: Path) -> Path:
    """Write planes as a render does."""
    height, width = planes.shape[1] * 2 // 3, planes.shape[2]
    with VideoWriter(path, width, height, Fraction(25), planes=True, overwrite=True) as writer:
        writer.write(planes)
    return path


def attack(source: Path, name: str, target: Path) -> Path:
    """Encode a video again."""
    filters, options = ATTACKS[name]
    command = [ffmpeg_path(), "-v", "error", "-y", "-i", source]
    command += ["-vf", filters] if filters else []
    subprocess.run([*map(str, command), *options, str(target)], check=True)
    return target


def measure(render: Rendered, names: list[str], folder: Path) -> dict[str, Any]:
    """Mark a render, attack it, read it; also what is read of it unmarked."""
    payload = payload_of(sha256(render.name.encode()).hexdigest())
    started = time.perf_counter()
    mark = Watermark.create(render.portrait.image, payload)
    created = time.perf_counter() - started
    marked = render.planes.copy()
    started = time.perf_counter()
    mark.add_to(marked)
    added = (time.perf_counter() - started) / len(marked)
    levels = mark.levels.astype(float)
    smooth = levels[blocks_of(render.portrait.image)]
    plain, first = (
        encode(render.planes, folder / "plain.mp4"),
        encode(marked, folder / "marked.mp4"),
    )
    readings = {"as written": read_watermark(first)}
    for name in names:
        readings[name] = read_watermark(attack(first, name, folder / "attacked.mkv"))
    return {
        "name": render.name,
        "rms": float(np.sqrt((levels**2).mean())),
        "rms_smooth": float(np.sqrt((smooth**2).mean())) if smooth.size else None,
        "psnr": float(10 * np.log10(255**2 / (levels**2).mean())),
        "create_ms": 1e3 * created,
        "add_ms": 1e3 * added,
        "bytes": first.stat().st_size / plain.stat().st_size,
        "scores": {name: reading.score for name, reading in readings.items()},
        "found": {name: reading.found for name, reading in readings.items()},
        "read": {
            name: reading.payload == show_payload(payload) for name, reading in readings.items()
        },
        "unmarked": both(mean_luma(read_frames(plain))),
    }


def blocks_of(image: np.ndarray) -> np.ndarray:
    """(H, W) bool: blocks of 16 x 16 pixels whose luma hardly differs."""
    luma = image.mean(2)
    height, width = (side // 16 * 16 for side in luma.shape)
    blocks = luma[:height, :width].reshape(height // 16, 16, width // 16, 16).std((1, 3)) < 2
    found = np.zeros(luma.shape, bool)
    found[:height, :width] = np.kron(blocks, np.ones((16, 16), bool))
    return found


def both(luma: np.ndarray) -> dict[str, Any]:
    """What is read of the mean of frames as it is, and after the search for cropping."""
    one, other = aligned(luma), searched(luma)
    return {"aligned": one.score, "searched": other.score, "found": one.found or other.found}


def made_up() -> Iterator[tuple[str, np.ndarray]]:
    """Noise, coarse noise, plain pictures and slopes."""
    rng = np.random.default_rng(0)
    for number in range(20):
        height, width = rng.integers(128, 1081, 2) // 2 * 2
        yield f"noise {number}", rng.normal(128, 20, (height, width)).astype(np.float32)
        coarse = rng.normal(128, 40, (height // 8, width // 8))
        yield f"coarse noise {number}", np.kron(coarse, np.ones((8, 8))).astype(np.float32)
    for level in (0, 16, 128, 255):
        yield f"plain {level}", np.full((512, 512), level, np.float32)
        slope = np.add.outer(np.arange(512), level * np.arange(512)) / 512
        yield f"slope {level}", np.floor(slope).astype(np.float32) % 256


def alarms(clips: Path | None, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is read of things without the watermark."""
    for name, luma in made_up():
        yield name, both(luma)
    found = sorted(clips.iterdir()) if clips else []
    for path in found[:: max(1, len(found) // max(count, 1))][:count]:
        try:
            yield path.name, both(mean_luma(read_frames(path)))
        except TalkheadError as error:
            print(f"left out: {error}", flush=True)


def report(renders: list[dict[str, Any]], unmarked: dict[str, dict[str, Any]]) -> None:
    """Tables."""
    by_attack = defaultdict(list)
    for each in renders:
        for name, score in each["scores"].items():
            by_attack[name].append((score, each["found"][name], each["read"][name]))
    print(f"\n{'attack':34} {'found':>8} {'payload':>8} {'lowest':>7} {'median':>7}")
    for name, rows in by_attack.items():
        scores, found, read = map(np.array, zip(*rows, strict=True))
        shown = f"{found.sum()}/{len(rows)}", f"{read.sum()}/{len(rows)}"
        print(f"{name:34} {shown[0]:>8} {shown[1]:>8} {scores.min():7.1f} {np.median(scores):7.1f}")
    for key in ("rms", "rms_smooth", "psnr", "create_ms", "add_ms", "bytes"):
        values = [each[key] for each in renders if each[key] is not None]
        low, middle, high = np.percentile(values, (0, 50, 100))
        print(f"{key:34} lowest {low:.2f}, median {middle:.2f}, highest {high:.2f}")
    print(
        f"\nunmarked: {len(unmarked)}, found in {sum(each['found'] for each in unmarked.values())}"
    )
    for key in ("aligned", "searched"):
        values = np.array([each[key] for each in unmarked.values()])
        print(
            f"{key:34} mean {values.mean():.2f}, deviation {values.std():.2f}, highest {values.max():.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--portraits", type=Path, required=True)
    parser.add_argument("--speech", type=Path, default=ROOT / "examples" / "speech.wav")
    parser.add_argument("--clips", type=Path, help="folder of videos without the watermark")
    parser.add_argument("--renders", type=int, default=40)
    parser.add_argument("--unmarked", type=int, default=200, help="clips that are looked at")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument(
        "--every", type=int, default=3, help="of which one goes through all attacks"
    )
    parser.add_argument("--json", type=Path, help="file for all figures; renders in it are done")
    args = parser.parse_args()
    pipeline = TalkingHeadPipeline(resolve_settings(None, {"device": "cpu"}))
    whole = extract_features(args.speech, speech_encoder("cpu"), 3600.0, pipeline.lip_audio)
    steps = round(args.seconds * 50)
    features = SpeechFeatures(whole.array[:steps], steps / 50)
    pictures = sorted(each for each in args.portraits.iterdir() if each.suffix in PICTURES)
    renders: list[dict[str, Any]] = []
    if args.json and args.json.exists():
        renders = json.loads(args.json.read_text())["renders"]
    with tempfile.TemporaryDirectory() as folder:
        for each in render_all(pictures, args.renders, features, pipeline, len(renders)):
            names = [MAIN] if len(renders) % args.every else list(ATTACKS)
            renders.append(measure(each, names, Path(folder)))
            found = renders[-1]
            print(
                f"{found['name']:32} {found['scores'][MAIN]:6.1f} {found['read'][MAIN]}", flush=True
            )
            if args.json:
                args.json.write_text(json.dumps({"renders": renders}, indent=1))
    unmarked = {f"render {each['name']}": each["unmarked"] for each in renders}
    unmarked |= dict(alarms(args.clips, args.unmarked))
    if args.json:
        args.json.write_text(json.dumps({"renders": renders, "unmarked": unmarked}, indent=1))
    report(renders, unmarked)


if __name__ == "__main__":
    main()
