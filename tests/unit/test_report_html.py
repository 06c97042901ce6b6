"""The page: nothing that a name, an error or a setting holds becomes part of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from talkhead_cli.report.build import Report
from talkhead_cli.report.curve import Curve
from talkhead_cli.report.examine import Examined
from talkhead_cli.report.page import render_page
from talkhead_cli.report.rows import Collection, ReportRow
from talkhead_cli.report.view import view_row
from tests.report_folder import HOSTILE, SCRIPT

FOLDER = Path("/none")
PAGE = FOLDER / "report.html"
CURVE = Curve(seconds=1.0, gap=(1, 500), loudness=(10, 50), closures=())


class Parsed(HTMLParser):
    """A page's elements, and the text of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_endtag(self, tag) -> None:
        self._inside = ""

    def handle_data(self, data) -> None:
        if self._inside in self.raw:
            self.raw[self._inside][-1] += data

    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Elements and the names of their attributes."""
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]


def render(row: ReportRow, folder: str = "none", notes: tuple[str, ...] = ()) -> Parsed:
    found = Collection(FOLDER / folder, (row,), manifest=row.name)
    examined = Examined(
        key="k",
        measured=True,
        measures={"jerk": 0.01},
        curve=CURVE,
        poster="AAAA",
        codec="h264",
    )
    views = (
        view_row(row, "aa", examined, PAGE),
        view_row(replace(row, state="failed", number=2), "", None, PAGE),
    )
    report = Report(PAGE, found.folder, views, 0, notes)
    return Parsed("".join(render_page(report, found)))


def make_row(words: str) -> ReportRow:
    """A row that holds the same words wherever words can be."""
    return ReportRow(
        1,
        words,
        FOLDER / "a.mp4",
        "done",
        kind=words,
        message=words,
        warnings=(words,),
        inputs={"portrait": words, "audio": words},
        settings={words: words, "seed": [words]},
        consent_ref=words,
        carried={words: words},
    )


PLAIN = render(make_row("plain"), notes=("plain",)).shape()
PIECES = [
    "</script>",
    "<script>",
    "<!--",
    "-->",
    "]]>",
    '"',
    "'",
    "`",
    "<",
    ">",
    "&",
    "{{",
    "}}",
    "{%",
]
PIECES += [
    "\\",
    "\u2028",
    "\u202e",
    "\0",
    "\n",
    "javascript:",
    " onload=x ",
    "\udc80",
    SCRIPT,
    HOSTILE,
]
nasty = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), min_size=1).map("".join)


@given(nasty)
@hypothesis_settings(max_examples=25)
def test_words_stay_words(words: str) -> None:
    page = render(make_row(words), notes=(words,))
    assert page.shape() == PLAIN
    # What the script reads is what was said.
    first = json.loads(page.raw["script"][0])
    assert first["consent_ref"] == "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in words
    )


def test_the_policy_allows_its_own_parts_and_nothing_else() -> None:
    page = render(make_row(SCRIPT))
    policy = next(
        a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    rules = dict(part.split(" ", 1) for part in policy.split("; "))
    assert rules.pop("default-src") == "'none'"
    (style,) = page.raw["style"]
    *data, script = page.raw["script"]
    for name, text in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules.pop(name) == f"'sha256-{digest}'"
    assert rules == {
        "img-src": "data:",
        "media-src": "'self' file:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    kinds = [attributes.get("type") for tag, attributes in page.elements if tag == "script"]
    assert kinds == ["application/json"] * len(data) + [None]
    assert not any(re.match(r"on|style$", name) for _, names in page.shape() for name in names)


def test_the_page_loads_nothing_from_elsewhere() -> None:
    page = render(make_row("plain"))
    for tag, attributes in page.elements:
        for name in ("src", "href", "poster", "action", "srcset"):
            value = attributes.get(name) or ""
            assert value.startswith(("data:image/webp;base64,", "./", "#")) or not value, (
                tag,
                value,
            )
    text = page.raw["style"][0] + page.raw["script"][-1]
    assert not re.search(
        r"https?:|url\(|@import|fetch\(|XMLHttp|innerHTML|insertAdjacent|eval\(|document\.write",
        text,
    )
