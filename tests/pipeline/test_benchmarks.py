"""The benchmarks' own arithmetic, and each of them on the smallest input there is."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkhead_cli.face import Portrait
from talkhead_models.motion import GEOMETRY_SIZE, FaceMotion
from talkhead_models.speech import NUM_VISEMES, VISEMES
from tests.conftest import ROOT, run_ffmpeg
from tests.pipeline.conftest import Filmed as Clip

HELD_OUT = "rizkiarm_evaluation_samples_"


@pytest.fixture(autouse=True)
def benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = list(sys.path)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield
    sys.path[:] = before


def write_clips(folder: Path, rows: list[tuple[str, str, str, str]]) -> None:
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "person", "tier", "speech", "real"])
        writer.writerows(
            (f"{person}_{take}.mp4", person, tier, speech, real)
            for person, take, tier, speech, real in (row for row in rows)
        )


def test_held_out_clips_are_of_people_never_trained_on(tmp_path: Path) -> None:
    from heldout import held_out_clips

    rows = [
        (
            f"{HELD_OUT}{n}",
            take,
            "research" if n % 2 else "permissive",
            "no" if n == 3 else "yes",
            "no" if n == 4 else "yes",
        )
        for n in range(8)
        for take in "ab"
    ]
    rows += [("grid_s1", take, "permissive", "yes", "yes") for take in "abcdefgh"]
    write_clips(tmp_path, rows)
    chosen = held_out_clips(tmp_path, 6)
    assert len({row["person"] for row in chosen}) == 6
    assert all(row["person"].startswith(HELD_OUT) and row["real"] == "yes" for row in chosen)
    assert [row["tier"] for row in chosen] == ["permissive", "research"] * 3
    # Without speech comes last.
    people = [row["person"] for row in held_out_clips(tmp_path, 99)]
    assert len(people) == 7
    assert people[-1] == f"{HELD_OUT}3"
    assert held_out_clips(tmp_path, 6) == chosen


def test_most_neutral_frame() -> None:
    from heldout import most_neutral

    gaps = np.array([0.05, 0.01, 0.02, 0.0, 0.03], np.float32)
    lids, turns, tracked = np.zeros((5, 2)), np.zeros((5, 2)), np.ones(5, bool)
    assert most_neutral(gaps, lids, turns, tracked) == 3
    lids[3, 0] = 0.9
    assert most_neutral(gaps, lids, turns, tracked) == 1
    turns[1, 1] = -0.6
    assert most_neutral(gaps, lids, turns, tracked) == 2
    assert most_neutral(gaps, lids, turns, ~tracked) == -1


def test_means_weigh_shares_by_what_they_are_shares_of() -> None:
    from heldout import means

    rows = [
        {"closure_recall": 1.0, "num_closures": 3, "mouth_l1": 0.1, "mouth_l1_warp": 0.4},
        {"closure_recall": 0.0, "num_closures": 1, "mouth_l1": 0.3, "mouth_l1_warp": 0.4},
        {"closure_recall": None, "num_closures": 0, "mouth_l1": 0.2, "mouth_l1_warp": 0.4},
    ]
    found = means(rows, ["closure_recall", "mouth_l1", "mouth_l1_warp", "mouth_rest"])
    assert found["closure_recall"] == 0.75
    assert found["mouth_l1_ratio"] == pytest.approx(0.5)
    assert "mouth_rest" not in found


def test_frames_equal_to_the_real_ones_have_no_error(portrait: Portrait) -> None:
    from comparison import Filmed, compare, face_frames

    shifts = np.array([0, 2, 4, 3, 1, 0])
    images = [np.roll(portrait.image, int(shift), axis=1) for shift in shifts]
    meshes = np.stack([portrait.mesh + np.float32([shift, 0, 0]) for shift in shifts])
    meshes[:, 14, 1] += np.array([0, 3, 6, 4, 1, 0], np.float32)
    real = face_frames(Filmed(images, meshes, np.ones(6, bool)))
    same = compare(real, real)
    assert same["mouth_l1"] == same["landmarks_mouth"] == 0
    assert same["mouth_ssim"] == pytest.approx(1)
    assert same["sharpness_ratio"] == same["flicker_ratio"] == same["opening_ratio"] == 1
    assert same["gap_correlation"] == pytest.approx(1)
    blurred = [np.asarray(Image.fromarray(i).resize((40, 40)).resize((300, 300))) for i in images]
    worse = compare([f._replace(image=b) for f, b in zip(real, blurred, strict=True)], real)
    assert worse["mouth_l1"] > 0.05
    assert worse["sharpness_ratio"] < 0.6
    assert worse["mouth_ssim"] < 0.8


@pytest.mark.slow
def test_heldout_measures_a_clip(
    filmed: Clip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import heldout

    write_clips(tmp_path, [(f"{HELD_OUT}x", "a", "permissive", "yes", "yes")])
    (tmp_path / "clips").mkdir()
    shutil.copy(filmed.path, tmp_path / "clips" / f"{HELD_OUT}x_a.mp4")
    monkeypatch.setattr(sys, "argv", ["heldout.py", str(tmp_path), "--seconds", "2", "--json"])
    heldout.main()
    tables = json.loads(capsys.readouterr().out)["tables"]
    own, spoken = tables["own"]["all"], tables["speech"]["all"]
    assert own["clips"] == spoken["clips"] == 1
    # The clip was made by the very renderer: it can make it again.
    assert own["mouth_l1_open_ratio"] <= own["mouth_l1_ratio"] < 0.95
    assert own["gap_correlation"] > 0.9
    assert 0.6 < own["sharpness_ratio"] < 1.4
    assert spoken["openness_correlation"] > 0.2


@pytest.mark.parametrize("flags", ["frag_every_frame", "frag_keyframe"])
def test_frames_of_a_fragmented_film_are_counted_as_they_come(flags: str, tmp_path: Path) -> None:
    from stream import frames_of

    path = tmp_path / "film.mp4"
    sources = ("-f", "lavfi", "-i", "testsrc=d=1:r=25", "-f", "lavfi", "-i", "sine=d=1")
    run_ffmpeg(*sources, "-g", 5, "-movflags", f"{flags}+delay_moov+default_base_moof", path)
    data = path.read_bytes()
    assert sum(1 for _ in frames_of(iter([data]))) == 25
    pieces = (data[start : start + 100] for start in range(0, len(data), 100))
    assert sum(1 for _ in frames_of(pieces)) == 25
    some = data[: len(data) // 2]
    assert 0 < sum(1 for _ in frames_of(iter([some]))) < 25


def test_moments_of_the_gallery() -> None:
    from gallery import choose_moments

    frames = 60
    visemes = np.zeros((frames, NUM_VISEMES), np.float32)
    visemes[:, VISEMES.index("AX")] = 1
    spoken = {"AA": 5, "PBM": 15, "FV": 25, "IY": 30, "UW": 35, "silence": 50}
    for name, middle in spoken.items():
        visemes[middle - 2 : middle + 3] = 0
        visemes[middle - 2 : middle + 3, VISEMES.index(name)] = [0.6, 0.8, 1, 0.8, 0.6]
    gap = np.full(frames, 0.02)
    gap[5], gap[40] = 0.1, 0.2
    motion = FaceMotion.from_array(np.zeros((frames, GEOMETRY_SIZE), np.float32))
    motion.lids[20] = 1
    motion.rotation[45, 1] = -0.1
    assert choose_moments(visemes, gap, motion) == {
        "open vowel": 5, "p, b, m": 15, "f, v": 25, "ee, s": 30, "oo, w": 35, "blink": 20,
        "head turned": 45, "pause": 50,
    }  # fmt: skip
    still = replace(motion, lids=motion.lids * 0)
    assert choose_moments(visemes, gap, still)["blink"] == 0


def test_gallery_of_one_portrait(
    astronaut_png: Path, short_wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gallery

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    shutil.copy(astronaut_png, pictures / "face.png")
    Image.new("RGB", (200, 200)).save(pictures / "blank.png")
    given = ["--portraits", pictures, "--speech", short_wav, "--out", tmp_path / "sheets"]
    monkeypatch.setattr(sys, "argv", ["gallery.py", *map(str, given)])
    gallery.main()
    assert sorted(p.name for p in (tmp_path / "sheets").iterdir()) == ["face.jpg", "index.md"]
    with Image.open(tmp_path / "sheets" / "face.jpg") as sheet:
        assert sheet.size == (9 * gallery.CELL, 2 * gallery.CELL + gallery.LABEL)
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    cells = pixels[gallery.LABEL : gallery.LABEL + gallery.CELL]
    portrait, vowel = cells[:, : gallery.CELL], cells[:, gallery.CELL : 2 * gallery.CELL]
    assert np.abs(portrait - vowel).mean() > 0.5
    page = (tmp_path / "sheets" / "index.md").read_text()
    assert "![face](face.jpg)" in page
    assert "no face found" in page
    assert "open vowel at" in page


def test_dubbed_pictures_are_compared_above_the_mouth() -> None:
    from dub import above, luma, psnr

    mesh = np.zeros((478, 3), np.float32)
    mesh[33], mesh[263], mesh[2] = (30, 40, 0), (70, 40, 0), (50, 60, 0)
    region = above(mesh, (100, 100, 3))
    assert region[:60].all()
    assert not region[60:].any()
    # A head on its side, the chin to the left.
    mesh[33], mesh[263], mesh[2] = (60, 30, 0), (60, 70, 0), (40, 50, 0)
    region = above(mesh, (100, 100, 3))
    assert region[:, 41:].all()
    assert not region[:, :41].any()
    assert psnr([0.0, 2.0]) == pytest.approx(48.13, abs=0.01)
    assert luma(np.full((1, 3), 10.0)) == pytest.approx(10)
