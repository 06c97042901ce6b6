"""The package as a user installs it: wheel and editable, run from a folder with its own models/ and presets/."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT, decode_frames

BIN = "Scripts" if os.name == "nt" else "bin"
CHILD = {
    key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "TALKHEAD_WEIGHTS"}
}


def check(*command: object, cwd: Path | None = None) -> str:
    """Run a command that must succeed; its standard output."""
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=CHILD, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def make_environment(folder: Path) -> Path:
    """A new environment that sees this one's libraries but not its talkhead; its Python.

    A plain path in a .pth file does not run the .pth files of that place, so that an editable talkhead stays unseen.
    """
    venv.create(folder, with_pip=False)
    python = folder / BIN / "python"
    site = Path(
        check(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    check(
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--sdist",
        "--no-isolation",
        "--outdir",
        folder,
        ROOT,
    )
    return next(folder.glob("*.whl"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder whose own models/ and presets/ must not be taken for ours."""
    folder = tmp_path / "elsewhere"
    (folder / "models" / "talkhead_models").mkdir(parents=True)
    (folder / "models" / "talkhead_models" / "__init__.py").write_text(
        "raise RuntimeError('the wrong one')\n"
    )
    (folder / "presets").mkdir()
    (folder / "presets" / "talkhead.yaml").write_text("crf: 51\n")
    (folder / "ffmpeg.py").write_text("raise RuntimeError('the wrong one')\n")
    return folder


def find_all(python: Path, elsewhere: Path, expected: Path) -> Path:
    """Insist that an installed talkhead finds its own code, presets and weights; its command."""
    talkhead = python.parent / "talkhead"
    where = (
        "import talkhead_cli, talkhead_models as m; print(talkhead_cli.__file__); print(m.__file__)"
    )
    for line in check(
        python, "-c", f"import sys; sys.path.remove(''); {where}", cwd=elsewhere
    ).split():
        assert Path(line).is_relative_to(expected)
    assert "crf: 18" in check(talkhead, "presets", "show", "talkhead", cwd=elsewhere)
    check(talkhead, "models", "verify", cwd=elsewhere)
    return talkhead


def use(python: Path, elsewhere: Path, expected: Path, portrait: Path, speech: Path) -> None:
    """Do the main job with an installed talkhead."""
    talkhead = find_all(python, elsewhere, expected)
    check(talkhead, "render", portrait, speech, "-o", "out.mp4", cwd=elsewhere)
    assert len(decode_frames(elsewhere / "out.mp4", 256, 256)) == 30


def test_wheel_renders_from_an_unrelated_folder(
    wheel: Path, elsewhere: Path, tmp_path: Path, astronaut_png: Path, short_wav: Path
) -> None:
    python = make_environment(tmp_path / "environment")
    check(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        wheel,
    )
    use(python, elsewhere, tmp_path / "environment", astronaut_png, short_wav)


def test_editable_install_finds_its_own_from_an_unrelated_folder(
    elsewhere: Path, tmp_path: Path
) -> None:
    python = make_environment(tmp_path / "environment")
    options = ["-q", "--no-deps", "--no-index", "--no-build-isolation", "--editable"]
    check(sys.executable, "-m", "pip", "--python", python, "install", *options, ROOT)
    find_all(python, elsewhere, ROOT)


def test_wheel_holds_what_is_needed_and_no_more(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "talkhead_cli/presets/talkhead.yaml" in names
    assert "talkhead_models/weights/SHA256SUMS.json" in names
    assert {"talkhead/py.typed", "talkhead_cli/py.typed", "talkhead_models/py.typed"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "talkhead",
        "talkhead_cli",
        "talkhead_models",
    }


def test_source_archive_holds_the_training_and_the_tests(wheel: Path) -> None:
    with tarfile.open(next(wheel.parent.glob("*.tar.gz"))) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {
        "Makefile",
        "constraints.txt",
        "presets/talkhead.yaml",
        "examples/speech.wav",
        "LICENSE",
        "Dockerfile",
        ".github/workflows/test.yml",
        "docs/commands/render.md",
    } <= names
    assert any(name.startswith("models/training/") for name in names)
    assert not any(name.startswith(("data/", ".venv/", "out/")) for name in names)


def test_version_is_written_once() -> None:
    from importlib import metadata

    import talkhead_cli

    assert metadata.version("talkhead") == talkhead_cli.__version__


def test_requirements_and_pins_agree() -> None:
    import re

    text = (ROOT / "pyproject.toml").read_text()
    wanted = re.findall(r'^    "([a-z0-9-]+)[><=]', text, re.MULTILINE)
    pins = {
        line.split("==")[0]
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    assert {name.lower() for name in wanted} <= pins
    versions = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line.startswith("opencv")
    )
    assert len(set(versions.values())) == 1
