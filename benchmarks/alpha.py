"""Frames with alpha over a colour against the opaque render before that colour.

Each picture is made transparent by its own person mask, animated by speech, and rendered with `--alpha` and, a colour
at a time, with `--background`. Prints how far the two are apart, in levels of 255, before anything is encoded.

Launch::

    python benchmarks/alpha.py PICTURE ...
    python benchmarks/alpha.py PICTURE ... --speech AUDIO --frames 24 --size 512
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from talkhead_cli.audio import extract_features
from talkhead_cli.face import load_portrait
from talkhead_cli.networks import Networks
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.settings import resolve_settings
from talkhead_models.speech import SpeechFeatures, load_speech_encoder

ROOT = Path(__file__).parent.parent
COLOURS = ("#ffffff", "#00ff00", "#203080")


def cut_out(picture: Path, size: int, folder: Path) -> Path:
    """The picture as a transparent one, opaque where its person mask is above a half."""
    portrait = load_portrait(picture, size=size)
    alpha = np.where(portrait.person_mask > 0.5, 1, 2 * portrait.person_mask) * 255
    pixels = np.dstack([portrait.image, np.rint(alpha).astype(np.uint8)])
    path = folder / f"{picture.stem}.png"
    Image.fromarray(pixels, "RGBA").save(path)
    return path


def differences(
    path: Path, features: SpeechFeatures, count: int, size: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Each colour with the largest difference of each pixel's channels, (n, H, W)."""
    networks: Networks | None = None
    frames: dict[str | None, np.ndarray] = {}
    for colour in (None, *COLOURS):
        given = {"alpha": colour is None, "background": colour, "device": "cpu"}
        pipeline = TalkingHeadPipeline(resolve_settings(None, given), networks)
        networks = pipeline.networks
        portrait = load_portrait(path, background=colour, size=size)
        frames[colour] = np.concatenate(list(pipeline.render(portrait, features, count)))
    clear = frames[None].astype(np.float64)
    share = clear[..., 3:] / 255
    for colour in COLOURS:
        behind = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        placed = clear[..., :3] * share + (1 - share) * behind
        yield colour, np.abs(placed - frames[colour]).max(-1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--speech", type=Path, default=ROOT / "examples" / "speech.wav")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", type=int, default=512)
    args = parser.parse_args()
    features = extract_features(args.speech, load_speech_encoder(), 600.0)
    print(f"{'picture':24} {'colour':8} {'mean':>6} {'over 2, in 10,000':>18} {'largest':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for picture in args.pictures:
            path = cut_out(picture, args.size, Path(folder))
            for colour, error in differences(path, features, args.frames, args.size):
                # Rounding of colours and alpha to whole levels.
                over = 1e4 * (error > 2 + 1e-6).mean()
                print(
                    f"{picture.stem:24} {colour:8} {error.mean():6.3f} {over:18.2f} {error.max():8.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
