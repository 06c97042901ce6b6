"""`talkhead batch`."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talkhead_cli.commands.common import (
    C2paCert,
    C2paKey,
    C2paTsa,
    Session,
    Verbose,
    choose_mode,
    use_reporter,
)
from talkhead_cli.commands.options import takes_render_options

if TYPE_CHECKING:
    from talkhead_cli.batch.job import BatchRequest
    from talkhead_cli.batch.view import BatchView

RUN = "Run"
AGAIN = "Again"


class BackendName(str, Enum):
    """Where workers run."""

    local = "local"
    dask = "dask"
    ray = "ray"


@takes_render_options
def batch(
    context: typer.Context,
    manifest: Annotated[
        str | None,
        typer.Argument(
            help="CSV or JSONL file with a row for each video; - reads standard input. "
            "With --template: csv or jsonl."
        ),
    ] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out-dir", "-o", help="Folder for the videos and the state of the run."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Preset of the rows that name none; see `presets list`.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing outputs.")
    ] = False,
    allow_outside: Annotated[
        bool,
        typer.Option(
            "--allow-outside",
            help="Outputs may lie outside --out-dir: absolute paths, .. and links.",
        ),
    ] = False,
    no_sidecar: Annotated[
        bool, typer.Option("--no-sidecar", help="Do not write a JSON file beside each video.")
    ] = False,
    template: Annotated[
        bool, typer.Option("--template", help="Print an example of a manifest, with comments.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Show how far the run in --out-dir is.")
    ] = False,
    html: Annotated[
        bool,
        typer.Option("--html", help="At the end measure all videos and write report.html."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, write nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON event a line on standard output.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but errors.")] = False,
    verbose: Verbose = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes; by default one a device.", rich_help_panel=RUN),
    ] = None,
    devices: Annotated[
        str, typer.Option(help="Such as cuda:0,cuda:1 or cpu.", rich_help_panel=RUN)
    ] = "auto",
    backend: Annotated[
        BackendName, typer.Option(help="Where the workers run.", rich_help_panel=RUN)
    ] = BackendName.local,
    address: Annotated[
        str | None,
        typer.Option(
            help="Of a running Dask scheduler or Ray cluster; by default one is started here.",
            rich_help_panel=RUN,
        ),
    ] = None,
    copy_files: Annotated[
        bool,
        typer.Option(
            "--copy-files",
            help="Send the files along, for machines that share no folder.",
            rich_help_panel=RUN,
        ),
    ] = False,
    skip_faulty: Annotated[
        bool,
        typer.Option(
            "--skip-faulty",
            help="Render the good rows when others have faults.",
            rich_help_panel=RUN,
        ),
    ] = False,
    max_failures: Annotated[
        int | None,
        typer.Option(min=1, help="Start no more rows once so many failed.", rich_help_panel=RUN),
    ] = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="As --max-failures 1.", rich_help_panel=RUN)
    ] = False,
    row_timeout: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Kill a worker that does nothing for so long, and start its row again; 0 = never. 300 by default.",
            rich_help_panel=RUN,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run in --out-dir: skip what is done and unchanged.",
            rich_help_panel=AGAIN,
        ),
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="As --resume, and render failed rows again.",
            rich_help_panel=AGAIN,
        ),
    ] = False,
    c2pa_cert: C2paCert = None,
    c2pa_key: C2paKey = None,
    c2pa_tsa: C2paTsa = None,
    **given: Any,
) -> None:
    """Render the rows of a manifest with a pool of workers; a run that was stopped can go on.

    Examples:

    \b
    talkhead batch --template > jobs.csv
    talkhead batch jobs.csv --out-dir videos --dry-run
    talkhead batch jobs.csv --out-dir videos --workers 2 --devices cuda:0,cuda:1
    talkhead batch jobs.csv --out-dir videos --resume --retry-failed
    talkhead batch --report --out-dir videos
    """
    from talkhead_cli.batch.view import BatchView

    view = use_reporter(context, BatchView(choose_mode(as_json, quiet, verbose), verbose))
    if template:
        return print_template(manifest)
    if out_dir is None:
        raise typer.BadParameter("--out-dir says where the videos go")
    if report:
        from talkhead_cli.batch.report import show_report

        return show_report(out_dir, view)
    if manifest is None:
        raise typer.BadParameter("give a manifest: a CSV or JSONL file, or - for standard input")
    if fail_fast and max_failures is not None:
        raise typer.BadParameter("--fail-fast and --max-failures exclude each other")

    from talkhead_cli.batch.job import BatchRequest
    from talkhead_cli.marking.signing import signing_of
    from talkhead_cli.settings import resolve_settings

    for path in (manifest, str(out_dir)):
        check_text(path)
    options = {key: value for key, value in given.items() if value is not None}
    # What is wrong for all rows is told once, before any row is looked at.
    resolve_settings(preset, options)
    request = BatchRequest(
        manifest="-" if manifest == "-" else Path(manifest),
        out_dir=out_dir,
        preset=preset,
        options=options,
        workers=workers,
        devices=parse_devices(devices),
        backend=backend.value,
        address=address,
        copy_files=copy_files,
        resume=resume or retry_failed,
        retry_failed=retry_failed,
        max_failures=1 if fail_fast else max_failures,
        skip_faulty=skip_faulty,
        overwrite=overwrite,
        allow_outside=allow_outside,
        sidecar=not no_sidecar,
        dry_run=dry_run,
        row_timeout=row_timeout,
        signing=signing_of(c2pa_cert, c2pa_key, c2pa_tsa),
    )
    return run(context, request, view, html and not dry_run)


def run(context: typer.Context, request: BatchRequest, view: BatchView, html: bool) -> None:
    """Run a batch, hand signals on to it, and end with its exit code."""
    from talkhead_cli.batch.run import run_batch
    from talkhead_cli.batch.stop import stopped_by_signals

    view.show(request.manifest)
    with view, stopped_by_signals(view.control, lambda: view.started):
        summary = run_batch(request, view, view.control)
        view.finish(summary, request.dry_run)
    if isinstance(context.obj, Session):
        context.obj.told = True
    if html and not summary.interrupted:
        write_html(request.out_dir, view)
    # Rows that a dry run leaves are what it would render.
    raise typer.Exit(0 if request.dry_run else summary.exit_code)


def write_html(out_dir: Path, view: BatchView) -> None:
    """The page of a run that has ended; without one the run has ended no worse."""
    from talkhead_cli.errors import TalkheadError
    from talkhead_cli.report.build import ReportRequest, build_report
    from talkhead_cli.report.progress import ReportProgress

    try:
        with ReportProgress(view.mode) as progress:
            found = build_report(ReportRequest(out_dir), progress)
    except TalkheadError as error:
        return view({"event": "warning", "message": f"there is no report: {error}"})
    view.finish_report(found)
    return None


def check_text(path: str) -> None:
    """Refuse a path of bytes that are no text: neither the run's state nor ffmpeg's arguments can hold it.

    Raises:
        UsageError: it is one.
    """
    from talkhead_cli.errors import UsageError

    try:
        str(Path(path).absolute()).encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{path}: the path is not UTF-8; rename the file or folder") from error


def print_template(kind: str | None) -> None:
    """An example of a manifest on standard output."""
    if kind not in {None, "csv", "jsonl"}:
        raise typer.BadParameter(f"--template: csv or jsonl, not {kind}")

    from talkhead_cli.batch.manifest import template

    typer.echo(template("jsonl" if kind == "jsonl" else "csv"), nl=False)


def parse_devices(text: str) -> tuple[str, ...]:
    """Devices from a list with commas, such as "cuda:0,cuda:1".

    Raises:
        typer.BadParameter: one of them is no device.
    """
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", name):
            raise typer.BadParameter(
                f"--devices: {name!r} is no device; give auto, cpu, mps or such as cuda:0,cuda:1"
            )
    return names
