"""What is seen of a batch: its numbers, its table, its log, its events, and what signals mean to it."""

from __future__ import annotations

import io
import json
import re
import signal
import time
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from talkhead_cli.batch import view as view_module
from talkhead_cli.batch.board import (
    KEPT_FAILURES,
    KEPT_FINISHED,
    Board,
    bytes_words,
    duration_words,
    ending_words,
    printable,
)
from talkhead_cli.batch.job import BatchSummary, Control
from talkhead_cli.batch.stop import stopped_by_signals
from talkhead_cli.batch.table import MIN_HEIGHT, draw_board
from talkhead_cli.batch.view import BatchView, summary_words
from talkhead_cli.commands.options import RenderOptions
from talkhead_cli.settings import RenderSettings

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
"""Control characters, apart from the end of a line."""


def begin(rows: int, skipped: int = 0, **values: Any) -> dict[str, Any]:
    return {
        "event": "batch_start",
        "version": "1",
        "manifest": "/films/jobs.csv",
        "out_dir": "/films/out",
        "backend": "local",
        "workers": 2,
        "devices": ["cuda:0", "cuda:1"],
        "rows": rows + skipped,
        "to_do": rows,
        "skipped": skipped,
        "seconds": 10.0 * rows,
        "estimate_seconds": 30.0 * rows,
        "estimate_bytes": 3_000_000,
        **values,
    }


def row(number: int, state: str, name: str = "", **values: Any) -> dict[str, Any]:
    output = f"/films/out/{name or f'clip{number}.mp4'}"
    return {
        "event": "row",
        "row": number,
        "output": output,
        "state": state,
        "attempts": 1,
        "worker": "host:1",
        "device": "cuda:0",
        **values,
    }


def done(number: int, name: str = "") -> dict[str, Any]:
    return row(number, "done", name, made={"num_frames": 250, "elapsed_seconds": 20.0})


def failed(number: int, message: str = "face.png: no face was found") -> dict[str, Any]:
    return row(number, "failed", kind="NoFaceError", message=message, exit_code=3)


def progress(finished: int, wrong: int, to_do: int, running: dict[int, int]) -> dict[str, Any]:
    statuses = [
        {
            "row": number,
            "worker": "host:1",
            "device": "cuda:0",
            "stage": "render" if frames else "load",
            "frames": frames,
            "num_frames": 250,
            "frames_per_second": 12.5,
        }
        for number, frames in running.items()
    ]
    return {
        "event": "batch_progress",
        "done": finished,
        "failed": wrong,
        "to_do": to_do,
        "running": statuses,
        "frames_per_second": 25.0,
        "seconds_left": 120.0,
    }


def drawn(board: Board, width: int = 100, height: int = 30) -> str:
    """The table as a terminal without colours shows it."""
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(draw_board(board, height, time.time()))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# Numbers


@given(st.lists(st.sampled_from(["done", "failed", "lost"]), max_size=300), st.integers(0, 9))
def test_every_row_is_counted_once(states: list[str], waiting: int) -> None:
    board = Board()
    finals = sum(state != "lost" for state in states)
    board.take(begin(finals + waiting))
    for number, state in enumerate(states):
        board.take(row(number, "running"))
        assert number in board.running
        board.take(row(number, state))
    assert (board.done, board.failed) == (states.count("done"), states.count("failed"))
    assert board.ended + len(board.running) + board.waiting == board.to_do
    assert len(board.finished) <= KEPT_FINISHED
    assert len(board.failures) == min(states.count("failed"), KEPT_FAILURES)
    assert board._outputs == {}


def test_progress_corrects_the_numbers() -> None:
    # Faulty rows that are left out count as failed without a row of their own.
    board = Board()
    board.take(begin(10))
    board.take(progress(4, 2, 9, {7: 100}))
    assert (board.done, board.failed, board.to_do, board.waiting) == (4, 2, 9, 2)
    assert board.seconds_left == 120.0
    # What was estimated has passed, and nothing is made yet.
    board.take({**progress(0, 0, 9, {7: 0}), "seconds_left": 0.0})
    assert board.seconds_left is None


@given(st.text(), st.text(st.characters(categories=["Cc", "Cs", "Cf", "Zl"]), max_size=5))
def test_printable_leaves_no_control_character(text: str, nasty: str) -> None:
    shown = printable(text + nasty)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (5900, "98 min"),
        (7800, "2 h 10 min"),
        (10_800, "3 h"),
        (273_600, "3 days 4 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


def test_the_end_is_told_by_the_clock() -> None:
    evening = time.mktime((2026, 3, 4, 22, 30, 0, 0, 0, -1))
    assert ending_words(600, evening) == "ends about 22:40 (in 10 min)"
    assert ending_words(4 * 3600, evening).startswith("ends about Thu 02:30")
    assert ending_words(20 * 86400, evening).startswith("ends about 24 Mar 22:30")


@pytest.mark.parametrize(
    ("size", "words"), [(900, "0.9 kB"), (36e6, "36 MB"), (3.2e9, "3.2 GB"), (4e12, "4.0 TB")]
)
def test_sizes(size: float, words: str) -> None:
    assert bytes_words(size) == words


# The table


@given(
    st.integers(0, 70),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(1, 60),
    st.integers(40, 200),
)
def test_the_table_fits_the_terminal(
    running: int, finished: int, wrong: int, height: int, width: int
) -> None:
    board = Board(manifest="jobs.csv")
    board.take(begin(10_000, skipped=3))
    for number in range(finished):
        board.take(done(number))
    for number in range(wrong):
        board.take(failed(1000 + number, "a message that is long enough to be cut " * 5))
    board.take(progress(finished, wrong, 10_000, {5000 + number: 10 for number in range(running)}))
    board.stopping = "stopping"
    lines = drawn(board, width, height).splitlines()
    # One line less than there are: the cursor stands on the last.
    assert len(lines) <= max(height, MIN_HEIGHT) - 1
    assert all(len(line) <= width for line in lines)
    # Whatever there is, something of each kind is seen.
    text = "\n".join(lines)
    assert ("running" in text) >= bool(running)
    assert ("done  " in text or width < 60) >= bool(finished)
    assert ("failed" in text) >= bool(wrong)


def test_the_table_tells_what_runs_what_failed_and_when_it_ends() -> None:
    board = Board(manifest="jobs.csv")
    board.take(begin(12, skipped=2))
    board.take(row(3, "running", "anna/intro.mp4"))
    board.take(done(1, "anna/[bold]first.mp4"))
    board.take(failed(2))
    board.take(progress(1, 1, 12, {3: 125, 4: 0}))
    text = drawn(board, width=130)
    assert "jobs.csv → /films/out   2 workers (cuda:0, cuda:1)" in text
    assert "2 of 12 rows  1 failed  2 running  8 waiting  2 done before" in text
    assert "ends about" in text
    assert re.search(r"3  anna/intro.mp4 +running .*50%  10 s left  12.5 frames/s  cuda:0", text)
    assert re.search(r"4 +running +loading networks", text)
    # Names are text, not markup.
    assert re.search(r"1  anna/\[bold\]first.mp4 +done +250 frames in 20.0 s, 12.5 frames/s", text)
    assert re.search(r"2  clip2.mp4 +failed +face.png: no face was found", text)


def test_ten_thousand_rows_are_a_small_table() -> None:
    board = Board(manifest="jobs.csv")
    board.take(begin(10_000))
    for number in range(9_999):
        board.take(row(number, "running"))
        board.take(failed(number) if number % 10 == 9 else done(number))
    board.take(row(9_999, "running"))
    text = drawn(board, height=24)
    assert len(text.splitlines()) < 24
    assert "9,999 of 10,000 rows  999 failed  1 running  0 waiting" in text
    assert "more failed" in text


# What is written


@pytest.fixture
def jobs_csv(monkeypatch: pytest.MonkeyPatch) -> str:
    # Some continuous integrations force colours on; that makes no terminal of a file.
    monkeypatch.setenv("FORCE_COLOR", "1")
    return "jobs.csv"


def play(view: BatchView, *events: dict[str, Any]) -> None:
    with view:
        view.show("jobs.csv")
        for event in events:
            view(event)


RUN = (
    begin(3, skipped=1),
    row(1, "running", "a\x1b[31m.mp4"),
    progress(0, 0, 3, {1: 20}),
    done(1, "a\x1b[31m.mp4"),
    failed(2, "face.png: no face\r\nwas\x07 found"),
    row(3, "lost", kind="WorkerLost", message="the worker was killed", exit_code=1),
    done(3),
)


def test_a_log_has_a_line_for_every_row_that_ended(
    jobs_csv: str, capfd: pytest.CaptureFixture[str]
) -> None:
    play(BatchView(), *RUN)
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert CONTROL.search(err) is None
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)
    said = [line[9:] for line in lines]
    assert said[0] == "checking jobs.csv"
    assert said[1].startswith("jobs.csv: 4 rows, 3 to render, 1 done before, 30 s of video, ends")
    assert said[1].endswith("about 3 MB, 2 workers (cuda:0, cuda:1)")
    made = "250 frames in 20.0 s, 12.5 frames/s"
    assert said[2:] == [
        f"row 1 done: a\\x1b[31m.mp4: {made} [1/3, 2 min left]",
        "row 2 FAILED: clip2.mp4: face.png: no face was\\x07 found [2/3, 2 min left]",
        "row 3 lost: clip3.mp4: the worker was killed; it is tried again [2/3, 2 min left]",
        f"row 3 done: clip3.mp4: {made} [3/3]",
    ]


def test_verbose_tells_when_rows_begin(capfd: pytest.CaptureFixture[str]) -> None:
    play(BatchView(verbose=True), *RUN)
    assert "row 1 begins: a\\x1b[31m.mp4" in capfd.readouterr().err


def test_a_long_silence_is_broken(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    play(BatchView(), *RUN[:3])
    assert "running:" not in capfd.readouterr().err
    monkeypatch.setattr(view_module, "SILENCE_SECONDS", -1.0)
    play(BatchView(), *RUN[:3])
    assert "running: row 1 at 8%; 25.0 frames/s; ends about" in capfd.readouterr().err


def test_quiet_tells_failures_alone(capfd: pytest.CaptureFixture[str]) -> None:
    play(BatchView("quiet"), *RUN)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "row 2 FAILED: clip2.mp4: face.png: no face was\\x07 found\n"


def test_events_are_handed_on_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    play(BatchView("json"), *RUN)
    out, err = capfd.readouterr()
    assert err == ""
    assert [json.loads(line) for line in out.splitlines()] == list(RUN)


def test_faults_are_found_by_editors(capfd: pytest.CaptureFixture[str]) -> None:
    faults = [
        {
            "event": "fault",
            "row": number,
            "line": number + 1,
            "column": "audio",
            "message": "no.wav: no such file",
        }
        for number in range(1, 101)
    ]
    whole = {"event": "fault", "row": 0, "line": 0, "column": "", "message": "the disk is full"}
    for mode in ("human", "quiet"):
        play(BatchView(mode), *faults, whole)
        lines = [line for line in capfd.readouterr().err.splitlines() if "checking" not in line]
        assert len(lines) == 101
        assert lines[4] == "jobs.csv:6: row 5, audio: no.wav: no such file"
        assert lines[-1] == "jobs.csv: the disk is full"


def test_stopping_is_told_once(capfd: pytest.CaptureFixture[str]) -> None:
    control = Control()
    view = BatchView("json", control=control)
    view(begin(3))
    view(row(2, "running"))
    control.stop()
    view(progress(0, 0, 3, {2: 5}))
    view(progress(0, 0, 3, {2: 6}))
    control.abort()
    view({"event": "batch_done"})
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [event for event in told if event["event"] == "batch_stop"] == [
        {"event": "batch_stop", "how": "finish", "running": [2]},
        {"event": "batch_stop", "how": "now", "running": [2]},
    ]
    # Whatever comes after the signal, the last event is the last.
    assert told[-1] == {"event": "batch_done"}


def test_the_last_words_say_how_to_go_on(capfd: pytest.CaptureFixture[str]) -> None:
    whole = BatchSummary(12, 12, 0, 0, 0, 2, 4000.0)
    assert summary_words(whole) == "12 rows: 12 done; in 67 min"
    some = BatchSummary(12, 9, 2, 1, 0, 2, 4000.0)
    assert "9 done, 2 done before, 1 failed" in summary_words(some)
    assert summary_words(some).endswith("go on with --resume --retry-failed")
    stopped = BatchSummary(12, 9, 0, 0, 3, 2, 4000.0, interrupted=True)
    assert summary_words(stopped).startswith("interrupted: 12 rows: 9 done, 3 left")
    view = BatchView()
    play(view, begin(12), {"event": "batch_done", "results_csv": "/films/out/results.csv"})
    view.finish(whole)
    assert capfd.readouterr().out == "/films/out/results.csv\n"


# Signals


@pytest.fixture
def default_signals() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        # In the background of a shell some would be ignored from the start.
        signal.signal(number, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("default_signals")
class TestSignals:
    def test_first_asks_second_stops(self) -> None:
        control = Control()
        with stopped_by_signals(control, lambda: True):
            signal.raise_signal(signal.SIGINT)
            assert (control.stopping, control.aborted) == (True, False)
            signal.raise_signal(signal.SIGINT)
            assert control.aborted
            # Somebody leans on the keyboard.
            signal.raise_signal(signal.SIGINT)
        # What is left to do is not disturbed either.
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_others_stop_at_once(self, number: signal.Signals) -> None:
        control = Control()
        with stopped_by_signals(control, lambda: True):
            signal.raise_signal(number)
            assert control.aborted

    def test_before_the_run_there_is_nothing_to_finish(self) -> None:
        with pytest.raises(KeyboardInterrupt), stopped_by_signals(Control(), lambda: False):
            signal.raise_signal(signal.SIGINT)

    def test_handlers_are_given_back(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        with stopped_by_signals(Control(), lambda: True):
            assert signal.getsignal(signal.SIGINT) is not before
        assert signal.getsignal(signal.SIGINT) is before

    def test_ignored_signals_stay_ignored(self) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        control = Control()
        with stopped_by_signals(control, lambda: True):
            signal.raise_signal(signal.SIGHUP)
        assert not control.stopping
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


# Options


def test_every_setting_is_an_option() -> None:
    # A run deals out devices itself, and a preset is named, not a setting.
    others = {"preset", "description", "device"}
    assert get_type_hints(RenderOptions).keys() == RenderSettings.model_fields.keys() - others
