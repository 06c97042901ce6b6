"""Sizes and mechanisms of the denoiser, as a bundle's header holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from talkhead_models.motion import MOTION_SIZE
from talkhead_models.speech_kinds import KINDS

Prediction = Literal["velocity", "noise", "clean"]

FEATURES_PER_STEP = 8
"""Speech feature vectors (50/s) a latent step (6.25/s)."""

NUM_VISEMES = 16
"""The first features are viseme posteriors."""


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes and mechanisms of the denoiser.

    Attributes:
        latent_size: numbers a latent step.
        feature_size: F, numbers a speech feature vector.
        style_size: numbers that describe the speaking style.
        width, layers, heads: the transformer's sizes.
        chunk_steps: latent steps denoised together.
        context_steps: latent steps of its own past it sees; 0 for none.
        reference_steps: tokens of the reference among the sink tokens; 0 for none.
        reference_encoding: "temporal" repeats the reference and passes it through the motion's own
            encoder (temporal reference encoding); "frame" maps the one frame linearly.
        past_bottleneck: width of the bottleneck the past passes through; 0 for the full latent.
        bottleneck_noise: deviation of the noise that training adds behind the bottleneck, whose
            numbers are bounded by 1; 0 for none and no bound.
        block_causal: each past chunk attends to the sink and to itself alone, so that its keys and
            values are computed once and kept while it is in the context; else the context is
            computed anew for every chunk.
        speech_kinds: which kinds of speech features it reads, see `speech_kinds.KINDS`.
        speech_past, speech_ahead: feature vectors seen before and behind a step's own eight.
        speech_width: channels of the speech front-end.
        viseme_tokens: speech enters as hard viseme classes only.
        prediction: what the network's output means.
    """

    latent_size: int = 48
    feature_size: int = 20
    style_size: int = 9
    width: int = 160
    layers: int = 4
    heads: int = 5
    chunk_steps: int = 8
    context_steps: int = 8
    reference_steps: int = 1
    reference_encoding: Literal["temporal", "frame"] = "temporal"
    past_bottleneck: int = 32
    bottleneck_noise: float = 0.0
    block_causal: bool = False
    speech_kinds: tuple[str, ...] = ("visemes",)
    speech_past: int = 12
    speech_ahead: int = 12
    speech_width: int = 48
    viseme_tokens: bool = False
    prediction: Prediction = "velocity"

    def __post_init__(self) -> None:
        # A bundle's header holds lists.
        object.__setattr__(self, "speech_kinds", tuple(self.speech_kinds))
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.block_causal and self.context_steps % self.group_steps:
            raise ValueError(
                f"context_steps {self.context_steps} are no whole chunks of {self.chunk_steps}"
            )
        columns = [KINDS[kind].stop for kind in self.speech_kinds]
        if max(columns) > self.feature_size:
            raise ValueError(f"features {self.speech_kinds} do not fit into {self.feature_size}")

    @property
    def group_steps(self) -> int:
        """Latent steps of the past that a block-causal context computes together."""
        return max(1, min(self.context_steps, self.chunk_steps))

    @property
    def reference_size(self) -> int:
        """Numbers of a reference token before it is embedded."""
        return self.latent_size if self.reference_encoding == "temporal" else MOTION_SIZE

    @property
    def window(self) -> int:
        """Feature vectors a step sees."""
        return self.speech_past + FEATURES_PER_STEP + self.speech_ahead
