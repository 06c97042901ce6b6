"""A generator that learns a person's style by rehearsing it: it speaks, is measured, and corrected."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from talkhead_models.basis import FaceBasis
from talkhead_models.generator import GenerateOptions, MotionGenerator
from talkhead_models.motion import FaceMotion
from talkhead_models.style import SpeakingStyle, StyleStatistics, made_up_speech

ROUNDS = 2
"""Corrections: the second one is of what the first one's parts do to each other."""

SEEDS = (11, 12)
"""A head moves otherwise with each; their motion is measured as one."""


def in_style(generator: MotionGenerator, style: SpeakingStyle) -> MotionGenerator:
    """The generator with a style in its parts; it shares the other's networks."""
    parts = generator.parts
    changed = copy.copy(generator)
    changed.parts = replace(
        parts,
        style=style.token(parts.style),
        events=style.events(parts.events),
        manner=replace(parts.manner, style=style),
    )
    return changed


def rehearse(
    generator: MotionGenerator, style: SpeakingStyle, options: GenerateOptions
) -> StyleStatistics:
    """What a generator's motion is like in a style."""
    speaker = in_style(generator, style)
    features = made_up_speech(generator.denoiser.config.feature_size)
    rows = [
        motion.to_array() for seed in SEEDS for motion in speaker.generate(features, seed, options)
    ]
    return StyleStatistics.of(FaceMotion.from_array(np.concatenate(rows)), FaceBasis.load())


def learn_style(
    generator: MotionGenerator, clip: StyleStatistics, options: GenerateOptions | None = None
) -> SpeakingStyle:
    """The style with which a generator's motion has the statistics of a clip's, as far as limits allow.

    Args:
        generator: as it speaks usually; it is not changed.
        clip: statistics of the person's motion.
        options: how it will sample.
    """
    options = options or GenerateOptions()
    style = SpeakingStyle.told(clip, generator.parts.events)
    for _ in range(ROUNDS):
        style = style.fitted(clip, rehearse(generator, style, options))
    return style
