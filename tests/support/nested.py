"""Folders within folders, deeper than any path may be long."""

import os
from pathlib import Path


def nest(top: Path, depth: int, name: str = "deep") -> None:
    """Make `top` and that many folders in it, one within the other."""
    top.mkdir(parents=True)
    current = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=current)
        below = os.open(name, os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)
