"""The report page in a real browser, opened from disk: what a producer does with it in a morning.

Run by `make browser`; needs Chromium on the PATH, or playwright's own. Without one these tests fail.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from talkhead_cli.app import run
from tests.conftest import ROOT, run_ffmpeg
from tests.report_folder import HOSTILE, SCRIPT, hostile_batch, make_clip

pytestmark = pytest.mark.browser

PATIENCE = 20_000
"""Milliseconds within which anything must happen, on however busy a machine."""

FORMULA = '=HYPERLINK("http://x";"y"), \'quoted\''


@pytest.fixture(scope="module")
def page_file(
    astronaut_png: Path, short_wav: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A batch of six rows, measured and reported."""
    folder = tmp_path_factory.mktemp("night run")
    clip = make_clip(folder / "clip.mp4", astronaut_png, short_wav)
    out = hostile_batch(folder / "out #1", clip)
    assert run(["report", str(out)]) == 0
    return out / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(ROOT / "benchmarks"))
    from report_page import open_chromium

    with sync_playwright() as playwright:
        # Without any browser this fails, and so do the tests.
        started = open_chromium(playwright)
        yield started
        started.close()


HURTING = "=+-@|\t\r\n,;\"' aü1＝＠＋－\u3000"
FORMULA_SIGNS = ("=", "+", "-", "@", "|", "＝", "＠", "＋", "－")


class Tab:
    """The page, opened; insists in the end that the console had nothing to complain about."""

    def __init__(self, context: Any, file: Path) -> None:
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def wait_until(self, expression: str) -> None:
        """Wait for something to be true; the page's policy forbids playwright's own way."""
        for _ in range(PATIENCE // 50):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never true: {expression}")

    def numbers(self) -> list[int]:
        """The rows that are shown, in order."""
        texts = self.page.locator("#list > .row:visible .num").all_text_contents()
        return [int(text) for text in texts]

    def current(self) -> int:
        return int(self.page.locator('.row[aria-current="true"] .num').text_content())

    def stamps(self) -> dict[int, str]:
        found = {}
        for row in self.page.locator("#list > .row").all():
            stamp = row.locator("[data-stamp]").text_content()
            if stamp:
                found[int(row.locator(".num").text_content())] = stamp
        return found

    def left(self) -> str:
        return str(self.page.locator("#left").text_content())

    def export(self) -> tuple[str, list[dict[str, str]]]:
        """The name of the exported file, and its rows."""
        with self.page.expect_download() as download:
            self.page.click("#export")
        raw = Path(download.value.path()).read_bytes()
        assert raw.startswith(b"\xef\xbb\xbf")
        text = raw.decode("utf-8-sig")
        assert text.endswith("\r\n")
        return download.value.suggested_filename, list(
            csv.DictReader(io.StringIO(text, newline=""))
        )


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context
    context.close()


@pytest.fixture
def tab(context: Any, page_file: Path) -> Iterator[Tab]:
    tab = Tab(context, page_file)
    yield tab
    assert tab.complaints == []
    # Nothing but the page, what is in it, and the videos beside it; those alone that were asked for.
    folder = page_file.parent.as_uri()
    assert [url for url in tab.asked if not url.startswith((folder, "data:", "blob:"))] == []


def test_opens_with_the_most_trouble_first_and_loads_no_video(tab: Tab) -> None:
    assert tab.page.title() == "out #1 · talkhead report"
    assert tab.numbers() == [3, 6, 4, 5, *sorted([1, 2], key=tab.numbers().index)]
    assert tab.current() == 3
    assert "no speech" in tab.page.locator("#trouble").inner_text()
    assert "mend the cause" in tab.page.locator("#trouble").inner_text()
    assert [url for url in tab.asked if url.endswith(".mp4")] == []
    assert tab.left() == "3 left · 0 approved · 0 rejected"


def test_plays_a_clip(tab: Tab) -> None:
    row = tab.page.locator(".row", has=tab.page.get_by_text("ann.mp4", exact=True))
    row.locator(".poster").click()
    tab.wait_until("document.querySelector('#video').currentTime > 0.3")
    assert tab.page.evaluate("document.querySelector('#video').videoWidth") == 256
    assert tab.page.locator("#cannot").is_hidden()
    # The plot of the row stands on the stage, with the playhead on its way.
    assert tab.page.locator("#track svg .lips").count() == 1
    assert float(tab.page.locator("#track").get_attribute("aria-valuenow")) > 0
    tab.page.evaluate("document.querySelector('#video').pause()")
    tab.page.locator("#track").click(position={"x": 5, "y": 20})
    tab.wait_until("document.querySelector('#video').currentTime < 0.3")


def test_the_space_bar_plays_and_stepping_stops(tab: Tab) -> None:
    paused = "document.querySelector('#video').paused"
    while tab.current() != 2:
        tab.press("j")
    tab.press(" ")
    # Its name is the hostile one: its address leads to it all the same.
    tab.wait_until("document.querySelector('#video').currentTime > 0.2")
    tab.press(" ")
    assert tab.page.evaluate(paused)
    tab.press(".")
    tab.press("k")
    assert tab.current() != 2
    assert tab.page.evaluate(paused)
    assert tab.page.locator("#video").get_attribute("src") is None


def test_keys_are_for_the_video_after_a_click_and_for_the_focus_after_a_tab(tab: Tab) -> None:
    page = tab.page
    page.locator(".row .open", has_text="ann.mp4").click()
    tab.press(" ")
    tab.wait_until("document.querySelector('#video').currentTime > 0.1")
    tab.press(" ")
    page.locator('label:has(input[value="good"])').click()
    page.locator('label:has(input[name="level"][value=""])').click()
    before = tab.current()
    tab.press("ArrowUp")
    assert tab.current() != before
    # Who tabs to a button presses it by the space bar.
    page.locator("#help-open").focus()
    tab.press(" ")
    assert page.get_by_role("dialog").is_visible()


def test_a_file_that_no_browser_plays_is_told(tab: Tab) -> None:
    while tab.current() != 5:
        tab.press("j")
    tab.press(" ")
    tab.page.wait_for_selector("#cannot:visible")
    assert tab.page.locator("#cannot a").get_attribute("href") == "./broken.mp4"
    tab.complaints.clear()  # Chromium itself may tell of a file that it cannot decode.


def test_filters(tab: Tab) -> None:
    page = tab.page
    page.fill("#search", "REL-1")
    assert tab.numbers() == [1]
    page.fill("#search", "no such words")
    assert page.locator("#empty").is_visible()
    page.click("#reset")
    assert len(tab.numbers()) == 6
    page.select_option("#by-state", "failed")
    assert tab.numbers() == [3, 6]
    page.select_option("#by-state", "")
    page.check("#by-warnings")
    assert 2 in tab.numbers()
    assert not {3, 4, 6} & set(tab.numbers())
    page.click("#by-warnings")
    page.locator('input[name="level"][value="bad"]').check()
    assert set(tab.numbers()) >= {3, 4, 5, 6}
    assert page.locator('[data-count="level:bad"]').text_content() == str(len(tab.numbers()))


def test_sorts(tab: Tab) -> None:
    tab.page.select_option("#sort", "number")
    assert tab.numbers() == [1, 2, 3, 4, 5, 6]
    tab.page.click("#direction")
    assert tab.numbers() == [6, 5, 4, 3, 2, 1]
    # What is not known comes last either way.
    tab.page.select_option("#sort", "measure:jerk")
    assert set(tab.numbers()[:2]) == {1, 2}
    tab.page.click("#direction")
    assert set(tab.numbers()[:2]) == {1, 2}
    tab.page.select_option("#sort", "name")
    assert tab.numbers().index(1) < tab.numbers().index(5) < tab.numbers().index(4)


def test_approve_reject_undo_by_keys_survive_a_reload(tab: Tab) -> None:
    page = tab.page
    page.select_option("#sort", "number")
    page.locator(".row .open").first.click()
    tab.press("a")
    assert tab.current() == 2
    assert tab.stamps() == {1: "Approved"}
    tab.press("r")
    assert tab.current() == 5
    assert tab.left() == "1 left · 1 approved · 1 rejected"
    tab.press("r", "u")
    assert tab.stamps() == {1: "Approved", 2: "Rejected"}
    assert tab.current() == 5
    tab.press("n")
    page.keyboard.type(FORMULA)
    tab.press("Enter")
    page.reload()
    assert tab.stamps() == {1: "Approved", 2: "Rejected"}
    page.select_option("#by-decision", "approve")
    assert tab.numbers() == [1]
    page.select_option("#by-decision", "none")
    assert 5 in tab.numbers()
    while tab.current() != 5:
        tab.press("j")
    assert page.input_value("#note") == FORMULA


def test_exported_decisions_are_right_and_come_back(
    tab: Tab, context: Any, page_file: Path
) -> None:
    page = tab.page
    page.select_option("#sort", "number")
    page.locator(".row .open").first.click()
    tab.press("a", "r", "n")
    page.keyboard.type(FORMULA)
    tab.press("Enter")
    name, rows = tab.export()
    assert name == "decisions-out-1.csv"
    assert [row["row"] for row in rows] == list("123456")
    assert [row["decision"] for row in rows] == ["approved", "rejected", "", "", "", ""]
    assert rows[1]["file"] == HOSTILE
    assert rows[4]["note"] == "'" + FORMULA
    assert rows[0]["consent_ref"] == "REL-1"
    assert [row["status"] for row in rows] == [
        "done",
        "done",
        "failed",
        "missing",
        "unreadable",
        "failed",
    ]
    assert SCRIPT in rows[2]["findings"]
    assert SCRIPT in rows[1]["warnings"]
    assert float(rows[0]["jerk"]) >= 0
    assert rows[3]["jerk"] == ""
    assert len(rows[0]["sha256"]) == 64
    for row in rows:
        for cell in row.values():
            assert not cell.startswith(("=", "+", "@", "\t", "\r")), cell
    # Gone from the browser, and back from the file, with semicolons as spreadsheets like them.
    page.evaluate("localStorage.clear()")
    page.reload()
    assert tab.stamps() == {}
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=";")
    writer.writeheader()
    writer.writerows([*rows, {**rows[0], "id": "r-000000000000"}])
    file = {
        "name": "back.csv",
        "mimeType": "text/csv",
        "buffer": text.getvalue().encode("utf-8-sig"),
    }
    page.set_input_files("#import-file", file)
    page.wait_for_selector("#banner:visible")
    assert (
        page.locator("#banner").text_content().startswith("3 decisions imported; 1 of other rows")
    )
    assert tab.stamps() == {1: "Approved", 2: "Rejected"}
    _, again = tab.export()
    kept = [{key: row[key] for key in ("id", "decision", "note")} for row in rows]
    assert [{key: row[key] for key in ("id", "decision", "note")} for row in again] == kept


def test_no_cell_is_a_formula_and_none_is_lost(tab: Tab) -> None:
    """Cells of any characters, read by another reader of CSV, and back by the page's own."""
    random = Random(0)
    texts = ["".join(random.choices(HURTING, k=random.randint(0, 6))) for _ in range(400)]
    line = "texts => texts.map(csvCell).join(',') + '\\r\\n'"
    written = tab.page.evaluate(line, texts)
    (cells,) = csv.reader(io.StringIO(written, newline=""))
    for text, cell in zip(texts, cells, strict=True):
        assert cell in {text, "'" + text}
        assert not cell.lstrip().startswith(FORMULA_SIGNS), repr(text)
    (back,) = tab.page.evaluate("text => parseCsv(text)", written)
    assert back == cells


def test_a_row_rendered_again_is_decided_again(
    context: Any, tmp_path: Path, astronaut_png: Path, short_wav: Path
) -> None:
    clip = make_clip(tmp_path / "a.mp4", astronaut_png, short_wav)
    assert run(["report", str(tmp_path), "--no-measure"]) == 0
    tab = Tab(context, tmp_path / "report.html")
    tab.press("a")
    assert tab.stamps() == {1: "Approved"}
    run_ffmpeg("-i", clip, "-c", "copy", "-t", 0.6, tmp_path / "b.mp4")
    (tmp_path / "b.mp4").replace(clip)
    assert run(["report", str(tmp_path), "--no-measure"]) == 0
    tab.page.reload()
    assert tab.stamps() == {1: "Rendered again"}
    assert tab.left() == "1 left · 0 approved · 0 rejected"
    assert "was approved" in tab.page.locator("#stale").text_content()
    assert tab.complaints == []


def test_without_storage_it_works_and_says_so(context: Any, page_file: Path) -> None:
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('denied', 'SecurityError'); }})"
    )
    tab = Tab(context, page_file)
    assert "keeps no decisions" in tab.page.locator("#banner").text_content()
    tab.page.locator(".row .open", has_text="ann.mp4").click()
    tab.press("a")
    assert tab.stamps() == {1: "Approved"}
    assert tab.export()[1][0]["decision"] == "approved"
    assert tab.complaints == []


def test_names_that_hurt_do_no_harm(tab: Tab) -> None:
    for _ in range(6):
        tab.press("j")
    assert tab.page.title() == "out #1 · talkhead report"
    assert tab.page.locator("img[src='x']").count() == 0
    shown = tab.page.locator(".row .open bdi").all_text_contents()
    assert HOSTILE in shown


def test_help_theme_and_names_for_screen_readers(tab: Tab) -> None:
    page = tab.page
    tab.press("?")
    assert page.get_by_role("dialog").is_visible()
    tab.press("a", "Escape")
    assert page.get_by_role("dialog").count() == 0
    assert tab.stamps() == {}
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    # Everything that can be operated has a name.
    for role in ("button", "textbox", "searchbox", "combobox", "checkbox", "radio", "slider"):
        for element in page.get_by_role(role).all():
            assert element.evaluate(
                "e => (e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent || '').trim()"
            ), element.evaluate("e => e.outerHTML")


def test_contrast_in_light_and_dark(browser: Any, page_file: Path) -> None:
    """Text on the panel reaches 4.5 to 1 (WCAG 2 AA)."""
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        tab = Tab(context, page_file)
        found = tab.page.evaluate(CONTRASTS)
        assert min(found.values()) >= 4.5, (scheme, found)
        context.close()


CONTRASTS = """() => {
  const probe = document.createElement('p');
  document.body.append(probe);
  const luminance = (name) => {
    probe.style.color = `var(--${name})`;
    const part = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const pairs = [['text', 'panel'], ['soft', 'panel'], ['soft', 'bg'], ['accent', 'panel'],
    ['good', 'panel'], ['check', 'panel'], ['bad', 'panel'],
    ['good', 'good-wash'], ['check', 'check-wash'], ['bad', 'bad-wash'], ['soft', 'hover']];
  return Object.fromEntries(pairs.map(([one, other]) => [`${one} on ${other}`, ratio(one, other)]));
}"""
