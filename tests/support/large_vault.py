"""A vault of many notes, made in a moment."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import run

from support.git_server import bare_repository

FOLDER_OF = 20  # notes


def large_vault(path: Path, notes: int, declarations: Mapping[str, str]) -> Path:
    """A bare repository with one commit: `declarations`, and so many ordinary notes."""
    bare_repository(path)
    stream = b"".join(_stream(notes, declarations))
    run(["git", "-C", path, "fast-import", "--quiet"], input=stream, check=True)
    return path


def ordinary(number: int) -> str:
    """The path of an ordinary note."""
    return f"Notes/{number // FOLDER_OF:04}/Note {number:05}.md"


def _stream(notes: int, declarations: Mapping[str, str]) -> Iterator[bytes]:
    yield b"commit refs/heads/main\ncommitter Hana Human <hana@example.org> 1700000000 +0000\ndata 5\nvault\n"
    for path, text in declarations.items():
        yield _file(path, text)
    for number in range(notes):
        yield _file(ordinary(number), f"# Note {number}\n\nSee [[Note {number // 2:05}]].\n")
    yield b"\n"


def _file(path: str, text: str) -> bytes:
    data = text.encode()
    return f'M 100644 inline "{path}"\ndata {len(data)}\n'.encode() + data + b"\n"
