"""Head nods, brow raises and blinks that belong to the speech, and the drift between them.

Heads nod and brows rise on stressed syllables: Hadar, Steiner, Grant and Rose, "Head movement correlates of juncture
and stress at sentence level", Language and Speech 26, 1983; Graf, Cosatto, Strom and Huang, "Visual prosody: facial
movements accompanying speech", FG 2002; Cave and others, "About the relationship between eyebrow movements and F0
variations", ICSLP 1996: most raises go with a rise of pitch, and not every rise has one. Speakers blink at the ends
and in the pauses of speech (Nakano and Kitazawa, "Eyeblink entrainment at breakpoints of speech", Experimental Brain
Research 205, 2010).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkhead_models.emotion import gap_free
from talkhead_models.prosody import Prosody
from talkhead_models.sampling import number_for
from talkhead_models.wander import wander

Array = NDArray[np.float32]

NOD = (0.06, 0.16, 0.5)
"""Lead, rise and fall of a nod, in seconds."""

NOD_DEGREES = 2.2
"""Of a plain accent's nod."""

NODS = 0.75
"""Share of accents with a nod."""

UPWARDS = 0.2
"""Share of nods that go up."""

SIDEWAYS = (0.35, 0.3)
"""Deviation of the turn and tilt that go with a nod, as shares of it."""

HEAD_DRIFT, HEAD_FRAMES = (0.7, 1.0, 0.6), 75.0
"""Deviation in degrees of the head's slow pitch, yaw and roll, and frames between their knots: each seed's own way."""

BROW = (0.08, 0.16, 0.6)
"""Lead, rise and fall of a brow raise, in seconds."""

BROW_RAISE = 0.12
"""Of a plain accent, as a share of brows raised as far as they go."""

RAISES = 0.35
"""Share of accents with a raise; rising pitch makes it likelier."""

BROWS = (("BrowInnerUp", 1.0), ("BrowOuterUp", 0.7))

BROW_DRIFT, DRIFT_FRAMES = 0.04, 45.0
"""Deviation of the brows' slow rise and fall, and frames between its knots."""

BLINK_PACE = {"speech": 0.8, "breakpoint": 3.2, "silence": 1.0}
"""How fast the time to the next blink runs: while speaking, at the beginning of a pause, and later in it."""

BREAKPOINT_SECONDS = 0.5
"""How long a pause is a breakpoint."""


def draws(prosody: Prosody, seed: int, label: str) -> list[np.random.Generator]:
    """A source of random numbers for each accent, the same whichever run of frames it is met in."""
    return [
        np.random.default_rng(number_for(seed, label, round(2 * accent.frame)))
        for accent in prosody.accents
    ]


def head_drift(prosody: Prosody, seed: int) -> Array:
    """A slow wandering of the head's rotation, (T, 3) radians."""
    axes = zip(HEAD_DRIFT, ("pitch", "yaw", "roll"), strict=True)
    rows = [
        np.radians(size) * wander(seed, f"head {axis}", prosody.frames, HEAD_FRAMES)
        for size, axis in axes
    ]
    return np.asarray(np.stack(rows, axis=1), np.float32)


def nod_rotation(prosody: Prosody, seed: int) -> Array:
    """What nods add to the head's rotation, (T, 3) radians."""
    sizes = np.zeros((len(prosody.accents), 3), np.float32)
    for index, rng in enumerate(draws(prosody, seed, "nod")):
        chosen, upwards = rng.random(2)
        size = prosody.accents[index].strength * float(np.exp(0.35 * rng.standard_normal()))
        size *= np.radians(NOD_DEGREES) * (-0.7 if upwards < UPWARDS else 1.0)
        aside = rng.standard_normal(2) * SIDEWAYS
        if chosen < NODS:
            sizes[index] = size, abs(size) * aside[0], abs(size) * aside[1]
    lead, rise, fall = NOD
    return np.stack([prosody.pulses(rise, fall, sizes[:, axis], lead) for axis in range(3)], axis=1)


def brow_heights(prosody: Prosody, seed: int) -> Array:
    """How far the brows are raised, (T,): 1 = as far as they go, negative is lowered."""
    gains = np.zeros(len(prosody.accents), np.float32)
    for index, rng in enumerate(draws(prosody, seed, "brow")):
        accent = prosody.accents[index]
        size = BROW_RAISE * accent.strength * float(np.exp(0.35 * rng.standard_normal()))
        if rng.random() < RAISES + 1.2 * accent.pitch:
            gains[index] = min(size, 0.9)
    lead, rise, fall = BROW
    drift = BROW_DRIFT * wander(seed, "brow drift", prosody.frames, DRIFT_FRAMES)
    return np.asarray(prosody.pulses(rise, fall, gains, lead) + drift, np.float32)


def brow_expression(heights: Array) -> Array:
    """Expression (T, K) of brows raised by (T,)."""
    return np.asarray(heights[:, None] * gap_free(BROWS), np.float32)


def blink_pace(prosody: Prosody) -> Array:
    """How fast the time to the next blink runs, (T,): about 1 on average."""
    silent = prosody.silent
    broken = (silent > 0) & (silent <= BREAKPOINT_SECONDS)
    pace = np.where(silent > 0, BLINK_PACE["silence"], BLINK_PACE["speech"])
    return np.asarray(np.where(broken, BLINK_PACE["breakpoint"], pace), np.float32)
