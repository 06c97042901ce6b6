"""Devices: the word in --device, and what networks raise."""

import pytest
import torch

from talkhead_cli.devices import model_errors, resolve_device
from talkhead_cli.errors import DeviceError, WeightsError
from talkhead_models.bundle import BundleError


def pretend_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("talkhead_cli.devices.may_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(("word", "device"), [("auto", "cpu"), ("cpu", "cpu")])
def test_without_gpu(word: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, 0)
    assert resolve_device(word) == device


@pytest.mark.parametrize(
    ("files", "platform"), [((), "linux"), (("/dev/null",), "linux"), ((), "darwin")]
)
def test_torch_is_asked_where_there_may_be_a_gpu(
    files: tuple[str, ...], platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("talkhead_cli.devices.GPU_FILES", files)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(asked.append(1)))
    assert resolve_device("auto") == "cpu"
    assert bool(asked) == (platform == "darwin" or bool(files))


@pytest.mark.parametrize("word", ["cuda", "cuda:0", "cuda:1"])
def test_gpu_asked_for_where_there_is_none(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, 0)
    with pytest.raises(DeviceError, match="--device cpu"):
        resolve_device(word)


@pytest.mark.parametrize(
    ("word", "device"),
    [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")],
)
def test_with_two_gpus(word: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, 2)
    assert resolve_device(word) == device


def test_third_of_two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, 2)
    with pytest.raises(DeviceError, match="0 to 1"):
        resolve_device("cuda:2")


def test_no_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="mps"):
        resolve_device("mps")


def test_damaged_bundle_becomes_a_weights_error() -> None:
    with pytest.raises(WeightsError, match="reinstall"), model_errors():
        raise BundleError("damaged: reinstall talkhead")


def test_memory_of_the_gpu_becomes_a_device_error() -> None:
    with pytest.raises(DeviceError, match="--size"), model_errors():
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_other_errors_pass_through() -> None:
    with pytest.raises(ZeroDivisionError), model_errors():
        raise ZeroDivisionError
