"""Stage 5: distil the teacher of a recipe into a student of few steps, and write the bundle.

From one piece of noise the teacher walks its whole guided trajectory; the student learns to jump
between the points of its own schedules, told where it jumps to and how strong the guidance was, so
that guidance costs it nothing and stays an option. The past it learns behind is its own: it first
generates up to two chunks, as in use. `recipes.py` says what else each recipe asks for.

Launch (1 core, about 15 minutes)::

    OMP_NUM_THREADS=1 python models/training/distil_student.py --data DATA --recipe talkhead
    --minutes 15
"""

from __future__ import annotations

import argparse
import copy
import itertools
import logging
import sys
from dataclasses import replace
from pathlib import Path

import torch
from appearance_style import share_appearance
from generator_data import Batch, draw, load_autoencoders
from generator_parts import fit_parts
from generator_training import Limit, Run, distil, load_weights, take_over
from motion_data import Clip, WindowSampler, load_clips
from recipes import RECIPES
from train_autoencoder import lip_matrix

from talkhead_models.autoencoder import Autoencoder
from talkhead_models.basis import FaceBasis
from talkhead_models.bundle import save_bundle
from talkhead_models.denoiser import Denoiser, DenoiserConfig
from talkhead_models.generator import MotionGenerator
from talkhead_models.generator_bundle import bundle_contents
from talkhead_models.lip_guide import LipGuide, LipGuideConfig

log = logging.getLogger("distil_student")

LICENCE = (
    "Apache-2.0; trained on clips of the permissive tier "
    "(GRID CC BY 4.0, MIT and Apache-2.0 repositories)"
)


def write_bundle(
    path: Path,
    autoencoder: Autoencoder,
    denoiser: Denoiser,
    clips: list[Clip],
    basis: FaceBasis,
    *,
    distilled: bool,
    guide: Path | None = None,
) -> None:
    """The generator's bundle with its provenance."""
    parts = fit_parts(clips, basis, distilled=distilled)
    if guide is not None:
        stored = torch.load(guide, weights_only=True)
        network = LipGuide(LipGuideConfig(**stored["config"]))
        network.load_state_dict(stored["model"])
        parts = replace(parts, guide=network)
        # Features go to both; the denoiser reads its own kinds of them.
        size = max(denoiser.config.feature_size, network.config.feature_size)
        denoiser.config = replace(denoiser.config, feature_size=size)
    tensors, config = bundle_contents(MotionGenerator(autoencoder, denoiser, parts))
    # The folder of the clips is a matter of the machine.
    words = [
        "DATA" if before == "--data" else word for before, word in itertools.pairwise(sys.argv)
    ]
    command = " ".join(["python", "models/training/distil_student.py", *words])
    metadata = {"data_tier": "permissive", "licence": LICENCE, "training_command": command}
    save_bundle(path, tensors, config, metadata)
    log.info("wrote %s, %.1f MB", path, path.stat().st_size / 1e6)


def load_teacher(path: Path) -> Denoiser:
    """A frozen teacher of stage 4: the running average of its weights."""
    weights, config = load_weights(path)
    teacher = Denoiser(config)
    teacher.load_state_dict(weights)
    return teacher.eval().requires_grad_(False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--recipe", choices=RECIPES, default="talkhead")
    parser.add_argument("--autoencoder", type=Path, default=Path("data/train/runs/autoencoder.pt"))
    parser.add_argument("--appearance", type=Path, default=Path("data/train/runs/appearance.pt"))
    parser.add_argument("--teacher", type=Path, default=Path("data/train/runs/teacher.pt"))
    parser.add_argument("--init", type=Path, help="student to go on from instead of the teacher")
    parser.add_argument("--out", type=Path, default=Path("data/train/runs/student.pt"))
    parser.add_argument("--bundle", type=Path, default=Path("data/train/runs/talkhead.safetensors"))
    parser.add_argument("--guide", type=Path, help="lip guide to put into the bundle")
    parser.add_argument("--teacher-bundle", type=Path, help="where to write the teacher")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(args.seed)

    # Data and networks.
    recipe = RECIPES[args.recipe]
    basis = FaceBasis.load()
    autoencoder = load_autoencoders(args.autoencoder, args.appearance)
    wide = recipe.denoiser.feature_size > DenoiserConfig().feature_size
    clips = share_appearance(load_clips(args.data, args.work, basis, wide=wide), basis)
    teacher = load_teacher(args.teacher)
    student = Denoiser(recipe.denoiser)
    take_over(teacher.state_dict(), student, teacher.config)
    if args.init:
        started = load_teacher(args.init)
        take_over(started.state_dict(), student, started.config)
    run = Run(student, args.rate, args.out)
    sampler = WindowSampler(clips, basis, args.seed + 1 + run.step)

    def batches(config: DenoiserConfig, rows: int, chunks: int) -> Batch:
        return draw(sampler, autoencoder, config, rows, chunks=chunks)

    limit = Limit(run, minutes=args.minutes)
    fixed = (teacher, autoencoder, lip_matrix(basis))
    distil(run, limit, batches, recipe, fixed, batch=args.batch, seed=args.seed)
    write_bundle(
        args.bundle, autoencoder, run.average, clips, basis, distilled=True, guide=args.guide
    )
    if args.teacher_bundle:
        frozen = copy.deepcopy(teacher)
        write_bundle(args.teacher_bundle, autoencoder, frozen, clips, basis, distilled=False)


if __name__ == "__main__":
    main()
