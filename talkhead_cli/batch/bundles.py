"""The weight bundles of a batch: that they are whole, and what of them a row's result depends on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from talkhead_cli.batch.files import FileBook
from talkhead_cli.batch.look import PROBLEM
from talkhead_cli.errors import WeightsError
from talkhead_cli.settings import list_presets, load_preset


class Bundles:
    """Hashes of the bundles that rows use.

    Args:
        book: what is known of files.

    Raises:
        WeightsError: the weights folder is not there.
    """

    def __init__(self, book: FileBook) -> None:
        from talkhead_models.bundle_files import BundleError, bundle_path, list_bundles

        self._book = book
        self._hashes: dict[str, dict[str, str]] = {}
        generators = {load_preset(name).get("bundle") for name in list_presets()}
        try:
            # Networks that every row uses: all but the other presets' generators.
            self._shared = [
                str(bundle_path(name)) for name in list_bundles() if name not in generators
            ]
        except BundleError as error:
            raise WeightsError(str(error)) from error

    def ask(self, names: Iterable[str]) -> dict[str, str]:
        """Ask the book for what must be known; name to what is wrong, of those that are not there."""
        from talkhead_models.bundle_files import bundle_path, list_bundles

        missing: dict[str, str] = {}
        for name in names:
            path = str(bundle_path(name).absolute())
            if isinstance(self._book.identify(path), str):
                choice = ", ".join(list_bundles()) or "none is installed"
                missing[name] = f"there is no bundle {name!r}; choose one of: {choice}"
            else:
                self._book.want(path, "sha256")
        for path in self._shared:
            if not isinstance(self._book.identify(path), str):
                self._book.want(path, "sha256")
        return missing

    def hashes(self, name: str) -> dict[str, str]:
        """File name to sha256 of all that a row with this generator uses; the generator's goes by "generator".

        Raises:
            WeightsError: one is damaged.
        """
        from talkhead_models.bundle_files import bundle_path

        if name not in self._hashes:
            found = {"generator": self._checked(str(bundle_path(name).absolute()))}
            found |= {Path(path).name: self._checked(path) for path in self._shared}
            self._hashes[name] = found
        return self._hashes[name]

    def _checked(self, path: str) -> str:
        """sha256 of a bundle, compared with what is recorded beside it."""
        from talkhead_models.bundle_files import recorded_sums

        value = self._book.known(path, "sha256")
        if value.get(PROBLEM):
            raise WeightsError(value[PROBLEM])
        expected = recorded_sums(Path(path).parent).get(Path(path).name)
        if expected not in (None, value["sha256"]):
            raise WeightsError(
                f"Bundle {path} does not match its recorded sha256: reinstall talkhead to restore it."
            )
        return str(value["sha256"])
