"""Long videos in segments: a render that was interrupted comes out as if it had not been."""

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from talkhead_cli import segments
from talkhead_cli.early import early_features
from talkhead_cli.errors import InputError
from talkhead_cli.keeping import kept_parts, parts_folder, render_key
from talkhead_cli.media import VideoWriter, ffmpeg_path, probe_media, run_captured
from talkhead_cli.mux import join_segments
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.playback import Checkpoint, motion_steps
from talkhead_cli.render import render_file
from talkhead_cli.result import OutputOptions
from talkhead_cli.segments import SegmentedWriter, keep_segment, read_segments
from talkhead_cli.settings import RenderSettings
from talkhead_cli.speech_encoder import speech_encoder
from talkhead_models.motion import MOTION_SIZE, FaceMotion
from talkhead_models.speech import FEATURE_SIZE, SpeechFeatures
from tests.conftest import SPEECH, frame_times

FRAMES = 170
FRAME_TYPES = ("25", "30000/1001", "12")


class Stopped(Exception):
    """Stands for whatever ends a render in the middle."""


@pytest.fixture(scope="module")
def pipeline() -> TalkingHeadPipeline:
    return TalkingHeadPipeline(RenderSettings(device="cpu"))


@pytest.fixture(scope="module")
def features() -> SpeechFeatures:
    rng = np.random.default_rng(1)
    array = np.zeros((2 * FRAMES, FEATURE_SIZE), np.float32)
    array[np.arange(len(array)), np.repeat(rng.integers(0, 16, len(array) // 4), 4)] = 1
    array[:, 16] = 0.7
    return SpeechFeatures(array, FRAMES / 25)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples, rate = soundfile.read(SPEECH)
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    soundfile.write(path, samples[: round(3.6 * rate)], rate)
    return path


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_SECONDS", 1)


@pytest.mark.parametrize("fps", FRAME_TYPES)
def test_motion_goes_on_from_any_checkpoint(
    fps: str, pipeline: TalkingHeadPipeline, features: SpeechFeatures
) -> None:
    chosen = RenderSettings.model_validate({"device": "cpu", "fps": fps, "pose_scale": 0.5})
    count = round(features.duration_seconds * chosen.fps)
    steps = list(motion_steps(pipeline.generator, chosen, features, count))
    whole = np.concatenate([motion.to_array() for motion, _ in steps])
    marks = [mark for _, mark in steps if mark is not None]
    assert len(marks) >= 5
    for mark in marks:
        begin = Checkpoint.from_bytes(mark.to_bytes())
        rest = motion_steps(pipeline.generator, chosen, features, count, begin)
        arrays = [motion.to_array() for motion, _ in rest]
        found = np.concatenate([np.zeros((0, whole.shape[1]), np.float32), *arrays])
        np.testing.assert_array_equal(found, whole[mark.num_frames :])
        np.testing.assert_array_equal(begin.last, whole[mark.num_frames - 1])


@pytest.mark.parametrize("chunk", [4, 16])
def test_short_chunks_of_early_speech_go_on_from_any_checkpoint(
    chunk: int, pipeline: TalkingHeadPipeline, tmp_path: Path
) -> None:
    chosen = RenderSettings(device="cpu", chunk_frames=chunk, lookahead_frames=2)
    early = TalkingHeadPipeline(chosen, pipeline.networks)
    samples = np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)
    heard = early_features(iter([samples]), speech_encoder("cpu"), early.ear_plan)
    segments.keep_features(tmp_path, SpeechFeatures(heard[0], 1.5, heard[1]))
    features = segments.read_features(tmp_path)
    assert features is not None
    steps = list(motion_steps(early.generator, chosen, features, 38))
    whole = np.concatenate([motion.to_array() for motion, _ in steps])
    assert len(steps) == -(-38 // chunk)
    for mark in [mark for _, mark in steps][: -1 : max(1, 16 // chunk)]:
        assert mark is not None
        rest = motion_steps(early.generator, chosen, features, 38, mark)
        found = np.concatenate([motion.to_array() for motion, _ in rest])
        np.testing.assert_array_equal(found, whole[mark.num_frames :])


@given(cut=st.integers(1, 5), fps=st.sampled_from(FRAME_TYPES))
@hypothesis_settings(deadline=None, max_examples=20)
def test_given_motion_goes_on_from_a_checkpoint(cut: int, fps: str) -> None:
    rng = np.random.default_rng(2)
    motion = FaceMotion.from_array(rng.normal(size=(400, MOTION_SIZE)).astype(np.float32))
    chosen = RenderSettings.model_validate({"device": "cpu", "fps": fps})
    count = round(16 * chosen.fps)
    steps = list(motion_steps(None, chosen, [motion], count))  # type: ignore[arg-type]
    mark = steps[cut][1]
    assert mark is not None
    whole = np.concatenate([step.to_array() for step, _ in steps])
    rest = motion_steps(None, chosen, [motion], count, mark)  # type: ignore[arg-type]
    arrays = np.concatenate([step.to_array() for step, _ in rest])
    np.testing.assert_array_equal(arrays, whole[mark.num_frames :])


def test_damaged_checkpoints_are_refused() -> None:
    data = Checkpoint(3, np.zeros(4, np.float32)).to_bytes()
    assert Checkpoint.from_bytes(data).num_frames == 3
    for broken in (b"", data[:40], data.replace(b'"version": 1', b'"version": 9')):
        with pytest.raises(ValueError, match="no checkpoint"):
            Checkpoint.from_bytes(broken)


def interrupted_at(frames: int, resumed: list[int]):
    def on_event(event: dict[str, object]) -> None:
        if event["event"] == "resumed":
            resumed.append(int(str(event["frames"])))
        if event["event"] == "progress" and int(str(event["frames"])) >= frames:
            raise Stopped

    return on_event


def test_an_interrupted_render_is_byte_for_byte_the_other(
    hopper_png: Path,
    speech: Path,
    tmp_path: Path,
    short_segments: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("talkhead_cli.timing.PROGRESS_SECONDS", 0.0)
    chosen = RenderSettings.model_validate({"device": "cpu", "fps": 20, "size": 160})
    whole = render_file(chosen, hopper_png, speech, tmp_path / "whole.mp4")
    assert {path.name for path in tmp_path.iterdir()} == {"whole.mp4", "whole.json"}

    work = tmp_path / "work"
    work.mkdir()
    options = OutputOptions(folder=work)
    resumed: list[int] = []
    for frames in (40, whole.num_frames):
        on_event = interrupted_at(frames, resumed)
        with pytest.raises(Stopped):
            render_file(chosen, hopper_png, speech, tmp_path / "cut.mp4", on_event, options)
        assert not (tmp_path / "cut.mp4").exists()
        assert not list(work.glob(".talkhead-*"))
    # A segment that was damaged since is made again, and what came after it.
    kept = read_segments(work / segments.FOLDER)
    assert len(kept) >= 2
    kept[-1].path.write_bytes(kept[-1].path.read_bytes()[:-100])
    on_event = interrupted_at(10**9, resumed)
    result = render_file(chosen, hopper_png, speech, tmp_path / "cut.mp4", on_event, options)
    assert result.resumed_frames == resumed[-1] == kept[-2].checkpoint.num_frames
    assert (tmp_path / "cut.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert not (work / segments.FOLDER).exists()


@pytest.mark.parametrize("fps", ["25", "30000/1001", "24000/1001", "29.94"])
def test_joined_frames_keep_their_times(fps: str, tmp_path: Path) -> None:
    rate = RenderSettings.model_validate({"fps": fps}).fps
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{index:05}.mp4" for index in range(12)]
    for index, path in enumerate(paths):
        with VideoWriter(path, 64, 64, rate) as writer:
            writer.write(rng.integers(0, 255, (31 + index % 3, 64, 64, 3), np.uint8))
    join_segments(paths, None, tmp_path / "out.mp4", ffmpeg_path())
    count = sum(31 + index % 3 for index in range(12))
    assert frame_times(tmp_path / "out.mp4") == [index / rate for index in range(count)]


def make_writer(tmp_path: Path, folder: Path | None) -> SegmentedWriter:
    def encode(path: Path) -> VideoWriter:
        return VideoWriter(path, 64, 64, Fraction(25), overwrite=True)

    return SegmentedWriter(tmp_path / "out.mp4", encode, Fraction(25), "h264", folder=folder)


def write_chunks(writer: SegmentedWriter, chunks: int) -> None:
    for index in range(chunks):
        writer.write(np.full((32, 64, 64, 3), 40 * index, np.uint8))
        writer.mark(Checkpoint(writer.num_frames, np.zeros(1, np.float32)))


def test_segments_of_prores_join_in_quicktime(tmp_path: Path, short_segments: None) -> None:
    def encode(path: Path) -> VideoWriter:
        return VideoWriter(path, 64, 64, Fraction(25), codec="prores", overwrite=True)

    path = tmp_path / "out.mov"
    with SegmentedWriter(path, encode, Fraction(25), "prores") as writer:
        write_chunks(writer, 3)
    assert frame_times(path) == [Fraction(index, 25) for index in range(96)]
    text = run_captured([ffmpeg_path(), "-hide_banner", "-i", str(path)])
    assert "prores (HQ)" in text
    assert "(tv, bt709" in text


def test_nothing_is_left_without_a_folder(tmp_path: Path, short_segments: None) -> None:
    with pytest.raises(Stopped), make_writer(tmp_path, None) as writer:
        write_chunks(writer, 3)
        raise Stopped
    assert not list(tmp_path.iterdir())


def test_segments_that_do_not_follow_each_other_do_not_count(
    tmp_path: Path, short_segments: None
) -> None:
    with pytest.raises(Stopped), make_writer(tmp_path, tmp_path) as writer:
        write_chunks(writer, 4)
        raise Stopped
    folder = tmp_path / segments.FOLDER
    assert [item.checkpoint.num_frames for item in read_segments(folder)] == [32, 64, 96, 128]
    shutil.copy(folder / "00000.mp4", folder / "00001.mp4")
    assert len(read_segments(folder)) == 1
    keep_segment(folder / "00001.mp4", Checkpoint(64, np.zeros(1, np.float32)))
    assert len(read_segments(folder)) == 4
    (folder / "00000.npz").unlink()
    assert read_segments(folder) == []


def test_segments_of_another_version_do_not_count(
    tmp_path: Path, short_segments: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stopped), make_writer(tmp_path, tmp_path) as writer:
        write_chunks(writer, 2)
        raise Stopped
    folder = tmp_path / segments.FOLDER
    assert len(read_segments(folder)) == 2
    monkeypatch.setattr(segments, "__version__", "0.0.1")
    assert read_segments(folder) == []


def test_an_output_that_appeared_meanwhile_is_not_replaced(
    tmp_path: Path, short_segments: None
) -> None:
    with pytest.raises(InputError, match="exists already"), make_writer(tmp_path, None) as writer:
        write_chunks(writer, 2)
        (tmp_path / "out.mp4").write_text("somebody else's", encoding="utf-8")
    assert (tmp_path / "out.mp4").read_text(encoding="utf-8") == "somebody else's"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_sound_goes_with_the_joined_video(
    tmp_path: Path, speech: Path, short_segments: None
) -> None:
    writer = make_writer(tmp_path, None)
    writer.audio = speech
    with writer:
        write_chunks(writer, 4)
    info = probe_media(tmp_path / "out.mp4", ffmpeg_path())
    assert info.audio_codec == "aac"
    assert info.duration_seconds == pytest.approx(128 / 25, abs=0.1)


def test_a_single_render_goes_on_where_it_was_interrupted(
    hopper_png: Path,
    speech: Path,
    tmp_path: Path,
    short_segments: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("talkhead_cli.timing.PROGRESS_SECONDS", 0.0)
    chosen = RenderSettings.model_validate({"device": "cpu", "size": 160})
    output, options = tmp_path / "out.mp4", OutputOptions(resume=True)
    resumed: list[int] = []
    with pytest.raises(Stopped):
        render_file(chosen, hopper_png, speech, output, interrupted_at(10, resumed), options)
    assert not list(tmp_path.iterdir())  # too early for anything worth keeping
    with pytest.raises(Stopped):
        render_file(chosen, hopper_png, speech, output, interrupted_at(70, resumed), options)
    assert [path.name for path in tmp_path.iterdir()] == [parts_folder(output).name]
    result = render_file(chosen, hopper_png, speech, output, options=options)
    assert result.resumed_frames == 64
    assert {path.name for path in tmp_path.iterdir()} == {"out.mp4", "out.json"}


def test_parts_of_another_video_are_not_gone_on_from(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with pytest.raises(Stopped), kept_parts(target, "a") as folder:
        keep(folder)
        with (
            pytest.raises(InputError, match="another render of it with --resume"),
            kept_parts(target, "a"),
        ):
            pass
        raise Stopped
    with kept_parts(target, "a") as folder:
        assert (folder / segments.FOLDER / "00000.npz").exists()
        assert not (folder / ".talkhead-half").exists()
    assert not folder.exists()
    with pytest.raises(Stopped), kept_parts(target, "a") as folder:
        keep(folder)
        raise Stopped
    with kept_parts(target, "b") as folder:
        assert [path.name for path in folder.iterdir()] == ["key"]


def keep(folder: Path) -> None:
    """What an interrupted render leaves."""
    (folder / segments.FOLDER).mkdir()
    (folder / segments.FOLDER / "00000.npz").touch()
    (folder / ".talkhead-half").touch()


def test_key_follows_what_decides_the_video(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a")
    chosen = RenderSettings(device="cpu")
    key = render_key([path, None], chosen, {"b": "0"})
    assert render_key([path, None], RenderSettings(device="cuda:1"), {"b": "0"}) == key
    assert render_key([None, path], chosen, {"b": "0"}) != key
    for other in (RenderSettings(seed=1), RenderSettings(chunk_frames=8)):
        assert render_key([path, None], other, {"b": "0"}) != key
    assert render_key([path, None], chosen, {"b": "1"}) != key
    path.write_bytes(b"b")
    assert render_key([path, None], chosen, {"b": "0"}) != key
