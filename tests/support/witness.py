"""Seeing from outside what git and the disk were asked, without standing in anybody's way."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pygit2

# What goes through a whole vault: in the C half of pygit2, in its Python half, and on the disk.
_IN_C = frozenset({"status", "status_file"})
_IN_PYTHON = frozenset({"index", "diff", "checkout", "checkout_head", "checkout_index", "checkout_tree"})
_ON_DISK = frozenset({"scandir", "listdir"})

_REPOSITORY = str(Path(pygit2.__file__).with_name("repository.py"))
_INDEX = str(Path(pygit2.__file__).with_name("index.py"))


class Witness:
    """Writes down, while it watches, each use of git's status, index or checkout, and each listed folder."""

    def __init__(self) -> None:
        self._seen: list[str] = []
        self._watches = False

    @contextmanager
    def around(self) -> Iterator[None]:
        """Be able to watch this thread, and every thread that begins within the block."""
        sys.setprofile(self._called)
        threading.setprofile(self._called)
        try:
            yield
        finally:
            threading.setprofile(None)
            sys.setprofile(None)

    @contextmanager
    def watching(self) -> Iterator[list[str]]:
        """What happens within the block, by the names of the functions."""
        self._seen = []
        self._watches = True
        try:
            yield self._seen
        finally:
            self._watches = False

    def _called(self, frame: FrameType, event: str, argument: Any) -> None:
        if not self._watches:
            return
        if event == "call":
            code = frame.f_code
            if code.co_filename == _INDEX or (code.co_filename == _REPOSITORY and code.co_name in _IN_PYTHON):
                self._seen.append(code.co_name)
        elif event == "c_call":
            of_repository = isinstance(getattr(argument, "__self__", None), pygit2.Repository)
            if argument.__name__ in (_IN_C if of_repository else _ON_DISK):
                self._seen.append(argument.__name__)
