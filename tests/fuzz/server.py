"""Runs command lines in forked copies of one process that has loaded the libraries: three seconds less for each.

    python -m tests.fuzz.server

Reads a JSON object a line: arguments, folder, environment, stdin (a path), limit. Answers with code, seconds, memory.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def load() -> None:
    """What nearly every command loads; nothing that starts a thread."""
    import cv2
    import mediapipe  # noqa: F401
    import torch

    import talkhead_cli.app
    import talkhead_cli.audio
    import talkhead_cli.dub
    import talkhead_cli.evaluation
    import talkhead_cli.face
    import talkhead_cli.face.probe
    import talkhead_cli.live
    import talkhead_cli.motion_files
    import talkhead_cli.pipeline
    import talkhead_cli.render  # noqa: F401

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def become(case: dict[str, Any]) -> None:
    """Be the command line of a case; does not come back."""
    os.setsid()
    os.chdir(case["folder"])
    os.environ.update(case["environment"])
    import tempfile

    tempfile.tempdir = None
    modes = (os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor, name, mode in ((0, "stdin", 0), (1, "stdout", 1), (2, "stderr", 1)):
        opened = os.open(case[name], modes[mode], 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    code = 1
    try:
        from talkhead_cli import app

        sys.argv = ["talkhead", *case["arguments"]]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        app.main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Run a case; code is None where it did not end in time."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        become(case)
    code: int | None = None
    usage: resource.struct_rusage | None = None
    while time.monotonic() - start < case["limit"]:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            break
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # also what it has left running
    if code is None:
        _, _, usage = os.wait4(child, 0)
    assert usage is not None
    memory = usage.ru_maxrss / 2**20
    return {"code": code, "seconds": time.monotonic() - start, "gigabytes": memory}


def main() -> None:
    load()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
