"""Ten minutes without drift: every preset's motion minute by minute, a naive chunked baseline beside it, and pixels.

Motion alone by default: recordings (default: the built-in example) are repeated with pauses to 600 s, and each minute
is measured. With DATA (the folder that the trainings use) the distance to real motion is among the measures; with
``--pixels`` the same speech is rendered by `talkhead render`, the memory of its process is followed, and the video is
compared with its portrait minute by minute. Definitions: docs/longform.md.

Launch (one core, about 4 minutes; with --pixels about 15)::

    python benchmarks/longform.py --data DATA --work data/train
    python benchmarks/longform.py SPEECH.wav --presets talkhead
    python benchmarks/longform.py --presets --pixels --strip docs/gallery/longform.jpg
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from long_motion import (
    PARTS,
    LongMotion,
    LongSpeech,
    NaiveChunks,
    by_minute,
    generate_long,
    repeated,
    steps_by_position,
)
from long_pixels import compare_film, render_film, write_strip

from talkhead_cli.audio import decode_blocks, features_of, read_header, resample_blocks
from talkhead_cli.mel import SAMPLE_RATE
from talkhead_models.basis import FaceBasis
from talkhead_models.generator import GenerateOptions, MotionGenerator
from talkhead_models.lip_audio import load_lip_audio
from talkhead_models.speech import load_speech_encoder

sys.path.insert(0, str(Path(__file__).parent.parent / "models" / "training"))
from evaluate_motion import load_presets
from motion_data import load_clips
from motion_statistics import MotionStatistics

ROOT = Path(__file__).parent.parent
MINUTE_SECONDS = 60
NAIVE = "naive chunks"
COLUMNS = {
    "fmd": ("FMD", 1),
    "gap_p95": ("gap p95", 3),
    "lips": ("lips", 4),
    "brows": ("brows", 4),
    "head": ("head (deg)", 2),
    "blinks": ("blinks a minute", 0),
    "rest": ("mouth in pauses", 3),
    "boundary_face": ("step at boundaries, face", 2),
    "boundary_pose": ("step at boundaries, head", 2),
    "memory": ("memory (MiB)", 0),
}
PIXEL_COLUMNS = {
    "likeness": ("likeness", 3),
    "colour": ("colour drift", 2),
    "sharpness": ("sharpness", 2),
    "lost": ("frames without a face", 0),
}
RATIOS = ("fmd", "gap_p95", "lips", "brows", "head", "blinks", "memory")

Minutes = list[dict[str, float]]


def read_speech(paths: list[Path], seconds: float) -> LongSpeech:
    """The recordings, repeated.

    Raises:
        AudioError: one cannot be used.
    """
    waves = []
    for path in paths:
        rate = read_header(path).sample_rate
        waves.append(np.concatenate(list(resample_blocks(decode_blocks(path), rate))))
    return repeated(waves, seconds)


def summary(minutes: Minutes) -> dict[str, float]:
    """Last minute over first; of the mouth in pauses the last minute, of steps at boundaries the mean of all."""
    first, last = minutes[0], minutes[-1]
    row = {f"{name}_ratio": last[name] / first[name] for name in RATIOS if first.get(name)}
    row["fmd_first"], row["fmd_last"] = first.get("fmd", np.nan), last.get("fmd", np.nan)
    row["rest_last"] = last["rest"]
    for name in ("boundary_face", "boundary_pose"):
        row[name] = float(np.mean([minute[name] for minute in minutes]))
    return row


SUMMARY_COLUMNS = {
    "fmd_first": ("FMD, first minute", 1),
    "fmd_last": ("last", 1),
    "fmd_ratio": ("last / first", 2),
    "gap_p95_ratio": ("gap", 2),
    "lips_ratio": ("lips", 2),
    "brows_ratio": ("brows", 2),
    "head_ratio": ("head", 2),
    "blinks_ratio": ("blinks", 2),
    "rest_last": ("mouth in pauses", 3),
    "boundary_face": ("step at boundaries, face", 2),
    "boundary_pose": ("step at boundaries, head", 2),
    "memory_ratio": ("memory", 2),
}


def show(
    title: str, rows: dict[str, dict[str, float]], columns: dict[str, tuple[str, int]]
) -> None:
    """A table as Markdown, with the columns that there are."""
    known = {key: value for key, value in columns.items() if any(key in r for r in rows.values())}
    print(f"\n### {title}\n\n| | " + " | ".join(words for words, _ in known.values()) + " |")
    print("|---|" + "---:|" * len(known))
    for name, row in rows.items():
        cells = [f"{row[k]:.{digits}f}" if k in row else "" for k, (_, digits) in known.items()]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def numbered(minutes: Minutes) -> dict[str, dict[str, float]]:
    """Rows by the minute's number."""
    return {f"minute {index}": row for index, row in enumerate(minutes, 1)}


def show_steps(made: dict[str, LongMotion], frames_per_chunk: int) -> None:
    """Steps by position in the chunk: the boundary's, the smallest and the largest of the others."""
    rows = {}
    for name, long in made.items():
        row = {}
        for part, columns in PARTS.items():
            profile = steps_by_position(long.motion, frames_per_chunk, columns)
            row |= {f"{part}_first": profile[0], f"{part}_low": profile[1:].min()}
            row |= {f"{part}_high": profile[1:].max()}
            row[f"{part}_at"] = float(1 + profile[1:].argmax())
        rows[name] = row
    words = {"first": "at the boundary", "low": "least elsewhere", "high": "most elsewhere"}
    columns = {
        f"{part}_{key}": (f"{part}, {text}", 2) for part in PARTS for key, text in words.items()
    } | {f"{part}_at": (f"{part}, in frame", 0) for part in PARTS}
    show("Steps by frame of the chunk, over the mean step", rows, columns)


def measure_motion(args: argparse.Namespace, speech: LongSpeech) -> dict[str, Minutes]:
    """All presets and the baseline, printed as they come."""
    basis = FaceBasis.load()
    real = None
    if args.data is not None:
        real = MotionStatistics.fit(load_clips(args.data, args.work, basis, validation=True), basis)
    encoder, lips = load_speech_encoder(), load_lip_audio()
    features = np.concatenate(list(features_of(iter([speech.wave]), encoder, lips)))
    found: dict[str, Minutes] = {}
    made: dict[str, LongMotion] = {}
    size = 0
    for name, generator, options in runs(args.presets):
        size = generator.frames_per_chunk
        heard = np.ascontiguousarray(features[:, : feature_size(generator)])
        made[name] = generate_long(generator, heard, options, args.seed)
        found[name] = by_minute(made[name], speech, basis, size, real)
        if name in ("`talkhead`", NAIVE):
            show(name, numbered(found[name]), COLUMNS)
    rows = {name: summary(minutes) for name, minutes in found.items()}
    show("Last minute over the first", rows, SUMMARY_COLUMNS)
    show_steps(made, size)
    return found


def feature_size(generator: MotionGenerator | NaiveChunks) -> int:
    """Columns that a generator reads."""
    if isinstance(generator, NaiveChunks):
        generator = generator.generator
    return generator.denoiser.config.feature_size


def runs(
    names: list[str] | None,
) -> list[tuple[str, MotionGenerator | NaiveChunks, GenerateOptions]]:
    """The presets asked for, None for all, and the baseline on the network of the first."""
    presets = load_presets()
    chosen = sorted(names if names is not None else presets, key=lambda name: name != "talkhead")
    result = [(f"`{name}`", *presets[name]) for name in chosen]
    if chosen:
        generator, options = presets[chosen[0]]
        result.append((NAIVE, NaiveChunks(generator), options))
    return result


def measure_pixels(args: argparse.Namespace, speech: LongSpeech) -> dict[str, object]:
    """One render as a file, compared with its portrait; with a short one for the memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = folder / "speech.wav"
        short = folder / "short.wav"
        soundfile.write(sound, speech.wave, SAMPLE_RATE)
        soundfile.write(short, speech.wave[: 20 * SAMPLE_RATE], SAMPLE_RATE)
        brief = render_film(args, short, folder / "short.mp4")
        film = render_film(args, sound, folder / "long.mp4")
        minutes, pictures = compare_film(film, MINUTE_SECONDS)
        if args.strip is not None:
            write_strip(pictures, args.strip)
    show("Pixels", numbered(minutes), PIXEL_COLUMNS)
    peaks = [max(part) for part in np.array_split(film.memory, 10) if len(part)]
    print("\nmemory by tenth of the render (MiB): " + ", ".join(f"{peak:.0f}" for peak in peaks))
    print(f"peak {max(film.memory):.0f} MiB; of a 20 s render {max(brief.memory):.0f} MiB")
    return {"minutes": minutes, "memory": peaks, "memory_20s": max(brief.memory)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("speech", type=Path, nargs="*", help="recordings, repeated in turn")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--presets", nargs="*", help="all by default; without names: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="folder with clips.csv: real motion")
    parser.add_argument("--work", type=Path, default=Path("data/train"), help="its tracked motion")
    parser.add_argument("--pixels", action="store_true", help="render a video, too")
    parser.add_argument("--portrait", type=Path, help="default: the built-in astronaut's head")
    parser.add_argument("--size", type=int, default=256, help="of the video")
    parser.add_argument("--preset", default="talkhead", help="of the video")
    parser.add_argument("--strip", type=Path, help="picture of a frame a minute, of the video")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    args = parser.parse_args()
    started = time.process_time()
    speech = read_speech(args.speech or [ROOT / "examples" / "speech.wav"], args.seconds)
    found: dict[str, object] = {}
    if args.presets != []:
        found["motion"] = measure_motion(args, speech)
    if args.pixels:
        found["pixels"] = measure_pixels(args, speech)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\n{time.process_time() - started:.0f} s of processor time", file=sys.stderr)


if __name__ == "__main__":
    main()
