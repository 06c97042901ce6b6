"""docs/commands/: as the code is, complete, and with examples that the parser takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from docs.generate_commands import FOLDER, commands_by_page, write_all
from talkhead_cli import errors
from talkhead_cli.app import app
from talkhead_cli.settings import RenderSettings
from tests.conftest import ROOT

PAGES = {path.stem: path.read_text() for path in FOLDER.glob("*.md")}
EXAMPLES = [
    line
    for commands in commands_by_page().values()
    for command in commands
    for line in command.examples
]


def test_no_page_is_stale() -> None:
    written = {path: path.read_text() for path in FOLDER.glob("*.md")}
    assert written == write_all(), "run `make docs`"


def test_every_command_has_a_page() -> None:
    group = typer.main.get_command(app)
    names: set[str] = set(group.commands)  # type: ignore[attr-defined]
    assert names == set(PAGES) - {"README"}
    for name in names:
        assert f"```\ntalkhead {name}" in PAGES[name]


def test_ranges_are_those_of_the_settings() -> None:
    rows = dict(re.findall(r"^\| `--([\w-]+)`[^|]*\| ([^|]*?) *\|", PAGES["render"], re.MULTILINE))
    assert rows["crf"] == "whole number, 0 to 51"
    assert rows["fps"] == "rate, 5 to 120"
    given = {key.replace("-", "_") for key in rows}
    assert set(RenderSettings.model_fields) - given == {"description"}


def test_exit_codes_are_on_some_page() -> None:
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    listed = {
        int(code) for text in PAGES.values() for code in re.findall(r"^\| (\d+) \|", text, re.M)
    }
    assert listed == codes
    assert "| 8 |" in PAGES["batch"]
    assert "| 8 |" not in PAGES["render"]


@pytest.mark.parametrize("line", EXAMPLES)
def test_example_is_understood_by_the_parser(line: str) -> None:
    words = shlex.split(line.split(" > ")[0].split(" < ")[0])
    assert words.pop(0) == "talkhead"
    command: Any = typer.main.get_command(app)
    context = None
    while hasattr(command, "commands"):
        name = words.pop(0)
        context = command.make_context("talkhead", [name], parent=context)
        command = command.commands[name]
    with command.make_context("talkhead", words, parent=context) as parsed:
        assert parsed.params


def test_script_tells_of_stale_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from docs import generate_commands

    monkeypatch.setattr(generate_commands, "FOLDER", ROOT / "docs" / "nowhere")
    monkeypatch.setattr("sys.argv", ["generate_commands.py", "--check"])
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)
    assert generate_commands.main() == 1
    assert "docs/nowhere/render.md: stale" in capsys.readouterr().err
