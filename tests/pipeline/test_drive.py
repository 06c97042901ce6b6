"""A filmed face as the source of motion, on a clip of the renderer's own whose motion is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from talkhead_cli.drive import DrivingClip, load_drive, sound_start
from talkhead_cli.errors import InputError, NoFaceError
from talkhead_cli.face import Portrait
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.settings import RenderSettings
from talkhead_models.appearance import AppearanceConfig, AppearanceEncoder
from talkhead_models.bundle import WEIGHTS_VARIABLE, save_bundle, weights_folder
from talkhead_models.motion import APPEARANCE_SIZE, FaceMotion
from tests.conftest import SPEECH, run_ffmpeg
from tests.pipeline.conftest import FILMED_FRAMES, FILMED_SECONDS, Filmed


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def assert_same_motion(
    lively: TalkingHeadPipeline, wanted: FaceMotion, found: FaceMotion, least: float = 0.9
) -> None:
    gaps = [lively.basis.lip_gap(motion.expression) for motion in (wanted, found)]
    assert correlation(*gaps) > least
    for axis in range(3):
        assert correlation(wanted.rotation[:, axis], found.rotation[:, axis]) > least
    assert correlation(wanted.lids.mean(1), found.lids.mean(1)) > least


@pytest.fixture(scope="module")
def absolute(filmed: Filmed) -> DrivingClip:
    """All of the clip."""
    return load_drive(filmed.path, 60, relative=False)


@pytest.fixture(scope="module")
def relative(filmed: Filmed) -> DrivingClip:
    """All of the clip, seen from its first frame."""
    return load_drive(filmed.path, 60)


def test_the_motion_that_made_a_clip_is_found_in_it(
    lively: TalkingHeadPipeline, filmed: Filmed, absolute: DrivingClip
) -> None:
    clip = absolute
    assert clip.motion.num_frames == FILMED_FRAMES
    assert (clip.motion.fps, clip.lost_frames, clip.warnings) == (25, 0, [])
    assert_same_motion(lively, filmed.motion, clip.motion)
    sizes = [np.ptp(motion.rotation, axis=0) for motion in (filmed.motion, clip.motion)]
    # A portrait's limits narrow large turns.
    np.testing.assert_allclose(sizes[1], sizes[0], rtol=0.5)


def test_drives_another_portrait(
    lively: TalkingHeadPipeline, portrait: Portrait, relative: DrivingClip
) -> None:
    motion = relative.lasting(1.0)
    frames = np.concatenate(list(lively.render(portrait, [motion], 25)))
    assert frames.shape == (25, *portrait.image.shape)
    assert np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3)).min() > 0


def test_relative_begins_in_the_portraits_pose(
    relative: DrivingClip, absolute: DrivingClip
) -> None:
    assert np.abs(relative.motion.rotation[0]).max() < 1e-6
    assert np.abs(absolute.motion.rotation[0]).max() > 1e-3
    np.testing.assert_array_equal(relative.motion.expression, absolute.motion.expression)


WIDE = ["-vf", "scale=iw/2:ih,setsar=2"]
"""Pixels that are not square."""


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("fast.mp4", ["-r", "50"], marks=pytest.mark.slow),
        ("ntsc.mov", ["-r", "30000/1001", "-c:v", "mjpeg", "-q:v", "3", *WIDE]),
        ("web.webm", ["-c:v", "libvpx", "-b:v", "2M", "-deadline", "realtime", "-cpu-used", "8"]),
        pytest.param(
            "large.mkv",
            ["-vf", "scale=1300:-2", "-c:v", "mpeg4", "-q:v", "3"],
            marks=pytest.mark.slow,
        ),
        ("uneven.mkv", ["-vf", "select='mod(n,5)'", "-fps_mode", "vfr"]),
    ],
)
def test_any_kind_of_film(
    name: str, options: list[str], lively: TalkingHeadPipeline, filmed: Filmed, tmp_path: Path
) -> None:
    path = tmp_path / name
    run_ffmpeg("-i", filmed.path, *options, path)
    clip = load_drive(path, 60, relative=False)
    assert clip.duration_seconds == pytest.approx(FILMED_SECONDS, abs=0.1)
    # Back to the rate of the motion that made it.
    motions = list(pipeline_at_one(lively).motion([clip.motion], FILMED_FRAMES))
    found = FaceMotion.from_array(np.concatenate([motion.to_array() for motion in motions]))
    assert_same_motion(lively, filmed.motion, found, 0.85)


def pipeline_at_one(lively: TalkingHeadPipeline) -> TalkingHeadPipeline:
    """The same networks with natural strengths."""
    plain = object.__new__(TalkingHeadPipeline)
    vars(plain).update(vars(lively), settings=RenderSettings.model_validate({"device": "cpu"}))
    return plain


def test_rotation_is_obeyed(lively: TalkingHeadPipeline, filmed: Filmed, tmp_path: Path) -> None:
    sideways, path = tmp_path / "sideways.mp4", tmp_path / "phone.mp4"
    run_ffmpeg("-i", filmed.path, "-vf", "transpose=1", sideways)
    run_ffmpeg("-display_rotation", "90", "-i", sideways, "-c", "copy", path)
    clip = load_drive(path, 60, relative=False)
    assert_same_motion(lively, filmed.motion, clip.motion)


def test_motion_is_counted_from_the_first_sound(filmed: Filmed, tmp_path: Path) -> None:
    path = tmp_path / "late.mp4"
    run_ffmpeg(
        *("-i", filmed.path, "-itsoffset", "0.4", "-i", filmed.path),
        *("-map", "0:v", "-map", "1:a", "-c:v", "copy", path),
    )
    assert sound_start(path) == pytest.approx(0.4, abs=0.07)  # an encoder's delay counts as sound
    whole = load_drive(path, 60, own_sound=False, relative=False).motion
    later = load_drive(path, 60, relative=False).motion
    skipped = whole.num_frames - later.num_frames
    assert 8 <= skipped <= 10
    assert correlation(later.rotation[:, 1], whole.rotation[skipped:, 1]) > 0.99


def test_lost_face_is_bridged_and_told(
    lively: TalkingHeadPipeline, filmed: Filmed, tmp_path: Path
) -> None:
    path = tmp_path / "hidden.mp4"
    box = "drawbox=c=gray:t=fill:enable='between(t,1.0,1.35)'"
    run_ffmpeg("-i", filmed.path, "-vf", box, path)
    clip = load_drive(path, 60, relative=False)
    assert 4 <= clip.lost_frames <= 12
    assert any("no face is seen in" in text for text in clip.warnings)
    assert np.isfinite(clip.motion.to_array()).all()
    limit = 1.5 * np.abs(np.diff(filmed.motion.rotation, axis=0)).max()
    assert np.abs(np.diff(clip.motion.rotation, axis=0)).max() < limit


def test_refusals(filmed: Filmed, tmp_path: Path) -> None:
    hidden, blank, short = (tmp_path / name for name in ("hidden.mp4", "blank.mp4", "short.mp4"))
    run_ffmpeg("-i", filmed.path, "-vf", "drawbox=c=gray:t=fill:enable='gt(t,1.5)'", hidden)
    with pytest.raises(NoFaceError, match=r"no face is seen in \d+% of the frames"):
        load_drive(hidden, 60)
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=s=320x240:d=1", blank)
    with pytest.raises(NoFaceError, match="no face is seen"):
        load_drive(blank, 60)
    run_ffmpeg("-i", filmed.path, "-frames:v", "3", "-an", short)
    with pytest.raises(InputError, match="only 3 pictures"):
        load_drive(short, 60)
    with pytest.raises(InputError, match="moving picture"):
        load_drive(SPEECH, 60)


def test_lengths_that_differ_are_told(filmed: Filmed, relative: DrivingClip) -> None:
    part = load_drive(filmed.path, 2.0)
    assert part.duration_seconds == 2.0
    assert "only its first 1.9 s" in (part.length_warning(1.9) or "")
    whole = relative
    assert whole.length_warning(FILMED_SECONDS) is None
    assert "ends 2.0 s before the sound" in (whole.length_warning(FILMED_SECONDS + 2) or "")
    assert whole.lasting(FILMED_SECONDS + 2).num_frames == FILMED_FRAMES + 53


def test_appearance_is_read_off_the_mouth(
    filmed: Filmed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bundle in weights_folder().glob("*.safetensors"):
        (tmp_path / bundle.name).symlink_to(bundle)
    (tmp_path / "appearance.safetensors").unlink(missing_ok=True)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    without = load_drive(filmed.path, 2)
    assert not without.motion.appearance.any()
    torch.manual_seed(0)
    encoder = AppearanceEncoder(AppearanceConfig())
    tensors = {name: value.contiguous() for name, value in encoder.state_dict().items()}
    save_bundle(tmp_path / "appearance.safetensors", tensors, encoder.metadata(), {})
    read = load_drive(filmed.path, 2)
    assert read.motion.appearance.shape == (50, APPEARANCE_SIZE)
    assert read.motion.appearance.std(0).min() > 0
    assert list(read.bundles) == ["appearance"]
    np.testing.assert_array_equal(read.motion.expression, without.motion.expression)
