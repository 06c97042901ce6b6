"""Render portraits with speech whose phones are known, and print the medians of every measure.

Portraits: pictures in a folder; speech: audio files with ``NAME.phones`` beside them (``phone:end_seconds`` items, as
flite's -psdur prints). Without folders it takes the built-in examples.

Launch::

    python benchmarks/quality.py --portraits DIR --speech DIR --out out/quality
    python benchmarks/quality.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from talkhead_cli.errors import TalkheadError
from talkhead_cli.evaluation import EvaluationRequest, evaluate_video
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.render import OutputOptions, render_file
from talkhead_cli.settings import resolve_settings

PICTURES = {".png", ".jpg", ".jpeg", ".webp"}
SOUNDS = {".wav", ".flac", ".mp3", ".m4a", ".ogg"}
EXAMPLES = Path(__file__).parent.parent / "examples"
PRINTED = {
    "blinks_per_minute": ("blinks_per_minute", "5 to 40"),
    "jerk": ("jerk", "<= 0.012"),
    "head_motion": ("head_motion", ""),
    "lost_frames": ("lost_frames", "0"),
    "border_psnr": ("border_psnr_min", ">= 38"),
    "closure_recall": ("closure_recall", ">= 0.90"),
    "open_recall": ("open_vowel_recall", ">= 0.90"),
    "openness_correlation": ("openness_correlation", ">= 0.50"),
    "best_lag_frames": ("best_lag_ms", "within 1"),
    "gap_p95": ("mouth_opening_p95", ""),
    "rest_gap": ("mouth_rest", "<= 0.12"),
    "length_gap_ms": ("length_gap_ms", "<= 20"),
}
"""What is printed: the measure of `talkhead evaluate` and what it should be."""


def measure(video: Path, portrait: Path, speech: Path) -> dict[str, float]:
    """The printed measures of one render, those that cannot be told left out."""
    request = EvaluationRequest(video, portrait, speech, speech.with_suffix(".phones"), flow=False)
    found = evaluate_video(request).to_dict()
    values = {name: found[key] for name, (key, _) in PRINTED.items() if found[key] is not None}
    if "best_lag_frames" in values:
        values["best_lag_frames"] *= found["fps"] / 1000
    values["length_gap_ms"] = abs(values["length_gap_ms"])
    return values


def list_portraits(folder: Path | None, out: Path) -> list[Path]:
    """The pictures of a folder, or the built-in examples, written to `out`."""
    if folder is not None:
        return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES)
    sys.path.insert(0, str(EXAMPLES))
    from portraits import load_example

    paths = [out / f"{name}.png" for name in ("astronaut", "hopper")]
    for path in paths:
        Image.fromarray(load_example(path.stem)).save(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--portraits", type=Path, default=None)
    parser.add_argument("--speech", type=Path, default=EXAMPLES)
    parser.add_argument("--only", default="", help="portrait stems, comma separated")
    parser.add_argument("--preset", default=None)
    parser.add_argument("--out", type=Path, default=Path("out/quality"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    only = set(filter(None, args.only.split(",")))
    portraits = list_portraits(args.portraits, args.out)
    portraits = [p for p in portraits if not only or p.stem in only]
    sounds = sorted(p for p in args.speech.iterdir() if p.suffix.lower() in SOUNDS)
    sounds = [p for p in sounds if p.with_suffix(".phones").exists()]
    settings = resolve_settings(args.preset, {"device": "cpu"})
    pipeline = TalkingHeadPipeline(settings)
    rows = []
    for portrait in portraits:
        for speech in sounds:
            video = args.out / f"{portrait.stem}_{speech.stem}.mp4"
            try:
                render_file(
                    settings,
                    portrait,
                    speech,
                    video,
                    options=OutputOptions(overwrite=True),
                    pipeline=pipeline,
                )
            except TalkheadError as error:
                print(f"{portrait.name}: {error}")
                break
            row = measure(video, portrait, speech)
            rows.append({"portrait": portrait.stem, "speech": speech.stem, **row})
            print(
                json.dumps(
                    {k: round(v, 4) if isinstance(v, float) else v for k, v in rows[-1].items()}
                ),
                flush=True,
            )
    (args.out / "measures.json").write_text(json.dumps(rows, indent=1))
    print(f"\n{'measure':24} {'median':>9} {'worst-ish (p10, p90)':>22}  target")
    for name, (_, target) in PRINTED.items():
        values = [row[name] for row in rows if name in row]
        if not values:
            continue
        low, high = np.percentile(values, [10, 90])
        print(f"{name:24} {statistics.median(values):9.4f} {low:10.4f} {high:10.4f}   {target}")


if __name__ == "__main__":
    main()
