"""Modules that are put off come when they are used, and are the real ones."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_module_comes_with_its_first_use_and_is_the_real_one() -> None:
    code = """
import sys
from talkhead_cli.lazy import put_off
with put_off("xml.dom"):
    import xml.dom as named
    print("xml.dom.minicompat" in sys.modules, "xml" in sys.modules)
print("xml" in sys.modules)
print(named.Node.ELEMENT_NODE, "xml" in sys.modules)
import xml.dom
print(named.Node is xml.dom.Node)
"""
    assert run(code).splitlines() == ["False True", "False", "1 True", "True"]


def test_what_is_loaded_stays() -> None:
    code = """
import xml.dom as before
from talkhead_cli.lazy import put_off
with put_off("xml.dom"):
    import xml.dom as named
print(named is before)
"""
    assert run(code) == "True"


@pytest.mark.parametrize("use", ["named.thing", "from nowhere import thing"])
def test_what_is_not_installed_is_missed_when_it_is_used(use: str) -> None:
    code = f"""
from talkhead_cli.lazy import put_off
with put_off("nowhere.inner"):
    import nowhere.inner as named
try:
    {use}
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run(code) == "nowhere"


def test_a_module_imported_ahead_is_waited_for() -> None:
    code = """
import sys
from talkhead_cli.lazy import import_ahead
import_ahead("xml.dom.minidom")
import_ahead("no.such.module")
import xml.dom.minidom as now
print(now.parseString("<a/>").documentElement.tagName)
"""
    assert run(code) == "a"


def test_finding_a_face_brings_no_plotting() -> None:
    code = """
import sys
from talkhead_cli.face.graphs import import_mediapipe
import_mediapipe()
print("matplotlib" in sys.modules, "torch" in sys.modules)
"""
    assert run(code) == "False False"
