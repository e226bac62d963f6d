"""Which files a command line needs beside its program: its script, its interpreter, its environment.

Told from what is written in plain sight; what a program reads by itself nobody knows.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

# The longest first line that the kernel looks at (include/uapi/linux/binfmts.h).
_FIRST_LINE = 256


def of(program: Path, words: Iterable[str]) -> Iterator[Path]:
    """What is there of the absolute paths that `words` name, and what `program` itself runs by."""
    yield from _runs_by(program)
    for word in words:
        # Also in `--config=/a/path`.
        path = Path(word if word.startswith("/") else word.partition("=")[2])
        if path.is_absolute() and _is_there(path):
            yield path


def _runs_by(program: Path) -> Iterator[Path]:
    interpreter = _interpreter(program)
    if interpreter is not None and _is_there(interpreter):
        yield from (interpreter, *_environment(interpreter))
    yield from _environment(program)


def _environment(python: Path) -> Iterator[Path]:
    """What says that this Python is in a virtual environment; its own libraries are beside it."""
    mark = python.parent.parent / "pyvenv.cfg"
    if _is_there(mark):
        yield mark


def _interpreter(program: Path) -> Path | None:
    """What the first line of a script names."""
    try:
        with program.open("rb") as file:
            line = file.readline(_FIRST_LINE)
    except OSError:
        return None
    words = line.removeprefix(b"#!").split() if line.startswith(b"#!") else []
    return Path(words[0].decode(errors="replace")) if words else None


def _is_there(path: Path) -> bool:
    try:
        return path.is_file() or path.is_dir()
    except (OSError, ValueError):
        return False
