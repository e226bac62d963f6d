"""A git server in a process of its own: what it costs is in nobody's figures."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from support.git_server import git_server


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Serve the repositories below `root` over http; the address that their names are added to."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(root, theirs), daemon=True)
    server.start()
    try:
        yield str(ours.recv())
    finally:
        ours.send(None)
        server.join()


def _serve(root: Path, pipe: Connection) -> None:
    with git_server(root) as server:
        pipe.send(server.url(""))
        pipe.recv()
