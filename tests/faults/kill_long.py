# ruff: noqa: T201 - a script that prints a table
"""Kills a long render with SIGKILL at random moments, resumes it, and compares it with one that was not interrupted.

    python tests/faults/kill_long.py --seconds 300 --kills 20

The video is made once without interruption. Then it is made again, as a single `talkhead render --resume` and, with
`--how batch`, as the only row of a batch, and every process is killed at once, as a power cut does, at moments that
cover the whole render: start-up, the first segment, between two, joining. Every decoded frame, and the file itself,
must be the same in the end, nothing half-made may ever be at the output, and nothing temporary may be left.

Prints a table; exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
import soundfile
from kill_batch import RUN_FOLDER, start_marked, wait_for_orphans
from PIL import Image

from talkhead_cli.errors import EXIT_INPUT
from talkhead_cli.hashing import sha256_of
from talkhead_cli.media import ffmpeg_path
from talkhead_cli.segments import SEGMENT_SECONDS

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "examples" / "speech.wav"
LAUNCH = """
import sys
from talkhead_cli import app, segments
segments.SEGMENT_SECONDS = float(sys.argv.pop(1))
app.main()
"""
"""`talkhead` with segments of another length, so that a short video has many of them."""


def make_inputs(folder: Path, seconds: float, size: int) -> Path:
    """A portrait, speech repeated to a length, and a manifest of the one row."""
    Image.fromarray(skimage.data.astronaut()[30:286, 96:352]).resize((size, size)).save(
        folder / "face.png"
    )
    samples, rate = soundfile.read(SPEECH)
    wanted = round(seconds * rate)
    long = np.tile(samples, -(-wanted // len(samples)))[:wanted]
    soundfile.write(folder / "speech.wav", long, rate)
    manifest = folder / "jobs.csv"
    manifest.write_text("portrait,audio,output\nface.png,speech.wav,long.mp4\n")
    return manifest


def frame_hashes(path: Path) -> str:
    """One hash over all decoded pictures, and the number of them."""
    command = [ffmpeg_path(), "-v", "error", "-i", str(path), "-map", "0:v", "-f", "framemd5", "-"]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    frames = [line for line in text.splitlines() if not line.startswith("#")]
    return f"{len(frames)} {hashlib.sha256(chr(10).join(frames).encode()).hexdigest()[:16]}"


def commands(folder: Path, how: str, out: Path, segment_seconds: float) -> list[str]:
    """The command line that makes, or goes on with, the video."""
    talkhead = [sys.executable, "-m", "talkhead_cli"]
    if how != "batch" and segment_seconds != SEGMENT_SECONDS:
        talkhead = [sys.executable, "-c", LAUNCH, str(segment_seconds)]
    if how == "batch":
        words = ["batch", str(folder / "jobs.csv"), "--out-dir", str(out), "--devices", "cpu"]
        return [*talkhead, *words, "--workers", "1", "--resume", "--quiet"]
    words = ["render", str(folder / "face.png"), str(folder / "speech.wav")]
    words += ["-o", str(out / "long.mp4"), "--resume", "--quiet", "--device", "cpu"]
    return [*talkhead, *words, *(["--overwrite"] if how == "whole" else [])]


def make_whole(folder: Path, segment_seconds: float) -> float:
    """The uninterrupted video; seconds it took."""
    (folder / "whole").mkdir()
    began = time.monotonic()
    command = commands(folder, "whole", folder / "whole", segment_seconds)
    subprocess.run(command, cwd=ROOT, check=True)
    return time.monotonic() - began


def parts_in(out: Path) -> int:
    """Segments that are kept."""
    return len(list(out.rglob("segments/*.npz")))


def kill_and_resume(folder: Path, how: str, spent: float, options: argparse.Namespace) -> list[str]:
    """Kill the render so often, and let it end; what was wrong."""
    dice = random.Random(options.seed)
    out = folder / how
    out.mkdir()
    log = folder / f"{how}.log"
    wrong: list[str] = []
    command = commands(folder, how, out, options.segment_seconds)
    number = rounds = tries = 0
    print(f"{'kill':>4}  {'how':7}  {'after':>7}  {'segments before':>15}  {'kept':>4}  found")
    while number < options.kills:
        before = parts_in(out)
        # Each goes on behind the finished segments of the one before, so that the moments cover all of the video.
        moment = dice.uniform(0.0, 0.9 * spent)
        tries += 1
        began = time.monotonic()
        started = start_marked(command, log)
        try:
            code = started.process.wait(moment)
        except subprocess.TimeoutExpired:
            started.kill("everything")
            number += 1
            wait_for_orphans(started)
            found = "nothing"
            if (out / "long.mp4").exists() and sha256_of(out / "long.mp4") != options.digest:
                wrong.append(f"{how}, kill {number}: a video that is not whole is at the output")
                found = "HALF A VIDEO"
            kept = parts_in(out)
            if kept < before and not (out / "long.mp4").exists():
                wrong.append(f"{how}, kill {number}: {before - kept} finished segments are gone")
                found = "LOST SEGMENTS"
            print(
                f"{number:4}  {how:7}  {moment:5.1f} s  {before:15}  {kept:4}  {found}", flush=True
            )
            continue
        if tries == 1:  # never killed: how quick the machine is by now
            spent = min(spent, time.monotonic() - began)
        rounds, tries = rounds + 1, 0
        wrong += check_end(folder, how, out, code)
        print(f"      {how}: video {rounds} is complete, and made again", flush=True)
        for path in out.glob("long.*"):
            path.unlink()
    code = start_marked(command, log).process.wait()
    wrong += check_end(folder, how, out, code)
    print(f"{how}: {number} kills, {rounds + 1} videos completed, {len(wrong)} things wrong")
    return wrong


def check_end(folder: Path, how: str, out: Path, code: int) -> list[str]:
    """What is wrong with a finished video, or beside it."""
    whole, made = folder / "whole" / "long.mp4", out / "long.mp4"
    # The last kill may have come when all was done: then there is nothing left to do but to say so.
    if how == "render" and code == EXIT_INPUT and made.exists():
        code = 0
    if code != 0 or not made.exists():
        return [f"{how}: ended with exit code {code}"]
    wrong = []
    if frame_hashes(whole) != frame_hashes(made):
        wrong.append(f"{how}: frames differ")
    if sha256_of(whole) != sha256_of(made):
        wrong.append(f"{how}: the file differs")
    expected = {"long.mp4", "long.json"}
    if how == "batch":
        expected |= {RUN_FOLDER, "results.csv", "results.json"}
    for path in out.iterdir():
        if path.name not in expected:
            wrong.append(f"{how}: {path.name} is left over")
    return wrong


def main() -> int:
    """Run everything; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--how", choices=["render", "batch", "both"], default="render")
    parser.add_argument("--segment-seconds", type=float, default=SEGMENT_SECONDS)
    options = parser.parse_args()
    if options.how != "render" and options.segment_seconds != SEGMENT_SECONDS:
        parser.error("--segment-seconds is for a single render: batches render in other processes")
    with tempfile.TemporaryDirectory(prefix="talkhead-kill-") as name:
        folder = Path(name)
        make_inputs(folder, options.seconds, options.size)
        spent = make_whole(folder, options.segment_seconds)
        options.digest = sha256_of(folder / "whole" / "long.mp4")
        print(f"{options.seconds:.0f} s of video in {spent:.0f} s without interruption")
        wrong: list[str] = []
        for how in ("render", "batch") if options.how == "both" else (options.how,):
            wrong += kill_and_resume(folder, how, spent, options)
    for words in wrong:
        print(f"WRONG: {words}")
    print(f"{len(wrong)} things wrong" if wrong else "the same bytes, and nothing left over")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
