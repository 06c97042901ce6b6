"""Run hundreds of damaged inputs through the real command line, and insist on how each of them ends.

    python -m tests.fuzz.fuzz --count 500 --seed 0

A case passes where: no traceback, an exit code that is documented and is not 1, one sentence that names the file, no
half file and nothing temporary left, an end in time, memory within bounds; and a video that can be played where the
command says that it made one. Every fifth case is a process of its own, the rest are forked from one that has loaded
the libraries. What a case was made from is kept where it fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkhead_cli.ffmpeg_binary import ffmpeg_path
from tests.fuzz.cases import MAKERS, Case
from tests.fuzz.seeds import Seeds, make_seeds

ROOT = Path(__file__).parent.parent.parent
CODES = {0, 2, 3, 4, 5, 6, 7, 8}
"""Documented, without 1, which is a bug, and 130, since nobody interrupts."""

LIMIT_SECONDS = 240
MOST_GIGABYTES = 3.0
REPORTS = {"probe", "batch", "models"}
"""Commands that tell of faults in a report rather than in one sentence."""


@dataclass(frozen=True)
class Ended:
    """How a case ended; `problems` is empty where it passed."""

    case: Case
    code: int | None
    seconds: float
    gigabytes: float
    problems: tuple[str, ...]
    folder: Path


class Server:
    """One process that forks a copy of itself for each case; see `tests.fuzz.server`."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'models'}"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.server"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Have a case run."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def run_process(order: dict[str, Any]) -> dict[str, Any]:
    """A case as a process of its own, as a person starts one."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'models'}", **order["environment"]}
    start = time.monotonic()
    with (
        Path(order["stdin"]).open("rb") as stdin,
        Path(order["stdout"]).open("wb") as out,
        Path(order["stderr"]).open("wb") as err,
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "talkhead_cli", *order["arguments"]],
            cwd=order["folder"],
            env=environment,
            stdin=stdin,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        code: int | None
        try:
            code = process.wait(order["limit"])
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            code = None
    usage = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return {"code": code, "seconds": time.monotonic() - start, "gigabytes": usage}


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Files below a folder, with their sizes and times."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if not path.is_dir()
    }


def make_case(kind: str, number: int, seed: int, folder: Path, seeds: Seeds) -> Case:
    """The case of a number; the same for the same seed."""
    folder.mkdir(parents=True)
    return MAKERS[kind][0](random.Random(f"{seed} {number} {kind}"), folder, seeds)


def run_case(case: Case, folder: Path, server: Server | None) -> Ended:
    """Run a case and judge it."""
    private = folder.with_name(folder.name + ".private")
    (private / "tmp").mkdir(parents=True)
    before = listing(folder)
    order = {
        "arguments": case.arguments,
        "folder": str(folder),
        "environment": {**case.environment, "TMPDIR": str(private / "tmp"), "COLUMNS": "200"},
        "stdin": str(case.stdin or os.devnull),
        "stdout": str(private / "stdout"),
        "stderr": str(private / "stderr"),
        "limit": LIMIT_SECONDS,
    }
    answer = server.run(order) if server is not None else run_process(order)
    out = (private / "stdout").read_bytes()
    err = (private / "stderr").read_bytes().decode("utf-8", "replace")
    problems = [
        *judge_end(case, answer, err),
        *judge_files(case, answer["code"], before, listing(folder)),
        *(f"left in the temporary folder: {path.name}" for path in (private / "tmp").iterdir()),
    ]
    if answer["code"] == 0 and case.output is not None:
        problems += judge_video(case.output)
    if not problems:
        shutil.rmtree(private)
        shutil.rmtree(folder)
    else:
        (private / "case.json").write_text(json.dumps([case.arguments, case.environment]))
        (private / "stdout").write_bytes(out[-10_000:])
    return Ended(
        case, answer["code"], answer["seconds"], answer["gigabytes"], tuple(problems), folder
    )


def judge_end(case: Case, answer: dict[str, Any], err: str) -> list[str]:
    """What is wrong with how a command ended, and with what it said."""
    code = answer["code"]
    if code is None:
        return [f"did not end in {LIMIT_SECONDS} s"]
    problems = []
    if "Traceback" in err or "bug in talkhead" in err:
        last = [
            line for line in err.splitlines() if re.match(r"\w+(\.\w+)*(Error|Exception)", line)
        ]
        problems.append(f"traceback: {' / '.join(last)[-300:]}")
    if code not in CODES:
        problems.append(f"exit code {code}")
    if answer["gigabytes"] > MOST_GIGABYTES:
        problems.append(f"took {answer['gigabytes']:.1f} GB")
    if code == 0:
        return problems
    told = [line for line in err.splitlines() if line.startswith("error: ")]
    by_report = case.arguments[0] in REPORTS and code in {3, 5, 8}
    by_usage = code == 2 and "Usage: " in err
    if len(told) != 1 and not by_report and not by_usage:
        problems.append(f"{len(told)} sentences of error: {err[-300:]!r}")
    if case.spoilt is not None and told and case.spoilt.name not in told[0]:
        problems.append(f"does not name the file: {told[0]}")
    return problems


def judge_files(
    case: Case,
    code: int | None,
    before: dict[str, tuple[int, int]],
    after: dict[str, tuple[int, int]],
) -> list[str]:
    """What is wrong with the files that are there afterwards."""
    changed = {name for name in before if after.get(name) != before[name]}
    made = set(after) - set(before)
    wrong = [f"input changed: {name}" for name in sorted(changed)]
    allowed = {"out.mp4", "out.json"} if code == 0 and case.output is not None else set()
    return wrong + [f"file left: {name}" for name in sorted(made - allowed)]


def judge_video(path: Path) -> list[str]:
    """What is wrong with a video."""
    if not path.is_file():
        return ["says that it is done, and there is no video"]
    command = [ffmpeg_path(), "-v", "error", "-i", str(path), "-map", "0", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    said = done.stderr.decode("utf-8", "replace").strip()
    return [f"the video cannot be played: {said[-300:]}"] if done.returncode or said else []


def plan(count: int) -> list[str]:
    """The kind of each case, by share, mixed evenly."""
    total = sum(share for _, share in MAKERS.values())
    kinds: list[str] = []
    for kind, (_, share) in MAKERS.items():
        kinds += [kind] * -(-count * share // total)
    return random.Random(0).sample(kinds, count) if len(kinds) > count else kinds


def run_all(
    count: int, seed: int, folder: Path, workers: int = 2, every: int = 5, only: str = ""
) -> list[Ended]:
    """Run cases.

    Args:
        count: how many.
        seed: of all that is random.
        folder: where they work; those that fail stay.
        workers: at a time.
        every: case that is a process of its own.
        only: kind, or kind:number, to run again.
    """
    seeds = make_seeds(folder / "seeds")
    local = threading.local()
    servers: list[Server] = []

    def work(item: tuple[int, str]) -> Ended:
        number, kind = item
        if not hasattr(local, "server"):
            local.server = Server()
            servers.append(local.server)
        place = folder / f"{number:04}-{kind}"
        case = make_case(kind, number, seed, place, seeds)
        ended = run_case(case, place, None if number % every == 0 else local.server)
        for problem in ended.problems:
            say(f"FAILED {place.name}: {problem}")
        return ended

    items = [
        (number, kind)
        for number, kind in enumerate(plan(count))
        if only in {"", kind, f"{kind}:{number}"}
    ]
    try:
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(work, items))
    finally:
        for server in servers:
            server.close()


def table(ended: list[Ended]) -> str:
    """Counts by kind and exit code."""
    codes = sorted({-1 if item.code is None else item.code for item in ended})
    counts = Counter((item.case.kind, -1 if item.code is None else item.code) for item in ended)
    lines = [
        "| kind | cases | "
        + " | ".join(f"exit {code}" for code in codes)
        + " | failed | longest s | GB |"
    ]
    lines.append("|" + "---|" * (len(codes) + 5))
    for kind in [*MAKERS, ""]:
        of = [item for item in ended if kind in {"", item.case.kind}]
        if not of:
            continue
        cells = [sum(counts[name, code] for name in MAKERS if kind in {"", name}) for code in codes]
        failed = sum(bool(item.problems) for item in of)
        most = max(item.seconds for item in of), max(item.gigabytes for item in of)
        row = [kind or "all", len(of), *cells, failed, f"{most[0]:.1f}", f"{most[1]:.2f}"]
        lines.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines)


def say(text: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default="", help="a kind, or kind:number to run one again")
    parser.add_argument("--folder", type=Path, help="where to work; by default a temporary folder")
    given = parser.parse_args()
    start = time.monotonic()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    ended = run_all(given.count, given.seed, folder, given.workers, only=given.only)
    say(table(ended))
    say(f"{time.monotonic() - start:.0f} s")
    if any(item.problems for item in ended):
        say(f"what failed is in {folder}")
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
