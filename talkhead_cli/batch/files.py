"""The files of a manifest: each is looked at once, by processes on all cores, and what was found is kept."""

from __future__ import annotations

import difflib
import os
import stat
import unicodedata
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from talkhead_cli.batch.job import TICK_SECONDS, Control
from talkhead_cli.batch.look import PASSING, PROBLEM, Look, look_at
from talkhead_cli.unchanged import Stamp

Value = dict[str, Any]
Found = dict[str, Value]

Item = TypeVar("Item")
Made = TypeVar("Made")

MAX_LOOKERS = 16
"""Processes that look at files: each takes 0.2 GB, and more for large pictures."""

LOOKS_A_PROCESS = 4
"""Files that are worth the start of one more process."""

WAITING_LOOKS = 3
"""Files handed to each process ahead, so that none waits for work."""

MAX_LISTED = 2000
MAX_SUGGESTED = 50
"""Names of a folder, and misspelt paths of a manifest, up to which the closest name is looked for."""

OnProgress = Callable[[int, int], None]
"""Called with the files looked at so far, and how many there are."""


class Facts(Protocol):
    """What is known of files that were looked at before, so that they need not be looked at again.

    A file is known by its absolute path, size in bytes, time of change in nanoseconds and inode.
    """

    def get(self, kind: str, path: str, size: int, mtime_ns: int, inode: int) -> Value | None:
        """What is known, None where nothing is.

        Args:
            kind: of knowledge: "sha256", "audio", "film", "picture:<backend>".
            path: absolute.
            size: bytes.
            mtime_ns: time of change.
            inode: number of the file.
        """
        ...

    def put(self, kind: str, path: str, size: int, mtime_ns: int, inode: int, value: Value) -> None:
        """Remember; values are JSON-able, of a few kB at most."""
        ...


class DictFacts:
    """Facts in memory, for runs that write nothing."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, int, int, int], Value] = {}

    def get(self, kind: str, path: str, size: int, mtime_ns: int, inode: int) -> Value | None:
        """See `Facts`."""
        return self._values.get((kind, path, size, mtime_ns, inode))

    def put(self, kind: str, path: str, size: int, mtime_ns: int, inode: int, value: Value) -> None:
        """See `Facts`."""
        self._values[kind, path, size, mtime_ns, inode] = value


@dataclass(frozen=True)
class FileId:
    """A file as it was found.

    Attributes:
        size: bytes.
        mtime_ns: time of change.
        inode: number of the file.
        device: number of the file system.
    """

    size: int
    mtime_ns: int
    inode: int
    device: int


class FileBook:
    """What is known of all files of a manifest.

    Args:
        facts: what is known from earlier runs; what is found is added.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._ids: dict[str, FileId | str] = {}
        self._known: dict[tuple[str, str], Value] = {}
        self._wanted: dict[str, dict[str, float]] = {}
        self._suggested = 0

    def identify(self, path: str) -> FileId | str:
        """The file, or in words why there is none."""
        if path not in self._ids:
            self._ids[path] = self._stat(path)
        return self._ids[path]

    def _stat(self, path: str) -> FileId | str:
        try:
            found = Path(path).stat()
        except FileNotFoundError:
            self._suggested += 1
            hint = suggest_file(path, closely=self._suggested <= MAX_SUGGESTED)
            return f"{path}: no such file{hint}"
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            return f"{path}: cannot be read ({reason})"
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            return f"{path}: is not a regular file; give a file that can be read twice"
        if not os.access(path, os.R_OK):
            return f"{path}: cannot be read (Permission denied)"
        return FileId(found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)

    def stamps(self, paths: Iterable[str]) -> dict[str, Stamp]:
        """Files as they were found, for who is to see whether they have changed since."""
        found = {path: self.identify(path) for path in paths}
        return {
            path: (one.size, one.mtime_ns) for path, one in found.items() if isinstance(one, FileId)
        }

    def want(self, path: str, kind: str, max_seconds: float = 0.0) -> None:
        """Ask for a kind of knowledge of a file that is there."""
        kinds = self._wanted.setdefault(path, {})
        kinds[kind] = max(kinds.get(kind, 0.0), max_seconds)

    def known(self, path: str, kind: str) -> Value:
        """What was found; it must have been asked for and looked at."""
        return self._known[path, kind]

    def look(self, control: Control | None = None, on_progress: OnProgress | None = None) -> None:
        """Find out what was asked for and is not known.

        Raises:
            KeyboardInterrupt: `control` said so.
        """
        heed(control)
        looks = [look for look in map(self._missing, self._wanted) if look.kinds]
        total = len(self._wanted)
        done = total - len(looks)
        self._wanted = {}
        for look, found in look_at_all(looks, control):
            for kind, value in found.items():
                self._keep(look.path, kind, value)
            done += 1
            if on_progress is not None:
                on_progress(done, total)

    def _missing(self, path: str) -> Look:
        """What of the wanted is not known yet; what is, is taken over."""
        found = self._ids[path]
        assert isinstance(found, FileId)
        kinds = []
        for kind, limit in self._wanted[path].items():
            value = self._facts.get(kind, path, found.size, found.mtime_ns, found.inode)
            if value is None or not is_enough(value, limit):
                kinds.append(kind)
            else:
                self._known[path, kind] = value
        return Look(path, tuple(kinds), max(self._wanted[path].values()))

    def _keep(self, path: str, kind: str, value: Value) -> None:
        self._known[path, kind] = value
        found = self._ids[path]
        if isinstance(found, FileId) and not value.get(PASSING):
            self._facts.put(kind, path, found.size, found.mtime_ns, found.inode, value)


def is_enough(value: Value, max_seconds: float) -> bool:
    """Whether a recording that was too long to be looked at is too long still; true of all else."""
    declared = value.get("declared_seconds")
    return not (
        "seconds" in value
        and value["seconds"] is None
        and declared is not None
        and declared <= 2 * max_seconds
    )


def look_at_all(looks: Sequence[Look], control: Control | None) -> Iterator[tuple[Look, Found]]:
    """Look at files with several processes.

    Raises:
        KeyboardInterrupt: `control` said so.
    """
    import joblib

    number = min(MAX_LOOKERS, joblib.cpu_count(), -(-len(looks) // LOOKS_A_PROCESS))
    return work_on_all(looks, look_at, fatal, number, control)


def work_on_all(
    items: Sequence[Item],
    work: Callable[[Item], Made],
    fatal: Callable[[Item], Made],
    number: int,
    control: Control | None = None,
    ahead: int = WAITING_LOOKS,
) -> Iterator[tuple[Item, Made]]:
    """Work on files with several processes; a file that kills its process costs nothing but itself.

    Args:
        items: one for each file; values that travel to other processes.
        work: what to do with one; it must not raise.
        fatal: what to say of one that killed its process.
        number: of processes, at most.
        control: how the work is stopped from outside.
        ahead: items handed to each process at once, so that none waits for work.

    Raises:
        KeyboardInterrupt: `control` said so.
    """
    left = deque(items)
    suspects: deque[Item] = deque()
    while left or suspects:
        # What was being worked on when a process died is worked on again, one file at a time.
        alone = bool(suspects)
        batch = deque([suspects.popleft()]) if alone else left
        with Workers(work, min(number, len(batch)), control, ahead) as workers:
            try:
                yield from workers.run(batch)
            except BrokenExecutor:
                if alone:
                    yield from ((item, fatal(item)) for item in workers.running)
                else:
                    suspects.extend(workers.running)


def heed(control: Control | None) -> None:
    """Stop where that is asked for.

    Raises:
        KeyboardInterrupt: it is.
    """
    if control is not None and control.stopping:
        raise KeyboardInterrupt


def fatal(look: Look) -> Found:
    """What to say of a file that killed the process that looked at it."""
    words = f"{look.path}: cannot be used (reading it ends the program); export it again"
    return {kind: {PROBLEM: words, PASSING: True} for kind in look.kinds}


class Workers(Generic[Item, Made]):
    """Processes that work on files; a context manager, since it owns them.

    Args:
        work, number, control, ahead: see `work_on_all`.
    """

    def __init__(
        self, work: Callable[[Item], Made], number: int, control: Control | None, ahead: int
    ) -> None:
        self._work = work
        self._number = number
        self._control = control
        self._ahead = ahead
        self._executor: Any = None
        self._futures: dict[Future[Made], Item] = {}

    @property
    def running(self) -> list[Item]:
        """What was handed to a process and has not come back."""
        return list(self._futures.values())

    def __enter__(self) -> Workers[Item, Made]:
        from joblib.externals.loky import ProcessPoolExecutor

        from talkhead_cli.batch.worker import prepare_worker

        # A process that has grown over large pictures is replaced; that this is done between two files is no news.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        self._executor = ProcessPoolExecutor(
            max_workers=self._number,
            initializer=prepare_worker,
            initargs=(1,),
            env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True, kill_workers=True)

    def run(self, items: deque[Item]) -> Iterator[tuple[Item, Made]]:
        """Take all items, in any order; those not taken when a process dies are left.

        Raises:
            BrokenExecutor: a process has died over one of `running`.
            KeyboardInterrupt: `control` said so.
        """
        while items or self._futures:
            heed(self._control)
            while items and len(self._futures) < self._number * self._ahead:
                item = items.popleft()
                try:
                    self._futures[self._executor.submit(self._work, item)] = item
                except BrokenExecutor:
                    items.appendleft(item)
                    if not self._futures:
                        raise
                    break
            done, _ = wait(self._futures, TICK_SECONDS, FIRST_COMPLETED)
            for future in done:
                found = future.result()
                yield self._futures.pop(future), found


def suggest_file(path: str, closely: bool) -> str:
    """What else may have been meant, as the end of a sentence; "" where nothing comes to mind.

    Args:
        path: of a file that is not there.
        closely: compare it with all names of its folder, which takes time.
    """
    wrong = Path(path)
    if "\\" in wrong.name:
        return "; write / between folders"
    if not wrong.parent.is_dir():
        there = wrong.parent
        while not there.is_dir():
            missing, there = there, there.parent
        return f": there is no folder {missing}"
    names = list_folder(str(wrong.parent))
    plain = names.get(simplify(wrong.name)) or names.get(simplify(wrong.stem))
    if plain is None and closely and len(names) <= MAX_LISTED:
        near = difflib.get_close_matches(simplify(wrong.name), names, n=1, cutoff=0.75)
        plain = names[near[0]] if near else None
    return f"; did you mean {plain!r}?" if plain is not None else "; correct the path"


@lru_cache(maxsize=64)
def list_folder(folder: str) -> dict[str, str]:
    """Names of a folder's files, by themselves and without suffix, case and accents made plain."""
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        return {}
    by_stem = {simplify(Path(name).stem): name for name in sorted(names, reverse=True)}
    return by_stem | {simplify(name): name for name in names}


def simplify(name: str) -> str:
    """A name without what people and file systems spell differently."""
    return unicodedata.normalize("NFC", name).casefold()
