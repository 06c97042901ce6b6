"""How long it takes to check a manifest before the first frame, and how much memory.

Makes pictures, recordings and manifests in a temporary folder, and checks each manifest in a process of its own, as
`talkhead batch --dry-run` does: every file hashed, faces found, sound decoded. Then once more with what was found the
first time, as `--resume` does. "of cores" are seconds of processor time, which tell more
where a machine has other work.

Launch::

    python benchmarks/manifest.py
    python benchmarks/manifest.py --rows 10000 --files 1000 --side 1080 --seconds 8
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

ROOT = Path(__file__).parent.parent
SPEECH = ROOT / "examples" / "speech.wav"


def make_pictures(folder: Path, number: int, side: int) -> list[str]:
    """Distinct pictures of the built-in faces, as JPEG files of `side` pixels."""
    from matplotlib import cbook
    from skimage.data import astronaut

    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
        sources = [image.convert("RGB"), Image.fromarray(astronaut())]
    names = []
    for index in range(number):
        source = sources[index % len(sources)]
        cut = min(source.size) - index % 40
        picture = source.crop((0, 0, cut, cut)).resize((side, side))
        picture.save(folder / f"face{index:04d}.jpg", quality=90 - index % 7, comment=str(index))
        names.append(f"face{index:04d}.jpg")
    return names


def make_sounds(folder: Path, number: int, seconds: float) -> list[str]:
    """Distinct recordings of the example speech."""
    samples, rate = soundfile.read(SPEECH, dtype="float32")
    count = round(seconds * rate)
    names = []
    for index in range(number):
        wave = np.resize(np.roll(samples, -index * rate // 50), count) * (0.5 + index % 50 / 100)
        soundfile.write(folder / f"speech{index:04d}.wav", wave, rate, subtype="PCM_16")
        names.append(f"speech{index:04d}.wav")
    return names


def write_manifest(path: Path, rows: int, pictures: list[str], sounds: list[str]) -> None:
    """Rows that go through all files, each with a seed of its own."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["portrait", "audio", "output", "seed"])
        for row in range(rows):
            picture, sound = pictures[row % len(pictures)], sounds[row % len(sounds)]
            writer.writerow([picture, sound, f"part{row // 100}/{row:05d}.mp4", row])


def check(manifest: Path) -> None:
    """Check a manifest twice in this process, and print figures as JSON."""
    from talkhead_cli.batch.check import DictFacts, plan_batch
    from talkhead_cli.batch.job import BatchRequest

    request = BatchRequest(manifest, manifest.parent / "videos", devices=("cpu",), dry_run=True)
    facts = DictFacts()
    figures: dict[str, float] = {}
    for name in ("first", "again"):
        started, busy = time.perf_counter(), processor_seconds()
        plan = plan_batch(request, lambda key, output: None, facts)
        figures[name] = time.perf_counter() - started
        figures[f"{name}_busy"] = processor_seconds() - busy
        assert not plan.faults, plan.faults[:3]
        assert len(plan.jobs) == plan.rows
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({**figures, "own_mib": own / 1024, "process_mib": largest / 1024}))


def processor_seconds() -> float:
    """Of this process and of all that it has started and waited for."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, who))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument(
        "--files", type=int, default=1000, help="distinct files, half of them pictures"
    )
    parser.add_argument("--side", type=int, default=1080, help="of the pictures, in pixels")
    parser.add_argument("--seconds", type=float, default=8.0, help="of the recordings")
    parser.add_argument("--check", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.check is not None:
        check(args.check)
        return
    half = max(1, args.files // 2)
    cases = {
        "few files": (args.rows, 4),
        "a tenth of the rows": (args.rows // 10, 4),
        "many files": (args.rows, half),
    }
    print(f"pictures {args.side}x{args.side}, recordings {args.seconds:g} s")
    print(
        f"{'rows':>7}{'files':>7}{'first':>10}{'of cores':>12}{'again':>10}{'this process':>15}{'each other':>13}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = make_pictures(folder, half, args.side)
        sounds = make_sounds(folder, half, args.seconds)
        for rows, files in cases.values():
            manifest = folder / "jobs.csv"
            write_manifest(manifest, rows, pictures[:files], sounds[:files])
            command = [sys.executable, __file__, "--check", str(manifest)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{rows:7d}{2 * files:7d}{found['first']:8.1f} s{found['first_busy']:10.1f} s{found['again']:8.1f} s"
                f"{found['own_mib']:11.0f} MiB{found['process_mib']:9.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
