"""Fixtures of the pipeline tests."""

import pytest
from PIL import Image
from skimage.data import astronaut

from talkhead_cli.face import Portrait, load_portrait


@pytest.fixture(scope="session")
def portrait(tmp_path_factory) -> Portrait:
    """The astronaut at 256 pixels, detected for real."""
    path = tmp_path_factory.mktemp("portrait") / "astronaut.png"
    Image.fromarray(astronaut()).resize((256, 256)).save(path)
    return load_portrait(path)
