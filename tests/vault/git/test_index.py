"""The index of a human's git is changed entry by entry, under git's own lock."""

from pathlib import Path

import pytest

from support.vault_clone import VaultClone
from vaultloop.model.errors import Stalled
from vaultloop.vault.git.index import Index, LockedError
from vaultloop.vault.git.trees import Leaf


@pytest.fixture
def human(tmp_path: Path) -> VaultClone:
    human = VaultClone.fresh(tmp_path)
    for name in ("a.md", "b.md"):
        human.write(name, name)
    human.commit()
    return human


@pytest.fixture
def index(human: VaultClone) -> Index:
    return Index(human.path / ".git")


def test_one_entry_changes_and_the_others_stay(human: VaultClone, index: Index) -> None:
    human.write("c.md", "staged")
    human.git("add", "c.md")
    other = human.git("hash-object", "-w", "b.md")
    with index.locked(None) as locked:
        locked.stage("a.md", Leaf(other, 0o100644))
        locked.write()
    staged = human.git("ls-files", "--stage").splitlines()
    assert [line.split()[3] for line in staged] == ["a.md", "b.md", "c.md"]
    assert staged[0].split()[1] == other


def test_nothing_is_changed_without_a_write(human: VaultClone, index: Index) -> None:
    before = (human.path / ".git" / "index").read_bytes()
    with index.locked(None) as locked:
        locked.stage("a.md", None)
    assert (human.path / ".git" / "index").read_bytes() == before


def test_git_is_locked_out_meanwhile_and_let_in_afterwards(human: VaultClone, index: Index) -> None:
    human.write("c.md", "x")
    with index.locked(None), pytest.raises(AssertionError, match=r"index\.lock"):
        human.git("add", "c.md")
    human.git("add", "c.md")


def test_we_are_locked_out_while_git_holds_the_lock(human: VaultClone, index: Index) -> None:
    (human.path / ".git" / "index.lock").touch()
    with pytest.raises(LockedError), index.locked(None):
        pass


def test_our_own_lock_is_removed_after_a_crash_and_gits_is_not(human: VaultClone, index: Index) -> None:
    lock = human.path / ".git" / "index.lock"
    lock.touch()
    index.recover()
    assert lock.exists()
    lock.unlink()
    with index.locked(None):
        ours = lock.read_bytes()
    lock.write_bytes(ours)
    index.recover()
    assert not lock.exists()


def test_a_copy_that_was_being_written_in_a_crash_holds_up_nobody(human: VaultClone, index: Index) -> None:
    (human.path / ".git" / "vaultloop-index.lock").touch()
    with index.locked(None) as locked:
        locked.stage("a.md", None)
        locked.write()
    assert human.git("ls-files") == "b.md"


def test_an_index_that_cannot_be_read_is_said_and_left_as_it_is(human: VaultClone, index: Index) -> None:
    file = human.path / ".git" / "index"
    file.write_bytes(b"DIRC" + b"\0" * 40)
    with pytest.raises(Stalled, match="cannot be read"), index.locked(None):
        pass
    assert file.read_bytes() == b"DIRC" + b"\0" * 40
    assert not (human.path / ".git" / "index.lock").exists()


def test_the_lock_is_never_there_without_our_mark(
    human: VaultClone, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def link(source: Path, target: Path) -> None:
        assert not target.exists()
        seen.append(source.read_bytes())
        raise KeyboardInterrupt

    monkeypatch.setattr("vaultloop.vault.git.index.os.link", link)
    with pytest.raises(KeyboardInterrupt), index.locked(None):
        pass
    assert seen == [b"vaultloop"]
    assert not (human.path / ".git" / "index.lock").exists()
