"""The report page of a small night's work: eight rows with the built-in faces, and pictures of the page in Chromium.

One row asks for a portrait that is not there, one hardly moves its lips: the page is for finding such rows.

Launch::

    python benchmarks/report_page.py --out out/report                          # the batch and its page
    python benchmarks/report_page.py --out out/report --pictures docs/images   # and pictures of it
    python benchmarks/report_page.py --out out/report --rows 500               # and what many rows cost
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import resource
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import soundfile
from PIL import Image

ROOT = Path(__file__).parent.parent
SPEECH = ROOT / "examples" / "speech.wav"

PIECES = {"welcome": (0.0, 3.3), "photograph": (1.5, 5.0), "lips": (4.3, 8.6), "whole": (0.0, 8.6)}
"""Seconds of the speech."""

ROWS = (
    {"portrait": "hopper", "audio": "welcome", "seed": "7"},
    {"portrait": "astronaut", "audio": "welcome", "crop": "face", "emotion": "happy"},
    {"portrait": "hopper", "audio": "lips", "crop": "face"},
    {"portrait": "astronaut", "audio": "lips", "expression_scale": "0.12"},
    {"portrait": "hopper", "audio": "photograph", "emotion": "angry", "seed": "3"},
    {"portrait": "captain", "audio": "welcome"},
    {"portrait": "astronaut", "audio": "photograph", "fps": "30", "pose_scale": "1.4"},
    {"portrait": "hopper", "audio": "whole", "crop": "face", "gaze": "free"},
)

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

VIEW = {"width": 1440, "height": 940}
DECISIONS = ("j", "j", "a", "a", "r", "k")
"""Keys that are pressed before the picture is taken."""

WIDTH = 1280
"""Pixels of a picture."""

QUALITY = 72


def open_chromium(playwright: Any) -> Any:
    """Chromium of the PATH, else playwright's own, which says how to get it where there is none."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    arguments = ["--autoplay-policy=no-user-gesture-required", *["--no-sandbox"] * root]
    return playwright.chromium.launch(executable_path=path, args=arguments)


def write_inputs(folder: Path) -> Path:
    """Portraits, recordings and the manifest; its path."""
    sys.path.insert(0, str(ROOT / "examples"))
    from portraits import load_example

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("hopper", "astronaut"):
        Image.fromarray(load_example(name)).save(folder / f"{name}.png")
    samples, rate = soundfile.read(SPEECH)
    for name, (start, end) in PIECES.items():
        soundfile.write(folder / f"{name}.wav", samples[int(start * rate) : int(end * rate)], rate)
    keys = [
        "portrait",
        "audio",
        "output",
        "consent_ref",
        *dict.fromkeys(k for r in ROWS for k in r),
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(keys)), restval="")
    writer.writeheader()
    for number, row in enumerate(ROWS, 1):
        files = {"portrait": f"{row['portrait']}.png", "audio": f"{row['audio']}.wav"}
        output = f"{row['portrait']}/{row['audio']}.mp4"
        writer.writerow(
            {**row, **files, "output": output, "consent_ref": f"REL-2026-{100 + number}"}
        )
    manifest = folder / "jobs.csv"
    manifest.write_text(text.getvalue(), encoding="utf-8")
    return manifest


def take_pictures(page_file: Path, folder: Path) -> None:
    """The page as it looks after a few decisions, in light and dark, as JPEG files."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = open_chromium(playwright)
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport=VIEW, color_scheme=scheme, device_scale_factor=2)
            page = context.new_page()
            page.goto(page_file.absolute().as_uri())
            for key in DECISIONS:
                page.keyboard.press(key)
            page.click(".row .open >> nth=1")
            page.keyboard.press(" ")
            page.wait_for_timeout(2000)
            page.keyboard.press(" ")
            page.wait_for_timeout(4000)  # the player's own controls fade
            size = WIDTH, WIDTH * VIEW["height"] // VIEW["width"]
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture = picture.resize(size, Image.Resampling.LANCZOS)
            target = folder / f"report-{scheme}.jpg"
            picture.save(target, quality=QUALITY, optimize=True)
            print(target, target.stat().st_size)
            context.close()
        browser.close()


def time_many(videos: Path, target: Path, number: int) -> dict[str, float]:
    """The same rows again and again on one page: what writing, opening, stepping and deciding cost.

    Returns:
        Seconds, but for `page_mb` and the peak memory of this process, `memory_mib`.
    """
    from playwright.sync_api import sync_playwright

    from talkhead_cli.report.build import Report, ReportRequest, build_report
    from talkhead_cli.report.page import write_page
    from talkhead_cli.report.rows import collect

    known = build_report(ReportRequest(videos, target))
    began = time.perf_counter()
    rows = tuple(
        replace(known.rows[index % len(known.rows)], id=f"r-{index:012x}", number=index + 1)
        for index in range(number)
    )
    write_page(Report(target, videos, rows, 0, ()), collect(videos))
    found = {"write": time.perf_counter() - began, "page_mb": target.stat().st_size / 1e6}
    found["memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with sync_playwright() as playwright:
        browser = open_chromium(playwright)
        page = browser.new_page(viewport=VIEW)
        began = time.perf_counter()
        page.goto(target.absolute().as_uri())
        found["open"] = time.perf_counter() - began
        for name, key in (("step", "j"), ("decision", "a")):
            found[name] = page.evaluate(TIMING, [key, PRESSES]) / 1000
        browser.close()
    return found


PRESSES = 30
TIMING = """async ([key, presses]) => {
  const began = performance.now();
  for (let press = 0; press < presses; press += 1) {
    document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
    await new Promise((done) => requestAnimationFrame(done));
  }
  return (performance.now() - began) / presses;
}"""
"""Milliseconds from a key to the next frame, on average."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("out/report"))
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the page")
    parser.add_argument("--rows", type=int, help="also time a page of so many rows")
    args = parser.parse_args()
    from talkhead_cli.app import run

    manifest = write_inputs(args.out / "inputs")
    videos = args.out / "night-run"
    words = ["batch", manifest, "--out-dir", videos, "--size", 400, "--skip-faulty", "--resume"]
    # One row fails, as it is meant to.
    run([*map(str, words), "--devices", "cpu", "--html"])
    if args.pictures is not None:
        take_pictures(videos / "report.html", args.pictures)
    if args.rows is not None:
        for name, value in time_many(videos, args.out / "many.html", args.rows).items():
            print(f"{name:12} {value:.3g}")


if __name__ == "__main__":
    main()
