"""Make the report of a folder: collect its rows, look at what is not known yet, write the page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkhead_cli.batch.board import count
from talkhead_cli.console import OnEvent
from talkhead_cli.errors import InputError, UsageError
from talkhead_cli.ffmpeg_binary import ffmpeg_path
from talkhead_cli.report.examine import Examined, Task, crashed, examine, plain
from talkhead_cli.report.judgement import Level
from talkhead_cli.report.rows import Collection, ReportRow, collect, find_input, is_regular
from talkhead_cli.report.store import Store
from talkhead_cli.report.view import RowView, view_row

PAGE = "report.html"
SUFFIXES = frozenset({".html", ".htm"})
MARK = '<meta name="generator" content="talkhead'
"""At the beginning of every page: only such a file is replaced."""

MARK_WITHIN = 2000
"""Bytes."""


@dataclass(frozen=True)
class ReportRequest:
    """What was asked for.

    Attributes:
        folder: output folder of a batch, or any folder of videos.
        page: where the page goes; None puts it into the folder.
        measure: measure videos that are not measured yet.
        flow: and their optical flow, which takes ten times as long.
        jobs: processes; None takes as many as there are cores.
    """

    folder: Path
    page: Path | None = None
    measure: bool = True
    flow: bool = False
    jobs: int | None = None


@dataclass(frozen=True)
class Report:
    """What was found and where it is shown.

    Attributes:
        page: absolute path.
        folder: absolute.
        rows: most trouble first.
        measured: videos looked at now; all others were known.
        notes: about the folder as a whole.
    """

    page: Path
    folder: Path
    rows: tuple[RowView, ...]
    measured: int
    notes: tuple[str, ...]

    def words(self) -> str:
        """What was found, on one line."""
        levels = Counter(row.level for row in self.rows)
        names: dict[Level, str] = {
            "bad": "with trouble",
            "check": "to look at",
            "good": "good",
            "none": "unknown",
        }
        parts = [f"{levels[key]:,} {name}" for key, name in names.items() if levels[key]]
        return (
            f"{count(len(self.rows), 'row')}: {', '.join(parts)}; {self.measured:,} looked at now"
        )

    def to_event(self) -> dict[str, Any]:
        """Without the rows."""
        return {
            "event": "report",
            "page": str(self.page),
            "folder": str(self.folder),
            "num_rows": len(self.rows),
            "measured": self.measured,
            "states": dict(Counter(row.state for row in self.rows)),
            "levels": dict(Counter(row.level for row in self.rows)),
            "notes": list(self.notes),
        }


def ignore_event(event: dict[str, Any]) -> None:
    """The default sink."""


def build_report(request: ReportRequest, on_event: OnEvent = ignore_event) -> Report:
    """Write the page.

    Args:
        request: what was asked for.
        on_event: called with a `report_progress` event for every video that was looked at.

    Raises:
        InputError: there is nothing to report of, or the page cannot be written.
        MediaError: ffmpeg is missing.
        UsageError: the page's name is none.
    """
    from talkhead_cli.report.page import write_page

    page = check_page(request)
    found = collect(request.folder)
    examination = Examination(request, found, Store(found.folder))
    examination.run(on_event)
    rows = [
        view_row(row, examination.hashes.get(row.number, ""), examination.of(row), page)
        for row in found.rows
    ]
    rows.sort(key=lambda row: (-row.trouble, row.number))
    report = Report(page, found.folder, tuple(rows), examination.done, found.notes)
    write_page(report, found)
    return report


class Examination:
    """Looks at the videos of a folder that are not known yet.

    Args:
        request: what was asked for.
        found: the folder's rows.
        store: what is known.

    Attributes:
        hashes: sha256 of the videos, by the rows' numbers.
        done: videos looked at.
    """

    def __init__(self, request: ReportRequest, found: Collection, store: Store) -> None:
        self.request = request
        self.rows = found.rows
        self.store = store
        self.hashes: dict[int, str] = {}
        self.done = 0
        self._keys: dict[int, str] = {}
        self._found: dict[str, Examined] = {}

    def of(self, row: ReportRow) -> Examined | None:
        """What was found of a row; None where there was nothing to look at."""
        return self._found.get(self._keys.get(row.number, ""))

    def run(self, on_event: OnEvent) -> None:
        """Look at what is not known; several processes, a file that kills one costs nothing but itself.

        Raises:
            MediaError: ffmpeg is missing.
        """
        import joblib

        from talkhead_cli.batch.files import work_on_all

        tasks = self._tasks()
        if tasks:
            ffmpeg_path()
            on_event({"event": "report_progress", "measured": 0, "videos": len(tasks)})
        number = min(self.request.jobs or joblib.cpu_count(), joblib.cpu_count())
        for _, found in work_on_all(list(tasks.values()), examine, crashed, number, ahead=1):
            self.done += 1
            self._found[found.key] = found
            self.store.put(found)
            on_event({"event": "report_progress", "measured": self.done, "videos": len(tasks)})
        self.store.prune(set(self._keys.values()))

    def _tasks(self) -> dict[str, Task]:
        """What is to be looked at, by key."""
        tasks: dict[str, Task] = {}
        for row in self.rows:
            if row.video is None:
                continue
            try:
                if not is_regular(row.video):
                    raise InputError(f"{row.video}: is no regular file; give a video")
                self.hashes[row.number] = sha256 = self.store.sha256(row)
            except (OSError, InputError) as error:
                self._refuse(row, error)
                continue
            self._keys[row.number] = key = self.store.key(row, sha256)
            known = self._found.get(key) or self.store.get(key)
            if known is not None:
                self._found[key] = known
            if known is None or not self._is_enough(known):
                tasks[key] = self._task(row, key)
        return tasks

    def _is_enough(self, known: Examined) -> bool:
        """Whether all that was asked for is known."""
        if not self.request.measure:
            return True
        return known.measured and (known.flow or not self.request.flow)

    def _task(self, row: ReportRow, key: str) -> Task:
        portrait, audio = find_input(row, "portrait"), find_input(row, "audio")
        return Task(
            key=key,
            video=str(row.video),
            portrait=str(portrait) if portrait else None,
            audio=str(audio) if audio else None,
            measure=self.request.measure,
            flow=self.request.flow,
        )

    def _refuse(self, row: ReportRow, error: Exception) -> None:
        """A video that cannot be read."""
        self._keys[row.number] = key = f"row-{row.number}"
        if row.video is not None and row.video.is_dir():
            words = "this is a folder of pictures, which is not measured"
            self._found[key] = Examined(key=key, warnings=(words,))
            return
        words = str(error)
        if isinstance(error, OSError):
            words = f"{row.video}: cannot be read ({error.strerror})"
        self._found[key] = Examined(key=key, problem=plain(words), passing=True)


def check_page(request: ReportRequest) -> Path:
    """The page's absolute path; an existing page is replaced, nothing else is.

    Raises:
        InputError: it cannot be written, or something else is in its place.
        UsageError: its name is none of a page.
    """
    from talkhead_cli.paths import temporary_beside

    page = (request.page or request.folder / PAGE).absolute()
    if page.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{page}: the report is a page, so its name must end in .html")
    try:
        if request.page is not None and not page.parent.is_dir():
            raise InputError(
                f"{page.parent}: the folder for the report does not exist; create it first"
            )
        if page.exists() and not is_ours(page):
            raise InputError(f"{page}: exists and is no report of talkhead; choose another -o")
        if page.parent.is_dir():
            temporary_beside(page).unlink()
    except OSError as error:
        raise InputError(f"{page}: cannot be written ({error.strerror})") from error
    return page


def is_ours(page: Path) -> bool:
    """Whether a file is a report, by its beginning."""
    if not is_regular(page):
        return False
    with page.open("rb") as file:
        return MARK.encode() in file.read(MARK_WITHIN)
