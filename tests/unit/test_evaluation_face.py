"""Eyes, head, steps and their framing, on meshes that are made up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkhead_cli.evaluation.face import (
    FaceFrame,
    FaceTrack,
    TrackRecorder,
    blink_spans,
    chunk_step,
    measure_face,
)
from talkhead_cli.evaluation.tracker import neutral_of, smooth_framing, smoothing_weights
from talkhead_cli.face.landmarks import canonical_mesh, face_basis
from talkhead_models.basis import Pose, fit_pose, rotation_matrix
from talkhead_models.patches import MOUTH, patch_frame
from talkhead_models.warp import transform

BLANK = np.zeros((8, 8, 3), np.uint8)


def posed(
    turn: float = 0.0, x: float = 160.0, y: float = 160.0, scale: float = 100.0
) -> np.ndarray:
    """The mean face in pixels."""
    angles = np.array([0.0, turn, 0.0], np.float32)
    offset = np.array([x, y, 0], np.float32)
    return Pose(np.float32(scale), rotation_matrix(angles), offset).apply(canonical_mesh())


def track_of(meshes: list[np.ndarray], fps: float = 25.0, lost: tuple[int, ...] = ()) -> FaceTrack:
    recorder = TrackRecorder(fps)
    neutral = neutral_of(meshes[0], face_basis())
    for number, mesh in enumerate(meshes):
        pose = fit_pose(mesh, neutral)
        framing = patch_frame(MOUTH, neutral, pose)
        recorder.push(FaceFrame(BLANK, mesh, pose.invert(mesh), framing, number in lost))
    return recorder.finish()


def with_eyes(share: float) -> np.ndarray:
    """The mean face with lids that are open by a share."""
    mesh = posed()
    for upper, lower in ((159, 145), (386, 374)):
        middle = (mesh[upper] + mesh[lower]) / 2
        for point in (upper, lower):
            mesh[point] = middle + (mesh[point] - middle) * share
    return mesh


def test_a_still_face_has_no_motion() -> None:
    found = measure_face(track_of([posed()] * 100))
    assert found.num_blinks == 0
    assert found.blink_opening is None
    assert found.lost_frames == 0
    assert found.chunk_step is None
    assert found.head_motion == pytest.approx(0, abs=1e-6)
    assert found.jerk == pytest.approx(0, abs=1e-6)


def test_lost_frames_are_counted() -> None:
    assert measure_face(track_of([posed()] * 20, lost=(3, 4, 9))).lost_frames == 3


def test_the_opening_does_not_depend_on_size_and_place() -> None:
    near, far = (track_of([mesh] * 4) for mesh in (posed(scale=200), posed(x=50, scale=50)))
    assert near.gap == pytest.approx(far.gap, abs=1e-5)
    assert near.eyes == pytest.approx(far.eyes, abs=1e-5)


def test_blinks_are_counted_with_their_depth() -> None:
    shares = [1.0] * 100
    shares[20:23] = [0.6, 0.1, 0.4]
    shares[60:62] = [0.3, 0.3]
    found = measure_face(track_of([with_eyes(share) for share in shares]))
    assert found.num_blinks == 2
    assert found.blinks_per_minute == pytest.approx(30)
    assert found.blink_opening == pytest.approx(0.2, abs=0.01)
    assert found.blink_opening_worst == pytest.approx(0.3, abs=0.01)


def test_a_blink_at_the_end_counts_and_one_at_the_start_does_not() -> None:
    assert blink_spans(np.array([0.1, 0.1, 1, 1, 1, 1, 0.2, 0.2])) == [(6, 8)]


@given(st.floats(0.001, 0.2), st.integers(2, 40))
def test_head_motion_of_a_swing(amplitude: float, frames: int) -> None:
    swing = [posed(x=160 + 100 * amplitude * (-1) ** number) for number in range(2 * frames)]
    found = measure_face(track_of(swing))
    # Up and down there is nothing, so the mean of both directions is half.
    unit = np.linalg.norm((posed()[33] - posed()[263])[:2])
    assert found.head_motion == pytest.approx(100 * amplitude / unit / 2, rel=0.02)


def test_turning_the_head_is_no_step_of_the_face() -> None:
    turned = track_of([posed(turn=0.005 * number) for number in range(40)])
    opened = track_of([moved_chin(0.01 * number) for number in range(40)])
    assert turned.steps[1:].max() < 0.2 * opened.steps[1:].min()


def moved_chin(way: float) -> np.ndarray:
    mesh = posed()
    mesh[[152, 148, 176, 377, 400, 17, 14, 84, 314], 1] += 100 * way
    return mesh


def test_steps_at_chunk_boundaries_stand_out() -> None:
    steps = np.full(200, 0.01)
    steps[0] = 0
    assert chunk_step(steps, 25) == pytest.approx(1)
    steps[32::32] = 0.03
    assert chunk_step(steps, 25) == pytest.approx(3)
    # At 50 frames a second the boundaries are elsewhere.
    assert chunk_step(steps, 50) == pytest.approx(3)
    assert chunk_step(np.full(60, 0.01), 25) is None
    assert chunk_step(np.zeros(200), 25) is None


def frames_at(places: np.ndarray) -> list[FaceFrame]:
    """Frames of one face whose middle is at places (T, 2)."""
    neutral = canonical_mesh()
    frames = []
    for x, y in places:
        mesh = posed(x=float(x), y=float(y))
        framing = patch_frame(MOUTH, neutral, fit_pose(mesh, neutral))
        frames.append(FaceFrame(BLANK, mesh, neutral, framing, False))
    return frames


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 30])
def test_smoothing_keeps_every_frame_and_smooth_ways(count: int) -> None:
    time = np.arange(count)
    frames = frames_at(np.stack([100 + 2 * time, 100 + 0.3 * time**2], 1))
    smoothed = list(smooth_framing(iter(frames), 4))
    assert len(smoothed) == count
    for before, after in zip(frames, smoothed, strict=True):
        assert after.mesh is before.mesh
        assert after.patch_frame == pytest.approx(before.patch_frame, abs=0.02)


def test_smoothing_takes_jitter_away() -> None:
    jitter = np.random.default_rng(0).normal(0, 1, (60, 2))
    frames = frames_at(100 + jitter)
    rough, calm = (
        np.array([transform(np.array([100.0, 100.0], np.float32), f.patch_frame) for f in item])
        for item in (frames, list(smooth_framing(iter(frames), 4)))
    )
    assert np.abs(np.diff(calm, 2, axis=0)).mean() < 0.2 * np.abs(np.diff(rough, 2, axis=0)).mean()


@given(st.integers(0, 8), st.integers(0, 8))
def test_smoothing_weights_sum_to_one(behind: int, ahead: int) -> None:
    weights = smoothing_weights(behind, ahead)
    assert len(weights) == behind + 1 + ahead
    assert weights.sum() == pytest.approx(1, abs=1e-4)
