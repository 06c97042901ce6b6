"""The command line: the Typer app, and `main`, the only place that catches everything."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

from talkhead_cli import __version__
from talkhead_cli.commands import models, presets
from talkhead_cli.commands.batch import batch
from talkhead_cli.commands.common import Session
from talkhead_cli.commands.doctor import doctor
from talkhead_cli.commands.evaluate import evaluate
from talkhead_cli.commands.probe import probe
from talkhead_cli.commands.render import render
from talkhead_cli.commands.report import report as report_command
from talkhead_cli.commands.verify import verify
from talkhead_cli.console import debugging, write_json, write_message, write_result
from talkhead_cli.errors import EXIT_BUG, EXIT_DONE, EXIT_INTERRUPTED, TalkheadError, known_error

app = typer.Typer(
    name="talkhead",
    help="Talking-head videos from one portrait and one speech recording.",
    epilog="Exit codes: 0 done, 1 bug, 2 usage, 3 input, 4 preset, 5 weights, 6 ffmpeg, 7 device, "
    "8 batch with failed rows, 9 marks are missing, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        write_result(f"talkhead {__version__}")
        raise typer.Exit


@app.callback()
def talkhead(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Talking-head videos from one portrait and one speech recording."""


app.command()(render)
app.command()(batch)
app.command()(probe)
app.command()(evaluate)
app.command()(verify)
app.command("report")(report_command)
app.add_typer(presets.app, name="presets")
app.add_typer(models.app, name="models")
app.command()(doctor)


def main() -> None:
    """The console script."""
    # Worker threads that wait by spinning take the cores from ffmpeg and from whatever else the machine does; on a busy
    # machine that makes small networks ten times slower. Must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    catch_signals()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    session = Session()
    try:
        app(args=list(arguments), prog_name="talkhead", obj=session)
    except SystemExit as stop:
        if stop.code == EXIT_INTERRUPTED and not session.told:
            return interrupted(session)
        return stop.code if isinstance(stop.code, int) else EXIT_BUG if stop.code else EXIT_DONE
    except KeyboardInterrupt:
        return interrupted(session)
    except TalkheadError as error:
        if debugging():
            write_message(traceback.format_exc().rstrip())
        report(session, type(error).__name__, " ".join(str(error).split()), error.exit_code)
        return error.exit_code
    except BaseException as error:
        known = known_error(error)
        if known is not None:
            report(session, type(known).__name__, str(known), known.exit_code)
            return known.exit_code
        write_message(traceback.format_exc().rstrip())
        words = f"this is a bug in talkhead ({type(error).__name__}); please report it with the lines above"
        report(session, "Bug", words, EXIT_BUG)
        return EXIT_BUG
    return EXIT_DONE


def interrupted(session: Session) -> int:
    """Say so; everything has been cleaned up on the way here."""
    report(session, "Interrupted", f"interrupted: {session.left}", EXIT_INTERRUPTED)
    return EXIT_INTERRUPTED


def report(session: Session, kind: str, message: str, exit_code: int) -> None:
    """One line on standard error, and an event where those were asked for."""
    if session.reporter is not None:
        session.reporter.close()
        if session.reporter.mode == "json":
            write_json({"event": "error", "kind": kind, "message": message, "exit_code": exit_code})
    write_message(message if kind == "Interrupted" else f"error: {message}")


def catch_signals() -> None:
    """Make SIGTERM and SIGHUP end a render as Ctrl-C does, cleaning up; a second Ctrl-C does not disturb that."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        for other in caught:
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt

    caught = [
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
    ]
    for name in caught:
        # A signal that is ignored stays ignored: nohup and background jobs mean it.
        if signal.getsignal(name) is not signal.SIG_IGN:
            signal.signal(name, interrupt)


if __name__ == "__main__":
    main()
