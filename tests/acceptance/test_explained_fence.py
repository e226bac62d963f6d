"""`explain` says what really happens to a program in its cell, and to what it wrote."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from support.cells import ended, fence, python, run_by
from support.policies import random_path, random_vault
from vaultloop.explanation import Explanation, Question, What
from vaultloop.model.cell import Cell
from vaultloop.vault.notes.protected import protected_in
from vaultloop.vault.views.publish import select
from vaultloop.vault.views.view import View
from vaultloop.vault.views.views import Views

POLICIES = 40

# Reads each path where the session works and where the vault lies, then writes each; prints what it read.
PROGRAM = """
import json, os, sys
vault, *paths = json.load(sys.stdin)

def read(path):
    for place in (path, os.path.join(vault, path)):
        try:
            with open(place) as file:
                return file.read()
        except OSError:
            pass

seen = [path for path in paths if read(path) is not None]
for path in paths:
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w") as file:
            file.write("something else")
    except OSError:
        pass
print(json.dumps(seen))
"""


async def disagreements(folder: Path, seed: int) -> list[Any]:
    """Questions to which the fence gives another answer than `explain`."""
    chance, views, found = random.Random(seed), Views(folder / "state"), []
    async with fence() as launcher:
        for number in range(POLICIES):
            files = random_vault(chance)
            for path, text in files.notes.items():
                (folder / "vault" / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / "vault" / path).write_text(text)
            explanation = Explanation(files, ())
            policy = (await explanation.answer(Question(scope="it"))).policy
            assert policy is not None
            view = await asyncio.to_thread(views.lease, files, policy)
            paths = sorted({random_path(chance, files) for _ in range(6)})
            said = json.dumps([str(folder / "vault"), *paths]).encode()
            result = await ended(launcher, python(PROGRAM), _cell(folder / str(number), view, policy), said)
            assert result.status == 0, result
            seen = json.loads(result.output)
            selection = select(view.changes(), policy, protected_in(files))
            arrives = {*selection.written, *(selection.held_written if policy.self_edit == "allow" else ())}
            for path in paths:
                read = await explanation.answer(Question(scope="it", what=What.READ, name=path))
                write = await explanation.answer(Question(scope="it", what=What.WRITE, name=path))
                if path in files.notes and read.allowed is not (path in seen):
                    found.append((What.READ, path, read.as_json()))
                if write.allowed is not (path in arrives):
                    found.append((What.WRITE, path, write.as_json()))
            views.discard(view)
    return found


def _cell(folder: Path, view: View, policy: Any) -> Cell:
    home, scratch = folder / "home", folder / "tmp"
    for place in (home, scratch):
        place.mkdir(parents=True, mode=0o700)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(scratch)}
    return Cell(view.folder, home, scratch, environment, policy)


@pytest.mark.parametrize("seed", range(2))
def test_what_explain_says_is_what_a_program_in_its_cell_gets(seed: int) -> None:
    assert run_by("unprivileged", disagreements, seed) == []
