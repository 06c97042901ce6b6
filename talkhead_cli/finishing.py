"""What is done to every frame just before it is encoded: the visible label, then the invisible watermark."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from talkhead_cli.label import Label
    from talkhead_cli.marking.record import Marks
    from talkhead_models.watermark import Watermark

Bytes = NDArray[np.uint8]


@dataclass
class Finish:
    """What a render adds to its frames; the same to each, so that a video that was resumed is the one that was not.

    Attributes:
        label: visible.
        watermark: invisible.
    """

    label: Label | None = None
    watermark: Watermark | None = None
    _held: Bytes | None = field(default=None, repr=False)

    @classmethod
    def create(cls, picture: Bytes, label: str, marks: Marks | None) -> Finish:
        """What is put on the frames of a render.

        Args:
            picture: (H, W, 3) uint8 RGB, what most of the clip looks like.
            label: visible text; "" is none.
            marks: what the output says of itself, of which the watermark has a part; None leaves it out.

        Raises:
            UsageError: the label does not fit.
        """
        finish = cls()
        height, width = picture.shape[:2]
        if label:
            from talkhead_cli.label import Label

            finish.label = Label.create(label, width, height)
        if marks is not None:
            from talkhead_models.watermark import Watermark
            from talkhead_models.watermark_code import payload_of

            finish.watermark = Watermark.create(picture, payload_of(marks.settings_sha256))
        return finish

    def apply(self, frames: Bytes) -> Bytes:
        """Finished frames, to be used before the next are asked for: their memory is used again.

        Args:
            frames: (n, H, W, 3) uint8 RGB, (n, H, W, 4) RGBA, or planes (n, 3 H / 2, W); they stay as they are.
        """
        if self.label is None and self.watermark is None:
            return frames
        held = self._held
        if held is None or held.shape[1:] != frames.shape[1:] or len(held) < len(frames):
            held = self._held = np.empty(frames.shape, np.uint8)
        finished = held[: len(frames)]
        np.copyto(finished, frames)
        if self.label is not None:
            self.label.draw(finished)
        if self.watermark is not None:
            self.watermark.add_to(finished)
        return finished
