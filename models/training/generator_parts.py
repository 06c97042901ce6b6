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

POSE_STYLE = (0.8, 0.8, 0.6, 0.7, 0.7)
"""Default pitch, yaw, roll, position, scale of the style token: somewhat calmer than the clips in
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
        float(0.5 * np.percentile(middle, 95)),
    )


def runs_of(mask: np.ndarray) -> list[tuple[int, int]]:
    """Start and length of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def fit_events(clips: list[Clip]) -> EventConfig:
    """Blink and gaze rates of people other than the single speaker; blink shape of everybody."""
    gaps, lengths, closed = [], [], []
    for clip in clips:
        lids = clip.motion[:, K : K + 2].min(1)
        # Half-closed for long, or a median far from open: the tracker's reference is off, not
        # blinks.
        if np.median(lids) > 0.2:
            continue
        blinks = [(start, n) for start, n in runs_of(lids > 0.5) if 2 <= n <= 12]
        lengths += [n for _, n in blinks]
        closed += [int((lids[start : start + n] > 0.9).sum()) for start, n in blinks]
        starts = [start for start, _ in blinks]
        if clip.person != SINGLE_SPEAKER:
            gaps += list(np.diff(starts))
    seconds = np.array(gaps, np.float64) / MOTION_FPS
    seconds = seconds[(seconds > 0.6) & (seconds < 12)]
    half = float(np.median(lengths)) / MOTION_FPS
    held = float(np.median(closed)) / MOTION_FPS
    gaze, turn = [], []
    for clip in clips:
        if clip.person == SINGLE_SPEAKER or clip.motion[:, K + 2].std() > 0.035:
            continue  # eyes that wander far are not those of somebody who speaks to the camera
        gaze.append(clip.motion[:, K + 2 : K + 4] - clip.motion[:, K + 2 : K + 4].mean(0))
        turn.append(clip.motion[:, K + 4 : K + 6] - clip.motion[:, K + 4 : K + 6].mean(0))
    eyes, head = np.concatenate(gaze), np.concatenate(turn)
    follow = -float((eyes[:, 0] * head[:, 1]).sum() / (head[:, 1] ** 2).sum())
    rest = eyes[:, 0] + follow * head[:, 1]
    config = EventConfig(
        blink_seconds=float(np.clip(np.median(seconds), 2.2, 4.5)),
        blink_spread=float(np.clip(np.log(seconds).std(), 0.3, 0.7)),
        closing_seconds=0.4 * half,
        closed_seconds=max(held, 1 / MOTION_FPS),
        opening_seconds=0.8 * half,
        gaze_x=float(np.clip(rest.std(), 0.008, 0.025)),
        gaze_y=float(np.clip(eyes[:, 1].std(), 0.004, 0.012)),
        gaze_follow=float(np.clip(follow, 0.0, 0.4)),
    )
    log.info(
        "%d blink intervals, half-width %.3f s, held %.3f s: %s", len(seconds), half, held, config
    )
    return config


def fit_parts(clips: list[Clip], basis: FaceBasis, *, distilled: bool) -> GeneratorParts:
    """All parts; the default style speaks like the single speaker (who articulates clearly) with a
    livelier head."""
    speaker = np.median([clip.style for clip in clips if clip.person == SINGLE_SPEAKER], axis=0)
    style = np.concatenate([speaker[:3] * 1.05, POSE_STYLE]).astype(np.float32)
    return GeneratorParts(fit_articulation(clips, basis), fit_events(clips), style, distilled)
