"""Log lines: a sentence for people, fields for machines, to standard error or a file."""

import logging
import sys
from pathlib import Path

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
FILE_NAME = "engine.log"

# A log kept on a small server: two files of this size at most (bytes).
LARGEST_LOG = 5 * 1024 * 1024


def configure(level: str, *, file: Path | None = None) -> None:
    """Send the engine's log to `file`, or to standard error."""
    root = logging.getLogger("vaultloop")
    root.setLevel(level.upper())
    root.propagate = False
    handler = _to_file(file) if file else logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
    root.handlers[:] = [handler]


def _to_file(path: Path) -> logging.Handler:
    from logging.handlers import RotatingFileHandler  # noqa: PLC0415 - only engines that log to a file pay for it

    return RotatingFileHandler(path, maxBytes=LARGEST_LOG, backupCount=1, encoding="utf-8")
