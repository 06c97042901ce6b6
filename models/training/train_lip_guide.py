"""Stage 4b: train the lip guide of the default recipe.

A regression of the lip opening (as a share of the clip's 95th percentile) and of closed lips from
0.64 s of speech features, on aligned phones and on the encoder's output alike, both varied as
another voice would (`vary_speech`). Writes the weights, and prints the correlation with the real
lips of held-out people.

Launch (1 core, about 3 minutes)::

    OMP_NUM_THREADS=1 python models/training/train_lip_guide.py --data DATA --work data/train
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from generator_data import vary_speech
from motion_data import Clip, load_clips
from motion_metrics import group_of
from phone_sync import correlation
from torch.nn import functional

from talkhead_models.basis import FaceBasis
from talkhead_models.lip_guide import AHEAD, PAST, WINDOW, LipGuide, LipGuideConfig
from talkhead_models.motion import EXPRESSION_SIZE as K
from talkhead_models.speech import FEATURE_SIZE
from talkhead_models.speech_kinds import KINDS, silent_features

log = logging.getLogger("train_lip_guide")

FRAMES = 48
"""Frames a clip gives to a batch."""

CLIPS = 16
"""Clips of a batch."""

CLOSED = 0.15
"""Share of a wide opening below which lips count as closed."""

ALIGNED = 0.6
"""Share of windows with aligned phones instead of the encoder's."""


def openings(clip: Clip, basis: FaceBasis) -> np.ndarray:
    """Lip opening of a clip as a share of its wide opening, (T,)."""
    gap = basis.lip_gap(clip.motion[:, :K])
    return np.asarray(gap / max(float(np.percentile(gap, 95)), 0.02), np.float32)


def padded(features: np.ndarray) -> np.ndarray:
    """Features with silence on both sides, as far as the guide looks."""
    size = features.shape[1]
    return np.concatenate([silent_features(PAST, size), features, silent_features(AHEAD, size)])


def draw(
    clips: list[Clip], targets: list[np.ndarray], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows (B, WINDOW, F) and openings (B,)."""
    cuts, wanted = [], []
    for index in rng.integers(0, len(clips), CLIPS):
        clip = clips[index]
        known = clip.features
        if clip.aligned is not None and rng.random() < ALIGNED:
            known = clip.aligned
        assert known is not None
        start = int(rng.integers(0, max(clip.num_frames - FRAMES, 0) + 1))
        cut = padded(known)[2 * start : 2 * (start + FRAMES) + PAST + AHEAD]
        truth = targets[index][start : start + FRAMES]
        missing = FRAMES - len(truth)
        cuts.append(np.pad(cut, ((0, 2 * missing), (0, 0)), "edge"))
        wanted.append(np.pad(truth, (0, missing), "edge"))
    varied = torch.from_numpy(vary_speech(np.stack(cuts), rng))
    windows = varied.unfold(1, WINDOW, 2).transpose(2, 3).flatten(0, 1)
    return windows, torch.from_numpy(np.concatenate(wanted))


def judge(guide: LipGuide, clips: list[Clip], basis: FaceBasis) -> dict[str, float]:
    """Median correlation with the real lip opening by group of held-out people."""
    found: dict[str, list[float]] = {}
    for clip in clips:
        assert clip.features is not None
        with torch.inference_mode():
            windows = torch.from_numpy(padded(clip.features)).unfold(0, WINDOW, 2).transpose(1, 2)
            said = guide(windows)[: clip.num_frames, 0].numpy()
        found.setdefault(group_of(clip), []).append(correlation(said, openings(clip, basis)))
    return {group: float(np.median(values)) for group, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--out", type=Path, default=Path("data/train/runs/lip_guide.pt"))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["visemes"])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)

    # Data.
    config = LipGuideConfig(speech_kinds=tuple(args.kinds))
    wide = config.feature_size > FEATURE_SIZE
    basis = FaceBasis.load()
    clips = load_clips(args.data, args.work, basis, wide=wide)
    clips = [clip for clip in clips if clip.features is not None]
    held_out = load_clips(args.data, args.work, basis, validation=True, wide=wide)
    held_out = [clip for clip in held_out if clip.features is not None]
    targets = [openings(clip, basis) for clip in clips]

    # Network and loop.
    guide = LipGuide(config)
    optimiser = torch.optim.AdamW(guide.parameters(), lr=1e-3, weight_decay=0.05)
    for step in range(1, args.steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (1 - (step - 1) / args.steps)
        windows, wanted = draw(clips, targets, rng)
        said = guide(windows)
        closed = functional.binary_cross_entropy_with_logits(said[:, 1], (wanted < CLOSED).float())
        loss = (said[:, 0] - wanted).square().mean() + 0.1 * closed
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 500 == 0:
            found = judge(guide.eval(), held_out, basis)
            guide.train()
            log.info("step %d loss %.4f held out %s", step, float(loss.detach()), found)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    stored = {"model": guide.state_dict(), "config": asdict(guide.config)}
    torch.save(stored, args.out)


if __name__ == "__main__":
    main()
