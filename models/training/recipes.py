"""The generator's recipes: one network, four published mechanisms, and their combination.

A recipe is a denoiser's options with the losses and the distillation that belong to them. Each has a
preset and a bundle of the same name, but for `talkhead-all`: the default with every loss, which
made motion more like real motion and chunk boundaries worse, and is not shipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from talkhead_models.denoiser import DenoiserConfig, Prediction

ASYNCHRONOUS_CHUNKS = 3
"""Chunks a non-streaming teacher sees at once: the one before, the one at work, the one behind."""


@dataclass(frozen=True)
class Recipe:
    """How a generator is trained.

    Attributes:
        denoiser: the student's (and, but for an asynchronous teacher, the teacher's) options.
        teacher_prediction: what the teacher predicts; the student predicts the velocity, which
            stays well defined in one step from pure noise, and begins with the same weights.
        past_noise: largest noise on the true past that the teacher sees.
        asynchronous: the teacher is non-streaming, with a noise level of its own for every chunk
            (REST).
        own_past: the student learns behind what it generated itself; else behind the true past.
        asymmetric: the teacher sees the true past where the student sees its own (AsymTalker).
        matching: weight of distribution matching (AsymTalker).
        anchor: weight of the identity anchor (TempoSyncDiff).
        temporal: weight of the temporal regularisation (TempoSyncDiff).
        steps: numbers of steps the student learns, most often the last.
        guidance: range of guidance scales the student learns.
    """

    denoiser: DenoiserConfig
    teacher_prediction: Prediction = "velocity"
    past_noise: float = 0.35
    asynchronous: bool = False
    own_past: bool = True
    asymmetric: bool = False
    matching: float = 0.0
    anchor: float = 0.0
    temporal: float = 0.0
    steps: tuple[int, ...] = (1, 2, 4)
    guidance: tuple[float, float] = field(default=(0.5, 3.0))

    @property
    def teacher(self) -> DenoiserConfig:
        """The teacher's options."""
        config = replace(self.denoiser, prediction=self.teacher_prediction)
        if not self.asynchronous:
            return config
        steps = ASYNCHRONOUS_CHUNKS * self.denoiser.chunk_steps
        return replace(config, chunk_steps=steps, context_steps=0, block_causal=False)


BASE = DenoiserConfig(latent_size=64)

RECIPES = {
    "temposyncdiff": Recipe(
        replace(BASE, viseme_tokens=True), teacher_prediction="noise", anchor=0.1, temporal=0.1
    ),
    "rest": Recipe(
        replace(BASE, block_causal=True, context_steps=16, past_bottleneck=0),
        asynchronous=True,
        steps=(4,),
    ),
    "syncdiff": Recipe(
        replace(
            BASE,
            past_bottleneck=6,
            bottleneck_noise=0.5,
            feature_size=56,
            speech_kinds=("visemes", "lips"),
        ),
        past_noise=0.0,
        steps=(4,),
    ),
    "asymtalker": Recipe(
        replace(BASE, reference_steps=8, context_steps=3, past_bottleneck=0),
        past_noise=0.0,
        asymmetric=True,
        matching=0.3,
        steps=(4,),
    ),
    # Sink, bottlenecked past, its own past in distillation; the lip guide comes on top.
    "talkhead": Recipe(BASE),
    "talkhead-all": Recipe(BASE, asymmetric=True, matching=0.2, anchor=0.05, temporal=0.1),
}
"""Preset name to recipe."""


def small(config: DenoiserConfig) -> DenoiserConfig:
    """The same mechanisms in a network that trains in a minute, for ablations."""
    return replace(config, width=96, layers=3, heads=4, speech_width=32)
