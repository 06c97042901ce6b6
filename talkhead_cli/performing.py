"""Settings, and a person's style, as a generator's manner."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from talkhead_cli.settings import DEFAULT_CHUNK
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
    changed = copy.copy(in_chunks(generator, settings.chunk_frames))
    changed.parts = replace(parts, events=events, style=token, manner=manner)
    return changed


def in_chunks(generator: MotionGenerator, chunk_frames: int) -> MotionGenerator:
    """A generator whose chunks are as long as the settings say; it shares the other's networks."""
    if chunk_frames >= min(DEFAULT_CHUNK, generator.frames_per_chunk):
        return generator
    return generator.in_chunks_of(chunk_frames)
