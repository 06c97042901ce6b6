"""When libraries are imported: some ahead, beside other work, and some only when somebody uses them."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any


def import_ahead(name: str) -> None:
    """Begin to import a module in a thread; an import statement waits for it as for any other."""
    if name not in sys.modules:
        # Not a daemon: an interpreter that ends in the middle of an import would not end well.
        threading.Thread(target=try_import, args=(name,), name=f"import {name}").start()


def try_import(name: str) -> None:
    """Import a module; what is wrong with it is told by whoever needs it."""
    with suppress(Exception):
        importlib.import_module(name)


class PutOff(ModuleType):
    """Stands for a module until one of its attributes is asked for."""

    def __getattr__(self, name: str) -> Any:
        """The real module's attribute.

        Raises:
            AttributeError: it has none of this name.
            ImportError: the module is not installed.
        """
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def put_off(name: str) -> Iterator[None]:
    """Let modules that are imported meanwhile have a module only when they use it.

    mediapipe imports matplotlib's pyplot for a function that draws, which is three quarters of mediapipe's own import.
    (`importlib.util.LazyLoader` does not serve: naming a module a second time loads it.)

    Args:
        name: of the module, such as "matplotlib.pyplot"; nothing happens where its package has been imported already.
    """
    package, _, attribute = name.partition(".")
    if package in sys.modules:
        yield
        return
    stands: dict[str, ModuleType] = {part: PutOff(part) for part in (package, name)}
    if attribute:
        setattr(stands[package], attribute, stands[name])
    sys.modules.update(stands)
    try:
        yield
    finally:
        for part, stand in stands.items():
            if sys.modules.get(part) is stand:
                del sys.modules[part]
