"""Who wrote a version: the newest commit of that side that touched the path, merges aside."""

from pathlib import Path

import pytest

from support.two_writers import TwoWriters
from vaultloop.vault.git.signing import AuthorClass
from vaultloop.vault.merge.version import Writer
from vaultloop.vault.merge.writers import Writers


@pytest.fixture
def vault(tmp_path: Path) -> TwoWriters:
    return TwoWriters(tmp_path / "vault.git")


def _writer(vault: TwoWriters, tip: str, path: str, *other: str) -> Writer:
    return Writers(vault.repository, vault.known.get).of((tip,), path, other)


def test_it_is_the_newest_commit_that_touched_the_path_and_not_the_tip(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": "1", "b.md": "1"})
    edit = vault.agent(start, {"a.md": "2"})
    tip = vault.human(edit, {"b.md": "2"})
    writer = _writer(vault, tip, "a.md", start)
    assert (writer.commit, writer.author_class, writer.name) == (edit, AuthorClass.AGENT, "Vaultloop agent")
    assert _writer(vault, tip, "b.md", start).commit == tip


def test_a_deletion_and_a_rename_have_a_writer_too(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": "1", "b.md": "1"})
    gone = vault.agent(start, {"a.md": None})
    tip = vault.human(gone, {"c.md": "1", "b.md": None})
    assert _writer(vault, tip, "a.md", start).commit == gone
    assert _writer(vault, tip, "c.md", start).commit == tip


def test_a_merge_is_passed_through_to_whoever_wrote_what_it_took(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": "1", "b.md": "1"})
    human, agent = vault.human(start, {"a.md": "2"}), vault.agent(start, {"b.md": "2"})
    tip = vault.merge(human, agent)
    assert _writer(vault, tip, "a.md", start).commit == human
    assert _writer(vault, tip, "b.md", start).commit == agent


def test_of_a_file_that_a_merge_joined_it_is_the_newer_of_the_two(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": "1"})
    human, agent = vault.human(start, {"a.md": "2"}), vault.agent(start, {"a.md": "3"})
    tree = vault.repository.tree_of(vault.human(start, {"a.md": "2 and 3"}))
    assert tree is not None
    for parents in ((human, agent), (agent, human)):
        assert _writer(vault, vault.merged(tree, *parents), "a.md", start).commit == agent


def test_what_both_sides_have_in_common_is_no_work_of_one_of_them(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": "1"})
    own = vault.agent(start, {"a.md": "2"})
    common = vault.human(start, {"a.md": "3"})
    tree = vault.repository.tree_of(vault.human(start, {"a.md": "2 and 3"}))
    assert tree is not None
    tip, other = vault.merged(tree, own, common), vault.human(common, {"a.md": "4"})
    assert _writer(vault, tip, "a.md", other).commit == own


def test_what_a_merge_made_of_nobodys_work_is_the_merges(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": "1"})
    tree = vault.repository.tree_of(vault.human(start, {"a.md": "2"}))
    assert tree is not None
    tip = vault.merged(tree, start, vault.human(start, {"b.md": "1"}))
    assert _writer(vault, tip, "a.md", tip).author_class is AuthorClass.HUMAN


def test_many_paths_of_one_side_cost_its_history_once(vault: TwoWriters) -> None:
    paths = [f"{number}.md" for number in range(30)]
    tip = vault.human(None, dict.fromkeys(paths, "0"))
    for path in paths:
        tip = vault.agent(tip, {path: "1"})
    writers = Writers(vault.repository, vault.known.get)
    before = vault.repository.effort.trees
    assert len({writers.of((tip,), path).commit for path in paths}) == len(paths)
    assert vault.repository.effort.trees - before <= 2 * len(paths)
