"""Fixtures of the pipeline tests."""

import pytest
from PIL import Image
from skimage.data import astronaut

from talkhead_cli.face import Portrait, load_portrait


@pytest.fixture(scope="session")
def portrait(tmp_path_factory) -> Portrait:
    """The astronaut's head and shoulders, detected for real."""
    path = tmp_path_factory.mktemp("portrait") / "astronaut.png"
    Image.fromarray(astronaut()).crop((80, 0, 380, 300)).save(path)
    return load_portrait(path)
