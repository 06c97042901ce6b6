"""Manifests that are edited between runs, and the state of a batch when somebody has been at it."""

from __future__ import annotations

import random
import shutil
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkhead_cli.batch.lock import RunLock
from talkhead_cli.batch.run import BatchRun
from talkhead_cli.errors import BatchFileError, InputError
from tests.faults.rows import Rows

NAMES = ("a.mp4", "b.mp4", "c.mp4", "d.mp4")


def test_an_edited_manifest_makes_what_is_missing_or_changed(rows: Rows) -> None:
    rows.write(*({"output": name} for name in NAMES))
    assert rows.run().done == 4
    first = {path.name: path.read_bytes() for path in rows.out_dir.glob("*.mp4")}
    # Reordered, one taken out, one changed, one added, one under another name.
    rows.log.unlink()
    rows.write(
        {"output": "e.mp4"},
        {"output": "d.mp4"},
        {"output": "renamed.mp4"},
        {"output": "a.mp4", "seed": 7},
        {"output": "c.mp4"},
    )
    summary = rows.run()
    # The key of a stand-in row holds its number, so that all that moved are made again.
    assert summary.failed == summary.left == 0
    assert rows.results == dict.fromkeys(
        ["e.mp4", "d.mp4", "renamed.mp4", "a.mp4", "c.mp4"], "done"
    )
    assert (rows.out_dir / "b.mp4").read_bytes() == first["b.mp4"]
    assert (rows.out_dir / "a.mp4").read_bytes() != first["a.mp4"]
    assert sorted(rows.made) == sorted(set(rows.made))
    rows.log.unlink()
    assert rows.run().skipped == 5
    assert rows.made == []


EDITS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(0, 1)), max_size=6, unique_by=lambda row: row[0]
)


@pytest.mark.slow
@given(st.lists(EDITS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_whatever_is_edited_every_row_is_there_once(
    manifests: list[list[tuple[str, int]]], dice: random.Random
) -> None:
    """Every run ends with exactly the rows of its manifest done, and makes none that was there as it is wanted."""
    import tempfile
    from pathlib import Path

    from tests.batch_stand_in import stand_in_plan
    from tests.faults.rows import InlineBackend

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        patch.setattr("talkhead_cli.batch.run.plan_batch", stand_in_plan)
        patch.setattr("talkhead_cli.batch.run.open_backend", lambda request: InlineBackend())
        patch.setattr("os.fsync", lambda descriptor: None)
        rows = Rows(Path(name), Path(name, "out"))
        known: dict[str, bytes] = {}
        for wanted in manifests:
            rows.write(*({"output": output, "seed": seed} for output, seed in wanted))
            rows.log.unlink(missing_ok=True)
            summary = rows.run()
            assert (summary.failed, summary.left) == (0, 0)
            assert summary.done + summary.skipped == len(wanted)
            there = {path.name: path.read_bytes() for path in rows.out_dir.glob("*.mp4")}
            assert len(rows.made) == len(set(rows.made)) == summary.done
            assert rows.results == {output: "done" for output, _ in wanted}
            # What is not asked for any more stays as it is.
            for gone in known.keys() - {output for output, _ in wanted}:
                assert there[gone] == known[gone]
            known = there


def test_outputs_that_meet_are_told_before_anything_is_made(rows: Rows) -> None:
    rows.write({"output": "a.mp4"}, {"fault": "is the output of row 1, too"})
    with pytest.raises(BatchFileError, match="1 of 2 rows"):
        rows.run()
    assert not rows.out_dir.exists()


@pytest.mark.parametrize("size", [0, 1, 100, 1024, 4096, 5000, -1, -4096])
def test_a_state_that_was_cut_off_is_told(size: int, rows: Rows) -> None:
    rows.write(*({"output": name} for name in NAMES))
    rows.run()
    content = rows.ledger.read_bytes()
    rows.ledger.write_bytes(content[:size])
    before = {path.name: path.read_bytes() for path in rows.out_dir.glob("*.mp4")}
    if size in (0, 1):
        # As if there had been no run: what is there is not ours, and stays.
        with pytest.raises(BatchFileError, match="4 of 4 rows"):
            rows.run()
    else:
        with pytest.raises(InputError, match="state of the batch is damaged"):
            rows.run()
    assert {path.name: path.read_bytes() for path in rows.out_dir.glob("*.mp4")} == before
    rows.ledger.write_bytes(content)
    assert rows.run().skipped == 4


def test_garbage_behind_the_state_does_no_harm(rows: Rows) -> None:
    rows.write(*({"output": name} for name in NAMES))
    rows.run()
    garbage = random.Random(0).randbytes(3000)
    with rows.ledger.open("ab") as file:
        file.write(garbage)
    # What a killed run leaves of its last transaction is told from garbage by its sums.
    rows.ledger.with_name(f"{rows.ledger.name}-wal").write_bytes(garbage)
    rows.write(*({"output": name} for name in NAMES), {"output": "e.mp4"})
    summary = rows.run()
    assert (summary.skipped, summary.done) == (4, 1)
    assert list(rows.results.values()) == ["done"] * 5


@pytest.mark.parametrize("version", [2, 99, -1])
def test_a_state_of_another_version_is_left_alone(version: int, rows: Rows) -> None:
    rows.write({"output": "a.mp4"})
    rows.run()
    with sqlite3.connect(rows.ledger) as base:
        base.execute(f"PRAGMA user_version = {version}")
    base.close()
    content = rows.ledger.read_bytes()
    with pytest.raises(InputError, match="written by another version of talkhead"):
        rows.run()
    assert rows.ledger.read_bytes() == content


def test_a_state_that_is_taken_away_during_the_run_ends_it(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.write({"output": "a.mp4"}, {"output": "b.mp4"})
    take = BatchRun._take

    def take_and_remove(*arguments: object) -> bool:
        again = take(*arguments)  # type: ignore[arg-type]
        shutil.rmtree(rows.out_dir)
        rows.out_dir.mkdir()
        return again

    monkeypatch.setattr(BatchRun, "_take", take_and_remove)
    with pytest.raises(InputError, match="was removed or replaced while the batch ran"):
        rows.run()


def test_a_second_batch_in_the_same_folder_is_refused(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkhead_cli.batch.lock.GLANCE_SECONDS", 0.1)
    rows.write({"output": "a.mp4"})
    rows.run()
    with (
        RunLock(rows.ledger.parent, rows.out_dir),
        pytest.raises(InputError, match="is rendering a batch into this folder"),
    ):
        rows.run()
    assert rows.run().skipped == 1
