"""What a generator holds besides its networks, fitted to the training clips: articulation, events,
default style."""

from __future__ import annotations

import logging

import numpy as np
from motion_data import Clip
from splits import SINGLE_SPEAKER

from talkhead_models import topology as topo
from talkhead_models.articulation import Articulation, fit_moves
from talkhead_models.basis import FaceBasis
from talkhead_models.generator import GeneratorParts
from talkhead_models.liveliness import EventConfig
from talkhead_models.motion import EXPRESSION_SIZE as K
from talkhead_models.motion import MOTION_FPS

log = logging.getLogger("generator_parts")

POSE_STYLE = (1.2, 1.2, 0.9, 0.9, 0.9)
"""Default pitch, yaw, roll, position, scale of the style token: a head as lively as the clips in
the wild."""


def fit_articulation(clips: list[Clip], basis: FaceBasis) -> Articulation:
    """The linear maps between expression and the nine inner-lip gaps."""
    upper, lower = list(topo.UPPER_INNER_LIP), list(topo.LOWER_INNER_LIP)
    gaps = basis.expression[:, lower, 1] - basis.expression[:, upper, 1]  # (K, 9)
    rest = basis.mean[lower, 1] - basis.mean[upper, 1]
    speaking = [
        clip.motion[:, :K]
        for clip in clips
        if clip.features is not None or clip.person == SINGLE_SPEAKER
    ]
    moves = fit_moves(gaps, np.concatenate(speaking)[::5])
    middle = np.concatenate([basis.lip_gap(clip[:, :K]) for clip in speaking])
    return Articulation(
        gaps.astype(np.float32),
        rest.astype(np.float32),
        moves,
        float(0.65 * np.percentile(middle, 95)),
    )


def runs_of(mask: np.ndarray) -> list[tuple[int, int]]:
    """Start and length of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def fit_blinks(clips: list[Clip]) -> dict[str, float]:
    """Rate of blinks of people other than the single speaker; width of everybody's full blinks."""
    widths, count, seconds, waits = [], 0, 0.0, []
    for clip in clips:
        lids = clip.motion[:, K : K + 2].mean(1)
        # Half-closed for long: the reference is off or the person looks down, these are not blinks.
        if np.median(lids) > 0.2 or (lids > 0.5).mean() > 0.25:
            continue
        runs = [
            (start, n) for start, n in runs_of(lids > 0.5) if lids[start : start + n].max() > 0.8
        ]
        widths += [n for _, n in runs if n <= 12]
        if clip.person != SINGLE_SPEAKER:
            starts = np.array([start for start, _ in runs])
            # Two within a third of a second are one blink that the tracker saw twice.
            starts = starts[np.diff(starts, prepend=-100) > 8] if len(starts) else starts
            count, seconds = count + len(starts), seconds + clip.num_frames / MOTION_FPS
            waits += list(np.diff(starts) / MOTION_FPS)
    spread = float(np.clip(np.log(waits).std(), 0.3, 0.6))
    width = float(np.mean(widths)) / MOTION_FPS
    log.info("%d blinks in %.0f s, %.3f s wide at half their height", count, seconds, width)
    # Between 12 and 25 a minute, whatever the few clips say.
    mean_wait = float(np.clip(seconds / max(count, 1), 2.4, 5.0))
    # A blink opens about twice as slowly as it closes; width = closing / 2 + closed + opening / 2.
    sloping = max(width - 1 / MOTION_FPS, 0.1)
    return {
        "blink_seconds": mean_wait / float(np.exp(spread**2 / 2)),
        "blink_spread": spread,
        "closing_seconds": 2 * sloping / 3,
        "closed_seconds": 1 / MOTION_FPS,
        "opening_seconds": 4 * sloping / 3,
    }


def fit_gaze(clips: list[Clip]) -> dict[str, float]:
    """How far the eyes of people who speak to the camera wander, and how they follow the head."""
    gaze, turn = [], []
    for clip in clips:
        eyes = clip.motion[:, K + 2 : K + 4]
        if clip.person == SINGLE_SPEAKER or eyes[:, 0].std() > 0.035:
            continue
        opened = clip.motion[:, K : K + 2].max(1) < 0.3
        if opened.sum() < 25:
            continue
        gaze.append(eyes[opened] - eyes[opened].mean(0))
        turn.append(clip.motion[opened, K + 4 : K + 6] - clip.motion[opened, K + 4 : K + 6].mean(0))
    eyes, head = np.concatenate(gaze), np.concatenate(turn)
    follow = -float((eyes[:, 0] * head[:, 1]).sum() / (head[:, 1] ** 2).sum())
    rest = eyes[:, 0] + follow * head[:, 1]
    # Median deviations: what the tracker loses during a blink must not count.
    deviation = [1.48 * float(np.median(np.abs(values))) for values in (rest, eyes[:, 1])]
    return {
        "gaze_x": float(np.clip(1.5 * deviation[0], 0.008, 0.025)),
        "gaze_y": float(np.clip(deviation[1], 0.004, 0.012)),
        "gaze_follow": float(np.clip(follow, 0.0, 0.4)),
    }


def fit_events(clips: list[Clip]) -> EventConfig:
    """Blinks and gaze."""
    config = EventConfig(**fit_blinks(clips), **fit_gaze(clips))
    log.info("%s", config)
    return config


def fit_parts(clips: list[Clip], basis: FaceBasis, *, distilled: bool) -> GeneratorParts:
    """All parts; the default style speaks like the single speaker (who articulates clearly) with a
    livelier head."""
    speaker = np.median([clip.style for clip in clips if clip.person == SINGLE_SPEAKER], axis=0)
    style = np.concatenate([speaker[:3] * 1.05, POSE_STYLE, (1.0,)]).astype(np.float32)
    return GeneratorParts(fit_articulation(clips, basis), fit_events(clips), style, distilled)
