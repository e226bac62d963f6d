"""A watched folder, with its own git and without: what counts as an edit, and what is written into it."""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from support.commits import NOON, commit, text_at
from support.git_server import bare_repository
from support.run import asynchronous
from support.vault_clone import VaultClone, git
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.errors import Paused, Retry
from vaultloop.model.status import PushState
from vaultloop.vault.folder import folder as folder_module
from vaultloop.vault.folder.settling import signature_of
from vaultloop.vault.git.signing import Signer, author_class
from vaultloop.vault.sync.sync import Sync

SETTLE = 2
QUIET = 60


class Desk:
    """A human's folder and the engine that watches it, with a clock that the test turns."""

    def __init__(self, place: Path, *, own_git: bool) -> None:
        self.state = place / "state"
        self.path = place / "folder"
        self.own_git = own_git
        self.clock = VirtualClock(NOON)
        self.path.mkdir(parents=True)
        self.human = VaultClone.fresh(self.path) if own_git else VaultClone(self.path)
        self.write("note.md", "one")
        self.write("agent/crons/digest.md", "daily")
        if own_git:
            self.human.commit("Start")

    def write(self, path: str, text: str) -> None:
        self.human.write(path, text)

    def read(self, path: str) -> str:
        return self.human.read(path)

    def touched(self, sync: Sync, path: str) -> None:
        """The watcher hears, by the turned clock, that a file was written just now."""
        file = self.path / path
        sync.settling.touched(path, signature_of(file.lstat()) if file.exists() else None)

    def sync(self, remote: Path | None = None) -> Sync:
        return Sync(self.state, self.clock, folder=self.path, remote=str(remote) if remote else None)

    async def settled(self, sync: Sync, *named: str, walk: bool = False) -> str | None:
        """Look, wait until every edit has settled, look again."""
        await sync.look(None if walk else named)
        await self.clock.advance(QUIET)
        return await sync.look(None if walk else named)


@pytest.fixture(params=[True, False], ids=["own-git", "plain"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    return Desk(tmp_path, own_git=request.param)


@pytest.fixture
def own_git(tmp_path: Path) -> Desk:
    return Desk(tmp_path, own_git=True)


@pytest.fixture
def plain(tmp_path: Path) -> Desk:
    return Desk(tmp_path, own_git=False)


def _paused(sync: Sync) -> str:
    return sync.paused or ""


async def _text(sync: Sync, path: str) -> str | None:
    head = await sync.git(lambda: sync.repository.head)
    assert head is not None
    return await sync.git(text_at, sync.repository, head, path)


async def _answer(sync: Sync, base: str | None, files: dict[str, str | None]) -> str:
    return await sync.git(commit, sync.repository, base, files)


# -- edits become commits ----------------------------------------------------------------------------------


@asynchronous
async def test_what_lies_in_the_folder_is_the_vault_from_the_start(desk: Desk) -> None:
    async with desk.sync() as sync:
        await desk.settled(sync, walk=True)
        assert await _text(sync, "note.md") == "one"
        assert await _text(sync, "agent/crons/digest.md") == "daily"


@asynchronous
async def test_an_edit_is_committed_unsigned_as_a_humans(desk: Desk) -> None:
    async with desk.sync() as sync:
        before = await desk.settled(sync, walk=True)
        desk.write("note.md", "two")
        head = await desk.settled(sync, "note.md")
        assert head != before
        assert await _text(sync, "note.md") == "two"
        assert head is not None
        signer = Signer.make(desk.state)
        assert await sync.git(author_class, sync.repository, head, signer) == "human"
        assert (await sync.git(sync.repository.read_commit, head)).subject == "Edit note.md"


@asynchronous
async def test_an_edit_carries_the_name_that_the_folders_git_knows(own_git: Desk) -> None:
    async with own_git.sync() as sync:
        own_git.write("note.md", "two")
        head = await own_git.settled(sync, walk=True)
        assert head is not None
        assert (await sync.git(sync.repository.read_commit, head)).author.name == "Hana Human"


@asynchronous
async def test_a_declaration_counts_after_settle_and_a_note_after_the_quiet_minute(desk: Desk) -> None:
    async with desk.sync() as sync:
        first = await desk.settled(sync, walk=True)
        desk.write("agent/crons/digest.md", "hourly")
        desk.write("note.md", "two")
        names = ["agent/crons/digest.md", "note.md"]
        assert await sync.look(names) == first
        await desk.clock.advance(SETTLE)
        second = await sync.look(names)
        assert second != first
        assert await _text(sync, "agent/crons/digest.md") == "hourly"
        assert await _text(sync, "note.md") == "one"
        await desk.clock.advance(QUIET)
        await sync.look(names)
        assert await _text(sync, "note.md") == "two"


@asynchronous
async def test_a_file_that_keeps_changing_does_not_count_yet(desk: Desk) -> None:
    async with desk.sync() as sync:
        first = await desk.settled(sync, walk=True)
        for text in ("h", "ho", "hou"):
            desk.write("agent/crons/digest.md", text)
            assert await sync.look(["agent/crons/digest.md"]) == first
            await desk.clock.advance(SETTLE - 1)
        await desk.clock.advance(SETTLE)
        await sync.look(["agent/crons/digest.md"])
        assert await _text(sync, "agent/crons/digest.md") == "hou"


@asynchronous
async def test_a_deletion_is_an_edit(desk: Desk) -> None:
    async with desk.sync() as sync:
        await desk.settled(sync, walk=True)
        (desk.path / "note.md").unlink()
        head = await desk.settled(sync, "note.md")
        assert await _text(sync, "note.md") is None
        assert head is not None
        assert (await sync.git(sync.repository.read_commit, head)).subject == "Delete note.md"


@asynchronous
async def test_a_renamed_folder_takes_along_what_was_in_it(desk: Desk) -> None:
    async with desk.sync() as sync:
        await desk.settled(sync, walk=True)
        (desk.path / "agent" / "crons").rename(desk.path / "agent" / "jobs")
        await desk.settled(sync, "agent/crons", "agent/jobs")
        assert await _text(sync, "agent/crons/digest.md") is None
        assert await _text(sync, "agent/jobs/digest.md") == "daily"


@asynchronous
async def test_edits_made_while_the_engine_was_away_are_found_by_its_first_look(desk: Desk) -> None:
    async with desk.sync() as sync:
        await desk.settled(sync, walk=True)
    desk.write("note.md", "two")
    desk.write("new.md", "new")
    async with desk.sync() as sync:
        await desk.settled(sync, walk=True)
        assert await _text(sync, "note.md") == "two"
        assert await _text(sync, "new.md") == "new"


@asynchronous
async def test_only_the_edited_files_are_in_the_commit(own_git: Desk) -> None:
    async with own_git.sync() as sync:
        first = await sync.look()
        own_git.write("note.md", "two")
        own_git.write("unnamed.md", "not yet")
        head = await own_git.settled(sync, "note.md")
        assert set(await sync.git(sync.repository.changed, first, head)) == {"note.md"}
    assert own_git.human.git("status", "--porcelain") == "?? unnamed.md"


# -- what does not count -----------------------------------------------------------------------------------


@asynchronous
async def test_leftovers_of_sync_tools_editors_and_obsidian_are_not_of_the_vault(desk: Desk) -> None:
    leftovers = [
        ".stfolder/marker",
        ".stversions/note.md",
        ".trash/old.md",
        ".DS_Store",
        "notes/.DS_Store",
        ".obsidian/workspace.json",
        ".obsidian/workspace-mobile.json",
        "note.md~",
        ".note.md.swp",
        "draft.tmp",
        ".syncthing.note.md.tmp",
        ".env",
    ]
    async with desk.sync() as sync:
        await desk.settled(sync, walk=True)
        for path in leftovers:
            desk.write(path, "x")
        desk.write(".obsidian/app.json", "{}")
        await desk.settled(sync, *leftovers, ".obsidian/app.json", walk=True)
        for path in leftovers:
            assert await _text(sync, path) is None, path
        assert await _text(sync, ".obsidian/app.json") == "{}"


@asynchronous
async def test_what_the_folders_git_ignores_is_not_committed_unless_it_is_tracked(own_git: Desk) -> None:
    own_git.write(".gitignore", "private/\n*.log\nnote.md\n")
    own_git.human.commit("Ignore")
    async with own_git.sync() as sync:
        await sync.look()
        own_git.write("private/diary.md", "secret")
        own_git.write("x.log", "noise")
        own_git.write("note.md", "two")
        await own_git.settled(sync, "private/diary.md", "x.log", "note.md")
        await own_git.settled(sync, walk=True)
        assert await _text(sync, "private/diary.md") is None
        assert await _text(sync, "x.log") is None
        assert await _text(sync, "note.md") == "two"


@asynchronous
async def test_links_and_repositories_inside_the_folder_are_left_alone(desk: Desk) -> None:
    outside = desk.state.parent / "outside.md"
    outside.write_text("not of the vault")
    async with desk.sync() as sync:
        await desk.settled(sync, walk=True)
        (desk.path / "link.md").symlink_to(outside)
        VaultClone.fresh(desk.path / "inner").save("inner.md", "x")
        await desk.settled(sync, walk=True)
        assert await _text(sync, "link.md") is None
        assert await _text(sync, "inner/inner.md") is None


@asynchronous
async def test_a_file_behind_a_git_filter_is_never_committed_again(own_git: Desk) -> None:
    own_git.write(".gitattributes", "secret.md filter=vaulted\n")
    own_git.human.git("config", "filter.vaulted.clean", "tr a-z b-za")
    own_git.write("secret.md", "abc")
    own_git.human.commit("Encrypted")
    async with own_git.sync() as sync:
        await sync.look()
        own_git.write("secret.md", "xyz")
        await own_git.settled(sync, walk=True)
        assert await _text(sync, "secret.md") == "bcd"


@asynchronous
async def test_line_ends_that_git_converts_are_no_edit(own_git: Desk) -> None:
    own_git.write(".gitattributes", "*.md text eol=crlf\n")
    (own_git.path / "note.md").write_bytes(b"one\r\ntwo\r\n")
    own_git.human.commit("Windows")
    async with own_git.sync() as sync:
        head = await own_git.settled(sync, walk=True)
        assert head == own_git.human.head
        done = await sync.integrate(await _answer(sync, head, {"note.md": "one\ntwo\nthree\n"}))
        assert done.parked == ()
    assert (own_git.path / "note.md").read_bytes() == b"one\r\ntwo\r\nthree\r\n"
    assert own_git.human.git("status", "--porcelain") == ""


@asynchronous
async def test_a_note_that_was_staged_and_then_edited_further_is_taken_as_it_was_saved_last(
    own_git: Desk,
) -> None:
    own_git.write("other.md", "one")
    own_git.human.commit()
    async with own_git.sync() as sync:
        await own_git.settled(sync, walk=True)
        own_git.write("note.md", "staged")
        own_git.write("other.md", "staged by hand")
        own_git.human.git("add", "note.md", "other.md")
        own_git.write("note.md", "saved last")
        own_git.touched(sync, "note.md")
        await own_git.settled(sync, "note.md")
        assert await _text(sync, "note.md") == "saved last"
        assert await _text(sync, "other.md") == "one"
    assert own_git.human.git("status", "--porcelain") == "M  other.md"
    assert own_git.human.git("show", ":other.md") == "staged by hand"


@asynchronous
async def test_a_note_that_was_staged_and_removed_again_is_no_edit_and_its_entry_stays(own_git: Desk) -> None:
    async with own_git.sync() as sync:
        head = await own_git.settled(sync, walk=True)
        own_git.write("new.md", "staged")
        own_git.human.git("add", "new.md")
        (own_git.path / "new.md").unlink()
        assert await own_git.settled(sync, walk=True) == head
    assert own_git.human.git("status", "--porcelain") == "AD new.md"


@asynchronous
async def test_a_note_that_git_moved_and_then_was_edited_is_taken_in_one_commit(own_git: Desk) -> None:
    async with own_git.sync() as sync:
        before = await own_git.settled(sync, walk=True)
        own_git.human.git("mv", "note.md", "moved.md")
        own_git.write("moved.md", "one and more")
        own_git.human.git("add", "--intent-to-add", "moved.md")
        head = await own_git.settled(sync, walk=True)
        assert await _text(sync, "moved.md") == "one and more"
        assert await _text(sync, "note.md") is None
        assert head is not None
        assert (await sync.git(sync.repository.read_commit, head)).parents == (before,)
    assert own_git.human.git("status", "--porcelain") == ""


@asynchronous
async def test_a_conflict_that_the_index_holds_is_said_and_holds_up_no_other_note(own_git: Desk) -> None:
    own_git.write("note.md", "stashed")
    own_git.human.git("stash", "-q")
    own_git.human.save("note.md", "committed")
    with pytest.raises(AssertionError):
        own_git.human.git("stash", "pop")
    async with own_git.sync() as sync:
        own_git.write("other.md", "x")
        await own_git.settled(sync, walk=True)
        assert await _text(sync, "other.md") == "x"
        assert await _text(sync, "note.md") == "committed"
        assert "unresolved conflict in note.md" in (sync.attention or "")
        own_git.write("note.md", "both")
        own_git.human.git("add", "note.md")
        await own_git.settled(sync, "note.md")
        assert sync.attention is None
        assert await _text(sync, "note.md") == "both"
    assert own_git.human.git("status", "--porcelain") == ""


# -- renames and what is saved together --------------------------------------------------------------------

PROSE = "---\nkind: cron\nschedule: daily\n---\n" + "Look through the open tasks and tell what is late. " * 3


async def _commits_since(sync: Sync, before: str | None) -> list[set[str]]:
    """The paths of each commit since, the newest first."""
    head = await sync.git(lambda: sync.repository.head)
    found = []
    while head != before:
        assert head is not None
        parent = (await sync.git(sync.repository.read_commit, head)).parents[0]
        found.append(set(await sync.git(sync.repository.changed_leaves, parent, head)))
        head = parent
    return found


@pytest.mark.parametrize("first", ["old", "new"])
@pytest.mark.parametrize("edited", [False, True], ids=["moved", "moved-and-edited"])
@asynchronous
async def test_both_halves_of_a_rename_are_one_commit_whichever_settles_first(
    desk: Desk, first: str, edited: bool
) -> None:
    old, new = "agent/crons/old.md", "agent/crons/new.md"
    desk.write(old, PROSE)
    async with desk.sync() as sync:
        before = await desk.settled(sync, walk=True)
        (desk.path / old).rename(desk.path / new)
        if edited:
            desk.write(new, PROSE + "And greet me.")
        for path in (old, new) if first == "old" else (new, old):
            await desk.clock.advance(1.5)
            desk.touched(sync, path)
        for _ in range(8):
            await desk.clock.advance(0.5)
            await sync.look(sync.settling.take())
        assert await _commits_since(sync, before) == [{old, new}]


@asynchronous
async def test_a_rename_while_the_engine_was_away_is_one_commit(desk: Desk) -> None:
    desk.write("notes/old.md", PROSE)
    async with desk.sync() as sync:
        before = await desk.settled(sync, walk=True)
    await desk.clock.advance(7200)
    (desk.path / "notes").rename(desk.path / "texts")
    async with desk.sync() as sync:
        await desk.settled(sync, walk=True)
        assert await _commits_since(sync, before) == [{"notes/old.md", "texts/old.md"}]


@asynchronous
async def test_a_deletion_waits_for_the_note_it_lives_on_in_while_that_is_written_but_not_for_ever(
    desk: Desk,
) -> None:
    desk.write("old.md", PROSE)
    async with desk.sync() as sync:
        before = await desk.settled(sync, walk=True)
        (desk.path / "old.md").rename(desk.path / "new.md")
        desk.touched(sync, "old.md")
        for number in range(11):
            desk.write("new.md", PROSE + "x" * number)
            desk.touched(sync, "new.md")
            await desk.clock.advance(QUIET / 2)
            await sync.look(sync.settling.take())
            commits = await _commits_since(sync, before)
            assert commits == ([] if number < 9 else [{"old.md"}]), number
        await desk.clock.advance(QUIET)
        await sync.look(sync.settling.take())
        assert await _commits_since(sync, before) == [{"new.md"}, {"old.md"}]


@asynchronous
async def test_a_declaration_that_is_moved_away_counts_as_gone_without_waiting_for_the_note(
    desk: Desk,
) -> None:
    desk.write("agent/crons/old.md", PROSE)
    async with desk.sync() as sync:
        before = await desk.settled(sync, walk=True)
        (desk.path / "agent/crons/old.md").rename(desk.path / "old.md")
        desk.write("old.md", PROSE + "More.")
        desk.touched(sync, "agent/crons/old.md")
        desk.touched(sync, "old.md")
        await desk.clock.advance(SETTLE)
        await sync.look(sync.settling.take())
        assert await _commits_since(sync, before) == [{"agent/crons/old.md"}]


@asynchronous
async def test_notes_that_are_saved_together_are_one_commit(desk: Desk) -> None:
    async with desk.sync() as sync:
        before = await desk.settled(sync, walk=True)
        names = [f"note{number}.md" for number in range(5)]
        for name in names:
            desk.write(name, "x")
            desk.touched(sync, name)
            await desk.clock.advance(0.7)
        for _ in range(QUIET + 5):
            await desk.clock.advance(1)
            await sync.look(sync.settling.take())
        assert await _commits_since(sync, before) == [set(names)]


# -- the guard ---------------------------------------------------------------------------------------------


@asynchronous
async def test_a_folder_that_is_suddenly_empty_deletes_nothing_and_says_so(desk: Desk) -> None:
    async with desk.sync() as sync:
        head = await desk.settled(sync, walk=True)
        kept = desk.state.parent / "kept"
        kept.mkdir()
        for name in ("note.md", "agent"):
            (desk.path / name).rename(kept / name)
        assert await desk.settled(sync, walk=True) == head
        assert "missing" in _paused(sync)
        for name in ("note.md", "agent"):
            (kept / name).rename(desk.path / name)
        assert await sync.look() == head
        assert not _paused(sync)


@asynchronous
async def test_a_folder_that_is_gone_deletes_nothing_takes_no_answer_and_says_so(desk: Desk) -> None:
    async with desk.sync() as sync:
        head = await desk.settled(sync, walk=True)
        answer = await _answer(sync, head, {"answer.md": "42"})
        desk.path.rename(desk.path.with_name("away"))
        assert await desk.settled(sync, walk=True) == head
        assert "not there" in _paused(sync)
        with pytest.raises(Paused, match="not there"):
            await sync.integrate(answer)
        desk.path.with_name("away").rename(desk.path)
        await sync.look()
        assert not _paused(sync)


@asynchronous
async def test_an_empty_disk_mounted_over_the_folder_is_not_written_to(plain: Desk) -> None:
    async with plain.sync() as sync:
        head = await plain.settled(sync, walk=True)
        plain.path.rename(plain.path.with_name("away"))
        plain.path.mkdir()
        with pytest.raises(Retry, match="replaced"):
            await sync.integrate(await _answer(sync, head, {"answer.md": "42"}))
        assert list(plain.path.iterdir()) == []


@asynchronous
async def test_a_mass_deletion_is_taken_once_the_human_says_that_it_is_meant(desk: Desk) -> None:
    async with desk.sync() as sync:
        head = await desk.settled(sync, walk=True)
        shutil.rmtree(desk.path / "agent")
        (desk.path / "note.md").unlink()
        assert await desk.settled(sync, walk=True) == head
        assert _paused(sync)
        (desk.path / ".vaultloop-deleted").touch()
        assert await sync.look() != head
        assert not _paused(sync)
        assert not (desk.path / ".vaultloop-deleted").exists()


# -- commits become files ----------------------------------------------------------------------------------


@asynchronous
async def test_a_sessions_commit_is_written_into_the_folder(desk: Desk) -> None:
    desk.write("old/gone.md", "bye")
    if desk.own_git:
        desk.human.commit()
    async with desk.sync() as sync:
        head = await desk.settled(sync, walk=True)
        files: dict[str, str | None] = {"note.md": "two", "deep/er/answer.md": "42", "old/gone.md": None}
        answer = await _answer(sync, head, files)
        assert (await sync.integrate(answer)).revision == answer
        assert desk.read("note.md") == "two"
        assert desk.read("deep/er/answer.md") == "42"
        assert not (desk.path / "old").exists()
        # What the engine wrote is not an edit of the human's.
        assert await desk.settled(sync, walk=True) == answer
    if desk.own_git:
        assert desk.human.git("status", "--porcelain") == ""
    assert [path for path in desk.path.rglob("*") if path.name.startswith(".vaultloop-")] == []


@asynchronous
async def test_the_humans_next_plain_commit_of_another_file_does_not_undo_the_agent(own_git: Desk) -> None:
    async with own_git.sync() as sync:
        head = await sync.look()
        await sync.integrate(await _answer(sync, head, {"note.md": "agent's", "answer.md": "42"}))
    own_git.write("other.md", "human's")
    own_git.human.git("add", "other.md")
    own_git.human.git("commit", "-q", "-m", "Another file")
    assert own_git.human.git("show", "HEAD:note.md") == "agent's"
    assert own_git.human.git("show", "HEAD:answer.md") == "42"
    assert own_git.human.git("show", "--name-only", "--format=") == "other.md"
    assert own_git.human.git("status", "--porcelain") == ""


@asynchronous
async def test_the_humans_next_plain_commit_does_not_undo_their_own_edit_either(own_git: Desk) -> None:
    async with own_git.sync() as sync:
        await sync.look()
        own_git.write("note.md", "two")
        await own_git.settled(sync, "note.md")
    assert own_git.human.git("status", "--porcelain") == ""
    own_git.human.save("other.md", "x")
    assert own_git.human.git("show", "HEAD:note.md") == "two"


@asynchronous
async def test_what_the_human_has_staged_stays_staged_and_theirs(own_git: Desk) -> None:
    async with own_git.sync() as sync:
        head = await sync.look()
        own_git.write("staged.md", "mine")
        own_git.human.git("add", "staged.md")
        await sync.integrate(await _answer(sync, head, {"answer.md": "42"}))
    assert own_git.human.git("status", "--porcelain") == "A  staged.md"


@asynchronous
async def test_a_commit_that_the_human_makes_by_hand_is_followed(own_git: Desk) -> None:
    async with own_git.sync() as sync:
        await sync.look()
        by_hand = own_git.human.save("note.md", "by hand")
        assert await sync.look([]) == by_hand
        assert await own_git.settled(sync, walk=True) == by_hand


@asynchronous
async def test_a_pending_edit_of_the_same_file_is_committed_first_and_stays_above_the_answer(
    desk: Desk,
) -> None:
    async with desk.sync() as sync:
        head = await desk.settled(sync, walk=True)
        answer = await _answer(sync, head, {"note.md": "agent's"})
        desk.write("note.md", "human's, half typed")
        done = await sync.integrate(answer)
        assert done.parked == ()
        first, *rest = desk.read("note.md").splitlines()
        assert first == "human's, half typed"
        assert any("agent's" in line for line in rest)
        assert await _text(sync, "note.md") == desk.read("note.md")
        parents = (await sync.git(sync.repository.read_commit, done.revision)).parents
        texts = {await sync.git(text_at, sync.repository, parent, "note.md") for parent in parents}
        assert texts == {"human's, half typed", "agent's"}


@asynchronous
async def test_a_pending_edit_of_another_file_waits_while_the_answer_is_written(desk: Desk) -> None:
    async with desk.sync() as sync:
        head = await desk.settled(sync, walk=True)
        desk.write("other.md", "half typed")
        answer = await _answer(sync, head, {"answer.md": "42"})
        assert (await sync.integrate(answer)).revision == answer
        assert desk.read("other.md") == "half typed"


@asynchronous
async def test_a_file_that_git_ignores_is_never_overwritten_by_an_answer(own_git: Desk) -> None:
    own_git.write(".gitignore", "private.md\n")
    own_git.write("private.md", "diary")
    own_git.human.git("add", ".gitignore")
    own_git.human.git("commit", "-q", "-m", "Ignore")
    async with own_git.sync() as sync:
        head = await sync.look()
        done = await sync.integrate(await _answer(sync, head, {"private.md": "agent's"}))
        assert done.parked == ("private.md",)
    assert own_git.read("private.md") == "diary"


@asynchronous
async def test_nothing_is_written_through_a_link_that_leads_out_of_the_folder(desk: Desk) -> None:
    outside = desk.state.parent / "outside"
    outside.mkdir()
    async with desk.sync() as sync:
        head = await desk.settled(sync, walk=True)
        (desk.path / "notes").symlink_to(outside)
        done = await sync.integrate(await _answer(sync, head, {"notes/answer.md": "42"}))
        assert done.parked == ("notes/answer.md",)
    assert list(outside.iterdir()) == []


@asynchronous
async def test_executable_bits_and_links_of_the_tree_pass_through_untouched(own_git: Desk) -> None:
    own_git.write("tool.sh", "#!/bin/sh\n")
    (own_git.path / "tool.sh").chmod(0o755)
    (own_git.path / "link.md").symlink_to("note.md")
    before = own_git.human.commit("Tools")
    async with own_git.sync() as sync:
        await sync.look()
        own_git.write("tool.sh", "#!/bin/sh\ntrue\n")
        head = await own_git.settled(sync, "tool.sh")
        await sync.integrate(await _answer(sync, head, {"answer.md": "42"}))
    listing = own_git.human.git("ls-tree", "-r", "HEAD")
    assert own_git.human.git("rev-parse", f"{before}:link.md") == own_git.human.git(
        "rev-parse", "HEAD:link.md"
    )
    assert "100755 blob" in listing
    assert "120000 blob" in listing
    assert own_git.human.git("status", "--porcelain") == ""


# -- standing back -----------------------------------------------------------------------------------------


@asynchronous
async def test_a_young_index_lock_is_waited_for(own_git: Desk) -> None:
    lock = own_git.path / ".git" / "index.lock"
    async with own_git.sync() as sync:
        head = await sync.look()
        answer = await _answer(sync, head, {"answer.md": "42"})
        lock.touch()
        with pytest.raises(Retry, match=r"index\.lock"):
            await sync.integrate(answer)
        own_git.write("note.md", "two")
        assert await own_git.settled(sync, "note.md") == head
        assert not _paused(sync)
        lock.unlink()
        await sync.integrate(answer)
        await sync.look([])
        assert await _text(sync, "note.md") == "two"


@asynchronous
async def test_an_index_lock_that_a_dead_git_left_is_moved_aside_and_work_goes_on(own_git: Desk) -> None:
    lock = own_git.path / ".git" / "index.lock"
    async with own_git.sync() as sync:
        head = await sync.look()
        answer = await _answer(sync, head, {"answer.md": "42"})
        lock.write_bytes(b"half an index")
        long_ago = lock.stat().st_mtime - timedelta(days=2).total_seconds()
        os.utime(lock, (long_ago, long_ago))
        with pytest.raises(Retry, match="a git that is dead"):
            await sync.integrate(answer)
        await sync.integrate(answer)
        assert own_git.read("answer.md") == "42"
    (kept,) = (own_git.path / ".git" / "vaultloop-damaged").iterdir()
    assert kept.read_bytes() == b"half an index"


@asynchronous
async def test_while_a_human_merges_nothing_is_committed_or_written(own_git: Desk) -> None:
    own_git.human.git("checkout", "-q", "-b", "side")
    own_git.human.save("note.md", "side")
    own_git.human.git("checkout", "-q", "main")
    head = own_git.human.save("note.md", "main")
    async with own_git.sync() as sync:
        await sync.look()
        with pytest.raises(AssertionError):
            own_git.human.git("merge", "-q", "side")
        assert await own_git.settled(sync, walk=True) == head
        assert "merge" in _paused(sync)
        with pytest.raises(Retry, match="merge"):
            await sync.integrate(await _answer(sync, head, {"answer.md": "42"}))
        own_git.human.git("merge", "--abort")
        await sync.look()
        assert not _paused(sync)


@asynchronous
async def test_another_branch_that_the_human_checks_out_is_not_committed_to(own_git: Desk) -> None:
    async with own_git.sync() as sync:
        head = await sync.look()
        own_git.human.git("checkout", "-q", "-b", "experiment")
        own_git.write("note.md", "experiment")
        assert await own_git.settled(sync, walk=True) == head
        assert "git switch main" in _paused(sync)
        own_git.human.git("checkout", "-q", "-f", "main")
        await sync.look()
        assert not _paused(sync)
        assert await _text(sync, "note.md") == "one"


@asynchronous
async def test_another_branch_in_the_folder_is_said_once_though_it_stops_the_remote_too(
    tmp_path: Path,
) -> None:
    own_git = Desk(tmp_path, own_git=True)
    origin = bare_repository(tmp_path / "vault.git")
    async with own_git.sync(origin) as sync:
        await sync.look()
        assert (await sync.push()).state is PushState.PUSHED
        other = VaultClone.of(origin, tmp_path / "other")
        other.save("other.md", "other")
        other.push()
        own_git.human.git("checkout", "-q", "-b", "experiment")
        own_git.write("note.md", "experiment")
        await own_git.settled(sync, walk=True)
        assert _paused(sync).count("git switch main") == 1
        # All that the branch has is there.
        assert (await sync.push()).state is PushState.PUSHED


@pytest.mark.parametrize("index", ["2", "4", "sparse"])
@asynchronous
async def test_what_a_sparse_checkout_takes_out_of_the_folder_is_not_deleted(
    tmp_path: Path, index: str
) -> None:
    own_git = Desk(tmp_path, own_git=True)
    for path in ("notes/a/one.md", "notes/b/two.md", "notes/b/ü.md", "other/three.md"):
        own_git.write(path, path)
    own_git.human.commit("More")
    async with own_git.sync() as sync:
        head = await sync.look()
        if index != "sparse":
            own_git.human.git("config", "index.version", index)
        own_git.human.git(
            "sparse-checkout", "set", *(["--sparse-index"] if index == "sparse" else []), "notes/a"
        )
        assert not (own_git.path / "other").exists()
        assert await own_git.settled(sync, walk=True) == head
        assert await own_git.settled(sync, "other", "notes/b/two.md", "agent") == head
        assert not _paused(sync)
        if index == "sparse":
            return
        # What is in it is edited and deleted as ever, and what is not comes back untouched.
        (own_git.path / "notes/a/one.md").unlink()
        assert await own_git.settled(sync, "notes/a/one.md") != head
        assert await _text(sync, "notes/a/one.md") is None
        assert await _text(sync, "other/three.md") == "other/three.md"
        # A change of what is left out brings that one file in.
        head = await sync.look()
        changed = {"other/three.md": "3", "notes/b/two.md": None}
        head = (await sync.integrate(await _answer(sync, head, changed))).revision
        assert own_git.read("other/three.md") == "3"
        assert await own_git.settled(sync, walk=True) == head
        assert not own_git.human.git("status", "--porcelain")
        own_git.human.git("sparse-checkout", "disable")
        assert own_git.read("notes/b/ü.md") == "notes/b/ü.md"
        head = await sync.look()
        assert await own_git.settled(sync, walk=True) == head


# -- folder and remote -------------------------------------------------------------------------------------


@asynchronous
async def test_a_remote_fills_an_empty_folder_and_both_stay_equal(tmp_path: Path) -> None:
    origin = bare_repository(tmp_path / "vault.git")
    other = VaultClone.of(origin, tmp_path / "other")
    other.save("note.md", "one")
    other.push()
    folder = tmp_path / "folder"
    folder.mkdir()
    clock = VirtualClock(NOON)
    async with Sync(tmp_path / "state", clock, remote=str(origin), folder=folder) as sync:
        await sync.look()
        assert (folder / "note.md").read_text() == "one"
        (folder / "mine.md").write_text("mine")
        await sync.look()
        await clock.advance(QUIET)
        await sync.look()
        await sync.push()
        other.pull()
        assert other.read("mine.md") == "mine"
        other.save("theirs.md", "theirs")
        other.git("rm", "-q", "note.md")
        other.git("commit", "-q", "-m", "Delete")
        other.push()
        await sync.look([])
        assert (folder / "theirs.md").read_text() == "theirs"
        assert not (folder / "note.md").exists()
        assert not _paused(sync)


@asynchronous
async def test_a_folder_whose_files_equal_the_remotes_meets_it_without_a_conflict(tmp_path: Path) -> None:
    origin = bare_repository(tmp_path / "vault.git")
    other = VaultClone.of(origin, tmp_path / "other")
    other.write("note.md", "one")
    other.write("only-there.md", "there")
    other.commit()
    other.push()
    desk = Desk(tmp_path / "desk", own_git=False)
    async with desk.sync(origin) as sync:
        await desk.settled(sync, walk=True)
        assert not _paused(sync)
        assert desk.read("only-there.md") == "there"
        assert (await sync.push()).state == "pushed"
    other.pull()
    assert other.read("agent/crons/digest.md") == "daily"


@asynchronous
async def test_a_folder_whose_files_differ_from_the_remotes_meets_it_and_no_text_is_lost(
    tmp_path: Path,
) -> None:
    origin = bare_repository(tmp_path / "vault.git")
    other = VaultClone.of(origin, tmp_path / "other")
    other.save("note.md", "another")
    other.push()
    desk = Desk(tmp_path / "desk", own_git=False)
    async with desk.sync(origin) as sync:
        await desk.settled(sync, walk=True)
        assert not _paused(sync)
        assert (await sync.push()).state == "pushed"
    assert all(text in desk.read("note.md") for text in ("one", "another"))
    assert git(origin, "show", "main:note.md") == desk.read("note.md").rstrip()


@asynchronous
async def test_an_engine_that_had_only_a_remote_fills_a_folder_that_is_set_later(tmp_path: Path) -> None:
    origin = bare_repository(tmp_path / "vault.git")
    other = VaultClone.of(origin, tmp_path / "other")
    other.save("note.md", "one")
    other.push()
    folder = tmp_path / "folder"
    folder.mkdir()
    async with Sync(tmp_path / "state", VirtualClock(NOON), remote=str(origin)) as sync:
        head = await sync.look()
    async with Sync(tmp_path / "state", VirtualClock(NOON), remote=str(origin), folder=folder) as sync:
        assert await sync.look() == head
        assert not _paused(sync)
    assert (folder / "note.md").read_text() == "one"


@asynchronous
async def test_a_remote_change_of_a_file_that_is_being_edited_is_joined_and_keeps_both(own_git: Desk) -> None:
    origin = bare_repository(own_git.state.parent / "vault.git")
    own_git.human.git("remote", "add", "origin", str(origin))
    own_git.human.push()
    other = VaultClone.of(origin, own_git.state.parent / "other")
    async with own_git.sync(origin) as sync:
        await sync.look()
        own_git.write("note.md", "here")
        other.save("note.md", "there")
        other.push()
        await sync.look(["note.md"])
        assert not _paused(sync)
        assert all(text in own_git.read("note.md") for text in ("here", "there"))
    assert own_git.human.git("status", "--porcelain") == ""


@asynchronous
async def test_a_git_that_cannot_be_written_to_is_said_and_the_edit_is_taken_later(own_git: Desk) -> None:
    objects = own_git.path / ".git" / "objects"
    async with own_git.sync() as sync:
        head = await sync.look()
        own_git.write("note.md", "two, which no object holds yet")
        objects.rename(objects.with_name("away"))
        objects.write_text("in the way of new objects")
        assert await own_git.settled(sync, "note.md") == head
        assert "free space" in _paused(sync)
        objects.unlink()
        objects.with_name("away").rename(objects)
        await own_git.settled(sync, "note.md")
        assert not _paused(sync)
        assert await _text(sync, "note.md") == "two, which no object holds yet"


# -- effort ------------------------------------------------------------------------------------------------


@asynchronous
async def test_a_bell_without_a_change_stats_only_what_was_named(desk: Desk) -> None:
    for number in range(50):
        desk.write(f"notes/{number}.md", "x")
    if desk.own_git:
        desk.human.commit()
    async with desk.sync() as sync:
        await desk.settled(sync, walk=True)
        before = (sync.effort.stats, sync.effort.walks, sync.effort.trees)
        await sync.look([])
        assert (sync.effort.stats, sync.effort.walks, sync.effort.trees) == before
        await sync.look(["notes/7.md", "notes/8.md"])
        assert (sync.effort.stats, sync.effort.walks, sync.effort.trees) == (before[0] + 2, *before[1:])


@asynchronous
async def test_a_look_at_everything_walks_once_and_reads_no_tree(desk: Desk) -> None:
    async with desk.sync() as sync:
        await desk.settled(sync, walk=True)
        walks, trees = sync.effort.walks, sync.effort.trees
        await sync.look(None)
        assert (sync.effort.walks, sync.effort.trees) == (walks + 1, trees)


@asynchronous
async def test_one_edit_among_many_costs_what_one_edit_costs(desk: Desk) -> None:
    for number in range(200):
        desk.write(f"notes/{number % 20}/{number}.md", "x")
    if desk.own_git:
        desk.human.commit()
    async with desk.sync() as sync:
        await desk.settled(sync, walk=True)
        stats, trees = sync.effort.stats, sync.effort.trees
        desk.write("notes/3/3.md", "y")
        await desk.settled(sync, "notes/3/3.md")
        assert sync.effort.stats - stats < 10
        assert sync.effort.trees - trees < 30


# -- what is no ordinary file ------------------------------------------------------------------------------


@asynchronous
async def test_a_name_that_is_not_utf_8_is_left_out_and_said_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk.sync() as sync:
        first = await desk.settled(sync, walk=True)
        Path(os.fsdecode(os.fsencode(desk.path) + b"/f\xfcr.md")).write_text("odd")
        desk.write("other.md", "two")
        assert await desk.settled(sync, walk=True) != first
        assert await _text(sync, "other.md") == "two"
        assert not _paused(sync)
    assert sum("not UTF-8" in message for message in caplog.messages) == 1


@asynchronous
async def test_a_pushed_name_that_is_not_utf_8_is_not_written_and_not_deleted(
    own_git: Desk, tmp_path: Path
) -> None:
    origin = bare_repository(tmp_path / "vault.git")
    own_git.human.git("remote", "add", "origin", str(origin))
    own_git.human.push()
    other = VaultClone.of(origin, tmp_path / "other")
    Path(os.fsdecode(os.fsencode(other.path) + b"/f\xfcr.md")).write_text("odd")
    other.save("note.md", "two")
    pushed = other.commit()
    other.push()
    async with own_git.sync(origin) as sync:
        assert await own_git.settled(sync, walk=True) == pushed
        assert own_git.read("note.md") == "two"
        assert not _paused(sync)


@asynchronous
async def test_a_pipe_where_a_commit_writes_is_not_waited_for(desk: Desk) -> None:
    async with desk.sync() as sync:
        base = await desk.settled(sync, walk=True)
        os.mkfifo(desk.path / "answer.md")
        done = await sync.integrate(await _answer(sync, base, {"answer.md": "42"}))
        assert done.parked == ("answer.md",)


# -- half-typed declarations -------------------------------------------------------------------------------


@asynchronous
async def test_a_half_typed_declaration_is_not_committed_for_the_sake_of_another_commit(desk: Desk) -> None:
    async with desk.sync() as sync:
        base = await desk.settled(sync, walk=True)
        answer = await _answer(sync, base, {"agent/crons/digest.md": "weekly"})
        desk.write("agent/crons/digest.md", "dai")
        desk.touched(sync, "agent/crons/digest.md")
        with pytest.raises(Retry, match=r"digest\.md is being edited"):
            await sync.approve(answer, "Approved")
        assert await _text(sync, "agent/crons/digest.md") == "daily"
        await desk.clock.advance(SETTLE)
        await sync.approve(answer, "Approved")
        head = await sync.git(lambda: sync.repository.head)
        assert head is not None
        history = await sync.git(lambda: list(sync.repository.log(head, 10)))
        texts = [
            await sync.git(text_at, sync.repository, each.id, "agent/crons/digest.md") for each in history
        ]
        assert "dai" in texts


# -- a disk that ignores case ------------------------------------------------------------------------------


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is one that takes `Note.md` and `note.md` for one: no such disk can be made here."""
    monkeypatch.setattr(folder_module, "ignores_case", lambda folder: True)


@pytest.mark.usefixtures("blind")
@asynchronous
async def test_a_twin_that_the_disk_cannot_hold_is_not_taken_for_deleted(
    own_git: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    own_git.write("Note.md", "another")
    own_git.human.commit()
    (own_git.path / "Note.md").unlink()
    async with own_git.sync() as sync:
        await own_git.settled(sync, walk=True)
        assert await _text(sync, "Note.md") == "another"
        assert await _text(sync, "note.md") == "one"
    assert caplog.text.count("Note.md and note.md are two files of the vault") == 1


@pytest.mark.usefixtures("blind")
@asynchronous
async def test_a_note_that_is_renamed_by_its_letters_alone_is_renamed(desk: Desk) -> None:
    async with desk.sync() as sync:
        before = await desk.settled(sync, walk=True)
        (desk.path / "note.md").rename(desk.path / "Note.md")
        await desk.settled(sync, walk=True)
        assert await _commits_since(sync, before) == [{"note.md", "Note.md"}]


@pytest.mark.usefixtures("blind")
@asynchronous
async def test_an_answer_never_overwrites_a_note_with_its_twin(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk.sync() as sync:
        base = await desk.settled(sync, walk=True)
        answer = await _answer(sync, base, {"Note.md": "agent's"})
        done = await sync.integrate(answer)
        assert done.parked == ("Note.md",)
        assert await sync.git(sync.repository.kept, f"parked/{answer}") == answer
    assert desk.read("note.md") == "one"
    assert "can hold only one of them" in caplog.text


# -- what holds the remote's commit up ---------------------------------------------------------------------


@asynchronous
async def test_a_pushed_commit_is_taken_once_what_was_staged_in_its_way_is_gone(
    own_git: Desk, tmp_path: Path
) -> None:
    origin = bare_repository(tmp_path / "vault.git")
    own_git.human.git("remote", "add", "origin", str(origin))
    own_git.human.push()
    other = VaultClone.of(origin, tmp_path / "other")
    pushed = other.save("note.md", "two")
    other.push()
    async with own_git.sync(origin) as sync:
        own_git.write("note.md", "staged")
        own_git.human.git("add", "note.md")
        own_git.write("note.md", "one")
        await own_git.settled(sync, walk=True)
        assert "cannot be written to the folder: note.md" in _paused(sync)
        own_git.human.git("reset", "-q")
        assert await sync.look((), poll=False) == pushed
        assert not _paused(sync)
        assert own_git.read("note.md") == "two"


# -- locks that stay ---------------------------------------------------------------------------------------


@asynchronous
async def test_a_lock_of_gits_that_stays_is_told_within_seconds(own_git: Desk) -> None:
    async with own_git.sync() as sync:
        first = await own_git.settled(sync, walk=True)
        rung: list[bool] = []
        sync.on_change = lambda: rung.append(True)
        (own_git.path / ".git" / "index.lock").touch()
        own_git.write("note.md", "two")
        assert await own_git.settled(sync, "note.md") == first
        await own_git.clock.advance(3)
        assert rung
        await sync.look(())
        assert "index.lock" in _paused(sync)
        (own_git.path / ".git" / "index.lock").unlink()
        assert await sync.look(()) != first
        assert not _paused(sync)


@asynchronous
async def test_a_branch_that_another_git_locked_is_told_and_no_failure(own_git: Desk) -> None:
    async with own_git.sync() as sync:
        first = await own_git.settled(sync, walk=True)
        lock = own_git.path / ".git" / "refs" / "heads" / "main.lock"
        lock.touch()
        own_git.write("note.md", "two")
        assert await own_git.settled(sync, "note.md") == first
        assert "main.lock" in _paused(sync)
        lock.unlink()
        assert await sync.look(()) != first
        assert not _paused(sync)
