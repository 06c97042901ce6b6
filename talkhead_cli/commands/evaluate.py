"""`talkhead evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkhead_cli.commands.common import JsonObject, Verbose, choose_reporter
from talkhead_cli.console import print_table, write_json, write_message, write_result

if TYPE_CHECKING:
    from talkhead_cli.evaluation import Evaluation


def evaluate(
    context: typer.Context,
    video: Annotated[Path, typer.Argument(help="Video of a talking face.")],
    portrait: Annotated[
        Path | None, typer.Option(help="The picture it was made from: likeness, colour, border.")
    ] = None,
    audio: Annotated[
        Path | None, typer.Option(help="The speech it was made from; else the video's own sound.")
    ] = None,
    phones: Annotated[
        Path | None,
        typer.Option(help="Phones with times to judge the lips by: phone:end items or HTK labels."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="A real clip of the same person saying the same.")
    ] = None,
    face: Annotated[
        str | None, typer.Option(help="largest, N (from the left) or X,Y in the portrait, if any.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Write the mouth against the speech as a PNG file.")
    ] = None,
    as_json: JsonObject = False,
    verbose: Verbose = False,
) -> None:
    """Measure a talking-head video: lips, eyes, head, likeness, steadiness, and a real clip.

    Examples:

    \b
    talkhead evaluate out.mp4
    talkhead evaluate out.mp4 --portrait portrait.png --audio speech.wav --plot out.png
    talkhead evaluate out.mp4 --phones speech.phones --json
    """
    reporter = choose_reporter(context, as_json=as_json, verbose=verbose)

    from talkhead_cli.evaluation import EvaluationRequest, evaluate_video
    from talkhead_cli.evaluation.plot import check_plot, save_plot

    if plot is not None:
        check_plot(plot, (video, portrait, audio, phones, reference))
    request = EvaluationRequest(video, portrait, audio, phones, reference, face)
    with reporter:
        # In JSON mode standard output is for the one object of the result.
        found = evaluate_video(request, (lambda event: None) if as_json else reporter)
    if plot is not None:
        save_plot(found.timeline, plot)
    if as_json:
        write_json({"event": "evaluation", **found.to_dict()})
    else:
        show(found)


def show(found: Evaluation) -> None:
    """The measures as a table; what could not be told is left out."""
    from talkhead_cli.evaluation.targets import MEASURES, judge_all

    values = found.to_dict()
    verdicts = judge_all(values)
    facts = found.facts
    title = (
        f"{facts.video}: {facts.num_frames} frames of {facts.width}x{facts.height} "
        f"at {facts.fps:g} frames/s, {facts.codec}"
    )
    judge = values["lips_judged_by"]
    if judge:
        title += f"; lips judged by {judge}"
    rows = [
        (
            item.title,
            item.show(values[item.key]),
            item.real_score(judge),
            item.wanted,
            verdicts[item.key],
        )
        for item in MEASURES
        if values[item.key] is not None
    ]
    # Above the table and not its title, which would be broken at the table's width.
    write_result(title)
    print_table("", ("measure", "value", "real people", "wanted", "verdict"), rows)
    for line in found.warnings:
        write_message(f"warning: {line}")
