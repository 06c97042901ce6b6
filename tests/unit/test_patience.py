"""When a process counts as hung: signs of life, and time that stands still."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkhead_cli import patience
from talkhead_cli.errors import UsageError
from talkhead_cli.patience import LONGER, Patience, Vitals, ffmpeg_patience, read_vitals

SECONDS = 100.0
needs_processes = pytest.mark.skipif(read_vitals(os.getpid()) is None, reason="needs /proc")


class World:
    """A clock and a process that do as they are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.vitals: Vitals | None = Vitals(0.0, 0, False)
        monkeypatch.setattr(patience.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(patience, "read_vitals", lambda pid: self.vitals)
        self.patience = Patience(SECONDS)

    def pass_time(self, seconds: float, got: object = None, **options: bool) -> bool:
        """Let time pass as it does, step by step; whether the process counted as hung at any moment."""
        end = self.now + seconds
        while self.now < end:
            self.now += self.patience.step
            if self.patience.is_over(1, got, **options):
                return True
        return False

    def work(self, seconds: float, num_bytes: int = 0) -> None:
        assert self.vitals is not None
        done = self.vitals
        self.vitals = Vitals(done.seconds + seconds, done.num_bytes + num_bytes, False)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_nothing_at_all_is_hanging(world: World) -> None:
    assert not world.pass_time(SECONDS - 5)
    assert world.pass_time(10)


def test_getting_on_begins_anew(world: World) -> None:
    for number in range(20):
        assert not world.pass_time(0.9 * SECONDS, got=number)


@pytest.mark.parametrize(("seconds", "num_bytes"), [(0.5, 0), (0.0, 1 << 17)])
def test_who_works_is_given_longer_but_not_for_ever(
    seconds: float, num_bytes: int, world: World
) -> None:
    hung = False
    for _ in range(11):
        assert not hung
        world.work(seconds, num_bytes)
        hung = world.pass_time(0.9 * SECONDS)
    assert not hung
    world.work(seconds, num_bytes)
    assert world.pass_time(0.9 * SECONDS)
    assert world.patience.silent < SECONDS < LONGER * SECONDS <= world.patience.idle


def test_who_only_polls_hangs(world: World) -> None:
    hung = False
    for _ in range(12):
        world.work(0.01, 100)
        hung = hung or world.pass_time(0.1 * SECONDS)
    assert hung


def test_a_laptop_that_slept_makes_nothing_hang(world: World) -> None:
    for _ in range(20):
        world.now += 100 * SECONDS
        assert not world.patience.is_over(1, None)
    assert world.pass_time(SECONDS)


def test_a_stopped_process_does_not_hang(world: World) -> None:
    world.vitals = Vitals(1.0, 10, True)
    assert not world.pass_time(30 * SECONDS)
    world.vitals = Vitals(1.0, 10, False)
    assert not world.pass_time(SECONDS - 5)
    assert world.pass_time(10)


def test_who_gets_no_core_is_given_longer(world: World) -> None:
    world.vitals = Vitals(0.0, 0, False, eager=True)
    assert not world.pass_time((LONGER - 0.1) * SECONDS)
    assert world.pass_time(0.2 * SECONDS)


def test_who_is_held_up_does_not_hang(world: World) -> None:
    assert not world.pass_time(30 * SECONDS, blameless=True)
    assert not world.pass_time(SECONDS - 5)
    assert world.pass_time(10)


def test_where_nobody_can_tell_it_takes_longer(world: World) -> None:
    world.vitals = None
    assert not world.pass_time((LONGER - 0.1) * SECONDS)
    assert world.pass_time(0.2 * SECONDS)


@given(st.lists(st.floats(0, 1e6), max_size=60))
def test_jumps_of_the_clock_count_two_steps_at_most(jumps: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world = World(patch)
        for jump in jumps:
            world.now += jump
            world.patience.is_over(1, None)
        assert world.patience.silent <= 2 * world.patience.step * len(jumps)


@needs_processes
def test_vitals_are_those_of_the_children_too() -> None:
    script = "(head -c 3000000 /dev/zero >/dev/null; exec sleep 100) & wait"
    process = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while (vitals := read_vitals(process.pid)) is None or vitals.num_bytes < 3_000_000:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not vitals.stopped
        spinning = subprocess.Popen(["sh", "-c", "while :; do :; done"])
        with spinning:
            while (spins := read_vitals(spinning.pid)) is None or not spins.eager:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            spinning.kill()
        os.killpg(process.pid, signal.SIGSTOP)
        while (vitals := read_vitals(process.pid)) is None or not vitals.stopped:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert read_vitals(process.pid) is None


@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan", "inf"])
def test_patience_is_a_number_above_0(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKHEAD_FFMPEG_PATIENCE", text)
    with pytest.raises(UsageError, match="TALKHEAD_FFMPEG_PATIENCE"):
        ffmpeg_patience()
    monkeypatch.setenv("TALKHEAD_FFMPEG_PATIENCE", "2.5")
    assert ffmpeg_patience() == 2.5
