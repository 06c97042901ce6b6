"""What training and judging a refiner share: the discriminator, batches of pairs, augmentation, the held-out table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from talkhead_models.appearance import AppearanceEncoder
from talkhead_models.refiner import Refiner, compose

SERIES = ("skin", "inside", "truth", "hole", "region")
PICTURES = ("skin", "inside", "truth", "source")
Batch = dict[str, torch.Tensor]


class Discriminator(nn.Module):
    """Patch discriminator over the mouth (the patch's middle), beside the portrait's own; logits and features.

    Only the middle: the rest of a patch is the portrait's own pixels, which tell true from painted no better than
    chance and drown the mouth. No spectral norm (with it the logits stayed near zero, see the log): R1 keeps it tame.
    """

    WINDOW = (slice(16, 80), slice(12, 84))

    def __init__(self, height: int = 96) -> None:
        super().__init__()
        self.window = self.WINDOW if height == 96 else (slice(None), slice(None))
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(8, 32, 3, padding=1),
                nn.Conv2d(32, 64, 4, stride=2, padding=1),
                nn.Conv2d(64, 128, 4, stride=2, padding=1),
                nn.Conv2d(128, 128, 3, padding=1),
            ]
        )
        self.head = nn.Conv2d(128, 1, 3, padding=1)

    def forward(
        self, picture: torch.Tensor, batch: Batch
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        parts = [picture, batch["hole"], batch["source"], batch["source_hole"]]
        x, features = torch.cat(parts, 1)[..., self.window[0], self.window[1]], []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.head(x), features

    def attention(self, batch: Batch, logits: torch.Tensor) -> torch.Tensor:
        """Weights (B, 1, h, w) of the logits, mean 1: high at the hole and its edge, where there is much to paint."""
        near = F.max_pool2d(batch["hole"], 9, stride=1, padding=4)
        near = near[..., self.window[0], self.window[1]]
        weight = F.adaptive_avg_pool2d(near, logits.shape[2:]) + 0.05
        return weight / weight.mean()


class Pairs:
    """The arrays of one split, with batches drawn evenly over people; frames of a pair lie next to each other."""

    def __init__(self, path: Path) -> None:
        names = (*SERIES, "source", "source_hole", "person", "research")
        with np.load(path) as file:
            self.arrays = {name: file[name] for name in names}
        people = self.arrays["person"]
        # Even over people, but the square root of a person's share: many pairs are worth something too.
        counts = np.bincount(people)
        self.weights = 1 / np.sqrt(counts[people])
        self.weights /= self.weights.sum()

    def __len__(self) -> int:
        return len(self.arrays["person"])

    def batch(self, indices: np.ndarray, both: bool = True) -> Batch:
        """Patches (B, C, h, w), pictures in [-1, 1], masks in [0, 1].

        Args:
            indices: (N,) pairs.
            both: both frames of each pair, B = 2 N, or only the first, B = N.
        """
        out = {}
        for name in (*SERIES, "source", "source_hole"):
            array = self.arrays[name][indices]
            if name in SERIES:
                array = array.reshape(-1, *array.shape[2:]) if both else array[:, 0]
            elif both:
                array = np.repeat(array, 2, 0)
            value = torch.from_numpy(np.ascontiguousarray(array))
            if name in PICTURES:
                out[name] = value.permute(0, 3, 1, 2).float() / 127.5 - 1
            else:
                out[name] = value[:, None].float() / 255
        return out


def draw(
    random: np.random.Generator, size: int, low: float, high: float, *shape: int
) -> torch.Tensor:
    """One draw for each pair, the same for both of its frames: (2 size, ...)."""
    return torch.from_numpy(random.uniform(low, high, (size, *shape)).repeat(2, 0)).float()


def chance(random: np.random.Generator, size: int, share: float) -> torch.Tensor:
    return torch.from_numpy((random.random((size, 1, 1, 1)) < share).repeat(2, 0)).float()


def recolour(pictures: list[torch.Tensor], random: np.random.Generator) -> list[torch.Tensor]:
    """New light, skin and paint: the same random change of colour for all pictures of a pair, in [-1, 1]."""
    size = len(pictures[0]) // 2
    grey_share = draw(random, size, -0.4, 0.6, 1, 1, 1) * chance(random, size, 0.6)
    gain, gamma = (
        draw(random, size, 0.6, 1.25, 1, 1, 1),
        torch.exp(draw(random, size, -0.5, 0.5, 1, 1, 1)),
    )
    tint = draw(random, size, 0.85, 1.15, 3, 1, 1)
    varnish = 1 + draw(random, size, -0.25, 0.15, 3, 1, 1) * chance(random, size, 0.15)
    # Light from one side.
    height, width = pictures[0].shape[2:]
    slope = torch.linspace(-1, 1, width)[None, None, None] * draw(
        random, size, -0.35, 0.35, 1, 1, 1
    )
    slope = slope + torch.linspace(-1, 1, height)[None, None, :, None] * draw(
        random, size, -0.2, 0.2, 1, 1, 1
    )
    light = 1 + slope * chance(random, size, 0.4)
    # Flat paint has few tones.
    tones = draw(random, size, 8, 24, 1, 1, 1)
    flat = chance(random, size, 0.06)
    result = []
    for picture in pictures:
        value = (picture + 1) / 2
        grey = value.mean(1, keepdim=True)
        value = value + (grey - value) * grey_share
        value = (value * gain * tint * varnish * light).clamp(1e-3, 1) ** gamma
        value = value + ((value * tones).round() / tones - value) * flat
        result.append(value * 2 - 1)
    return result


def reshape_faces(batch: Batch, random: np.random.Generator) -> Batch:
    """New faces: one smooth random displacement (up to 6 pixels) for everything of a pair."""
    size = len(batch["skin"]) // 2
    coarse = draw(random, size, -0.12, 0.12, 2, 4, 4) * chance(random, size, 0.5)
    height, width = batch["skin"].shape[2:]
    shift = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    grid = torch.stack([x, y], -1)[None] + shift.permute(0, 2, 3, 1)
    names = list(batch)
    joined = torch.cat([batch[name] for name in names], 1)
    moved = F.grid_sample(joined, grid, padding_mode="border", align_corners=True)
    parts = moved.split([batch[name].shape[1] for name in names], 1)
    return dict(zip(names, parts, strict=True))


def augment(batch: Batch, random: np.random.Generator) -> Batch:
    """New people by shape, colour and light, sharpness, mirroring and mixed halves; one change for all of a pair."""
    size = len(batch["skin"]) // 2
    if random.random() < 0.5:
        batch = reshape_faces(batch, random)
    batch.update(zip(PICTURES, recolour([batch[name] for name in PICTURES], random), strict=True))
    soft = chance(random, size, 0.15)
    for name in PICTURES:
        padded = F.pad(batch[name], (1, 1, 1, 1), mode="replicate")
        blurred = F.avg_pool2d(padded, 3, stride=1)
        batch[name] = batch[name] + (blurred - batch[name]) * soft
    flip, symmetric = chance(random, size, 0.5), chance(random, size, 0.06)
    width = batch["skin"].shape[3]
    half = torch.sigmoid(torch.linspace(-1, 1, width) * 30)[None, None, None]
    result = {}
    for name, value in batch.items():
        mirrored = value.flip(-1)
        value = value + (mirrored - value) * flip
        mixed = value * half + value.flip(-1) * (1 - half)
        result[name] = value + (mixed - value) * symmetric
    return result


def gradients(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return picture[..., 1:] - picture[..., :-1], picture[..., 1:, :] - picture[..., :-1, :]


def paint(
    network: Refiner, batch: Batch, code: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The refined patches and the skin's residual, in float32."""
    base = network.base(batch["inside"], batch["source"], batch["source_hole"])
    with torch.autocast(base.device.type, torch.bfloat16, enabled=network.training):
        names = ("hole", "source", "source_hole")
        residuals = network(batch["skin"], base, *(batch[name] for name in names), code)
    residuals = type(residuals)(*(value.float() for value in residuals))
    return compose(batch["skin"], base, batch["hole"], residuals), residuals.skin


def measures(picture: torch.Tensor, batch: Batch) -> dict[str, np.ndarray]:
    """Errors of patches against the truth, one a pair: L1, gradient energy and flicker over the truth's."""
    region, truth = batch["region"], batch["truth"]
    weight = region.sum((1, 2, 3)) * 3 + 1e-6
    error = ((picture - truth).abs() * region).sum((1, 2, 3)) / weight
    sharp = [sum(g.abs().mean((1, 2, 3)) for g in gradients(p * region)) for p in (picture, truth)]
    both = region[::2] * region[1::2]
    change = [((p[1::2] - p[::2]).abs() * both).mean((1, 2, 3)) for p in (picture, truth)]
    return {
        "error": error.reshape(-1, 2).mean(1).numpy(),
        "sharp": (sharp[0] / sharp[1].clamp(min=1e-6)).reshape(-1, 2).mean(1).numpy(),
        "change": change[0].numpy(),
        "true_change": change[1].numpy(),
    }


@torch.no_grad()
def evaluate(
    network: Refiner, pairs: Pairs, encoder: AppearanceEncoder | None = None, every: int = 1
) -> dict[str, float]:
    """The held-out table: L1 in the region over that of the warp alone, in all and by tier; sharpness and flicker.

    Args:
        network: refiner.
        pairs: of held-out people.
        encoder: makes the code from the real frame; None is no code.
        every: one in how many pairs is looked at.
    """
    network.eval()
    rows: list[dict[str, np.ndarray]] = []
    chosen = np.arange(0, len(pairs), every)
    for start in range(0, len(chosen), 16):
        batch = pairs.batch(chosen[start : start + 16])
        code = encoder(batch["truth"], batch["hole"]) if encoder else None
        refined, _ = paint(network, batch, code)
        row = measures(refined.clamp(-1, 1), batch)
        warp = (1 - batch["hole"]) * batch["skin"] + batch["hole"] * batch["inside"]
        row["warp"] = measures(warp, batch)["error"]
        rows.append(row)
    network.train()
    values = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    research = pairs.arrays["research"][chosen].astype(bool)
    result = {"warp": float(values["warp"].mean()), "refined": float(values["error"].mean())}
    result["ratio"] = result["refined"] / result["warp"]
    for tier, mask in (("permissive", ~research), ("research", research)):
        if mask.any():
            result[f"ratio_{tier}"] = float(
                values["error"][mask].mean() / values["warp"][mask].mean()
            )
    result["sharp"] = float(values["sharp"].mean())
    result["flicker"] = float(values["change"].mean() / values["true_change"].mean())
    return result
