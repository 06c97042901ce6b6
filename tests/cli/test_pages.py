"""Pages of docs/: the index is complete, named tests and commands exist, cards agree with the bundles."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import talkhead_cli
from docs.generate_cards import FOLDER as CARDS
from docs.generate_cards import write_all as write_cards
from talkhead_cli.weights import describe_bundles
from tests.conftest import ROOT

DOCS = ROOT / "docs"
TROUBLE = (DOCS / "troubleshooting.md").read_text()
COMPLAINTS = re.split(r"^### ", TROUBLE.split("## Further ones")[0], flags=re.MULTILINE)[1:]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TROUBLE)))


@cache
def functions(path: Path) -> set[str]:
    """Names of the test functions of a file."""
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_cards_say_what_the_bundles_say() -> None:
    written = write_cards()
    assert {path: path.read_text() for path in written} == written, "run `make docs`"
    bundles = describe_bundles()
    cards = {path.stem for path in CARDS.glob("*.md")} - {"README"}
    assert cards == {bundle.name for bundle in bundles}
    index = (CARDS / "README.md").read_text()
    for bundle in bundles:
        card = (CARDS / f"{bundle.name}.md").read_text()
        assert bundle.sha256 in card
        assert f"| data tier | {bundle.data_tier} |" in card
        assert f"| licence | {bundle.licence} |" in card
        # What the text promises of all of them.
        assert bundle.data_tier == "permissive"
        for heading in ("## Data", "## Figures", "## Limits", "## Who should not use it"):
            assert heading in card
        assert f"({bundle.name}.md)" in index


def test_there_are_25_complaints_and_a_row_for_each() -> None:
    titles = [text.splitlines()[0] for text in COMPLAINTS]
    assert [int(title.split(".")[0]) for title in titles] == list(range(1, 26))
    for title in titles:
        number, name = title.split(". ", 1)
        anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        assert f"| {number} | [{name}](#{anchor}) |" in TROUBLE


@pytest.mark.parametrize("text", COMPLAINTS, ids=lambda text: text.split(".")[0])
def test_a_complaint_names_its_source_and_what_settles_it(text: str) -> None:
    parts = dict(re.findall(r"^\*(.+?)\*:?(.*?)(?=^\*|\Z)", text, re.M | re.S))
    assert re.search(r"#\d+", parts["Users"])
    assert parts["talkhead"].strip()
    settled = parts["Settled by"]
    assert re.search(r"`tests/|`(python )?benchmarks/", settled)
    number = text.split(".")[0]
    (state,) = re.findall(rf"^\| {number} \|.*\| (.*) \|$", TROUBLE, re.MULTILINE)
    # Who reads the table alone is not told more than the text says.
    assert (state == "settled") == ("**" not in text)


def test_named_tests_exist() -> None:
    assert len(NAMED) > 50
    for path, name in NAMED:
        assert name in functions(ROOT / path), f"{path}::{name}"


def test_named_scripts_exist() -> None:
    pages = [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "models" / "README.md"]
    for page in pages:
        for name in re.findall(
            r"\b((?:benchmarks|models/training|examples)/\w+\.py)\b", page.read_text()
        ):
            assert (ROOT / name).exists(), f"{page}: {name}"


def test_options_of_scripts_exist() -> None:
    seen = 0
    for page in [*DOCS.glob("*.md"), ROOT / "models" / "README.md"]:
        lines = re.findall(r"^.*python (?:benchmarks|models/training)/.*$", page.read_text(), re.M)
        for line in lines:
            found = re.search(r"((?:benchmarks|models/training)/\w+\.py)([^`|#]*)", line)
            assert found is not None
            source = (ROOT / found[1]).read_text()
            for option in re.findall(r"(?<!\S)--[\w-]+", found[2]):
                seen += 1
                assert f'"{option}"' in source, f"{page.name}: {found[0]}"
    assert seen > 10


def test_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)#:]+\.md)", index)}
    pages = {path.resolve() for path in DOCS.rglob("*.md")} - {DOCS / "README.md"}
    # Commands and cards have an index of their own.
    inner = {path for path in pages if path.parent.name in {"commands", "model-cards"}}
    assert pages - {path for path in inner if path.name != "README.md"} == linked & pages


def anchors(page: Path) -> set[str]:
    """What a heading of a page can be linked by."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


def test_links_of_all_pages_lead_somewhere() -> None:
    pages = [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.md")]
    for page in pages:
        for target, anchor in re.findall(
            r"\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)", page.read_text()
        ):
            path = (page.parent / target).resolve() if target else page
            assert path.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(path), f"{page.name}: {target}#{anchor}"


def test_changelog_has_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", text, re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    assert versions[1][0] == talkhead_cli.__version__
    assert all(date for _, date in versions[1:])
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {talkhead_cli.__version__}\n" in citation
    assert f"\ndate-released: {versions[1][1]}\n" in citation
