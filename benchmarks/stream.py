"""How soon pictures come while speech is still arriving, and how much memory that takes.

Every figure comes from `talkhead render portrait.png - -o -` in a process of its own, fed through a pipe:

- the first frame, where the speech is there at once: seconds from "everything is loaded" to the first frame in the
  encoder, and on standard output;
- the delay of pictures, where the pipe is fed in real time from "everything is loaded" on: from the moment when the
  first sample of a frame's own 40 ms was sent until the frame was on standard output. A player that holds every frame
  back until a bound has passed since then stalls where a frame comes after that: where two frames are shown more than
  one and a half frame times apart. A frame that comes before its own sound has been sent would be one run ahead;
- the peak memory (of the process; ffmpeg's two have some 50 MB each) at several lengths, fed as fast as it is taken.

Launch::

    python benchmarks/stream.py
    python benchmarks/stream.py --preset talkhead --seconds 20 --memory 20 120 600
    python benchmarks/stream.py --portrait PICTURE --speech AUDIO --size 512 --no-memory
    python benchmarks/stream.py --seconds 60 --only-delay --chunk-frames 4 --lookahead-frames 4 6 16
"""

from __future__ import annotations

import argparse
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from statistics import median

from speed import ROOT, make_inputs

VIDEO_TRACK = 1
PIECE_SECONDS = 0.02


class Render:
    """A render in a process of its own, from standard input to standard output.

    Attributes:
        ready: set when the process says that everything is loaded.
        times: seconds on our clock at which each event was told, by its name.
        values: the seconds that each event tells, by its name.
        arrivals: seconds on our clock at which each frame was whole.
        processor_seconds: of the process, without its two ffmpegs, once it has ended.
    """

    def __init__(self, args: argparse.Namespace, portrait: Path) -> None:
        command = [sys.executable, "-m", "talkhead_cli", "render", str(portrait), "-", "-o", "-"]
        command += ["--verbose", "--stream", "--device", args.device]
        command += ["--preset", args.preset] if args.preset else []
        command += ["--size", str(args.size)] if args.size else []
        for name in ("chunk_frames", "lookahead_frames"):
            value = getattr(args, name)
            command += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
        self.ready = threading.Event()
        self.times: dict[str, float] = {}
        self.values: dict[str, dict[str, float]] = {}
        self.arrivals: list[float] = []
        self.processor_seconds = 0.0
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self.threads = [threading.Thread(target=work) for work in (self.listen, self.watch)]
        for thread in self.threads:
            thread.start()

    def listen(self) -> None:
        """Follow standard error."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            kind = text.partition(":")[0]
            self.times[kind] = time.perf_counter()
            found = re.findall(r"(\w+_seconds)=([\d.]+)", text)
            self.values[kind] = {key: float(value) for key, value in found}
            if kind == "ready":
                self.ready.set()
            if kind.startswith(("error", "warning")):
                print(text, file=sys.stderr)
        self.ready.set()

    def watch(self) -> None:
        """Follow standard output: the time at which each frame has come."""
        assert self.process.stdout is not None
        for _ in frames_of(iter(lambda: self.process.stdout.read(1 << 16), b"")):
            self.arrivals.append(time.perf_counter())

    def finish(self) -> float:
        """Wait for the end; the peak memory in GiB."""
        self.process.stdin.close()
        for thread in self.threads:
            thread.join()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.processor_seconds = usage.ru_utime + usage.ru_stime
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if status:
            raise SystemExit("the render failed")
        return usage.ru_maxrss / 2**20


def frames_of(pieces: Iterator[bytes]) -> Iterator[None]:
    """One item a frame of a fragmented MP4, once its data is whole."""
    buffer = bytearray()
    waiting = 0
    for piece in pieces:
        buffer += piece
        while len(buffer) >= 8:
            size, name = struct.unpack(">I4s", buffer[:8])
            if len(buffer) < size:
                break
            if name == b"moof":
                waiting = count_frames(bytes(buffer[8:size]))
            elif name == b"mdat":
                yield from [None] * waiting
            del buffer[:size]


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the boxes in a box."""
    position = 0
    while position + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[position : position + 8])
        yield name, data[position + 8 : position + size]
        position += size


def count_frames(moof: bytes) -> int:
    """Pictures that a fragment holds."""
    count = 0
    for name, traf in boxes(moof):
        parts = list(boxes(traf)) if name == b"traf" else []
        if any(n == b"tfhd" and struct.unpack(">I", c[4:8])[0] == VIDEO_TRACK for n, c in parts):
            count += sum(struct.unpack(">I", c[4:8])[0] for n, c in parts if n == b"trun")
    return count


def feed(render: Render, data: bytes, bytes_a_second: float | None = None) -> float:
    """Write the speech into the pipe, in real time where a rate is given; when that began."""
    assert render.process.stdin is not None
    start = time.perf_counter()
    step = len(data) if bytes_a_second is None else max(1, int(bytes_a_second * PIECE_SECONDS))
    for first in range(0, len(data), step):
        if bytes_a_second is not None:
            time.sleep(max(0.0, start + first / bytes_a_second - time.perf_counter()))
        view = memoryview(data)[first : first + step]
        while view:
            view = view[render.process.stdin.write(view) :]
    return start


def show_first_frame(args: argparse.Namespace, portrait: Path, speech: Path) -> None:
    """Speech that is there at once."""
    render = Render(args, portrait)
    feed(render, speech.read_bytes())
    render.finish()
    ready, first = render.values["ready"], render.values["first_frame"]
    print(f"loaded after {ready['elapsed_seconds']:.2f} s")
    print(f"first frame in the encoder {first['since_ready_seconds']:.2f} s after that")
    out = render.arrivals[0] - render.times["ready"]
    print(f"first frame on standard output {out:.2f} s after that")
    rate = len(render.arrivals) / (render.arrivals[-1] - render.times["ready"])
    print(f"all {len(render.arrivals)} frames: {rate:.1f} frames/s")


@dataclass(frozen=True)
class Delay:
    """Delays of the frames of a stream behind their sound, seconds.

    Attributes:
        middle, high, worst: median, 95th percentile and largest.
        bound: what a player holds frames back by.
        stalls: pairs of frames that it shows more than one and a half frame times apart.
        ahead: frames that came before all of their own sound had been sent.
    """

    middle: float
    high: float
    worst: float
    bound: float
    stalls: int
    ahead: int


def judge_delays(delays: list[float], fps: float, bound: float) -> Delay:
    """What a player makes of frames that come so long after the first sample of their sound.

    Args:
        delays: seconds, by frame.
        fps: frames a second.
        bound: seconds that a player holds every frame back by.
    """
    shown: list[float] = []
    for index, delay in enumerate(delays):
        earliest = shown[-1] + 1 / fps if shown else 0.0
        shown.append(max(index / fps + max(delay, bound), earliest))
    # Where it had to wait, it goes on at once with what has come meanwhile, but shows nothing faster than it was made.
    stalls = sum(after - before > 1.5 / fps for before, after in pairwise(shown))
    ahead = sum(delay < 1 / fps for delay in delays)
    ordered = sorted(delays)
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return Delay(median(delays), high, ordered[-1], bound, stalls, ahead)


def show_delay(args: argparse.Namespace, portrait: Path, speech: Path) -> None:
    """Speech in real time."""
    render = Render(args, portrait)
    render.ready.wait()
    data = speech.read_bytes()
    start = feed(render, data, len(data) / args.seconds)
    render.finish()
    fps = len(render.arrivals) / args.seconds
    delays = [when - start - index / fps for index, when in enumerate(render.arrivals)]
    found = judge_delays(delays, fps, args.bound)
    print(
        f"in real time: pictures come {found.middle:.2f} s after their sound (median), {found.high:.2f} s (95 %), "
        f"at most {found.worst:.2f} s; the first after {delays[0]:.2f} s"
    )
    print(
        f"  a player that is {found.bound:.2f} s behind stalls {found.stalls} times; {found.ahead} frames ahead; "
        f"{len(delays)} frames in {args.seconds:.0f} s took {render.processor_seconds:.1f} s of a core"
    )


def show_memory(args: argparse.Namespace, folder: Path) -> None:
    """Speech of several lengths."""
    for seconds in args.memory:
        args.seconds = seconds
        portrait, speech = make_inputs(args, folder)
        render = Render(args, portrait)
        feed(render, speech.read_bytes())
        print(f"{seconds:5.0f} s of speech: peak memory {render.finish():.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--portrait", type=Path)
    parser.add_argument("--speech", type=Path, default=ROOT / "examples" / "speech.wav")
    parser.add_argument("--preset")
    parser.add_argument("--seconds", type=float, default=10.0, help="of speech in real time")
    parser.add_argument("--size", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory", type=float, nargs="+", default=[20, 120])
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--only-delay", action="store_true")
    parser.add_argument("--bound", type=float, default=0.7, help="what a player is behind, seconds")
    parser.add_argument("--chunk-frames", type=int, nargs="+", default=[None])
    parser.add_argument("--lookahead-frames", type=int, nargs="+", default=[None])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        portrait, speech = make_inputs(args, folder)
        plans = list(product(args.chunk_frames, args.lookahead_frames))
        for args.chunk_frames, args.lookahead_frames in plans:
            chosen = (args.chunk_frames, args.lookahead_frames)
            chunk, ahead = ("default" if value is None else str(value) for value in chosen)
            print(f"chunk {chunk}, look-ahead {ahead}")
            if not args.only_delay:
                show_first_frame(args, portrait, speech)
            show_delay(args, portrait, speech)
        if not args.no_memory and not args.only_delay:
            show_memory(args, folder)


if __name__ == "__main__":
    main()
