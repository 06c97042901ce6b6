"""Warping error, flicker, sharpness, likeness, border and reference, on pictures that are made up."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from talkhead_cli.errors import InputError
from talkhead_cli.evaluation.face import FaceFrame
from talkhead_cli.evaluation.likeness import (
    LikenessRecorder,
    border_error,
    choose_zoom,
    fit_portrait,
    psnr,
)
from talkhead_cli.evaluation.reference import ReferenceRecorder, mesh_distances, ssim_map
from talkhead_cli.evaluation.steadiness import (
    MouthRecorder,
    WarpingRecorder,
    gradient_energy,
    luma,
    mouth_patch,
    mouth_region,
    pair_stride,
)
from talkhead_cli.evaluation.still import background_of, encoding_of, still_warping
from talkhead_cli.evaluation.stream import VideoReader, decoded_seconds, read_video_header
from talkhead_cli.face.landmarks import canonical_mesh
from talkhead_models.basis import Pose, fit_pose
from talkhead_models.patches import MOUTH, patch_frame
from tests.conftest import run_ffmpeg

SIZE = 256


def texture(seed: int = 0, size: int = SIZE, smooth: float = 2.0) -> np.ndarray:
    """(size, size, 3) uint8 RGB, smooth noise: something for optical flow to hold on to."""
    noise = np.random.default_rng(seed).normal(0, 1, (size, size, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), smooth)
    return np.clip(128 + soft / soft.std() * 45, 0, 255).astype(np.uint8)


def face_mesh(scale: float = 90.0, x: float = 128.0, y: float = 120.0) -> np.ndarray:
    pose = Pose(np.float32(scale), np.eye(3, dtype=np.float32), np.array([x, y, 0], np.float32))
    return pose.apply(canonical_mesh())


def frame_of(image: np.ndarray, mesh: np.ndarray | None = None, lost: bool = False) -> FaceFrame:
    mesh = face_mesh() if mesh is None else mesh
    pose = fit_pose(mesh, canonical_mesh())
    framing = patch_frame(MOUTH, canonical_mesh(), pose)
    return FaceFrame(image, mesh, pose.invert(mesh), framing, lost)


def shifted(image: np.ndarray, x: float, y: float = 0.0) -> np.ndarray:
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    moved = cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


LIPS = np.array([[100, 150], [150, 150], [150, 180], [100, 180]], np.float32)


def warping_of(frames: list[np.ndarray], **options: object) -> WarpingRecorder:
    behind = np.zeros(frames[0].shape[:2], bool)
    behind[:60] = True
    recorder = WarpingRecorder(behind, **options)
    for frame in frames:
        recorder.push(frame, LIPS)
    return recorder


def test_a_still_has_no_warping_error() -> None:
    found = warping_of([texture()] * 4)
    assert found.whole.mean == found.behind.mean == found.mouth.mean == 0.0


def test_warping_forgives_motion_but_not_change() -> None:
    picture = texture(smooth=6)
    moving = warping_of([shifted(picture, 1.5 * number) for number in range(5)])
    lit = warping_of(
        [
            np.clip(picture.astype(int) + 10 * (number % 2), 0, 255).astype(np.uint8)
            for number in range(5)
        ]
    )
    plain = np.abs(shifted(picture, 1.5).astype(float) - picture).mean()
    assert moving.whole.mean is not None
    assert moving.whole.mean < 0.3 * plain
    assert lit.whole.mean == pytest.approx(10, abs=0.6)


def test_warping_tells_the_parts_apart() -> None:
    before = texture(smooth=5)
    after = before.copy()
    after[150:180, 100:150] = np.clip(after[150:180, 100:150].astype(int) + 25, 0, 255)
    found = warping_of([before, after])
    assert found.behind.mean == pytest.approx(0, abs=0.01)
    assert found.mouth.mean is not None
    assert found.whole.mean is not None
    assert found.mouth.mean > 10 > 1 > found.whole.mean > 0.05


def test_warping_of_a_large_picture_is_taken_on_a_smaller_one() -> None:
    picture = texture(size=1024)
    behind = np.zeros((1024, 1024), bool)
    behind[:200] = True
    recorder = WarpingRecorder(behind)
    for number in range(2):
        recorder.push(picture + np.uint8(number))
    assert recorder.whole.weight <= 512 * 512
    assert 0.15 * 512 * 512 < recorder.behind.weight < 0.2 * 512 * 512
    assert recorder.mouth.mean is None


def test_every_third_pair() -> None:
    # Frames differ only from the second to the third of every three, which is no pair that is looked at.
    steps = [0, 0, 20, 20, 20, 40, 40, 40, 60, 60]
    picture = texture(smooth=6) // 2
    found = warping_of([picture + np.uint8(step) for step in steps], every=3)
    assert found.whole.mean == 0.0
    assert found.whole.weight > 0


@pytest.mark.parametrize(("frames", "fps"), [(0, 25), (250, 25), (15000, 25), (36000, 60)])
def test_stride_is_out_of_step_with_key_frames(frames: int, fps: float) -> None:
    every = pair_stride(frames, fps)
    assert np.gcd(every, round(2 * fps)) == 1
    assert frames / every <= 700
    assert every == 1 or frames / every > 400


def recorded(images: list[np.ndarray], meshes: list[np.ndarray] | None = None) -> MouthRecorder:
    recorder = MouthRecorder()
    for number, image in enumerate(images):
        recorder.push(frame_of(image, None if meshes is None else meshes[number]))
    return recorder


def test_a_still_mouth_does_not_flicker() -> None:
    assert recorded([texture()] * 5).flicker == 0.0


def test_flicker_is_the_second_difference() -> None:
    grey = np.full((SIZE, SIZE, 3), 100, np.uint8)
    ramp = recorded([grey + np.uint8(5 * number) for number in range(6)])
    jumps = recorded([grey + np.uint8(5 * (number % 2)) for number in range(6)])
    assert ramp.flicker == pytest.approx(0, abs=1e-3)
    assert jumps.flicker == pytest.approx(10, abs=1e-3)


def test_flicker_follows_the_head() -> None:
    picture = texture(smooth=3)
    ways = [0.0, 7.0, 1.0, 9.0, 2.0]
    images = [shifted(picture, way) for way in ways]
    followed = recorded(images, [face_mesh(x=128 + way) for way in ways])
    ignored = recorded(images)
    assert followed.flicker is not None
    assert ignored.flicker is not None
    assert followed.flicker < 0.1 * ignored.flicker


def test_a_lost_frame_breaks_the_series() -> None:
    recorder = MouthRecorder()
    for number in range(6):
        recorder.push(frame_of(texture(number), lost=number % 3 == 2))
    assert recorder.flicker is None
    assert recorder.sharpness is not None


def test_blur_lowers_sharpness() -> None:
    sharp, soft = texture(smooth=1), cv2.GaussianBlur(texture(smooth=1), (0, 0), 2)
    first, second = (recorded([image] * 3).sharpness for image in (sharp, soft))
    assert first is not None
    assert second is not None
    assert second < 0.6 * first


def test_gradient_energy_of_a_slope() -> None:
    slope = np.tile(np.arange(96, dtype=np.float32) * 2, (96, 1))
    assert gradient_energy(slope, np.ones((96, 96), np.float32)) == pytest.approx(2)


def test_mirrored_mouths_are_measured_alike() -> None:
    from talkhead_cli.face.landmarks import mirror_points

    picture, mesh = texture(), face_mesh()
    turned = mesh[mirror_points()].copy()
    turned[:, 0] = SIZE - 1 - turned[:, 0]
    first = recorded([picture, texture(1), texture(2)]).sharpness
    mirrored = [np.ascontiguousarray(item[:, ::-1]) for item in (picture, texture(1), texture(2))]
    assert recorded(mirrored, [turned] * 3).sharpness == pytest.approx(first, rel=0.03)


def test_a_large_face_is_averaged_into_the_patch() -> None:
    # Stripes of one pixel are grey from afar; sampled, they would come out as stripes.
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    patch = luma(mouth_patch(frame_of(stripes, face_mesh(400, 512, 480))))
    assert np.abs(patch - 127.5).max() < 45
    region = mouth_region(frame_of(stripes, face_mesh(400, 512, 480)))
    assert region == pytest.approx(mouth_region(frame_of(texture())), abs=0.02)


def recorder_of(portrait: np.ndarray, frames: list[np.ndarray], eyes: list[float] | None = None):
    recorder = LikenessRecorder(portrait, face_mesh())
    for frame in frames:
        recorder.push(frame_of(frame))
    return recorder.finish(np.array(eyes or [1.0] * len(frames)))


def test_the_portrait_itself_is_like_itself() -> None:
    portrait = texture()
    found = recorder_of(portrait, [portrait] * 16)
    assert found.likeness_min == found.likeness_first == pytest.approx(1)
    assert found.sharpness_first == found.sharpness_last == pytest.approx(1)
    assert found.colour_drift_max == pytest.approx(0)
    assert found.border_psnr_min == pytest.approx(psnr(0))


def test_drift_shows_at_the_end() -> None:
    portrait = texture()
    fading = [portrait] * 8 + [cv2.GaussianBlur(portrait // 2 + 10, (0, 0), 2)] * 8
    found = recorder_of(portrait, fading)
    assert found.likeness_first == pytest.approx(1)
    assert found.colour_drift_first == pytest.approx(0)
    assert found.likeness_last is not None
    assert found.likeness_last < 0.95
    assert found.colour_drift_last == found.colour_drift_max
    assert found.colour_drift_max is not None
    assert found.colour_drift_max > 20
    assert found.sharpness_last is not None
    assert found.sharpness_last < 0.3
    assert found.border_psnr_min is not None
    assert found.border_psnr_min < 20


def test_a_blink_is_no_loss_of_likeness() -> None:
    portrait, other = texture(), texture(1)
    frames = [portrait] * 8 + [other] + [portrait] * 7
    eyes = [1.0] * 8 + [0.2] + [1.0] * 7
    assert recorder_of(portrait, frames, eyes).likeness_min == pytest.approx(1)
    strange = recorder_of(portrait, frames).likeness_min
    assert strange is not None
    assert strange < 0.5


def test_border_error_looks_at_the_border_alone() -> None:
    portrait = texture()
    changed = portrait.copy()
    changed[20:, 20:-20] = 0
    changed[100:] = 0
    assert border_error(changed, portrait) == 0
    changed[0, 128] += np.uint8(1)
    assert border_error(changed, portrait) > 0


def test_zoom_follows_the_face() -> None:
    assert [choose_zoom(face_mesh(scale)) for scale in (40, 90, 180, 400, 5000)] == [1, 1, 2, 4, 8]


def test_portrait_is_fitted_or_refused() -> None:
    portrait = texture(size=300)
    assert fit_portrait(portrait, (300, 300, 3)) is portrait
    fitted = fit_portrait(portrait, (150, 150, 3))
    assert fitted is not None
    assert fitted.shape == (150, 150, 3)
    assert fit_portrait(portrait, (300, 200, 3)) is None


def test_background_keeps_away_from_the_person(astronaut: np.ndarray) -> None:
    mesh = face_mesh(70, 225, 115)
    behind = background_of(astronaut, mesh)
    assert behind is not None
    assert behind.shape == (512, 512)
    assert not behind[60:200, 160:290].any()


def test_a_still_encoded_alone_is_hardly_warped() -> None:
    behind = np.ones((SIZE, SIZE), bool)
    fine, coarse = (
        still_warping(texture(), behind, Fraction(25), encoding_of({"crf": crf}, "h264"))
        for crf in (10, 45)
    )
    assert fine is not None
    assert coarse is not None
    assert 0 <= fine < coarse < 2


@pytest.mark.parametrize(
    ("settings", "codec", "expected"),
    [
        ({"crf": 30}, "hevc", ("hevc", 30)),
        ({}, "av1", ("av1", 18)),
        ({"crf": "low"}, "mpeg4", ("h264", 18)),
        ({"crf": 99}, "h264", ("h264", 18)),
    ],
)
def test_encoding(settings: dict[str, object], codec: str, expected: tuple[str, int]) -> None:
    assert encoding_of(settings, codec) == expected


def test_meshes_are_compared_point_by_point() -> None:
    mesh = canonical_mesh()
    assert mesh_distances(mesh, mesh) == (0, 0)
    moved = mesh + np.array([0.03, 0.04, 5.0], np.float32)
    assert mesh_distances(mesh, moved) == pytest.approx((0.05, 0.05), abs=1e-5)


def test_ssim_of_like_and_unlike_patches() -> None:
    first, second = luma(texture(0, 96)), luma(texture(1, 96))
    assert ssim_map(first, first).mean() == pytest.approx(1)
    assert ssim_map(first, first + 3).mean() > 0.95
    assert ssim_map(first, second).mean() < 0.3


def reference_measures(monkeypatch: pytest.MonkeyPatch, ours: list, real: list):
    """Measures of frames against frames."""
    monkeypatch.setattr(
        "talkhead_cli.evaluation.reference.FaceFilm", lambda *args, **options: iter(real)
    )
    recorder = ReferenceRecorder(Path("real.mp4"), Fraction(25))
    for frame in ours:
        recorder.push(frame, canonical_mesh())
    return recorder.finish(), recorder.ended_early


def test_a_video_equals_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [frame_of(texture(number)) for number in range(5)]
    found, ended_early = reference_measures(monkeypatch, frames, frames)
    assert not ended_early
    assert found.reference_frames == 5
    assert (found.landmark_distance_mouth, found.landmark_distance_face, found.mouth_l1) == (
        0,
        0,
        0,
    )
    assert found.mouth_ssim == pytest.approx(1)
    assert found.mouth_sharpness_ratio == found.mouth_flicker_ratio == pytest.approx(1)


def test_the_reference_may_be_elsewhere_and_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = texture(smooth=4)
    large = cv2.resize(picture, (2 * SIZE, 2 * SIZE), interpolation=cv2.INTER_CUBIC)
    mesh = (face_mesh() + np.array([0.5, 0.5, 0], np.float32)) * 2 - np.array(
        [0.5, 0.5, 0], np.float32
    )
    found, _ = reference_measures(
        monkeypatch, [frame_of(picture)] * 3, [frame_of(large, mesh.astype(np.float32))] * 3
    )
    assert found.landmark_distance_mouth == pytest.approx(0, abs=1e-4)
    assert found.mouth_l1 is not None
    assert found.mouth_l1 < 0.03
    assert found.mouth_ssim is not None
    assert found.mouth_ssim > 0.97


def test_l1_is_in_units_of_half_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    dark, light = (np.full((SIZE, SIZE, 3), value, np.uint8) for value in (0, 255))
    found, _ = reference_measures(monkeypatch, [frame_of(dark)] * 3, [frame_of(light)] * 3)
    assert found.mouth_l1 == pytest.approx(2)
    assert found.mouth_sharpness_ratio is None


def test_a_short_reference_and_lost_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [frame_of(texture(number)) for number in range(6)]
    real = [frames[0], frames[1]._replace(lost=True), frames[2]]
    found, ended_early = reference_measures(monkeypatch, frames, real)
    assert ended_early
    assert found.reference_frames == 2
    assert found.mouth_flicker_ratio is None
    nothing, _ = reference_measures(monkeypatch, frames, [])
    assert nothing.reference_frames == 0
    assert nothing.mouth_l1 is None


def test_reads_frames_of_any_rate(tmp_path: Path) -> None:
    path = tmp_path / "a film: [1].mkv"
    run_ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=64x48:r=30000/1001:d=2",
        "-f",
        "lavfi",
        "-i",
        "sine=d=1.5",
        path,
    )
    header = read_video_header(path)
    assert header.fps == Fraction(30000, 1001)
    assert header.has_audio
    assert header.expected_frames == 60
    with VideoReader(path, header.fps) as reader:
        frames = list(reader)
    assert len(frames) == 60
    assert frames[0].shape == (48, 64, 3)
    with VideoReader(path, Fraction(15)) as reader:
        assert len(list(reader)) == pytest.approx(30, abs=1)
    assert decoded_seconds(path, "0:v") == pytest.approx(2.0, abs=0.05)
    assert decoded_seconds(path, "0:a") == pytest.approx(1.5, abs=0.05)
    assert decoded_seconds(path, "0:s") is None


def test_rotation_is_obeyed_and_cover_art_is_no_film(tmp_path: Path) -> None:
    plain, turned, song = (tmp_path / name for name in ("plain.mp4", "turned.mp4", "song.m4a"))
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:d=1", plain)
    run_ffmpeg("-display_rotation", "90", "-i", plain, "-c", "copy", turned)
    with VideoReader(turned, Fraction(25)) as reader:
        assert next(iter(reader)).shape == (64, 48, 3)
    wide = tmp_path / "wide.mp4"
    run_ffmpeg("-i", plain, "-vf", "setsar=2", wide)
    with VideoReader(wide, Fraction(25)) as reader:
        assert next(iter(reader)).shape == (48, 128, 3)
    cover = tmp_path / "cover.png"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48", "-frames:v", "1", cover)
    run_ffmpeg(
        "-f", "lavfi", "-i", "sine=d=1", "-i", cover, "-map", "0", "-map", "1",
        "-c:v", "copy", "-disposition:v:0", "attached_pic", song,
    )  # fmt: skip
    with pytest.raises(InputError, match="no moving picture"):
        read_video_header(song)


def test_leaving_early_ends_the_decoder(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=s=320x240:d=20", path)
    with VideoReader(path, Fraction(25)) as reader:
        assert next(iter(reader)).shape == (240, 320, 3)
        process = reader._process
    assert process is not None
    assert process.poll() is not None
