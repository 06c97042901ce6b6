"""Emotions over speech: what face, lids and head do besides talking.

An emotion is told by action units of the Facial Action Coding System (Ekman, Friesen and Hager, "Facial Action Coding
System", 2002; the combinations are those of its EMFACS tables: happiness 6+12, sadness 1+4+15, anger 4+5+7+23,
surprise 1+2+5+26), and each unit by the ARKit shapes that show it (see `arkit_shapes`). The face model has no motion of
the cheeks alone (6), so that a smile's narrowed eyes are lids; lids are a motion of their own (5, 7); and a dropped jaw
(26) is more of the openings that speech makes.

Whatever the expression, speech keeps its lips: the directions have the gap between the inner lips taken out, so that
closed lips stay closed and open ones as open as they were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from talkhead_models import topology as topo
from talkhead_models.arkit_shapes import shape_expression, shape_moves
from talkhead_models.basis import FaceBasis
from talkhead_models.prosody import Prosody, smooth_step
from talkhead_models.sampling import number_for
from talkhead_models.wander import wander

Array = NDArray[np.float32]

Emotion = Literal["neutral", "happy", "sad", "angry", "surprised"]
EMOTIONS: tuple[Emotion, ...] = get_args(Emotion)


@dataclass(frozen=True)
class Look:
    """One emotion at full strength.

    Attributes:
        brows: weights of ARKit shapes of the upper face, both sides.
        mouth: likewise of the lower face.
        lids: closure of the lids; negative is wider.
        openings: by what share speech opens the mouth wider.
        pitch: degrees that the head is lowered.
        pursed: share of the mouth's part that is let go of where the lips are pursed.
        accents: share of the brows' raises at accents that is left beside the emotion's own.
    """

    brows: dict[str, float]
    mouth: dict[str, float]
    lids: float = 0.0
    openings: float = 0.0
    pitch: float = 0.0
    pursed: float = 0.6
    accents: float = 1.0


LOOKS: dict[Emotion, Look] = {
    # 6 + 12; corners of the mouth, and lids for the cheeks.
    "happy": Look({"BrowOuterUp": 0.12}, {"MouthSmile": 1.15}, lids=0.13, pitch=-0.6),
    # 1 + 4 + 15, and 17 (chin raised) a little.
    "sad": Look(
        {"BrowInnerUp": 0.75, "BrowDown": 0.2},
        {"MouthFrown": 0.75, "MouthShrugLower": 0.15},
        lids=0.16,
        openings=-0.08,
        pitch=2.2,
        pursed=0.3,
        accents=0.7,
    ),
    # 4 + 5 + 7 + 23; 5 and 7 pull the lids both ways.
    "angry": Look(
        {"BrowDown": 0.7},
        {"MouthPress": 0.4, "MouthRollUpper": 0.12, "MouthRollLower": 0.2, "MouthFrown": 0.25},
        lids=0.09,
        openings=0.06,
        pitch=1.6,
        pursed=0.2,
        accents=0.7,
    ),
    # 1 + 2 + 5 + 26.
    "surprised": Look(
        {"BrowInnerUp": 0.62, "BrowOuterUp": 0.52},
        {"MouthFunnel": 0.1},
        lids=-0.2,
        openings=0.2,
        pitch=-0.8,
        pursed=0.2,
        accents=0.45,
    ),
}
"""By name; "neutral" has none."""

EASE_SECONDS = 0.6
"""A clip begins as the portrait looks, and comes to its expression in so long."""

LEVEL = 0.74
"""Mean share of the full expression; the rest of the way is for stressed words and the ends of phrases."""

LEAST, MOST = 0.35, 1.1
"""Shares that an expression keeps between."""

DRIFT_FRAMES = 38.0
"""Frames between the knots of its slow coming and going: about four seconds up and down."""


@cache
def face_basis() -> FaceBasis:
    """The face model, loaded once."""
    return FaceBasis.load()


@cache
def gap_free(names: tuple[tuple[str, float], ...]) -> Array:
    """Expression (K,) of weighted ARKit shapes that leaves every gap between the inner lips as it is.

    Args:
        names: shapes without "Left" and "Right", which stand for both sides, and their weights.
    """
    basis = face_basis()
    moves = shape_moves(basis)
    total = np.zeros(len(basis.expression), np.float32)
    for name, weight in names:
        for side in ("", "Left", "Right"):
            if name + side in moves:
                total += np.float32(weight) * shape_expression(moves[name + side], basis)
    return without_gaps(total)


@cache
def gap_space() -> Array:
    """(K, r) float32, an orthonormal basis of the expressions that change the gaps between the inner lips."""
    basis = face_basis()
    upper, lower = list(topo.UPPER_INNER_LIP), list(topo.LOWER_INNER_LIP)
    gaps = basis.expression[:, lower, 1] - basis.expression[:, upper, 1]
    left, strength, _ = np.linalg.svd(gaps.astype(np.float64), full_matrices=False)
    return np.asarray(left[:, strength > 1e-4 * strength[0]], np.float32)


def without_gaps(expression: Array) -> Array:
    """The nearest expression (..., K), in deviations, that leaves the gaps as they are."""
    space = gap_space()
    return np.asarray(expression - (expression @ space) @ space.T, np.float32)


@dataclass(frozen=True)
class Feeling:
    """What an emotion adds to a run of T frames.

    Attributes:
        expression: (T, K) float32, to be added.
        mouth: (T, K) float32, likewise, less where the mouth is wide open.
        lids: (T,) closure, negative is wider.
        openings: (T,) share by which the mouth opens wider.
        pitch: (T,) radians that the head is lowered.
    """

    expression: Array
    mouth: Array
    lids: Array
    openings: Array
    pitch: Array


def level_of(prosody: Prosody, seed: int, label: str, stress: float, rest: float) -> Array:
    """How much of an expression shows, (T,): never still, more at accents and between phrases.

    Args:
        prosody: of the frames.
        seed: of the clip.
        label: another label drifts otherwise.
        stress: added at a plain accent.
        rest: added where nothing is said.
    """
    gains = np.array([accent.strength * stress for accent in prosody.accents], np.float32)
    drift = 0.15 * wander(seed, label, prosody.frames, DRIFT_FRAMES)
    level = LEVEL + drift + prosody.pulses(0.2, 0.6, gains) + rest * (1 - prosody.voice)
    # Smoothly between the bounds: tanh over half their distance.
    middle, half = (MOST + LEAST) / 2, (MOST - LEAST) / 2
    return np.asarray(middle + half * np.tanh((level - middle) / half), np.float32)


def tempered(look: Look, seed: int, emotion: str) -> Look:
    """The look as one seed wears it: each part a little more or less."""
    rng = np.random.default_rng(number_for(seed, "look", emotion))

    def vary(weights: dict[str, float]) -> dict[str, float]:
        return {name: weight * float(rng.uniform(0.82, 1.12)) for name, weight in weights.items()}

    return replace(look, brows=vary(look.brows), mouth=vary(look.mouth))


def accents_beside(emotion: Emotion, strength: float) -> float:
    """Share of the brows' raises at accents that an emotion leaves."""
    return 1.0 if emotion == "neutral" else 1 - strength * (1 - LOOKS[emotion].accents)


def feel(emotion: Emotion, strength: float, prosody: Prosody, seed: int) -> Feeling | None:
    """What an emotion does over a run of frames; None where it does nothing.

    Args:
        emotion: which.
        strength: from 0 to 1.
        prosody: of the frames.
        seed: of the clip.
    """
    if emotion == "neutral" or strength == 0:
        return None
    look = tempered(LOOKS[emotion], seed, emotion)
    ease = smooth_step(prosody.frames / (25 * EASE_SECONDS)) * np.float32(strength)
    upper = ease * level_of(prosody, seed, "feeling above", 0.22, 0.02)
    lower = ease * level_of(prosody, seed, "feeling below", 0.1, 0.16)
    lower = lower * (1 - look.pursed * prosody.pursed)
    brows, mouth = gap_free(tuple(look.brows.items())), gap_free(tuple(look.mouth.items()))
    return Feeling(
        np.asarray(upper[:, None] * brows, np.float32),
        np.asarray(lower[:, None] * mouth, np.float32),
        look.lids * upper,
        look.openings * ease,
        np.radians(look.pitch, dtype=np.float32) * upper,
    )
