"""Where the videos of a batch go: names made up, and everything that would make an output fail or destroy something."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from talkhead_cli.batch.columns import OUTPUT, shorten, unfit_for_path
from talkhead_cli.batch.job import RUN_FOLDER, BatchRequest, Fault
from talkhead_cli.batch.rows import Draft
from talkhead_cli.formats import unfit, usual_suffix
from talkhead_cli.marking.signing import unsignable
from talkhead_cli.settings import RenderSettings
from talkhead_cli.sidecar import sidecar_path

RESULTS = ("results.csv", "results.json")
"""What a run writes into its output folder beside the videos."""

MAX_NAME_BYTES = 255 - len(".talkhead-12345678")
"""Of a file's name, so that its temporary neighbour can be made, too."""

Identity = tuple[int, int]
"""Device and inode of a file."""


class OutputChecker:
    """Places the outputs of a manifest.

    Args:
        request: `out_dir`, `sidecar`, `overwrite`, `resume`, `signing` and `allow_outside` matter.
        inputs: what each file that must not be replaced is, by its identity.
        is_ours: whether an output was made by an earlier run in this folder.

    Attributes:
        faults: found so far.
        present_bytes: of the outputs that are there already.
    """

    def __init__(
        self,
        request: BatchRequest,
        inputs: Mapping[Identity, str],
        is_ours: Callable[[str], bool] | None = None,
    ) -> None:
        self.faults: list[Fault] = []
        self.present_bytes = 0
        self._request = request
        self._inputs = inputs
        self._is_ours = is_ours
        self._folder = os.path.abspath(request.out_dir)  # noqa: PTH100 - symlinks stay as they are
        self._real_folder = os.path.realpath(request.out_dir)
        self._parents: dict[str, str | None] = {}

    def place(self, drafts: Sequence[Draft]) -> dict[int, str]:
        """Row to absolute path of its output, of the rows whose output has no fault."""
        problem = self._folder_problem(self._folder)
        if problem is not None:
            self.faults.append(Fault(0, 0, OUTPUT, problem))
        names = self._names(drafts)
        drafts = [draft for draft in drafts if draft.row in names]
        paths = {draft.row: str(Path(self._folder, names[draft.row])) for draft in drafts}
        good: dict[int, str] = {}
        clashes = find_clashes(drafts, paths, self._folder, self._request.sidecar)
        for draft in drafts:
            path = paths[draft.row]
            wrong = clashes.get(draft.row) or self._problem(path)
            if wrong is None:
                good[draft.row] = path
            else:
                self._fault(draft, wrong)
        return good

    def may_replace(self, path: str) -> bool:
        """Whether an output that is there may be replaced."""
        if self._request.overwrite:
            return True
        return self._request.resume and self._is_ours is not None and self._is_ours(path)

    def _fault(self, draft: Draft, message: str) -> None:
        self.faults.append(Fault(draft.row, draft.line, OUTPUT, message))

    def _names(self, drafts: Sequence[Draft]) -> dict[int, str]:
        """Row to path relative to the folder; made up where none is given."""
        names: dict[int, str] = {}
        for draft in drafts:
            if draft.output is not None:
                name = os.path.normpath(Path(self._folder, draft.output))
                problem = self._name_problem(draft.output, name, draft.settings)
                if problem is None:
                    names[draft.row] = os.path.relpath(name, self._folder)
                else:
                    self._fault(draft, problem)
        nameless = [draft for draft in drafts if draft.output is None]
        names.update(make_names(nameless, {identity(name, True) for name in names.values()}))
        return names

    def _name_problem(self, written: str, path: str, settings: RenderSettings) -> str | None:
        """What is wrong with a name, whatever lies there."""
        shown = shorten(written)
        problem = unfit_for_path(written) or unfit(written, settings, shown)
        if problem is None and self._request.signing is not None:
            reason = unsignable(Path(path).suffix)
            problem = reason and f"{shown}: {reason}"
        if problem is not None:
            return problem
        inside = os.path.relpath(path, self._folder)
        parts = Path(inside).parts
        if not parts or (parts[0] == ".." and not self._request.allow_outside):
            return f"{shown}: lies outside the output folder; give a path inside it, or --allow-outside"
        if parts[0].lower() == RUN_FOLDER:
            return f"{shown}: the folder {RUN_FOLDER} belongs to the run; choose another"
        if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in parts):
            return f"{shown}: the name is longer than {MAX_NAME_BYTES} bytes; shorten it"
        if self._request.sidecar and str(sidecar_path(Path(inside))).lower() in RESULTS:
            return (
                f"{shown}: its JSON file would be the run's own results.json; choose another name"
            )
        return None

    def _problem(self, path: str) -> str | None:
        """What is wrong with a place in the file system."""
        parent = str(Path(path).parent)
        if parent not in self._parents:
            self._parents[parent] = self._parent_problem(parent)
        return self._parents[parent] or self._present_problem(path)

    def _parent_problem(self, parent: str) -> str | None:
        if parent == self._folder:
            return None  # told once, for the manifest as a whole
        if self._leads_out(parent):
            return f"{parent}: this folder is a link that leads out of the output folder; give --allow-outside"
        return self._folder_problem(parent)

    def _leads_out(self, path: str) -> bool:
        """Whether a path ends outside the output folder, all links followed, and may not."""
        inside = f"{os.path.realpath(path)}/".startswith(f"{self._real_folder.rstrip('/')}/")
        return not (inside or self._request.allow_outside)

    def _folder_problem(self, folder: str) -> str | None:
        """Why nothing can be written to a folder that is there, or that is still to be made."""
        there = Path(folder)
        while not os.path.lexists(there):
            there = there.parent
        if not there.is_dir():
            return f"{there}: is a file where a folder is wanted; choose another"
        if not os.access(there, os.W_OK | os.X_OK):
            return f"{there}: cannot be written to; change its rights, or choose another folder"
        return None

    def _present_problem(self, path: str) -> str | None:
        """What is wrong with a file that is there already."""
        targets = [path]
        if self._request.sidecar:
            targets.append(str(sidecar_path(Path(path))))
        for target in targets:
            try:
                found = Path(target).stat()
            except FileNotFoundError:
                if not Path(target).is_symlink():
                    continue
                return f"{self._show(target)}: is a link that leads nowhere; remove it"
            except OSError as error:
                return f"{self._show(target)}: cannot be written to ({error.strerror})"
            if Path(target).is_symlink() and self._leads_out(target):
                return f"{self._show(target)}: is a link that leads out of the output folder; remove it"
            wrong = self._file_problem(path, target, found)
            if wrong is not None:
                return wrong
            self.present_bytes += found.st_size
        return None

    def _file_problem(self, path: str, target: str, found: os.stat_result) -> str | None:
        shown = self._show(target)
        given = self._inputs.get((found.st_dev, found.st_ino))
        if given is not None:
            return f"{shown}: this is {given}; choose another output"
        if not stat.S_ISREG(found.st_mode):
            return f"{shown}: exists and is not a regular file; choose another output"
        if self.may_replace(path):
            return None
        if not self._request.resume:
            return f"{shown}: exists already; give --overwrite to replace it, or --resume to go on with a run"
        if self._is_ours is None:
            return None
        return (
            f"{shown}: exists already and was not made by this run; give --overwrite to replace it"
        )

    def _show(self, path: str) -> str:
        return os.path.relpath(path, self._folder)


def identity(path: str, sidecar: bool) -> str:
    """What two outputs must not have in common, on file systems that do not tell case or accents apart, too."""
    stem = str(Path(path).with_suffix("")) if sidecar else path
    return unicodedata.normalize("NFC", stem).casefold()


def make_names(drafts: Sequence[Draft], taken: set[str]) -> dict[int, str]:
    """Row to a name made from that of its sound; where several have the same sound, from that of the portrait, too.

    Args:
        drafts: rows without an output.
        taken: identities of the names that others were given.
    """
    stems = [stem_of(draft, "audio") or stem_of(draft, "drive") or "video" for draft in drafts]
    often = Counter(identity(f"{stem}.mp4", True) for stem in stems)
    names: dict[int, str] = {}
    for draft, stem in zip(drafts, stems, strict=True):
        if often[identity(f"{stem}.mp4", True)] > 1:
            stem = f"{stem}-{stem_of(draft, 'portrait')}"
        for name in numbered(stem, usual_suffix(draft.settings)):
            if identity(name, True) not in taken and Path(name).stem.lower() != "results":
                taken.add(identity(name, True))
                names[draft.row] = name
                break
    return names


def stem_of(draft: Draft, column: str) -> str:
    """A file's name without its suffix; "" where there is none."""
    return Path(draft.files[column]).stem if column in draft.files else ""


def numbered(stem: str, suffix: str) -> Iterator[str]:
    """Names to try, one after the other."""
    stem = os.fsencode(stem)[: MAX_NAME_BYTES - 16].decode("utf-8", "ignore")
    yield f"{stem}{suffix}"
    number = 1
    while True:
        number += 1
        yield f"{stem}-{number}{suffix}"


def find_clashes(
    drafts: Sequence[Draft], paths: Mapping[int, str], folder: str, sidecar: bool
) -> dict[int, str]:
    """Row to what is wrong with its output beside those of other rows."""
    first: dict[str, Draft] = {}
    clashes: dict[int, str] = {}
    for draft in drafts:
        key = identity(paths[draft.row], sidecar)
        other = first.setdefault(key, draft)
        if other is draft:
            continue
        shown = os.path.relpath(paths[draft.row], folder)
        place = f"row {other.row} (line {other.line})"
        if identity(paths[draft.row], False) == identity(paths[other.row], False):
            clashes[draft.row] = (
                f"{shown}: is the output of {place}, too; give each row a name of its own"
            )
        else:
            clashes[draft.row] = (
                f"{shown}: would share its JSON file with {place}; choose another name"
            )
    files = {identity(paths[draft.row], False): draft for draft in reversed(drafts)}
    for draft in drafts:
        for parent in Path(os.path.relpath(paths[draft.row], folder)).parents:
            other_row = files.get(identity(str(Path(folder, parent)), False))
            if other_row is not None:
                clashes.setdefault(
                    draft.row,
                    f"{parent}: is the output of row {other_row.row}; it cannot be a folder as well",
                )
    return clashes
