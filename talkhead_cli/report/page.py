"""The page itself: one file that loads nothing but the videos beside it."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkhead_cli import __version__
from talkhead_cli.batch.board import count, printable
from talkhead_cli.errors import write_error
from talkhead_cli.evaluation.targets import MEASURES
from talkhead_cli.paths import PendingFile
from talkhead_cli.report.rows import Collection
from talkhead_cli.report.view import RowView, seconds_of

if TYPE_CHECKING:
    from talkhead_cli.report.build import Report

PARTS = Path(__file__).parent / "parts"
TEMPLATE = "report.html.j2"
STYLES = ("base.css", "list.css", "stage.css")
SCRIPTS = ("decisions.js", "list.js", "stage.js", "main.js")


def write_page(report: Report, found: Collection) -> None:
    """Write the page, by renaming.

    Raises:
        InputError: it cannot be written.
        DiskFull: there is no room for it.
    """
    pending = PendingFile(report.page, overwrite=True)
    try:
        with pending.temporary.open("w", encoding="utf-8", newline="\n") as file:
            for text in render_page(report, found):
                file.write(text)
        pending.publish()
    except OSError as error:
        raise write_error(report.page, error) from error
    finally:
        pending.discard()


def render_page(report: Report, found: Collection) -> Any:
    """The page in pieces."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(PARTS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = joined(STYLES), joined(SCRIPTS)
    return environment.get_template(TEMPLATE).generate(
        # Our own files, and nothing that anybody has typed.
        style=Markup(style),
        script=Markup(script),
        policy=security_policy(style, script),
        version=__version__,
        title=printable(found.folder.name) or "/",
        manifest=printable(Path(found.manifest).name),
        made=time.strftime("%Y-%m-%d %H:%M"),
        notes=[printable(words) for words in report.notes],
        rows=report.rows,
        about=about(report, found),
        summary=count(len(report.rows), "row"),
        seconds_of=seconds_of,
        row_data=row_data,
        measures=[item for item in MEASURES if any(item.key in row.values for row in report.rows)],
    )


def joined(names: tuple[str, ...]) -> str:
    """Parts of the page as one text."""
    return "\n".join((PARTS / name).read_text(encoding="utf-8") for name in names)


def security_policy(style: str, script: str) -> str:
    """What the page may do: its own style and script, pictures within it, videos beside it, and nothing else."""
    sources = {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest(style)}'",
        "script-src": f"'sha256-{digest(script)}'",
        "img-src": "data:",
        # From a disk a page is no origin of its own, so that 'self' alone would allow no video.
        "media-src": "'self' file:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in sources.items())


def digest(text: str) -> str:
    """sha256 as a content-security policy wants it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def about(report: Report, found: Collection) -> dict[str, Any]:
    """What the script must know of the whole."""
    known = str(found.folder.resolve()).encode("utf-8", "surrogateescape")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", found.folder.name).strip("-.") or "report"
    return {
        # Decisions are kept under it: of the folder, so that a later report of it goes on with them.
        "run": hashlib.sha256(known).hexdigest()[:16],
        "file": f"decisions-{name[:60]}.csv",
        "measures": [
            {"key": item.key, "title": item.title, "digits": item.digits, "unit": item.unit}
            for item in MEASURES
            if any(item.key in row.values for row in report.rows)
        ],
    }


def row_data(row: RowView) -> dict[str, Any]:
    """What the script must know of a row."""
    return row.to_dict() | {"seconds": round(seconds_of(row.examined), 3)}
