"""Tables of results: what a cell says, and that writing one section leaves the others alone."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "training"))

import results
from results import Table


def make_table(name: str = "cache", **changes: object) -> Table:
    rows = {
        "no cache": [{"closure": 0.8, "fmd": 50.0}, {"closure": 0.9, "fmd": 52.0}],
        "both": [{"closure": 0.95, "fmd": 40.0}, {"closure": 0.95, "fmd": math.nan}],
    }
    table = Table(
        name,
        "What the cache brings",
        "Trained alike.",
        rows,
        ["closure", "fmd", "jerk"],
        [0, 1],
        "permissive",
        "python ablate.py DATA --table cache",
        "2026-01-02",
    )
    return replace(table, **changes)


def test_cells_are_mean_and_deviation() -> None:
    rows = make_table().rows
    assert results.cell(rows["no cache"], "closure") == "0.850 ± 0.071"
    assert results.cell(rows["both"], "closure") == "0.950 ± 0.000"
    assert results.cell(rows["both"], "fmd") == "40.0"
    assert results.cell(rows["both"], "jerk") == ""


def test_a_section_has_all_that_a_reader_needs() -> None:
    section = results.to_markdown(make_table(conclusion="The cache helps."))
    lines = section.splitlines()
    assert lines[0] == "## What the cache brings"
    assert "| | closures ↑ | FMD ↓ |" in lines
    assert "| no cache | 0.850 ± 0.071 | 51.0 ± 1.4 |" in lines
    assert "jerk" not in section
    for part in ("Trained alike.", "2026-01-02", "seeds 0, 1", "permissive", "--table cache"):
        assert part in section
    assert section.index("The cache helps.") > section.index("| both |")


def test_writing_replaces_one_section_and_nothing_else(tmp_path: Path) -> None:
    results.write_table(make_table("first"), tmp_path)
    results.write_table(make_table("second", title="Second"), tmp_path)
    page = tmp_path / "RESULTS.md"
    page.write_text(page.read_text() + "\nA hand-written end.\n")
    before = page.read_text()
    results.write_table(make_table("first", title="Run again"), tmp_path)
    after = page.read_text()
    assert after == before.replace("## What the cache brings", "## Run again")
    assert after.index("Run again") < after.index("Second") < after.index("hand-written")
    assert list(results.read_tables(tmp_path)) == ["first", "second"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["RESULTS.md", "results.json"]


def test_the_page_is_rebuilt_from_the_numbers(tmp_path: Path, monkeypatch) -> None:
    tmp_path = tmp_path / "not yet there"
    results.write_table(make_table("first"), tmp_path)
    results.write_table(make_table("second"), tmp_path)
    page = tmp_path / "RESULTS.md"
    before = page.read_text()
    page.unlink()
    monkeypatch.setattr(sys, "argv", ["results.py", str(tmp_path)])
    results.main()
    assert page.read_text() == before


def test_numbers_are_plain_json_and_come_back(tmp_path: Path) -> None:
    table = make_table()
    results.write_table(table, tmp_path)

    def refuse(word: str) -> float:
        raise AssertionError(f"{word} is no JSON")

    json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)
    (read,) = results.read_tables(tmp_path).values()
    assert math.isnan(read.rows["both"][1]["fmd"])
    assert results.to_plain(read) == results.to_plain(table)


def test_a_conclusion_is_kept_with_the_numbers(tmp_path: Path) -> None:
    results.write_table(make_table(), tmp_path)
    results.conclude("cache", "It helps.", tmp_path)
    assert "It helps." in (tmp_path / "RESULTS.md").read_text()
    assert results.read_tables(tmp_path)["cache"].conclusion == "It helps."
    with pytest.raises(KeyError):
        results.conclude("nobody", "It helps.", tmp_path)


def test_comparison_is_seed_by_seed() -> None:
    table = make_table()
    text = results.compare(table, "both", "no cache", "closure")
    assert text == "both against no cache: closures +0.100, better in 2 of 2 seeds."
    ratios = {"a": [{"p95_ratio": 1.1}], "b": [{"p95_ratio": 0.7}]}
    text = results.compare(replace(table, rows=ratios), "a", "b", "p95_ratio")
    assert text.endswith("better in 1 of 1 seeds.")
    with pytest.raises(ValueError, match="seeds"):
        results.compare(table, "both", "no cache", "fmd")
    with pytest.raises(ValueError, match="neither"):
        results.compare(
            replace(table, rows={"a": [{"p95": 1.0}], "b": [{"p95": 2.0}]}), "a", "b", "p95"
        )


@pytest.mark.parametrize("name", ["", "Two Words", "a--b", "<x>"])
def test_names_must_be_plain(name: str) -> None:
    with pytest.raises(ValueError, match="name of a table"):
        make_table(name)


def test_a_row_without_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="every row"):
        make_table(rows={"a": []})


def test_tables_written_side_by_side_are_all_kept(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import results\n"
        "for index in range(10):\n"
        "    table = results.Table(f'{sys.argv[3]}-{index}', 'T', 'E', {'a': [{'corr': 1.0}]},"
        " ['corr'], [0], 'permissive', 'c')\n"
        "    results.write_table(table, Path(sys.argv[2]))\n"
    )
    folder = Path(results.__file__).parent
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(folder), str(tmp_path), name])
        for name in ("one", "two", "three")
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert len(results.read_tables(tmp_path)) == 30
    assert (tmp_path / "RESULTS.md").read_text().count("<!-- end of table") == 30


def test_a_page_broken_by_hand_is_not_made_worse(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    page.write_text("<!-- table cache -->\ncut off\n")
    with pytest.raises(ValueError, match="does not end"):
        results.write_table(make_table(), tmp_path)
    assert page.read_text() == "<!-- table cache -->\ncut off\n"
    assert not (tmp_path / "results.json").exists()


@given(st.text(alphabet="abc\n# ", max_size=40), st.text(alphabet="xyz\n|", max_size=40))
def test_a_replaced_section_is_the_last_one_written(first: str, second: str) -> None:
    page = results.replace_section("# Head\n", "one", first)
    page = results.replace_section(page, "two", "kept")
    again = results.replace_section(page, "one", second)
    assert results.replace_section(again, "one", first) == page
    assert "kept" in again


def test_every_measure_of_a_summary_has_a_column() -> None:
    import motion_metrics as metrics
    import numpy as np
    from test_motion_metrics import Parrot, make_clip, speak

    from talkhead_models.basis import FaceBasis

    basis = FaceBasis.load()
    clips = [make_clip(seed, person) for seed, person in enumerate(("grid_s1", "somebody"))]
    statistics = metrics.MotionStatistics.fit(clips, basis)
    motion = np.concatenate([clips[0].motion] * 15)
    features, (_, phones) = np.zeros((600, 20), np.float32), speak()
    found = metrics.summary(
        Parrot(motion), {"a": features}, {"a": phones}, clips, statistics, basis
    )
    found |= metrics.drift_summary(metrics.drift_curve(motion, statistics, basis))
    assert found.keys() - results.COLUMNS.keys() == set()
