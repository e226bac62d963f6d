"""Merge bases are what git says they are, in the order of their ids."""

import random
from pathlib import Path

import pytest

from support.two_writers import TwoWriters
from support.vault_clone import git
from vaultloop.vault.merge.bases import merge_bases


@pytest.fixture
def vault(tmp_path: Path) -> TwoWriters:
    return TwoWriters(tmp_path / "vault.git")


def test_an_ancestor_is_the_base_and_strangers_have_none(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": "1"})
    later = vault.human(start, {"a.md": "2"})
    assert merge_bases(vault.repository, start, later) == (start,)
    assert merge_bases(vault.repository, later, start) == (start,)
    assert merge_bases(vault.repository, later, vault.human(None, {"b.md": "1"})) == ()


def test_after_a_criss_cross_there_are_two_in_either_order(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": "1"})
    mine, other = vault.human(start, {"b.md": "2"}), vault.agent(start, {"c.md": "3"})
    here, there = vault.merge(mine, other), vault.merge(other, mine)
    assert merge_bases(vault.repository, here, there) == tuple(sorted((mine, other)))
    assert merge_bases(vault.repository, there, here) == tuple(sorted((mine, other)))


def test_in_random_histories_git_finds_the_same(vault: TwoWriters) -> None:
    for seed in range(8):
        chance = random.Random(seed)
        tree = vault.repository.tree_of(vault.human(None, {f"{seed}.md": "x"}))
        assert tree is not None
        commits = [vault.merged(tree), vault.merged(tree)]
        for _ in range(14):
            commits.append(vault.merged(tree, *chance.sample(commits[-6:], chance.choice((1, 2, 2)))))
        for one, other in [chance.sample(commits[-8:], 2) for _ in range(4)]:
            found = merge_bases(vault.repository, one, other)
            try:
                said = git(vault.repository.path, "merge-base", "--all", one, other).split()
            except AssertionError:
                said = []  # git says so by its exit code
            assert found == tuple(sorted(said))


def test_what_is_read_follows_the_work_since_they_parted(vault: TwoWriters) -> None:
    tip = vault.human(None, {"a.md": "0"})
    tree = vault.repository.tree_of(tip)
    assert tree is not None
    for _ in range(30):
        tip = vault.merged(tree, tip)
    mine, other = vault.merged(tree, tip), vault.merged(tree, tip)
    assert [commit for commit, _ in vault.repository.parted(mine, other)] == [mine]
    assert merge_bases(vault.repository, mine, other) == (tip,)
