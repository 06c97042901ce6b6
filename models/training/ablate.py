"""Stage 6: what each published mechanism brings. Trains or loads small networks and writes every
table into models/RESULTS.md.

Splits are by person; what is judged was never trained on. Networks are kept in WORK/ablate, so that
a run that was stopped goes on, and a second run only prints.

Launch (2 hours on one core; tables can be shared out between processes by --tables)::

    OMP_NUM_THREADS=1 python models/training/ablate.py DATA --work data/train --speech SPEECH
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from ablation_lab import Lab, Numbers, OfflineGenerator, Sizes
from recipes import RECIPES, Recipe
from results import Table, write_table

log = logging.getLogger("ablate")

SYNC = ("closure", "open", "corr", "lag_ms", "silence")
REAL = ("corr_grid", "corr_single", "lip_distance_grid", "fmd")
STEADY = ("jerk", "boundary_face", "boundary_pose")
DRIFT = ("fmd_ratio", "gap_p95_ratio", "offset_last")
MINUTES = tuple(f"fmd_minute_{minute}" for minute in range(1, 11))

Rows = dict[str, list[Numbers]]


FULL = Sizes()
"""Of the trainings, but for tables of many rows."""

QUICK = Sizes(teacher_steps=450, student_steps=120, student_batch=16)


@dataclass(frozen=True)
class Experiment:
    """One table.

    Attributes:
        title, explanation: of the table.
        columns: of the table.
        rows: makes them.
        wide: needs all kinds of speech features.
        sizes: of its trainings.
    """

    title: str
    explanation: str
    columns: tuple[str, ...]
    rows: Callable[[Lab, Sequence[int]], Rows]
    wide: bool = False
    sizes: Sizes = FULL


def measured(lab: Lab, recipe: Recipe, seed: int, steps: int, *, long: bool = False) -> Numbers:
    """A student, trained or loaded, and measured."""
    student = lab.student(recipe, seed)
    key = lab.student_path(recipe, seed).stem
    return lab.measure(key, lab.generator(student), steps, long=long)


def measured_teacher(lab: Lab, recipe: Recipe, seed: int, steps: int) -> Numbers:
    """A streaming teacher, trained or loaded, and measured."""
    teacher = lab.teacher(recipe, seed)
    key = lab.teacher_path(recipe, seed).stem
    return lab.measure(key, lab.generator(teacher, distilled=False), steps)


def students(
    lab: Lab, recipes: dict[str, Recipe], seeds: Sequence[int], steps: int, *, long: bool = False
) -> Rows:
    """One row a recipe."""
    return {
        label: [measured(lab, recipe, seed, steps, long=long) for seed in seeds]
        for label, recipe in recipes.items()
    }


def teachers(lab: Lab, recipes: dict[str, Recipe], seeds: Sequence[int], steps: int) -> Rows:
    """One row a recipe, its teacher alone."""
    return {
        label: [measured_teacher(lab, recipe, seed, steps) for seed in seeds]
        for label, recipe in recipes.items()
    }


def tempo_steps(lab: Lab, seeds: Sequence[int]) -> Rows:
    """Teacher against students of 4, 2 and 1 steps."""
    recipe = lab.small(RECIPES["temposyncdiff"])
    rows: Rows = {"teacher, 50 steps": []}
    for seed in seeds:
        rows["teacher, 50 steps"].append(measured_teacher(lab, recipe, seed, 50))
        teacher = lab.generator(lab.teacher(recipe, seed), distilled=False)
        student = lab.generator(lab.student(recipe, seed))
        key = lab.student_path(recipe, seed).stem
        for steps in (4, 2, 1):
            numbers = lab.measure(f"{key}_beside", student, steps, beside=teacher)
            rows.setdefault(f"student, {steps} step{'s' * (steps > 1)}", []).append(numbers)
    return rows


def tempo_losses(lab: Lab, seeds: Sequence[int]) -> Rows:
    """Students with and without identity anchor and temporal regularisation."""
    both = lab.small(RECIPES["temposyncdiff"])
    variants = {
        "neither": replace(both, anchor=0.0, temporal=0.0),
        "identity anchor": replace(both, temporal=0.0),
        "temporal regularisation": replace(both, anchor=0.0),
        "both": both,
        "identity anchor, ten times": replace(both, anchor=10 * both.anchor, temporal=0.0),
        "temporal regularisation, ten times": replace(
            both, anchor=0.0, temporal=10 * both.temporal
        ),
    }
    return students(lab, variants, seeds, 2, long=True)


def with_speech(recipe: Recipe, *kinds: str, tokens: bool = False) -> Recipe:
    """The recipe with other speech features."""
    config = replace(recipe.denoiser, speech_kinds=kinds, viseme_tokens=tokens)
    return replace(recipe, denoiser=config)


def tempo_speech(lab: Lab, seeds: Sequence[int]) -> Rows:
    """What the teacher hears."""
    recipe = lab.small(RECIPES["temposyncdiff"])
    variants = {
        "viseme tokens": with_speech(recipe, "visemes", tokens=True),
        "log-mel": with_speech(recipe, "mel"),
        "tokens and log-mel": with_speech(recipe, "visemes", "mel", tokens=True),
        "viseme posteriors with prosody": with_speech(recipe, "visemes"),
    }
    return teachers(lab, variants, seeds, 8)


def rest_cache(lab: Lab, seeds: Sequence[int]) -> Rows:
    """Sink and context, offline and streaming, with and without asynchronous distillation."""
    both = lab.small(RECIPES["rest"])
    alone = replace(both.denoiser, reference_steps=0, context_steps=0)
    variants = {
        "streaming, no cache": replace(both, denoiser=alone),
        "streaming, sink only": replace(both, denoiser=replace(alone, reference_steps=1)),
        "streaming, context only": replace(both, denoiser=replace(alone, context_steps=16)),
        "streaming, sink and context": both,
        "the same, without asynchronous distillation": replace(both, asynchronous=False),
    }
    rows: Rows = {"offline teacher, 50 steps": []}
    for seed in seeds:
        teacher = lab.teacher(both, seed)
        offline = OfflineGenerator.of(teacher, lab.generator(lab.student(both, seed)))
        key = f"{lab.teacher_path(both, seed).stem}_offline"
        rows["offline teacher, 50 steps"].append(lab.measure(key, offline, 50))
    return rows | students(lab, variants, seeds, 4, long=True)


def sync_past(lab: Lab, seeds: Sequence[int]) -> Rows:
    """How the past enters, and what is heard."""
    recipe = lab.small(RECIPES["syncdiff"])
    pasts = {
        "no past": replace(recipe.denoiser, context_steps=0),
        "full past": replace(recipe.denoiser, past_bottleneck=0, bottleneck_noise=0.0),
        "bottlenecked past": recipe.denoiser,
    }
    heard = {"visemes": ("visemes",), "log-mel": ("mel",), "lip-informed": ("lips",)}
    variants = {
        f"{past}, {name}": with_speech(replace(recipe, denoiser=config), *kinds)
        for name, kinds in heard.items()
        for past, config in pasts.items()
    }
    return teachers(lab, variants, seeds, 8)


def asymmetric(lab: Lab, seeds: Sequence[int]) -> Rows:
    """Temporal reference encoding and asymmetric distillation."""
    both = lab.small(RECIPES["asymtalker"])
    frame = replace(both.denoiser, reference_steps=1, reference_encoding="frame")
    symmetric = replace(both, own_past=False, asymmetric=False, matching=0.0)
    variants = {
        "neither": replace(symmetric, denoiser=frame),
        "TRE": symmetric,
        "AKD": replace(both, denoiser=frame),
        "TRE and AKD": both,
    }
    return students(lab, variants, seeds, 4, long=True)


TEXT = "Small networks, guidance 1.5, without the articulatory constraint. "

EXPERIMENTS = {
    "temposyncdiff-steps": Experiment(
        "TempoSyncDiff: teacher and students",
        TEXT + "Noise prediction, viseme tokens. The distance to the teacher is that to its"
        " motion from the same noise; the time is one core's for a chunk of 1.28 s.",
        (*SYNC, "corr_grid", "fmd", "to_teacher", "jerk", "diversity_pose", "ms_per_chunk"),
        tempo_steps,
    ),
    "temposyncdiff-losses": Experiment(
        "TempoSyncDiff: identity anchor and temporal regularisation",
        TEXT + "Students of two steps; the last columns are over ten minutes.",
        ("closure", "open", "corr", *REAL, *STEADY, *DRIFT),
        tempo_losses,
    ),
    "temposyncdiff-speech": Experiment(
        "TempoSyncDiff: what the generator hears",
        TEXT + "Teachers of eight steps.",
        (*SYNC, *REAL, "jerk"),
        tempo_speech,
        wide=True,
        sizes=QUICK,
    ),
    "rest-cache": Experiment(
        "REST: ID-Sink, Context-Cache and asynchronous streaming distillation",
        TEXT
        + "The offline teacher hears and sees a chunk ahead; students take four steps. The last"
        " columns are over ten minutes.",
        ("closure", "open", "corr", *REAL, *STEADY, "ms_per_chunk", *DRIFT),
        rest_cache,
        sizes=QUICK,
    ),
    "syncdiff-past": Experiment(
        "SyncDiff: how the past enters, and what is heard",
        TEXT + "Teachers of eight steps behind their own past; trained behind the true one, without"
        " noise but for the bottleneck's.",
        (*SYNC, *REAL, *STEADY),
        sync_past,
        wide=True,
        sizes=QUICK,
    ),
    "asymtalker": Experiment(
        "AsymTalker: temporal reference encoding and asymmetric distillation",
        TEXT + "Students of four steps and three continuity frames of the latent. Without TRE the"
        " reference enters as one frame through a layer of its own; without AKD the student learns"
        " behind the true past. FMD by minute of ten.",
        ("closure", "open", "corr", *REAL, *STEADY, *DRIFT, *MINUTES),
        asymmetric,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with clips.csv")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument(
        "--speech", type=Path, help="folder of flite_*.phones; DATA/speech if not given"
    )
    parser.add_argument("--tables", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1])
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    speech = args.speech or args.data / "speech"
    make = partial(Lab, args.data, args.work, speech)
    kept: tuple[Experiment, Lab] | None = None  # one pool in memory at a time
    for name in args.tables:
        experiment = EXPERIMENTS[name]
        chosen = experiment.sizes, experiment.wide
        if kept is None or chosen != (kept[0].sizes, kept[0].wide):
            kept = experiment, make(experiment.sizes, wide=experiment.wide)
        rows = experiment.rows(kept[1], args.seeds)
        table = Table(
            name=name,
            title=experiment.title,
            explanation=experiment.explanation,
            rows=rows,
            columns=experiment.columns,
            seeds=args.seeds,
            tier="permissive",
            command=f"python models/training/ablate.py DATA --tables {name}",
        )
        log.info("\n%s", write_table(table, args.out))


if __name__ == "__main__":
    main()
