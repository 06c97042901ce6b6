"""Sound that is decoded while it arrives, and handed on to the video file at the same time.

Three threads keep the bytes moving, so that neither the program that sends the sound nor the ffmpeg that writes the
video ever waits for a picture to be drawn:

    standard input --pump--> decoder (ffmpeg) --reader--> a few seconds of samples --> features
                      \\-----------> backlog --feeder--> the video file's ffmpeg

The reader stops when enough samples wait; then the decoder stops, then the pump, then the sender. The backlog needs no
limit of its own: it holds what has been decoded and not yet been written, which is those samples and a chunk of motion.
"""

from __future__ import annotations

import logging
import os
import re
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import Full, Queue
from types import TracebackType
from typing import Any

from talkhead_cli.audio import (
    AudioStream,
    check_blocks,
    check_declared,
    check_decoded,
    declared_length,
    parse_header,
)
from talkhead_cli.backlog import Backlog
from talkhead_cli.errors import AudioError, TalkheadError
from talkhead_cli.ffmpeg_binary import ffmpeg_path, file_url
from talkhead_cli.mel import Array
from talkhead_cli.reading import MAX_BLOCK, arguments, input_options, without_levels
from talkhead_cli.sample_blocks import BARE, BlockCutter
from talkhead_cli.sound import PipedSound
from talkhead_cli.watchdog import Watch, end_process, read_output, start_ffmpeg
from talkhead_cli.wav_header import WavHeader, is_complete, parse_wav

log = logging.getLogger(__name__)

BLOCK_SECONDS = 0.1
"""Length of the blocks that samples are handled in, whatever the pieces they arrive in: same sound, same frames."""

WAITING_SECONDS = 10.0
"""Sound that is decoded ahead."""

PIECE = 1 << 16
"""Bytes read at once, at most."""

ANALYZE_MICROSECONDS = 500_000
"""Sound that ffmpeg looks at before it says what a compressed stream is; its own default is five seconds."""


class LiveSound:
    """Sound that is decoded while it arrives; a context manager that begins at once.

    Attributes:
        waited: seconds that `blocks` and `header` have waited for sound.

    Args:
        source: a file, or the descriptor of a pipe.
        name: what it is called in messages.
        max_seconds: longest that is accepted.
        block_seconds: length of the blocks.
    """

    def __init__(
        self,
        source: Path | int,
        name: str,
        max_seconds: float,
        block_seconds: float = BLOCK_SECONDS,
    ) -> None:
        self.name = name
        self.waited = 0.0
        self._source = source
        self._max_seconds = max_seconds
        self._block_seconds = block_seconds
        self._samples: Queue[Array | None] = Queue(round(WAITING_SECONDS / block_seconds))
        self._backlog = Backlog()
        self._decoder: subprocess.Popen[bytes] | None = None
        self._watch: Watch | None = None
        self._receiving = self._received = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._threads: list[threading.Thread] = []
        self._wake, self._woken = os.pipe()
        self._pipe: list[int] = []
        self._closed = threading.Event()
        self._wav: WavHeader | None = None
        self._stream: AudioStream | None = None
        self._first: list[Array | None] = []
        self._num_bytes = 0
        self._problem: Exception | None = None

    def __enter__(self) -> LiveSound:
        self._begin(self._pump if isinstance(self._source, int) else self._read_file)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything: after this no thread of ours runs, and what was not read stays in the pipe."""
        self._closed.set()
        os.write(self._woken, b"x")
        self._backlog.abandon()
        self.let_go()
        if self._decoder is not None:
            end_process(self._decoder)
        for thread in self._threads:
            thread.join()
        if self._decoder is not None:
            self._decoder.wait()
        if self._watch is not None:
            self._watch.__exit__(None, None, None)
        for descriptor in (self._wake, self._woken):
            os.close(descriptor)
        self._errors.close()

    @property
    def is_piped(self) -> bool:
        """Whether the sound comes through a pipe, so that nobody else can read it."""
        return isinstance(self._source, int)

    def header(self) -> AudioStream:
        """What the sound is; waits for the first of it.

        Raises:
            AudioError: there is none, or it cannot be decoded.
        """
        if not self._first:
            self._first.append(self._take())
        if self._stream is None:
            self._check_end()
            raise AudioError(f"{self.name} is damaged: no sound could be decoded")
        check_declared(self.name, self._stream, self._max_seconds)
        return self._stream

    def blocks(self) -> Iterator[Array]:
        """The sound as it arrives, mixed to mono, at its own rate.

        Yields:
            (n,) float32, `block_seconds` each, free of NaN.

        Raises:
            AudioError: as `talkhead_cli.audio.decode_blocks`, once that is known.
        """
        stream = self.header()
        num_samples = yield from check_blocks(self.name, stream, self._taken(), self._max_seconds)
        self._check_end()
        check_decoded(self.name, stream, num_samples, self._said())

    def piped(self) -> PipedSound:
        """The sound as it arrives, for `VideoWriter`; to be asked for once, and only of a pipe."""
        stream = self.header()
        reading, writing = os.pipe()
        self._pipe.append(reading)
        self._begin(lambda: self._feed(writing))
        options = self._input_options() | {"thread_queue_size": 64}
        return PipedSound(reading, stream.codec, stream.sample_rate, options, self._is_silent)

    def _is_silent(self) -> bool:
        """Whether whoever sends the sound is waited for."""
        return self._receiving and not self._received

    def stop(self) -> None:
        """Hand on nothing of what arrives from now on."""
        self._backlog.end()

    def let_go(self) -> None:
        """Close our copy of the pipe that ffmpeg has inherited, so that its end is noticed."""
        while self._pipe:
            os.close(self._pipe.pop())

    def _begin(self, work: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=work, name="talkhead-sound", daemon=True))
        self._threads[-1].start()

    def _input_options(self) -> dict[str, Any]:
        """How ffmpeg reads what comes through the pipe."""
        if self._wav is None:
            return {"analyzeduration": ANALYZE_MICROSECONDS, **input_options()}
        bare = {"f": self._wav.samples, "ar": self._wav.sample_rate, "ac": self._wav.channels}
        return bare | {"probesize": 32, "analyzeduration": 0}

    # The pump's thread.

    def _pump(self) -> None:
        """Move bytes from the pipe to the decoder and to the backlog, the header of a wav file taken off."""
        try:
            head = b""
            while piece := self._receive():
                head += piece
                if is_complete(head):
                    break
            if not head or self._closed.is_set():
                return self._put(None)
            self._wav = parse_wav(head)
            first = head[self._wav.offset :] if self._wav else head
            if self._wav and self._wav.channels == 1 and self._wav.samples in BARE:
                self._take_bare(first, self._wav)
            else:
                self._start_decoder("pipe:0", self._input_options())
                self._pass_on(first)
            self._backlog.end()
            self._received = True
            # What follows the samples is read as well, so that the sender does not come to grief.
            while self._receive():
                pass
        except (OSError, TalkheadError) as error:
            self._problem = error
            self._put(None)
        finally:
            self._backlog.end()
        return None

    def _pieces(self, piece: bytes) -> Iterator[bytes]:
        """Everything from this piece on, up to the end that a wav header has told; in the backlog already, for what is
        decoded must be on its way, too."""
        left = self._wav.num_bytes if self._wav else None
        while piece and left != 0:
            piece = piece[:left]
            left = None if left is None else left - len(piece)
            self._backlog.put(piece)
            yield piece
            piece = self._receive()

    def _take_bare(self, first: bytes, wav: WavHeader) -> None:
        """Hand on samples that are what they are, cut into blocks."""
        self._stream = self._find_stream()
        cutter = self._cutter(wav.samples, wav.sample_rate)
        for piece in self._pieces(first):
            cutter.push(piece)
        cutter.finish()
        self._put(None)

    def _cutter(self, samples: str, sample_rate: int) -> BlockCutter:
        """Cuts samples into blocks for the user's thread."""
        return BlockCutter(samples, max(1, round(self._block_seconds * sample_rate)), self._put)

    def _pass_on(self, first: bytes) -> None:
        """Everything from a first piece on to the decoder."""
        assert self._decoder is not None
        assert self._decoder.stdin is not None
        descriptor = self._decoder.stdin.fileno()
        try:
            for piece in self._pieces(first):
                view = memoryview(piece)
                while view:
                    view = view[os.write(descriptor, view) :]
        except BrokenPipeError:
            log.debug("the decoder has ended before the sound")
        finally:
            self._decoder.stdin.close()

    def _receive(self) -> bytes:
        """The next bytes of the pipe, nothing at its end or when told to stop."""
        assert isinstance(self._source, int)
        self._receiving = True
        ready, _, _ = select.select([self._source, self._wake], [], [])
        self._receiving = False
        if self._wake in ready:
            return b""
        data = os.read(self._source, PIECE)
        self._num_bytes += len(data)
        return data

    def _read_file(self) -> None:
        assert isinstance(self._source, Path)
        try:
            self._start_decoder(file_url(self._source), input_options())
        except (OSError, TalkheadError) as error:
            self._problem = error
            self._put(None)

    def _start_decoder(self, url: str, options: dict[str, Any]) -> None:
        """Start ffmpeg, and the thread that reads from it."""
        command = [ffmpeg_path(), "-hide_banner", "-nostats", "-loglevel", "level+info"]
        command += ["-max_alloc", str(MAX_BLOCK), *arguments(options)]
        command += ["-i", url, "-map", "0:a:0", "-ac", "1", "-f", "f32le", "-flush_packets", "1"]
        pipe, stdin = subprocess.PIPE, subprocess.PIPE if self.is_piped else subprocess.DEVNULL
        self._decoder = start_ffmpeg([*command, "pipe:1"], stdin, pipe, self._errors, bufsize=0)
        self._watch = Watch(self._decoder, self._is_silent).__enter__()
        if self._closed.is_set():
            end_process(self._decoder)
        self._begin(self._read)

    # The reader's and the feeder's threads.

    def _read(self) -> None:
        """Cut what the decoder gives into blocks."""
        assert self._decoder
        assert self._decoder.stdout
        assert self._watch
        cutter = None
        try:
            for data in read_output(self._watch, self._decoder.stdout, PIECE, self.name):
                if cutter is None:
                    self._stream = self._find_stream()
                    cutter = self._cutter("f32le", self._stream.sample_rate)
                cutter.push(data)
            if cutter is not None:
                cutter.finish()
        except (OSError, TalkheadError) as error:
            self._problem = error
        self._put(None)

    def _find_stream(self) -> AudioStream:
        if self._wav is not None:
            wav = self._wav
            return AudioStream(wav.codec, wav.sample_rate, wav.channels, wav.seconds)
        text = self._text()
        stream = parse_header(self.name, text)
        if isinstance(self._source, Path):
            return replace(stream, declared_seconds=declared_length(self._source, text))
        if "Estimating duration" in text:
            return stream
        return replace(stream, declared_seconds=declared_length(Path(), text))

    def _put(self, block: Array | None) -> None:
        """Hand a block on as soon as there is room."""
        while not self._closed.is_set():
            with suppress(Full):
                return self._samples.put(block, timeout=0.1)
        return None

    def _feed(self, descriptor: int) -> None:
        """Move bytes from the backlog to the ffmpeg that writes the video."""
        try:
            while (data := self._backlog.get()) is not None:
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
        except OSError as error:
            log.debug("the video's ffmpeg takes no more sound: %s", error)
        finally:
            os.close(descriptor)
            self._backlog.abandon()

    # The user's thread.

    def _take(self) -> Array | None:
        start = time.perf_counter()
        block = self._samples.get()
        self.waited += time.perf_counter() - start
        return block

    def _taken(self) -> Iterator[Array]:
        block = self._first[0]
        while block is not None:
            yield block
            block = self._take()

    def _check_end(self) -> None:
        """Say what ended the sound, where it was not its end."""
        if self._problem is not None:
            raise self._problem
        if isinstance(self._source, int) and self._num_bytes == 0:
            raise AudioError(f"{self.name} is empty: pipe an audio file into it")
        if self._decoder is not None:
            self._decoder.wait()
        if self._stream is None:
            self._explain()

    def _explain(self) -> None:
        """Say why nothing at all could be decoded."""
        text = self._text()
        if re.search(r"moov atom not found|partial file|non.?seekable", text):
            raise AudioError(
                f"{self.name} has its index at the end, so that it can only be read as a file: "
                "give it as a file, or with --no-stream"
            )
        parse_header(self.name, text)

    def _text(self) -> str:
        """What ffmpeg has printed so far, without what says how important it is."""
        size = os.fstat(self._errors.fileno()).st_size
        # Not by seek and read: ffmpeg writes at the same position.
        printed = os.pread(self._errors.fileno(), min(size, PIECE), 0).decode("utf-8", "replace")
        return without_levels(printed)

    def _said(self) -> list[str]:
        """ffmpeg's complaints."""
        return [
            line.rpartition("] ")[2]
            for line in self._text().splitlines()
            if re.search(r"\[(error|fatal)\] ", line)
        ]
