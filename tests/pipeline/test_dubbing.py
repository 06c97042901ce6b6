"""Frames of a dubbed film before they are encoded."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkhead_cli.dub import DubbingPipeline, film_warnings
from talkhead_cli.face.portrait import make_portrait
from talkhead_cli.film import TrackedFilm, load_film
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.settings import RenderSettings
from talkhead_models.basis import lip_gaps
from talkhead_models.motion import FaceMotion
from tests.conftest import run_ffmpeg
from tests.pipeline.conftest import Filmed

FRAMES = 30


@pytest.fixture(scope="module")
def tracked(filmed: Filmed) -> TrackedFilm:
    return load_film(filmed.path, FRAMES, Fraction(25))


def dub(lively: TalkingHeadPipeline, found: TrackedFilm, motion: FaceMotion) -> list[np.ndarray]:
    """Every frame of a film under some motion."""
    settings = RenderSettings.model_validate({"device": "cpu"})
    portrait = make_portrait(found.first, found.face.meshes[found.reference].copy())
    pipeline = DubbingPipeline(settings, lively.networks, found)
    return [
        frame
        for frames in pipeline.render(portrait, [motion], motion.num_frames)
        for frame in frames
    ]


def later(filmed: Filmed) -> FaceMotion:
    """Motion that is not the film's."""
    return filmed.motion[60 : 60 + FRAMES]


def test_only_the_lower_face_changes(
    lively: TalkingHeadPipeline, filmed: Filmed, tracked: TrackedFilm
) -> None:
    frames = dub(lively, tracked, later(filmed))
    assert len(frames) == FRAMES
    for index, source in tracked.film.play(0, FRAMES):
        changed = (frames[index] != source).any(-1)
        mesh = tracked.face.meshes[index]
        down = tracked.face.pose(index).rotation[:2, 1]
        rows, columns = np.nonzero(changed)
        along = np.stack([columns, rows], 1) @ down - mesh[2, :2] @ down
        assert along.min() > -1
        unit = float(tracked.face.poses.scale[index])
        assert np.abs(columns - mesh[13, 0]).max() < 1.4 * unit
        assert 0.01 < changed.mean() < 0.4


def test_the_mouth_follows_the_motion(
    lively: TalkingHeadPipeline, filmed: Filmed, tracked: TrackedFilm, tmp_path: Path
) -> None:
    from talkhead_cli.media import VideoWriter

    motion = later(filmed)
    frames = np.stack(dub(lively, tracked, motion))
    path = tmp_path / "dubbed.mp4"
    with VideoWriter(path, frames.shape[2], frames.shape[1], Fraction(25)) as writer:
        writer.write(frames)
    face = load_film(path, FRAMES, Fraction(25)).face
    found = lip_gaps(face.poses.invert(face.meshes))[:, 4]
    wanted = lively.basis.lip_gap(motion.expression)
    own = lively.basis.lip_gap(filmed.motion[:FRAMES].expression)
    assert np.corrcoef(found, wanted)[0, 1] > 0.85
    assert np.corrcoef(found, wanted)[0, 1] > np.corrcoef(found, own)[0, 1] + 0.2


def test_frames_without_a_face_stay(
    lively: TalkingHeadPipeline, filmed: Filmed, tmp_path: Path
) -> None:
    path = tmp_path / "hidden.mp4"
    run_ffmpeg("-i", filmed.path, "-vf", "drawbox=c=gray:t=fill:enable='between(n,10,16)'", path)
    found = load_film(path, FRAMES, Fraction(25))
    assert 5 <= found.lost_frames <= 10
    assert any("they stay as they are" in text for text in film_warnings(found, FRAMES))
    frames = dub(lively, found, later(filmed))
    for index, source in found.film.play(0, FRAMES):
        same = np.array_equal(frames[index], source)
        assert same == (found.face.strength[index] == 0)
