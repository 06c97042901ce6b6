"""Dubbing: new speech for a filmed person. The film's frames take the portrait's place; only mouth and jaw follow."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.console import Event
from talkhead_cli.devices import model_errors
from talkhead_cli.errors import UsageError
from talkhead_cli.evaluation.stream import read_video_header
from talkhead_cli.film import TrackedFilm, load_film
from talkhead_cli.film_rules import adopt, refusals
from talkhead_cli.networks import Networks
from talkhead_cli.pipeline import (
    FRAME_MEMORY,
    MAX_THREADS,
    TalkingHeadPipeline,
)
from talkhead_cli.playback import Checkpoint, MotionSource, Playback, Record
from talkhead_cli.render import RenderRun
from talkhead_cli.result import Performance, RenderResult, Scene, count_frames, face_event
from talkhead_cli.settings import RenderSettings, show_fps
from talkhead_models.dubbing import DubRenderer
from talkhead_models.lip_texture import rig_at

if TYPE_CHECKING:
    from talkhead_cli.face import Portrait
    from talkhead_cli.result import Inputs
    from talkhead_models.motion import FaceMotion

Frames = NDArray[np.uint8]


class DubRun(RenderRun):
    """The steps of a render whose picture is a film."""

    tracked: TrackedFilm
    seconds = 0.0
    """Of speech."""

    def _check_paths(self, inputs: Inputs, output: Path | str) -> Path | None:
        film = inputs.portrait
        if inputs.motion_in is not None:
            raise UsageError(f"{film} is a film: its mouth follows speech, leave --motion-in out")
        if self.options.stream:
            raise UsageError(
                f"{film} is a film: it can only be dubbed with whole speech, leave --stream out"
            )
        drives, heard = inputs.drive is not None, inputs.audio is not None
        style = inputs.style is not None
        for _, words in refusals(film, self.settings, drive=drives, audio=heard, style=style):
            raise UsageError(words)
        return super()._check_paths(inputs, output)

    def _probe(self, path: Path, drives: bool) -> float:
        self.seconds = super()._probe(path, drives)
        return self.seconds

    def _load_portrait(self, path: Path) -> Portrait:
        """The frame that shows the person's mouth best; the film itself is kept beside it."""
        from talkhead_cli.face.portrait import make_portrait

        self.settings = adopt(self.settings, self.options.given, read_video_header(path).fps)
        fps = self.settings.fps
        num_frames = count_frames(self.seconds, fps)
        with self.clock.stage("film"), model_errors():
            found = load_film(path, num_frames, fps, self.settings.size, self.settings.face)
        self.tracked = found
        self.emit(film_event(found))
        self._warn(path, film_warnings(found, num_frames))
        with self.clock.stage("face"), model_errors():
            portrait = make_portrait(found.first, found.face.meshes[found.reference].copy())
        self.emit(face_event(portrait))
        self._warn(path, portrait.occlusions)
        return portrait

    def _animate(self, scene: Scene, performance: Performance) -> RenderResult:
        networks = scene.pipeline.networks
        pipeline = DubbingPipeline(self.settings, networks, self.tracked)
        pipeline.max_frames = scene.pipeline.max_frames
        return super()._animate(replace(scene, pipeline=pipeline), performance)


class DubbingPipeline(TalkingHeadPipeline):
    """A pipeline whose pictures are the frames of a film.

    Args:
        settings: of the render.
        networks: already loaded.
        tracked: the film.
    """

    def __init__(self, settings: RenderSettings, networks: Networks, tracked: TrackedFilm) -> None:
        super().__init__(settings, networks)
        self.tracked = tracked

    def gives_planes(self, codec: str) -> bool:
        """No: a film's frames all differ, so that nothing is converted once."""
        return False

    def render(
        self,
        portrait: Portrait,
        source: MotionSource,
        num_frames: int | None,
        begin: Checkpoint | None = None,
        planes: bool = False,
        record: Record | None = None,
    ) -> Playback:
        """Frames of the dubbed film; see `TalkingHeadPipeline.render`.

        Args:
            portrait: the film's frame that shows the mouth best.
            source: features of the new speech.
            num_frames: frames to make.
            begin: a checkpoint of the same clip to go on from.
            planes: not given here, see `gives_planes`.
            record: given all motion of the clip, see there.
        """
        import torch

        assert num_frames is not None
        started = time.perf_counter()
        found = self.tracked
        renderer = DubRenderer.create(
            found.face,
            found.reference,
            portrait.image,
            self.networks.refiners,
            self.networks.detail,
            self.settings.device,
            found.calm,
        )
        renderer.threads = min(MAX_THREADS, torch.get_num_threads())
        own = self._own_mouth(portrait, rig_at(found.face, found.reference))
        self.timings["prepare"] += time.perf_counter() - started
        most = int(np.clip(FRAME_MEMORY // portrait.image.nbytes, 1, self.max_frames))
        done = begin.num_frames if begin is not None else 0
        pictures = found.film.play(done, num_frames)
        steps = self._exactly(source, num_frames, begin)
        if record is not None:
            steps = self._recorded(steps, self._before(source, num_frames, done), record)
        return Playback(self._dub(renderer, steps, pictures, own, most), done)

    def _dub(
        self,
        renderer: DubRenderer,
        steps: Iterable[tuple[FaceMotion, Checkpoint | None]],
        pictures: Iterator[tuple[int, Frames]],
        mouth: tuple[NDArray[np.float32] | None, np.float32],
        most: int,
    ) -> Iterator[tuple[Frames, Checkpoint | None]]:
        """Frames of motion and film, at most so many at once."""
        own, habit = mouth
        for chunk, checkpoint in steps:
            for start in range(0, chunk.num_frames, most):
                started = time.perf_counter()
                motion = chunk[start : start + most]
                if own is not None:
                    # A person who shows teeth in the film goes on showing them.
                    code = motion.appearance + (own - motion.appearance) * habit
                    motion = replace(motion, appearance=code)
                taken = list(islice(pictures, motion.num_frames))
                self._count("film", started)
                started = time.perf_counter()
                images = [image for _, image in taken]
                frames = renderer.render(images, [index for index, _ in taken], motion)
                self._count("renderer", started)
                yield frames, checkpoint if start + most >= chunk.num_frames else None

    def _count(self, stage: str, started: float) -> None:
        spent = self.timings.get(stage, 0.0)
        self.timings[stage] = spent + time.perf_counter() - started


def film_event(found: TrackedFilm) -> Event:
    """What was found in the film."""
    height, width = found.first.shape[:2]
    return {
        "event": "film",
        "num_frames": found.film.num_frames,
        "fps": show_fps(found.film.fps),
        "width": width,
        "height": height,
        "lost_frames": found.lost_frames,
        "hidden_frames": found.hidden_frames,
        "loops": found.film.loops,
    }


def film_warnings(found: TrackedFilm, num_frames: int) -> list[str]:
    """What a person should know before rendering, one sentence each."""
    film, words = found.film, []
    if found.lost_frames:
        words.append(
            f"no face is seen in {found.lost_frames} of {film.num_frames} frames; they stay as they are"
        )
    if found.turned_frames:
        words.append(
            f"the head is turned too far in {found.turned_frames} of {film.num_frames} frames; "
            "their mouths stay as they are"
        )
    if found.hidden_frames:
        words.append(
            f"something is in front of the mouth in {found.hidden_frames} of {film.num_frames} frames; "
            "their mouths stay as they are"
        )
    if film.num_frames < num_frames:
        way = "from its beginning again" if film.loops else "backwards and forwards"
        seconds = Fraction(film.num_frames) / film.fps
        words.append(
            f"the film is {float(seconds):.1f} s long and the speech {float(num_frames / film.fps):.1f} s; "
            f"it is played {way}"
        )
    return words
