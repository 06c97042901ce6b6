"""The workflows call what a person can type, with pinned actions and no more rights than they need."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

FOLDER = ROOT / ".github" / "workflows"
NAMES = sorted(path.name for path in FOLDER.glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
ACTIONS = {"checkout", "setup-python", "upload-artifact", "download-artifact"}


def load(name: str) -> dict[Any, Any]:
    """A workflow as a dictionary; YAML 1.1 reads its key `on` as True."""
    found = yaml.safe_load((FOLDER / name).read_text())
    assert isinstance(found, dict)
    return found


def test_there_are_three() -> None:
    assert NAMES == ["nightly.yml", "release.yml", "test.yml"]


@pytest.mark.parametrize("name", NAMES)
def test_every_make_target_exists(name: str) -> None:
    text = (FOLDER / name).read_text()
    named = set(re.findall(r"(?:run|command): make ([\w-]+)", text))
    assert named
    assert named <= TARGETS
    assert len(re.findall(r"\bmake [a-z]", re.sub(r"#.*|name: .*", "", text))) == len(
        re.findall(r"(?:run|command): make ", text)
    )


@pytest.mark.parametrize("name", NAMES)
def test_actions_are_pinned_and_rights_are_few(name: str) -> None:
    workflow = load(name)
    assert workflow["permissions"] == {"contents": "read"}
    for title, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 180
        rights = job.get("permissions", {})
        assert rights in ({}, {"contents": "write"} if title == "release" else {})
        for step in job["steps"]:
            if "uses" in step:
                action, pin = step["uses"].removeprefix("actions/").split("@")
                assert action in ACTIONS
                assert re.fullmatch(r"[0-9a-f]{40}", pin)
                if action == "checkout":
                    assert step["with"]["persist-credentials"] is False
            else:
                # What others can choose, such as a tag's name, reaches a script by the environment alone.
                inserted = re.findall(r"\$\{\{ *([\w.]+)", step["run"])
                assert set(inserted) <= {"matrix.command"}
    text = (FOLDER / name).read_text()
    assert "secrets." not in text
    assert "pull_request_target" not in text


def test_tests_run_on_every_python_that_is_supported() -> None:
    matrix = load("test.yml")["jobs"]["test"]["strategy"]["matrix"]
    project = (ROOT / "pyproject.toml").read_text()
    supported = re.findall(r"Programming Language :: Python :: (3\.\d+)", project)
    assert matrix["python"] == supported


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")))
def test_issue_forms_are_forms(path: Any) -> None:
    form = yaml.safe_load(path.read_text())
    if path.name == "config.yml":
        return
    assert form["name"]
    assert form["description"]
    for item in form["body"]:
        assert item["type"] in {"markdown", "textarea", "checkboxes"}
        assert item["attributes"].get("label") or item["attributes"].get("value")
