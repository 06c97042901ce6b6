"""What README and docs say is so."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from talkhead_cli import errors
from talkhead_cli.commands.batch import batch
from talkhead_cli.commands.evaluate import evaluate
from talkhead_cli.commands.render import render
from talkhead_cli.commands.report import report
from talkhead_cli.evaluation.targets import MEASURES
from talkhead_cli.media import probe_media
from tests.cli.conftest import Talkhead, start_process
from tests.conftest import ROOT, run_ffmpeg

README = (ROOT / "README.md").read_text()
CLI = (ROOT / "docs" / "cli.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


COMMANDS = list(
    dict.fromkeys(line for block in blocks("bash") for line in block.splitlines() if line)
)


@pytest.fixture
def folder(folder: Path) -> Path:
    """With a manifest, too."""
    (folder / "jobs.csv").write_text("portrait,audio,output\nportrait.png,speech.wav,first.mp4\n")
    return folder


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("talkhead")])
def test_command_of_the_readme_works(command: str, folder: Path, talkhead: Talkhead) -> None:
    words = shlex.split(command)[1:]
    if "out.mp4" in words and words[words.index("out.mp4") - 1] != "-o":
        # What an earlier command made.
        still = ("-loop", 1, "-framerate", 25, "-i", "portrait.png", "-i", "speech.wav")
        run_ffmpeg(*still, "-t", 1.2, "-pix_fmt", "yuv420p", "out.mp4")
    if "<" in words:
        words, source, target = words[: words.index("<")], words[-3], words[-1]
        paths = {word: folder / word for word in ("portrait.png",)}
        with Path(source).open("rb") as speech, Path(target).open("wb") as video:
            given = [paths.get(word, word) for word in words]
            with start_process(*given, stdin=speech, stdout=video) as process:
                _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        assert probe_media(Path(target)).has_video
    elif ">" in words:
        done = talkhead(*words[: words.index(">")])
        assert done.code == 0
        assert "portrait,audio,output" in done.out
    else:
        assert talkhead(*words).code == 0


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("make")])
def test_make_target_of_the_readme_exists(command: str) -> None:
    target = command.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_no_command_is_left_untested() -> None:
    others = [line for line in COMMANDS if not line.startswith(("talkhead ", "make "))]
    assert others == ["pip install -c constraints.txt ."]


@pytest.mark.usefixtures("stand_in", "folder")
def test_python_of_the_readme_works() -> None:
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    assert probe_media(Path("python.mp4")).has_video


def test_exit_codes_of_the_readme() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert listed == {value for name, value in vars(errors).items() if name.startswith("EXIT_")}


def test_files_of_the_readme_exist() -> None:
    (tree,) = [block for block in blocks("") if "talkhead_cli/" in block]
    folder = ROOT
    for line in tree.splitlines():
        names = re.split(r"\s{2,}|, ", line.strip())
        names = [name for name in names if re.fullmatch(r"[\w./]+[./]\w*|Makefile", name)]
        if not line.startswith(" "):
            folder = ROOT
        for name in names:
            assert (folder / name).exists(), name
        if not line.startswith(" ") and names and names[0].endswith("/"):
            folder = ROOT / names[0]


def test_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


@pytest.mark.parametrize(
    ("command", "others"),
    [
        (render, {"context", "portrait", "audio", "output", "as_json"}),
        (batch, {"context", "manifest", "as_json"}),
        (evaluate, {"context", "video", "as_json"}),
        (report, {"context", "folder", "as_json"}),
    ],
)
def test_every_option_is_in_the_reference(command: Callable[..., None], others: set[str]) -> None:
    names = inspect.signature(command).parameters.keys() - others
    options = ["--" + name.replace("_", "-") for name in names]
    assert [option for option in options if f"`{option}`" not in CLI] == []


def test_every_measure_is_defined() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    for item in MEASURES:
        short = "`_" + item.key.rpartition("_")[2] + "`"
        assert f"`{item.key}`" in page or short in page, item.key


def test_presets_of_the_readme_are_the_built_in_ones() -> None:
    from talkhead_cli.settings import list_presets, resolve_settings

    rows = re.findall(r"^\| `([\w-]+)`[^|]*\| (\d+) \|", README, re.MULTILINE)
    assert dict(rows) == {
        name: str(resolve_settings(name, {}).num_inference_steps) for name in list_presets()
    }


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
