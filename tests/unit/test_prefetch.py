"""Items made ahead: the same, in order, one at most waiting, errors where they belong."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from talkhead_cli.prefetch import ahead


def test_items_come_in_order_and_the_next_is_made_meanwhile():
    made: list[int] = []
    reached = threading.Event()

    def items() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            if number == 1:
                reached.set()
            yield number

    coming = ahead(items())
    assert next(coming) == 0
    # Nobody has asked for the second yet.
    assert reached.wait(10)
    assert list(coming) == [1, 2, 3, 4]
    assert made == list(range(5))


def test_no_more_than_one_waits():
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(9):
            made.append(number)
            yield number

    coming = ahead(items())
    next(coming)
    coming.close()
    assert made == [0, 1]


def test_errors_come_where_the_item_would_have():
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more memory")

    coming = ahead(items())
    assert next(coming) == 1
    with pytest.raises(ValueError, match="no more memory"):
        next(coming)


def test_nothing_is_nothing():
    assert list(ahead(iter(()))) == []
