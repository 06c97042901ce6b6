"""Where the eyes look: at the camera whatever the head does, or freely, with looks away where people look away.

Looks away follow Lee, Badler and Badler, "Eyes Alive", SIGGRAPH 2002: sizes by their fit of 8.6 minutes of a tracked
speaker, directions by their table, away for a little under a second, at the camera for three. That speakers look away
as they begin a phrase, and in pauses, is Kendon, "Some functions of gaze-direction in social interaction", Acta
Psychologica 26, 1967.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from talkhead_models.motion import MOTION_FPS
from talkhead_models.prosody import Prosody
from talkhead_models.sampling import number_for
from talkhead_models.wander import wander

Array = NDArray[np.float32]

Gaze = Literal["camera", "free"]

EYE_DEPTH = 0.2
"""How far the eyeball's centre lies behind the line of the eye's corners, in eye widths: 6 mm of 30. An iris that
keeps to the camera while the head turns is seen over that centre."""

IRIS_RADIUS = 0.35
"""Circle that the iris goes round on, in eye widths."""

STEADY = 0.3
"""Share of the usual wandering of the eyes that is left of them when they hold the camera: a degree."""

TREMOR = 0.0012
"""Deviation of the drift of a fixation, eye widths: a quarter of a degree."""

DIRECTIONS = (15.54, 6.46, 17.69, 7.44, 16.80, 7.89, 20.38, 7.79)
"""Percent of saccades to the right, up and to the right, up, ... by eighths of a turn (Eyes Alive, table 1)."""

SMALLEST, LARGEST = 8.0, 20.0
"""Degrees of a look away: less is no look away, more is a look at something, with the head."""

AWAY_SECONDS, AWAY_SPREAD = 0.7, 0.45
"""Median of a look away, and the deviation of its logarithm (Eyes Alive: 27.8 frames of 30 a second on average)."""

LONGEST = 1.4
"""Seconds, at most: as long as `prosody` remembers where it began."""

AT_START, AT_PAUSE = 0.55, 0.45
"""How often a phrase begins, or a pause is filled, with a look away."""

SLOT, IN_SLOT = 78, 0.25
"""Frames of a stretch in which one more look away may begin anywhere, and how often it does (Eyes Alive: 3.1 s at the
other's face)."""

LEAD, LAG = 3.0, 6.0
"""Frames from a look away to the phrase that it begins, and from a pause's begin to a look away."""

LID_DOWN, LID_UP = 2.4, 1.2
"""Closure of the lids an eye width of gaze down, and their widening up: lids go with the eye (Becker and Fuchs,
"Lid-eye coordination during vertical gaze changes in man and monkey", Journal of Neurophysiology 60, 1988)."""


@dataclass(frozen=True)
class Away:
    """A look away.

    Attributes:
        begin, end: frames.
        place: (x, y) eye widths.
    """

    begin: float
    end: float
    place: Array


def look_aside(rng: np.random.Generator) -> Array:
    """Where a look away goes, (2,) eye widths: x right, y down."""
    share = rng.uniform(0.2, 15.0)
    degrees = float(np.clip(-6.9 * np.log(share / 15.7), SMALLEST, LARGEST))
    eighth = rng.choice(len(DIRECTIONS), p=np.array(DIRECTIONS) / sum(DIRECTIONS))
    angle = np.pi / 4 * eighth + rng.normal(0, 0.2)
    size = IRIS_RADIUS * np.sin(np.radians(degrees))
    # Up and down eyes go less far than to a side, and lids hide them.
    return np.array([size * np.cos(angle), -0.7 * size * np.sin(angle)], np.float32)


def looks_away(prosody: Prosody, seed: int) -> list[Away]:
    """Looks away that touch the frames, in order of their begin."""
    found = []
    moments = [(start - LEAD, AT_START, "start") for start in prosody.starts]
    moments += [(pause + LAG, AT_PAUSE, "pause") for pause in prosody.pauses]
    for slot in range(int(prosody.first_frame - 40) // SLOT, int(prosody.frames[-1]) // SLOT + 1):
        rng = np.random.default_rng(number_for(seed, "look away", slot))
        moments.append((slot * SLOT + float(rng.integers(SLOT)), IN_SLOT, "slot"))
    for begin, chance, kind in sorted(moments):
        rng = np.random.default_rng(number_for(seed, "look away", kind, round(2 * begin)))
        # The first word is said to the camera.
        if rng.random() > chance or begin < MOTION_FPS:
            continue
        seconds = min(AWAY_SECONDS * float(np.exp(AWAY_SPREAD * rng.standard_normal())), LONGEST)
        found.append(Away(begin, begin + MOTION_FPS * seconds, look_aside(rng)))
    return found


def compensate(rotation: Array) -> Array:
    """The iris' shift (T, 2) that keeps it on the camera while the head turns by (T, 3) radians, as seen.

    The reflex is complete in healthy people (Leigh and Zee, "The Neurology of Eye Movements", chapter 3).
    """
    turned = np.stack([rotation[:, 1], rotation[:, 0]], axis=1)
    return np.asarray(-EYE_DEPTH * np.sin(turned), np.float32)


def direct(
    gaze: Gaze, wandering: Array, rotation: Array, prosody: Prosody, seed: int
) -> tuple[Array, Array]:
    """Gaze (T, 2), and the closure (T,) that the lids follow it with.

    Args:
        gaze: at the camera or free.
        wandering: (T, 2) fixations about the camera, from `liveliness`.
        rotation: (T, 3) radians, of the head as it will be seen.
        prosody: of the frames.
        seed: of the clip.
    """
    frames = prosody.frames
    drift = [TREMOR * wander(seed, f"tremor {axis}", frames, 4.0) for axis in "xy"]
    places = wandering * np.float32(STEADY if gaze == "camera" else 1.0)
    if gaze == "free":
        for away in looks_away(prosody, seed):
            places[(frames >= away.begin) & (frames < away.end)] = away.place
    places = places + np.stack(drift, axis=1)
    down = places[:, 1]
    lids = LID_DOWN * np.maximum(down, 0) + LID_UP * np.minimum(down, 0)
    return np.asarray(places + compensate(rotation), np.float32), np.asarray(lids, np.float32)
