"""The next item while this one is being used: what a GPU makes, beside what the CPU does with it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items in the same order, each made in a thread while the one before is used; one at most waits.

    What making an item raises is raised where the item would have come. Closing this, or leaving it by an exception,
    waits for the item that is being made, and throws it away.
    """
    with ThreadPoolExecutor(1, "ahead") as pool:
        # A list: StopIteration cannot cross from one thread to another.
        coming = pool.submit(lambda: list(islice(items, 1)))
        while found := coming.result():
            coming = pool.submit(lambda: list(islice(items, 1)))
            yield found[0]
