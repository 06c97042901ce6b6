"""How well a batch uses the machine: efficiency of two workers, overhead of a row, loads of networks, memory.

Renders the same rows (default: 12 of 10 s, on the CPU) with one worker on half of the cores, one on all of them, and
two sharing them, each as `talkhead batch` in a process of its own; then some rows as warm renders and some as
`talkhead render` processes. Efficiency is the time of one worker on half of the machine, over twice the time of two
workers on all of it: 1 means that two workers do not get in each other's way at all. The two are run in turn several
times, and the median of the pairs is told, since machines that share their host change speed from minute to minute.

Launch::

    python benchmarks/batch.py
    python benchmarks/batch.py --rows 4 --seconds 3 --json out/batch.json
    python benchmarks/batch.py --devices cuda:0,cuda:1 --rows 64
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

ROOT = Path(__file__).parent.parent


@dataclass
class Measured:
    """One run of `talkhead batch`.

    Attributes:
        name: what was run.
        workers: processes.
        cores: that they could use.
        rows: rendered.
        wall_seconds: of the whole process.
        check_seconds: until everything was checked.
        render_seconds: from then to the end: starting workers and loading networks included.
        row_seconds: median time that a worker spent in a row, its worker's first left out.
        cpu_seconds: used by all processes.
        frames_per_second: of all workers, over `render_seconds`.
        loads: times networks were loaded.
        worker_mib: largest memory of each worker that is its own (Pss), MiB.
    """

    name: str
    workers: int
    cores: int
    rows: int = 0
    wall_seconds: float = 0.0
    check_seconds: float = 0.0
    render_seconds: float = 0.0
    row_seconds: float = 0.0
    cpu_seconds: float = 0.0
    frames_per_second: float = 0.0
    loads: int = 0
    worker_mib: list[int] = field(default_factory=list)


def make_inputs(args: argparse.Namespace, folder: Path) -> Path:
    """A manifest of rows that are all different."""
    portrait = args.portrait
    if portrait is None:
        from skimage.data import astronaut

        portrait = folder / "portrait.png"
        Image.fromarray(astronaut()).save(portrait)
    samples, rate = soundfile.read(args.speech, dtype="float32")
    count = round(args.seconds * rate)
    manifest = folder / "jobs.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("portrait", "audio", "output", "seed"))
        for row in range(args.rows):
            shifted = np.roll(samples, -row * rate // 2, axis=0)
            speech = folder / f"speech{row}.wav"
            soundfile.write(speech, np.resize(shifted, (count, *samples.shape[1:])), rate)
            writer.writerow((portrait.resolve(), speech, f"clip{row}.mp4", row))
    return manifest


def run_batch(args: argparse.Namespace, manifest: Path, out_dir: Path, run: Measured) -> Measured:
    """Run the batch on some of the cores, and follow its events."""
    command = [sys.executable, "-m", "talkhead_cli", "batch", str(manifest), "--json"]
    command += ["--out-dir", str(out_dir), "--workers", str(run.workers), "--no-sidecar"]
    command += ["--devices", args.devices, *(["--size", str(args.size)] if args.size else [])]
    began = time.perf_counter()
    before = os.times()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment(), **bound(run.cores)
    )
    started = ended = 0.0
    seconds: dict[str, list[float]] = {}
    memory: dict[str, int] = {}
    frames = 0
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        now = time.perf_counter() - began
        if event["event"] == "batch_start":
            started = now
        elif event["event"] == "batch_progress":
            for status in event["running"]:
                worker = status["worker"]
                memory[worker] = max(memory.get(worker, 0), own_memory(worker))
        elif event["event"] == "row" and event["state"] == "done":
            seconds.setdefault(event["worker"], []).append(event["made"]["elapsed_seconds"])
            frames += event["made"]["num_frames"]
        elif event["event"] == "batch_done":
            ended, run.loads, run.rows = now, event["loads"], event["done"]
    if process.wait() != 0 or run.rows != args.rows:
        raise SystemExit(f"{run.name}: ended with {process.returncode}, {run.rows} rows done")
    after = os.times()
    run.wall_seconds = time.perf_counter() - began
    run.check_seconds, run.render_seconds = started, ended - started
    run.row_seconds = statistics.median(
        [one for rows in seconds.values() for one in rows[1:]] or [max(map(max, seconds.values()))]
    )
    run.cpu_seconds = sum(after[2:4]) - sum(before[2:4])
    run.frames_per_second = frames / run.render_seconds
    run.worker_mib = sorted(memory.values())
    return run


def bound(cores: int) -> dict[str, object]:
    """What keeps a process and its children on some of the cores."""
    mine = sorted(os.sched_getaffinity(0))
    return {"preexec_fn": lambda: os.sched_setaffinity(0, mine[:cores])}


def environment() -> dict[str, str]:
    """Without settings of threads: a batch is to find its own."""
    return {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}


def own_memory(worker: str) -> int:
    """Memory of a "host:pid" that it does not share, MiB; 0 when it is gone."""
    try:
        text = Path("/proc", worker.rpartition(":")[2], "smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) >> 10


WARM = """
import json, sys, time
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.render import OutputOptions, render_file
from talkhead_cli.settings import resolve_settings
device, size, out, *rows = sys.argv[1:]
seconds = []
pipeline = None
for row in rows:
    portrait, speech, seed = row.split("|")
    options = {"device": device, "seed": int(seed), "size": int(size) or None}
    settings = resolve_settings(None, options)
    pipeline = pipeline or TalkingHeadPipeline(settings)
    start = time.perf_counter()
    render_file(settings, portrait, speech, out, options=OutputOptions(True, False), pipeline=pipeline)
    seconds.append(time.perf_counter() - start)
print(json.dumps(seconds[1:]))
"""


def warm_seconds(args: argparse.Namespace, manifest: Path, folder: Path, cores: int) -> float:
    """Median of single renders in one process with everything loaded, the first left out."""
    rows = list(csv.DictReader(manifest.open()))[: args.singles + 1]
    given = ["|".join((row["portrait"], row["audio"], row["seed"])) for row in rows]
    device = args.devices.partition(",")[0]
    command = [sys.executable, "-c", WARM, device, str(args.size or 0), str(folder / "warm.mp4")]
    done = subprocess.run(
        [*command, *given],
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
        env=environment(),
        **bound(cores),
    )
    return statistics.median(json.loads(done.stdout.splitlines()[-1]))


def cold_seconds(args: argparse.Namespace, manifest: Path, folder: Path, cores: int) -> float:
    """Median of whole `talkhead render` processes."""
    seconds = []
    for row in list(csv.DictReader(manifest.open()))[: args.singles]:
        command = [sys.executable, "-m", "talkhead_cli", "render", row["portrait"], row["audio"]]
        command += ["-o", str(folder / "cold.mp4"), "--overwrite", "--no-sidecar", "--quiet"]
        command += ["--device", args.devices.partition(",")[0], "--seed", row["seed"]]
        command += ["--size", str(args.size)] if args.size else []
        start = time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT, env=environment(), **bound(cores))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def show(run: Measured) -> None:
    """One line of the table."""
    memory = ", ".join(map(str, run.worker_mib))
    print(
        f"{run.name:28} {run.wall_seconds:7.1f} {run.check_seconds:6.1f} {run.render_seconds:7.1f} "
        f"{run.row_seconds:6.2f} {run.frames_per_second:9.1f} {run.cpu_seconds:6.0f} {run.loads:6d}  {memory}",
        flush=True,
    )


def measure(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    """All runs, then what they say."""
    cores = len(os.sched_getaffinity(0))
    half = max(1, cores // 2)
    manifest = make_inputs(args, folder)
    plans = [Measured("1 worker, all cores", 1, cores)]
    for index in range(args.repeats):
        pair = [
            Measured("1 worker, half of the cores", 1, half),
            Measured("2 workers, all cores", 2, cores),
        ]
        # Every other pair the other way round, so that a machine that grows slower or faster favours neither.
        plans += pair if index % 2 == 0 else pair[::-1]
    print(f"{args.rows} rows of {args.seconds:g} s, devices {args.devices}, {cores} cores\n")
    print(
        f"{'':28} {'whole s':>7} {'check':>6} {'render':>7} {'a row':>6} {'frames/s':>9} {'CPU s':>6} "
        f"{'loads':>6}  MiB a worker"
    )
    for index, run in enumerate(plans):
        show(run_batch(args, manifest, folder / f"out{index}", run))
    whole = plans[0]
    alone = [run.render_seconds for run in plans[1:] if run.workers == 1]
    both = [run.render_seconds for run in plans[1:] if run.workers == 2]
    pairs = [one / (2 * two) for one, two in zip(alone, both, strict=True)]
    warm = warm_seconds(args, manifest, folder, cores)
    cold = cold_seconds(args, manifest, folder, cores)
    values: dict[str, object] = {
        "runs": [asdict(run) for run in plans],
        "efficiency": statistics.median(pairs),
        "efficiency_of_pairs": pairs,
        "two_over_one_on_all_cores": whole.render_seconds / statistics.median(both),
        "warm_render_seconds": warm,
        "render_process_seconds": cold,
        "batch_row_seconds": whole.render_seconds / args.rows,
        "row_overhead_seconds": whole.row_seconds - warm,
    }
    print(
        f"\nefficiency of two workers: {values['efficiency']:.2f} (pairs: "
        f"{', '.join(f'{pair:.2f}' for pair in pairs)})"
        f"\ntwo workers against one, both on all cores: {values['two_over_one_on_all_cores']:.2f} times as fast"
        f"\na row of a batch, one worker on all cores: {whole.row_seconds:.2f} s; "
        f"with its share of starting up {values['batch_row_seconds']:.2f} s"
        f"\na warm render: {warm:.2f} s, so that a batch costs {values['row_overhead_seconds']:+.2f} s a row"
        f"\na `talkhead render` process: {cold:.2f} s"
    )
    return values


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--portrait", type=Path)
    parser.add_argument("--speech", type=Path, default=ROOT / "examples" / "speech.wav")
    parser.add_argument("--rows", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=10.0, help="of speech in each row")
    parser.add_argument("--size", type=int, help="longest side of the videos")
    parser.add_argument("--devices", default="cpu")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of runs for the efficiency")
    parser.add_argument("--singles", type=int, default=3, help="single renders to compare with")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        values = measure(args, Path(folder))
    if args.json:
        args.json.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
