"""Write one of the two built-in example portraits, which installed libraries carry, as a picture file.

    python examples/portraits.py hopper out/portrait.png

Both are in the public domain: `hopper` is the US Navy portrait of Grace Hopper that matplotlib carries, `astronaut` the
NASA portrait of Eileen Collins that scikit-image carries.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image


def load_example(name: str) -> np.ndarray:
    """An example portrait, (H, W, 3) uint8 RGB.

    Args:
        name: "hopper" or "astronaut".
    """
    if name == "astronaut":
        import skimage.data

        return np.asarray(skimage.data.astronaut())
    from matplotlib import cbook

    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
        return np.asarray(image.convert("RGB"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a built-in example portrait.")
    parser.add_argument("name", choices=("hopper", "astronaut"))
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(load_example(arguments.name)).save(arguments.target)
