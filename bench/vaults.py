"""Synthetic vaults, as large as asked, in the shape that people's vaults have."""

import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

Save = Callable[[Path], None]

FOLDERS_OF = 5  # notes in one folder, on average
WORDS = [
    "garden",
    "ledger",
    "bridge",
    "letter",
    "river",
    "window",
    "paper",
    "morning",
    "signal",
    "kettle",
    "orchard",
    "station",
]

DECLARATIONS = {
    "agent/defaults.md": "---\nkind: defaults\ncommand: vaultloop practice\ntimezone: Europe/Berlin\n---\n",
    "agent/scopes/owner.md": '---\nkind: scope\nchats: owner\ncan-read: "**"\ncan-write: "**"\n---\n',
    "agent/bridges/console.md": "---\nkind: bridge\nplatform: console\n---\n",
}


def make(path: Path, notes: int, *, crons: int = 0) -> Path:
    """A bare repository at `path` with one commit: `notes` notes of about 2 kB and `crons` paused crons."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
    stream = b"".join(_stream(notes, crons))
    subprocess.run(["git", "-C", str(path), "fast-import", "--quiet"], input=stream, check=True)
    subprocess.run(["git", "-C", str(path), "config", "http.receivepack", "true"], check=True)
    return path


def note_path(number: int) -> str:
    """Where the ordinary note of this number lies."""
    folder = number // FOLDERS_OF
    return f"notes/{folder % 100:02}/{folder:05}/note {number:06}.md"


def change(bare: Path, path: str, text: str) -> None:
    """Commit one file to a repository that `make` made, as a push would."""
    head = "commit refs/heads/main\ncommitter Bench <bench@localhost> 1700000000 +0000\ndata 4\nedit\n"
    stream = f"{head}from refs/heads/main^0\n".encode() + _file(path, text) + b"\n"
    subprocess.run(["git", "-C", str(bare), "fast-import", "--quiet"], input=stream, check=True)


def _stream(notes: int, crons: int) -> Iterator[bytes]:
    chance = random.Random(notes)
    yield b"commit refs/heads/main\ncommitter Bench <bench@localhost> 1700000000 +0000\ndata 5\nvault\n"
    for path, text in DECLARATIONS.items():
        yield _file(path, text)
    for number in range(crons):
        yield _file(f"agent/crons/job-{number:04}.md", cron(number))
    for number in range(notes):
        yield _file(note_path(number), _note(number, chance))
    yield b"\n"


def _file(path: str, text: str) -> bytes:
    data = text.encode()
    return f'M 100644 inline "{path}"\ndata {len(data)}\n'.encode() + data + b"\n"


def cron(number: int, minute: int = 0) -> str:
    """A paused cron note."""
    schedule = f"{minute} {number % 24} * * *"
    head = f'---\nkind: cron\nschedule: "{schedule}"\nscope: "[[owner]]"\npaused: true\n---\n'
    return head + "Gather open tasks into Digest.md\n"


def _note(number: int, chance: random.Random) -> str:
    head = f"---\ntags: [{chance.choice(WORDS)}]\ncreated: 2026-01-01\n---\n" if chance.random() < 0.4 else ""
    lines = [" ".join(chance.choices(WORDS, k=12)) for _ in range(25)]
    return f"{head}# Note {number}\n\n" + "\n".join(lines) + "\n"


def checkout(remote: Path, path: Path) -> Path:
    """A working copy of `remote` without the remote: a folder with its own git."""
    subprocess.run(["git", "clone", "-q", str(remote), str(path)], check=True)
    subprocess.run(["git", "-C", str(path), "remote", "remove", "origin"], check=True)
    return path
