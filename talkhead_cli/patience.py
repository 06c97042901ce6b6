"""How long to wait for a process that may hang: signs of life tell one that is slow from one that never ends.

Waiting is counted in small steps, so that neither a laptop that slept nor a process that was stopped and continued
makes anything look hung, whatever the clock says.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from talkhead_cli.errors import UsageError

PATIENCE_VARIABLE = "TALKHEAD_FFMPEG_PATIENCE"
FFMPEG_PATIENCE = 120.0
"""Seconds that ffmpeg may show no sign of life while we wait for it."""

LONGER = 10.0
"""So many times longer may it be busy without getting on."""

LEAST_SHARE = 1 / 240
"""Share of a core that a process which works takes at least; one that polls takes less."""

LEAST_BYTES = 1 << 16
"""Bytes that a process which works reads and writes within its patience."""

LONGEST_STEP = 2.0
"""Seconds between two looks, at most."""

PROCESSES = Path("/proc")


@dataclass(frozen=True)
class Vitals:
    """What a process and its descendants have done so far.

    Attributes:
        seconds: of processor time.
        num_bytes: read and written.
        stopped: one of them was stopped by a signal, and may be continued.
        eager: a thread of theirs runs, or would if others left it a core.
    """

    seconds: float
    num_bytes: int
    stopped: bool
    eager: bool = False


def read_vitals(pid: int) -> Vitals | None:
    """The vitals of a process; None where the system does not tell.

    Args:
        pid: of a process that has not been waited for.
    """
    children: dict[int, list[int]] = defaultdict(list)
    stats: dict[int, list[str]] = {}
    try:
        names = os.listdir(PROCESSES)  # noqa: PTH208 - Path objects for all of them cost as much as the rest
    except OSError:
        return None
    for name in names:
        if name.isdecimal():
            with suppress(OSError, IndexError, ValueError):
                fields = (PROCESSES / name / "stat").read_text().rpartition(")")[2].split()
                stats[int(name)] = fields
                children[int(fields[1])].append(int(name))
    if pid not in stats:
        return None
    found = [pid]
    for parent in found:  # it grows meanwhile
        found += children[parent]
    ticks = sum(int(stats[one][11]) + int(stats[one][12]) for one in found)
    stopped = any(stats[one][0] in "Tt" for one in found)
    seconds = ticks / os.sysconf("SC_CLK_TCK")
    return Vitals(seconds, sum(map(count_bytes, found)), stopped, any(map(is_eager, found)))


def is_eager(pid: int) -> bool:
    """Whether a thread of a process runs or waits for a core; False where the system does not tell."""
    with suppress(OSError):
        for task in (PROCESSES / str(pid) / "task").iterdir():
            with suppress(OSError, IndexError):
                if (task / "stat").read_text().rpartition(")")[2].split()[0] == "R":
                    return True
    return False


def count_bytes(pid: int) -> int:
    """Bytes that a process has read and written; 0 where the system does not tell."""
    with suppress(OSError, ValueError):
        lines = (PROCESSES / str(pid) / "io").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(("rchar", "wchar")))
    return 0


def ffmpeg_patience() -> float:
    """Seconds of patience with ffmpeg.

    Raises:
        UsageError: the environment variable is no number above 0.
    """
    text = os.environ.get(PATIENCE_VARIABLE, "")
    if not text:
        return FFMPEG_PATIENCE
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < float("inf"):
            return seconds
    raise UsageError(f"{PATIENCE_VARIABLE}={text}: seconds above 0 are wanted; correct or unset it")


class Patience:
    """Counts how long a process has done nothing; to be asked every `step` seconds.

    Args:
        seconds: that may pass without a sign of life; `LONGER` times as many without getting on.

    Attributes:
        step: seconds from one look to the next.
        silent: seconds without a sign of life so far.
        idle: seconds without getting on so far.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.step = min(LONGEST_STEP, seconds / 20)
        self.silent = self.idle = 0.0
        self._base: Vitals | None = None
        self._got: object = None
        self._looked = time.monotonic()

    def is_over(self, pid: int, got: object, blameless: bool = False) -> bool:
        """Look at the process; whether it hangs.

        Args:
            pid: of the process.
            got: changes whenever it has got on.
            blameless: nothing is expected of it at the moment.
        """
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, 2 * self.step), now
        if blameless or got != self._got:
            self._got = got
            self._begin(None)
            return False
        vitals = read_vitals(pid)
        if vitals is not None and vitals.stopped:
            self._begin(vitals)
            return False
        self.idle += passed
        # Who wants to run and may not is no more to blame than who is stopped.
        starved = vitals is not None and vitals.eager
        self.silent = 0.0 if self._is_alive(vitals) else self.silent + passed * (not starved)
        return self.silent >= self.seconds or self.idle >= LONGER * self.seconds

    def describe(self) -> str:
        """What it did instead, in words, once it is over."""
        if self.silent >= self.seconds:
            return f"done nothing for {self.silent:.3g} seconds"
        return f"been busy without getting on for {self.idle:.3g} seconds"

    def _begin(self, vitals: Vitals | None) -> None:
        self.silent = self.idle = 0.0
        self._base = vitals

    def _is_alive(self, vitals: Vitals | None) -> bool:
        """Whether enough was done since the last sign of life; where nobody can tell, too."""
        base = self._base
        if vitals is None:
            return True
        worked = base is not None and (
            vitals.seconds - base.seconds >= max(LEAST_SHARE * self.seconds, 0.01)
            or vitals.num_bytes - base.num_bytes >= LEAST_BYTES
        )
        # What children did that have ended is not counted any more.
        fell = base is not None and (
            vitals.seconds < base.seconds or vitals.num_bytes < base.num_bytes
        )
        if base is None or worked or fell:
            self._base = vitals
        return worked
