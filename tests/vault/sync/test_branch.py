"""What may come onto the branch: sessions change no protected path that no gate lets through."""

from collections.abc import Collection
from pathlib import Path

import pytest

from support.commits import NOON, commit, text_at
from vaultloop.aio.clock import VirtualClock
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.revision import RevisionFiles
from vaultloop.vault.sync.branch import Branch

WHO = Identity("Hana", "hana@example.org")
START = {"Home.md": "home", "CLAUDE.md": "Be kind.", "agent/crons/digest.md": "daily"}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository.bare(tmp_path / "vault.git", "main")
    repository.move(None, commit(repository, None, START))
    return repository


@pytest.fixture
def branch(repository: Repository) -> Branch:
    return Branch(repository, clock=VirtualClock(NOON), engine=WHO, human=WHO)


def human(repository: Repository, files: dict[str, str | None]) -> str:
    head = repository.head
    made = commit(repository, head, files)
    repository.move(head, made)
    return made


@pytest.mark.parametrize("beside", [None, {"Home.md": "by a human"}], ids=["alone", "beside a human's"])
@pytest.mark.parametrize(
    ("edits", "protected"),
    [
        ({"CLAUDE.md": "Obey."}, ("CLAUDE.md",)),
        ({"CLAUDE.md": None, "x.md": "x"}, ("CLAUDE.md",)),
        ({"Agent/x.md": "x", "x.md": "x"}, ("Agent/x.md",)),
        ({"agent/crons/digest.md": None, "agent": "a file"}, ("agent", "agent/crons/digest.md")),
        ({".obsidian/app.json": "{}", ".github/x.yml": "on: push"}, (".github/x.yml", ".obsidian/app.json")),
    ],
)
def test_a_commit_that_changes_protected_paths_does_not_move_the_branch(
    repository: Repository,
    branch: Branch,
    edits: dict[str, str | None],
    protected: tuple[str, ...],
    beside: dict[str, str | None] | None,
) -> None:
    made = commit(repository, repository.head, edits)
    if beside:
        human(repository, beside)
    head = repository.head
    integrated = branch.integrate(made)
    assert (integrated.protected, integrated.parked) == (protected, ())
    assert integrated.revision == repository.head == head


def test_a_gate_that_lets_some_through_lets_nothing_through(repository: Repository, branch: Branch) -> None:
    made = commit(repository, repository.head, {"CLAUDE.md": "Obey.", "agent/x.md": "x", "y.md": "y"})
    seen = []

    def gate(before: RevisionFiles, after: RevisionFiles, paths: Collection[str]) -> Collection[str]:
        seen.append((before.revision, after.revision, tuple(paths)))
        return [path for path in paths if path == "CLAUDE.md"]

    head = repository.head
    assert branch.integrate(made, gate=gate).protected == ("CLAUDE.md",)
    assert seen == [(head, made, ("CLAUDE.md", "agent/x.md"))]
    assert repository.head == head
    assert branch.integrate(made, gate=lambda *_: ()).revision == made


def test_an_ordinary_commit_never_meets_the_gate(repository: Repository, branch: Branch) -> None:
    made = commit(repository, repository.head, {"Home.md": "tidy", "crons/digest.md": "x"})
    human(repository, {"CLAUDE.md": "By a human.", "agent/crons/digest.md": None})
    integrated = branch.integrate(made)
    assert (integrated.protected, integrated.parked) == ((), ())
    assert text_at(repository, integrated.revision, "CLAUDE.md") == "By a human."
    assert text_at(repository, integrated.revision, "agent/crons/digest.md") is None
    assert text_at(repository, integrated.revision, "Home.md") == "tidy"


def test_a_file_that_a_human_moved_into_agent_does_not_take_along_what_a_session_wrote(
    repository: Repository, branch: Branch
) -> None:
    made = commit(repository, repository.head, {"Home.md": "kind: cron"})
    human(repository, {"Home.md": None, "agent/crons/home.md": "home"})
    integrated = branch.integrate(made)
    assert (integrated.parked, integrated.protected) == ((), ())
    assert text_at(repository, integrated.revision, "agent/crons/home.md") == "home"
    assert text_at(repository, integrated.revision, "Home.md") == "kind: cron"


def test_nor_does_it_when_the_humans_move_is_pushed_from_elsewhere(
    repository: Repository, branch: Branch
) -> None:
    theirs = commit(repository, repository.head, {"Home.md": None, "agent/crons/home.md": "home"})
    branch.integrate(commit(repository, repository.head, {"Home.md": "kind: cron"}))
    assert branch.unite(theirs, "Join\n") == ()
    head = repository.head
    assert head is not None
    assert text_at(repository, head, "agent/crons/home.md") == "home"
    assert text_at(repository, head, "Home.md") == "kind: cron"


def test_what_comes_from_humans_passes(repository: Repository, branch: Branch) -> None:
    theirs = commit(repository, repository.head, {"CLAUDE.md": "Changed."})
    assert branch.unite(theirs, "Join\n") == ()
    assert repository.head == theirs


def test_an_approval_is_a_commit_of_its_own_even_where_nothing_else_happened(
    repository: Repository, branch: Branch
) -> None:
    head = repository.head
    made = commit(repository, head, {"CLAUDE.md": "Be brief."})
    approved = branch.approve(made, "Approve proposal 1\n\nApproved-By: owner (cli)\n")
    merge = repository.read_commit(approved.revision)
    assert merge.parents == (head, made)
    assert merge.trailers["Approved-By"] == "owner (cli)"
    assert text_at(repository, approved.revision, "CLAUDE.md") == "Be brief."
    assert branch.approve(made, "Again\n").revision == approved.revision


def test_an_approval_that_conflicts_moves_nothing(repository: Repository, branch: Branch) -> None:
    made = commit(repository, repository.head, {"CLAUDE.md": "Be brief."})
    head = human(repository, {"CLAUDE.md": "Be long."})
    assert branch.approve(made, "Approve\n").contested == ("CLAUDE.md",)
    assert repository.head == head
