"""`talkhead render --motion-out` and `--motion-in`, through the real command line and the shipped networks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from talkhead_cli import segments
from talkhead_cli.motion_files import load_motion, save_motion
from talkhead_cli.render import render_file
from talkhead_cli.result import OutputOptions, RenderResult
from talkhead_cli.settings import resolve_settings
from talkhead_models.motion import FaceMotion
from tests.cli.conftest import Case, Talkhead, contents, refused
from tests.conftest import ROOT, decode_frames, leftovers, run_ffmpeg

PAGE = ROOT / "docs" / "motion.md"


def render(talkhead: Talkhead, *arguments: object) -> Path:
    """Render on the CPU; the video's path is the argument after -o. Marks tell whether speech was heard."""
    done = talkhead("render", *arguments, "--device", "cpu", "--json", "--no-marking")
    assert done.code == 0, done.err
    return Path(str(arguments[arguments.index("-o") + 1]))


GIVEN = {
    "as it comes": [],
    "another rate and strengths": ["--fps", "29.97", "--pose-scale", "1.7", "--size", "128"],
    "face alone": ["--crop", "face", "--expression-scale", "0.6", "--fps", "12"],
    "still": ["--still", "--blink-scale", "0", "--seed", "4", "--size", "200"],
}


@pytest.mark.parametrize(
    "kind",
    [
        # Motion at another rate than 25, which is resampled, and of other strengths, which are not applied again.
        "another rate and strengths",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("as it comes", "face alone", "still")
        ),
    ],
)
def test_saved_motion_shows_the_same_frames(
    kind: str, talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    """The same bytes of video, and the motion of the second is that of the first."""
    files, given = (astronaut_png, short_wav), GIVEN[kind]
    first, again = tmp_path / "first.npz", tmp_path / "again.npz"
    made = render(talkhead, *files, "-o", tmp_path / "a.mp4", "--motion-out", first, *given)
    saved = "--motion-in", first, "--motion-out", again
    shown = render(talkhead, *files, "-o", tmp_path / "b.mp4", *saved, *given)
    assert made.read_bytes() == shown.read_bytes()
    assert first.read_bytes() == again.read_bytes()
    records = [json.loads(path.with_suffix(".json").read_text()) for path in (made, shown)]
    assert records[0]["motion_out"] == str(first)
    assert records[1]["motion_in"] == str(first)
    assert "speech" in records[0]["bundles"]
    assert "speech" not in records[1]["bundles"]
    assert leftovers(tmp_path) == []


def test_motion_of_a_film_is_saved_too(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    clip, motion = tmp_path / "clip.mp4", tmp_path / "m.npz"
    picture = ("-loop", 1, "-framerate", 10, "-i", astronaut_png)
    run_ffmpeg(*picture, "-i", short_wav, "-t", 1.2, "-pix_fmt", "yuv420p", clip)
    film = "--drive", clip, "--motion-out", motion, "--size", "128", "--fps", "10"
    made = render(talkhead, astronaut_png, "-o", tmp_path / "a.mp4", *film)
    assert not load_motion(motion).generated
    saved = "--motion-in", motion, "--size", "128", "--fps", "10"
    shown = render(talkhead, astronaut_png, clip, "-o", tmp_path / "b.mp4", *saved)
    assert made.read_bytes() == shown.read_bytes()


class Stopped(Exception):
    """Stands for whatever ends a render in the middle."""


SMALL = {"device": "cpu", "size": 128, "fps": "15", "marking": False}


class Long(NamedTuple):
    """A video of several segments, in a folder of its own."""

    folder: Path
    speech: Path
    settings: dict[str, Any]
    portrait: Path

    def render(self, name: str, driven: bool = False, **options: Any) -> RenderResult:
        """Render to `name`.mp4."""
        files = {key: options.pop(key) for key in ("motion_in",) if key in options}
        on_event = options.pop("on_event", lambda event: None)
        chosen = resolve_settings(None, self.settings, driven=driven)
        target = self.folder / f"{name}.mp4"
        given = self.portrait, self.speech, target, on_event, OutputOptions(**options)
        return render_file(chosen, *given, **files)


@pytest.fixture
def long(
    astronaut_png: Path, tmp_path: Path, speech_wav: Path, monkeypatch: pytest.MonkeyPatch
) -> Long:
    monkeypatch.setattr(segments, "SEGMENT_SECONDS", 1)
    monkeypatch.setattr("talkhead_cli.timing.PROGRESS_SECONDS", 0.0)
    speech = tmp_path / "speech.wav"
    run_ffmpeg("-i", speech_wav, "-t", 3, speech)
    return Long(tmp_path, speech, SMALL, astronaut_png)


def stop(event: dict[str, object]) -> None:
    if event["event"] == "progress" and int(str(event["frames"])) >= 32:
        raise Stopped


def test_long_videos_are_saved_whole(long: Long) -> None:
    """In segments, interrupted and gone on with, the motion is whole, and shown again the bytes are the same."""
    cut, whole = long.folder / "cut.npz", long.folder / "whole.npz"
    with pytest.raises(Stopped):
        long.render("cut", on_event=stop, motion_out=cut, resume=True)
    assert not cut.exists()
    assert long.render("cut", motion_out=cut, resume=True).resumed_frames > 0
    long.render("again", driven=True, motion_in=cut, motion_out=whole)
    assert cut.read_bytes() == whole.read_bytes()
    assert (long.folder / "again.mp4").read_bytes() == (long.folder / "cut.mp4").read_bytes()


@pytest.mark.slow
def test_saved_motion_goes_on_where_it_was_interrupted(long: Long) -> None:
    motion = long.folder / "m.npz"
    long.render("whole", motion_out=motion)
    with pytest.raises(Stopped):
        long.render("cut", driven=True, on_event=stop, resume=True, motion_in=motion)
    shown = long.render("cut", driven=True, resume=True, motion_in=motion)
    assert shown.resumed_frames > 0
    assert (long.folder / "whole.mp4").read_bytes() == (long.folder / "cut.mp4").read_bytes()
    # Motion that was edited since is another video.
    with pytest.raises(Stopped):
        long.render("more", driven=True, on_event=stop, resume=True, motion_in=motion)
    save_motion(motion, load_motion(motion).motion)
    shown = long.render("more", driven=True, resume=True, motion_in=motion)
    assert shown.resumed_frames == 0


@pytest.mark.slow
def test_table_moves_the_lips_nearly_alike(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    files, exact, coarse = (astronaut_png, short_wav), tmp_path / "m.npz", tmp_path / "m.csv"
    given = "--still", "--fps", "10"
    made = render(talkhead, *files, "-o", tmp_path / "a.mp4", "--motion-out", exact, *given)
    save_motion(coarse, load_motion(exact))
    shown = render(talkhead, *files, "-o", tmp_path / "c.mp4", "--motion-in", coarse, *given)
    frames = [decode_frames(path, 256, 256).astype(np.float32) for path in (made, shown)]
    mouth = (slice(None), slice(100, 135), slice(100, 150))
    change = np.abs(frames[0] - frames[1])[mouth].mean()
    assert change < 0.5 * np.abs(frames[0] - frames[0][:1])[mouth].mean()


def test_motion_alone_makes_a_silent_video_and_a_short_one_comes_to_rest(
    talkhead: Talkhead, astronaut_png: Path, speech_wav: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.npz"
    save_motion(path, FaceMotion.from_array(np.zeros((10, 54), np.float32), 20))
    line = ["render", astronaut_png, "-o", tmp_path / "o.mp4", "--motion-in", path, "--json"]
    silent = talkhead(*line, "--no-sidecar")
    assert silent.code == 0, silent.err
    assert "the video is silent" in silent.event("warning")["message"]
    event = silent.event("motion")
    assert event == {"event": "motion", "num_frames": 10, "fps": 20, "duration_seconds": 0.5}
    assert silent.event("done")["num_frames"] == 12
    assert silent.event("start")["motion_in"] == str(path)
    spoken = talkhead(*line, speech_wav, "--dry-run", "--overwrite")
    assert "the motion ends 8.1 s before the sound" in spoken.event("warning")["message"]


@pytest.mark.slow
def test_strengths_are_in_the_file(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    """They are applied when motion is made, and not again when it is shown."""
    path, calm = tmp_path / "m.npz", tmp_path / "calm.npz"
    given = "--size", "128", "--fps", "10"
    files = astronaut_png, short_wav
    render(talkhead, *files, "-o", tmp_path / "a.mp4", "--motion-out", path, *given)
    half = "--pose-scale", "0.4", "--motion-out", calm
    render(talkhead, *files, "-o", tmp_path / "b.mp4", *half, *given)
    full, less = load_motion(path).motion, load_motion(calm).motion
    np.testing.assert_allclose(less.rotation, 0.5 * full.rotation, rtol=1e-5)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--motion-in", "m.npz", "--drive", "speech.wav"], 2, "leave one of them out"),
        (["--motion-in", "m.npz", "--stream"], 2, "leave one of them out"),
        (["--motion-in", "missing.npz"], 3, "no such file"),
        (["--motion-in", "face.png"], 2, "ends in .npz or .csv"),
        (["--motion-in", "bad.npz"], 3, "not a motion file"),
        (["--motion-in", "folder.csv"], 3, "cannot be read"),
        (["--motion-in", "m.npz", "--motion-out", "m.npz", "--overwrite"], 3, "one of the inputs"),
        (["--motion-out", "m.npz"], 3, "exists already"),
        (["--motion-out", "m.txt"], 2, "ends in .npz or .csv"),
        (["--motion-out", "nowhere/m.csv"], 3, "does not exist"),
        (["--motion-out", "folder.csv", "--overwrite"], 3, "not a regular file"),
    ],
)
def test_what_cannot_be(
    options: list[str],
    code: int,
    words: str,
    case: Case,
    talkhead: Talkhead,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(case.folder)
    save_motion("m.npz", FaceMotion.from_array(np.zeros((30, 54), np.float32)))
    Path("bad.npz").write_bytes(Path("m.npz").read_bytes()[:900])
    Path("folder.csv").mkdir()
    case.options = options
    refused(case, talkhead, code, words)


def test_a_render_that_fails_leaves_no_motion(
    case: Case, talkhead: Talkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it fails at the very last step, when the motion is there already."""
    case.options = ["--motion-out", str(case.folder / "m.npz"), "--size", "128", "--fps", "5"]
    seen = []

    def occupied(self: object) -> None:
        from talkhead_cli.errors import InputError

        seen.append((case.folder / "m.npz").exists())
        raise InputError("somebody else's")

    monkeypatch.setattr("talkhead_cli.paths.PendingFile.publish", occupied)
    refused(case, talkhead, 3, "somebody else's")
    assert seen == [True]


def test_dry_run_writes_no_motion(case: Case, talkhead: Talkhead) -> None:
    before = contents(case.folder)
    line = ["render", case.portrait, case.audio, "-o", case.output, "--dry-run"]
    assert talkhead(*line, "--motion-out", case.folder / "m.npz").code == 0
    assert contents(case.folder) == before


@pytest.mark.slow
def test_live_video_saves_its_motion(
    talkhead: Talkhead, astronaut_png: Path, short_wav: Path, tmp_path: Path
) -> None:
    files = astronaut_png, short_wav
    given = "--size", "128", "--motion-out"
    render(talkhead, *files, "-o", tmp_path / "a.mp4", *given, tmp_path / "a.npz")
    render(talkhead, *files, "-o", tmp_path / "b.mp4", *given, tmp_path / "b.npz", "--stream")
    heard, live = (load_motion(tmp_path / name).motion for name in ("a.npz", "b.npz"))
    assert live.num_frames == heard.num_frames == 30
    np.testing.assert_allclose(live.to_array(), heard.to_array(), atol=1e-3)


def test_page_on_motion_is_true(
    talkhead: Talkhead,
    astronaut_png: Path,
    short_wav: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from talkhead_models.arkit import LOOK, WIDE_LIDS
    from talkhead_models.arkit_shapes import ABSENT

    page = PAGE.read_text()
    for name in ABSENT:
        assert f"`{name.removesuffix('Left').removesuffix('Right')}" in page
    assert f"{LOOK[0]} eye widths to a side, {LOOK[1]} up or down" in page
    assert f"as wide as they go are {WIDE_LIDS}" in page
    shutil.copy(astronaut_png, tmp_path / "portrait.png")
    shutil.copy(short_wav, tmp_path / "speech.wav")
    monkeypatch.chdir(tmp_path)
    commands = [line for line in page.splitlines() if line.startswith("talkhead render")]
    assert len(commands) == 4
    code = page.split("```python\n")[1].split("```")[0]
    for number, command in enumerate(commands):
        if number == 2:
            exec(compile(code, "motion.md", "exec"), {})
        words = [*command.split()[1:], "--fps", "10", "--size", "128", "--overwrite"]
        assert talkhead(*words).code == 0
    calm, full = load_motion("edited.npz").motion, load_motion("motion.npz").motion
    np.testing.assert_allclose(calm.rotation, 0.5 * full.rotation)
