"""Stage S2: train the speech encoder on the output of prepare_speech.py and prepare_wide_speech.py.

Everything about a voice and a room is varied on the fly in the mel domain (see speech_augment.py). The data are of the
permissive tier only: synthetic speech, GRID, a few other people. Where real faults of a recording are known, the same
sound without them is heard by the averaged weights, whose answer is part of the target.

Deterministic by seed for one machine and thread count, but with ``--minutes`` and while shards are still being prepared
(they are taken up as they are finished); a checkpoint is written every 200 steps and continued from when there is one.

Launch (one CPU thread, about 20 minutes; the second from a first training's weights, on wider data)::

    python models/training/train_speech.py --work data/train --steps 2400 --name first
    python models/training/train_speech.py --work data/train --steps 4000 --init first --half --bundle

Then, to hear through noise what a finished encoder hears without (40 minutes)::

    python models/training/train_speech.py --work data/train --steady speech --half --batch 16
    --rate 8e-4 --minutes 40 --steps 6000 --name steady

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
    load_speech_encoder,
    speech_encoder_tensors,
)

log = logging.getLogger("train_speech")

SOURCE_WEIGHTS = {
    "train_grid_s1": 0.22,
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
    "wide_espeak_*": 0.30,
    "wide_crowd_*": 0.25,
    "wide_festival_*": 0.07,
    "wide_manners": 0.03,
    "wide_real": 0.05,
    "wide_read": 0.02,
}
"""Shares of the shards of prepare_wide_speech.py where they are there; those above share the rest."""

FLOATS = ("mel", "noisy", "voiced", "pitch", "labelled")

CROP = 400
NOISE_SHARE = 0.03
LIP_WEIGHTS = {"PBM": 1.2, "FV": 1.8, "TH": 1.4}
CLASS_WEIGHTS = torch.tensor([LIP_WEIGHTS.get(name, 1.0) for name in VISEMES])
BILABIAL = VISEMES.index("PBM")

SHORTEST_CLOSURE = 5
"""Mel frames. Lips that meet for less than 50 ms are labelled closed for that long: on a face, the way to a closure is
part of it, and one step of 20 ms is lost in whatever smooths the motion."""

SAVE_STEPS = 200

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


def steady_batch(steady: SpeechEncoder, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A batch whose every target is what a finished encoder says to the clean sound (`--steady`).

    So the encoder learns to hear through faults alone, and what stands behind it need not be trained anew.
    """
    with torch.no_grad():
        said = steady(batch["clean"])
    taught = {
        "viseme": said.visemes.softmax(-1),
        "voiced": said.prosody[..., 0].sigmoid(),
        "pitch": said.prosody[..., 1],
        "labelled": torch.ones_like(batch["labelled"]),
    }
    silent = (
        (batch["mel"] == batch["clean"]).flatten(1).all(1)
    )  # of noise_only: the labels are right
    for key, values in taught.items():
        batch[key] = torch.where(silent.view(-1, *[1] * (values.ndim - 1)), batch[key], values)
    return batch


def loss_of(
    encoder: SpeechEncoder,
    average: SpeechEncoder,
    batch: dict[str, torch.Tensor],
    half: bool = False,
    steady: SpeechEncoder | None = None,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross-entropy on visemes (p b m f v weigh more), voicing, and pitch where voiced; `half` is bfloat16."""
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        if steady is None:
            target = soft_targets(average, batch)
        else:
            batch = steady_batch(steady, batch)
            target = batch["viseme"]
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


class Run:
    """A training as it stands: networks, optimiser, steps done; on disk under the run's name."""

    def __init__(self, work: Path, name: str, init: str | None, steady: str | None = None) -> None:
        self.folder = work / "checkpoints"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.steady = load_speech_encoder(steady) if steady else None
        self.encoder = copy.deepcopy(self.steady) if self.steady else SpeechEncoder(SpeechConfig())
        if init:
            begun = torch.load(self.folder / f"{init}.pt", weights_only=True)
            self.encoder.load_state_dict(begun["average"])
        self.encoder.requires_grad_(True)
        self.average = copy.deepcopy(self.encoder).eval()
        self.optimizer = torch.optim.AdamW(
            self.encoder.parameters(), weight_decay=0.02, betas=(0.9, 0.98)
        )
        self.step = 0
        if (self.folder / f"{name}.pt").is_file():
            saved = torch.load(self.folder / f"{name}.pt", weights_only=True)
            self.encoder.load_state_dict(saved["encoder"])
            self.average.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step = saved["step"]
            log.info("continuing at step %d", self.step)
        self.encoder.train()

    def learn(self, batch: dict[str, torch.Tensor], rate: float, half: bool) -> dict[str, float]:
        """One step; what `loss_of` tells about it."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, parts = loss_of(self.encoder, self.average, batch, half, self.steady)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), 2.0)
        self.optimizer.step()
        update_average(self.average, self.encoder, self.step)
        self.step += 1
        return parts

    def save(self) -> None:
        """Write the checkpoint whole or not at all, and keep every fourth."""
        state = {"encoder": self.encoder.state_dict(), "average": self.average.state_dict()}
        state |= {"optimizer": self.optimizer.state_dict(), "step": self.step}
        partial = self.folder / f"{self.name}.partial"
        torch.save(state, partial)
        partial.replace(self.folder / f"{self.name}.pt")
        if self.step % (4 * SAVE_STEPS) == 0:
            torch.save(state, self.folder / f"{self.name}_{self.step}.pt")


def train(run: Run, arguments: argparse.Namespace) -> float:
    """Train until the steps or the minutes are used up; minutes of speech that were there."""
    shards, weights = load_shards(arguments.work)
    first, began = run.step, time.monotonic()
    totals: dict[str, float] = {}
    while True:
        done = run.step / arguments.steps
        if arguments.minutes:
            done = max(done, (time.monotonic() - began) / 60 / arguments.minutes)
        if done >= 1:
            break
        rng = np.random.default_rng((arguments.seed, run.step))
        torch.manual_seed(arguments.seed * 1_000_003 + run.step)
        warm = min(1.0, (run.step + 1) / 60)
        rate = arguments.rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        batch = make_batch(rng, shards, weights, arguments.batch)
        parts = run.learn(batch, rate, arguments.half)
        totals = {key: 0.95 * totals.get(key, value) + 0.05 * value for key, value in parts.items()}
        if run.step % 50 == 0:
            pace = (time.monotonic() - began) / (run.step - first)
            said = json.dumps({key: round(value, 3) for key, value in totals.items()})
            log.info("step %d %.2f s/step %s", run.step, pace, said)
        if run.step % SAVE_STEPS == 0:
            run.save()
            if count_shards(arguments.work) > len(shards):  # more have been prepared meanwhile
                shards, weights = load_shards(arguments.work)
    run.save()
    return sum(len(shard["viseme"]) for shard in shards) / 6000


def write_bundle(average: SpeechEncoder, path: Path, minutes: float, note: str) -> None:
    """The averaged weights as a bundle."""
    tensors, config = speech_encoder_tensors(average.eval())
    sources = "flite, festival and espeak-ng synthesis in 54 languages; GRID speaker 1 (CC BY 4.0)"
    metadata = {
        "data_tier": "permissive",
        "data": f"{minutes:.0f} min: {sources}; a few minutes of other real speech",
        "licence": "Apache-2.0",
        "training_command": " ".join(["python models/training/train_speech.py", *sys.argv[1:]]),
        "results": note,
    }
    digest = save_bundle(path, tensors, config, metadata)
    log.info("wrote %s %s", path, digest[:12])


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--name", default="speech", help="checkpoint and bundle are named after it")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument(
        "--minutes", type=float, help="end after these at the latest, on the same schedule"
    )
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--init", help="name of a checkpoint to begin with its averaged weights")
    parser.add_argument(
        "--steady",
        help="a finished bundle to begin with, whose answer to clean sound is the target",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--half", action="store_true", help="bfloat16: twice as fast where the CPU has it"
    )
    parser.add_argument(
        "--bundle", action="store_true", help="write the trained bundle into the package"
    )
    parser.add_argument("--note", default="", help="results, kept in the bundle's header")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    run = Run(arguments.work, arguments.name, arguments.init, arguments.steady)
    minutes = train(run, arguments)
    path = run.folder / f"{arguments.name}.safetensors"
    if arguments.bundle:
        path = ROOT / "models/talkhead_models/weights/speech.safetensors"
    write_bundle(run.average, path, minutes, arguments.note)


if __name__ == "__main__":
    main()
