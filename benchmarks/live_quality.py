"""What live motion costs: lips against phones and against real lips, by the length of chunks and of the look-ahead.

Motion alone, without rendering, of the default preset; the measures are those of docs/generator.md. *delay* is what a
picture comes after its sound before any work is done: a chunk, the look-ahead, half a mel window.

Launch (one core, a few minutes a row)::

    python benchmarks/live_quality.py --data DATA --speech SPEECH --work data/train
    python benchmarks/live_quality.py --data DATA --speech SPEECH --plans 32,16 4,6 --people 0
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from talkhead_cli.audio import extract_features
from talkhead_cli.early import EDGE_SECONDS
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.playback import generate_options
from talkhead_cli.settings import resolve_settings
from talkhead_models.generator import FEATURES_PER_FRAME
from talkhead_models.motion import EXPRESSION_SIZE, MOTION_FPS
from talkhead_models.speech import load_speech_encoder

sys.path.insert(0, str(Path(__file__).parent.parent / "models" / "training"))
from evaluate_motion import Bench
from motion_data import read_rows
from motion_metrics import drift_curve, drift_summary, fmd_parts, follow, median, score_motion
from phone_sync import score_phones

PLANS = ((32, 16), (16, 16), (8, 16), (4, 16), (4, 10), (4, 6), (4, 4), (4, 2), (4, 0))

COLUMNS = (
    *("delay", "closure", "open", "corr", "silence", "corr_grid", "corr_single", "corr_wild"),
    *("fmd", "jerk", "turn_deg", "boundary_face", "boundary_pose"),
)


def made(pipeline: TalkingHeadPipeline, path: Path, seed: int, repeat: int = 1) -> np.ndarray:
    """The motion (T, D) of a recording, before the preset's strengths."""
    encoder = load_speech_encoder()
    features = extract_features(path, encoder, 600.0, pipeline.lip_audio, pipeline.ear_plan)
    array, views = features.array, features.views
    if repeat > 1:
        whole = len(array) // (2 * pipeline.generator.frames_per_chunk)
        array = np.tile(array[: whole * 2 * pipeline.generator.frames_per_chunk], (repeat, 1))
        views = None if views is None else np.tile(views[:whole], (repeat, 1, 1))
    generator = pipeline.generator
    walk = generator.walk(array, generator.start(seed), generate_options(pipeline.settings), views)
    return np.concatenate([motion.to_array() for motion, _ in walk])


def measure(
    pipeline: TalkingHeadPipeline, bench: Bench, args: argparse.Namespace, seeds: range
) -> dict[str, float]:
    """One row of the table."""
    basis, chunk = bench.basis, pipeline.generator.frames_per_chunk
    rows = []
    for name, phones in bench.phones.items():
        for seed in seeds:
            motion = made(pipeline, args.speech / f"{name}.flac", seed)
            gap = np.abs(basis.lip_gap(motion[:, :EXPRESSION_SIZE]))
            rows.append(score_phones(gap, phones) | score_motion(motion, basis, chunk))
    plan = pipeline.ear_plan
    # Where everything is settled, sound is handled in tenths of a second.
    heard = 0.74 if plan is None else plan.ahead / FEATURES_PER_FRAME / MOTION_FPS + EDGE_SECONDS
    result = {key: median([row[key] for row in rows]) for key in rows[0]}
    # Shares of few phones: a median of four recordings is too coarse.
    result |= {key: float(np.mean([row[key] for row in rows])) for key in ("closure", "open")}
    if bench.people:
        files = read_rows(args.data)
        answers = []
        for clip in bench.people:
            motion = made(pipeline, args.data / "clips" / files[clip.name]["file"], seeds[0])
            missing = max(0, clip.num_frames - len(motion))
            answers.append(np.pad(motion, ((0, missing), (0, 0)), "edge")[: clip.num_frames])
        result |= follow(answers, bench.people, basis) | fmd_parts(answers, bench.statistics)
    return result | {"delay": chunk / MOTION_FPS + heard}


def show_drift(pipeline: TalkingHeadPipeline, bench: Bench, args: argparse.Namespace) -> None:
    """Ten minutes of the first recording, last minute over first."""
    path = args.speech / f"{next(iter(bench.phones))}.flac"
    one = made(pipeline, path, 0)
    motion = made(pipeline, path, 0, repeat=600 * MOTION_FPS // len(one) + 2)[: 600 * MOTION_FPS]
    curve = drift_summary(drift_curve(motion, bench.statistics, bench.basis))
    print("600 s:", ", ".join(f"{key} {value:.3f}" for key, value in curve.items()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--plans", nargs="+", help="CHUNK,LOOKAHEAD in frames")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--people", type=int, default=6, help="clips of the single speaker")
    parser.add_argument("--drift", action="store_true", help="ten minutes of each plan, too")
    args = parser.parse_args()
    plans = [tuple(map(int, plan.split(","))) for plan in args.plans] if args.plans else PLANS
    bench = Bench.load(args.data, args.speech, args.work, args.people, wide=False)
    print("| chunk | look-ahead |", " | ".join(COLUMNS), "|")
    print("|---:|---:|", "---:|" * len(COLUMNS))
    for chunk, ahead in plans:
        options = {"device": "cpu", "chunk_frames": chunk, "lookahead_frames": ahead}
        pipeline = TalkingHeadPipeline(resolve_settings(None, options))
        row = measure(pipeline, bench, args, range(args.seeds))
        shown = [f"{row[key]:.4f}" if key == "jerk" else f"{row[key]:.3f}" for key in COLUMNS]
        print(f"| {chunk} | {ahead} |", " | ".join(shown), "|", flush=True)
        if args.drift:
            show_drift(pipeline, bench, args)


if __name__ == "__main__":
    main()
