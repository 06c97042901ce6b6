"""The container file, read: what is copied is there and is enough, nobody is root, nothing is fetched by hand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

TEXT = (ROOT / "Dockerfile").read_text()
LINES = re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
STEPS = [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in LINES if line.strip()]
COPIED = [
    words.split()[:-1] for name, words in STEPS if name == "COPY" and not words.startswith("--from")
]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Stage name to its steps."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, words in STEPS:
        if name == "FROM":
            found[words.split()[-1]] = current = []
        elif found:
            current.append((name, words))
    return found


def kept() -> set[str]:
    """What .dockerignore lets through."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    return {line[1:] for line in lines if line.startswith("!")}


def test_what_is_copied_is_there_and_not_ignored() -> None:
    names = [name for words in COPIED for name in words]
    assert {"pyproject.toml", "constraints.txt", "talkhead", "talkhead_cli"} <= set(names)
    for name in names:
        assert (ROOT / name).exists(), name
        assert name in kept(), name


def test_the_wheel_can_be_built_from_what_is_copied(tmp_path: Path) -> None:
    for words in COPIED:
        for name in words:
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(ROOT / name)
    text = (ROOT / "pyproject.toml").read_text()
    # What hatchling reads while it builds a wheel.
    named = [*re.findall(r"^packages = \[(.*)\]$", text, re.MULTILINE)[0].split(", ")]
    for name in [*(word.strip('"') for word in named), "presets", "README.md", "LICENSE"]:
        assert (tmp_path / name).exists(), name


def test_the_libraries_are_read_from_the_project(tmp_path: Path) -> None:
    (script,) = re.findall(r'python -c "(.*?)" ', " ".join(words for _, words in STEPS), re.DOTALL)
    if sys.version_info < (3, 11):  # the image is newer; pytest brings what tomllib was before
        script = script.replace("import tomllib", "import tomli as tomllib")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = done.stdout.split("\n")
    assert "mediapipe==0.10.21" in names
    assert any(name.startswith("torch>=") for name in names)
    assert any(name.startswith("pillow-heif") for name in names)


def test_no_stage_that_runs_is_root() -> None:
    found = stages()
    assert list(found)[-1] == "cpu", "what is built where nothing is said"
    for name in ("cpu", "cuda"):
        assert found[name][-1] == ("USER", "talkhead")
    assert ("ENTRYPOINT", '["talkhead"]') in found["runtime"]
    assert any(name == "RUN" and "useradd" in words for name, words in found["runtime"])


def test_nothing_is_fetched_but_by_package_managers() -> None:
    assert not re.search(r"\b(curl|wget|git clone|ADD)\b|https?:", TEXT)
    for name, words in STEPS:
        if name == "RUN" and "apt-get install" in words:
            assert "--no-install-recommends" in words
            assert "rm -rf /var/lib/apt/lists" in words
    images = {words.split()[0] for name, words in STEPS if name == "FROM"}
    assert images == {"python:${PYTHON}-slim-bookworm", "runtime"}
