"""Whose mouth a generated mouth looks like: appearance codes of all clips brought to one person's habit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from motion_data import APPEARANCE, Clip

from talkhead_models.basis import FaceBasis
from talkhead_models.motion import EXPRESSION_SIZE as K

STYLE_PERSON = "KwaiVGI_assets_examples_driving_d10"
"""Whose mouth generated mouths look like: upper teeth clearly seen over a dark inside."""

APPEARANCE_LIVELINESS = 0.8
"""Share of the usual change of appearance from sound to sound."""


def opening_terms(gap: np.ndarray) -> np.ndarray:
    """(T, 3) terms of the curves of appearance over the lip opening (T,)."""
    scaled = np.clip(gap, 0, 0.25) / 0.1
    return np.stack([np.ones_like(scaled), scaled, scaled**2], 1)


def appearance_curve(clips: list[Clip], basis: FaceBasis) -> tuple[np.ndarray, np.ndarray] | None:
    """How someone's appearance code follows the lip opening: curve (3, A) and deviation from it (A,); None with too
    few open frames."""
    motion = np.concatenate([clip.motion for clip in clips])
    gap = basis.lip_gap(motion[:, :K])
    opened = (gap > 0.02) & (gap < 0.3)
    if opened.sum() < 60:
        return None
    terms, codes = opening_terms(gap[opened]), motion[opened, APPEARANCE]
    ridge = 0.01 * len(terms) * np.diag([0, 0.1, 0.3])
    curve = np.linalg.solve(terms.T @ terms + ridge, terms.T @ codes)
    return curve, (codes - terms @ curve).std(0)


def share_appearance(clips: list[Clip], basis: FaceBasis) -> list[Clip]:
    """The clips with everybody's mouth looking as `STYLE_PERSON`'s does at each opening.

    Whether the upper teeth show, and what is behind them, is a habit (and the single speaker's recordings are too small
    to tell); how it changes from sound to sound is kept, scaled to the usual range.
    """
    people: dict[str, list[Clip]] = {}
    for clip in clips:
        people.setdefault(clip.person, []).append(clip)
    found = {person: appearance_curve(part, basis) for person, part in people.items()}
    curves = {person: curve for person, curve in found.items() if curve is not None}
    if STYLE_PERSON not in curves:
        return clips
    usual = np.mean([spread for _, spread in curves.values()], 0)
    wanted = curves[STYLE_PERSON][0]
    shared = []
    for clip in clips:
        if clip.person in curves:
            curve, spread = curves[clip.person]
            terms = opening_terms(basis.lip_gap(clip.motion[:, :K]))
            motion = clip.motion.copy()
            rest = (motion[:, APPEARANCE] - terms @ curve) * np.clip(usual / spread, 0.5, 2)
            motion[:, APPEARANCE] = terms @ wanted + APPEARANCE_LIVELINESS * rest
            clip = replace(clip, motion=motion)
        shared.append(clip)
    return shared
