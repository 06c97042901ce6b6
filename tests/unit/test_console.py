"""What reaches the terminal and what does not."""

import json
import logging
import os
import sys

import pytest

from talkhead_cli import console
from talkhead_cli.console import (
    Reporter,
    native_stderr_silenced,
    setup_logging,
    write_message,
    write_result,
)


def write_natively(text: str) -> None:
    os.write(2, text.encode())


def test_native_lines_are_kept_out_and_our_own_get_through(
    capfd: pytest.CaptureFixture[str],
) -> None:
    # As in a real process: sys.stderr writes to descriptor 2.
    own = os.fdopen(os.dup(2), "w", buffering=1)
    real = os.fdopen(2, "w", buffering=1, closefd=False)
    previous, sys.stderr = sys.stderr, real
    try:
        with native_stderr_silenced():
            write_natively("W0000 native noise\n")
            write_message("ours")
            with native_stderr_silenced():
                write_natively("more noise\n")
        write_natively("after\n")
        assert sys.stderr is real
    finally:
        sys.stderr = previous
        own.close()
        real.close()
    error = capfd.readouterr().err
    assert "ours" in error
    assert "after" in error
    assert "noise" not in error


def test_native_lines_reach_the_debug_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "talkhead_cli.console"), native_stderr_silenced():
        write_natively("I0000 hello\n")
    assert "native: I0000 hello" in caplog.text


def test_descriptor_two_is_restored_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="inside"), native_stderr_silenced():
        raise ValueError("inside")
    write_natively("back\n")
    assert "back" in capfd.readouterr().err


def test_nothing_is_silenced_when_debugging(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALKHEAD_DEBUG", "1")
    with native_stderr_silenced():
        write_natively("native crash\n")
    assert "native crash" in capfd.readouterr().err


def test_json_mode_writes_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter("json") as reporter:
        reporter({"event": "progress", "frames": 1, "num_frames": 2, "frames_per_second": 1.0})
        reporter({"event": "warning", "message": "ä\n[b]"})
        reporter.note("not for programs")
    out, error = capsys.readouterr()
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["progress", "warning"]
    assert error == ""


def test_human_mode_keeps_standard_output_clean(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter("human") as reporter:
        reporter({"event": "warning", "message": "[red]/a/path[/red]"})
        reporter({"event": "progress", "frames": 1, "num_frames": 2, "frames_per_second": 1.0})
    out, error = capsys.readouterr()
    assert out == ""
    assert error == "warning: [red]/a/path[/red]\n"


def test_quiet_mode_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter("quiet") as reporter:
        reporter({"event": "warning", "message": "x"})
        reporter.note("y")
    assert capsys.readouterr() == ("", "")


def test_progress_bar_appears_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []

    class Bar:
        def add_task(self, *values: object, **fields: object) -> int:
            return 0

        def start(self) -> None:
            shown.append("start")

        def update(self, task: int, **fields: object) -> None:
            shown.append(fields)

        def stop(self) -> None:
            shown.append("stop")

    monkeypatch.setattr(console, "make_progress", Bar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Reporter("human") as reporter:
        reporter({"event": "progress", "frames": 3, "num_frames": 9, "frames_per_second": 12.34})
    assert shown == ["start", {"completed": 3, "rate": "12.3 frames/s"}, "stop"]


def test_logging_is_set_up_once_and_by_verbosity(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    try:
        setup_logging(verbose=False)
        setup_logging(verbose=True)
        ours = [item for item in root.handlers if isinstance(item, console.StderrHandler)]
        assert len(ours) == 1
        logging.getLogger("talkhead_cli.x").info("told")
        logging.getLogger("somebody.else").debug("not told")
        assert capsys.readouterr().err == "INFO talkhead_cli.x: told\n"
    finally:
        root.handlers, root.level = before
        logging.captureWarnings(False)


def test_a_terminal_gets_no_control_characters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nasty = "a\x1b]0;title\x07\x9b2Jb\nd\udcff"
    write_message(nasty)
    assert capsys.readouterr().err == "a\\x1b]0;title\\x07\\x9b2Jb\nd\\udcff\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    write_result("out\x1b[2J.mp4")
    assert capsys.readouterr().out == "out\\x1b[2J.mp4\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    write_result("out\x1b[2J.mp4")  # programs get the path as it is
    assert capsys.readouterr().out == "out\x1b[2J.mp4\n"
