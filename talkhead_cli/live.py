"""A render that begins before its speech has ended: sound in and pictures out at the same time.

Everything that needs no sound is loaded first, while the sound is already being read. Then frames are made chunk by
chunk, each as soon as its speech and the look-ahead behind it have been heard.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from talkhead_cli.devices import model_errors
from talkhead_cli.errors import AudioError, UsageError
from talkhead_cli.formats import codec_of
from talkhead_cli.render import RenderRun
from talkhead_cli.render_paths import STANDARD
from talkhead_cli.result import OutputOptions, Performance, Scene
from talkhead_cli.settings import MOST_AHEAD
from talkhead_cli.standard_input import check_piped
from talkhead_cli.timing import Ticker
from talkhead_cli.writing import stream_writer, write_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from talkhead_cli.levels import LevelMeter
    from talkhead_cli.live_audio import LiveSound
    from talkhead_cli.pipeline import TalkingHeadPipeline
    from talkhead_cli.result import Inputs, RenderResult
    from talkhead_models.live import SpeechStream, View

STANDARD_INPUT = "standard input"


def is_live(options: OutputOptions, inputs: Inputs, output: Path | str) -> bool:
    """Whether a render begins before its speech has ended.

    Raises:
        UsageError: it is asked to and cannot.
    """
    chosen = options.stream
    if chosen and inputs.movers:
        option = "--drive takes it from a film" if inputs.drive else "--motion-in from a file"
        raise UsageError(
            f"--stream makes motion from speech while it arrives, {option}: leave one of them out"
        )
    if chosen and os.name != "posix":
        raise UsageError("--stream needs a system with POSIX pipes: leave it out")
    if chosen is None:
        both = str(inputs.audio) == STANDARD and str(output) == STANDARD
        chosen = both and not inputs.movers and os.name == "posix" and pipe_comes_in()
    # To check everything is to hear everything.
    return chosen and not options.dry_run


def pipe_comes_in() -> bool:
    """Whether standard input is anything but a file of known length."""
    try:
        return not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):
        return False


class LiveRun(RenderRun):
    """The steps of a render whose sound arrives meanwhile.

    Attributes:
        late: what turned out to be wrong with the sound at its end.
    """

    streams = True
    late: AudioError | None = None

    def _make(
        self,
        inputs: Inputs,
        target: Path | None,
        pipeline: TalkingHeadPipeline | None,
        stack: ExitStack,
    ) -> RenderResult:
        sound = self._open_sound(inputs.audio, stack)
        portrait = self._load_portrait(inputs.portrait)
        if pipeline is None:
            pipeline = self._load_pipeline(stack)
        self._take_style(inputs, pipeline, stack)
        with model_errors():
            return self._stream(Scene(inputs, portrait, pipeline, target), sound)

    def _open_sound(self, audio: Path | str | None, stack: ExitStack) -> LiveSound:
        """Begin to read."""
        from talkhead_cli import early as early_audio
        from talkhead_cli import live_audio
        from talkhead_cli.audio import check_file

        assert audio is not None
        name, path = str(audio), Path(audio)
        source: Path | int = path
        if name == STANDARD:
            check_piped()
            name, source = STANDARD_INPUT, sys.stdin.fileno()
        elif stat.S_ISFIFO(path.stat().st_mode):
            source = open_pipe(path)
            stack.callback(os.close, source)
        else:
            check_file(path)
        early = self.settings.lookahead_frames < MOST_AHEAD
        seconds = early_audio.BLOCK_SECONDS if early else live_audio.BLOCK_SECONDS
        sound = live_audio.LiveSound(source, name, self.settings.max_seconds, seconds)
        return stack.enter_context(sound)

    def _stream(self, scene: Scene, sound: LiveSound) -> RenderResult:
        """Make the frames and encode them."""
        from talkhead_cli.levels import LevelMeter

        before = dict(scene.pipeline.timings)
        meters: list[LevelMeter] = []
        speech = self._speech(scene.pipeline, sound, meters)
        planes = scene.pipeline.gives_planes(codec_of(scene.target, self.settings))
        heard = None if sound.is_piped else Path(str(scene.inputs.audio))
        self._take_stamp(scene, Performance(heard, 0.0))
        batches = scene.pipeline.render(
            scene.portrait, speech, None, planes=planes, **self._recording(speech)
        )
        loaded = time.perf_counter()
        self.emit({"event": "ready", "elapsed_seconds": round(self.clock.elapsed, 3)})
        header = sound.header()
        declared = header.declared_seconds or 0.0
        if declared > 2 * self.settings.max_seconds:
            self._check_length(Path(sound.name), declared)
        meters.append(LevelMeter(header.sample_rate))
        delivered = sound.piped() if sound.is_piped else Path(str(scene.inputs.audio))
        with ExitStack() as undo:
            with stream_writer(
                scene, delivered, self.settings, self.options, self.stamp, live=True
            ) as writer:
                sound.let_go()
                announced = self._announced(batches, loaded, meters[0])
                write_frames(writer, announced, Ticker(self.emit, None), self.clock, self.finish)
                if self.late is not None:
                    raise self.late
                self._count(scene, sound, speech, before)
                info = meters[0].info(header.channels, header.codec)
                self.emit({"event": "audio", **asdict(info)})
                self._warn(Path(sound.name), info.warnings)
                performance = Performance(None, info.duration_seconds)
                result = self._finish(scene, performance, undo, writer.unpublished)
            undo.pop_all()
        return result

    def _speech(
        self, pipeline: TalkingHeadPipeline, sound: LiveSound, meters: list[LevelMeter]
    ) -> SpeechStream:
        """The features of the sound as it arrives; they are measured by the meter that will be there by then."""
        import numpy as np

        from talkhead_cli.audio import MIN_SECONDS, features_of, resample_blocks
        from talkhead_cli.early import early_views
        from talkhead_cli.mel import SAMPLE_RATE
        from talkhead_models.live import SpeechStream

        plan = pipeline.ear_plan

        def hear(blocks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32] | View]:
            encoder, lips = encoders
            if plan is None:
                return features_of(blocks, encoder, lips)
            return early_views(blocks, encoder, plan, lips)

        with self.clock.stage("speech"):
            encoders = self._encoders(pipeline)
            # The first use of a network takes many times as long as the second.
            quiet = np.zeros(SAMPLE_RATE, np.float32)
            list(hear(iter([quiet])))

        def heard() -> Iterator[NDArray[np.float32]]:
            try:
                for block in sound.blocks():
                    meters[0].push(block)
                    yield block
            except AudioError as error:
                if meters[0].num_samples < MIN_SECONDS * meters[0].sample_rate:
                    raise
                # What has come is shown before it is said that more should have.
                self.late = error
                sound.stop()
            stream.duration_seconds = meters[0].num_samples / meters[0].sample_rate

        def features() -> Iterator[NDArray[np.float32] | View]:
            start = time.perf_counter()
            rate = sound.header().sample_rate
            for block in hear(resample_blocks(heard(), rate)):
                stream.elapsed_seconds += time.perf_counter() - start
                yield block
                start = time.perf_counter()
            stream.elapsed_seconds += time.perf_counter() - start

        stream = SpeechStream(features())
        return stream

    def _announced(
        self, batches: Iterator[NDArray[np.uint8]], loaded: float, meter: LevelMeter
    ) -> Iterator[NDArray[np.uint8]]:
        """The same frames, with an event when the first of them has been handed on."""
        first = True
        for frames in batches:
            yield frames
            if first:
                event = {
                    "event": "first_frame",
                    "elapsed_seconds": round(self.clock.elapsed, 3),
                    "since_ready_seconds": round(time.perf_counter() - loaded, 3),
                    "sound_seconds": round(meter.num_samples / meter.sample_rate, 3),
                }
                self.emit(event)
                first = False

    def _count(
        self, scene: Scene, sound: LiveSound, speech: SpeechStream, before: dict[str, float]
    ) -> None:
        """Seconds by stage; what was spent waiting for sound is one of its own."""
        self.clock.count(scene.pipeline.timings, before)
        spent = {"speech": speech.elapsed_seconds - sound.waited, "wait": sound.waited}
        self.clock.count(spent, {})


def open_pipe(path: Path) -> int:
    """The descriptor of a named pipe.

    Raises:
        AudioError: it cannot be read.
    """
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise AudioError(f"{path} cannot be read ({error.strerror})") from error
