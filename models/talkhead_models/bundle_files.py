"""Where weight bundles lie and what is in them; apart from `bundle`, since none of this needs torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

WEIGHTS_VARIABLE = "TALKHEAD_WEIGHTS"
SUMS_NAME = "SHA256SUMS.json"
SUFFIX = ".safetensors"


HEADER_ERRORS = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What comes of reading JSON that is damaged, or that holds something else than it should."""


class BundleError(RuntimeError):
    """A bundle is missing, damaged, or not what its name says. The message says which file and what to do."""


@contextmanager
def fitting(name: str, what: str) -> Iterator[None]:
    """Around the making of a network: what its numbers or sizes stumble over is the bundle's fault.

    Args:
        name: of the bundle.
        what: it should be, with its article.

    Raises:
        BundleError: it is not.
    """
    try:
        yield
    except BundleError:
        raise
    except (*HEADER_ERRORS, RuntimeError, LookupError, ArithmeticError, MemoryError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BundleError(f"Bundle {name} is not {what} ({reason}): reinstall talkhead.") from error


def weights_folder() -> Path:
    """The folder bundles are loaded from.

    Raises:
        BundleError: TALKHEAD_WEIGHTS is set and is not a folder.
    """
    chosen = os.environ.get(WEIGHTS_VARIABLE)
    if chosen:
        folder = Path(chosen)
        if not folder.is_dir():
            raise BundleError(
                f"{WEIGHTS_VARIABLE} names {chosen}, which is not a folder: correct or unset it."
            )
        return folder
    return Path(__file__).parent / "weights"


def bundle_path(name_or_path: str | Path) -> Path:
    """Where a bundle lies: a path is taken as it is, a name is looked up in `weights_folder`."""
    path = Path(name_or_path)
    return path if path.suffix == SUFFIX else weights_folder() / f"{name_or_path}{SUFFIX}"


def list_bundles() -> list[str]:
    """Names of the bundles in the weights folder, sorted."""
    return sorted(path.stem for path in weights_folder().glob(f"*{SUFFIX}"))


def recorded_sums(folder: Path) -> dict[str, str]:
    """File name to sha256, as recorded beside the bundles; empty where nothing is recorded.

    Raises:
        BundleError: the record is damaged.
    """
    sums = folder / SUMS_NAME
    if not sums.is_file():
        return {}
    try:
        recorded = json.loads(sums.read_text(encoding="utf-8"))
        return {str(name): str(digest) for name, digest in recorded.items()}
    except (OSError, *HEADER_ERRORS) as error:
        raise BundleError(f"{sums} is damaged ({error}): reinstall talkhead.") from error


def read_checked(path: Path) -> tuple[bytes, str]:
    """The bytes of a bundle and their sha256, compared with what is recorded beside it.

    Raises:
        BundleError: the file is missing or its hash differs.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        names = ", ".join(list_bundles()) or "none"
        raise BundleError(
            f"Bundle {path} cannot be read ({error.strerror}): reinstall talkhead, or choose one of: {names}."
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    expected = recorded_sums(path.parent).get(path.name)
    if expected is not None and expected != digest:
        raise BundleError(
            f"Bundle {path} does not match its recorded sha256: reinstall talkhead to restore it."
        )
    return data, digest


def read_header(data: bytes) -> dict[str, str]:
    """The safetensors `__metadata__` of a file's bytes.

    Raises:
        ValueError: or another of `HEADER_ERRORS`: there is no such header.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return {str(name): str(value) for name, value in header.items()}


def load_arrays(name_or_path: str | Path) -> dict[str, NDArray[Any]]:
    """The tensors of a bundle as arrays, its hash checked.

    Raises:
        BundleError: missing, damaged or tampered with.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = bundle_path(name_or_path)
    data, _ = read_checked(path)
    try:
        return load(data)
    except (SafetensorError, *HEADER_ERRORS) as error:
        raise BundleError(
            f"Bundle {path} is damaged ({error}): reinstall talkhead to restore it."
        ) from error
