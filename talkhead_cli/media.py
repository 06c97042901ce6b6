"""Writing the video: frames and the original audio through one ffmpeg process into one file.

ffmpeg-python builds the argument list; the process is a subprocess of ours. Its standard error goes to a temporary
file, since a pipe that nobody reads fills up and hangs the render.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.encoding import (
    LOW_DELAY,
    OWN_TAGS,
    TAGGED,
    TAGS,
    device_arguments,
    picture_options,
)
from talkhead_cli.errors import DiskFull, InputError, MediaError, TalkheadError
from talkhead_cli.ffmpeg_binary import (
    ffmpeg_path,
    ffmpeg_version,
    file_url,
    list_encoders,
    run_captured,
)
from talkhead_cli.formats import ENCODERS, MUXERS, PLANAR, STDOUT, TRANSPARENT
from talkhead_cli.mux import builder_url, laid_out, mend_audio, with_global_options
from talkhead_cli.paths import PendingFile
from talkhead_cli.reading import MediaInfo, input_options, probe_media
from talkhead_cli.sound import PipedSound, audio_arguments
from talkhead_cli.watchdog import Watch, end_process, is_full, start_ffmpeg
from talkhead_cli.wholeness import check_whole

if TYPE_CHECKING:
    from talkhead_cli.marking.stamp import Stamp

__all__ = [
    "ENCODERS",
    "STDOUT",
    "MediaInfo",
    "VideoWriter",
    "ffmpeg_path",
    "ffmpeg_version",
    "file_url",
    "list_encoders",
    "probe_media",
    "run_captured",
]

log = logging.getLogger(__name__)

Frames = NDArray[np.uint8]


class VideoWriter:
    """Encodes frames with the original audio into a file that appears by renaming when all went well.

    A context manager. Leaving it normally finishes the file and puts it in place; leaving it by an exception ends
    ffmpeg and removes every trace.

    Args:
        path: the output, whose suffix decides the container, or "-" for fragmented MP4 on standard output.
        width: of the frames, even.
        height: of the frames, even.
        fps: frames a second.
        crf: quality, smaller = better.
        codec: key of `ENCODERS`; those that hold transparency take RGBA frames, the others RGB.
        encoder: ffmpeg's name of the encoder; None takes the codec's in `ENCODERS`.
        planes: frames come as planes of halved chroma, see `talkhead_models.planes`; for the codecs of `PLANAR`.
        audio: file, or pipe, whose first audio stream goes with the frames; None = silent video.
        overwrite: whether an existing file may be replaced.
        live: on standard output every frame leaves at once, a fragment of its own.
        folder: where the file is written before it is put in place, see `PendingFile`.
        on_complete: called with the finished file before it is put in place.
        stamp: what marks the file; None leaves it unmarked.

    Raises:
        ValueError: odd size.
        InputError: the output cannot be created.
        MediaError: ffmpeg is missing or failed.
    """

    def __init__(  # noqa: PLR0913 - all by name, and each is a thing of its own
        self,
        path: Path | str,
        width: int,
        height: int,
        fps: Fraction,
        *,
        crf: int = 18,
        codec: str = "h264",
        encoder: str | None = None,
        planes: bool = False,
        audio: Path | PipedSound | None = None,
        overwrite: bool = False,
        live: bool = False,
        folder: Path | None = None,
        on_complete: Callable[[Path], None] | None = None,
        stamp: Stamp | None = None,
    ) -> None:
        if width % 2 or height % 2:
            raise ValueError(f"video needs even sizes, got {width}x{height}")
        self.path = path if path == STDOUT else Path(path).resolve()
        self.size = (width, height)
        self.fps = fps
        self.crf = crf
        self.codec = codec
        self.encoder = encoder or ENCODERS[codec]
        self.muxer = "mp4" if path == STDOUT else MUXERS[Path(path).suffix.lower()]
        self.channels = 4 if codec in TRANSPARENT else 3
        if planes and codec not in PLANAR:
            raise ValueError(f"frames for {codec} cannot be planes")
        self.planes = planes
        self.audio = audio
        self.overwrite = overwrite
        self.live = live
        self.num_frames = 0
        self.folder = folder
        self.on_complete = on_complete
        self.stamp = stamp
        self._pending: PendingFile | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._watch: Watch | None = None
        self._finished = False

    @property
    def unpublished(self) -> Path | None:
        """The file that is written, complete after `finish`; None on standard output."""
        return self._pending.temporary if self._pending is not None else None

    def __enter__(self) -> VideoWriter:
        ffmpeg = ffmpeg_path(ENCODERS[self.codec])
        if isinstance(self.path, Path):
            self._pending = PendingFile(self.path, self.overwrite, self.folder, self.on_complete)
        try:
            self._start(ffmpeg)
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.finish()
                if self._pending is not None:
                    self._pending.publish()
        finally:
            self._discard()

    def write(self, frames: Frames) -> None:
        """Encode frames.

        Args:
            frames: (n, H, W, 3) uint8 RGB, or (n, H, W, 4) RGBA, alpha not multiplied in, or planes (n, 3 H / 2, W).

        Raises:
            ValueError: wrong shape or type.
            MediaError: ffmpeg died; the message has its last lines.
        """
        width, height = self.size
        shape = (height * 3 // 2, width) if self.planes else (height, width, self.channels)
        if frames.shape[1:] != shape or frames.dtype != np.uint8:
            wanted = ", ".join(map(str, shape))
            raise ValueError(
                f"frames must be (n, {wanted}) uint8, got {frames.shape} {frames.dtype}"
            )
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._watch is not None
        view = np.ascontiguousarray(frames).reshape(-1).data
        descriptor = self._process.stdin.fileno()
        try:
            with self._watch.waiting:
                while view:
                    view = view[os.write(descriptor, view) :]
        except OSError as broken:
            raise self._failure() from broken
        self.num_frames += len(frames)

    @property
    def checkpoint(self) -> None:
        """There is nothing to go on from."""
        return None

    def mark(self, checkpoint: object) -> None:
        """Nothing is kept of a video that is encoded in one go; see `SegmentedWriter`."""

    def finish(self) -> None:
        """Wait until everything is encoded; the file is complete but not yet in place.

        Raises:
            MediaError: ffmpeg failed.
        """
        if self._finished:
            return
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError as broken:
            raise self._failure() from broken
        if self._wait() != 0 or "No space left on device" in self._error_text():
            raise self._failure()
        written = self.unpublished
        if written is not None:
            if not written.exists() or written.stat().st_size == 0:
                raise self._failure()
            check_whole(written, self.path, self.num_frames)
            if self.audio is not None:
                source = self.audio if isinstance(self.audio, Path) else None
                seconds = self.num_frames / self.fps
                ffmpeg = ffmpeg_path(ENCODERS[self.codec])
                mend_audio(written, source, seconds, ffmpeg, str(self.path), self.stamp)
        self._seal()
        self._finished = True

    def _seal(self) -> None:
        """Mark what is complete."""
        if self.stamp is None:
            return
        if self.unpublished is None:
            self.stamp.end_stream(sys.stdout.fileno())
        else:
            self.stamp.seal(self.unpublished, str(self.path))

    def _start(self, ffmpeg: str) -> None:
        arguments = self._arguments(ffmpeg)
        log.debug("running %s", arguments)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _discard
        self._process = start_ffmpeg(
            arguments,
            subprocess.PIPE,
            sys.stdout.fileno() if self.unpublished is None else subprocess.DEVNULL,
            self._errors,
            bufsize=0,
            pass_fds=(self.audio.descriptor,) if isinstance(self.audio, PipedSound) else (),
        )
        enlarge_pipe(self._process)
        self._watch = Watch(self._process, self._is_held_up).__enter__()

    def _is_held_up(self) -> bool:
        """Whether ffmpeg waits for somebody else: whoever takes the video, or whoever sends the sound."""
        if isinstance(self.audio, PipedSound) and self.audio.is_silent():
            return True
        return self.unpublished is None and is_full(sys.stdout.fileno())

    def _wait(self) -> int:
        """Wait until ffmpeg has ended; its exit status.

        Raises:
            MediaError: it hung.
        """
        assert self._watch is not None
        name = "standard output" if self.unpublished is None else self.path
        return self._watch.wait(name, signals=False)

    def _arguments(self, ffmpeg: str) -> list[str]:
        """The whole command line."""
        import ffmpeg as builder

        width, height = self.size
        # All is said of raw pictures: without this, ffmpeg waits for some before it opens the sound.
        hasty: dict[str, Any] = {"probesize": 32, "analyzeduration": 0} if self.live else {}
        raw = builder.input(
            "pipe:0",
            format="rawvideo",
            pix_fmt="yuv420p" if self.planes else "rgba" if self.channels == 4 else "rgb24",
            s=f"{width}x{height}",
            framerate=str(self.fps),
            **hasty,
        )
        streams = [raw["v:0"]]
        options = self._picture_options()
        if isinstance(self.audio, PipedSound):
            pipe = f"pipe:{self.audio.descriptor}"
            streams.append(builder.input(pipe, **self.audio.options)["a:0"])
            options.update(audio_arguments(self.audio.codec, self.audio.sample_rate, self.muxer))
        elif self.audio is not None:
            url = builder_url(self.audio)
            sound = builder.input(url, thread_queue_size=64, **input_options())
            streams.append(sound["a:0"])
            info = probe_media(self.audio, ffmpeg)
            options.update(audio_arguments(info.audio_codec, info.audio_rate, self.muxer))
        if self.unpublished is not None:
            target = builder_url(self.unpublished)
            options.update(laid_out(self.muxer, self.stamp))
        else:
            target = "pipe:1"
            options.update(laid_out(self.muxer, self.stamp))
            options["movflags"] = "delay_moov+default_base_moof"
            if self.stamp is not None:
                options["movflags"] += OWN_TAGS
            if self.live:
                # By duration: with frag_every_frame ffmpeg now and then gives two frames the same time, where the
                # sound's packet has sent off a fragment and two more pictures are waiting.
                options.update(LOW_DELAY[self.codec], frag_duration=1, flush_packets=1)
            else:
                options["movflags"] += "+frag_keyframe"
        command = builder.output(*streams, target, **options).compile(ffmpeg)
        return with_global_options(command, device_arguments(self.encoder))

    def _picture_options(self) -> dict[str, Any]:
        """How pictures are encoded."""
        options = picture_options(self.codec, self.encoder, self.crf, self.fps, self.planes)
        options |= {"map_metadata": -1, "map_chapters": -1}
        if self.codec in TAGS and self.muxer in TAGGED:
            options["vtag"] = TAGS[self.codec]
        return options

    def _discard(self) -> None:
        """End ffmpeg and remove what is left; harmless after success."""
        if self._process is not None:
            if self._process.poll() is None:
                end_process(self._process)
            if self._process.stdin is not None:
                try:
                    self._process.stdin.close()
                except OSError as error:
                    log.debug("closing ffmpeg's standard input: %s", error)
            self._process.wait()
        if self._watch is not None:
            self._watch.__exit__(None, None, None)
            self._watch = None
        if self._errors is not None:
            self._errors.close()
        if self._pending is not None:
            self._pending.discard()

    def _error_text(self) -> str:
        assert self._errors is not None
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 4000))
        return self._errors.read().decode("utf-8", "replace")

    def _failure(self) -> TalkheadError:
        """The error for an ffmpeg that died, with its last words."""
        code = self._wait()
        text = self._error_text()
        where = "standard output" if self.unpublished is None else f"{self.path}"
        if self.unpublished is not None and not self.unpublished.exists():
            folder = self.unpublished.parent
            return InputError(f"{folder}: was removed while it was written to; render again")
        if "No space left on device" in text:
            return DiskFull(f"{where}: the disk is full; free some space and render again")
        reason = f"was killed by signal {-code}" if code < 0 else f"failed with exit status {code}"
        last = "; ".join(line.strip() for line in text.splitlines()[-3:] if line.strip())
        return MediaError(f"{where}: ffmpeg {reason}" + (f" ({last})" if last else ""))


def enlarge_pipe(process: subprocess.Popen[bytes]) -> None:
    """Let a whole frame or so fit into the pipe, where the system allows it: fewer switches between the processes."""
    try:
        import fcntl

        assert process.stdin is not None
        fcntl.fcntl(process.stdin.fileno(), getattr(fcntl, "F_SETPIPE_SZ", 1031), 1 << 20)
    except (ImportError, OSError) as error:
        log.debug("pipe size unchanged: %s", error)
