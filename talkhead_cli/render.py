"""One render from files to file: check everything, load, animate, encode, put in place."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkhead_cli import __version__
from talkhead_cli.console import Event, OnEvent
from talkhead_cli.devices import model_errors, resolve_device
from talkhead_cli.errors import AudioError
from talkhead_cli.formats import codec_of
from talkhead_cli.lazy import import_ahead
from talkhead_cli.marking.stamp import UNMARKED, Stamp, describe_marking, make_stamp
from talkhead_cli.paths import check_free
from talkhead_cli.render_paths import STANDARD, check_paths
from talkhead_cli.result import (
    Inputs,
    OutputOptions,
    Performance,
    RenderResult,
    Scene,
    count_frames,
    drive_event,
    face_event,
    motion_event,
)
from talkhead_cli.settings import RenderSettings, live_settings
from talkhead_cli.sidecar import describe, sidecar_path, used_bundles, write_sidecar
from talkhead_cli.speech_encoder import speech_encoder
from talkhead_cli.standard_input import keep_standard_input
from talkhead_cli.timing import Clock, Ticker
from talkhead_cli.unchanged import check_unchanged, unless_changed
from talkhead_cli.writing import file_writer, write_frames

if TYPE_CHECKING:
    from talkhead_cli.face import Portrait
    from talkhead_cli.finishing import Finish
    from talkhead_cli.motion_files import MotionRecorder
    from talkhead_cli.pipeline import TalkingHeadPipeline
    from talkhead_cli.playback import MotionSource
    from talkhead_models.lip_audio import LipAudioEncoder
    from talkhead_models.speech import SpeechEncoder

__all__ = ["OutputOptions", "RenderRun", "render_file", "speech_encoder"]


def ignore_event(event: Event) -> None:
    """The default sink."""


def render_file(  # noqa: PLR0913 - drive goes by name, and each is a thing of its own
    settings: RenderSettings,
    portrait: Path | str,
    audio: Path | str | None,
    output: Path | str,
    on_event: OnEvent = ignore_event,
    options: OutputOptions | None = None,
    pipeline: TalkingHeadPipeline | None = None,
    *,
    drive: Path | str | None = None,
    motion_in: Path | str | None = None,
    style: Path | str | None = None,
) -> RenderResult:
    """Render one portrait with one speech recording, or with the motion of a filmed face.

    Args:
        settings: resolved settings.
        portrait: a picture; or a film, which is dubbed: see docs/dubbing.md.
        audio: any file ffmpeg decodes, or "-" for standard input; None takes the sound of `drive`, if any.
        output: a video file, a folder for pictures, or "-" for fragmented MP4 on standard output.
        on_event: called with every event, see docs/events.md.
        options: what happens around the render.
        pipeline: a loaded pipeline made with the same settings, to be used again; it stays open.
        drive: a film of a face whose motion is used instead of generated motion.
        motion_in: a motion file, likewise; see docs/motion.md.
        style: a film of a person in whose way generated motion moves; see docs/motion-controls.md.

    Raises:
        TalkheadError: one of its kinds, see `talkhead_cli.errors`; nothing is left behind.
    """
    from talkhead_cli.film import is_film
    from talkhead_cli.live import LiveRun, is_live

    others = (None if path is None else Path(path) for path in (drive, motion_in, style))
    inputs = Inputs(Path(portrait), audio, *others)
    options = options or OutputOptions()
    kind: type[RenderRun]
    if is_film(inputs.portrait):
        from talkhead_cli.dub import DubRun

        kind = DubRun
    else:
        kind = LiveRun if is_live(options, inputs, output) else RenderRun
        if kind is LiveRun and pipeline is None:
            settings = live_settings(settings)
    return kind(settings, on_event, options).render(inputs, output, pipeline)


class RenderRun:
    """The steps of one render, in order."""

    streams = False
    resumed_frames = 0
    """Frames that an earlier render has made."""
    recorder: MotionRecorder | None = None
    stamp: Stamp | None = None
    """What marks the output."""
    finish: Finish
    """What is put on its frames."""

    def __init__(self, settings: RenderSettings, on_event: OnEvent, options: OutputOptions) -> None:
        self.options = options
        self.emit = on_event
        self.clock = Clock()
        with self.clock.stage("start"):
            self.settings = settings.model_copy(update={"device": resolve_device(settings.device)})

    def render(
        self, inputs: Inputs, output: Path | str, pipeline: TalkingHeadPipeline | None
    ) -> RenderResult:
        """See `render_file`."""
        target = self._check_paths(inputs, output)
        self.stamps = inputs.stamps()
        # While ffmpeg looks at the sound, and mediapipe at the face.
        import_ahead("torch")
        start = {
            "event": "start",
            "version": __version__,
            **inputs.to_event(),
            "output": str(output),
            "stream": self.streams,
            "settings": self.settings.model_dump(mode="json"),
        }
        self.emit(start)
        if not self.settings.marking:
            self.emit({"event": "warning", "message": UNMARKED})
        with unless_changed(self.stamps, "the render began"), ExitStack() as stack:
            result = self._make(inputs, target, pipeline, stack)
        self.emit(result.to_event())
        return result

    def _make(
        self,
        inputs: Inputs,
        target: Path | None,
        pipeline: TalkingHeadPipeline | None,
        stack: ExitStack,
    ) -> RenderResult:
        """All between the checks and the last event; `stack` holds what is to be let go of."""
        audio = self._local_audio(inputs, stack)
        seconds = None if audio is None else self._probe(audio, not inputs.movers)
        portrait = self._load_portrait(inputs.portrait)
        if pipeline is None:
            pipeline = self._load_pipeline(stack)
        self._take_style(inputs, pipeline, stack)
        performance = self._perform(inputs, audio, seconds)
        if self.options.dry_run:
            return self._result(portrait, performance, None)
        scene = Scene(inputs, portrait, pipeline, target)
        if self.options.resume and target is not None:
            from talkhead_cli.keeping import keep_parts

            folder = keep_parts(scene, performance, self.settings, stack)
            self.options = replace(self.options, folder=folder)
        with model_errors():
            return self._animate(scene, performance)

    def _check_paths(self, inputs: Inputs, output: Path | str) -> Path | None:
        """The output's final path, None for standard output; all that can be told by looking at paths."""
        target, self.options = check_paths(inputs, output, self.settings, self.options)
        return target

    def _local_audio(self, inputs: Inputs, stack: ExitStack) -> Path | None:
        """The audio as a file that can be read twice; None where a driving clip without sound is all there is."""
        if inputs.audio is None:
            return self._sound_of(inputs.drive)
        if str(inputs.audio) != STANDARD:
            return Path(inputs.audio)
        return keep_standard_input(stack)

    def _sound_of(self, drive: Path | None) -> Path | None:
        """The driving clip as a recording, None where it has no sound."""
        from talkhead_cli.evaluation.stream import read_video_header

        if drive is None or read_video_header(drive).has_audio:
            return drive
        self._warn(drive, ["the clip has no sound, and so will the video; give AUDIO for another"])
        return None

    def _probe(self, path: Path, drives: bool) -> float:
        """Look at the recording; its length in seconds. What spoils lips is told only where it drives them."""
        from talkhead_cli.audio import probe_audio, read_header

        with self.clock.stage("speech"):
            # By the header alone first, so that a day-long file is not decoded only to be refused; headers may
            # overestimate a little.
            declared = read_header(path).declared_seconds or 0.0
            if declared > 2 * self.settings.max_seconds:
                self._check_length(path, declared)
            info = probe_audio(path)
            self._check_length(path, info.duration_seconds)
        self.emit({"event": "audio", **asdict(info)})
        if drives:
            self._warn(path, info.warnings)
        return info.duration_seconds

    def _check_length(self, path: Path, seconds: float, what: str = "audio") -> None:
        if seconds > self.settings.max_seconds:
            raise AudioError(
                f"{path}: {seconds:.0f} seconds of {what} are more than the "
                f"{self.settings.max_seconds:.0f} allowed; raise --max-seconds"
            )

    def _load_portrait(self, path: Path) -> Portrait:
        from talkhead_cli.face import load_portrait

        with self.clock.stage("face"), model_errors():
            portrait = load_portrait(
                path,
                face=self.settings.face,
                backend=self.settings.face_backend,
                background=self.settings.background,
                size=self.settings.size,
                crop=self.settings.crop,
            )
        self.emit(face_event(portrait))
        self._warn(path, (*portrait.notes, *portrait.occlusions))
        return portrait

    def _warn(self, path: Path, messages: Iterable[str]) -> None:
        for message in messages:
            self.emit({"event": "warning", "message": f"{path}: {message}"})

    def _load_pipeline(self, stack: ExitStack) -> TalkingHeadPipeline:
        from talkhead_cli.pipeline import TalkingHeadPipeline

        with self.clock.stage("weights"), model_errors():
            pipeline = TalkingHeadPipeline(self.settings)
        stack.callback(pipeline.close)
        return pipeline

    def _take_style(self, inputs: Inputs, pipeline: TalkingHeadPipeline, stack: ExitStack) -> None:
        """Let the pipeline speak in the way of a filmed person, where one is given, for this render."""
        if inputs.movers and self.settings.emotion != "neutral":
            self._warn(inputs.movers[0], ["motion that is not generated is left without emotion"])
        if inputs.style is None:
            return
        from talkhead_cli.style_clip import take_style

        with self.clock.stage("style"), model_errors():
            clip = take_style(inputs.style, pipeline, stack)
        self.emit(clip.to_event())
        self._warn(inputs.style, clip.warnings)

    def _perform(self, inputs: Inputs, audio: Path | None, seconds: float | None) -> Performance:
        """Read the motion file, or measure the driving clip, where there is one."""
        drive = inputs.drive
        if inputs.motion_in is not None:
            return self._replay(inputs.motion_in, audio, seconds)
        if drive is None:
            return Performance(audio, seconds or 0.0)
        from talkhead_cli.drive import MARGIN, load_drive

        with self.clock.stage("drive"), model_errors():
            clip = load_drive(
                drive,
                (self.settings.max_seconds if seconds is None else seconds) + MARGIN,
                own_sound=audio == drive,
                relative=self.settings.drive_pose == "relative",
            )
        if seconds is None:
            seconds = clip.duration_seconds
            self._check_length(drive, seconds, "film")
        self.emit(drive_event(clip))
        mismatch = clip.length_warning(seconds)
        self._warn(drive, [*clip.warnings, *([mismatch] if mismatch else [])])
        return Performance(audio, seconds, clip)

    def _replay(self, path: Path, audio: Path | None, seconds: float | None) -> Performance:
        """Read a motion file."""
        from talkhead_cli.motion_files import length_warning, load_motion

        with self.clock.stage("motion"), model_errors():
            saved = load_motion(path, self.settings.max_seconds, self.settings.fps)
        self.emit(motion_event(saved))
        if seconds is None:
            seconds = saved.duration_seconds
        self._warn(path, length_warning(saved, None if audio is None else seconds))
        return Performance(audio, seconds, saved=saved)

    def _source(self, pipeline: TalkingHeadPipeline, performance: Performance) -> MotionSource:
        """What the pipeline makes motion from."""
        given = performance.given(self.settings.fps)
        if given is not None:
            return given
        from talkhead_cli.audio import extract_features
        from talkhead_cli.segments import keep_features, read_features

        assert performance.audio is not None
        with self.clock.stage("speech"):
            features = read_features(self.options.folder)
            if features is None:
                encoder, lips = self._encoders(pipeline)
                limit = self.settings.max_seconds
                plan = pipeline.ear_plan
                features = extract_features(performance.audio, encoder, limit, lips, plan)
                keep_features(self.options.folder, features)
        return features

    def _encoders(
        self, pipeline: TalkingHeadPipeline
    ) -> tuple[SpeechEncoder, LipAudioEncoder | None]:
        """What hears the speech for a pipeline's generator."""
        return speech_encoder(self.settings.device), pipeline.lip_audio

    def _animate(self, scene: Scene, performance: Performance) -> RenderResult:
        source = self._source(scene.pipeline, performance)
        num_frames = count_frames(performance.duration_seconds, self.settings.fps)
        before = dict(scene.pipeline.timings)
        self._take_stamp(scene, performance)
        with ExitStack() as undo:
            with file_writer(
                scene, performance.audio, num_frames, self.settings, self.options, self.stamp
            ) as writer:
                begin = writer.checkpoint
                planes = scene.pipeline.gives_planes(codec_of(scene.target, self.settings))
                batches = scene.pipeline.render(
                    scene.portrait, source, num_frames, begin, planes, **self._recording(source)
                )
                if begin is not None:
                    self.resumed_frames = begin.num_frames
                    event = {"event": "resumed", "frames": begin.num_frames}
                    self.emit(event | {"num_frames": num_frames})
                ticker = Ticker(self.emit, num_frames, self.resumed_frames)
                write_frames(writer, batches, ticker, self.clock, self.finish)
                self.clock.count(scene.pipeline.timings, before)
                result = self._finish(scene, performance, undo, writer.unpublished)
            undo.pop_all()
        return result

    def _recording(self, source: MotionSource) -> dict[str, Any]:
        """What the pipeline is told so that the motion can be written."""
        if self.options.motion_out is None:
            return {}
        from talkhead_cli.motion_files import MotionRecorder

        self.recorder = MotionRecorder.of(source)
        return {"record": self.recorder}

    def _take_stamp(self, scene: Scene, performance: Performance) -> None:
        """Settle what the output will say of itself, and what is put on its frames."""
        from talkhead_cli.finishing import Finish

        bundles = used_bundles(scene.inputs, scene.pipeline, performance.clip)
        self.stamp = make_stamp(self.settings, bundles, self.options, scene.inputs, performance)
        marks = None if self.stamp is None else self.stamp.marks
        self.finish = Finish.create(scene.portrait.image, self.settings.label, marks)

    def _finish(
        self, scene: Scene, performance: Performance, undo: ExitStack, made: Path | None
    ) -> RenderResult:
        """The result; all beside the video is in place before it, so that a video in place is a row that is done."""
        motion_out = self.options.motion_out
        if scene.target is not None:
            check_unchanged(self.stamps, "the render began")
        if motion_out is not None and self.recorder is not None:
            self.recorder.save(motion_out, self.options.overwrite)
            undo.callback(motion_out.unlink, missing_ok=True)
        result = self._result(scene.portrait, performance, scene.target)
        if result.sidecar is not None:
            check_free(result.sidecar, self.options.overwrite)
            record = describe(scene, performance, result, self.settings, motion_out)
            record |= describe_marking(self.stamp, self.options.consent_ref, made)
            write_sidecar(result.sidecar, record)
            undo.callback(result.sidecar.unlink, missing_ok=True)
        return result

    def _result(
        self, portrait: Portrait, performance: Performance, target: Path | None
    ) -> RenderResult:
        height, width = portrait.image.shape[:2]
        return RenderResult(
            output=target,
            sidecar=sidecar_path(target) if target and self.options.sidecar else None,
            num_frames=count_frames(performance.duration_seconds, self.settings.fps),
            width=width,
            height=height,
            fps=self.settings.fps,
            duration_seconds=performance.duration_seconds,
            elapsed_seconds=self.clock.elapsed,
            timings={name: round(seconds, 4) for name, seconds in self.clock.timings.items()},
            dry_run=self.options.dry_run,
            resumed_frames=self.resumed_frames,
        )
