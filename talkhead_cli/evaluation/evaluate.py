"""Measure one video from beginning to end, frame by frame."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from talkhead_cli.console import OnEvent
from talkhead_cli.devices import model_errors
from talkhead_cli.errors import AudioError
from talkhead_cli.evaluation.face import FaceFrame, TrackRecorder, measure_face
from talkhead_cli.evaluation.likeness import LikenessMeasures, LikenessRecorder, fit_portrait
from talkhead_cli.evaluation.lips import measure_lips
from talkhead_cli.evaluation.phones import (
    LipScript,
    read_phones,
    script_of_features,
    script_of_phones,
)
from talkhead_cli.evaluation.reference import ReferenceMeasures, ReferenceRecorder, ratio
from talkhead_cli.evaluation.result import Evaluation, SteadinessMeasures, Timeline, VideoFacts
from talkhead_cli.evaluation.steadiness import (
    OUTER_LIPS,
    MouthRecorder,
    WarpingRecorder,
    pair_stride,
)
from talkhead_cli.evaluation.still import background_of, encoding_of, still_warping
from talkhead_cli.evaluation.stream import (
    VideoHeader,
    decoded_seconds,
    read_video_header,
)
from talkhead_cli.evaluation.tracker import FaceChoice, FaceFilm, FaceTracker
from talkhead_cli.paths import check_input
from talkhead_cli.settings import RenderSettings
from talkhead_cli.sidecar import read_sidecar
from talkhead_cli.timing import Ticker

if TYPE_CHECKING:
    from talkhead_cli.face import Portrait
    from talkhead_models.speech import SpeechFeatures

log = logging.getLogger(__name__)

__all__ = ["EvaluationRequest", "evaluate_video"]


@dataclass(frozen=True)
class EvaluationRequest:
    """What to measure, and against what.

    Attributes:
        video: the rendered video.
        portrait: the picture it was made from.
        audio: the speech it was made from; by default the video's own sound.
        phones: phones with times: ``phone:end`` items or HTK labels.
        reference: a real clip of the same person saying the same.
        face: which face: largest, N from the left, X,Y; of the portrait where given. By default what the sidecar says.
        flow: take optical flow, which costs most of the time.
    """

    video: Path
    portrait: Path | None = None
    audio: Path | None = None
    phones: Path | None = None
    reference: Path | None = None
    face: str | None = None
    flow: bool = True


def ignore_event(event: dict[str, Any]) -> None:
    """The default sink."""


def evaluate_video(request: EvaluationRequest, on_event: OnEvent = ignore_event) -> Evaluation:
    """Measure a rendered video; memory does not grow with its length but for a few numbers a frame.

    Args:
        request: what to measure, and against what.
        on_event: called with progress events.

    Raises:
        InputError: a file cannot be used; NoFaceError, AudioError among them.
        MediaError: ffmpeg is missing or failed.
        WeightsError: a bundle is missing or damaged.
    """
    with model_errors():
        return EvaluationRun(request, on_event).run()


class EvaluationRun:
    """The steps of one evaluation, in order."""

    def __init__(self, request: EvaluationRequest, on_event: OnEvent) -> None:
        self.request = request
        self.emit = on_event
        self.warnings: list[str] = []

    def run(self) -> Evaluation:
        """See `evaluate_video`."""
        request = self.request
        header = read_video_header(request.video)
        if request.reference is not None:
            read_video_header(request.reference)
        phones = read_phones(request.phones) if request.phones is not None else None
        settings = read_render_settings(request.video)
        portrait = self._load_portrait(settings)
        features = self._listen(header)
        script: LipScript | None = None
        if phones is not None:
            script = script_of_phones(phones)
        elif features is not None:
            script = script_of_features(features)
        else:
            self.warnings.append("there is neither sound nor phones: lips cannot be judged")
        watched = Watched(request, header, portrait, self._face(portrait))
        watched.watch(self.emit)
        self.warnings += watched.warnings
        track = watched.track.finish()
        steadiness = watched.steadiness(settings)
        return Evaluation(
            facts=self._facts(header, watched),
            lips=measure_lips(track.gap, track.fps, script),
            face=measure_face(track),
            likeness=watched.likeness_measures(track.eyes),
            steadiness=steadiness,
            reference=watched.reference_measures(),
            warnings=tuple(self.warnings),
            timeline=Timeline(track.gap, track.fps, script, loudness_of(features)),
        )

    def _load_portrait(self, settings: dict[str, Any]) -> Portrait | None:
        """The portrait as it was rendered."""
        if self.request.portrait is None:
            return None
        from talkhead_cli.face import load_portrait

        size = settings.get("size")
        return load_portrait(
            self.request.portrait,
            size=size if isinstance(size, int) else None,
            face=self.request.face or settings.get("face") or "largest",
            background=settings.get("background"),
            crop=settings.get("crop") or "full",
        )

    def _face(self, portrait: Portrait | None) -> FaceChoice:
        """Where the face to be measured is in the video: a choice, or its middle as shares of width and height."""
        if portrait is None:
            return self.request.face or "largest"
        height, width = portrait.image.shape[:2]
        x, y = portrait.mesh[:, :2].mean(0)
        return float(x / width), float(y / height)

    def _listen(self, header: VideoHeader) -> SpeechFeatures | None:
        """Speech features of the audio given, or of the video's own sound."""
        from talkhead_cli.audio import extract_features
        from talkhead_cli.render import speech_encoder

        if self.request.audio is not None:
            check_input(self.request.audio, AudioError)
            return extract_features(self.request.audio, speech_encoder("cpu"), inf)
        if not header.has_audio:
            return None
        try:
            return extract_features(header.path, speech_encoder("cpu"), inf)
        except AudioError as error:
            self.warnings.append(f"the video's own sound cannot be used: {error}")
            return None

    def _facts(self, header: VideoHeader, watched: Watched) -> VideoFacts:
        height, width = watched.shape[:2]
        sound = self.request.audio or (header.path if header.has_audio else None)
        gap = None
        if sound is not None:
            lengths = decoded_seconds(header.path, "0:V"), decoded_seconds(sound, "0:a:0")
            if lengths[0] is not None and lengths[1] is not None:
                gap = 1000 * (lengths[0] - lengths[1])
        return VideoFacts(
            str(header.path),
            watched.num_frames,
            width,
            height,
            float(header.fps),
            header.codec,
            gap,
        )


class Watched:
    """One pass over the frames of a video with everything that looks at them."""

    def __init__(
        self,
        request: EvaluationRequest,
        header: VideoHeader,
        portrait: Portrait | None,
        face: FaceChoice,
    ) -> None:
        self.request = request
        self.header = header
        self.portrait = portrait
        self.warnings: list[str] = []
        self.shape: tuple[int, ...] = (0, 0)
        self.num_frames = 0
        self.track = TrackRecorder(float(header.fps))
        self.mouth = MouthRecorder()
        self.warping: WarpingRecorder | None = None
        self.background: NDArray[np.bool_] | None = None
        self.likeness: LikenessRecorder | None = None
        self.picture: NDArray[np.uint8] | None = None
        self.film = FaceFilm(request.video, header.fps, "video", face)
        self.reference: ReferenceRecorder | None = None
        if request.reference is not None:
            self.reference = ReferenceRecorder(request.reference, header.fps)

    def watch(self, emit: OnEvent) -> None:
        """Look at every frame."""
        ticker = Ticker(emit, max(1, self.header.expected_frames))
        for frame in self.film:
            if self.num_frames == 0:
                self._begin(frame)
            self.num_frames += 1
            self._look(frame)
            ticker.advance(1)
        if self.film.complaint:
            self.warnings.append(f"the video is damaged: {self.film.complaint}")

    def _begin(self, frame: FaceFrame) -> None:
        """Set up what needs the first frame: the portrait at the video's size, the background."""
        self.shape = frame.image.shape
        if self.portrait is not None:
            self.picture = fit_portrait(self.portrait.image, self.shape)
            if self.picture is None:
                self.warnings.append(
                    "the portrait has another shape than the video (was it rendered with --crop face?): not compared"
                )
        if self.picture is not None:
            mesh = FaceTracker("still", self.picture, self.film.face).settle(self.picture)
            if mesh is None:
                self.warnings.append("the tracker sees no face in the portrait: not compared")
            else:
                self.likeness = LikenessRecorder(self.picture, mesh)
        if self.request.flow:
            seen = frame.image if self.picture is None else self.picture
            self.background = background_of(seen, frame.mesh)
            stride = pair_stride(self.header.expected_frames, float(self.header.fps))
            self.warping = WarpingRecorder(self.background, stride)

    def _look(self, frame: FaceFrame) -> None:
        self.track.push(frame)
        self.mouth.push(frame)
        if self.likeness is not None:
            self.likeness.push(frame)
        if self.warping is not None:
            lips = None if frame.lost else frame.mesh[list(OUTER_LIPS), :2]
            self.warping.push(frame.image, lips)
        if self.reference is not None:
            assert self.film.neutral is not None
            self.reference.push(frame, self.film.neutral)

    def steadiness(self, settings: dict[str, Any]) -> SteadinessMeasures:
        """The measures of steadiness; encodes the portrait alone where there is one."""
        found: dict[str, float | None] = {}
        if self.warping is not None:
            found["warping_error"] = self.warping.whole.mean
            found["warping_error_background"] = self.warping.behind.mean
            found["warping_error_mouth"] = self.warping.mouth.mean
        if self.background is not None and self.picture is not None:
            encoding = encoding_of(settings, self.header.codec)
            still = still_warping(self.picture, self.background, self.header.fps, encoding)
            found["warping_error_still"] = still
            found["warping_ratio_background"] = ratio(found["warping_error_background"], still)
        return SteadinessMeasures(
            mouth_sharpness=self.mouth.sharpness, mouth_flicker=self.mouth.flicker, **found
        )

    def likeness_measures(self, eyes: NDArray[np.float64]) -> LikenessMeasures:
        """The measures against the portrait, all None without one."""
        return LikenessMeasures() if self.likeness is None else self.likeness.finish(eyes)

    def reference_measures(self) -> ReferenceMeasures:
        """The measures against the real clip, all None without one."""
        if self.reference is None:
            return ReferenceMeasures()
        if self.reference.ended_early:
            self.warnings.append(
                "the reference is shorter than the video: the rest is not compared"
            )
        return self.reference.finish()


def loudness_of(features: SpeechFeatures | None) -> NDArray[np.float32]:
    """Speech energy in [0, 1] at 50 a second; empty without sound."""
    from talkhead_models.speech import LOUDNESS

    return np.zeros(0, np.float32) if features is None else features.array[:, LOUDNESS]


def read_render_settings(video: Path) -> dict[str, Any]:
    """The settings that the sidecar beside a video names; none where there is none of ours."""
    settings = read_sidecar(video).get("settings")
    if not isinstance(settings, dict):
        return {}
    return {key: value for key, value in settings.items() if is_setting(key, value)}


def is_setting(key: str, value: object) -> bool:
    """Whether a render may have been made with this."""
    try:
        RenderSettings.model_validate({key: value})
    except ValidationError:
        return False
    return True
