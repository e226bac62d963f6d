"""What a person waits for after saving a note: `vaultloop check`, and the hook of `git commit`."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench import vaults
from bench.measure import Row, blocking, in_turn, wall
from support.installation import environment

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "vault-template"
NOTES = 10_000

# The libraries that cannot be done without, and nothing of ours.
REFERENCE = (sys.executable, "-c", "import pydantic, pygit2")
ALLOWED = 3.0


async def rows() -> list[Row]:
    """Three rows: the template, and two commits of one note."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        warm = _warm(root)
        large = vaults.checkout(vaults.make(root / "vault.git", NOTES, crons=20), root / "vault")
        ordinary = next(large.glob("notes/50/*/*.md"))
        return [
            await _row("check of the template", ["vaultloop", "check", str(TEMPLATE)], root, warm),
            await _hook("hook, a note of", large, ordinary, warm),
            await _hook("hook, a declaration among", large, large / "agent/crons/job-0007.md", warm),
        ]


async def _hook(title: str, vault: Path, note: Path, warm: Mapping[str, str]) -> Row:
    subprocess.run(["git", "reset", "-q", "--hard"], cwd=vault, check=True)
    note.write_text(note.read_text() + "More.\n")
    subprocess.run(["git", "add", "-A"], cwd=vault, check=True)
    return await _row(f"{title} {NOTES:,} notes", [str(ROOT / "hooks/pre-commit")], vault, warm)


async def _row(title: str, command: list[str], place: Path, warm: Mapping[str, str]) -> Row:
    def run(words: list[str]) -> None:
        subprocess.run(words, cwd=place, env=warm, check=True, stdout=subprocess.DEVNULL)

    ours, theirs = await in_turn(
        lambda: wall(blocking(lambda: run(command))), lambda: wall(blocking(lambda: run(list(REFERENCE))))
    )
    return Row(title, ours, "ms", "python, import pydantic and pygit2", theirs, ALLOWED)


def _warm(root: Path) -> dict[str, str]:
    """An environment in which compiled modules are kept, and `vaultloop` is the one that is measured."""
    programs = root / "bin"
    programs.mkdir()
    program = programs / "vaultloop"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vaultloop "$@"\n')
    program.chmod(0o755)
    found = environment(PYTHONPYCACHEPREFIX=str(root / "compiled"))
    del found["PYTHONDONTWRITEBYTECODE"]
    return {**found, "PATH": f"{programs}:{os.environ['PATH']}"}
