"""What earlier runs left in an output folder, and what of it is still good."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from talkhead_cli.batch.check import Plan
from talkhead_cli.batch.job import RUN_FOLDER, BatchRequest, Job, Outcome
from talkhead_cli.batch.ledger import Ledger
from talkhead_cli.batch.resume import Past, Work
from talkhead_cli.batch.worker import OUTCOME, STARTS, STATUS
from tests.batch_stand_in import make_job

FILM = b"film"
FILM_HASH = hashlib.sha256(FILM).hexdigest()


class Folder:
    """An output folder with a ledger."""

    def __init__(self, out_dir: Path) -> None:
        (out_dir / RUN_FOLDER).mkdir(parents=True)
        self.out_dir = out_dir
        self.ledger = Ledger(out_dir)

    def past(self, **changes: object) -> Past:
        request = BatchRequest("rows.csv", self.out_dir, resume=True)
        return Past(self.ledger, replace(request, **changes))

    def job(self, row: int, key: str = "key") -> Job:
        job = replace(make_job(self.out_dir, row), key=key)
        return replace(job, folder=self.past().folder_of(key, job.output))

    def read(self, *jobs: Job, **changes: object) -> Work:
        """A run reads its manifest, and goes no further."""
        past = self.past(**changes)
        work = past.sort(Plan(jobs, (), len(jobs), 0.0, 0.0, 0, 0), "1")
        self.ledger.take_in(work.records, [])
        past.clean()
        return work

    def promise(self, job: Job, digest: str = FILM_HASH) -> None:
        """A worker is about to put a video in place."""
        folder = Path(job.folder or "")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STARTS).write_text("1 vm:1\n1 vm:2\n")
        values = {"key": job.key, "output_sha256": digest, "device": "cpu"}
        (folder / OUTCOME).write_text(json.dumps(values))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path / "out")
    yield folder
    folder.ledger.close()


def test_what_nobody_knows_is_not_ours(folder):
    job = folder.job(1)
    assert not folder.past().is_ours(job.output)
    folder.read(job)
    assert folder.past().is_ours(job.output)  # nothing there but what we would leave
    Path(job.output).write_bytes(FILM)
    assert not folder.past().is_ours(job.output)


def test_a_promised_video_is_taken_as_it_is(folder):
    job = folder.job(1)
    folder.read(job)
    folder.promise(job)
    Path(job.output).write_bytes(FILM)
    assert folder.past().is_ours(job.output)
    work = folder.read(job)
    assert (work.to_do, work.skipped) == ([], [job])
    record = folder.ledger.record("row1.mp4")
    assert record is not None
    assert (record.state, record.sha256, record.attempts) == ("done", FILM_HASH, 2)
    assert not Path(job.folder or "").exists()
    assert folder.read(job).skipped == [job]


def test_a_promised_video_of_inputs_that_changed_since_is_ours_for_good(folder):
    folder.read(folder.job(1))
    folder.promise(folder.job(1))
    new = folder.job(1, "new key")
    Path(new.output).write_bytes(FILM)
    # Read twice: the run that was about to replace it is killed as well.
    for _ in range(2):
        (to_do,) = folder.read(new).to_do
        assert to_do.overwrite
        assert folder.past().is_ours(new.output)


def test_a_broken_promise_is_somebody_elses_video(folder):
    job = folder.job(1)
    folder.read(job)
    folder.promise(job, "00" * 32)
    Path(job.output).write_bytes(FILM)
    assert not folder.past().is_ours(job.output)
    assert not folder.read(job).to_do[0].overwrite


def test_starts_of_killed_runs_count_in_the_total_only(folder):
    job = folder.job(1)
    folder.read(job)
    folder.promise(job)
    assert folder.read(job).attempts == {1: 2}
    assert folder.read(folder.job(1, "other")).attempts == {1: 0}
    assert folder.read(folder.job(1, "other"), resume=False).attempts == {1: 0}


def test_cleaning_keeps_what_unfinished_rows_need(folder):
    kept, done, changed, gone = (folder.job(row) for row in (1, 2, 3, 4))
    folder.read(kept, done, changed, gone)
    for job in (kept, done, changed, gone):
        segments = Path(job.folder or "", "segments")
        segments.mkdir(parents=True)
        (segments / "00000.mp4").write_bytes(FILM)
        (segments / ".talkhead-abc.mp4").write_bytes(FILM[:2])
        Path(job.folder or "", STATUS).write_text("{}")
    Path(done.output).write_bytes(FILM)
    made = {"output_sha256": FILM_HASH}
    folder.ledger.finish(done, 1, Outcome(2, done.key, "done", made=made))
    # The last row is not in the manifest this time; it may be again.
    folder.read(kept, done, folder.job(3, "new key"))
    rows = folder.out_dir / RUN_FOLDER / "rows"
    assert {str(path) for path in rows.iterdir()} == {kept.folder, gone.folder}
    left = sorted(
        str(path.relative_to(kept.folder or "")) for path in Path(kept.folder or "").rglob("*")
    )
    assert left == ["segments", "segments/00000.mp4"]
    folder.read(kept, resume=False)
    assert list(rows.iterdir()) == []


def test_beginnings_of_sidecars_of_a_killed_run_are_removed(folder):
    job, other = folder.job(1), folder.job(2)
    folder.read(job, other)
    beginning = folder.out_dir / ".talkhead-abc.json"
    beginning.write_text("{")
    folder.past().clean_outputs()
    assert beginning.exists()  # no row was running: it is not of ours
    folder.ledger.start(job, 1, 1, "vm:1", "cpu")
    folder.past().clean_outputs()
    assert not beginning.exists()


def test_folders_move_with_the_output_folder(folder, tmp_path):
    moved = BatchRequest("rows.csv", tmp_path / "moved", resume=True)
    there = Past(None, moved).folder_of("key", str(tmp_path / "moved" / "a" / "row1.mp4"))
    here = folder.past().folder_of("key", str(folder.out_dir / "a" / "row1.mp4"))
    assert Path(there or "").name == Path(here or "").name
