"""Where weight bundles lie; apart from `bundle`, since looking that up needs no torch."""

from __future__ import annotations

import json
import os
from pathlib import Path

WEIGHTS_VARIABLE = "TALKHEAD_WEIGHTS"
SUMS_NAME = "SHA256SUMS.json"
SUFFIX = ".safetensors"


class BundleError(RuntimeError):
    """A bundle is missing, damaged, or not what its name says. The message says which file and what to do."""


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
    """File name to sha256, as recorded beside the bundles; empty where nothing is recorded."""
    sums = folder / SUMS_NAME
    return json.loads(sums.read_text()) if sums.is_file() else {}
