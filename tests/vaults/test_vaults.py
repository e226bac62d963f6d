"""Every case folder beside this file: a small vault, and what must be found in it.

`vault/` is the vault; `grown.json` says which of its notes have how many more bytes. `problems.json` is what
`check` finds, `plan.json` what a first plan creates. Where a problem quotes the line to write, the test
writes it; for the other problems `cured/` holds the notes as they are after the cure (an empty file: the note
is gone). Afterwards the vault must be free of problems. Set VAULTLOOP_ACCEPT=1 to write the found results as
the expected ones, then read the difference.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.folders import loaded
from vaultloop.components import KINDS
from vaultloop.model.problem import Problem
from vaultloop.model.snapshot import Snapshot
from vaultloop.reconcile.planner import desire, plan
from vaultloop.vault.notes.inspection import inspected
from vaultloop.vault.plain_folder import FolderFiles

HERE = Path(__file__).parent
CASES = sorted(case.name for case in HERE.iterdir() if (case / "vault").is_dir())
ROUNDS = 5

WRITE = re.compile(r"Write `(?P<line>.*?)`(?:\.\Z| if )")
ADD = re.compile(r"Add the line `(?P<line>.*?)`")


def is_as_expected(file: Path, found: Any) -> bool:
    if os.environ.get("VAULTLOOP_ACCEPT"):
        file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return bool(json.loads(file.read_text(encoding="utf-8")) == found)


def first_plan(snapshot: Snapshot) -> list[dict[str, Any]]:
    changes = plan(desire(snapshot, (), KINDS), {}, snapshot, KINDS).changes
    return [change.as_json() for change in changes]


def problems_of(vault: Path) -> tuple[Problem, ...]:
    return inspected(FolderFiles(vault), lambda: KINDS).problems


@pytest.fixture
def vault(case: str, tmp_path: Path) -> Path:
    """The vault of a case, free to be changed."""
    shutil.copytree(HERE / case / "vault", tmp_path / "vault")
    if (grown := HERE / case / "grown.json").exists():
        for note, size in json.loads(grown.read_text(encoding="utf-8")).items():
            with (tmp_path / "vault" / note).open("ab") as file:
                file.write(b"More and more.\n" * (size // 15))
    return tmp_path / "vault"


@pytest.mark.parametrize("case", CASES)
def test_a_vault_has_exactly_the_expected_problems(case: str, vault: Path) -> None:
    found = [problem.as_json() for problem in problems_of(vault)]
    assert is_as_expected(HERE / case / "problems.json", found)


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("accepted-")])
def test_what_people_type_is_understood_without_a_problem(case: str, vault: Path) -> None:
    assert problems_of(vault) == ()
    assert is_as_expected(HERE / case / "plan.json", first_plan(loaded(vault)))


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("accepted-")])
def test_every_problem_names_its_place_and_applying_its_cure_makes_it_go_away(case: str, vault: Path) -> None:
    problems = problems_of(vault)
    assert problems
    assert all(p.file and p.line and p.column and p.code and p.message and p.cure for p in problems)
    assert all(p.fix is None or p.cure.startswith(p.fix.cure.removesuffix(".")) for p in problems)
    for _ in range(ROUNDS):
        for problem in problems_of(vault)[:1]:
            _apply_cure(vault, problem)
    _overlay(HERE / case / "cured", vault)
    assert problems_of(vault) == ()


def _apply_cure(vault: Path, problem: Problem) -> None:
    file = vault / problem.file
    if not file.is_file():
        return
    lines = file.read_bytes().decode("utf-8", errors="replace").split("\n")
    if found := WRITE.match(problem.cure):
        lines[problem.line - 1] = found["line"]
    elif found := ADD.match(problem.cure):
        lines.insert(problem.line, found["line"])
    elif problem.cure == "Delete this line.":
        del lines[problem.line - 1]
    else:
        return
    file.write_text("\n".join(lines), encoding="utf-8")


def _overlay(cured: Path, vault: Path) -> None:
    for file in cured.rglob("*"):
        target = vault / file.relative_to(cured)
        if file.is_dir():
            continue
        if file.stat().st_size == 0:
            target.unlink()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
