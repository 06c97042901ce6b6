"""Frames a second by stage, end to end, and as a share of ffmpeg's encode-only speed of the same frames.

Renders a portrait (default: scikit-image's astronaut, 512x512) with speech repeated to a given length. Every stage is
timed alone on the same data, then the whole is timed as `talkhead render` runs it (stages overlap with ffmpeg).

Launch::

    python benchmarks/speed.py
    python benchmarks/speed.py --portrait PICTURE --speech AUDIO --seconds 20 --size 1080
    python benchmarks/speed.py --memory 20 300
    python benchmarks/speed.py --sizes 256 512 1080 2160
    python benchmarks/speed.py --faces 100 200 400 800
    python benchmarks/speed.py --device cuda
    python benchmarks/speed.py --renderer batched --seconds 2

On CUDA frames are made by the batched renderer, and a table tells by stage how near it comes to the card's limits
(roofline.py); --renderer batched does the same anywhere, slowly.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from PIL import Image

if TYPE_CHECKING:
    from talkhead_models.batched.renderer import BatchRenderer
    from talkhead_models.motion import FaceMotion

ROOT = Path(__file__).parent.parent


def make_inputs(args: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """The portrait and the speech, repeated to the length asked for."""
    portrait = args.portrait
    if portrait is None:
        from skimage.data import astronaut

        portrait = folder / "portrait.png"
        Image.fromarray(astronaut()).save(portrait)
    samples, rate = soundfile.read(args.speech, dtype="float32")
    count = round(args.seconds * rate)
    repeated = np.resize(samples, (count, *samples.shape[1:]))
    speech = folder / "speech.wav"
    soundfile.write(speech, repeated, rate)
    return portrait, speech


def stage_table(args: argparse.Namespace, folder: Path) -> None:
    """Each stage alone."""
    started = time.perf_counter()
    from talkhead_cli.audio import extract_features
    from talkhead_cli.face import load_portrait
    from talkhead_cli.media import VideoWriter
    from talkhead_cli.pipeline import TalkingHeadPipeline
    from talkhead_cli.render import OutputOptions, render_file
    from talkhead_cli.settings import resolve_settings
    from talkhead_models.batched.renderer import BatchRenderer
    from talkhead_models.renderer import FaceRenderer
    from talkhead_models.speech import load_speech_encoder

    rows: list[tuple[str, float]] = [("imports", time.perf_counter() - started)]

    def timed(name: str, function, *values, **options):
        start = time.perf_counter()
        result = function(*values, **options)
        rows.append((name, time.perf_counter() - start))
        return result

    portrait_path, speech = make_inputs(args, folder)
    settings = resolve_settings(None, {"device": args.device, "size": args.size})
    pipeline = timed("load weights", TalkingHeadPipeline, settings, batched=args.batched)
    encoder = timed("load speech encoder", load_speech_encoder, device=args.device)
    portrait = timed("face", load_portrait, portrait_path, size=args.size)
    features = timed("speech", extract_features, speech, encoder, 3600.0, pipeline.lip_audio)
    count = round(features.duration_seconds * 25)
    motions = timed("generator", lambda: list(pipeline.motion(features, count)))
    renderer = timed(
        "prepare portrait",
        FaceRenderer.create,
        portrait.image,
        portrait.mesh,
        portrait.person_mask,
        pipeline.basis,
        pipeline.networks.refiners,
        pipeline.networks.detail,
        device=args.device,
    )
    size = 16
    if pipeline.batched:
        renderer = timed("prepare batches", BatchRenderer, renderer, args.device, args.engine)
        size = min(pipeline.max_frames, renderer.most_frames())
    renderer.render(motions[0][:size])
    kept: list[np.ndarray] = []

    def draw() -> None:
        for motion in motions:
            for start in range(0, motion.num_frames, size):
                frames = renderer.render(motion[start : start + size])
                if sum(map(len, kept)) < 250:
                    kept.append(frames)

    timed("renderer", draw)
    frames = np.concatenate(kept)
    height, width = frames.shape[1:3]
    start = time.perf_counter()
    with VideoWriter(
        folder / "encode.mp4", width, height, Fraction(25), crf=settings.crf
    ) as writer:
        for first in range(0, len(frames), 16):
            writer.write(frames[first : first + 16])
    encode = len(frames) / (time.perf_counter() - start)
    result = timed(
        "whole render, warm",
        render_file,
        settings,
        portrait_path,
        speech,
        folder / "whole.mp4",
        options=OutputOptions(overwrite=True),
        pipeline=pipeline,
    )
    print(
        f"{width}x{height}, {count} frames ({count / 25:.1f} s), device {args.device}, {os.cpu_count()} cores\n"
    )
    print(f"{'stage':22} {'seconds':>9} {'frames/s':>9}")
    for name, seconds in rows:
        rate = f"{count / seconds:9.1f}" if name in {"speech", "generator", "renderer"} else ""
        print(f"{name:22} {seconds:9.2f} {rate}")
    total = count / rows[-1][1]
    print(
        f"\nend to end {total:.1f} frames/s; ffmpeg encode only {encode:.1f} frames/s; share {total / encode:.2f}"
    )
    print(f"stages inside the whole render: {result.timings}")
    if pipeline.batched:
        roofline(args, renderer, motions[0][:size])


def roofline(args: argparse.Namespace, renderer: BatchRenderer, motion: FaceMotion) -> None:
    """The stages of a batch against the card's limits."""
    from roofline import measure, print_table

    breath = np.linspace(0, 1, motion.num_frames, dtype=np.float32)
    costs, frames = measure(renderer, motion, breath, args.repeats)
    peaks = args.peak_bandwidth * 1e12, args.peak_flops * 1e12
    title = (
        f"A batch of {frames} frames, {renderer.engine} draws triangles; peaks {args.peak_bandwidth:g} TB/s "
        f"and {args.peak_flops:g} TFLOP/s. MB and GFLOP are counted from shapes."
    )
    print_table(costs, frames, *peaks, title)


def memory_table(args: argparse.Namespace, folder: Path) -> None:
    """Peak memory of whole renders of different lengths, each in a process of its own."""
    for seconds in args.memory:
        args.seconds = seconds
        portrait, speech = make_inputs(args, folder)
        command = [sys.executable, "-m", "talkhead_cli", "render", str(portrait), str(speech)]
        command += ["-o", str(folder / f"{seconds}.mp4"), "--quiet", "--device", args.device]
        started = time.perf_counter()
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"the render of {seconds} s failed")
        print(
            f"{seconds:5.0f} s of speech: peak {usage.ru_maxrss / 2**20:.2f} GiB, "
            f"{time.perf_counter() - started:.1f} s, {seconds * 25 / (time.perf_counter() - started):.1f} frames/s cold"
        )


CANVAS = (1080, 1920)
"""Width and height of the pictures that faces of different sizes are put in."""


def growth_table(args: argparse.Namespace, folder: Path) -> None:
    """Warm renders of one portrait at several sizes, or of several sizes of the face in one picture."""
    from talkhead_cli.face import load_portrait
    from talkhead_cli.pipeline import TalkingHeadPipeline
    from talkhead_cli.render import OutputOptions, render_file
    from talkhead_cli.settings import resolve_settings

    portrait, speech = make_inputs(args, folder)
    settings = resolve_settings(None, {"device": args.device})
    pipeline = TalkingHeadPipeline(settings, batched=args.batched)
    print(f"{args.seconds:g} s of speech, device {args.device}, {os.cpu_count()} cores\n")
    print(f"{'picture':>11} {'face':>5} {'frames/s':>9} {'of which renderer alone':>24}")
    for size in args.sizes or args.faces:
        path = folder / f"{size}.png"
        with Image.open(portrait) as image:
            if args.sizes:
                scale = size / max(image.size)
                large = [round(side * scale / 2) * 2 for side in image.size]
                image.convert("RGB").resize(large, Image.Resampling.LANCZOS).save(path)
            else:
                box = load_portrait(portrait).box
                on_canvas(image.convert("RGB"), tuple(box), size).save(path)
        loaded = load_portrait(path)
        face = loaded.box[2] - loaded.box[0]
        before = pipeline.timings["renderer"]
        options = OutputOptions(overwrite=True)
        start = time.perf_counter()
        result = render_file(
            settings, path, speech, folder / "out.mp4", options=options, pipeline=pipeline
        )
        seconds = time.perf_counter() - start
        drawn = result.num_frames / (pipeline.timings["renderer"] - before)
        shape = f"{result.width}x{result.height}"
        rate = result.num_frames / seconds
        print(f"{shape:>11} {face:5.0f} {rate:9.1f} {drawn:24.1f}", flush=True)


def on_canvas(image: Image.Image, box: tuple[float, ...], face: int) -> Image.Image:
    """A picture of CANVAS's size whose face has a width; its border is continued where it is too small."""
    import cv2

    scale = face / (box[2] - box[0])
    size = [max(1, round(side * scale)) for side in image.size]
    pixels = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    width, height = CANVAS
    # The face's middle at the canvas's middle, two fifths down.
    x = round(width / 2 - scale * (box[0] + box[2]) / 2)
    y = round(0.4 * height - scale * (box[1] + box[3]) / 2)
    pads = [max(0, y), max(0, height - y - size[1]), max(0, x), max(0, width - x - size[0])]
    wide = cv2.copyMakeBorder(pixels, *pads, cv2.BORDER_REPLICATE)
    top, left = max(0, -y), max(0, -x)
    return Image.fromarray(wide[top : top + height, left : left + width])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--portrait", type=Path)
    parser.add_argument("--speech", type=Path, default=ROOT / "examples" / "speech.wav")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--size", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--renderer",
        choices=("auto", "plain", "batched"),
        default="auto",
        help="auto: batched on CUDA, plain elsewhere",
    )
    parser.add_argument("--engine", choices=("torch", "triton"), help="draws triangles in batches")
    parser.add_argument("--repeats", type=int, default=5, help="of a batch, for its stages")
    parser.add_argument("--peak-bandwidth", type=float, default=4.8, help="TB/s; an H200's")
    parser.add_argument(
        "--peak-flops",
        type=float,
        default=989.0,
        help="TFLOP/s in half precision, dense; an H200's",
    )
    parser.add_argument(
        "--memory", type=float, nargs="+", help="peak memory at these lengths instead"
    )
    parser.add_argument("--sizes", type=int, nargs="+", help="one portrait at these longest sides")
    parser.add_argument("--faces", type=int, nargs="+", help="faces of these widths in 1080x1920")
    args = parser.parse_args()
    args.batched = None if args.renderer == "auto" else args.renderer == "batched"
    with tempfile.TemporaryDirectory() as folder:
        grows = args.sizes or args.faces
        table = memory_table if args.memory else growth_table if grows else stage_table
        table(args, Path(folder))


if __name__ == "__main__":
    main()
