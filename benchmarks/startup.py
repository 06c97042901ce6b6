"""Time from the command to the first frame, part by part, each run in a process of its own.

Warm: the files are in the system's cache. Cold: the cache is emptied before each run, where the system lets us (root on
Linux). A part is what the run does next, so that libraries count where they are first needed.

Launch::

    python benchmarks/startup.py
    python benchmarks/startup.py --portrait PICTURE --repeats 5
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from speed import ROOT, make_inputs

DROP_CACHES = Path("/proc/sys/vm/drop_caches")
PARTS = "--parts"


def parts(portrait: Path, speech: Path, device: str) -> dict[str, list[float]]:
    """Seconds of each part of a render's beginning, and the peak memory in MiB after it."""
    found: dict[str, list[float]] = {}
    # The interpreter's own start, as the system counts it.
    begun = time.time() - float(os.environ["TALKHEAD_STARTED"])
    clock = time.perf_counter()

    def done(name: str, seconds: float | None = None) -> None:
        nonlocal clock
        now = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found[name] = [now - clock if seconds is None else seconds, peak]
        clock = now

    done("python", begun)
    import talkhead_cli.app  # noqa: F401

    done("command line")
    from talkhead_cli.audio import extract_features, probe_audio

    probe_audio(speech)
    done("speech looked at")
    import torch  # noqa: F401

    done("torch")
    from talkhead_cli.pipeline import TalkingHeadPipeline
    from talkhead_cli.settings import resolve_settings

    settings = resolve_settings(None, {"device": device})
    done("other imports")
    pipeline = TalkingHeadPipeline(settings)
    done("networks")
    from talkhead_cli.face import load_portrait
    from talkhead_cli.face.graphs import import_mediapipe

    import_mediapipe()
    done("mediapipe")

    loaded = load_portrait(portrait)
    done("face found")
    from talkhead_cli.speech_encoder import speech_encoder

    features = extract_features(speech, speech_encoder(device), 600.0, pipeline.lip_audio)
    done("speech features")
    frames = iter(pipeline.render(loaded, features, 25))
    done("portrait made ready")
    next(frames)
    done("first frame")
    return found


def run_once(arguments: list[str], cold: bool) -> tuple[float, str]:
    """Wall seconds and standard output of a process."""
    if cold:
        os.sync()
        DROP_CACHES.write_text("3")
    environment = {**os.environ, "TALKHEAD_STARTED": str(time.time())}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        check=True,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    return time.perf_counter() - start, done.stdout


def table(args: argparse.Namespace, portrait: Path, speech: Path, folder: Path) -> None:
    """Medians of some runs."""
    kinds = {"warm": False}
    if os.access(DROP_CACHES, os.W_OK):
        kinds["cold"] = True
    mine = [str(Path(__file__).resolve()), PARTS, str(portrait), str(speech), args.device]
    given = ["render", str(portrait), str(speech), "-o", str(folder / "out.mp4"), "--overwrite"]
    whole = ["-m", "talkhead_cli", *given, "--quiet", "--device", args.device]
    columns: dict[str, dict[str, list[float]]] = {}
    totals: dict[str, list[float]] = {}
    for kind, cold in kinds.items():
        runs = [json.loads(run_once(mine, cold)[1]) for _ in range(args.repeats)]
        columns[kind] = {
            name: [statistics.median(run[name][i] for run in runs) for i in (0, 1)]
            for name in runs[0]
        }
        totals[kind] = [
            statistics.median(run_once(command, cold)[0] for _ in range(args.repeats))
            for command in (["-m", "talkhead_cli", "--help"], whole)
        ]
    print(f"{'':24}" + "".join(f"{kind + ' s':>10}" for kind in kinds) + f"{'peak MiB':>10}")
    for name in columns["warm"]:
        seconds = "".join(f"{columns[kind][name][0]:10.2f}" for kind in kinds)
        print(f"{name:24}{seconds}{columns['warm'][name][1]:10.0f}")
    for index, name in enumerate(("talkhead --help", "talkhead render, 1 s")):
        print(f"{name:24}" + "".join(f"{totals[kind][index]:10.2f}" for kind in kinds))


def main() -> None:
    if sys.argv[1:2] == [PARTS]:
        portrait, speech, device = sys.argv[2:]
        print(json.dumps(parts(Path(portrait), Path(speech), device)))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--portrait", type=Path)
    parser.add_argument("--speech", type=Path, default=ROOT / "examples" / "speech.wav")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    args.seconds = 1.0
    with tempfile.TemporaryDirectory() as folder:
        portrait, speech = make_inputs(args, Path(folder))
        table(args, portrait.resolve(), speech, Path(folder))


if __name__ == "__main__":
    main()
