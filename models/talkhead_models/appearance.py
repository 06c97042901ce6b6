"""The appearance code: what the mesh does not say about a mouth, read off a picture of it.

One opening of the lips comes with teeth and without, with the tongue up or down. A refiner that is not told which
paints their average, a blur. In training the code comes from the real mouth, through a bottleneck that is too narrow,
too noisy and too often recoloured and mirrored to carry a face; in use the motion generator makes it from speech, or a
driving clip is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from talkhead_models.basis import Pose
from talkhead_models.bundle import fitting, load_bundle, restore
from talkhead_models.motion import APPEARANCE_SIZE
from talkhead_models.patches import MOUTH, crop_patch, patch_frame
from talkhead_models.warp import coverage, transform

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]

WINDOW = (slice(16, 80), slice(16, 80))
"""Rows and columns of the mouth's patch that the encoder sees: the lips and what is between them."""

BATCH = 32


@dataclass(frozen=True)
class AppearanceConfig:
    """Sizes of the encoder.

    Attributes:
        code_size: numbers a frame.
        channels: feature widths at 1/2, 1/4 and 1/8 of the patch.
    """

    code_size: int = APPEARANCE_SIZE
    channels: tuple[int, int, int] = (32, 64, 96)


class AppearanceEncoder(nn.Module):
    """Picture and hole of a mouth's patch to its code."""

    def __init__(self, config: AppearanceConfig) -> None:
        super().__init__()
        self.config = config
        low, mid, high = config.channels
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * 4, low, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(low, mid, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(mid, high, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(high, high, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        rows, columns = (size.stop - size.start for size in WINDOW)
        self.head = nn.Linear(high * (rows // 16) * (columns // 16), config.code_size)

    def forward(self, picture: Tensor, hole: Tensor) -> Tensor:
        """Codes (B, code_size) of patches.

        Args:
            picture: (B, 3, 96, 96) float in [-1, 1].
            hole: (B, 1, 96, 96) float in [0, 1].
        """
        window = torch.cat([picture, hole * 2 - 1], 1)[..., WINDOW[0], WINDOW[1]]
        code: Tensor = self.head(self.layers(window))
        return code

    def metadata(self) -> dict[str, Any]:
        """The config as JSON-able sizes."""
        return asdict(self.config)


def mouth_patch(image: Bytes, mesh: Array, neutral: Array, pose: Pose) -> tuple[Bytes, Array]:
    """The mouth's patch of a picture (96, 96, 3) uint8 and its hole (96, 96) float32.

    Args:
        image: (H, W, 3) uint8 RGB.
        mesh: (478, 3) float32 pixels.
        neutral: (478, 3) canonical face of the person.
        pose: of this picture.
    """
    frame = patch_frame(MOUTH, neutral, pose)
    zoom = float(np.hypot(frame[0, 0], frame[0, 1]))
    if zoom < 0.5:
        # A patch samples one pixel in several otherwise, and grain would look like teeth.
        image = np.asarray(
            cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA), np.uint8
        )
        local = frame / zoom
        local[:, 2] = frame[:, 2] + frame[:, :2] @ np.full(2, 0.5 / zoom - 0.5, np.float32)
        patch = crop_patch(MOUTH, image, local)
    else:
        patch = crop_patch(MOUTH, image, frame)
    points = transform(mesh[list(MOUTH.holes[0]), :2], frame)
    return patch, coverage(points, (MOUTH.width, MOUTH.height))


@torch.inference_mode()
def encode_patches(encoder: AppearanceEncoder, patches: Iterable[tuple[Bytes, Array]]) -> Array:
    """Codes (T, code_size) of mouth patches with their holes, a few at a time."""
    codes: list[Array] = []
    pictures: list[Bytes] = []
    holes: list[Array] = []

    def flush() -> None:
        picture = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
        hole = torch.from_numpy(np.stack(holes))[:, None]
        codes.append(encoder(picture, hole).numpy())
        pictures.clear()
        holes.clear()

    for picture, hole in patches:
        pictures.append(picture)
        holes.append(hole)
        if len(pictures) == BATCH:
            flush()
    if pictures:
        flush()
    if not codes:
        return np.zeros((0, encoder.config.code_size), np.float32)
    return np.concatenate(codes).astype(np.float32)


def encode_mouths(
    encoder: AppearanceEncoder,
    images: Iterable[Bytes],
    meshes: Array,
    neutral: Array,
    poses: Pose,
) -> Array:
    """Codes (T, code_size) of the mouths in pictures.

    Args:
        encoder: see `load_appearance_encoder`.
        images: T pictures (H, W, 3) uint8 RGB; read one by one.
        meshes: (T, 478, 3) float32 pixels.
        neutral: (478, 3) canonical face of the person.
        poses: of the T pictures, batched.
    """
    patches = (
        mouth_patch(image, meshes[i], neutral, Pose(*(value[i] for value in poses)))
        for i, image in enumerate(images)
    )
    return encode_patches(encoder, patches)


def load_appearance_encoder(name: str = "appearance") -> AppearanceEncoder:
    """The encoder from its bundle, in evaluation mode.

    Raises:
        BundleError: the bundle is missing, damaged or does not fit.
    """
    bundle = load_bundle(name)
    with fitting(bundle.name, "an appearance encoder"):
        sizes = {**bundle.config, "channels": tuple(bundle.config["channels"])}
        return restore(AppearanceEncoder(AppearanceConfig(**sizes)), bundle)
