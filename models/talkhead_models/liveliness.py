"""Blinks and gaze as random events in time, and the head's pose made steady.

Both are rare and sudden: a chunk of 1.28 s holds a third of a blink, and the speech corpora hardly
show any. So they are drawn as events, with rates and shapes fitted to the training clips, instead
of by the diffusion. Event number i depends on the seed and i alone; `EventState` says which comes
next, so that chunks join exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from talkhead_models.motion import MOTION_FPS
from talkhead_models.sampling import number_for
from talkhead_models.streaming import EventState

Array = NDArray[np.float32]

STRATA = 8
"""Waits that together have the mean of their distribution, or nearly: about 20 s of blinks."""

NEVER = -1e6
"""Frame of a blink that there was none of."""

SHUT_SECONDS = 2.6 / MOTION_FPS
"""Two frames at least see the eye fully closed: one alone reads as a flicker, or is never shown at 24 frames/s."""


@dataclass(frozen=True)
class EventConfig:
    """Rates and shapes; the defaults are of the order of what people do, a bundle holds the fitted
    ones.

    Attributes:
        blink_seconds: median time between blinks.
        blink_spread: its standard deviation in the logarithm.
        closing_seconds, closed_seconds, opening_seconds: the phases of a blink.
        gaze_seconds: median time the eyes rest on a point.
        gaze_spread: its standard deviation in the logarithm.
        gaze_x, gaze_y: deviation of the points, in eye widths.
        gaze_follow: how far the eyes of the training clips turn back when the head turns, eye widths a radian; what
            is shown keeps them on the camera, see `gaze`.
        pose_seconds: time constant of each of the two stages that smooth the head's pose.
    """

    blink_seconds: float = 3.2
    blink_spread: float = 0.5
    closing_seconds: float = 0.09
    closed_seconds: float = 0.05
    opening_seconds: float = 0.15
    gaze_seconds: float = 1.3
    gaze_spread: float = 0.6
    gaze_x: float = 0.018
    gaze_y: float = 0.009
    gaze_follow: float = 0.25
    pose_seconds: float = 0.06


def start_events(config: EventConfig, seed: int) -> EventState:
    """The state before the first frame: the first blink and gaze shift come after a shortened
    wait."""
    blink = wait(config.blink_seconds, config.blink_spread, seed, "first blink", 0) * 0.6
    gaze = wait(config.gaze_seconds, config.gaze_spread, seed, "first gaze", 0) * 0.6
    return EventState(0, NEVER, blink, 0, gaze, (0.0, 0.0))


def wait(median: float, spread: float, seed: int, label: str, index: int) -> float:
    """Frames until the next event: log-normal, bounded to a third and three times the median.

    Of every `STRATA` events in a row, one falls into each of as many equal shares of the distribution, in a random
    order: no wait tells the next, and yet a minute has as many events as another.
    """
    block, place = divmod(index, STRATA)
    order = np.random.default_rng(number_for(seed, f"{label} order", block)).permutation(STRATA)
    within = np.random.default_rng(number_for(seed, label, index)).uniform(0.001, 0.999)
    deviation = NormalDist().inv_cdf((order[place] + within) / STRATA)
    return MOTION_FPS * float(np.clip(median * np.exp(spread * deviation), median / 3, median * 3))


def rise(x: Array) -> Array:
    """Smooth step from 0 to 1 over x in [0, 1]."""
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)


def blink_shape(config: EventConfig, seconds: Array, seed: int, index: int) -> Array:
    """Lid closure of one blink at times from its start, (T,) to (T, 2) in [0, 1]."""
    rng = np.random.default_rng(number_for(seed, "blink shape", index))
    pace = float(rng.uniform(0.85, 1.2))
    closing, closed, opening = (
        pace * config.closing_seconds,
        max(pace * config.closed_seconds, SHUT_SECONDS),
        pace * config.opening_seconds,
    )
    down = rise(seconds / closing)
    up = rise((seconds - closing - closed) / opening)
    closure = down * (1 - up)
    # The two lids are never quite together.
    sides = np.array([1.0, 1.0 - rng.uniform(0.0, 0.03)], np.float32)
    if rng.random() < 0.5:
        sides = sides[::-1]
    return np.asarray(closure[:, None] * sides, np.float32)


def blink_frames(config: EventConfig) -> float:
    """Frames the longest blink lasts."""
    shut = max(config.closed_seconds, SHUT_SECONDS)
    seconds = config.closing_seconds + shut + config.opening_seconds
    return MOTION_FPS * (1.2 * seconds + 0.05)


def blinks(
    config: EventConfig, seed: int, state: EventState, first_frame: int, pace: Array
) -> tuple[Array, EventState]:
    """Lid closure (T, 2) of some frames, and the state behind them.

    Args:
        config: rates and shapes.
        seed: the clip's seed.
        state: from the chunk before.
        first_frame: number of the first frame in the clip.
        pace: (T,) how fast the time to the next blink runs; it stands still during a blink.
    """
    times = first_frame + np.arange(len(pace), dtype=np.float32)
    index, start, left = state.blink_index, state.blink_frame, state.blink_left
    lasts = blink_frames(config)
    under_way = [(index, start)]
    for time, speed in zip(times, pace, strict=True):
        if time < start + lasts:
            continue
        left -= float(speed)
        if left <= 0:
            index, start = index + 1, float(time)
            left = wait(config.blink_seconds, config.blink_spread, seed, "blink", index) - lasts
            under_way.append((index, start))
    lids = np.zeros((len(pace), 2), np.float32)
    for number, begin in under_way:
        if number:
            shape = blink_shape(config, (times - begin) / MOTION_FPS, seed, number)
            lids = np.maximum(lids, shape)
    return lids, replace(state, blink_index=index, blink_frame=start, blink_left=left)


def gaze_shifts(
    config: EventConfig, seed: int, state: EventState, first_frame: int, num_frames: int
) -> tuple[Array, EventState]:
    """Gaze (T, 2) of some frames, and the state behind them."""
    times = first_frame + np.arange(num_frames)
    gaze = np.empty((num_frames, 2), np.float32)
    index, start, place = state.gaze_index, state.gaze_frame, state.gaze
    gaze[:] = place
    while start < first_frame + num_frames:
        rng = np.random.default_rng(number_for(seed, "gaze point", index))
        target = rng.standard_normal(2) * (config.gaze_x, config.gaze_y)
        if rng.random() < 0.4:
            target = target * 0.2  # back to the camera
        # A saccade of this size takes about a frame and is not smoothed: eyes jump.
        gaze[times >= start] = target
        place = (float(target[0]), float(target[1]))
        index += 1
        start += wait(config.gaze_seconds, config.gaze_spread, seed, "gaze", index)
    return gaze, replace(state, gaze_index=index, gaze_frame=start, gaze=place)


def smooth_pose(config: EventConfig, pose: Array, before: Array) -> tuple[Array, Array]:
    """Low-pass the head's pose: a head is heavy, and the latents leave a tremor of a tenth of a degree.

    Two one-pole stages, causal; they delay the pose by about a tenth of a second, which speech does not mind.

    Args:
        config: time constant.
        pose: (T, 6) float32, rotation and translation.
        before: (2, 6) float32, where the two stages stand.

    Returns:
        The smooth pose (T, 6) and where the stages stand behind it.
    """
    keep = float(np.exp(-1 / (MOTION_FPS * config.pose_seconds)))
    first, second = before.astype(np.float64)
    result = np.empty_like(pose)
    for index, target in enumerate(pose):
        first = keep * first + (1 - keep) * target
        second = keep * second + (1 - keep) * first
        result[index] = second
    return result, np.stack([first, second]).astype(np.float32)
