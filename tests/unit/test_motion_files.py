"""Motion files: what is written comes back, and what is no motion is refused in one sentence."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_cli.errors import DiskFull, InputError, UsageError
from talkhead_cli.motion_csv import COUNT, RATE, TIMECODE, pick_rate, timecode
from talkhead_cli.motion_files import MotionRecorder, load_motion, save_motion
from talkhead_cli.playback import SavedMotion
from talkhead_models.arkit import CURVES
from talkhead_models.basis import FaceBasis
from talkhead_models.motion import MOTION_SIZE, FaceMotion
from talkhead_models.motion_npz import WIDTHS

BASIS = FaceBasis.load()


def random_motion(frames: int = 12, fps: Fraction | int = 25, seed: int = 0) -> FaceMotion:
    rng = np.random.default_rng(seed)
    array = 0.3 * rng.normal(size=(frames, MOTION_SIZE))
    return FaceMotion.from_array(array.astype(np.float32), fps)


def refused(path: Path, words: str, **options: Any) -> None:
    """Insist on one sentence that names the file and what is wrong with it."""
    with pytest.raises(InputError) as caught:
        load_motion(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert words in message
    assert "\n" not in message
    assert len(message) < 300 + len(str(path))


@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    fps=st.sampled_from(["25", "30000/1001", "60", "12.5"]),
    generated=st.booleans(),
)
@settings(max_examples=25)
def test_npz_keeps_every_bit(
    seed: int, cuts: list[int], fps: str, generated: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("npz") / "motion.npz"
    motion = random_motion(sum(cuts), Fraction(fps), seed)
    save_motion(path, SavedMotion(motion, tuple(cuts), generated))
    back = load_motion(path)
    assert (back.chunks, back.generated) == (tuple(cuts), generated)
    assert back.motion.fps == motion.fps
    assert back.motion.to_array().tobytes() == motion.to_array().tobytes()
    first = path.read_bytes()
    save_motion(path, back)
    assert path.read_bytes() == first
    assert [item.name for item in path.parent.iterdir()] == ["motion.npz"]


def test_npz_is_plain_arrays_with_the_names_that_the_page_tells(tmp_path: Path) -> None:
    save_motion(tmp_path / "m.npz", random_motion())
    with np.load(tmp_path / "m.npz", allow_pickle=False) as stored:
        assert set(stored) == {"version", "fps", "chunks", "generated", *WIDTHS}
        assert stored["fps"].tolist() == [25, 1]
        assert stored["version"] == 1
        assert {name: stored[name].shape for name in WIDTHS} == {
            name: (12, width) for name, width in WIDTHS.items()
        }


def test_recorder_gathers_what_was_shown() -> None:
    recorder = MotionRecorder(generated=False)
    motion = random_motion(10)
    for part in (motion[:3], motion[3:4], motion[4:]):
        recorder(part)
    saved = recorder.saved
    assert (saved.chunks, saved.generated) == ((3, 1, 6), False)
    np.testing.assert_array_equal(saved.motion.to_array(), motion.to_array())


def test_edits_in_other_number_types_are_taken(tmp_path: Path) -> None:
    path, motion = tmp_path / "m.npz", random_motion()
    save_motion(path, SavedMotion(motion, (5, 7)))
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["rotation"] = np.asfortranarray(0.5 * arrays["rotation"].astype(np.float64))
    arrays["lids"] = np.zeros((12, 2), np.int64)
    np.savez_compressed(path, **arrays)
    back = load_motion(path)
    np.testing.assert_array_equal(back.motion.rotation, motion.rotation * np.float32(0.5))
    assert not back.motion.lids.any()
    assert back.chunks == (5, 7)
    for name in WIDTHS:
        arrays[name] = arrays[name][:9]
    np.savez(path, **arrays)
    # Batches of another length mean nothing any more.
    assert load_motion(path).chunks == ()


def bomb() -> bytes:
    """A zip file of 1 MB that unpacks to 1 GB of zeros, with a header that is honest about it."""
    shape = (1 << 23, WIDTHS["expression"])
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(  # type: ignore[no-untyped-call]
        head, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return head.getvalue() + bytes(1 << 24)


def spoil(path: Path, **changes: Any) -> None:
    """Write a good file with some arrays changed, or left out where they are None."""
    save_motion(path, random_motion())
    with np.load(path) as stored:
        arrays = {**stored, **changes}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            if isinstance(array, bytes):
                archive.writestr(f"{name}.npy", array)
            elif array is not None:
                buffer = io.BytesIO()
                np.save(buffer, array, allow_pickle=True)
                archive.writestr(f"{name}.npy", buffer.getvalue())


NAN = np.full((12, 3), np.nan, np.float32)
HUGE = np.full((12, 32), 1e30, np.float32)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"expression": np.zeros((12, 31))}, "shape (12, 31), not (frames, 32)"),
        ({"expression": np.zeros(12)}, "shape (12,)"),
        ({"lids": np.zeros((11, 2))}, "differ in length"),
        ({"gaze": None}, "no array 'gaze'"),
        ({"rotation": NAN}, "rotation holds values that are not finite"),
        ({"expression": HUGE}, "expression holds values beyond 60"),
        ({"translation": np.full((12, 3), 50)}, "translation holds values beyond 3"),
        ({"lids": np.array([[None, {}]] * 12, object)}, "not an array of plain numbers"),
        ({"lids": np.full((12, 2), "a")}, "not an array of plain numbers"),
        ({"lids": np.zeros((12, 2), complex)}, "not an array of plain numbers"),
        ({"expression": bomb()}, "expression has the shape (8388608, 32)"),
        ({"expression": b"junk"}, "magic"),
        ({"expression": b""}, "not a motion file"),
        ({"gaze": b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'}"}, "not a motion file"),
        ({"fps": np.array([25, 0])}, "fps is not a numerator"),
        ({"fps": np.array([25.0, 1.0])}, "fps is not a numerator"),
        ({"fps": np.array([9000, 1])}, "fps must be from 1 to 240"),
        ({"fps": np.array([-25, 1])}, "fps must be from 1 to 240"),
        ({"version": np.array(2)}, "its version is 2"),
        ({"version": None}, "no array 'version'"),
        ({"chunks": np.array([12, 0])}, "chunks"),
        ({name: np.zeros((0, width)) for name, width in WIDTHS.items()}, "no frames"),
    ],
)
def test_hostile_npz_files_are_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    spoil(tmp_path / "m.npz", **changes)
    refused(tmp_path / "m.npz", words)


@pytest.mark.parametrize("length", [0, 10, 600, -200])
def test_files_that_are_cut_off_are_refused(length: int, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    save_motion(path, random_motion())
    path.write_bytes(path.read_bytes()[:length])
    refused(path, "not a motion file")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Good files by suffix."""
    folder, found = tmp_path_factory.mktemp("whole"), {}
    for suffix in (".npz", ".csv"):
        save_motion(folder / f"m{suffix}", random_motion(3))
        found[suffix] = (folder / f"m{suffix}").read_bytes()
    return found


@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 30),
    suffix=st.sampled_from([".npz", ".csv"]),
)
@settings(max_examples=60)
def test_damaged_files_are_read_or_refused_but_never_crash(
    changes: list[tuple[float, int]],
    cut: int,
    suffix: str,
    whole: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged{suffix}"
    content = bytearray(whole[suffix])
    for place, change in changes:
        content[round(place * (len(content) - 1))] ^= change
    start = len(content) // 2
    del content[start : start + cut]
    path.write_bytes(content)
    try:
        motion = load_motion(path).motion
    except InputError as error:
        assert str(error).startswith(str(path))
        assert "()" not in str(error)
    else:
        assert np.isfinite(motion.to_array()).all()


def test_motion_that_is_too_long_is_refused(tmp_path: Path) -> None:
    motion = random_motion(60, 10)
    for name in ("m.npz", "m.csv"):
        save_motion(tmp_path / name, motion)
        assert load_motion(tmp_path / name, max_seconds=6.0).motion.num_frames == 60
        refused(tmp_path / name, "raise --max-seconds", max_seconds=2.0)


@pytest.mark.parametrize("name", ["m.txt", "m", "m.npy"])
def test_names_tell_the_kind_of_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.npz or \.csv"):
        save_motion(tmp_path / name, random_motion())
    with pytest.raises(UsageError, match=r"ends in \.npz or \.csv"):
        load_motion(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_replaced_unasked_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.csv"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        save_motion(path, random_motion(), overwrite=False)

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("talkhead_cli.motion_files.csv_text", full)
    with pytest.raises(DiskFull, match="the disk is full"):
        save_motion(path, random_motion())
    assert path.read_text() == "mine"
    assert [item.name for item in tmp_path.iterdir()] == ["m.csv"]


RATES = ["25", "30", "60", "24000/1001", "30000/1001", "60000/1001", "12.5", "5", "120"]


@pytest.mark.parametrize("rate", RATES[::2])
def test_table_is_a_live_link_face_take(rate: str, tmp_path: Path) -> None:
    path, fps = tmp_path / "m.csv", Fraction(rate)
    save_motion(path, random_motion(round(3 * fps), fps))
    lines = path.read_text().splitlines()
    assert lines[0].split(",") == [TIMECODE, COUNT, *CURVES]
    assert len(lines) == 1 + round(3 * fps)
    for index, line in enumerate(lines[1:]):
        code, count, *values = line.split(",")
        assert count == "61"
        hours, minutes, seconds, frames = code.split(":")
        assert (hours, minutes) == ("00", "00")
        assert 0 <= float(frames) < -(-fps // 1)
        clock = int(seconds) + float(frames) / float(-(-fps // 1))
        assert clock == pytest.approx(index / float(fps), abs=1e-3)
        assert all(0 <= float(value) <= 1 for value in values[:52])
        assert all(abs(float(value)) < 4 for value in values[52:])
    back = load_motion(path, fps=Fraction(50)).motion
    assert (back.fps, back.num_frames) == (fps, round(3 * fps))


@given(index=st.integers(0, 10**6), rate=st.sampled_from(RATES))
def test_timecodes_tell_the_time(index: int, rate: str) -> None:
    fps = Fraction(rate)
    unit = -(-fps // 1)
    hours, minutes, seconds, frames = (float(part) for part in timecode(index, fps).split(":"))
    assert frames < unit
    assert seconds < 60
    assert minutes < 60
    told = 3600 * hours + 60 * minutes + seconds + frames / float(unit)
    assert told == pytest.approx(index / float(fps), abs=0.001)


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_foreign_spellings_and_missing_columns(tmp_path: Path) -> None:
    text = (
        "frame;jawOpen;mouthSmile_L;eyeBlink_R;tongueOut;_neutral\n0;0.5;1;0;1;9\n\n1;0.5;1;1;1;9\n"
    )
    found = load_motion(table(tmp_path / "m.csv", text), fps=Fraction(30))
    assert found.generated
    motion = found.motion
    assert (motion.fps, motion.num_frames) == (30, 2)
    assert motion.lids.tolist() == [[0, 0], [1, 0]]
    assert BASIS.lip_gap(motion.expression)[0] == pytest.approx(0.18, abs=0.03)
    assert BASIS.deltas(motion.expression)[0, 291, 1] < -0.02
    assert not motion.rotation.any()


def test_rate_column_is_believed(tmp_path: Path) -> None:
    for told, fps in (("29.97", Fraction(30000, 1001)), ("12.5", Fraction(25, 2)), ("60", 60)):
        path = table(tmp_path / "m.csv", f"{RATE},JawOpen\n{told},0.1\n{told},0.2\n")
        assert load_motion(path).motion.fps == fps


def take(codes: list[str], values: list[str]) -> str:
    rows = [f"{code},61,{value}" for code, value in zip(codes, values, strict=True)]
    return "\n".join(["Timecode,BlendShapeCount,JawOpen", *rows])


def jaw(motion: FaceMotion) -> np.ndarray:
    """Opening in parts of a fully open jaw."""
    full = load_full_jaw()
    return BASIS.lip_gap(motion.expression) / full


def load_full_jaw() -> float:
    from talkhead_models.arkit import from_arkit

    row = np.zeros((1, len(CURVES)), np.float32)
    row[0, CURVES.index("JawOpen")] = 1
    return float(BASIS.lip_gap(from_arkit(row, BASIS, Fraction(25)).expression)[0])


def test_dropped_and_lost_frames_lie_between_their_neighbours(tmp_path: Path) -> None:
    # As the app writes them: a clock that starts anywhere, parts of frames, a frame that is missing.
    numbers = [index for index in range(90) if index not in (40, 41)]
    codes = [
        f"23:59:{59 + i // 60 - 60 * ((59 + i // 60) // 60):02}:{i % 60:02}.207" for i in numbers
    ]
    codes = [
        code if index < 60 else code.replace("23:59", "00:00", 1)
        for index, code in zip(numbers, codes, strict=True)
    ]
    values = [f"{index / 100:.3f}" for index in numbers]
    values[10] = ""
    motion = load_motion(table(tmp_path / "m.csv", take(codes, values))).motion
    assert (motion.fps, motion.num_frames) == (60, 90)
    np.testing.assert_allclose(jaw(motion), np.arange(90) / 100, atol=0.003)


def test_rows_without_a_face_lie_between_their_neighbours(tmp_path: Path) -> None:
    text = take([f"00:00:0{i // 25}:{i % 25:02}" for i in range(30)], ["0.4"] * 30)
    text = text.replace("00:00:00:07,61,0.4", "00:00:00:07,0,")
    motion = load_motion(table(tmp_path / "m.csv", text)).motion
    assert (motion.fps, motion.num_frames) == (25, 30)
    np.testing.assert_allclose(jaw(motion), 0.4, atol=0.003)


@given(rate=st.sampled_from([Fraction(rate) for rate in RATES]), count=st.integers(200, 2000))
def test_rates_are_told_apart(rate: Fraction, count: int) -> None:
    times = np.round(np.arange(count) / float(rate), 4)
    found, same, even = pick_rate(times, Fraction(-(-rate // 1)))
    assert (found, even) == (rate, True)
    assert same is times


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "none of its columns"),
        ("a,b\n1,2\n", "none of its columns"),
        ("JawOpen\n", "no frames"),
        ("JawOpen\n,\n\n", "no frames"),
        ("JawOpen,jawOpen\n1,1\n", "two columns JawOpen"),
        ("JawOpen\nwide\n", "row 1, JawOpen: 'wide' is not a number"),
        ("JawOpen\n0\ninf\n", "row 2, JawOpen: 'inf' is not a number"),
        ("JawOpen,HeadYaw\n0,45\n", "beyond 3"),
        ("JawOpen,HeadYaw\n,0\n", "no row is filled in"),
        ("Timecode,JawOpen\nnoon,0\n", "'noon' is not a timecode"),
        ("Timecode,JawOpen\n00:00:00:02,0\n00:00:00:01,0\n", "row 2: its timecode is not after"),
        ("Timecode,JawOpen\n00:00:00:999,0\n", "count 1000 frames a second"),
        ("fps,JawOpen\n0,0\n", "frame rate of 0 a second"),
        ("fps,JawOpen\n1e9,0\n", "is not from 1 to 240"),
        ("JawOpen\n\x00\n", "not"),
        ('JawOpen\n"' + "x" * 200_000, "no CSV table"),
        ("Timecode,JawOpen\n00:00:00:01,0\n99:00:00:01,0\n", "raise --max-seconds"),
    ],
)
def test_tables_that_are_no_motion_are_refused(text: str, words: str, tmp_path: Path) -> None:
    refused(table(tmp_path / "m.csv", text), words)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(bytes(range(256)) * 40)
    refused(path, "not a motion file")


def test_motion_comes_to_rest_only_where_it_is_too_short() -> None:
    saved = SavedMotion(random_motion(30), (30,))
    assert saved.lasting(1.21, Fraction(25)).motion.num_frames == 30
    assert saved.lasting(0.5, Fraction(25)).motion.num_frames == 30
    longer = saved.lasting(3.0, Fraction(25))
    np.testing.assert_array_equal(longer.motion.to_array()[:30], saved.motion.to_array())
    assert longer.motion.num_frames == 75
    assert np.abs(longer.motion.expression[-1]).max() < 0.01
    assert saved.lasting(3.0, Fraction(50)).motion.num_frames >= 75
    assert replace(longer, generated=False).chunks == (30,)
