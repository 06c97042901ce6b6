"""Settings, and a person's style, as a generator's manner."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from talkhead_models.generator import MotionGenerator
from talkhead_models.manner import Manner
from talkhead_models.style import SpeakingStyle

if TYPE_CHECKING:
    from talkhead_cli.settings import RenderSettings


def performing(
    generator: MotionGenerator, settings: RenderSettings, style: SpeakingStyle | None = None
) -> MotionGenerator:
    """A generator that performs as the settings, and a style, say; it shares the other's networks."""
    parts = generator.parts
    events, token = parts.events, parts.style
    if style is not None:
        events, token = style.events(events), style.token(token)
    if settings.blink_scale > 0:
        events = replace(events, blink_seconds=events.blink_seconds / settings.blink_scale)
    manner = Manner(
        emotion=settings.emotion,
        emotion_strength=settings.emotion_strength,
        gaze=settings.gaze,
        pose_shown=0.0 if settings.still else settings.pose_scale,
        style=style,
    )
    changed = copy.copy(generator)
    changed.parts = replace(parts, events=events, style=token, manner=manner)
    return changed
