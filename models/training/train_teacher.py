"""Stage 4: train the diffusion teacher of a recipe.

The teacher sees the true past, a style token, the reference and the speech, which is hidden from it
one time in eight, for guidance. Writes a checkpoint that is resumed from; see `recipes.py` for what
the recipes differ in.

Launch (1 core, about 20 minutes)::

    OMP_NUM_THREADS=1 python models/training/train_teacher.py --data DATA --work data/train
    --recipe talkhead --minutes 20
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
from appearance_style import share_appearance
from generator_data import Batch, draw, load_autoencoders
from generator_training import Limit, Run, load_weights, take_over, train_teacher
from motion_data import WindowSampler, load_clips
from recipes import RECIPES
from train_autoencoder import lip_matrix

from talkhead_models.basis import FaceBasis
from talkhead_models.denoiser import Denoiser, DenoiserConfig

log = logging.getLogger("train_teacher")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--recipe", choices=RECIPES, default="talkhead")
    parser.add_argument("--autoencoder", type=Path, default=Path("data/train/runs/autoencoder.pt"))
    parser.add_argument("--appearance", type=Path, default=Path("data/train/runs/appearance.pt"))
    parser.add_argument("--out", type=Path, default=Path("data/train/runs/teacher.pt"))
    parser.add_argument(
        "--init", type=Path, help="checkpoint or bundle to take the weights from, schedule anew"
    )
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--lip-weight", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(args.seed)

    # Data.
    recipe = RECIPES[args.recipe]
    basis = FaceBasis.load()
    autoencoder = load_autoencoders(args.autoencoder, args.appearance)
    wide = recipe.denoiser.feature_size > DenoiserConfig().feature_size
    clips = share_appearance(load_clips(args.data, args.work, basis, wide=wide), basis)

    # Network.
    model = Denoiser(recipe.teacher)
    if args.init:
        weights, config = load_weights(args.init)
        take_over(weights, model, config)
    run = Run(model, args.rate, args.out)
    sampler = WindowSampler(clips, basis, args.seed + run.step)
    size = sum(p.numel() for p in model.parameters())
    log.info("%s: %d clips, %d parameters, from step %d", args.recipe, len(clips), size, run.step)

    def batches(config: DenoiserConfig, rows: int, chunks: int) -> Batch:
        return draw(sampler, autoencoder, config, rows, chunks=chunks)

    train_teacher(
        run,
        Limit(run, minutes=args.minutes),
        batches,
        recipe,
        autoencoder,
        lip_matrix(basis),
        batch=args.batch,
        lip_weight=args.lip_weight,
        seed=args.seed,
    )


if __name__ == "__main__":
    main()
