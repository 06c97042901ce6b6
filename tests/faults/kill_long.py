# ruff: noqa: T201 - a script that prints a table
"""Kills a long render with SIGKILL at random moments, resumes it, and compares it with one that was not interrupted.

    python tests/faults/kill_long.py --seconds 300 --kills 3

The uninterrupted video is made by `talkhead render`; the killed one is the only row of a batch, and every process of
the run is killed at once, as a power cut does. Every decoded frame, and the file itself, must be the same.

Prints a table; exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
import soundfile
from kill_batch import Batch, wait_for_orphans
from PIL import Image

from talkhead_cli.hashing import sha256_of
from talkhead_cli.media import ffmpeg_path

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "examples" / "speech.wav"


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


def render_whole(folder: Path) -> float:
    """The uninterrupted video; seconds it took."""
    began = time.monotonic()
    command = [sys.executable, "-m", "talkhead_cli", "render", str(folder / "face.png")]
    command += [str(folder / "speech.wav"), "-o", str(folder / "whole.mp4"), "--quiet"]
    subprocess.run([*command, "--device", "cpu"], cwd=ROOT, check=True)
    return time.monotonic() - began


def resumed_frames(log: Path) -> list[int]:
    """Frames that the row went on from, as its sidecar says."""
    return [json.loads(log.read_text())["resumed_frames"]] if log.exists() else []


def main() -> int:
    """Run everything; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="talkhead-kill-") as name:
        folder = Path(name)
        manifest = make_inputs(folder, options.seconds, options.size)
        spent = render_whole(folder)
        print(f"{options.seconds:.0f} s of video in {spent:.0f} s without interruption")
        batch = Batch(manifest, folder / "out", workers=1)
        began = time.monotonic()
        for number in range(options.kills):
            started = batch.start()
            moment = dice.uniform(0.35, 0.6) * spent
            try:
                started.process.wait(moment)
                print(f"kill {number + 1}: the run had ended before {moment:.0f} s")
                break
            except subprocess.TimeoutExpired:
                started.kill("everything")
            parts = len(list((folder / "out").rglob("segments/*.npz")))
            print(f"kill {number + 1}: after {moment:.0f} s, {parts} segments kept", flush=True)
        started = batch.start()
        code = started.process.wait()
        orphans = wait_for_orphans(started)[1]
        total = time.monotonic() - began
        sidecar = folder / "out" / "long.json"
        print(
            f"resumed: exit code {code}, last from frame {resumed_frames(sidecar)}, {total:.0f} s in all"
        )
        whole, killed = folder / "whole.mp4", folder / "out" / "long.mp4"
        same_frames = frame_hashes(whole) == frame_hashes(killed)
        same_file = sha256_of(whole) == sha256_of(killed)
        print(f"frames {frame_hashes(killed)}: {'identical' if same_frames else 'DIFFERENT'}")
        print(f"file, {killed.stat().st_size} bytes: {'identical' if same_file else 'DIFFERENT'}")
        left = sorted(path.name for path in (folder / "out").iterdir())
        print(f"processes left: {len(orphans)}")
        print(f"in the output folder: {', '.join(left)}")
    return 0 if same_frames and same_file and not orphans and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
