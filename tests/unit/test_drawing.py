"""Pieces worked on at once: in order, no more of them than threads ahead, errors where they belong."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_cli.drawing import in_order


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(), max_size=12), st.integers(1, 4))
def test_results_come_in_order(pieces, threads):
    found = list(in_order(lambda piece: 2 * piece, pieces, threads))
    assert found == [(piece, 2 * piece) for piece in pieces]


@pytest.mark.parametrize("threads", [1, 3])
def test_one_more_than_the_threads_are_ahead(threads):
    asked: list[int] = []

    def pieces() -> Iterator[int]:
        for number in range(20):
            asked.append(number)
            yield number

    coming = in_order(str, pieces(), threads)
    for number in range(10):
        assert next(coming) == (number, str(number))
        assert len(asked) == number + 2 + threads
    coming.close()


def test_pieces_are_worked_on_together():
    both = threading.Barrier(2, timeout=20)
    # Neither ends before the other has begun.
    list(in_order(lambda _: both.wait(), range(2), 2))


def test_errors_come_in_their_place():
    def work(number: int) -> int:
        if number == 2:
            raise ValueError("no more memory")
        return number

    coming = in_order(work, range(9), 3)
    assert [next(coming)[1], next(coming)[1]] == [0, 1]
    with pytest.raises(ValueError, match="no more memory"):
        next(coming)


def test_torch_uses_one_thread_there_and_as_many_as_before_here():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        counts = {count for _, count in in_order(lambda _: torch.get_num_threads(), range(6), 2)}
        assert counts == {1}
        assert torch.get_num_threads() == 2
        later: list[int] = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert later == [2]
    finally:
        torch.set_num_threads(before)
