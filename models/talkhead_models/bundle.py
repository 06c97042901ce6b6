"""Weight bundles: one safetensors file each, architecture and provenance in its header.

The trained bundles ship inside the package (`weights/`), so the main job needs no download. The environment variable
TALKHEAD_WEIGHTS names a folder that is used instead; set but absent is an error, never a silent fall-back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file

from talkhead_models.bundle_files import HEADER_ERRORS
from talkhead_models.bundle_files import SUFFIX as SUFFIX
from talkhead_models.bundle_files import SUMS_NAME as SUMS_NAME
from talkhead_models.bundle_files import WEIGHTS_VARIABLE as WEIGHTS_VARIABLE
from talkhead_models.bundle_files import BundleError as BundleError
from talkhead_models.bundle_files import bundle_path as bundle_path
from talkhead_models.bundle_files import fitting as fitting
from talkhead_models.bundle_files import list_bundles as list_bundles
from talkhead_models.bundle_files import read_checked as read_checked
from talkhead_models.bundle_files import read_header as read_header
from talkhead_models.bundle_files import recorded_sums as recorded_sums
from talkhead_models.bundle_files import weights_folder as weights_folder

Network = TypeVar("Network", bound=torch.nn.Module)


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle.

    Attributes:
        name: the file's stem.
        tensors: parameter name to tensor.
        config: the architecture's sizes, as the network's config dataclass takes them.
        metadata: provenance: data tier, licence, training command, results.
        sha256: hex digest of the file.
    """

    name: str
    tensors: dict[str, torch.Tensor]
    config: dict[str, Any]
    metadata: dict[str, str] = field(default_factory=dict)
    sha256: str = ""


def load_bundle(name_or_path: str | Path) -> Bundle:
    """Load a bundle, its hash checked.

    Raises:
        BundleError: missing, damaged, tampered with, or without a config in its header.
    """
    path = bundle_path(name_or_path)
    data, digest = read_checked(path)
    try:
        header = read_header(data)
        tensors = load_tensors(data)
        config = dict(json.loads(header.pop("config")))
    except (SafetensorError, *HEADER_ERRORS) as error:
        raise BundleError(
            f"Bundle {path} is damaged ({error}): reinstall talkhead to restore it."
        ) from error
    return Bundle(path.stem, tensors, config, header, digest)


def verify_bundle(name: str) -> Bundle:
    """Load a bundle and insist that a hash is recorded for it.

    Raises:
        BundleError: as `load_bundle`, or no hash is recorded.
    """
    path = bundle_path(name)
    bundle = load_bundle(path)
    if path.name not in recorded_sums(path.parent):
        raise BundleError(
            f"Bundle {path} has no recorded sha256 in {SUMS_NAME}: reinstall talkhead."
        )
    return bundle


def save_bundle(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    config: Mapping[str, Any],
    metadata: Mapping[str, str],
) -> str:
    """Write a bundle and record its hash beside it; returns the sha256.

    Args:
        path: target, ending in .safetensors.
        tensors: parameters; stored contiguous, in the dtype given.
        config: JSON-able sizes from which the network is rebuilt.
        metadata: provenance; should hold `data_tier`, `licence` and `training_command`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(
        stored, partial, metadata={**metadata, "config": json.dumps(dict(config), sort_keys=True)}
    )
    digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    partial.chmod(0o644)
    partial.replace(path)
    sums = recorded_sums(path.parent) | {path.name: digest}
    (path.parent / SUMS_NAME).write_text(json.dumps(dict(sorted(sums.items())), indent=2) + "\n")
    return digest


def restore(network: Network, bundle: Bundle) -> Network:
    """A network with a bundle's weights, in single precision and evaluation mode; to be used under `fitting`."""
    network.load_state_dict({key: value.float() for key, value in bundle.tensors.items()})
    return network.eval()
