"""Marks in batches: consent by row, certificates for all, and rows without marks on record."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

from talkhead_cli.batch import worker
from talkhead_cli.batch.check import DictFacts, Plan, plan_batch
from talkhead_cli.batch.export import export_results
from talkhead_cli.batch.job import RUN_FOLDER, BatchRequest, Outcome
from talkhead_cli.batch.ledger import Ledger
from talkhead_cli.batch.resume import Past
from talkhead_cli.batch.run import run_batch
from talkhead_cli.errors import InputError, UsageError
from talkhead_cli.marking.signing import Signing
from talkhead_cli.marking.verify import verify_file
from tests.batch_stand_in import make_job
from tests.certificates import make_signing
from tests.conftest import SPEECH, save_picture


@pytest.fixture(scope="module")
def facts() -> DictFacts:
    return DictFacts()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, astronaut: Any) -> Path:
    folder = tmp_path_factory.mktemp("studio")
    save_picture(astronaut[30:286, 96:352], folder / "ann.png")
    samples, rate = soundfile.read(SPEECH)
    soundfile.write(folder / "speech.wav", samples[: round(0.6 * rate)], rate)
    return folder


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    return make_signing(tmp_path_factory.mktemp("signing"))


def write(folder: Path, *rows: Mapping[str, object]) -> Path:
    good = {"portrait": "ann.png", "audio": "speech.wav"}
    manifest = folder / "jobs.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(
            file, list(dict.fromkeys([*good, *(key for row in rows for key in row)]))
        )
        writer.writeheader()
        writer.writerows({**good, **row} for row in rows)
    return manifest


def plan(folder: Path, facts: DictFacts, *rows: Mapping[str, object], **options: Any) -> Plan:
    request = BatchRequest(write(folder, *rows), folder / "out", devices=("cpu",), **options)
    return plan_batch(request, lambda key, output: f"{key}:{output}", facts)


def test_a_consent_goes_with_its_row_and_is_checked(files: Path, facts: DictFacts) -> None:
    rows = [{"output": f"{n}.mp4", "Consent Ref": text} for n, text in enumerate(("C-1", ""))]
    made = plan(files, facts, *rows)
    assert not made.faults
    assert [job.consent_ref for job in made.jobs] == ["C-1", ""]
    assert made.carried[1] == {"Consent Ref": "C-1"}
    # It is no part of what a video looks like.
    assert made.jobs[0].key == made.jobs[1].key
    bad = plan(files, facts, {"consent_ref": "a\nb"}, {"consent_ref": "x" * 201, "output": "b.mp4"})
    assert [(fault.row, fault.column) for fault in bad.faults] == [
        (1, "consent_ref"),
        (2, "consent_ref"),
    ]
    assert "line break" in bad.faults[0].message


def test_rows_without_marks_are_warned_of(files: Path, facts: DictFacts) -> None:
    rows = [{"output": "a.mp4", "marking": "no"}, {"output": "b.mp4"}]
    made = plan(files, facts, *rows)
    assert [job.settings["marking"] for job in made.jobs] == [False, True]
    assert made.jobs[0].key != made.jobs[1].key
    (warning,) = [each for each in made.warnings if each.column == "marking"]
    assert warning.row == 0
    assert warning.message.startswith("1 of 2 rows: --no-marking: nothing in the output says")


def test_what_cannot_be_signed_is_a_fault_of_its_row(
    files: Path, facts: DictFacts, signing: Signing
) -> None:
    rows = [{"output": "a.mp4"}, {"output": "b.mkv"}, {"output": "c.mp4", "marking": "no"}]
    made = plan(files, facts, *rows, signing=signing)
    assert [(fault.row, fault.column) for fault in made.faults] == [(2, "output"), (3, "marking")]
    (job,) = made.jobs
    assert job.signing == signing
    plain = plan(files, facts, rows[0])
    assert plain.jobs[0].key != job.key
    other = make_signing(files / "other")
    assert plan(files, facts, rows[0], signing=other).jobs[0].key != job.key
    with pytest.raises(UsageError, match="the key stays on this machine"):
        plan(files, facts, rows[0], signing=signing, copy_files=True)
    with pytest.raises(InputError, match=r"none\.pem: cannot be read"):
        plan(files, facts, rows[0], signing=replace(signing, key=files / "none.pem"))


def test_a_consent_that_changes_renames_and_renders_nothing(tmp_path: Path) -> None:
    (tmp_path / RUN_FOLDER).mkdir()
    with Ledger(tmp_path) as ledger:
        request = BatchRequest("rows.csv", tmp_path, resume=True)
        job = replace(make_job(tmp_path, 1), consent_ref="old")

        def sort(consent: str) -> Any:
            jobs = (replace(job, consent_ref=consent),)
            carried = {1: {"consent-ref": consent}}
            work = Past(ledger, request).sort(
                Plan(jobs, (), 1, 0.0, 0.0, 0, 0, carried=carried), "1"
            )
            ledger.take_in(work.records, [])
            return work

        sort("old")
        Path(job.output).write_bytes(b"film")
        ledger.finish(job, 1, Outcome(1, job.key, "done", made={"marking": True}))
        same, changed = sort("old"), sort("new")
        assert (same.renamed, len(same.skipped)) == ([], 1)
        assert [each.consent_ref for each in changed.renamed] == ["new"]
        assert changed.to_do == []
        assert ledger.record("row1.mp4").carried == {"consent-ref": "new"}
        (row,) = json.loads(export_results(ledger)[1].read_text())["rows"]
        assert (row["marking"], row["carried"]) == (True, {"consent-ref": "new"})


def test_what_a_worker_made_tells_of_its_marks(tmp_path: Path) -> None:
    job = replace(make_job(tmp_path, 1), settings={"marking": False})
    assert worker.count_start(job) == 1
    video = Path(job.output)
    video.write_bytes(b"film")
    worker.StatusWriter(job, "cpu").complete(video)
    adopted = worker.adopt(job)
    assert adopted is not None
    assert adopted.made["marking"] is False


@pytest.mark.slow
def test_a_batch_is_signed_resumed_and_renamed(
    files: Path, tmp_path: Path, signing: Signing
) -> None:
    out = tmp_path / "out"
    rows = [
        {"output": "a.mp4", "consent_ref": "C-1", "marking": ""},
        {"output": "b.mp4", "consent_ref": "C-2", "marking": "no"},
    ]
    base = BatchRequest(
        write(files, *rows), out, devices=("cpu",), workers=1, options={"size": 160}
    )
    events: list[dict[str, Any]] = []
    assert run_batch(base, events.append).done == 2
    start = next(event for event in events if event["event"] == "batch_start")
    assert start["unmarked"] == 1
    assert any("1 of 2 rows: --no-marking" in event.get("message", "") for event in events)
    results = json.loads((out / "results.json").read_text())
    assert results["run"]["about"]["unmarked"] == 1
    assert [row["marking"] for row in results["rows"]] == [True, False]
    sidecars = [json.loads((out / name).read_text())["marking"] for name in ("a.json", "b.json")]
    assert [each["consent_ref"] for each in sidecars] == ["C-1", "C-2"]
    assert sidecars[1]["written"] == []
    assert verify_file(out / "a.mp4").exit_code == 0
    assert verify_file(out / "b.mp4").exit_code == 9

    before = (out / "a.mp4").read_bytes()
    write(files, {**rows[0], "consent_ref": "C-9"}, rows[1])
    again = run_batch(replace(base, resume=True))
    assert (again.skipped, again.done) == (2, 0)
    assert json.loads((out / "a.json").read_text())["marking"]["consent_ref"] == "C-9"
    assert (out / "a.mp4").read_bytes() == before
    assert verify_file(out / "a.mp4").exit_code == 0

    write(files, {**rows[0], "consent_ref": "C-9"}, {**rows[1], "marking": "yes"})
    signed = run_batch(replace(base, resume=True, signing=signing))
    assert (signed.skipped, signed.done) == (0, 2)
    for name in ("a.mp4", "b.mp4"):
        verdict = verify_file(out / name, signed=True)
        assert verdict.exit_code == 0
        assert {mark.name: mark.state for mark in verdict.marks}["c2pa"] == "untrusted"
    secret = signing.key.read_text().splitlines()[1].encode()
    for path in out.rglob("*"):
        assert path.is_dir() or secret not in path.read_bytes()
