"""Score a motion generator in motion space: sync, rest, likeness to real motion, seams, drift, latency;
no rendering.

The measures are those of motion_metrics.py, with the answers of real motion and of a mouth at rest
beside them. Trial speech is ``SPEECH/flite_*.flac`` with ``.phones`` beside it; people
held out are the validation clips with speech.

Launch::

    python models/training/evaluate_motion.py --data DATA --speech SPEECH --bundle BUNDLE --teacher
    TEACHER_BUNDLE

With ``--presets`` every built-in preset is measured, as it is used and its network alone, and the
tables go into models/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from motion_data import Clip, load_clips, style_of
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
from phone_sync import Phones, read_phones
from results import Table, to_grid, write_table
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


@dataclass(frozen=True)
class Bench:
    """What generators are measured on.

    Attributes:
        trial, phones: recordings and what is said in them.
        people: held-out clips with speech.
        statistics: of real motion.
        basis: of the face.
    """

    trial: dict[str, np.ndarray]
    phones: dict[str, Phones]
    people: list[Clip]
    statistics: MotionStatistics
    basis: FaceBasis

    @classmethod
    def load(cls, data: Path, speech: Path, work: Path, people: int, *, wide: bool) -> Bench:
        """From the folders that the trainings use; `people` clips of the single speaker."""
        basis = FaceBasis.load()
        trial = trial_features(speech, work / "features_trial", wide=wide)
        phones = {name: read_phones(speech / f"{name}.phones") for name in trial}
        held_out = load_clips(data, work, basis, validation=True, wide=wide)
        statistics = MotionStatistics.fit(held_out, basis)
        spoken = [clip for clip in held_out if clip.features is not None]
        known = [clip for clip in spoken if clip.person == SINGLE_SPEAKER][:people]
        others = [clip for clip in spoken if clip.person != SINGLE_SPEAKER]
        return cls(trial, phones, others + known, statistics, basis)

    def measure(
        self, generator: MotionGenerator, options: GenerateOptions, seeds: Sequence[int]
    ) -> dict[str, float]:
        """`summary` of one generator."""
        return summary(
            generator,
            self.trial,
            self.phones,
            self.people,
            self.statistics,
            self.basis,
            options,
            seeds=seeds,
            feature_size=generator.denoiser.config.feature_size,
        )

    def drift(self, generator: MotionGenerator, options: GenerateOptions) -> dict[str, float]:
        """`drift` of one generator on the first recording."""
        features = next(iter(self.trial.values()))[:, : generator.denoiser.config.feature_size]
        return drift(generator, options, features, self.statistics, self.basis)


PRESET_COLUMNS = (
    *(
        "closure",
        "open",
        "corr",
        "lag_ms",
        "silence",
        "p95",
        "corr_grid",
        "corr_single",
        "corr_wild",
    ),
    *("p95_ratio", "lip_distance", "fmd", "fmd_face", "fmd_pose", "jerk", "boundary_face"),
    *(
        "boundary_pose",
        "diversity_lips",
        "diversity_pose",
        "blinks_min",
        "turn_deg",
        "ms_per_chunk",
    ),
)

DRIFT_COLUMNS = (
    *("fmd_ratio", "gap_p95_ratio", "blinks_min_ratio", "rest_change", "offset_last"),
    *("turn_largest", "ms_per_chunk"),
)


def measure_presets(
    presets: dict[str, tuple[MotionGenerator, GenerateOptions]],
    bench: Bench,
    seeds: Sequence[int],
    *,
    long: bool,
) -> list[Table]:
    """The table of all presets, and, with `long`, that of their ten minutes."""
    chunks = {generator.frames_per_chunk for generator, _ in presets.values()}
    ends = reference_rows(bench.people, bench.statistics, bench.basis, min(chunks))
    rows = {label: [row] for label, row in ends.items()}
    for name, (generator, options) in presets.items():
        for label, strength in ((f"`{name}`", 1.0), (f"`{name}`, network alone", 0.0)):
            chosen = replace(options, articulation=strength)
            rows[label] = [bench.measure(generator, chosen, (seed,)) for seed in seeds]
            log.info("%s", to_grid({label: rows[label]}, PRESET_COLUMNS))
    command = "python models/training/evaluate_motion.py --data DATA --speech SPEECH --presets"
    explanation = (
        "Every preset with its own steps and guidance, before the preset's strengths of motion; "
        'deviations are over seeds of the noise, the network is one. "Network alone" is without '
        "articulatory constraint and lip guide. Statistics of real motion are of all held-out clips, "
        "of which real motion here is the part with speech: its FMD is what a perfect generator has."
    )
    tables = [
        Table(
            "presets",
            "The presets",
            explanation,
            rows,
            PRESET_COLUMNS,
            list(seeds),
            "permissive",
            command,
        )
    ]
    if long:
        minutes = {
            f"`{name}`": [bench.drift(generator, options)]
            for name, (generator, options) in presets.items()
        }
        tables.append(
            Table(
                "presets-drift",
                "The presets over ten minutes",
                "600 s of looped speech as each preset is used; turn_largest is in degrees.",
                minutes,
                DRIFT_COLUMNS,
                [0],
                "permissive",
                f"{command} --drift",
            )
        )
    return tables


def load_presets() -> dict[str, tuple[MotionGenerator, GenerateOptions]]:
    """Generator and options of every built-in preset."""
    from talkhead_cli.settings import list_presets, resolve_settings

    found = {}
    for name in list_presets():
        settings = resolve_settings(name, {})
        options = GenerateOptions(settings.num_inference_steps, settings.guidance_scale)
        found[name] = load_motion_generator(settings.bundle), options
    return found


def is_wide(generators: Iterable[MotionGenerator]) -> bool:
    """Whether one of them reads all kinds of speech features."""
    return any(one.denoiser.config.feature_size > FEATURE_SIZE for one in generators)


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
    parser.add_argument("--presets", action="store_true", help="all presets, into RESULTS.md")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder of RESULTS.md")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    seeds = range(args.seeds)
    folders = (args.data, args.speech, args.work)
    if args.presets:
        presets = load_presets()
        wide = is_wide(generator for generator, _ in presets.values())
        bench = Bench.load(*folders, args.people, wide=wide)
        for made in measure_presets(presets, bench, seeds, long=args.drift):
            log.info("\n%s", write_table(made, args.out))
        return

    student = load_motion_generator(args.bundle)
    runs = [(f"student {steps}", student, steps) for steps in args.steps]
    if args.teacher:
        runs.append(("teacher 50", load_motion_generator(args.teacher), 50))
    wide = is_wide(generator for _, generator, _ in runs)
    bench = Bench.load(*folders, args.people, wide=wide)
    rows = reference_rows(bench.people, bench.statistics, bench.basis, student.frames_per_chunk)
    for name, generator, steps in runs:
        for guidance in args.guidance:
            for strength in args.articulation:
                row = bench.measure(generator, GenerateOptions(steps, guidance, strength), seeds)
                rows[f"{name} g{guidance:g} a{strength:g}"] = row
                log.info(
                    "%s %s", name, json.dumps({key: round(value, 3) for key, value in row.items()})
                )
    log.info("\n%s", table(rows))
    if args.drift:
        log.info("\n%s", table({"600 s": bench.drift(student, GenerateOptions())}))


if __name__ == "__main__":
    main()
