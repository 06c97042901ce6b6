"""Score a motion generator in motion space: sync, rest, likeness to real motion, seams, drift, latency;
no rendering.

The measures are those of motion_metrics.py, with the answers of real motion and of a mouth at rest
beside them. Trial speech is ``SPEECH/flite_*.flac`` with ``.phones`` beside it; people
held out are the validation clips with speech.

Launch::

    python models/training/evaluate_motion.py --data DATA --speech SPEECH --bundle BUNDLE --teacher
    TEACHER_BUNDLE
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
import torch
from motion_data import load_clips, style_of
from motion_metrics import (
    MINUTE,
    TURN,
    MotionStatistics,
    blink_rate,
    drift_curve,
    drift_summary,
    generated,
    reference_rows,
    summary,
)
from phone_sync import read_phones
from results import to_grid
from splits import SINGLE_SPEAKER

from talkhead_models.basis import FaceBasis
from talkhead_models.generator import GenerateOptions, MotionGenerator
from talkhead_models.generator_bundle import load_motion_generator
from talkhead_models.motion import EXPRESSION_SIZE as K
from talkhead_models.speech import FEATURE_SIZE

log = logging.getLogger("evaluate_motion")


def trial_features(speech: Path, cache: Path, *, wide: bool = False) -> dict[str, np.ndarray]:
    """Features of the trial speech by name, extracted once.

    Args:
        speech: folder of flite_*.flac.
        cache: folder they are kept in.
        wide: all kinds of features, (L, 56), not the visemes alone, (L, 20).
    """
    cache.mkdir(parents=True, exist_ok=True)
    found = {}
    for path in sorted(speech.glob("flite_*.flac")):
        stored = cache / f"{path.stem}{'_wide' if wide else ''}.npy"
        if not stored.exists():
            from talkhead_cli.audio import extract_features
            from talkhead_models.lip_audio import load_lip_audio
            from talkhead_models.speech import load_speech_encoder

            lips = load_lip_audio() if wide else None
            np.save(stored, extract_features(path, load_speech_encoder(), 600, lips).array)
        found[path.stem] = np.load(stored)
    return found


def drift(
    generator: MotionGenerator,
    options: GenerateOptions,
    features: np.ndarray,
    statistics: MotionStatistics,
    basis: FaceBasis,
) -> dict[str, float]:
    """600 s of looped speech: the last minute against the first."""
    looped = np.tile(features, (30000 // len(features) + 1, 1))[:30000]
    began = time.perf_counter()
    motion = generated(generator, looped, 0, options)
    seconds = time.perf_counter() - began
    first, last = motion[:MINUTE], motion[-MINUTE:]
    turn = np.degrees(motion[:, TURN])
    minutes = turn.reshape(-1, MINUTE, 3)
    return {
        **drift_summary(drift_curve(motion, statistics, basis)),
        "style_change": float(np.abs(style_of(last, basis) - style_of(first, basis)).max()),
        "turn_std_first": float(minutes[0].std(0).mean()),
        "turn_std_last": float(minutes[-1].std(0).mean()),
        "turn_mean_worst_minute": float(np.abs(minutes.mean(1)).max()),
        "turn_largest": float(np.abs(turn).max()),
        "place_largest": float(np.abs(motion[:, K + 7 : K + 9]).max()),
        "expression_mean_change": float(np.abs(last[:, :K].mean(0) - first[:, :K].mean(0)).max()),
        "blinks_min": blink_rate(motion),
        "seconds_for_600": seconds,
        "ms_per_chunk": 1000 * seconds / (len(motion) / generator.frames_per_chunk),
    }


def table(rows: dict[str, dict[str, float]]) -> str:
    """Rows of numbers as Markdown, with every column that there is."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    return to_grid({name: [row] for name, row in rows.items()}, columns)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--speech", type=Path, required=True, help="folder of flite_*.flac and .phones"
    )
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--bundle", default="talkhead")
    parser.add_argument("--teacher", default="", help="teacher bundle, to compare with")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.5])
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--articulation", type=float, nargs="+", default=[1.0, 0.0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--people", type=int, default=12, help="clips of the single speaker")
    parser.add_argument("--drift", action="store_true")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    basis = FaceBasis.load()
    student = load_motion_generator(args.bundle)
    runs = [(f"student {steps}", student, steps) for steps in args.steps]
    if args.teacher:
        runs.append(("teacher 50", load_motion_generator(args.teacher), 50))
    sizes = {generator.denoiser.config.feature_size for _, generator, _ in runs}
    wide = max(sizes) > FEATURE_SIZE
    trial = trial_features(args.speech, args.work / "features_trial", wide=wide)
    phones = {name: read_phones(args.speech / f"{name}.phones") for name in trial}
    held_out = load_clips(args.data, args.work, basis, validation=True, wide=wide)
    statistics = MotionStatistics.fit(held_out, basis)
    people = [clip for clip in held_out if clip.features is not None]
    people = [clip for clip in people if clip.person != SINGLE_SPEAKER] + [
        clip for clip in people if clip.person == SINGLE_SPEAKER
    ][: args.people]

    rows = reference_rows(people, statistics, basis, student.frames_per_chunk)
    for name, generator, steps in runs:
        for guidance in args.guidance:
            for strength in args.articulation:
                options = GenerateOptions(steps, guidance, strength)
                seeds = range(args.seeds)
                row = summary(
                    generator,
                    trial,
                    phones,
                    people,
                    statistics,
                    basis,
                    options,
                    seeds=seeds,
                    feature_size=generator.denoiser.config.feature_size,
                )
                rows[f"{name} g{guidance:g} a{strength:g}"] = row
                log.info(
                    "%s %s", name, json.dumps({key: round(value, 3) for key, value in row.items()})
                )
    log.info("\n%s", table(rows))
    if args.drift:
        numbers = drift(
            student,
            GenerateOptions(),
            next(iter(trial.values()))[:, : student.denoiser.config.feature_size],
            statistics,
            basis,
        )
        log.info("\n%s", table({"600 s": numbers}))


if __name__ == "__main__":
    main()
