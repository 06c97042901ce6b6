"""What train_lip_audio.py puts together: pairs of sound and lip motion, the lip encoder, losses, judging."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from motion_data import Clip, interpolate, read_rows
from speech_augment import augment_sound, noise_only, vary_pitch
from splits import SINGLE_SPEAKER
from torch import Tensor, nn
from torch.nn import functional

from talkhead_cli.audio import decode_stream, log_mel, read_header, resample_blocks
from talkhead_cli.errors import AudioError
from talkhead_models.lip_audio import LIP_SIZE
from talkhead_models.motion import EXPRESSION_SIZE as K

log = logging.getLogger("train_lip_audio")

MELS_PER_FRAME = 4
RIG_PERSON = "rig"
"""The speaker whose motion is weights of an animated rig instead of a mesh."""

LARGEST_PACE = 1.25
OWN_SHARE = 0.4
"""How often the single speaker is heard with his own voice where there are dubs."""

NUM_TARGETS = 6
"""Directions of lip motion that a linear readout has to give."""


@dataclass(frozen=True)
class Pair:
    """One clip: log-mel (4 T, 80) float16 of its own voice first, then of others; lips (T, P) float32."""

    name: str
    person: str
    voices: list[np.ndarray]
    lips: np.ndarray


class Batch(NamedTuple):
    """mel (B, 4 T, 80), lips (B, T, P); all of one kind of motion."""

    mel: Tensor
    lips: Tensor


def mel_of(path: Path) -> np.ndarray:
    """Log-mel (L2, 80) float32 of a file, by the product's audio path."""
    stream = read_header(path)
    blocks = resample_blocks(decode_stream(path, stream, None), stream.sample_rate)
    return log_mel(np.concatenate(list(blocks)))


def cached_mel(data: Path, work: Path, name: str) -> np.ndarray:
    """Log-mel (L2, 80) float16 of a clip, kept in ``WORK/mels``."""
    path = work / "mels" / f"{name}.npz"
    if path.is_file():
        with np.load(path) as stored:
            return stored["mel"]
    path.parent.mkdir(parents=True, exist_ok=True)
    mel = mel_of(data / "clips" / read_rows(data)[name]["file"]).astype(np.float16)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, mel=mel)
    partial.replace(path)
    return mel


def fit_length(mel: np.ndarray, num_frames: int) -> np.ndarray:
    """Mel cut, or held, to four frames a video frame."""
    return mel[np.minimum(np.arange(MELS_PER_FRAME * num_frames), len(mel) - 1)]


def load_dubs(work: Path) -> dict[str, list[np.ndarray]]:
    """Other voices of the single speaker's clips (see dub_clips.py), by clip."""
    dubs: dict[str, list[np.ndarray]] = {}
    for path in sorted((work / "dubs").glob("*.npz")):
        if path.name.endswith(".partial.npz"):
            continue
        with np.load(path) as stored:
            for name in stored.files:
                dubs.setdefault(name, []).append(stored[name])
    return dubs


def load_pairs(
    clips: list[Clip], data: Path, work: Path, lip_matrix: np.ndarray, *, dubbed: bool
) -> list[Pair]:
    """Sound and lips of the clips whose sound belongs to the mouth.

    Args:
        clips: from `motion_data.load_clips`.
        data, work: folders.
        lip_matrix: (K, P) displacement of the lip points' coordinates in outer-eye distances.
        dubbed: whether to add the other voices.
    """
    dubs = load_dubs(work) if dubbed else {}
    pairs = []
    for clip in clips:
        if clip.features is None:
            continue
        try:
            own = cached_mel(data, work, clip.name)
        except AudioError as error:
            log.warning("%s", error)
            continue
        voices = [fit_length(mel, clip.num_frames) for mel in (own, *dubs.get(clip.name, []))]
        lips = clip.motion[:, :K] @ lip_matrix
        # What differs between faces at rest is not speech; a twentieth of an eye distance is one.
        lips = (lips - np.median(lips, 0)) / 0.05
        pairs.append(Pair(clip.name, clip.person, voices, lips.astype(np.float32)))
    return pairs


def load_rig(data: Path) -> list[Pair]:
    """The rig-animated speaker: weights of the mouth at 30/s brought to 25/s."""
    found = []
    for path in sorted((data / "blendshape").glob("*.npz")):
        with np.load(path) as stored:
            weights, names = stored["weights"].astype(np.float32), stored["names"]
            rate = float(stored["fps"])
        found.append((path, weights, rate))
    if not found:
        return []
    mouth = [any(part in str(name) for part in ("mouth", "jaw", "tongue")) for name in names]
    spread = np.concatenate([weights for _, weights, _ in found]).std(0)
    kept = np.flatnonzero(np.array(mouth) & (spread > 0.005))
    pairs = []
    for path, weights, rate in found:
        mel = mel_of(path.with_suffix(".flac")).astype(np.float16)
        frames = min(int(len(weights) * 25 / rate), len(mel) // MELS_PER_FRAME)
        lips = interpolate(weights[:, kept], np.arange(frames) * rate / 25)
        lips = (lips - np.median(lips, 0)) / spread[kept]
        pairs.append(
            Pair(path.stem, RIG_PERSON, [fit_length(mel, frames)], lips.astype(np.float32))
        )
    return pairs


class PairSampler:
    """Draws augmented windows; deterministic by its seed."""

    def __init__(self, pairs: list[Pair], seed: int, single_share: float = 0.92) -> None:
        self.rng = np.random.default_rng(seed)
        self.rig = [pair for pair in pairs if pair.person == RIG_PERSON]
        mesh = [pair for pair in pairs if pair.person != RIG_PERSON]
        self.single = [pair for pair in mesh if pair.person == SINGLE_SPEAKER]
        self.others = [pair for pair in mesh if pair.person != SINGLE_SPEAKER]
        self.single_share = single_share if self.others else 1.0
        if not self.single:
            self.single, self.single_share = self.others, 1.0

    def pick(self, rig: bool) -> Pair:
        """A clip; longer ones more often."""
        pool = self.rig
        if not rig:
            pool = self.single if self.rng.random() < self.single_share else self.others
        sizes = np.sqrt([len(pair.lips) for pair in pool])
        return pool[self.rng.choice(len(pool), p=sizes / sizes.sum())]

    def babble(self) -> np.ndarray:
        """Other speech for the background."""
        return (
            self.pick(bool(self.rig) and self.rng.random() < 0.5).voices[0][:300].astype(np.float32)
        )

    def window(self, rig: bool, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Mel (4 T, 80) and lips (T, P) of one time, at another pace, in another voice and room."""
        rng = self.rng
        pair = self.pick(rig)
        pace = float(np.exp(rng.uniform(-1, 1) * np.log(LARGEST_PACE)))
        start = float(rng.uniform(0, max(0.0, len(pair.lips) - num_frames * pace)))
        lips = interpolate(pair.lips, start + pace * np.arange(num_frames))
        own = len(pair.voices) == 1 or rng.random() < OWN_SHARE
        voice = pair.voices[0 if own else int(rng.integers(1, len(pair.voices)))]
        # A mel frame is centred on its hop, a video frame lies at the beginning of its four.
        places = (
            MELS_PER_FRAME * start + pace * (np.arange(MELS_PER_FRAME * num_frames) + 0.5) - 0.5
        )
        mel = interpolate(voice.astype(np.float32), places)
        if rng.random() < 0.6:
            mel = vary_pitch(rng, mel)
        mel, _ = augment_sound(rng, mel, self.babble)
        return mel, lips * np.float32(rng.uniform(0.8, 1.25))

    def batch(self, size: int, num_frames: int, rig: bool = False) -> Batch:
        """Windows of different times."""
        mel, lips = zip(*(self.window(rig, num_frames) for _ in range(size)), strict=True)
        return Batch(torch.from_numpy(np.stack(mel)), torch.from_numpy(np.stack(lips)))

    def silence(self, size: int, num_frames: int) -> Tensor:
        """Noise without speech, (B, 4 T, 80)."""
        items = [noise_only(self.rng, MELS_PER_FRAME * num_frames)["mel"] for _ in range(size)]
        return torch.from_numpy(np.stack(items))


class LipEncoder(nn.Module):
    """Lips (B, T, P) to unit vectors (B, T, E) that stand for seven frames around each."""

    def __init__(self, size: int, width: int = 64, embedding: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(size, width, 1),
            nn.Conv1d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(width, embedding, 3, padding=1),
        )

    def forward(self, lips: Tensor) -> Tensor:
        return functional.normalize(self.layers(lips.transpose(1, 2)), dim=1).transpose(1, 2)


class SoundHead(nn.Module):
    """The numbers of the audio encoder to unit vectors, linearly, so that what the loss wants is in the numbers.

    Attributes:
        logit_scale: logarithm of the inverse temperature.
    """

    def __init__(self, embedding: int = 64) -> None:
        super().__init__()
        self.window = nn.Conv1d(2 * LIP_SIZE, embedding, 5, padding=2)
        self.logit_scale = nn.Parameter(torch.tensor(2.5))

    def forward(self, numbers: Tensor) -> Tensor:
        """(B, 2 T, 16) to (B, T, E)."""
        frames = numbers.reshape(len(numbers), -1, 2 * LIP_SIZE)
        return functional.normalize(self.window(frames.transpose(1, 2)), dim=1).transpose(1, 2)


def same_motion(lips: Tensor, others: Tensor, tolerance: float = 0.04) -> Tensor:
    """Whether two frames and their neighbours look alike, so that nothing can tell them apart.

    Args:
        lips: (B, T, P).
        others: (C, S, P), with C = B or 1.
        tolerance: mean squared difference.

    Returns:
        (B, T, S) bool.
    """

    def around(x: Tensor) -> Tensor:
        padded = functional.pad(x.transpose(1, 2), (2, 2), "replicate").transpose(1, 2)
        return torch.cat([padded[:, :-4], padded[:, 2:-2], padded[:, 4:]], dim=2)

    first, second = around(lips), around(others)
    return torch.cdist(first, second).square() / first.shape[2] < tolerance


def info_nce(sound: Tensor, lips: Tensor, scale: Tensor, weight: Tensor, alike: Tensor) -> Tensor:
    """Symmetric contrastive loss over the times of each clip and the same times of the other clips.

    van den Oord et al., arXiv 1807.03748; symmetric as in CLIP (arXiv 2103.00020).

    Args:
        sound, lips: (B, T, E) unit vectors.
        scale: inverse temperature.
        weight: (B, T) how much each time counts as an anchor.
        alike: (B, T, T) bool, times of a clip that are not negatives; the diagonal may be set.
    """
    batch, times, _ = sound.shape
    eye = torch.eye(times, dtype=torch.bool, device=sound.device)
    near = eye.roll(1, 0) | eye.roll(-1, 0) | alike
    own = torch.eye(batch, dtype=torch.bool, device=sound.device)
    target = torch.arange(times, device=sound.device).repeat(batch)
    total = torch.zeros((), device=sound.device)
    for anchors, others in ((sound, lips), (lips, sound)):
        within = scale * anchors @ others.transpose(1, 2)
        within = within.masked_fill(near & ~eye, -1e4)
        # (T, B, B): the same time of another clip; windows begin anywhere, so it is any time of it.
        across = scale * anchors.transpose(0, 1) @ others.permute(1, 2, 0)
        across = across.masked_fill(own, -1e4).transpose(0, 1)
        logits = torch.cat([within, across], dim=2).flatten(0, 1)
        loss = functional.cross_entropy(logits, target, reduction="none")
        total = total + (loss * weight.flatten()).sum() / weight.sum() / 2
    return total


def activity(lips: Tensor) -> Tensor:
    """(B, T) how much the lips move within four frames of each: 0.05 for still ones, at most 1."""
    spread = functional.pad(lips.transpose(1, 2), (4, 4), "replicate").unfold(2, 9, 1)
    return (spread.std(-1).mean(1) / 0.25).clamp(0.05, 1)


# ---- judging ------------------------------------------------------------------------------------------------------


def moving(pairs: list[Pair]) -> list[np.ndarray]:
    """Frames of each clip at which the lips move."""
    return [
        np.flatnonzero(activity(torch.from_numpy(pair.lips)[None])[0].numpy() > 0.4)
        for pair in pairs
    ]


def retrieval(
    sounds: list[np.ndarray], lips: list[np.ndarray], places: list[np.ndarray], seed: int = 0
) -> float:
    """How often a moment's lips are the best of 20 for its sound; the others are times of the same clip, at least
    three frames away, and half of them of other clips. Chance is 0.05."""
    rng = np.random.default_rng(seed)
    hits = []
    for clip, (sound, lip) in enumerate(zip(sounds, lips, strict=True)):
        for t in places[clip]:
            own = places[clip][np.abs(places[clip] - t) >= 3]
            rows = [lip[i] for i in rng.choice(own, min(10, len(own)), replace=False)]
            while len(rows) < 19:
                other = int(rng.integers(len(lips)))
                if len(places[other]) and (other != clip or len(lips) == 1):
                    rows.append(lips[other][rng.choice(places[other])])
            hits.append(float(sound[t] @ lip[t]) > max(float(sound[t] @ row) for row in rows))
    return float(np.mean(hits)) if hits else float("nan")


def offset_hits(sounds: list[np.ndarray], lips: list[np.ndarray], reach: int = 10) -> float:
    """How often the best of 21 offsets of one second of lips is within one frame of none. Chance is 0.14."""
    hits = []
    for sound, lip in zip(sounds, lips, strict=True):
        for start in range(reach, len(lip) - 25 - reach, 5):
            anchor = sound[start : start + 25]
            scores = [
                float((anchor * lip[start + d : start + d + 25]).sum())
                for d in range(-reach, reach + 1)
            ]
            hits.append(abs(int(np.argmax(scores)) - reach) <= 1)
    return float(np.mean(hits)) if hits else float("nan")


def ridge(inputs: list[np.ndarray], outputs: list[np.ndarray], amount: float = 1e-2) -> np.ndarray:
    """Weights (F + 1, 1) of a linear readout with an offset."""
    x = np.concatenate([np.pad(part, ((0, 0), (0, 1)), constant_values=1) for part in inputs])
    y = np.concatenate(outputs)[:, None]
    gram = x.T @ x
    return np.linalg.solve(gram + amount * len(x) * np.eye(len(gram)), x.T @ y)


def readout_correlation(
    weights: np.ndarray, inputs: list[np.ndarray], outputs: list[np.ndarray]
) -> float:
    """Mean over clips of the correlation of a readout with what was wanted."""
    found = [
        np.corrcoef((np.pad(x, ((0, 0), (0, 1)), constant_values=1) @ weights)[:, 0], y)[0, 1]
        for x, y in zip(inputs, outputs, strict=True)
    ]
    return float(np.mean(found))
