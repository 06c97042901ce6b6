"""Render portraits with speech whose phones are known, and print the medians of every measure.

Portraits: pictures in a folder; speech: audio files with ``NAME.phones`` beside them (``phone:end_seconds`` items, as
flite's -psdur prints). Without folders it takes the built-in example.

Launch::

    python benchmarks/quality.py --portraits DIR --speech DIR --out out/quality
    python benchmarks/quality.py
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
from measures import decoded_seconds, lip_measures, picture_measures, read_phones, track
from PIL import Image, ImageOps

from talkhead_cli.errors import TalkheadError
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.render import OutputOptions, render_file
from talkhead_cli.settings import resolve_settings

PICTURES = {".png", ".jpg", ".jpeg", ".webp"}
SOUNDS = {".wav", ".flac", ".mp3", ".m4a", ".ogg"}
TARGETS = {
    "closure_recall": ">= 0.90",
    "open_recall": ">= 0.90",
    "openness_correlation": ">= 0.50",
    "best_lag_frames": "within 1",
    "rest_gap": "<= 0.12",
    "blinks_per_minute": "5 to 40",
    "jerk": "<= 0.012",
    "lost_frames": "0",
    "border_psnr": ">= 38",
    "length_gap_ms": "<= 20",
}


def measure(video: Path, portrait: Path, speech: Path) -> dict[str, float]:
    """All measures of one render."""
    with Image.open(portrait) as picture:
        image = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    seen = track(video, image)
    result = picture_measures(seen)
    phones = speech.with_suffix(".phones")
    if phones.exists():
        result.update(lip_measures(seen, read_phones(phones)))
    length = decoded_seconds(video, "0:v") - decoded_seconds(speech, "0:a")
    result["length_gap_ms"] = abs(length) * 1000
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--portraits", type=Path, default=Path("examples"))
    parser.add_argument("--speech", type=Path, default=Path("examples"))
    parser.add_argument("--only", default="", help="portrait stems, comma separated")
    parser.add_argument("--preset", default=None)
    parser.add_argument("--out", type=Path, default=Path("out/quality"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    only = set(filter(None, args.only.split(",")))
    portraits = sorted(p for p in args.portraits.iterdir() if p.suffix.lower() in PICTURES)
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
    for name in [key for key in rows[0] if key not in {"portrait", "speech"}]:
        values = [row[name] for row in rows if name in row]
        low, high = np.percentile(values, [10, 90])
        print(
            f"{name:24} {statistics.median(values):9.4f} {low:10.4f} {high:10.4f}   {TARGETS.get(name, '')}"
        )


if __name__ == "__main__":
    main()
