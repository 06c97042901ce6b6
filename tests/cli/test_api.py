"""The five names of the Python interface: what they are, what they take, and that their examples work."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest

import talkhead
from talkhead_cli import api, errors
from talkhead_cli.commands.options import RenderOptions
from talkhead_cli.settings import RenderSettings, parse_fps
from tests.conftest import ROOT

NAMES = {"FaceMotion", "Portrait", "RenderSettings", "TalkingHeadPipeline", "render"}


def test_there_are_five_names_and_the_version() -> None:
    assert set(talkhead.__all__) == NAMES | {"__version__"}
    assert dir(talkhead) == sorted(talkhead.__all__)
    for name in NAMES:
        assert getattr(talkhead, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'rendr'"):
        _ = talkhead.rendr


def test_importing_it_loads_nothing_large() -> None:
    code = (
        "import sys, talkhead; talkhead.__version__; "
        "print([name for name in ('torch', 'numpy', 'cv2', 'pydantic', 'typer') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_setting_is_an_option_of_render() -> None:
    assert set(api.SettingsGiven.__annotations__) == set(RenderSettings.model_fields) - {
        "preset",
        "description",
    }
    assert set(RenderOptions.__annotations__) <= set(api.SettingsGiven.__annotations__)
    given = get_type_hints(api.SettingsGiven)
    wanted = get_type_hints(RenderSettings)
    different = {name for name, kind in given.items() if kind != wanted[name]}
    # A frame rate is read from whatever a person writes.
    assert different == {"fps"}
    assert wanted["fps"] == Fraction
    assert parse_fps("30000/1001") == parse_fps(29.97) == Fraction(30000, 1001)


@pytest.mark.usefixtures("stand_in", "folder")
def test_examples_of_the_docstrings_work() -> None:
    for module in (talkhead, api):
        found = doctest.testmod(module)
        assert found.attempted > 0, module
        assert found.failed == 0, module


@pytest.mark.usefixtures("stand_in")
def test_render_takes_settings_or_options_but_not_both(folder: Path) -> None:
    settings = talkhead.RenderSettings(fps=30, size=128)
    result = talkhead.render("portrait.png", "speech.wav", "a.mp4", settings=settings)
    assert (result.fps, result.width, result.num_frames) == (30, 128, 36)
    with pytest.raises(errors.UsageError, match="settings and seed both say how"):
        talkhead.render("portrait.png", "speech.wav", "b.mp4", settings=settings, seed=3)
    with pytest.raises(errors.UsageError, match="settings and preset both say how"):
        talkhead.render("portrait.png", "speech.wav", "b.mp4", settings=settings, preset="rest")
    with pytest.raises(errors.UsageError, match="no option 'sise'"):
        talkhead.render("portrait.png", "speech.wav", "b.mp4", sise=3)  # type: ignore[call-arg]
    with pytest.raises(errors.InputError, match="exists already"):
        talkhead.render("portrait.png", "speech.wav", "a.mp4", size=128)
    events: list[str] = []
    again = talkhead.render(
        "portrait.png",
        "speech.wav",
        "a.mp4",
        overwrite=True,
        sidecar=False,
        on_event=lambda event: events.append(event["event"]),
    )
    assert again.sidecar is None
    assert events[0] == "start"
    assert events[-1] == "done"
    assert not (folder / "b.mp4").exists()


def test_motion_is_saved_and_loaded(folder: Path) -> None:
    numbers = np.random.default_rng(0).normal(0, 0.1, (12, 54)).astype(np.float32)
    motion = talkhead.FaceMotion.from_array(numbers, Fraction(30000, 1001))
    motion.save("motion.npz")
    loaded = talkhead.FaceMotion.load("motion.npz")
    assert loaded.fps == motion.fps
    assert np.array_equal(loaded.to_array(), motion.to_array())
    with pytest.raises(ValueError, match=r"ends in \.npz"):
        motion.save("motion.pickle")
    (folder / "torn.npz").write_bytes((folder / "motion.npz").read_bytes()[:200])
    with pytest.raises(ValueError, match=r"torn\.npz: not a motion file"):
        talkhead.FaceMotion.load("torn.npz")
    talkhead.FaceMotion.from_array(1e6 * numbers).save("wild.npz")
    with pytest.raises(ValueError, match="holds values beyond"):
        talkhead.FaceMotion.load("wild.npz")
    assert {path.name for path in folder.glob("*.npz*")} == {"motion.npz", "torn.npz", "wild.npz"}
    assert not list(folder.glob(".*"))


def test_typing_marker_is_there() -> None:
    assert (ROOT / "talkhead" / "py.typed").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_page_on_python_is_true() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "api.md", "api.md", 0)
    results = doctest.DocTestRunner().run(examples)
    assert results.attempted > 20
    assert results.failed == 0
