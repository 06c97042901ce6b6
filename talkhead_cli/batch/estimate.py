"""How long a batch will take and how much room it needs: rough figures, from renders that were measured."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from talkhead_cli.settings import RenderSettings

START_SECONDS = 5.0
"""Until a worker has started and loaded its networks."""

ROW_SECONDS = 0.5
"""A row's own: sound, face, the end of the file."""

FRAME_SECONDS, MEGAPIXEL_SECONDS = 0.017, 0.011
"""A frame's, and a frame's for each million pixels, on `MEASURED_CORES` cores of a server of 2021. Up to a million
pixels the face is what takes time, not the picture."""

FILM_SECONDS = 0.019, 0.048
"""The same of a film that is dubbed: it is decoded twice, tracked, and encoded more finely."""

MEASURED_CORES = 2
CORE_GAIN = 0.7
"""Twice the cores take 2 ** -0.7 of the time."""

USEFUL_CORES = 8
GPU_CORES = 8
"""Cores that a GPU is taken for: a guess. A run under way tells better."""

SIDE_BYTES = 140.0
"""Of a second of video for each pixel of its side, the square root of its area, at `MEASURED_CRF` in H.264."""

MEASURED_CRF = 18
CRF_HALVES = 6
"""Steps of crf that halve the size."""

CODEC_BYTES = {"h264": 1.0, "hevc": 0.7, "av1": 0.6}
PRORES_BYTES = 2.6, 4.5
"""Of a frame for each pixel, opaque and with alpha; ProRes has one quality."""

SOUND_BYTES = 24_000
"""Of a second of sound."""

SPARE = 1.25
"""Room for the segments of long rows, which are there twice while they are joined."""


def estimate_cost(
    num_frames: int, width: int, height: int, cores: float, *, film: bool = False
) -> float:
    """Seconds to render a row.

    Args:
        num_frames: of the video.
        width: of the video.
        height: of the video.
        cores: that its worker may use.
        film: whether a film is dubbed.
    """
    base, more = FILM_SECONDS if film else (FRAME_SECONDS, MEGAPIXEL_SECONDS)
    frame = base + more * width * height / 1e6
    gain = (MEASURED_CORES / min(max(cores, 0.5), USEFUL_CORES)) ** CORE_GAIN
    return ROW_SECONDS + num_frames * frame * gain


def estimate_bytes(seconds: float, width: int, height: int, settings: RenderSettings) -> int:
    """Size of a video."""
    if settings.video_codec == "prores" or settings.alpha:
        rate = PRORES_BYTES[settings.alpha] * width * height * float(settings.fps)
        return int(seconds * (rate + SOUND_BYTES))
    rate = SIDE_BYTES * math.sqrt(width * height) * CODEC_BYTES[settings.video_codec]
    rate *= 2 ** ((MEASURED_CRF - settings.crf) / CRF_HALVES) * float(settings.fps) / 25
    return int(seconds * (rate + SOUND_BYTES))


def worker_cores(devices: Sequence[str], workers: int) -> float:
    """Cores that each of some workers has, a GPU counting as `GPU_CORES`."""
    import joblib

    if any(device not in {"cpu", "auto"} for device in devices):
        return GPU_CORES
    return float(joblib.cpu_count()) / max(1, workers)


def schedule(costs: Sequence[float], workers: int) -> float:
    """Seconds until the last of some workers has ended, the longest rows first."""
    ends = [START_SECONDS if costs else 0.0] * max(1, workers)
    for cost in sorted(costs, reverse=True):
        heapq.heappush(ends, heapq.heappop(ends) + cost)
    return max(ends)
