"""What the page shows of each row: judged, in words, safe to show."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from talkhead_cli.batch.board import bytes_words, printable
from talkhead_cli.evaluation.targets import MEASURES
from talkhead_cli.report.examine import Examined, plain
from talkhead_cli.report.judgement import Finding, Level, judge, worst
from talkhead_cli.report.rows import ReportRow, find_input, is_regular

NOT_SHOWN = frozenset({"description", "max_seconds"})
"""Settings that say nothing of a video."""

STATES = {
    "done": "Done",
    "failed": "Failed",
    "missing": "Missing",
    "unreadable": "Unreadable",
    "unmeasured": "Cannot be measured",
    "waiting": "Not rendered yet",
    "running": "Rendering",
}

TROUBLE = {
    "failed": 9000,
    "missing": 8000,
    "unreadable": 7000,
    "unmeasured": 6000,
    "running": -10,
    "waiting": -20,
}
"""Of rows without a video that can be watched; see `trouble_of`."""

HEADLINES = 2
"""Findings that a row tells; the rest is counted."""


@dataclass(frozen=True)
class RowView:
    """A row as the page shows it; all text is printable.

    Attributes:
        id: of the row, the same in every report of the folder; no spreadsheet takes it for a number.
        number: in the manifest.
        name: of the video below the folder.
        url: of the video from the page; "" where there is none.
        state: key of `STATES`.
        level: green, amber, red or grey.
        trouble: what rows are sorted by.
        headline: the trouble in a few words.
        sha256: of the video; a decision holds for this one alone.
        error: `kind`, `message` and `hint` of a row without a video that can be measured; else None.
        warnings: what the render and the measuring had to say.
        findings: judged measures.
        values: all measures that are known.
        facts: name and value, of the video.
        settings: name, value, and whether it is not the default.
        consent_ref: as it was given.
        examined: picture and curve.
    """

    id: str
    number: int
    name: str
    url: str
    state: str
    level: Level
    trouble: int
    headline: str
    sha256: str
    error: dict[str, str] | None
    warnings: tuple[str, ...]
    findings: tuple[Finding, ...]
    values: dict[str, float]
    facts: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str, bool], ...]
    consent_ref: str
    examined: Examined | None

    @property
    def title(self) -> str:
        """The state in words."""
        return STATES[self.state]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values, without picture and curve."""
        shown = {key: value for key, value in vars(self).items() if key != "examined"}
        return shown | {
            "findings": [asdict(item) for item in self.findings],
            "minor": [item.key for item in self.findings if item.level != item.weight],
        }


def view_row(row: ReportRow, sha256: str, examined: Examined | None, page: Path) -> RowView:
    """A row as the page shows it.

    Args:
        row: as collected.
        sha256: of its video; "" where there is none.
        examined: what was found; None where there was nothing to look at.
        page: absolute path of the page.
    """
    state: str = row.state
    if examined is not None and examined.problem:
        state = "unmeasured" if examined.poster else "unreadable"
    findings = judge(examined.measures) if examined else ()
    warnings = tuple(plain(words) for words in all_warnings(row, sha256, examined))
    level = level_of(state, findings, bool(warnings), bool(examined and examined.measured))
    error = error_of(row, examined)
    return RowView(
        id=row_id(row),
        number=row.number,
        name=printable(row.name) or f"row {row.number}",
        url=relative_url(row.video, page) if row.video and is_regular(row.video) else "",
        state=state,
        level=level,
        trouble=trouble_of(state, findings, len(warnings), level),
        headline=headline_of(level, error, findings, warnings),
        sha256=sha256,
        error=error,
        warnings=warnings,
        findings=findings,
        values=known_values(examined),
        facts=tuple((name, printable(value)) for name, value in facts_of(row, examined) if value),
        settings=settings_of(row),
        consent_ref=printable(row.consent_ref),
        examined=examined,
    )


def row_id(row: ReportRow) -> str:
    """Of a row: its video's name, or its number where a fault left it without; the same in every report."""
    known = row.name or f"row {row.number}"
    return "r-" + hashlib.sha256(known.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def relative_url(video: Path, page: Path) -> str:
    """Where the page finds a video; whatever its name, it leads nowhere else."""
    # Links between both are followed as the browser will.
    target = video.parent.resolve() / video.name
    way = os.path.relpath(target, page.parent.resolve()).replace(os.sep, "/")
    return "./" + quote(os.fsencode(way), safe="/")


def all_warnings(row: ReportRow, sha256: str, examined: Examined | None) -> Iterable[str]:
    """Everything that there is to be said of a row."""
    yield from row.warnings
    if row.sha256 and sha256 and row.sha256 != sha256:
        yield "the video was changed since it was rendered"
    if examined is not None:
        yield from examined.warnings


def level_of(state: str, findings: tuple[Finding, ...], warned: bool, measured: bool) -> Level:
    """Of a whole row: the worst of its findings by weight; a warning is amber."""
    if state in {"failed", "missing", "unreadable", "unmeasured"}:
        return "bad"
    if state in {"waiting", "running"}:
        return "none"
    level = worst([item.weight for item in findings])
    if warned:
        return worst([level, "check"])
    return "good" if measured and level == "none" else level


def trouble_of(state: str, findings: tuple[Finding, ...], warnings: int, level: Level) -> int:
    """What rows are sorted by, most first: without a video, red, amber, not measured, green, not rendered yet."""
    if state in TROUBLE:
        return TROUBLE[state]
    base = {"bad": 3000, "check": 1000, "none": 500, "good": 0}[level]
    weights = {"bad": 40, "check": 10, "good": 0, "none": 0}
    points = sum(weights[item.weight] + weights[item.level] // 10 for item in findings)
    return base + min(points + 5 * warnings, 499)


def headline_of(
    level: Level,
    error: dict[str, str] | None,
    findings: tuple[Finding, ...],
    warnings: tuple[str, ...],
) -> str:
    """The trouble of a row in a few words."""
    if error is not None:
        return error["message"]
    found = [item.words for item in findings if item.weight == "bad"]
    found += [item.words for item in findings if item.weight == "check"]
    found += warnings
    if not found:
        return {"good": "No faults found", "none": "Not measured"}.get(level, "")
    more = f" (+{len(found) - HEADLINES})" if len(found) > HEADLINES else ""
    words = "; ".join(found[:HEADLINES]) + more
    return words[:1].upper() + words[1:]


def error_of(row: ReportRow, examined: Examined | None) -> dict[str, str] | None:
    """What went wrong with a row and what to do; None of one whose video can be measured."""
    again = "then go on with talkhead batch ... --resume"
    if row.state == "failed":
        if row.kind == "Fault":
            hint = f"correct the manifest or the file, {again}"
        else:
            hint = f"mend the cause, {again} --retry-failed"
        return told(row.kind or "Error", row.message or "the row has failed", hint)
    if row.state == "missing":
        words = f"{row.name}: was rendered, but is gone"
        return told(
            "Missing", words, "put it back, or render it again with talkhead batch ... --resume"
        )
    if row.state in {"waiting", "running"}:
        words = "is being rendered" if row.state == "running" else "has not been rendered yet"
        hint = "make the report again when the run is over" if row.state == "running" else again
        return told(STATES[row.state], words, hint.removeprefix("then "))
    if examined is not None and examined.problem:
        hint = "watch it, and decide by yourself" if examined.poster else "render it again"
        return told("Not measured", examined.problem, hint)
    return None


def told(kind: str, message: str, hint: str) -> dict[str, str]:
    """An error as the page shows it."""
    return {"kind": printable(kind), "message": plain(message), "hint": hint}


def known_values(examined: Examined | None) -> dict[str, float]:
    """Measures by name, those that are defined in docs/metrics.md."""
    if examined is None:
        return {}
    return {
        item.key: examined.measures[item.key] for item in MEASURES if item.key in examined.measures
    }


def facts_of(row: ReportRow, examined: Examined | None) -> Iterable[tuple[str, str]]:
    """What the video is and what it was made from."""
    if examined is not None and examined.width:
        yield "Size", f"{examined.width} × {examined.height}"
    if examined is not None and examined.measures.get("fps"):
        yield "Length", f"{seconds_of(examined):.1f} s at {examined.measures['fps']:g} frames/s"
    if examined is not None:
        yield "Codec", examined.codec
    if row.video is not None and is_regular(row.video):
        yield "File", bytes_words(row.video.stat().st_size)
    for kind, path in row.inputs.items():
        gone = row.video is not None and path != "-" and find_input(row, kind) is None
        yield kind.replace("_", " ").capitalize(), Path(path).name + (" (gone)" if gone else "")
    if row.elapsed:
        yield "Rendered in", f"{row.elapsed:.1f} s"
    if row.attempts > 1:
        yield "Started", f"{row.attempts} times"
    if examined is not None and examined.judged_by:
        yield "Lips judged by", examined.judged_by
    yield "Marks", row.marks
    yield from row.carried.items()


def seconds_of(examined: Examined | None) -> float:
    """Length of the picture; 0 where it is not known."""
    if examined is None:
        return 0.0
    return examined.measures.get("num_frames", 0.0) / examined.measures.get("fps", 1.0)


def settings_of(row: ReportRow) -> tuple[tuple[str, str, bool], ...]:
    """Settings of the render: those that are not as by default first."""
    usual = default_settings()
    shown = [
        (
            printable(str(name)),
            printable(show_setting(value)),
            name in usual and usual[name] != value and name != "device",
        )
        for name, value in row.settings.items()
        if name not in NOT_SHOWN
    ]
    return tuple(sorted(shown, key=lambda item: not item[2]))


def show_setting(value: Any) -> str:
    """A setting's value for people."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    return " ".join(str(value).split())[:200]


@lru_cache(maxsize=1)
def default_settings() -> dict[str, Any]:
    """Settings of a render that was asked for nothing."""
    from talkhead_cli.settings import resolve_settings

    return resolve_settings(None, {}).model_dump(mode="json")
