"""Stage S2: train the speech encoder from scratch on the output of prepare_speech.py.

Everything about a voice and a room is varied on the fly in the mel domain (see speech_augment.py). The data are of the
permissive tier only: synthetic speech and GRID. Deterministic by seed for one machine and thread count; a checkpoint is
written every 200 steps and continued from when there is one.

Launch (one CPU thread, about 20 minutes)::

    python models/training/train_speech.py --work data/train --steps 2400 --bundle

A trial run::

    python models/training/train_speech.py --work data/train --steps 100 --batch 8 --name trial
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models"), str(ROOT / "models" / "training")]

from speech_augment import augment_crop, noise_only  # noqa: E402

from talkhead_models.bundle import save_bundle  # noqa: E402
from talkhead_models.speech import (  # noqa: E402
    NUM_VISEMES,
    VISEMES,
    SpeechConfig,
    SpeechEncoder,
    speech_encoder_tensors,
)

log = logging.getLogger("train_speech")

SOURCE_WEIGHTS = {
    "train_grid_s1": 0.20,
    "train_espeak_a": 0.13,
    "train_espeak_b": 0.13,
    "train_espeak_cmn": 0.06,
    "train_flite_slt": 0.13,
    "train_flite_awb": 0.15,
    "train_flite_kal": 0.06,
    "train_festival_ked": 0.11,
    "train_festival_kal": 0.04,
    "train_festival_hts": 0.09,
}
WIDE_WEIGHTS = {
    "wide_espeak_*": 0.45,
    "wide_festival_*": 0.10,
    "wide_manners": 0.04,
    "wide_real": 0.03,
    "wide_read": 0.02,
}
"""Shares of the shards of prepare_wide_speech.py where they are there; those above share the rest."""

FLOATS = ("mel", "noisy", "voiced", "pitch", "labelled")

CROP = 400
NOISE_SHARE = 0.03
LIP_WEIGHTS = {"PBM": 2.0, "FV": 1.3}
CLASS_WEIGHTS = torch.tensor([LIP_WEIGHTS.get(name, 1.0) for name in VISEMES])
BILABIAL = VISEMES.index("PBM")

SHORTEST_CLOSURE = 5
"""Mel frames. Lips that meet for less than 50 ms are labelled closed for that long: on a face, the way to a closure is
part of it, and one step of 20 ms is lost in whatever smooths the motion."""

TEACHER_SHARE = 0.3
"""Of the target: what the averaged weights say to the same voice without noise. All of it where there are no labels."""


def widen_closures(viseme: np.ndarray, least: int = SHORTEST_CLOSURE) -> np.ndarray:
    """Labels (N,) of mel frames in which no run of p, b or m is shorter than `least`, grown to both sides alike."""
    widened = viseme.copy()
    edges = np.flatnonzero(np.diff(np.pad((viseme == BILABIAL).astype(np.int8), 1)))
    for start, end in edges.reshape(-1, 2):
        missing = max(0, least - (end - start))
        widened[max(0, start - missing // 2) : end + (missing + 1) // 2] = BILABIAL
    return widened


def read_shard(path: Path) -> dict[str, np.ndarray]:
    """A shard's arrays, with short closures widened."""
    with np.load(path) as file:
        shard = {key: file[key] for key in file.files}
    shard["viseme"] = widen_closures(shard["viseme"])
    return shard


def load_shards(work: Path) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """The training sources there are, and how often to draw from each."""
    folder = work / "speech"
    shards: list[dict[str, np.ndarray]] = []
    weights: list[float] = []
    for pattern, weight in WIDE_WEIGHTS.items():
        paths = [path for path in sorted(folder.glob(f"{pattern}.npz")) if "." not in path.stem]
        shards += [read_shard(path) for path in paths]
        weights += [weight / max(len(paths), 1)] * len(paths)
    rest = 1 - sum(weights)
    for name, weight in SOURCE_WEIGHTS.items():
        path = folder / f"{name}.npz"
        if path.is_file():
            shards.append(read_shard(path))
            weights.append(weight * rest)
        else:
            log.warning("%s is missing: training without it", path.name)
    if not shards:
        raise SystemExit(f"no training data in {folder}: run prepare_speech.py first")
    return shards, np.array(weights) / sum(weights)


def count_shards(work: Path) -> int:
    """Finished training shards in the folder."""
    names = {path.stem for path in (work / "speech").glob("*.npz")}
    return len({name for name in names if name.startswith(("train_", "wide_")) and "." not in name})


def draw_crop(
    rng: np.random.Generator, shards: list[dict[str, np.ndarray]], weights: np.ndarray, length: int
) -> dict:
    """A run of frames of one source, as float32."""
    shard = shards[rng.choice(len(shards), p=weights)]
    start = int(rng.integers(0, max(1, len(shard["viseme"]) - length)))
    span = slice(start, start + length)
    crop = {key: shard[key][span].astype(np.float32) for key in FLOATS if key in shard}
    crop["viseme"] = shard["viseme"][span]
    return {"labelled": np.ones(len(crop["viseme"]), np.float32)} | crop


def make_batch(
    rng: np.random.Generator, shards: list, weights: np.ndarray, batch: int
) -> dict[str, torch.Tensor]:
    """Augmented crops with soft targets at 50 steps a second."""

    def babble() -> np.ndarray:
        return draw_crop(rng, shards, weights, CROP)["mel"]

    items = []
    for _ in range(batch):
        if rng.random() < NOISE_SHARE:
            items.append(noise_only(rng, CROP))
        else:
            crop = draw_crop(rng, shards, weights, int(CROP * 1.35))
            items.append(augment_crop(rng, crop, babble, CROP))
    onehot = np.eye(NUM_VISEMES, dtype=np.float32)[np.stack([item["viseme"] for item in items])]
    paired = {
        key: np.stack([item[key] for item in items]).reshape(batch, CROP // 2, 2).mean(2)
        for key in ("voiced", "pitch", "labelled")
    }
    return {
        **{
            key: torch.from_numpy(np.stack([item[key] for item in items]))
            for key in ("mel", "clean")
        },
        "viseme": torch.from_numpy(onehot.reshape(batch, CROP // 2, 2, NUM_VISEMES).mean(2)),
        **{key: torch.from_numpy(values) for key, values in paired.items()},
    }


def soft_targets(average: SpeechEncoder, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Viseme targets (B, L, 16): the labels, mixed with what the averaged weights say to the clean sound.

    Closures are labels alone: the teacher misses the short ones. Frames without labels are the teacher's alone.
    """
    with torch.no_grad():
        taught = average(batch["clean"]).visemes.float().softmax(-1)
    labels, known = batch["viseme"], batch["labelled"].unsqueeze(-1)
    share = TEACHER_SHARE * (1 - labels[..., BILABIAL : BILABIAL + 1])
    share = known * share + (1 - known)
    return (1 - share) * (0.98 * labels + 0.02 / NUM_VISEMES) + share * taught


def loss_of(
    encoder: SpeechEncoder,
    average: SpeechEncoder,
    batch: dict[str, torch.Tensor],
    half: bool = False,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross-entropy on visemes (p b m f v weigh more), voicing, and pitch where voiced; `half` is bfloat16."""
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        target = soft_targets(average, batch)
        output = encoder(batch["mel"])
    prosody = output.prosody.float()
    logits = functional.log_softmax(output.visemes.float(), dim=-1)
    weight = (target * CLASS_WEIGHTS).sum(-1)
    viseme = -((target * logits).sum(-1) * weight).mean()
    known = batch["labelled"]
    voicing = functional.binary_cross_entropy_with_logits(
        prosody[..., 0], batch["voiced"], weight=known
    )
    sure = (batch["voiced"] > 0.9).float() * known
    pitch = ((prosody[..., 1] - batch["pitch"]).abs() * sure).sum() / sure.sum().clamp(min=1)
    hit = ((logits.argmax(-1) == batch["viseme"].argmax(-1)) * known).sum() / known.sum()
    parts = {
        "viseme": float(viseme.detach()),
        "voicing": float(voicing.detach()),
        "pitch": float(pitch.detach()),
    }
    return viseme + 0.3 * voicing + 0.3 * pitch, parts | {"accuracy": float(hit)}


def update_average(average: SpeechEncoder, encoder: SpeechEncoder, step: int) -> None:
    """Exponential moving average of the parameters; running statistics are copied."""
    decay = min(0.998, (step + 1) / (step + 20))
    with torch.no_grad():
        for old, new in zip(average.parameters(), encoder.parameters(), strict=True):
            old.lerp_(new, 1 - decay)
        for old, new in zip(average.buffers(), encoder.buffers(), strict=True):
            old.copy_(new)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--name", default="speech", help="checkpoint and bundle are named after it")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--init", help="name of a checkpoint to begin with its averaged weights")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--half", action="store_true", help="bfloat16: twice as fast where the CPU has it"
    )
    parser.add_argument(
        "--bundle", action="store_true", help="write the trained bundle into the package"
    )
    parser.add_argument("--note", default="", help="results, kept in the bundle's header")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    # ---- data and network
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    shards, weights = load_shards(arguments.work)
    minutes = sum(len(shard["viseme"]) for shard in shards) / 6000
    encoder = SpeechEncoder(SpeechConfig())
    if arguments.init:
        begun = torch.load(
            arguments.work / "checkpoints" / f"{arguments.init}.pt", weights_only=True
        )
        encoder.load_state_dict(begun["average"])
    average = copy.deepcopy(encoder).eval()
    optimizer = torch.optim.AdamW(
        encoder.parameters(), lr=arguments.rate, weight_decay=0.02, betas=(0.9, 0.98)
    )
    count = sum(parameter.numel() for parameter in encoder.parameters())
    log.info("%.1f minutes of speech, %d parameters", minutes, count)

    # ---- resume
    checkpoint = arguments.work / "checkpoints" / f"{arguments.name}.pt"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    first = 0
    if checkpoint.is_file():
        saved = torch.load(checkpoint, weights_only=True)
        encoder.load_state_dict(saved["encoder"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        first = saved["step"]
        log.info("continuing at step %d", first)

    # ---- loop
    began, totals = time.monotonic(), {}
    encoder.train()
    for step in range(first, arguments.steps):
        rng = np.random.default_rng((arguments.seed, step))
        torch.manual_seed(arguments.seed * 1_000_003 + step)
        warm = min(1.0, (step + 1) / 60)
        rate = (
            arguments.rate
            * warm
            * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / arguments.steps)))
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = make_batch(rng, shards, weights, arguments.batch)
        loss, parts = loss_of(encoder, average, batch, arguments.half)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 2.0)
        optimizer.step()
        update_average(average, encoder, step)
        totals = {key: 0.95 * totals.get(key, value) + 0.05 * value for key, value in parts.items()}
        if step % 50 == 49:
            pace = (time.monotonic() - began) / (step + 1 - first)
            log.info(
                "step %d %.2f s/step %s",
                step + 1,
                pace,
                json.dumps({k: round(v, 3) for k, v in totals.items()}),
            )
        if step % 200 == 199 or step + 1 == arguments.steps:
            state = {"encoder": encoder.state_dict(), "average": average.state_dict()}
            state |= {"optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(state, checkpoint.with_suffix(".partial"))
            checkpoint.with_suffix(".partial").replace(checkpoint)
            if step % 800 == 799:
                torch.save(state, checkpoint.with_name(f"{arguments.name}_{step + 1}.pt"))
            if count_shards(arguments.work) > len(shards):  # more have been prepared meanwhile
                shards, weights = load_shards(arguments.work)

    # ---- bundle
    tensors, config = speech_encoder_tensors(average.eval())
    name = "speech" if arguments.bundle else arguments.name
    folder = (
        ROOT / "models/talkhead_models/weights"
        if arguments.bundle
        else arguments.work / "checkpoints"
    )
    metadata = {
        "data_tier": "permissive",
        "data": f"{minutes:.0f} min: flite, festival and espeak-ng synthesis; GRID speaker 1 (CC BY 4.0)",
        "licence": "Apache-2.0",
        "training_command": " ".join(["python models/training/train_speech.py", *sys.argv[1:]]),
        "results": arguments.note,
    }
    digest = save_bundle(folder / f"{name}.safetensors", tensors, config, metadata)
    log.info("wrote %s %s", folder / f"{name}.safetensors", digest[:12])


if __name__ == "__main__":
    main()
