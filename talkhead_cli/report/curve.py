"""The mouth against the speech over time, small enough for a page with hundreds of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from talkhead_cli.evaluation.result import Timeline

MOST_POINTS = 300
"""Points of a line, whatever the length of the video."""

MOST_CLOSURES = 300
"""Marks of p, b and m; where there are more, those that the lips missed are kept first."""

WIDTH, HEIGHT = 1000, 100
"""Units of the drawing."""

LEAST_TOP = 0.15
"""Outer-eye distances that people open their mouths to: one that opens less is drawn as small as it is."""

ROOM = 1.12
"""Height of the drawing over the widest opening."""


class Closure(BaseModel):
    """A p, b or m: when, in seconds, and whether the lips met."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start: float
    end: float
    met: bool


class Curve(BaseModel):
    """What the plot of a row shows.

    Attributes:
        seconds: of the video.
        gap: opening of the inner lips, in thousandths of the drawing's height; at equal distances over `seconds`.
        loudness: speech energy, in hundredths of its range; likewise, empty without sound.
        closures: p, b and m.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seconds: float = Field(gt=0)
    gap: tuple[int, ...] = Field(max_length=MOST_POINTS)
    loudness: tuple[int, ...] = Field(max_length=MOST_POINTS)
    closures: tuple[Closure, ...] = Field(max_length=MOST_CLOSURES)

    def gap_path(self) -> str:
        """The opening as an SVG path, largest on top."""
        return line_path([HEIGHT - value * HEIGHT / 1000 for value in self.gap])

    def loudness_path(self) -> str:
        """Speech energy as a filled SVG path."""
        if not self.loudness:
            return ""
        line = line_path([HEIGHT - 0.9 * value for value in self.loudness])
        return f"M0 {HEIGHT}L{line[1:]}L{WIDTH} {HEIGHT}Z"

    def closures_path(self, met: bool) -> str:
        """Bars of the closures that the lips met, or missed, as one SVG path."""
        scale = WIDTH / self.seconds
        bars = [(item.start * scale, item.end * scale) for item in self.closures if item.met == met]
        # Bars of long videos would be thinner than a pixel.
        return "".join(
            f"M{a:.0f} 0h{max(3.0, b - a):.0f}v{HEIGHT}h-{max(3.0, b - a):.0f}z" for a, b in bars
        )


def line_path(heights: list[float]) -> str:
    """Values at equal distances as an SVG path; one value is a level line."""
    if not heights:
        return ""
    if len(heights) == 1:
        heights = heights * 2
    step = WIDTH / (len(heights) - 1)
    points = [f"{index * step:.0f} {height:.1f}" for index, height in enumerate(heights)]
    return "M" + "L".join(points)


def make_curve(timeline: Timeline) -> Curve:
    """The curve of an evaluation."""
    from talkhead_cli.evaluation.lips import judge_closures

    seconds = len(timeline.gap) / timeline.fps
    top = max(float(timeline.gap.max()), LEAST_TOP) * ROOM
    closures: list[Closure] = []
    if timeline.script is not None:
        judged = judge_closures(timeline.gap, timeline.fps, timeline.script)
        closures = [
            Closure(
                start=round(item.segment.start, 3), end=round(item.segment.end, 3), met=item.met
            )
            for item in judged
        ]
    # Sound may go on longer than the picture, or end before it.
    loudness = np.asarray(timeline.loudness, np.float64)
    if len(loudness):
        wanted = max(1, round(50 * seconds))
        loudness = np.pad(loudness[:wanted], (0, max(0, wanted - len(loudness))))
    return Curve(
        seconds=round(seconds, 3),
        gap=tuple(int(value) for value in np.rint(1000 * thin(timeline.gap) / top)),
        loudness=tuple(int(value) for value in np.rint(100 * loudest(loudness))),
        closures=tuple(keep_closures(closures)),
    )


def keep_closures(closures: list[Closure]) -> list[Closure]:
    """As many as are drawn, in order; missed ones first."""
    chosen = sorted(closures, key=lambda item: item.met)[:MOST_CLOSURES]
    return sorted(chosen, key=lambda item: item.start)


def thin(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most `MOST_POINTS` of a line (T,): of each stretch the least and the largest value, in their order.

    Means would hide what the plot is for: lips that close for two frames.
    """
    if len(values) <= MOST_POINTS:
        return np.asarray(values, np.float64)
    kept: list[float] = []
    for part in np.array_split(values, MOST_POINTS // 2):
        low, high = int(np.argmin(part)), int(np.argmax(part))
        kept += [float(part[min(low, high)]), float(part[max(low, high)])]
    return np.array(kept)


def loudest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most `MOST_POINTS` of an area (L,) in [0, 1]: the largest of each stretch."""
    values = np.clip(np.nan_to_num(values), 0.0, 1.0)
    if len(values) <= MOST_POINTS:
        return values
    return np.array([part.max() for part in np.array_split(values, MOST_POINTS)])
