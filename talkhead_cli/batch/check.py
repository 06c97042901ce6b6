"""Checking a whole manifest before the first frame: every row, every file, every output; all faults at once."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from talkhead_cli.batch.bundles import Bundles
from talkhead_cli.batch.columns import COLUMNS, FILE_COLUMNS, OUTPUT
from talkhead_cli.batch.estimate import (
    SPARE,
    estimate_bytes,
    estimate_cost,
    schedule,
    worker_cores,
)
from talkhead_cli.batch.files import DictFacts as DictFacts
from talkhead_cli.batch.files import Facts as Facts
from talkhead_cli.batch.files import FileBook, FileId
from talkhead_cli.batch.files import OnProgress as OnProgress
from talkhead_cli.batch.job import BatchRequest, Control, Fault, Job
from talkhead_cli.batch.look import PROBLEM
from talkhead_cli.batch.manifest import Sheet, read_manifest
from talkhead_cli.batch.outputs import Identity, OutputChecker
from talkhead_cli.batch.rows import Draft, RowReader
from talkhead_cli.batch.verdict import Judge, Verdict
from talkhead_cli.errors import MediaError, UsageError, WeightsError
from talkhead_cli.marking.signing import check_signing
from talkhead_cli.marking.stamp import UNMARKED, UNSIGNED
from talkhead_cli.result import count_frames
from talkhead_cli.settings import RenderSettings

FolderOf = Callable[[str, str], "str | None"]

NOT_IN_RESULT = frozenset({"device", "preset", "description", "max_seconds", "bundle"})
"""Settings that leave the result as it is; of the bundle, its contents count."""


@dataclass(frozen=True)
class Plan:
    """A manifest, checked.

    Attributes:
        jobs: the rows without faults, in the manifest's order.
        faults: all there are, by row; row 0 is the manifest as a whole.
        rows: in the manifest, the faulty ones included.
        seconds: of video in all jobs.
        estimate_seconds: of rendering all jobs with the workers asked for; rough.
        estimate_bytes: of all outputs; rough.
        free_bytes: where the outputs go.
        warnings: what does not stop a row but may spoil its video, as faults are told.
        carried: row to the user's own columns.
    """

    jobs: tuple[Job, ...]
    faults: tuple[Fault, ...]
    rows: int
    seconds: float
    estimate_seconds: float
    estimate_bytes: int
    free_bytes: int
    warnings: tuple[Fault, ...] = ()
    carried: Mapping[int, Mapping[str, str]] = field(default_factory=dict)


def plan_batch(
    request: BatchRequest,
    folder_of: FolderOf,
    facts: Facts,
    *,
    is_ours: Callable[[str], bool] | None = None,
    control: Control | None = None,
    on_progress: OnProgress | None = None,
    workers: int | None = None,
) -> Plan:
    """Check a manifest; nothing is written but `facts`.

    Args:
        request: what was asked for.
        folder_of: a job's private folder from its key and its output's absolute path.
        facts: what is known of files from earlier runs.
        is_ours: whether an output, by its absolute path, was made by an earlier run in this folder, so that
            `resume` may replace it; without it, `resume` lets all outputs be that are there.
        control: asked to stop, this ends with KeyboardInterrupt.
        on_progress: called now and then, in the calling thread.
        workers: that rows are dealt to, for the estimate; None takes what `request` says.

    Raises:
        BatchFileError: the manifest cannot be read at all.
        UsageError: an option of the command line is out of range.
        PresetError: the command line's preset cannot be used.
        WeightsError: shipped bundles are missing or damaged.
        MediaError: ffmpeg is missing.
        KeyboardInterrupt: `control` said so.
    """
    check = BatchCheck(request, FileBook(facts))
    check.read()
    check.check_marks()
    check.look(control, on_progress)
    outputs = OutputChecker(request, check.inputs(), is_ours)
    places = outputs.place(check.drafts)
    jobs = check.make_jobs(places, outputs.may_replace, folder_of, workers)
    faults = [*check.faults, *outputs.faults]
    size = int(SPARE * sum(check.sizes.values()))
    free = free_space(request.out_dir)
    if size - outputs.present_bytes > free:
        faults.append(Fault(0, 0, OUTPUT, no_room(size, free, request.out_dir)))
    count = workers or request.workers or len(request.devices)
    return Plan(
        jobs=tuple(jobs),
        faults=tuple(sorted(faults, key=fault_order)),
        rows=check.sheet.num_rows,
        seconds=sum(job.seconds for job in jobs),
        estimate_seconds=schedule([job.cost for job in jobs], count),
        estimate_bytes=size,
        free_bytes=free,
        warnings=tuple(sorted([*check.judge.warnings, *unmarked(jobs)], key=fault_order)),
        carried={row.number: row.carried for row in check.sheet.rows if row.carried},
    )


class BatchCheck:
    """The steps of a check, in order: `read`, `look`, `make_jobs`.

    Args:
        request: what was asked for.
        book: what is known of files.

    Attributes:
        sheet: the manifest.
        drafts: its rows that can be read.
        judge: judges rows by their files.
        sizes: row to bytes of its video.
    """

    def __init__(self, request: BatchRequest, book: FileBook) -> None:
        self._request = request
        self._book = book
        self._bundles = Bundles(book)
        self._faults: list[Fault] = []
        self._dumps: dict[int, tuple[dict[str, Any], str]] = {}
        self.sheet: Sheet
        self.drafts: list[Draft] = []
        self.judge = Judge(book)
        self.sizes: dict[int, int] = {}
        self._signed_by = ""

    @property
    def faults(self) -> list[Fault]:
        """Found so far."""
        return [*self._faults, *self.judge.faults]

    def read(self) -> None:
        """Read the manifest and every cell."""
        request = self._request
        reader = RowReader(Path(), request.preset, request.options)
        self._base = reader.base
        self.sheet = read_manifest(request.manifest)
        reader.folder = self.sheet.folder
        self._faults += self.sheet.faults
        if any(fault.row == 0 and fault.column in FILE_COLUMNS for fault in self.sheet.faults):
            return  # without the column of portraits every row would have the same fault
        self.drafts = [reader.read(row) for row in self.sheet.rows]
        self._faults += reader.faults

    def check_marks(self) -> None:
        """Insist on what signing needs.

        Raises:
            UsageError: files cannot be signed in such a run.
            InputError: certificate or key cannot be used.
        """
        signing = self._request.signing
        if signing is None:
            return
        if self._request.copy_files:
            raise UsageError(
                "--c2pa-key with --copy-files: the key stays on this machine; leave one of them out"
            )
        self._signed_by = check_signing(signing).fingerprint
        for draft in self.drafts:
            if not draft.settings.marking:
                self._faults.append(Fault(draft.row, draft.line, "marking", UNSIGNED))

    def look(self, control: Control | None, on_progress: OnProgress | None) -> None:
        """Look at all files."""
        chosen = {id(draft.settings): draft.settings for draft in self.drafts}
        self._check_codecs(list(chosen.values()))
        missing = self._bundles.ask({self._base.bundle, *(item.bundle for item in chosen.values())})
        if self._base.bundle in missing:
            raise WeightsError(missing[self._base.bundle])
        for draft in self.drafts:
            self.judge.ask(draft)
            if draft.settings.bundle in missing:
                column = "bundle" if draft.settings.preset == self._base.preset else "preset"
                message = missing[draft.settings.bundle]
                self._faults.append(Fault(draft.row, draft.line, column, message))
        self._book.look(control, on_progress)

    def _check_codecs(self, chosen: Sequence[RenderSettings]) -> None:
        """Insist on an ffmpeg, and on one that can write what rows ask for.

        Raises:
            MediaError: there is none.
        """
        from talkhead_cli.media import ENCODERS, ffmpeg_path

        ffmpeg_path()
        for codec in {settings.video_codec for settings in chosen}:
            try:
                ffmpeg_path(ENCODERS[codec])
            except MediaError as error:
                for draft in self.drafts:
                    if draft.settings.video_codec == codec and not draft.settings.alpha:
                        fault = Fault(draft.row, draft.line, "video_codec", str(error))
                        self._faults.append(fault)

    def inputs(self) -> dict[Identity, str]:
        """What each file is that must not be replaced."""
        found: dict[Identity, str] = {}
        for draft in self.drafts:
            for column, path in draft.files.items():
                known = self._book.identify(path)
                if isinstance(known, FileId):
                    found.setdefault(
                        (known.device, known.inode), f"the {column} of row {draft.row}"
                    )
        if self.sheet.path is not None:
            known = self._book.identify(str(self.sheet.path.absolute()))
            if isinstance(known, FileId):
                found[known.device, known.inode] = "the manifest itself"
        return found

    def make_jobs(
        self,
        places: Mapping[int, str],
        may_replace: Callable[[str], bool],
        folder_of: FolderOf,
        workers: int | None,
    ) -> list[Job]:
        """The rows without faults, in the manifest's order."""
        request = self._request
        verdicts = {draft.row: self.judge.judge(draft) for draft in self.drafts}
        faulty = {fault.row for fault in self.faults}
        cores = worker_cores(request.devices, workers or request.workers or len(request.devices))
        jobs = []
        for draft in self.drafts:
            verdict = verdicts[draft.row]
            if verdict is None or draft.row in faulty or draft.row not in places:
                continue
            key = self._key(draft, verdict.settings)
            output = places[draft.row]
            if key is not None:
                jobs.append(
                    self._job(draft, verdict, output, cores, key, folder_of, may_replace(output))
                )
        return jobs

    def _job(
        self,
        draft: Draft,
        verdict: Verdict,
        output: str,
        cores: float,
        key: str,
        folder_of: FolderOf,
        overwrite: bool,
    ) -> Job:
        settings = verdict.settings
        num_frames = count_frames(verdict.seconds, settings.fps)
        self.sizes[draft.row] = estimate_bytes(
            verdict.seconds, verdict.width, verdict.height, settings
        )
        return Job(
            row=draft.row,
            portrait=draft.files["portrait"],
            audio=draft.files.get("audio"),
            drive=draft.files.get("drive"),
            style=draft.files.get("style"),
            output=output,
            settings=self._dump(settings)[0],
            key=key,
            folder=folder_of(key, output),
            seconds=verdict.seconds,
            num_frames=num_frames,
            cost=estimate_cost(num_frames, verdict.width, verdict.height, cores, film=verdict.film),
            sidecar=self._request.sidecar,
            overwrite=overwrite,
            max_attempts=self._request.max_attempts,
            given=("crf", "fps") if verdict.film else (),
            seen=self._book.stamps(draft.files.values()),
            bundles=self._bundles.hashes(settings.bundle),
            consent_ref=draft.consent_ref,
            signing=self._request.signing,
        )

    def _dump(self, settings: RenderSettings) -> tuple[dict[str, Any], str]:
        """Settings as JSON-able values without the device, and as text of all that changes the result.

        Raises:
            WeightsError: a bundle is damaged.
        """
        if id(settings) not in self._dumps:
            values = settings.model_dump(mode="json")
            del values["device"]
            decisive = {key: values[key] for key in sorted(values.keys() - NOT_IN_RESULT)}
            decisive["bundles"] = self._bundles.hashes(settings.bundle)
            self._dumps[id(settings)] = values, json.dumps(decisive, sort_keys=True)
        return self._dumps[id(settings)]

    def _key(self, draft: Draft, settings: RenderSettings) -> str | None:
        """sha256 over all that decides what a row's video looks like; None where a file could not be read."""
        digest = hashlib.sha256(self._dump(settings)[1].encode())
        for column in FILE_COLUMNS:
            path = draft.files.get(column)
            value = {} if path is None else self._book.known(path, "sha256")
            if path is not None and value.get(PROBLEM):
                self._faults.append(Fault(draft.row, draft.line, column, value[PROBLEM]))
                return None
            digest.update(f"\n{column} {value.get('sha256', '')}".encode())
        if self._signed_by:
            digest.update(f"\nc2pa {self._signed_by}".encode())
        return digest.hexdigest()


def unmarked(jobs: Sequence[Job]) -> list[Fault]:
    """A warning where rows are to be left without marks."""
    count = sum(not job.settings.get("marking", True) for job in jobs)
    if not count:
        return []
    return [Fault(0, 0, "marking", f"{count} of {len(jobs)} rows: {UNMARKED}")]


def fault_order(fault: Fault) -> tuple[int, int, int]:
    """By row, then as the columns are usually written."""
    known = fault.column in COLUMNS
    return fault.row, fault.line, COLUMNS.index(fault.column) if known else -1


def free_space(folder: Path) -> int:
    """Bytes free where a folder is, or will be made; more than any disk has where that cannot be told."""
    there = folder.absolute()
    while not there.is_dir() and there != there.parent:
        there = there.parent
    try:
        return shutil.disk_usage(there).free
    except OSError:
        return 1 << 62


def no_room(size: int, free: int, folder: Path) -> str:
    """What to say when the disk is too small."""
    return (
        f"{folder}: about {size / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; make room, or choose "
        "another folder"
    )
