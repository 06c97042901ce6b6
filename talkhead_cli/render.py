"""One render from files to file: check everything, load, animate, encode, put in place."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkhead_cli import __version__
from talkhead_cli.console import Event, OnEvent
from talkhead_cli.devices import model_errors
from talkhead_cli.errors import AudioError, InputError, UsageError
from talkhead_cli.paths import check_free, check_input, check_output, private_folder
from talkhead_cli.settings import RenderSettings, show_fps
from talkhead_cli.sidecar import sidecar_path, versions, write_sidecar
from talkhead_cli.timing import Clock, Ticker

if TYPE_CHECKING:
    from talkhead_cli.audio import AudioInfo
    from talkhead_cli.face import Portrait
    from talkhead_cli.pipeline import TalkingHeadPipeline
    from talkhead_models.speech import SpeechEncoder, SpeechFeatures

STANDARD = "-"
"""In place of a path: standard input or output."""

SPEECH_BUNDLE = "speech"


@dataclass(frozen=True)
class OutputOptions:
    """What happens around a render.

    Attributes:
        overwrite: an existing output may be replaced.
        sidecar: write OUT.json beside the video.
        dry_run: stop when everything is checked, before anything is written.
    """

    overwrite: bool = False
    sidecar: bool = True
    dry_run: bool = False


@dataclass(frozen=True)
class RenderResult:
    """What a render made.

    Attributes:
        output: the video; None when it went to standard output or the run was dry.
        sidecar: the JSON file beside it, where one was written.
        num_frames: frames written, or that would be.
        width: of the video.
        height: of the video.
        fps: frames a second.
        duration_seconds: of the speech.
        elapsed_seconds: from start to end.
        timings: seconds by stage.
        dry_run: nothing was written.
    """

    output: Path | None
    sidecar: Path | None
    num_frames: int
    width: int
    height: int
    fps: Fraction
    duration_seconds: float
    elapsed_seconds: float
    timings: dict[str, float] = field(default_factory=dict)
    dry_run: bool = False

    @property
    def frames_per_second(self) -> float:
        """Frames made per second of wall clock, start-up included."""
        return self.num_frames / max(self.elapsed_seconds, 1e-9)

    def to_event(self) -> Event:
        """The values as a JSON-able event."""
        values = asdict(self)
        values["output"] = str(self.output) if self.output else None
        values["sidecar"] = str(self.sidecar) if self.sidecar else None
        values["fps"] = show_fps(self.fps)
        values["frames_per_second"] = round(self.frames_per_second, 2)
        return {"event": "done", **values}


def ignore_event(event: Event) -> None:
    """The default sink."""


def render_file(
    settings: RenderSettings,
    portrait: Path | str,
    audio: Path | str,
    output: Path | str,
    on_event: OnEvent = ignore_event,
    options: OutputOptions | None = None,
    pipeline: TalkingHeadPipeline | None = None,
) -> RenderResult:
    """Render one portrait with one speech recording.

    Args:
        settings: resolved settings.
        portrait: a picture.
        audio: any file ffmpeg decodes, or "-" for standard input.
        output: an MP4 file, or "-" for fragmented MP4 on standard output.
        on_event: called with every event: start, face, audio, warning, progress, done.
        options: what happens around the render.
        pipeline: a loaded pipeline made with the same settings, to be used again; it stays open.

    Raises:
        TalkheadError: one of its kinds, see `talkhead_cli.errors`; nothing is left behind.
    """
    return RenderRun(settings, on_event, options or OutputOptions()).render(
        Path(portrait), audio, output, pipeline
    )


class RenderRun:
    """The steps of one render, in order."""

    def __init__(self, settings: RenderSettings, on_event: OnEvent, options: OutputOptions) -> None:
        from talkhead_cli.devices import resolve_device

        self.options = options
        self.emit = on_event
        self.clock = Clock()
        with self.clock.stage("start"):
            self.settings = settings.model_copy(update={"device": resolve_device(settings.device)})

    def render(
        self,
        portrait_path: Path,
        audio: Path | str,
        output: Path | str,
        pipeline: TalkingHeadPipeline | None,
    ) -> RenderResult:
        """See `render_file`."""
        target = self._check_paths(portrait_path, audio, output)
        start = {
            "event": "start",
            "version": __version__,
            "portrait": str(portrait_path),
            "audio": str(audio),
            "output": str(output),
            "settings": self.settings.model_dump(mode="json"),
        }
        self.emit(start)
        with ExitStack() as stack:
            audio_path = self._local_audio(audio, stack)
            info = self._probe(audio_path)
            portrait = self._load_portrait(portrait_path)
            if pipeline is None:
                pipeline = self._load_pipeline(stack)
            if self.options.dry_run:
                result = self._result(portrait, info.duration_seconds, None)
            else:
                features = self._listen(audio_path)
                with model_errors():
                    result = self._animate(pipeline, portrait, features, audio_path, target)
        self.emit(result.to_event())
        return result

    def _check_paths(self, portrait: Path, audio: Path | str, output: Path | str) -> Path | None:
        """The output's final path, None for standard output; all that can be told by looking at paths."""
        check_input(portrait)
        inputs = [portrait]
        if str(audio) != STANDARD:
            check_input(Path(audio), AudioError)
            inputs.append(Path(audio))
        if str(output) == STANDARD:
            if sys.stdout.isatty() and not self.options.dry_run:
                raise UsageError(
                    "-o -: a terminal cannot show video; redirect standard output to a file or a program"
                )
            return None
        target = check_output(Path(output), self.options.overwrite, tuple(inputs))
        if self.options.sidecar:
            check_free(sidecar_path(target), self.options.overwrite)
        return target

    def _local_audio(self, audio: Path | str, stack: ExitStack) -> Path:
        """The audio as a file that can be read twice."""
        if str(audio) != STANDARD:
            return Path(audio)
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("AUDIO -: nothing is piped into standard input")
        path = stack.enter_context(private_folder()) / "speech"
        try:
            with path.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        except OSError as error:
            raise InputError(
                f"standard input cannot be kept in {path.parent} ({error.strerror})"
            ) from error
        if path.stat().st_size == 0:
            raise AudioError("standard input is empty: pipe an audio file into it")
        return path

    def _probe(self, path: Path) -> AudioInfo:
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
        self._warn(path, info.warnings)
        return info

    def _check_length(self, path: Path, seconds: float) -> None:
        if seconds > self.settings.max_seconds:
            raise AudioError(
                f"{path}: {seconds:.0f} seconds of audio are more than the "
                f"{self.settings.max_seconds:.0f} allowed; raise --max-seconds"
            )

    def _load_portrait(self, path: Path) -> Portrait:
        from talkhead_cli.face import load_portrait

        chosen = self.settings
        with self.clock.stage("face"), model_errors():
            portrait = load_portrait(
                path,
                face=chosen.face,
                backend=chosen.face_backend,
                background=chosen.background,
                size=chosen.size,
                crop=chosen.crop,
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

    def _listen(self, audio: Path) -> SpeechFeatures:
        from talkhead_cli.audio import extract_features

        with self.clock.stage("speech"), model_errors():
            encoder = speech_encoder(self.settings.device)
            return extract_features(audio, encoder, self.settings.max_seconds)

    def _animate(
        self,
        pipeline: TalkingHeadPipeline,
        portrait: Portrait,
        features: SpeechFeatures,
        audio: Path,
        target: Path | None,
    ) -> RenderResult:
        from talkhead_cli.media import VideoWriter

        chosen = self.settings
        height, width = portrait.image.shape[:2]
        num_frames = count_frames(features.duration_seconds, chosen.fps)
        before = dict(pipeline.timings)
        ticker = Ticker(self.emit, num_frames)
        with ExitStack() as undo:
            with VideoWriter(
                target or STANDARD,
                width,
                height,
                chosen.fps,
                crf=chosen.crf,
                codec=chosen.video_codec,
                audio=audio,
                overwrite=self.options.overwrite,
            ) as writer:
                for frames in pipeline.render(portrait, features, num_frames):
                    with self.clock.stage("encode"):
                        writer.write(frames)
                    ticker.advance(len(frames))
                with self.clock.stage("encode"):
                    writer.finish()
                self.clock.count(pipeline.timings, before)
                result = self._result(portrait, features.duration_seconds, target)
                if result.sidecar is not None:
                    # Before the video, so that a video in place is a row that is done.
                    check_free(result.sidecar, self.options.overwrite)
                    write_sidecar(result.sidecar, self._record(portrait, audio, result, pipeline))
                    undo.callback(result.sidecar.unlink, missing_ok=True)
            undo.pop_all()
        return result

    def _result(self, portrait: Portrait, duration: float, target: Path | None) -> RenderResult:
        height, width = portrait.image.shape[:2]
        return RenderResult(
            output=target,
            sidecar=sidecar_path(target) if target and self.options.sidecar else None,
            num_frames=count_frames(duration, self.settings.fps),
            width=width,
            height=height,
            fps=self.settings.fps,
            duration_seconds=duration,
            elapsed_seconds=self.clock.elapsed,
            timings={name: round(seconds, 4) for name, seconds in self.clock.timings.items()},
            dry_run=self.options.dry_run,
        )

    def _record(
        self, portrait: Portrait, audio: Path, result: RenderResult, pipeline: TalkingHeadPipeline
    ) -> dict[str, Any]:
        """What the sidecar says."""
        made = result.to_event()
        for key in ("event", "sidecar", "dry_run"):
            del made[key]
        return {
            "talkhead": __version__,
            "portrait": str(portrait.path),
            "audio": str(audio),
            **made,
            "seed": self.settings.seed,
            "device": self.settings.device,
            "settings": self.settings.model_dump(mode="json"),
            "bundles": {**pipeline.hashes, SPEECH_BUNDLE: speech_hash()},
            "versions": versions(),
        }


@lru_cache(maxsize=2)
def speech_encoder(device: str) -> SpeechEncoder:
    """The speech encoder on a device, loaded once a process.

    Raises:
        BundleError: its bundle is missing or damaged.
    """
    from talkhead_models.speech import load_speech_encoder

    return load_speech_encoder(SPEECH_BUNDLE, device)


def speech_hash() -> str:
    """sha256 of the speech encoder's bundle."""
    from talkhead_models.bundle import load_bundle

    return load_bundle(SPEECH_BUNDLE).sha256


def count_frames(duration_seconds: float, fps: Fraction) -> int:
    """Frames that cover a duration to within half a frame; at least one."""
    return max(1, round(Fraction(duration_seconds) * fps))


def face_event(portrait: Portrait) -> Event:
    """What was found in the picture."""
    height, width = portrait.image.shape[:2]
    return {
        "event": "face",
        "box": [round(float(edge), 1) for edge in portrait.box],
        "score": round(portrait.score, 3),
        "num_faces": portrait.num_faces,
        "width": width,
        "height": height,
        "yaw": round(portrait.yaw, 1),
        "pitch": round(portrait.pitch, 1),
        "roll": round(portrait.roll, 1),
        "backend": portrait.backend,
    }
