"""Weight bundles as the command line sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from talkhead_cli.errors import WeightsError


@dataclass(frozen=True)
class BundleSummary:
    """What a bundle's header says.

    Attributes:
        name: of the bundle.
        path: its file.
        size: bytes.
        sha256: of the file.
        data_tier: licence tier of the training data.
        licence: of the weights.
        training_command: what made it.
    """

    name: str
    path: str
    size: int
    sha256: str
    data_tier: str
    licence: str
    training_command: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def describe_bundles() -> list[BundleSummary]:
    """All bundles of the weights folder.

    Raises:
        WeightsError: the folder is missing or a bundle is damaged.
    """
    from talkhead_models.bundle import BundleError, bundle_path, list_bundles, load_bundle

    try:
        found = [load_bundle(name) for name in list_bundles()]
    except BundleError as error:
        raise WeightsError(str(error)) from error
    return [
        BundleSummary(
            bundle.name,
            str(bundle_path(bundle.name)),
            bundle_path(bundle.name).stat().st_size,
            bundle.sha256,
            bundle.metadata.get("data_tier", "unknown"),
            bundle.metadata.get("licence", "unknown"),
            bundle.metadata.get("training_command", "unknown"),
        )
        for bundle in found
    ]


def verify_bundles(names: Sequence[str] | None = None) -> dict[str, str | None]:
    """Bundle name to what is wrong with it, None where it is whole.

    Args:
        names: bundles to check; None takes all that are there or have a hash recorded.

    Raises:
        WeightsError: the weights folder is missing or empty.
    """
    from talkhead_models.bundle import (
        BundleError,
        list_bundles,
        recorded_sums,
        verify_bundle,
        weights_folder,
    )

    if names is None:
        try:
            folder = weights_folder()
            recorded = {name.removesuffix(".safetensors") for name in recorded_sums(folder)}
            names = sorted(recorded | set(list_bundles()))
        except BundleError as error:
            raise WeightsError(str(error)) from error
        if not names:
            raise WeightsError(f"{folder}: there are no weight bundles; reinstall talkhead")
    problems: dict[str, str | None] = {}
    for name in names:
        try:
            verify_bundle(name)
            problems[name] = None
        except BundleError as error:
            problems[name] = str(error)
    return problems
