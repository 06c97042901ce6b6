"""The error tree: exit codes, one line each, and the way back from a worker process."""

import pickle

import pytest

from talkhead_cli import errors
from talkhead_cli.errors import TalkheadError


def every_class(root: type[TalkheadError] = TalkheadError) -> list[type[TalkheadError]]:
    found = [root]
    for child in root.__subclasses__():
        found += every_class(child)
    return found


@pytest.mark.parametrize("kind", every_class())
def test_survives_pickling(kind: type[TalkheadError]) -> None:
    error = pickle.loads(pickle.dumps(kind("what, which file, what to do")))
    assert type(error) is kind
    assert str(error) == "what, which file, what to do"


def test_exit_codes_are_the_documented_ones() -> None:
    codes = {kind.__name__: kind.exit_code for kind in every_class()}
    assert codes == {
        "TalkheadError": 1,
        "UsageError": 2,
        "InputError": 3,
        "NoFaceError": 3,
        "AudioError": 3,
        "BatchFileError": 3,
        "PresetError": 4,
        "WeightsError": 5,
        "MediaError": 6,
        "DiskFull": 6,
        "DeviceError": 7,
        "OutOfMemory": 7,
    }
    assert (errors.EXIT_DONE, errors.EXIT_ROWS_FAILED, errors.EXIT_INTERRUPTED) == (0, 8, 130)


@pytest.mark.parametrize("kind", every_class())
def test_every_class_is_in_the_drawn_tree(kind: type[TalkheadError]) -> None:
    assert kind.__doc__
    assert kind.__name__ in (errors.__doc__ or "")
