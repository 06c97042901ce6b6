"""The table of a run on a terminal: what runs, what ended last, what failed, and when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from talkhead_cli.batch.board import (
    Board,
    Finished,
    count,
    duration_words,
    ending_words,
    printable,
)
from talkhead_cli.console import Event

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

STATE_STYLES = {"done": "green", "failed": "red", "lost": "yellow", "running": "cyan"}

STAGES = {"start": "starting", "load": "loading networks", "check": "looking at the inputs"}
"""What a row that makes no frames yet is doing."""

OTHER_LINES = 7
"""Title, bar, numbers, blank line, headings of the columns, and two lines below the table."""

MIN_HEIGHT = 12
"""Lines that the table takes even where the terminal says it has fewer."""

BAR_WIDTH = 20


def draw_board(board: Board, height: int, now: float) -> Group:
    """A run as something that rich prints, in no more lines than there are.

    Args:
        board: what is known of the run.
        height: lines of the terminal.
        now: seconds since the epoch.
    """
    from rich.console import Group

    room = max(height, MIN_HEIGHT) - OTHER_LINES - 1
    running, finished, failures = share_lines(board, room)
    parts: list[RenderableType] = [title(board), ending(board, now), numbers(board), ""]
    parts.append(rows_table(board, running, finished, failures))
    parts += [line for line in (hidden(board, running, failures), stopping(board)) if line]
    return Group(*parts)


def draw_check(board: Board) -> Table:
    """How far the checking before a run is."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    checked, files = board.checked
    table = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(1, files), completed=checked, width=BAR_WIDTH)
    table.add_row(bar, one_line(f"{checked:,} of {count(files, 'file')} checked"))
    return table


def share_lines(board: Board, room: int) -> tuple[int, int, int]:
    """Lines for running rows, rows that ended last, and failed rows; together at most `room`.

    Running rows come first, but never take what a few failures and finished rows need.
    """
    ended = len(board.finished)
    failures = min(len(board.failures), max(2, room // 4))
    few = min(ended, 2)
    running = min(len(board.running), max(1, room - failures - few))
    finished = min(ended, max(0, room - running - failures))
    return running, finished, failures


def title(board: Board) -> Text:
    """What is rendered, where to, by whom."""
    text = f"{printable(board.manifest)} → {printable(board.out_dir)}   {board.where}"
    return one_line(text, "bold")


def ending(board: Board, now: float) -> Table:
    """The bar of the whole run, and when it ends."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    words = [f"{100 * board.ended // max(1, board.to_do)}%"]
    if board.seconds_left is not None:
        words.append(ending_words(board.seconds_left, now))
    if board.running:
        words.append(f"{board.frames_per_second:.1f} frames/s")
    table = Table.grid(padding=(0, 1))
    table.add_column(width=BAR_WIDTH)
    table.add_column(no_wrap=True, overflow="ellipsis")
    bar = ProgressBar(total=max(1, board.to_do), completed=board.ended, width=BAR_WIDTH)
    table.add_row(bar, one_line("  ".join(words)))
    return table


def numbers(board: Board) -> Text:
    """How many rows are where."""
    parts = [(f"{board.ended:,} of {count(board.to_do, 'row')}", "")]
    if board.failed:
        parts.append((f"{board.failed:,} failed", STATE_STYLES["failed"]))
    parts.append((f"{len(board.running):,} running", STATE_STYLES["running"]))
    parts.append((f"{board.waiting:,} waiting", ""))
    if board.skipped:
        parts.append((f"{board.skipped:,} done before", ""))
    line = one_line("")
    for number, (words, style) in enumerate(parts):
        line.append("  " if number else "").append(words, style=style)
    return line


def hidden(board: Board, running: int, failures: int) -> Text | None:
    """How many rows there was no room for."""
    rest = [
        (len(board.running) - running, "more running"),
        (board.failed - failures, "more failed"),
    ]
    more = ", ".join(f"{number:,} {word}" for number, word in rest if number > 0)
    return one_line(f"and {more}") if more else None


def stopping(board: Board) -> Text | None:
    """What the run is doing about a signal."""
    return one_line(board.stopping, "bold yellow") if board.stopping else None


def one_line(text: str, style: str = "") -> Text:
    """A text that is cut rather than wrapped."""
    from rich.text import Text

    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def rows_table(board: Board, running: int, finished: int, failures: int) -> Table:
    """Running rows, then those that ended last, then those that failed."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True)
    table.add_column("row", justify="right", no_wrap=True, min_width=3)
    table.add_column("video", no_wrap=True, overflow="ellipsis", ratio=1, min_width=12)
    table.add_column("state", no_wrap=True, min_width=7)
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=2)
    for status in first_running(board.running.values(), running):
        table.add_row(*running_cells(board, status))
    for item in [
        *islice(reversed(board.finished), finished),
        *islice(reversed(board.failures), failures),
    ]:
        table.add_row(*finished_cells(item))
    return table


def first_running(statuses: Iterable[Event], number: int) -> list[Event]:
    """The first running rows by number."""
    return list(islice(sorted(statuses, key=lambda status: status["row"]), number))


def running_cells(board: Board, status: Event) -> tuple[RenderableType, ...]:
    """One running row."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    row, total = status["row"], status.get("num_frames") or 0
    output = board.output_of(row) or board.relative(status.get("output") or "")
    name = (str(row), Text(output), Text("running", style=STATE_STYLES["running"]))
    stage = str(status["stage"])
    if stage != "render" or not total:
        return (*name, Text(STAGES.get(stage, stage)))
    frames, rate = status["frames"], status["frames_per_second"]
    words = f"{100 * frames // total:3d}%"
    if rate > 0:
        words += f"  {duration_words((total - frames) / rate)} left"
    words += f"  {rate:.1f} frames/s  {status.get('device', '')}"
    cells = Table.grid(padding=(0, 1))
    cells.add_column(width=BAR_WIDTH)
    cells.add_column(no_wrap=True, overflow="ellipsis")
    cells.add_row(ProgressBar(total=total, completed=frames, width=BAR_WIDTH), Text(words))
    return (*name, cells)


def finished_cells(item: Finished) -> tuple[RenderableType, ...]:
    """One row that ended; its text cannot be taken for markup."""
    from rich.text import Text

    style = STATE_STYLES[item.state]
    return str(item.row), Text(item.output), Text(item.state, style=style), Text(item.text)
