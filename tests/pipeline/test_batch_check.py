"""A manifest is checked against real files: what a render would refuse is told beforehand, in the render's words."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from talkhead_cli.audio import probe_audio
from talkhead_cli.batch.check import DictFacts, Plan, plan_batch
from talkhead_cli.batch.files import look_at_all
from talkhead_cli.batch.job import BatchRequest, Control
from talkhead_cli.batch.look import Look, look_at, portrait_kind
from talkhead_cli.batch.verdict import check_film_face, video_size
from talkhead_cli.errors import (
    AudioError,
    InputError,
    MediaError,
    NoFaceError,
    UsageError,
    WeightsError,
)
from talkhead_cli.face import load_portrait
from talkhead_cli.ffmpeg_binary import ffmpeg_path
from talkhead_cli.film_rules import FILM_CRF
from talkhead_cli.settings import RenderSettings, resolve_settings
from talkhead_models.bundle import WEIGHTS_VARIABLE, weights_folder
from tests.conftest import make_tone, run_ffmpeg, save_picture


class Studio:
    """A folder with a manifest and its files; what was found is kept from test to test."""

    def __init__(self, folder: Path, out: Path, facts: DictFacts) -> None:
        self.folder = folder
        self.out = out
        self.facts = facts

    def plan(self, *rows: Mapping[str, object], **options: Any) -> Plan:
        """Check a manifest of these rows."""
        manifest = self.folder / "jobs.csv"
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with manifest.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        hooks = {key: options.pop(key) for key in ("control", "on_progress") if key in options}
        request = BatchRequest(manifest, self.out, **{"devices": ("cpu",), **options})
        before = self.contents()
        plan = plan_batch(request, lambda key, output: f"{key}:{output}", self.facts, **hooks)
        assert self.contents() == before, "a check writes nothing"
        return plan

    def contents(self) -> list[Path]:
        return sorted([*self.folder.rglob("*"), *self.out.parent.rglob("*")])


def told(plan: Plan) -> list[tuple[int, str]]:
    """Row and column of every fault."""
    return [(fault.row, fault.column) for fault in plan.faults]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray, short_wav: Path) -> Path:
    """Good files and bad ones."""
    folder = tmp_path_factory.mktemp("studio")
    head = astronaut[30:286, 96:352]
    save_picture(head, folder / "ann.png")
    save_picture(np.concatenate([head, head[:, ::-1]], axis=1), folder / "two.png")
    save_picture(np.full((256, 256, 3), 128, np.uint8), folder / "grey.png")
    save_picture(head[:96, :96], folder / "tiny.png")
    (folder / "broken.png").write_bytes((folder / "ann.png").read_bytes()[:9000])
    (folder / "empty.png").write_bytes(b"")
    shutil.copy(short_wav, folder / "speech.wav")
    soundfile.write(folder / "silent.wav", np.zeros(16000), 16000)
    (folder / "cut.wav").write_bytes((folder / "speech.wav").read_bytes()[:9000])
    (folder / "notes.wav").write_text("these are notes")
    picture = ["-loop", 1, "-i", folder / "ann.png", "-t", 1, "-r", 10, "-pix_fmt", "yuv420p"]
    run_ffmpeg(*picture, folder / "film.mp4")
    run_ffmpeg("-i", folder / "film.mp4", "-i", folder / "speech.wav", folder / "sound.mp4")
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=d=1:s=256x256:r=10", folder / "bars.mp4")
    return folder


@pytest.fixture(scope="module")
def facts() -> DictFacts:
    return DictFacts()


@pytest.fixture
def studio(files: Path, facts: DictFacts, tmp_path: Path) -> Studio:
    return Studio(files, tmp_path / "videos", facts)


GOOD = {"portrait": "ann.png", "audio": "speech.wav"}


def test_what_a_good_row_becomes(studio: Studio):
    first = {**GOOD, "output": "sub/a.mp4", "seed": 3, "id": "S1", "fps": 30}
    driven = {"portrait": "two.png", "drive": "sound.mp4", "face": 2, "crop": "face", "size": 128}
    silent = {"portrait": "ann.png", "drive": "film.mp4"}
    plan = studio.plan(first, driven, silent, options={"crf": 20})
    assert not plan.faults
    a, b, c = plan.jobs
    assert (a.row, a.portrait) == (1, str(studio.folder / "ann.png"))
    assert (a.audio, a.drive) == (str(studio.folder / "speech.wav"), None)
    assert a.output == str(studio.out / "sub" / "a.mp4")
    assert a.folder == f"{a.key}:{a.output}"
    assert plan.carried == {1: {"id": "S1"}}
    wanted = resolve_settings(None, {"seed": 3, "fps": Fraction(30), "crf": 20})
    assert RenderSettings.model_validate({**a.settings, "device": "auto"}) == wanted
    assert a.seconds == pytest.approx(1.2)
    assert a.num_frames == 36
    assert (b.audio, b.drive) == (None, str(studio.folder / "sound.mp4"))
    assert b.seconds == pytest.approx(probe_audio(studio.folder / "sound.mp4").duration_seconds)
    assert (Path(b.output).name, Path(c.output).name) == ("sound.mp4", "film.mp4")
    assert c.num_frames == 25
    assert plan.seconds == pytest.approx(a.seconds + b.seconds + c.seconds)
    assert max(job.cost for job in plan.jobs) <= plan.estimate_seconds
    assert 0 < plan.estimate_bytes < plan.free_bytes


def test_a_style_is_part_of_its_row(studio: Studio):
    styled = {**GOOD, "output": "b.mp4", "style": "film.mp4"}
    plan = studio.plan({**GOOD, "output": "a.mp4"}, styled)
    assert not plan.faults
    plain, row = plan.jobs
    assert (plain.style, row.style) == (None, str(studio.folder / "film.mp4"))
    assert plain.key != row.key
    plan = studio.plan({**GOOD, "style": "bars.mp4"})
    assert [(fault.row, fault.column) for fault in plan.faults] == [(1, "style")]


def test_every_fault_of_every_row_is_told_at_once(studio: Studio):
    studio.out.mkdir()
    (studio.out / "there.mp4").write_bytes(b"video")
    plan = studio.plan(
        {**GOOD, "output": "a.mp4"},
        {"portrait": "Ann.PNG", "audio": "spech.wav", "output": "A.mp4", "seed": "x"},
        {"portrait": "grey.png", "audio": "silent.wav", "output": "there.mp4"},
        {"portrait": "broken.png", "audio": "cut.wav", "output": "../b.mp4", "fps": "1000"},
        {"portrait": "empty.png", "audio": "notes.wav", "output": "c.avi", "preset": "nope"},
        {"portrait": "tiny.png", "audio": "speech.wav", "max_seconds": 1},
        {"portrait": "no/ann.png", "audio": "", "bundle": "nope"},
        {"portrait": "ann.png", "audio": "speech.wav", "drive": "bars.mp4", "output": "d.mp4"},
        {"portrait": "ann.png", "drive": "ann.png", "output": "e.mp4"},
    )
    assert [job.row for job in plan.jobs] == [1]
    assert told(plan) == [
        (2, "portrait"),
        (2, "audio"),
        (2, "output"),
        (2, "seed"),
        (3, "portrait"),
        (3, "audio"),
        (3, "output"),
        (4, "portrait"),
        (4, "audio"),
        (4, "output"),
        (4, "fps"),
        (5, "portrait"),
        (5, "audio"),
        (5, "output"),
        (5, "preset"),
        (6, "portrait"),
        (6, "audio"),
        (7, "portrait"),
        (7, "audio"),
        (7, "bundle"),
        (8, "drive"),
        (9, "drive"),
    ]
    assert all(fault.line == fault.row + 1 for fault in plan.faults)
    words = {(fault.row, fault.column): fault.message for fault in plan.faults}
    assert words[2, "portrait"] == "Ann.PNG: no such file; did you mean 'ann.png'?"
    assert words[2, "audio"] == "spech.wav: no such file; did you mean 'speech.wav'?"
    assert words[3, "portrait"].startswith("grey.png: no face found")
    assert "is silent" in words[3, "audio"]
    assert "cut off" in words[4, "audio"]
    assert words[6, "audio"].startswith(
        "speech.wav: 1 seconds of audio are more than the 1 allowed"
    )
    assert "there is no folder" in words[7, "portrait"]
    assert "no face is seen" in words[8, "drive"]
    assert not any("\n" in fault.message for fault in plan.faults)


PORTRAITS: list[tuple[str, dict[str, Any]]] = [
    ("ann.png", {}),
    ("ann.png", {"crop": "face", "size": 200}),
    ("ann.png", {"size": 131}),
    ("two.png", {"face": "1"}),
    ("two.png", {"size": 130}),
    ("two.png", {"face": "3"}),
    ("two.png", {"face": "500,20"}),
    ("two.png", {"face": "9000,9000"}),
    ("grey.png", {}),
    ("tiny.png", {}),
    ("broken.png", {}),
    ("empty.png", {}),
]


def test_portraits_are_judged_as_a_render_would(studio: Studio):
    wanted: dict[int, str] = {}
    for row, (picture, options) in enumerate(PORTRAITS, 1):
        path = studio.folder / picture
        try:
            height, width = load_portrait(path, **options).image.shape[:2]
        except InputError as error:
            wanted[row] = str(error).replace(str(path), picture)
            continue
        kind = portrait_kind("mediapipe")
        value = look_at(Look(str(path), (kind,), 1.0))[kind]
        assert video_size("", value, resolve_settings(None, options)) == (width, height)
    plan = studio.plan(*({**GOOD, "portrait": name, **options} for name, options in PORTRAITS))
    assert {fault.row: fault.message for fault in plan.faults} == wanted
    assert len(wanted) == 8


def test_films_are_judged_as_a_render_would(studio: Studio):
    film = {"portrait": "film.mp4", "audio": "speech.wav"}
    plan = studio.plan(film, {**film, "fps": 30, "crf": 20, "size": 128}, GOOD)
    assert not plan.faults
    own, asked, picture = plan.jobs
    assert (own.settings["fps"], own.settings["crf"], own.num_frames) == (10, FILM_CRF, 12)
    assert (asked.settings["fps"], asked.settings["crf"]) == (30, 20)
    assert asked.given == own.given == ("crf", "fps")
    assert picture.given == ()
    assert len({job.key for job in plan.jobs}) == 3
    assert own.cost > picture.cost * own.num_frames / picture.num_frames
    # What does not go with films is told as the render tells it, and where it stands.
    bad = studio.plan(
        {**film, "alpha": "yes", "crop": "face"},
        {"portrait": "film.mp4", "drive": "sound.mp4"},
        {**film, "portrait": "bars.mp4"},
    )
    assert told(bad)[:4] == [(1, "crop"), (1, "alpha"), (2, "audio"), (2, "drive")]
    assert told(bad)[4:] == [(3, "portrait")]
    words = [fault.message for fault in bad.faults]
    assert words[1] == "film.mp4 is a film and keeps its background: leave --alpha out"
    assert "leave --drive out" in words[3]
    assert words[4] == "bars.mp4: no face is seen; give a film of one talking person"
    assert not bad.jobs
    value = {"width": 640, "height": 480, "face_width": 60.0, "faces": []}
    check_film_face("film.mp4", value, RenderSettings())
    with pytest.raises(NoFaceError, match="only 24 pixels wide"):
        check_film_face("film.mp4", value, RenderSettings(size=256))


def test_recordings_are_judged_as_a_render_would(studio: Studio):
    names = ["speech.wav", "cut.wav", "notes.wav", "empty.png", "sound.mp4", "ann.png", "film.mp4"]
    wanted: dict[int, str] = {}
    for row, name in enumerate(names, 1):
        path = studio.folder / name
        try:
            probe_audio(path)
        except AudioError as error:
            wanted[row] = str(error).replace(str(path), name)
    plan = studio.plan(*({**GOOD, "audio": name} for name in names))
    assert {fault.row: fault.message for fault in plan.faults} == wanted
    assert len(wanted) == 5


def test_what_is_known_is_not_looked_at_again(studio: Studio, monkeypatch: pytest.MonkeyPatch):
    shutil.copy(studio.folder / "speech.wav", studio.folder / "new.wav")
    good = {**GOOD, "audio": "new.wav"}
    rows = [{**good, "seed": seed, "output": f"{seed}.mp4"} for seed in range(3)]
    rows.append({"portrait": "grey.png", "audio": "cut.wav", "output": "x.mp4"})
    progress: list[tuple[int, int]] = []
    first = studio.plan(*rows, on_progress=lambda *counts: progress.append(counts))
    assert progress[-1][0] == progress[-1][1]
    assert len(first.jobs) == 3
    looks: list[str] = []

    def spy(wanted: list[Look], control: Control | None) -> Any:
        looks.extend(Path(look.path).name for look in wanted)
        return look_at_all(wanted, control)

    monkeypatch.setattr("talkhead_cli.batch.files.look_at_all", spy)
    second = studio.plan(*rows)
    assert (second.jobs, second.faults) == (first.jobs, first.faults)
    assert looks == []
    make_tone(studio.folder / "new.wav", 2.0)
    again = studio.plan(*rows)
    assert looks == ["new.wav"]
    assert {job.key for job in again.jobs}.isdisjoint({job.key for job in first.jobs})


def test_a_recording_too_long_to_be_decoded_is_looked_at_again_when_more_is_allowed(studio: Studio):
    make_tone(studio.folder / "long.wav", 5.0)
    row = {"portrait": "ann.png", "audio": "long.wav"}
    short = studio.plan(row, options={"max_seconds": 2.0})
    assert "5 seconds of audio are more than the 2 allowed" in short.faults[0].message
    assert studio.plan(row, options={"max_seconds": 6.0}).jobs[0].seconds == pytest.approx(5.0)


def keys(studio: Studio, row: Mapping[str, object], **options: Any) -> str:
    plan = studio.plan({**GOOD, **row}, **options)
    assert not plan.faults
    return plan.jobs[0].key


def test_the_key_says_whether_the_result_would_be_the_same(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    key = keys(studio, {})
    shutil.copy(studio.folder / "ann.png", studio.folder / "other.png")
    same = [
        {"output": "elsewhere.mp4"},
        {"portrait": "other.png"},
        {"max_seconds": 100},
        {"seed": 0, "note": "as always"},
    ]
    assert [keys(studio, row) for row in same] == [key] * len(same)
    assert keys(studio, {}, devices=("cuda:0",), sidecar=False) == key
    different = [
        {"seed": 1},
        {"crf": 19},
        {"preset": "rest"},
        {"drive": "film.mp4"},
        {"audio": "sound.mp4", "output": "a.mp4"},
        {"portrait": "two.png"},
    ]
    found = [keys(studio, row) for row in different]
    assert len({key, *found}) == len(different) + 1
    weights = tmp_path / "weights"
    shutil.copytree(weights_folder(), weights)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(weights))
    assert keys(studio, {}) == key
    for name in ("rest", "speech"):
        with (weights / f"{name}.safetensors").open("ab") as file:
            file.write(b"\0")
        (weights / "SHA256SUMS.json").unlink(missing_ok=True)
        assert (keys(studio, {}) == key) == (name == "rest")


def test_a_damaged_bundle_is_told_before_the_first_frame(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    weights = tmp_path / "weights"
    shutil.copytree(weights_folder(), weights)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(weights))
    with (weights / "speech.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(WeightsError, match="does not match its recorded sha256"):
        studio.plan(GOOD)
    with pytest.raises(WeightsError, match="no bundle 'nope'"):
        studio.plan(GOOD, options={"bundle": "nope"})
    with pytest.raises(UsageError, match="--fps"):
        studio.plan(GOOD, options={"fps": "0"})


def test_what_is_no_file_is_not_waited_for(studio: Studio, tmp_path: Path):
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    plan = studio.plan({**GOOD, "audio": pipe}, {**GOOD, "portrait": tmp_path})
    assert told(plan) == [(1, "audio"), (2, "portrait")]
    assert "is not a regular file" in plan.faults[0].message
    assert "is a folder" in plan.faults[1].message


def test_inputs_are_not_replaced(studio: Studio):
    studio.out = studio.folder
    rows = [
        {"portrait": "ann.png", "drive": "sound.mp4", "output": "film.mp4"},
        {"portrait": "ann.png", "drive": "film.mp4", "output": "jobs.mp4"},
    ]
    plan = studio.plan(*rows, overwrite=True)
    assert [fault.message for fault in plan.faults] == [
        "film.mp4: this is the drive of row 2; choose another output"
    ]


def test_a_disk_that_is_too_small(studio: Studio, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("talkhead_cli.batch.check.free_space", lambda folder: 1000)
    plan = studio.plan(GOOD)
    assert told(plan) == [(0, "output")]
    assert "make room" in plan.faults[0].message


def test_without_ffmpeg_nothing_is_checked(studio: Studio, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TALKHEAD_FFMPEG", "/nowhere/ffmpeg")
    ffmpeg_path.cache_clear()
    try:
        with pytest.raises(MediaError, match="cannot be run"):
            studio.plan(GOOD)
    finally:
        ffmpeg_path.cache_clear()


def test_a_check_can_be_stopped(studio: Studio):
    control = Control()
    control.stop()
    with pytest.raises(KeyboardInterrupt):
        studio.plan(GOOD, control=control)


def test_a_file_that_kills_its_reader_is_one_fault(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    deadly = tmp_path / "ffmpeg"
    deadly.write_text(
        f'#!/bin/sh\ncase "$*" in *killer*) kill -9 $PPID;; esac\nexec "{ffmpeg_path()}" "$@"\n'
    )
    deadly.chmod(0o755)
    names = ["good1.flac", "killer.flac", "good2.flac"]
    for name in names:
        soundfile.write(studio.folder / name, *soundfile.read(studio.folder / "speech.wav"))
    monkeypatch.setenv("TALKHEAD_FFMPEG", str(deadly))
    ffmpeg_path.cache_clear()
    try:
        plan = studio.plan(*({**GOOD, "audio": name} for name in names))
    finally:
        ffmpeg_path.cache_clear()
    assert told(plan) == [(2, "audio")]
    assert "killer.flac: cannot be used (reading it ends the program)" in plan.faults[0].message
    monkeypatch.undo()
    assert not studio.plan({**GOOD, "audio": "killer.flac"}).faults, "not held against it for ever"


def test_pictures_of_nothing_are_refused(studio: Studio):
    with Image.open(studio.folder / "ann.png") as image:
        image.putalpha(0)
        image.save(studio.folder / "clear.png")
    plan = studio.plan({**GOOD, "portrait": "clear.png", "background": "red"})
    assert "the whole picture is transparent" in plan.faults[0].message
