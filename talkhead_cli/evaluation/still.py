"""The still beside the video: where its background is, and how steady the portrait comes out of the encoder alone."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.evaluation.steadiness import WarpingRecorder
from talkhead_cli.evaluation.stream import ENCODER_NAMES, VideoReader
from talkhead_cli.face.landmarks import Mesh, eye_distance
from talkhead_cli.paths import private_folder

Pixels = NDArray[np.uint8]

MARGIN = 0.5
"""How far from the person the background begins, in outer-eye distances: room for the head to move."""
LEAST_BACKGROUND = 0.02
"""Share of the picture below which there is no background to speak of."""
STILL_SECONDS = 2
USUAL_CRF = 18


class Encoding(NamedTuple):
    """How a video was encoded: h264, hevc or av1, and the quality setting."""

    codec: str
    crf: int


def encoding_of(settings: dict[str, Any], codec: str) -> Encoding:
    """The encoding of a render.

    Args:
        settings: from its sidecar; may be empty or not to be trusted.
        codec: ffmpeg's name of the video's codec.
    """
    crf = settings.get("crf")
    if not isinstance(crf, int) or not 0 <= crf <= 51:
        crf = USUAL_CRF
    return Encoding(codec if codec in ENCODER_NAMES else ENCODER_NAMES[0], crf)


def background_of(image: Pixels, mesh: Mesh) -> NDArray[np.bool_] | None:
    """Pixels well away from the person, (H, W) bool; None where there are hardly any.

    Args:
        image: (H, W, 3) uint8 RGB.
        mesh: (478, 3) of the person's face in it.
    """
    import cv2

    from talkhead_cli.face.mask import person_mask

    person = (person_mask(image, mesh) > 0.1).astype(np.uint8)
    reach = MARGIN * eye_distance(mesh)
    away = cv2.distanceTransform(1 - person, cv2.DIST_L2, 5) > reach
    return np.asarray(away) if away.mean() >= LEAST_BACKGROUND else None


def still_warping(
    picture: Pixels, background: NDArray[np.bool_], fps: Fraction, encoding: Encoding
) -> float | None:
    """Warping error of the background of a still picture, encoded alone as the video was.

    Args:
        picture: (H, W, 3) uint8 RGB.
        background: (H, W) bool.
        fps: frames a second.
        encoding: codec and quality.

    Raises:
        MediaError: ffmpeg is missing or failed.
    """
    from talkhead_cli.media import VideoWriter

    height, width = (length // 2 * 2 for length in picture.shape[:2])
    even = picture[:height, :width]
    recorder = WarpingRecorder(background[:height, :width])
    with private_folder() as folder:
        path = folder / "still.mp4"
        with VideoWriter(
            path, width, height, fps, crf=encoding.crf, codec=encoding.codec
        ) as writer:
            for _ in range(round(STILL_SECONDS * fps)):
                writer.write(even[None])
        with VideoReader(path, fps) as reader:
            for frame in reader:
                recorder.push(frame)
    return recorder.behind.mean
