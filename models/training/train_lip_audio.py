"""Stage S3: train the lip-informed audio encoder together with an encoder of lip motion, by a contrastive loss.

A stretch of sound has to find the lips of the same time among other times of the clip and other clips, and the other
way round; a linear readout of its 16 numbers has to give the main directions of lip motion. The trunk begins as the
speech encoder's, whose many voices it must not forget: visemes of synthetic speech are a third task. Sound is varied
in voice, pitch, room and noise; the single speaker is mostly heard in other voices (dub_clips.py), and, where there,
the animated rig of ``DATA/blendshape`` is a second speaker.

Reads ``WORK/motion``, ``WORK/features`` (which clips have sync), ``WORK/dubs``, ``WORK/speech`` and ``DATA``; keeps
log-mels in ``WORK/mels``. Writes the checkpoint ``OUT`` (continued from when it is there) and the bundle ``BUNDLE``.
Deterministic by seed for one machine, thread count and number of steps.

Launch (1 core, about 18 minutes)::

    OMP_NUM_THREADS=1 python models/training/train_lip_audio.py --data DATA --work data/train --minutes 16

Judge what is there: the same with ``--judge``.
"""

from __future__ import annotations

import argparse
import copy
import logging
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models"), str(ROOT / "models" / "training")]

from lip_audio_parts import (  # noqa: E402
    NUM_TARGETS,
    LipEncoder,
    Pair,
    PairSampler,
    SoundHead,
    activity,
    info_nce,
    load_pairs,
    load_rig,
    moving,
    offset_hits,
    readout_correlation,
    retrieval,
    ridge,
    same_motion,
)
from motion_data import Clip, load_clips  # noqa: E402
from splits import HELD_OUT_PREFIXES, SINGLE_SPEAKER  # noqa: E402
from train_autoencoder import lip_matrix  # noqa: E402
from train_speech import load_shards, make_batch, update_average  # noqa: E402

from talkhead_models.basis import FaceBasis  # noqa: E402
from talkhead_models.bundle import load_bundle, save_bundle  # noqa: E402
from talkhead_models.lip_audio import LIP_SIZE, LipAudioEncoder  # noqa: E402
from talkhead_models.motion import EXPRESSION_SIZE as K  # noqa: E402
from talkhead_models.speech import NUM_VISEMES, speech_encoder_tensors  # noqa: E402

log = logging.getLogger("train_lip_audio")

TRUNK_RATE = 0.4
"""Learning rate of the trunk against the new layers'."""

READOUT_WEIGHT, VISEME_WEIGHT, QUIET_WEIGHT = 1.0, 0.3, 0.2


class Learner(nn.Module):
    """Everything that is trained.

    Attributes:
        audio: the encoder that is kept.
        lips, rig: encoders of mesh lips and of rig weights.
        sound: numbers to the space both are compared in.
        readout: numbers of a frame to main directions of lip motion.
        visemes: hidden channels to viseme logits.
    """

    def __init__(self, lip_size: int, rig_size: int) -> None:
        super().__init__()
        self.audio = LipAudioEncoder()
        self.lips = LipEncoder(lip_size)
        self.rig = LipEncoder(max(rig_size, 1))
        self.sound = SoundHead()
        self.readout = nn.Linear(2 * LIP_SIZE, NUM_TARGETS)
        self.visemes = nn.Conv1d(self.audio.config.channels, NUM_VISEMES, 1)

    def start_from_speech(self, bundle: str) -> None:
        """Take over the front and the first blocks of the speech encoder."""
        known = load_bundle(bundle).tensors
        own = self.audio.state_dict()
        taken = {
            name: value.float()
            for name, value in known.items()
            if name in own and not name.startswith("head")
        }
        self.audio.load_state_dict(own | taken)
        log.info("%d of %d tensors of the trunk from %s", len(taken), len(own), bundle)


def losses(
    model: Learner, sampler: PairSampler, directions: torch.Tensor, args: argparse.Namespace
) -> tuple[torch.Tensor, dict[str, float]]:
    """One step's loss on pairs, and its parts."""
    mesh = sampler.batch(args.batch, args.frames)
    rig = sampler.batch(args.rig_batch, args.frames, rig=True) if sampler.rig else None
    quiet = sampler.silence(1, args.frames)
    mels = [mesh.mel, quiet] if rig is None else [mesh.mel, rig.mel, quiet]
    numbers = model.audio(torch.cat(mels))
    scale = model.sound.logit_scale.exp().clamp(max=50)

    def contrast(found: torch.Tensor, lips: torch.Tensor, encoder: nn.Module) -> torch.Tensor:
        alike = same_motion(lips, lips)
        return info_nce(model.sound(found), encoder(lips), scale, activity(lips), alike)

    match = contrast(numbers[: args.batch], mesh.lips, model.lips)
    parts = {"match": float(match.detach())}
    total = match
    if rig is not None:
        other = contrast(numbers[args.batch : -1], rig.lips, model.rig)
        parts["rig"] = float(other.detach())
        total = total + other * args.rig_batch / args.batch
    frames = numbers[: args.batch].reshape(args.batch, args.frames, -1)
    wanted = mesh.lips @ directions
    wanted = wanted - wanted.mean(1, keepdim=True)
    given = model.readout(frames)
    readout = functional.smooth_l1_loss(given - given.mean(1, keepdim=True), wanted)
    # Noise is rest, and the numbers stay about one in size.
    quiet_size = numbers[-1].square().mean() + 0.1 * (numbers.square().mean() - 1).relu()
    parts |= {"readout": float(readout.detach()), "quiet": float(quiet_size.detach())}
    return total + READOUT_WEIGHT * readout + QUIET_WEIGHT * quiet_size, parts


def viseme_loss(model: Learner, crops: dict[str, torch.Tensor]) -> torch.Tensor:
    """Cross-entropy of the visemes of synthetic speech, read off the hidden channels."""
    logits = model.visemes(model.audio.hidden(crops["mel"])).transpose(1, 2)
    named = (crops["viseme"] * functional.log_softmax(logits, -1)).sum(-1)
    return -(named * crops["labelled"]).mean()


def main_directions(pairs: list[Pair]) -> torch.Tensor:
    """(P, NUM_TARGETS) directions in which the single speaker's lips move most, each scaled to unit deviation."""
    lips = np.concatenate([pair.lips for pair in pairs if pair.person == SINGLE_SPEAKER])
    _, size, rows = np.linalg.svd(lips - lips.mean(0), full_matrices=False)
    scale = size[:NUM_TARGETS] / np.sqrt(len(lips))
    return torch.from_numpy((rows[:NUM_TARGETS] / scale[:, None]).T.astype(np.float32))


# ---- judging ------------------------------------------------------------------------------------------------------


@torch.no_grad()
def numbers_of(audio: LipAudioEncoder, pair: Pair) -> np.ndarray:
    """The encoder's numbers of each video frame's two steps, (T, 32), in the clip's own voice."""
    mel = torch.from_numpy(pair.voices[0].astype(np.float32))[None]
    return audio.eval()(mel)[0].reshape(len(pair.lips), -1).numpy()


@torch.no_grad()
def judge(
    model: Learner, groups: dict[str, tuple[list[Pair], list[Clip]]], basis: FaceBasis
) -> str:
    """Retrieval, offset and linear readouts by group; the readouts are fitted on the group "train"."""
    model.eval()
    weights: dict[str, np.ndarray] = {}
    lines = []
    for group, (pairs, clips) in groups.items():
        if not pairs:
            continue
        by_name = {clip.name: clip for clip in clips}
        chosen = [by_name[pair.name] for pair in pairs]
        gaps = [basis.lip_gap(clip.motion[:, :K]) for clip in chosen]
        numbers = [numbers_of(model.audio, pair) for pair in pairs]
        visemes = [clip.features[:, :20].reshape(clip.num_frames, -1) for clip in chosen]
        inputs = {
            "lips": numbers,
            "visemes": visemes,
            "both": [np.concatenate(two, 1) for two in zip(numbers, visemes, strict=True)],
        }
        if group == "train":
            weights = {kind: ridge(x, gaps, 1e-3) for kind, x in inputs.items()}
        sounds = [
            model.sound(torch.from_numpy(x.reshape(1, -1, LIP_SIZE)))[0].numpy() for x in numbers
        ]
        lips = [model.lips(torch.from_numpy(pair.lips)[None])[0].numpy() for pair in pairs]
        read = {kind: readout_correlation(weights[kind], x, gaps) for kind, x in inputs.items()}
        lines.append(
            f"{group}: {len(pairs)} clips, retrieval of 20 {retrieval(sounds, lips, moving(pairs)):.3f}, "
            f"offset within a frame {offset_hits(sounds, lips):.3f}, readout of lip opening from "
            + ", ".join(f"{kind} {value:.3f}" for kind, value in read.items())
        )
    return "\n".join(lines)


def judged_groups(
    train: list[Pair],
    clips: list[Clip],
    args: argparse.Namespace,
    basis: FaceBasis,
    lips: np.ndarray,
) -> dict[str, tuple[list[Pair], list[Clip]]]:
    """Training clips to fit readouts on, and the held-out groups."""
    groups = {"train": ([p for p in train if p.person == SINGLE_SPEAKER][:150], clips)}
    held = load_clips(args.data, args.work, basis, validation=True)
    research = load_clips(args.data, args.work, basis, validation=True, tiers=("research",))
    pairs = load_pairs(held, args.data, args.work, lips, dubbed=False)
    groups["single speaker"] = ([p for p in pairs if p.person == SINGLE_SPEAKER], held)
    groups["other GRID speakers"] = (
        [p for p in pairs if p.person.startswith(HELD_OUT_PREFIXES)],
        held,
    )
    wild = [
        p
        for p in pairs
        if p.person != SINGLE_SPEAKER and not p.person.startswith(HELD_OUT_PREFIXES)
    ]
    wild += load_pairs(research, args.data, args.work, lips, dubbed=False)
    groups["in the wild"] = (wild, held + research)
    return groups


def store(
    model: Learner, sampler: PairSampler, args: argparse.Namespace, steps: int, report: str
) -> str:
    """Write the bundle; returns its sha256."""
    audio = copy.deepcopy(model.audio)
    audio.calibrate(sampler.batch(64, args.frames).mel)
    tensors, config = speech_encoder_tensors(audio)
    return save_bundle(
        args.bundle,
        tensors,
        config,
        {
            "data_tier": "permissive",
            "licence": "Apache-2.0; data: GRID (CC BY 4.0), synthetic speech, MIT and Apache repositories",
            "training_command": "python models/training/train_lip_audio.py --data DATA --work data/train"
            f" --minutes {args.minutes:g} --seed {args.seed}",
            "steps": str(steps),
            "held_out": report,
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--out", type=Path, default=Path("data/train/runs/lip-audio.pt"))
    parser.add_argument(
        "--bundle", type=Path, default=Path("data/train/runs/lip-audio.safetensors")
    )
    parser.add_argument("--init", default="speech", help="bundle whose trunk is taken over")
    parser.add_argument("--minutes", type=float, default=16)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--rig-batch", type=int, default=5)
    parser.add_argument("--frames", type=int, default=56)
    parser.add_argument("--crops", type=int, default=6, help="crops of synthetic speech a step")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--judge", action="store_true", help="only judge the checkpoint")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(args.seed)

    # Data.
    basis = FaceBasis.load()
    clips = load_clips(args.data, args.work, basis)
    matrix = lip_matrix(basis).numpy()
    pairs = load_pairs(clips, args.data, args.work, matrix, dubbed=True)
    rig = load_rig(args.data)
    groups = judged_groups(pairs, clips, args, basis, matrix)
    shards, shares = load_shards(args.work)
    directions = main_directions(pairs)

    # Networks.
    model = Learner(matrix.shape[1], rig[0].lips.shape[1] if rig else 0)
    model.start_from_speech(args.init)
    average = copy.deepcopy(model).requires_grad_(False)
    trunk = [value for name, value in model.audio.named_parameters() if not name.startswith("head")]
    known = {id(value) for value in trunk}
    fresh = [value for value in model.parameters() if id(value) not in known]
    optimiser = torch.optim.AdamW(
        [{"params": trunk, "share": TRUNK_RATE}, {"params": fresh, "share": 1.0}],
        lr=args.rate,
        weight_decay=1e-3,
    )
    done, spent = 0, 0.0
    if args.out.exists():
        stored = torch.load(args.out, weights_only=True)
        model.load_state_dict(stored["model"])
        average.load_state_dict(stored["average"])
        optimiser.load_state_dict(stored["optimiser"])
        done, spent = stored["step"], stored["seconds"]
    sampler = PairSampler(pairs + rig, args.seed + done)
    rng = np.random.default_rng(args.seed + done)
    log.info("%d clips of people, %d of a rig; %d steps done", len(pairs), len(rig), done)
    if args.judge:
        log.info("held out:\n%s", judge(average, groups, basis))
        return

    # Loop: the learning rate falls over the time given.
    began = time.monotonic() - spent
    args.out.parent.mkdir(parents=True, exist_ok=True)
    while (elapsed := time.monotonic() - began) < args.minutes * 60:
        fall = max(0.02, 0.5 + 0.5 * math.cos(math.pi * elapsed / (args.minutes * 60)))
        for group in optimiser.param_groups:
            group["lr"] = args.rate * group["share"] * min(1.0, (done + 1) / 60) * fall
        model.train()
        loss, parts = losses(model, sampler, directions, args)
        visemes = viseme_loss(model, make_batch(rng, shards, shares, args.crops))
        optimiser.zero_grad()
        (loss + VISEME_WEIGHT * visemes).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        update_average(average, model, done)
        done += 1
        if done % 50 == 0:
            parts["visemes"] = float(visemes.detach())
            said = " ".join(f"{name} {value:.3f}" for name, value in parts.items())
            log.info("step %d, %.0f s: %s", done, elapsed, said)
        if done % 250 == 0:
            log.info("held out:\n%s", judge(average, groups, basis))
            checkpoint = {"model": model.state_dict(), "average": average.state_dict()}
            checkpoint |= {"optimiser": optimiser.state_dict(), "step": done, "seconds": elapsed}
            torch.save(checkpoint, args.out)

    # Held-out figures, checkpoint, bundle.
    report = judge(average, groups, basis)
    log.info("held out:\n%s", report)
    checkpoint = {"model": model.state_dict(), "average": average.state_dict()}
    checkpoint |= {"optimiser": optimiser.state_dict(), "step": done}
    checkpoint["seconds"] = time.monotonic() - began
    torch.save(checkpoint, args.out)
    log.info("bundle %s", store(average, sampler, args, done, report))


if __name__ == "__main__":
    main()
