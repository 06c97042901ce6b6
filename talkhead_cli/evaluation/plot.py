"""The mouth against the speech over time, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from talkhead_cli.errors import InputError, UsageError, write_error
from talkhead_cli.evaluation.lips import Judged, frame_times, judge_closures
from talkhead_cli.evaluation.result import Timeline
from talkhead_cli.paths import publish, temporary_beside

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_SECONDS = 6.0
LETTER_SECONDS = 0.024
"""Room that a letter takes."""
MOST_ROWS = 100
"""Ten minutes; what comes after is left out."""
WIDTH, ROW_HEIGHT = 14.0, 2.2
"""Inches."""
DOTS = 100
MET, MISSED, LIPS, SPEECH = "#2a8a3e", "#d62728", "#1f4e9c", "#b9c7dd"


def check_plot(path: Path, inputs: Sequence[Path | None] = ()) -> None:
    """Insist, before the work is done, that a plot can be written; an existing one is replaced.

    Raises:
        UsageError: the name does not end in .png.
        InputError: there is no such folder, it cannot be written to, or the plot would replace an input.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: the plot is a PNG file, so its name must end in .png")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: the folder for the plot does not exist; create it first")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; choose another name for --plot")
    if any(given and path.exists() and given.exists() and given.samefile(path) for given in inputs):
        raise InputError(f"{path}: this is one of the inputs; choose another name for --plot")
    temporary_beside(path).unlink()


def save_plot(timeline: Timeline, path: Path) -> None:
    """Draw and write the plot, by renaming.

    Raises:
        InputError: it cannot be written.
    """
    figure = draw(timeline)
    temporary = temporary_beside(path)
    try:
        figure.savefig(temporary, format="png", dpi=DOTS)
        publish(temporary, path)
    except OSError as error:
        raise write_error(path, error, "the plot cannot be written") from error
    finally:
        temporary.unlink(missing_ok=True)


def draw(timeline: Timeline) -> Figure:
    """The plot: one row of axes for every six seconds."""
    # The figure itself, not pyplot: no state between plots, and the Agg canvas, which needs no display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    seconds = len(timeline.gap) / timeline.fps
    rows = min(MOST_ROWS, max(1, int(np.ceil(seconds / ROW_SECONDS))))
    width = min(ROW_SECONDS, seconds)
    figure = Figure(figsize=(WIDTH, ROW_HEIGHT * rows + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    closures: list[Judged] = []
    if timeline.script is not None:
        closures = judge_closures(timeline.gap, timeline.fps, timeline.script)
    top = max(float(timeline.gap.max()), 0.05) * 1.35
    panels = figure.subplots(rows, 1, squeeze=False)[:, 0]
    for number, axes in enumerate(panels):
        span = (number * width, (number + 1) * width)
        draw_row(axes, timeline, closures, span, top)
    drawn: dict[str, Artist] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        drawn |= dict(zip(labels, handles, strict=True))
    figure.legend(list(drawn.values()), list(drawn), loc="outside upper right", ncols=5, fontsize=8)
    panels[-1].set_xlabel("seconds")
    return figure


def draw_row(
    axes: Axes, timeline: Timeline, closures: list[Judged], span: tuple[float, float], top: float
) -> None:
    """One stretch of time: loudness as an area, the mouth as a line, closures as bars, phones as words."""
    from talkhead_models.speech import STEP_RATE

    start, end = span
    times = frame_times(len(timeline.gap), timeline.fps)
    axes.set_xlim(start, end)
    axes.set_ylim(0, top)
    axes.set_ylabel("opening")
    if len(timeline.loudness):
        steps = (np.arange(len(timeline.loudness)) + 0.5) / STEP_RATE
        # As high as the loudest opening; the words stand above.
        area = timeline.loudness * top / 1.35
        axes.fill_between(steps, area, color=SPEECH, lw=0, label="speech energy")
    axes.plot(times, timeline.gap, color=LIPS, lw=1.4, label="mouth opening")
    for item in closures:
        colour, label = (MET, "closure met") if item.met else (MISSED, "closure missed")
        if start < item.segment.end and item.segment.start < end:
            axes.axvspan(item.segment.start, item.segment.end, color=colour, alpha=0.3, label=label)
    if timeline.script is not None:
        name_segments(axes, timeline, span, top)


def name_segments(axes: Axes, timeline: Timeline, span: tuple[float, float], top: float) -> None:
    """Write phones or visemes above, where there is room for the word."""
    assert timeline.script is not None
    for label, start, end in timeline.script.segments:
        shown = "" if label == "silence" else label
        middle = (start + end) / 2
        if not span[0] <= middle < span[1] or end - start < LETTER_SECONDS * len(shown):
            continue
        axes.axvline(start, ymin=0.9, color="0.7", lw=0.5)
        axes.text(middle, top * 0.93, shown, ha="center", fontsize=7, clip_on=True)
