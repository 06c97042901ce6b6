"""Measures of motion where the answer is known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from talkhead_models.basis import NECK_PIVOT, FaceBasis, rotation_matrix
from talkhead_models.motion import EXPRESSION_SIZE as K
from talkhead_models.motion import GEOMETRY_SIZE, MOTION_SIZE, FaceMotion

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "training"))

import motion_metrics as metrics
from motion_data import Clip
from motion_statistics import MotionStatistics, frechet_distance, frechet_motion_distance
from phone_sync import read_phones, score_phones

FPS = 25


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


def make_motion(num_frames: int = 200, seed: int = 0, size: int = MOTION_SIZE) -> np.ndarray:
    """Smooth noise in every column."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(num_frames + 8, size))
    smooth = np.apply_along_axis(np.convolve, 0, noise, np.full(9, 1 / 9), "valid")
    smooth[:, K + 2 :] *= 0.1
    return smooth.astype(np.float32)


def make_clip(seed: int, person: str, num_frames: int = 200, features: int | None = 20) -> Clip:
    made = None if features is None else np.zeros((2 * num_frames, features), np.float32)
    return Clip(
        f"clip{seed}", person, make_motion(num_frames, seed), made, np.ones(9), False, False
    )


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [make_clip(seed, f"person{seed}") for seed in range(8)]


@pytest.fixture(scope="module")
def statistics(clips: list[Clip], basis: FaceBasis) -> MotionStatistics:
    return MotionStatistics.fit(clips, basis)


class Parrot:
    """A generator that says a fixed motion back, in chunks; a seed turns the head and opens the mouth."""

    frames_per_chunk = 32

    def __init__(self, motion: np.ndarray, widths: list[int] | None = None) -> None:
        self.motion = motion
        self.widths = [] if widths is None else widths

    def start(self, seed: int) -> int:
        return seed

    def generate(self, features, seed, options, state):
        assert state == seed
        self.widths.append(features.shape[1])
        num_frames = -(-len(features) // 2)
        motion = self.motion[:num_frames].copy()
        motion[:, metrics.TURN] += np.radians([0.0, 2.0 * seed, 0.0])
        for start in range(0, num_frames, self.frames_per_chunk):
            yield FaceMotion.from_array(motion[start : start + self.frames_per_chunk])


def test_lip_distance_of_itself_is_zero_and_grows_with_the_shift(basis: FaceBasis) -> None:
    real = make_motion()
    distances = [metrics.lip_distance(np.roll(real, s, 0), real, basis) for s in (0, 1, 3)]
    assert distances[0] == 0
    assert 0 < distances[1] < distances[2]


def test_lip_distance_knows_nothing_of_the_pose_and_is_linear(basis: FaceBasis) -> None:
    real = make_motion()
    turned = real.copy()
    turned[:, metrics.POSE] += 0.3
    assert metrics.lip_distance(turned, real, basis) == 0
    still = np.zeros_like(real)
    once = metrics.lip_distance(real, still, basis)
    assert metrics.lip_distance(2 * real, still, basis) == pytest.approx(2 * once, rel=1e-5)
    with pytest.raises(ValueError, match="frames"):
        metrics.lip_distance(real[1:], real, basis)


def test_lip_distance_is_that_of_the_mesh(basis: FaceBasis) -> None:
    made, real = make_motion(20, 1), make_motion(20, 2)
    meshes = [basis.deltas(motion[:, :K])[:, list(metrics.LIPS), :2] for motion in (made, real)]
    expected = np.linalg.norm(meshes[0] - meshes[1], axis=-1).mean()
    assert metrics.lip_distance(made, real, basis) == pytest.approx(expected, rel=1e-4)


@given(st.integers(1, 6), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_frechet_distance_is_the_closed_form(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, size, size))
    a, b = a @ a.T + np.eye(size), b @ b.T + np.eye(size)
    mean = rng.normal(size=size)
    expected = (mean**2).sum() + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert frechet_distance(mean, a, np.zeros(size), b) == pytest.approx(expected, abs=1e-6)
    swapped = frechet_distance(np.zeros(size), b, mean, a)
    assert swapped == pytest.approx(expected, abs=1e-6)


def test_frechet_distance_in_one_dimension_and_without_full_rank() -> None:
    one = [np.array([[value]]) for value in (4.0, 9.0)]
    zero = np.zeros(1)
    assert frechet_distance(zero + 3, one[0], zero, one[1]) == pytest.approx(9 + (2 - 3) ** 2)
    flat = np.diag([1.0, 0.0])
    assert frechet_distance(np.zeros(2), flat, np.zeros(2), np.zeros((2, 2))) == pytest.approx(1)


def test_frechet_motion_distance_orders_motions(
    clips: list[Clip], statistics: MotionStatistics
) -> None:
    real = [clip.motion for clip in clips]
    assert frechet_motion_distance(real, statistics) == pytest.approx(0, abs=1e-6)
    others = [make_motion(200, 100 + seed) for seed in range(8)]
    larger = [1.5 * motion for motion in others]
    still = [np.zeros_like(motion) for motion in real]
    near, far, nothing = (
        frechet_motion_distance(motions, statistics) for motions in (others, larger, still)
    )
    assert 0 < near < far < nothing


def test_face_and_pose_are_apart(clips: list[Clip], statistics: MotionStatistics) -> None:
    motions = [clip.motion.copy() for clip in clips]
    for motion in motions:
        motion[:, metrics.POSE] *= 3
    assert frechet_motion_distance(motions, statistics, "face") == pytest.approx(0, abs=1e-6)
    assert frechet_motion_distance(motions, statistics, "pose") > 10


def test_one_second_is_enough_and_less_is_refused(statistics: MotionStatistics) -> None:
    assert np.isfinite(frechet_motion_distance([make_motion(25)], statistics))
    with pytest.raises(ValueError, match="shorter"):
        frechet_motion_distance([make_motion(24)], statistics)


def test_one_person_does_not_stand_for_everybody(basis: FaceBasis) -> None:
    crowd = [make_clip(seed, "one", 1000) for seed in range(3)] + [make_clip(9, "other", 49)]
    assert len(MotionStatistics.fit(crowd, basis).features) == 60 + 3
    with pytest.raises(ValueError, match="second"):
        MotionStatistics.fit([make_clip(0, "short", 20)], basis)


def test_diversity_of_a_known_turn(basis: FaceBasis) -> None:
    motion = make_motion()
    turned = [motion + step * np.eye(MOTION_SIZE)[K + 5] for step in np.radians([0, 1, 3])]
    found = metrics.diversity(turned, basis)
    assert found["diversity_lips"] == 0
    assert found["diversity_pose"] == pytest.approx((1 + 3 + 2) / 3, rel=1e-4)
    with pytest.raises(ValueError, match="two"):
        metrics.diversity([motion], basis)


def test_boundary_step_sees_a_jump_where_chunks_meet() -> None:
    ramp = np.arange(96.0)[:, None] * np.ones(MOTION_SIZE) * 0.01
    assert metrics.boundary_step(ramp, 32) == pytest.approx(
        {"boundary_face": 1, "boundary_pose": 1}
    )
    jumping = ramp.copy()
    jumping[32:, :K] += 0.04
    jumping[64:, :K] += 0.02
    found = metrics.boundary_step(jumping, 32)
    assert found["boundary_face"] == pytest.approx((5 + 3) / 2)
    assert found["boundary_pose"] == pytest.approx(1)
    elsewhere = ramp.copy()
    elsewhere[30:, :K] += 0.04
    assert metrics.boundary_step(elsewhere, 32)["boundary_face"] == pytest.approx(1)
    assert metrics.boundary_step(np.zeros((96, MOTION_SIZE)), 32)["boundary_face"] == 1
    assert np.isnan(metrics.boundary_step(ramp[:32], 32)["boundary_face"])


def test_points_and_jerk_of_known_paths(basis: FaceBasis) -> None:
    motion = make_motion(12)
    frame = motion[7]
    mesh = basis.mean + np.tensordot(frame[:K], basis.expression, 1)
    posed = (mesh - NECK_PIVOT) @ rotation_matrix(frame[metrics.TURN]).T + NECK_PIVOT
    expected = posed[metrics.JUDGED_POINTS, :2] * np.exp(frame[K + 9]) + frame[K + 7 : K + 9]
    np.testing.assert_allclose(metrics.points_of(motion, basis)[7], expected, atol=1e-5)
    times = np.arange(40.0) / 40
    path = np.zeros((40, GEOMETRY_SIZE))
    path[:, K + 7] = times**2
    assert metrics.jerk(path, basis) == pytest.approx(0, abs=1e-6)
    path[:, K + 7] = times**3  # third difference 6 / 40^3, in x alone
    assert metrics.jerk(path, basis) == pytest.approx(3 / 40**3, rel=0.05)


def test_blink_rate_counts_closings() -> None:
    motion = np.zeros((MINUTE := metrics.MINUTE, MOTION_SIZE))
    for start in range(50, MINUTE, 100):
        motion[start : start + 4, metrics.LIDS] = 1
    assert metrics.blink_rate(motion) == pytest.approx(15)
    motion[:, K] = 0  # one eye alone is a wink
    assert metrics.blink_rate(motion) == 0


def test_drift_of_a_loop_is_none_and_of_a_fading_mouth_shows(
    statistics: MotionStatistics, basis: FaceBasis
) -> None:
    minute = make_motion(metrics.MINUTE)
    minute[100:104, metrics.LIDS] = 1
    steady = metrics.drift_summary(
        metrics.drift_curve(np.concatenate([minute] * 3), statistics, basis)
    )
    expected = {"fmd_ratio": 1, "gap_p95_ratio": 1, "blinks_min_ratio": 1}
    assert steady == pytest.approx(expected | {"rest_change": 0, "offset_last": 0}, abs=1e-6)
    fading = np.concatenate([minute, 0.5 * minute, 0.25 * minute, minute[:50]])
    curve = metrics.drift_curve(fading, statistics, basis)
    assert [len(values) for values in curve.values()] == [3] * 5
    found = metrics.drift_summary(curve)
    assert found["fmd_ratio"] > 1
    assert found["gap_p95_ratio"] < 0.6
    assert found["offset_last"] > 0
    with pytest.raises(ValueError, match="drift"):
        metrics.drift_curve(minute[1:], statistics, basis)


def speak(num_frames: int = 300, late: int = 0) -> tuple[np.ndarray, list]:
    """A gap that does exactly what the phones say, `late` frames behind them."""
    phones, gap = [], np.zeros(num_frames)
    words = [("pau", 0.4), ("p", 0.12), ("aa", 0.2), ("m", 0.12), ("ow", 0.24), ("n", 0.08)]
    start, index = 0.0, 0
    while start < num_frames / FPS:
        phone, length = words[index % len(words)]
        phones.append((phone, start, start + length))
        level = {"aa": 0.12, "ow": 0.1, "n": 0.04}.get(phone, 0.0)
        gap[round(start * FPS) + late : round((start + length) * FPS) + late] = level
        start, index = start + length, index + 1
    return gap, phones


def test_phone_sync_of_a_perfect_and_of_a_late_mouth() -> None:
    gap, phones = speak()
    found = score_phones(gap, phones)
    assert found["closure"] == found["open"] == 1
    assert found["corr"] > 0.9
    assert found["lag_ms"] == 0
    assert found["silence"] == 0
    late = score_phones(speak(late=3)[0], phones)
    assert late["lag_ms"] == 120
    assert late["corr"] < found["corr"]
    closed_only = score_phones(np.full(300, 1e-3), phones)
    assert closed_only["closure"] == 1
    assert closed_only["open"] == 0


def test_phone_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.phones"
    path.write_text("pau:0.25 hh:0.31 ax:0.5\n")
    assert read_phones(path) == [("pau", 0.0, 0.25), ("hh", 0.25, 0.31), ("ax", 0.31, 0.5)]


def test_follow_groups_people_and_knows_a_copy(basis: FaceBasis) -> None:
    found = [make_clip(0, metrics.SINGLE_SPEAKER), make_clip(1, "somebody")]
    copies = [clip.motion for clip in found]
    copied = metrics.follow(copies, found, basis)
    assert copied["corr_single"] == pytest.approx(1)
    assert copied["corr_wild"] == pytest.approx(1)
    assert copied["p95_ratio"] == pytest.approx(1)
    assert copied["lip_distance"] == copied["lip_distance_wild"] == 0
    assert "corr_grid" not in copied
    mirrored = metrics.follow([-motion for motion in copies], found, basis)
    assert mirrored["corr_single"] == pytest.approx(-1)


def test_summary_of_a_parrot(
    clips: list[Clip], statistics: MotionStatistics, basis: FaceBasis
) -> None:
    motion, widths = clips[0].motion, []
    features, (_, phones) = np.zeros((2 * 300, 56), np.float32), speak()
    long = np.concatenate([motion, motion])
    own = [clips[0], make_clip(50, "silent", features=None)]
    found = metrics.summary(
        Parrot(long, widths),
        {"a": features},
        {"a": phones},
        own,
        statistics,
        basis,
        feature_size=20,
    )
    assert set(widths) == {20}
    assert found["diversity_lips"] == 0
    assert found["diversity_pose"] == pytest.approx(2, rel=1e-4)
    assert found["lip_distance"] == 0
    assert found["corr_wild"] == pytest.approx(1)
    expected = frechet_motion_distance([motion], statistics)
    assert found["fmd"] == pytest.approx(expected, rel=1e-4)
    assert found["jerk"] == pytest.approx(metrics.jerk(long[:300], basis), rel=1e-4)
    assert found["ms_per_chunk"] > 0
    assert all(isinstance(value, float) for value in found.values())
    without = metrics.summary(Parrot(long), {"a": features}, {"a": phones}, [], statistics, basis)
    assert "corr_wild" not in without


def test_reference_rows_bracket_a_generator(
    clips: list[Clip], statistics: MotionStatistics, basis: FaceBasis
) -> None:
    rows = metrics.reference_rows(clips, statistics, basis, 32)
    assert rows["real motion"]["fmd"] == pytest.approx(0, abs=1e-6)
    assert rows["mouth at rest"]["fmd"] > 10
    assert rows["mouth at rest"]["lip_distance"] > 0
    assert 0.5 < rows["real motion"]["boundary_face"] < 2
