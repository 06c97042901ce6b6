"""The lip guide: how far a mouth opens, said by the speech alone.

A sampler draws one of the many ways to say a thing; against the lips of a real stranger, and against
the phones, the mean of all ways is closer (the error of a draw holds its own variance besides what
cannot be known). So the default recipe draws head, brows and the way lips move, and takes most of
the opening itself from a regression, by the smallest natural change of the expression (see
`articulation`). The guide is a small convolutional network over 0.64 s of speech features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from talkhead_models.speech_kinds import KINDS

Array = NDArray[np.float32]

PAST, AHEAD = 18, 12
"""Feature vectors (50/s) seen before a video frame's own two, and behind them."""

WINDOW = PAST + 2 + AHEAD

OPENNESS = np.array(
    [0, 0, 0.12, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.45, 0.45, 0.9, 1, 0.85, 0.45, 0.45], np.float32
)
"""Roughly how open the mouth is for each viseme, of a wide opening: what clear speech adds to the
habits of the people that the guide was trained on."""


@dataclass(frozen=True)
class LipGuideConfig:
    """Sizes and use of a guide.

    Attributes:
        speech_kinds: kinds of speech features it reads, see `speech_kinds.KINDS`.
        width: channels of the convolutions.
        hidden: units behind them.
        dropout: share of units dropped in training.
        clarity: share of `OPENNESS` in the opening, beside what the network says.
        strength: how far lips are drawn to the opening.
        amplitude: a wide opening, outer-eye distances.
    """

    speech_kinds: tuple[str, ...] = ("visemes",)
    width: int = 64
    hidden: int = 192
    dropout: float = 0.3
    clarity: float = 0.55
    strength: float = 0.85
    amplitude: float = 0.165

    def __post_init__(self) -> None:
        # A bundle's header holds lists.
        object.__setattr__(self, "speech_kinds", tuple(self.speech_kinds))

    @property
    def feature_size(self) -> int:
        """Columns that features must have at least."""
        return max(KINDS[kind].stop for kind in self.speech_kinds)


class LipGuide(nn.Module):
    """Speech features to opening and closure."""

    def __init__(self, config: LipGuideConfig | None = None) -> None:
        super().__init__()
        self.config = config or LipGuideConfig()
        width = self.config.width
        self.columns = [KINDS[kind] for kind in self.config.speech_kinds]
        heard = sum(columns.stop - columns.start for columns in self.columns)
        self.convolutions = nn.ModuleList(
            [
                nn.Conv1d(heard, width, 5),
                nn.Conv1d(width, width, 5),
                nn.Conv1d(width, width, 5, stride=2),
            ]
        )
        self.hidden = nn.Linear(width * ((WINDOW - 8 - 5) // 2 + 1), self.config.hidden)
        self.output = nn.Linear(self.config.hidden, 2)

    def forward(self, windows: Tensor) -> Tensor:
        """Windows (B, WINDOW, F) to (B, 2): the opening as a share of the speaker's wide opening,
        and the logit of closed lips."""
        heard = [windows[..., columns] for columns in self.columns]
        hidden = torch.cat(heard, dim=-1).transpose(1, 2)
        for convolution in self.convolutions:
            hidden = functional.gelu(convolution(hidden))
        hidden = functional.gelu(self.hidden(hidden.flatten(1)))
        said: Tensor = self.output(functional.dropout(hidden, self.config.dropout, self.training))
        return said

    @torch.inference_mode()
    def opening(self, features: Array) -> Array:
        """The opening of some frames, outer-eye distances.

        Args:
            features: (PAST + 2 T + AHEAD, F) float32, F at least the config's
                `feature_size`.

        Returns:
            (T,) float32, not below 0.
        """
        own = np.ascontiguousarray(features, np.float32)
        device = self.output.weight.device
        windows = torch.from_numpy(own).to(device).unfold(0, WINDOW, 2).transpose(1, 2)
        said = self(windows)[:, 0].cpu().numpy()
        clear = (own[:, : len(OPENNESS)] @ OPENNESS)[PAST - 2 : len(own) - AHEAD + 2]
        frames = clear.reshape(-1, 2).mean(1)  # one frame more on each side
        clear = 0.25 * frames[:-2] + 0.5 * frames[1:-1] + 0.25 * frames[2:]
        share = self.config.clarity
        blended = np.maximum((1 - share) * said + share * clear, 0) * self.config.amplitude
        return np.asarray(blended, np.float32)
