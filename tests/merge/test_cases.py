"""What two writers did to one vault, as plain files in `cases/`, and what must come of it: always the same.

A case is a folder `NN-name` with the files before (`base`), of each side (`human`, `agent`), and of the
result (`expected`). `case.toml` says in one line what it shows, and:

    notes = ["..."]     sentences of the report, or parts of them
    held, mended = []   paths
    git = "same"        a `git merge` with the driver gives the same tree without asking
    git = "held"        it calls the driver too, and leaves the declaration as it was, for a person to decide
    both = "human"      the other side is a human too
    [files.base] ...    files whose names some disks cannot hold beside each other

VAULTLOOP_ACCEPT=1 writes what comes out into `expected`: read the difference before you commit it.
"""

import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from support.installation import COMMAND
from support.two_writers import NOON, SECOND_HUMAN, Files, TwoWriters
from support.vault_clone import VaultClone
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.signing import Signer
from vaultloop.vault.notes.protected import is_declared_at

HERE = Path(__file__).parent / "cases"
CASES = sorted(path.name for path in HERE.iterdir() if path.is_dir())
ATTRIBUTES = ".gitattributes"
ACCEPT = os.environ.get("VAULTLOOP_ACCEPT") == "1"

Contents = Mapping[str, bytes]


class Case:
    """One folder."""

    def __init__(self, name: str) -> None:
        self.folder = HERE / name
        self.said = tomllib.loads((self.folder / "case.toml").read_text())

    def files(self, side: str) -> dict[str, bytes]:
        """The files of one side, or of the result."""
        top = self.folder / side
        found = {
            path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()
        }
        named: Mapping[str, str] = self.said.get("files", {}).get(side, {})
        return found | {path: text.encode() for path, text in named.items()}

    def accept(self, files: Contents) -> None:
        """Take this for what is expected."""
        named = self.said.get("files", {}).get("expected", {})
        shutil.rmtree(self.folder / "expected", ignore_errors=True)
        for path, data in files.items():
            if path not in named:
                file = self.folder / "expected" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)


@dataclass(frozen=True)
class Written:
    """A case as commits."""

    case: Case
    human: str
    agent: str


class Vault:
    """All cases in one repository, and a human's clone of it in which git has the driver."""

    def __init__(self, place: Path) -> None:
        self.writers = TwoWriters(place / "vault.git")
        self._place = place
        (place / "state").mkdir()
        self._signer = Signer.make(place / "state")
        self.written = {name: self._write(Case(name)) for name in CASES}

    def _write(self, case: Case) -> Written:
        base, human, agent = (case.files(side) for side in ("base", "human", "agent"))
        writers = self.writers
        # Far from now and always the same: the date and the order of both are in the result.
        writers.starts_at(NOON)
        attributes = {ATTRIBUTES: (Path(__file__).parents[2] / "vault-template" / ATTRIBUTES).read_bytes()}
        start = writers.human(None, base | attributes) if base else None
        here = writers.human(start, {**_edits(base, human), **attributes})
        if case.said.get("both") == "human":
            there = writers.human(start, {**_edits(base, agent), **attributes}, who=SECOND_HUMAN)
        else:
            there = writers.agent(start, {**_edits(base, agent), **attributes}, signer=self._signer)
        return Written(case, here, there)

    @cached_property
    def clone(self) -> VaultClone:
        """Made once, when the first case needs it; each case checks its own commits out."""
        repository = self.writers.repository
        for name, written in self.written.items():
            repository.handle.create_reference(f"refs/heads/{name}/human", written.human)
            repository.handle.create_reference(f"refs/heads/{name}/agent", written.agent)
        repository.handle.create_reference("refs/heads/main", self.written[CASES[0]].human)
        clone = VaultClone.of(repository.path, self._place / "clone")
        subprocess.run(
            [*COMMAND, "hooks", "install", clone.path, "--engine-key", self._place / "state/engine_key.pub"],
            check=True,
            capture_output=True,
        )
        # What is committed here is no vault: the checks of commits have tests of their own.
        for hook in ("pre-commit", "pre-merge-commit"):
            (clone.path / ".git" / "hooks" / hook).unlink()
        return clone


def _edits(base: Contents, side: Contents) -> Files:
    return {**dict.fromkeys(base), **side}


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(tmp_path_factory.mktemp("cases"))


@pytest.fixture(params=CASES)
def written(request: pytest.FixtureRequest, vault: Vault) -> Written:
    return vault.written[request.param]


def _without_attributes(files: Contents) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if path != ATTRIBUTES}


def test_the_merge_gives_what_is_expected_and_says_so(vault: Vault, written: Written) -> None:
    join = vault.writers.merger.joined(written.human, written.agent)
    case = written.case
    files = _without_attributes(vault.writers.files(join.tree))
    if ACCEPT:
        case.accept(files)
    assert files == case.files("expected")
    told = "\n".join(note.sentence for note in join.notes)
    assert len(join.notes) == len(case.said.get("notes", [])), told
    for part in case.said.get("notes", []):
        assert part in told
    assert list(join.held) == case.said.get("held", [])
    assert list(join.mended) == case.said.get("mended", [])


def test_no_marker_is_left_and_no_line_of_either_side_is_lost(vault: Vault, written: Written) -> None:
    case = written.case
    expected = case.files("expected")
    result = b"\n".join(expected.values())
    for path, data in expected.items():
        # A declaration with markers is invalid; what it said last keeps running.
        assert is_declared_at(path) or not (b"<<<<<<<" in data or b">>>>>>>" in data)
    gone = {line.encode() for line in case.said.get("accounted", [])}
    base, known = case.files("base"), set(result.split())
    for side in ("human", "agent"):
        old = {line for data in base.values() for line in data.splitlines()}
        for data in case.files(side).values():
            for line in set(data.splitlines()) - old - gone:
                assert set(line.split()) - _SYNTAX <= known, (side, line)


# What a merge may put in another form: properties in brackets or as a list, the line of a marker.
_SYNTAX = {b"---"}


def test_swapping_the_sides_gives_the_same(vault: Vault, written: Written) -> None:
    merger = vault.writers.merger
    assert merger.joined(written.agent, written.human) == merger.joined(written.human, written.agent)


def test_merging_again_changes_nothing(vault: Vault, written: Written) -> None:
    writers = vault.writers
    here = writers.merge(written.human, written.agent)
    there = writers.merge(written.agent, written.human)
    tree = writers.repository.tree_of(here)
    assert writers.repository.tree_of(there) == tree
    for one, other in ((here, written.agent), (here, written.human), (here, there)):
        join = writers.join(one, other)
        assert (join.tree, join.notes, join.held) == (tree, (), ())


@pytest.mark.parametrize("name", [name for name in CASES if Case(name).said.get("git")])
@pytest.mark.parametrize("swapped", [False, True], ids=["", "swapped"])
def test_git_with_the_driver_gives_the_same_bytes(vault: Vault, name: str, *, swapped: bool) -> None:
    written, clone = vault.written[name], vault.clone
    here, there = (written.agent, written.human) if swapped else (written.human, written.agent)
    clone.git("checkout", "-q", "--detach", here)
    done = subprocess.run(
        ["git", "merge", "-q", "--no-edit", "--allow-unrelated-histories", there],
        cwd=clone.path,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        if written.case.said["git"] == "same":
            assert done.returncode == 0, done.stdout + done.stderr
            tree = Repository.around(clone.path).tree_of(clone.head)
            assert tree == vault.writers.merger.joined(here, there).tree
        else:
            assert done.returncode == 1
            assert "is a declaration that both sides changed" in done.stderr
            for path in written.case.said["held"]:
                assert (clone.path / path).read_bytes() == written.case.files("expected")[path]
    finally:
        if done.returncode:
            clone.git("merge", "--abort")
