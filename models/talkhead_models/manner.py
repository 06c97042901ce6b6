"""How a clip is performed beyond its words: emotion, gaze, stress and a person's style, put on to generated motion.

`perform` is called once a chunk. All that it adds is a function of the seed, the time and the speech around it; only
blinks and gaze shifts go on from a state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkhead_models.accents import (
    blink_pace,
    brow_expression,
    brow_heights,
    head_drift,
    nod_rotation,
)
from talkhead_models.articulation import Articulation
from talkhead_models.emotion import Emotion, accents_beside, feel
from talkhead_models.gaze import Gaze, direct
from talkhead_models.liveliness import EventConfig, blinks, gaze_shifts
from talkhead_models.motion import FaceMotion
from talkhead_models.prosody import Prosody
from talkhead_models.streaming import EventState
from talkhead_models.style import SpeakingStyle

Array = NDArray[np.float32]

OPENS_FROM = 0.012
"""Gaps, in outer-eye distances, from which a mouth is open rather than closed: `FaceRig` lets narrower ones meet."""

WIDE_OPEN, YIELDS = 0.12, 0.5
"""Gap of a mouth wide open, and the share of an emotion that it then gives up: corners pulled down or out beside it
would come to points."""


@dataclass(frozen=True)
class Manner:
    """How to perform.

    Attributes:
        emotion: on top of the speech.
        emotion_strength: from 0 to 1.
        gaze: at the camera, or free.
        accents: size of nods and brow raises on stressed syllables; 0 for none.
        pose_shown: what the head's rotation will be multiplied by before it is seen, for eyes that keep to the camera.
        style: of a person, if any.
    """

    emotion: Emotion = "neutral"
    emotion_strength: float = 0.5
    gaze: Gaze = "camera"
    accents: float = 1.0
    pose_shown: float = 1.0
    style: SpeakingStyle | None = None


class Performer(NamedTuple):
    """What a performance needs of the generator.

    Attributes:
        manner: how to perform.
        events: rates and shapes of blinks and gaze shifts.
        articulation: for the gap between the lips.
        seed: of the clip.
    """

    manner: Manner
    events: EventConfig
    articulation: Articulation
    seed: int

    def perform(
        self, motion: FaceMotion, prosody: Prosody, state: EventState
    ) -> tuple[FaceMotion, EventState]:
        """One chunk with everything put on, and where its events stand behind it.

        Args:
            motion: T frames as generated, closures and openings included.
            prosody: of the frames.
            state: from the chunk before.
        """
        manner, style = self.manner, self.manner.style
        expression, rotation = motion.expression, motion.rotation
        if style is not None:
            wider = np.full(len(expression), style.lips - 1, np.float32)
            expression = style.scaled(self._wider(expression, wider))
        gain = np.float32(manner.accents)
        nods = 1.0 if style is None else style.nods
        brows = 1.0 if style is None else style.brows
        moves = np.float32(nods) * nod_rotation(prosody, self.seed) + head_drift(prosody, self.seed)
        rotation = rotation + gain * moves
        if style is not None:
            rotation = style.turned(rotation)
        brows *= accents_beside(manner.emotion, manner.emotion_strength)
        heights = gain * np.float32(brows) * brow_heights(prosody, self.seed)
        expression = expression + brow_expression(heights)
        extra = np.zeros(motion.num_frames, np.float32)
        feeling = feel(manner.emotion, manner.emotion_strength, prosody, self.seed)
        if feeling is not None:
            expression = self._wider(expression, feeling.openings)
            shares = 1 - YIELDS * np.clip(self._gap(expression) / WIDE_OPEN, 0, 1)
            expression = expression + feeling.expression + shares[:, None] * feeling.mouth
            rotation = rotation + np.stack([feeling.pitch, 0 * feeling.pitch, 0 * feeling.pitch], 1)
            extra = extra + feeling.lids
        lids, gaze, following = self._eyes(rotation, prosody, state, extra)
        moved = replace(
            motion,
            expression=np.asarray(expression, np.float32),
            rotation=np.asarray(rotation, np.float32),
            lids=lids,
            gaze=gaze,
        )
        return moved, following

    def _gap(self, expression: Array) -> Array:
        """Gap (T,) at the middle of the mouth, outer-eye distances."""
        middle = self.articulation.gaps.shape[1] // 2
        rest = self.articulation.rest[middle]
        return np.asarray(rest + expression @ self.articulation.gaps[:, middle], np.float32)

    def _wider(self, expression: Array, share: Array) -> Array:
        """Expression (T, K) with open mouths wider by a share (T,), closed ones closed."""
        gap = self._gap(expression)
        return self.articulation.drawn_to(
            expression, gap + share * np.maximum(gap - OPENS_FROM, 0), 1.0
        )

    def _eyes(
        self, rotation: Array, prosody: Prosody, state: EventState, extra: Array
    ) -> tuple[Array, Array, EventState]:
        """Lids (T, 2), gaze (T, 2) and the state behind them.

        Args:
            rotation: (T, 3) the head's, as generated.
            prosody: of the frames.
            state: from the chunk before.
            extra: (T,) closure that the expression adds.
        """
        first, count = prosody.first_frame, len(rotation)
        pace = blink_pace(prosody)
        shut, state = blinks(self.events, self.seed, state, first, pace)
        wandering, state = gaze_shifts(self.events, self.seed, state, first, count)
        shown = rotation * np.float32(self.manner.pose_shown)
        gaze, follow = direct(self.manner.gaze, wandering, shown, prosody, self.seed)
        # A blink closes what the rest leaves open.
        rest = np.clip(follow + extra, -0.35, 0.45)[:, None]
        lids = np.asarray(rest + (1 - rest) * shut, np.float32)
        return lids, gaze, state
