# ruff: noqa: T201 - a script that prints a table
"""Kills batches with SIGKILL at random moments, resumes them, and looks whether anything was lost, doubled or torn.

    python tests/faults/kill_batch.py --kills 20

A manifest of short rows is rendered once without interruption. The same manifest is then rendered into other folders;
runs are killed, in turn: everything at once, as a power cut does; the run alone, its workers being left to themselves;
and the run alone, with the next one started at once beside its dying workers. After every kill each video in place must
be whole and the one of the uninterrupted run, bit for bit; at the end every row must be there, made once, playable, and
nothing else. Last, single workers are killed under a run that must get by without being resumed.

Prints a table; exit code 1 if anything was found.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from talkhead_cli.batch.job import RUN_FOLDER
from talkhead_cli.batch.ledger import LEDGER
from talkhead_cli.hashing import sha256_of
from talkhead_cli.media import ffmpeg_path

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "examples" / "speech.wav"

KINDS = ("everything", "run", "run, resumed at once")
ORPHAN_SECONDS = 20.0
FINISH_SECONDS = 900.0


@dataclass
class Findings:
    """What went wrong, by kind; and what was measured.

    Attributes:
        wrong: what was found, in words.
        orphan_seconds: that processes outlived a run killed alone.
        attempts: times that rows were started, until they were done.
    """

    wrong: list[str] = field(default_factory=list)
    orphan_seconds: list[float] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)


@dataclass
class Started:
    """A run, and whatever it starts in turn.

    Attributes:
        process: the run itself.
        mark: what all its processes have in their environment.
    """

    process: subprocess.Popen[bytes]
    mark: bytes

    def processes(self) -> dict[int, str]:
        """All that live, encoders in sessions of their own among them, with their command lines."""
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with suppress(OSError):
                    if self.mark in (entry / "environ").read_bytes():
                        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                        found[int(entry.name)] = command.decode("utf-8", "replace")
        return found

    def kill(self, kind: str) -> None:
        """End it as the kind says."""
        if kind == "everything":
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()


class Batch:
    """One output folder, and what was seen in it.

    Args:
        manifest: CSV file.
        out_dir: the output folder.
        workers: processes.
    """

    def __init__(self, manifest: Path, out_dir: Path, workers: int) -> None:
        self.out_dir = out_dir
        self.command = [sys.executable, "-m", "talkhead_cli", "batch", str(manifest)]
        self.command += ["--out-dir", str(out_dir), "--devices", "cpu", "--workers", str(workers)]
        self.command += ["--resume", "--json"]
        self.seen: dict[str, tuple[int, int]] = {}

    def start(self) -> Started:
        """Start a run."""
        return start_marked(self.command, self.out_dir.parent / f"{self.out_dir.name}.log")

    def states(self) -> Counter[str]:
        """Rows by state, read from the ledger without changing it."""
        path = self.out_dir / RUN_FOLDER / LEDGER
        if not path.exists():
            return Counter()
        with suppress(sqlite3.Error), sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as base:
            return Counter(dict(base.execute("SELECT state, COUNT(*) FROM rows GROUP BY state")))
        return Counter()

    def check(self, hashes: dict[str, str], findings: Findings, when: str) -> None:
        """Look at every video in place: it must be whole, right, and never be replaced."""
        for name, expected in hashes.items():
            path = self.out_dir / name
            if not path.exists():
                if name in self.seen:
                    findings.wrong.append(f"{when}: {name} was there and is gone")
                continue
            status = path.stat()
            mark = (status.st_ino, status.st_mtime_ns)
            if self.seen.setdefault(name, mark) != mark:
                findings.wrong.append(f"{when}: {name} was made twice")
                self.seen[name] = mark
            if sha256_of(path) != expected:
                findings.wrong.append(f"{when}: {name} is not what an uninterrupted run makes")

    def check_complete(self, hashes: dict[str, str], findings: Findings, when: str) -> None:
        """Every row there, done in the ledger and in the results, playable; and nothing else in the folder."""
        self.check(hashes, findings, when)
        wanted = {RUN_FOLDER, "results.csv", "results.json"}
        for name in hashes:
            wanted |= {name, Path(name).with_suffix(".json").name}
            path = self.out_dir / name
            if not path.exists():
                findings.wrong.append(f"{when}: {name} is missing")
            elif not playable(path):
                findings.wrong.append(f"{when}: {name} cannot be played")
        present = {path.name for path in self.out_dir.iterdir()}
        for name in sorted(present ^ wanted):
            findings.wrong.append(
                f"{when}: {name} is {'left over' if name in present else 'missing'}"
            )
        for path in (self.out_dir / RUN_FOLDER / "rows").glob("*"):
            findings.wrong.append(f"{when}: {path.name} is left over in the run's folder")
        with sqlite3.connect(self.out_dir / RUN_FOLDER / LEDGER) as base:
            if base.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
                findings.wrong.append(f"{when}: the ledger is damaged")
        results = json.loads((self.out_dir / "results.json").read_text())
        rows = {row["output"]: row for row in results["rows"]}
        if len(results["rows"]) != len(hashes) or rows.keys() != hashes.keys():
            findings.wrong.append(f"{when}: the results list {sorted(rows)}")
        for name, row in rows.items():
            findings.attempts.append(row["attempts"])
            if row["state"] != "done" or row["output_sha256"] != hashes.get(name):
                findings.wrong.append(f"{when}: the results say of {name}: {row['state']}")


def start_marked(command: list[str], log: Path) -> Started:
    """Start a run whose processes can be told by a mark in their environment, wherever they end up.

    Args:
        command: to run.
        log: takes what it prints.
    """
    mark = f"TALKHEAD_KILL_BATCH={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=file, stderr=file, env={**os.environ, name: value}
        )
    return Started(process, mark.encode())


def playable(path: Path) -> bool:
    """Whether every frame and sample decodes."""
    command = [ffmpeg_path(), "-v", "error", "-xerror", "-i", str(path), "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode == 0 and not done.stderr


def wait_for_orphans(started: Started) -> tuple[float, dict[int, str]]:
    """Seconds until a run has no process left, and those that do not end."""
    began = time.monotonic()
    while (left := started.processes()) and time.monotonic() - began < ORPHAN_SECONDS:
        time.sleep(0.02)
    return time.monotonic() - began, left


def make_inputs(folder: Path, rows: int, long_seconds: float) -> Path:
    """A portrait, cuts of speech of 1 to 3 seconds, a longer one if there is to be one, and a manifest of them."""
    import numpy as np
    import skimage.data
    import soundfile
    from PIL import Image

    Image.fromarray(skimage.data.astronaut()[30:286, 96:352]).save(folder / "face.png")
    samples, rate = soundfile.read(SPEECH)
    lines = ["portrait,audio,output,seed"]
    for row in range(rows):
        seconds = 1.0 + 2.0 * (row % 5) / 4
        begin = (row * rate // 2) % (len(samples) - round(seconds * rate))
        cut = samples[begin : begin + round(seconds * rate)]
        soundfile.write(folder / f"speech{row}.wav", cut, rate)
        lines.append(f"face.png,speech{row}.wav,row{row}.mp4,{row}")
    if long_seconds:
        whole = np.tile(samples, math.ceil(long_seconds * rate / len(samples)))
        soundfile.write(folder / "long.wav", whole[: round(long_seconds * rate)], rate)
        lines.append("face.png,long.wav,long.mp4,0")
    manifest = folder / "jobs.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def reference(batch: Batch) -> tuple[dict[str, str], float]:
    """Hashes of an uninterrupted run by name, and its seconds."""
    began = time.monotonic()
    code = batch.start().process.wait(FINISH_SECONDS)
    seconds = time.monotonic() - began
    if code != 0:
        sys.exit(f"the uninterrupted run ended with {code}; see {batch.out_dir}.log")
    return {path.name: sha256_of(path) for path in sorted(batch.out_dir.glob("*.mp4"))}, seconds


def kill_runs(
    folder: Path,
    manifest: Path,
    hashes: dict[str, str],
    seconds: float,
    options: argparse.Namespace,
) -> Findings:
    """Kill runs so often, in as many folders as that takes."""
    dice = random.Random(options.seed)
    findings = Findings()
    kills, number = 0, 0
    print(
        f"{'kill':>4}  {'folder':6}  {'what':20}  {'after':>7}  {'rows done':>9}  {'outlived by':>11}  found"
    )
    while kills < options.kills:
        number += 1
        batch = Batch(manifest, folder / f"out{number}", options.workers)
        orphans: list[Started] = []
        while True:
            started = batch.start()
            began = time.monotonic()
            moment = dice.uniform(0.0, 0.9 * seconds)
            try:
                code = started.process.wait(moment if kills < options.kills else FINISH_SECONDS)
                if not batch.seen:  # never killed: how quick the machine is by now
                    seconds = min(seconds, time.monotonic() - began)
                break
            except subprocess.TimeoutExpired:
                pass
            kind = KINDS[kills % len(KINDS)]
            kills += 1
            before = len(findings.wrong)
            started.kill(kind)
            outlived = ""
            if kind == KINDS[2]:
                orphans.append(started)
            else:
                spent, left = wait_for_orphans(started)
                if kind == "run":
                    findings.orphan_seconds.append(spent)
                    outlived = f"{spent:.2f} s"
                findings.wrong += [f"kill {kills}: still runs: {words}" for words in left.values()]
                batch.check(hashes, findings, f"kill {kills}")
            found = len(findings.wrong) - before or "nothing"
            done = batch.states()["done"]
            print(
                f"{kills:4}  {number:6}  {kind:20}  {moment:5.1f} s  {done:9}  {outlived:>11}  {found}",
                flush=True,
            )
        if code != 0:
            findings.wrong.append(f"folder {number}: the last run ended with {code}")
        for started in orphans:
            left = wait_for_orphans(started)[1]
            findings.wrong += [f"folder {number}: still runs: {words}" for words in left.values()]
        batch.check_complete(hashes, findings, f"folder {number}")
    print(f"{kills} kills in {number} folders of {len(hashes)} rows each")
    return findings


def kill_workers(
    folder: Path, manifest: Path, hashes: dict[str, str], options: argparse.Namespace
) -> Findings:
    """Kill single workers under one run; it must end by itself."""
    dice = random.Random(options.seed + 1)
    findings = Findings()
    batch = Batch(manifest, folder / "workers", options.workers)
    started = batch.start()
    killed = 0
    while started.process.poll() is None:
        time.sleep(dice.uniform(2.0, 6.0))
        workers = [
            pid
            for pid, words in started.processes().items()
            if "popen_loky" in words and batch.states()["running"]
        ]
        if workers and killed < options.worker_kills:
            with suppress(ProcessLookupError):
                os.kill(dice.choice(workers), signal.SIGKILL)
                killed += 1
    if started.process.returncode != 0:
        findings.wrong.append(f"workers killed: the run ended with {started.process.returncode}")
    left = wait_for_orphans(started)[1]
    findings.wrong += [f"workers killed: still runs: {words}" for words in left.values()]
    batch.check_complete(hashes, findings, "workers killed")
    print(f"{killed} workers killed under one run: attempts a row {sorted(findings.attempts)}")
    return findings


def main() -> int:
    """Run everything; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--worker-kills", type=int, default=3)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--long-seconds", type=float, default=0.0, help="of one more, long row")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="talkhead-kill-") as name:
        folder = Path(name)
        manifest = make_inputs(folder, options.rows, options.long_seconds)
        hashes, seconds = reference(Batch(manifest, folder / "whole", options.workers))
        print(f"{len(hashes)} rows in {seconds:.1f} s without interruption")
        findings = kill_runs(folder, manifest, hashes, seconds, options)
        wrong = list(findings.wrong)
        if findings.orphan_seconds:
            print(f"processes outlive their run by {max(findings.orphan_seconds):.2f} s at most")
        if options.worker_kills:
            wrong += kill_workers(folder, manifest, hashes, options).wrong
    for words in wrong:
        print(f"WRONG: {words}")
    print(f"{len(wrong)} things wrong" if wrong else "nothing lost, doubled, torn or left over")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
