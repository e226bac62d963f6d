"""What humans save in the folder becomes commits; what is too large or not trusted stays out and is told."""

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import pytest

from support.commits import NOON, text_at
from support.run import asynchronous
from support.vault_clone import VaultClone
from vaultloop.aio.clock import VirtualClock
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.sync.sync import Sync
from vaultloop.vault.sync.trust import Trust

LIMIT = 1000
AT_ONCE = timedelta(0)


class Signed(Trust):
    """A trust that knows of each path whether somebody has signed for it.

    Attributes:
        unsigned: paths whose edits do not count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unsigned: set[str] = set()

    def withheld(self, repository: Repository, head: str | None, paths: Collection[str]) -> tuple[str, ...]:
        return tuple(path for path in paths if path in self.unsigned)


class Desk:
    """A watched folder, with its own git or without, and its engine's state."""

    def __init__(self, folder: Path, *, own_git: bool) -> None:
        self.watched, self.state = folder / "watched", folder / "state"
        self.trust = Signed()
        if own_git:
            VaultClone.fresh(self.watched).save("note.md", "one\n")
        else:
            self.watched.mkdir()
            self.write("note.md", "one\n")

    def sync(self, limit: int = LIMIT) -> Sync:
        return Sync(
            self.state,
            VirtualClock(NOON),
            folder=self.watched,
            settle=AT_ONCE,
            quiet=AT_ONCE,
            trust=self.trust,
            largest_file=limit,
        )

    def write(self, path: str, text: str) -> None:
        file = self.watched / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture(params=[True, False], ids=["own-git", "plain"])
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Desk:
    return Desk(tmp_path, own_git=request.param)


async def committed(sync: Sync, path: str) -> str | None:
    head = await sync.git(lambda: sync.repository.head)
    assert head is not None
    return await sync.git(text_at, sync.repository, head, path)


@asynchronous
async def test_a_file_over_the_limit_is_not_even_stored_and_is_told_until_it_fits(desk: Desk) -> None:
    async with desk.sync() as sync:
        await sync.look()
        desk.write("film.csv", "x" * (LIMIT + 1))
        desk.write("small.csv", "x" * LIMIT)
        await sync.look({"film.csv", "small.csv"})
        assert await committed(sync, "film.csv") is None
        assert await committed(sync, "small.csv") == "x" * LIMIT
        assert "at most 1,000 bytes: film.csv (1,001 bytes)" in (sync.attention or "")
        assert "git LFS" in (sync.attention or "")
        assert not sync.paused
        await sync.look(set())
        assert "film.csv" in (sync.attention or "")
        stored = await sync.git(lambda: len(list(sync.repository.handle)))
        await sync.look()
        assert await sync.git(lambda: len(list(sync.repository.handle))) == stored
        desk.write("film.csv", "shorter")
        await sync.look({"film.csv"})
        assert await committed(sync, "film.csv") == "shorter"
        assert not sync.attention


@asynchronous
async def test_a_file_over_the_limit_that_goes_away_is_told_no_longer(desk: Desk) -> None:
    async with desk.sync() as sync:
        await sync.look()
        desk.write("film.csv", "x" * 2 * LIMIT)
        await sync.look()
        assert "film.csv" in (sync.attention or "")
        (desk.watched / "film.csv").unlink()
        await sync.look({"film.csv"})
        assert not sync.attention


@asynchronous
async def test_a_large_file_that_the_vault_has_already_may_be_moved(desk: Desk) -> None:
    async with desk.sync() as sync:
        await sync.look()
        desk.write("film.csv", "x" * LIMIT)
        await sync.look()
    async with desk.sync(limit=10) as sync:
        await sync.look()
        assert not sync.attention
        (desk.watched / "film.csv").rename(desk.watched / "moved.csv")
        await sync.look()
        assert await committed(sync, "moved.csv") == "x" * LIMIT
        assert not sync.attention


@asynchronous
async def test_an_edit_that_nobody_trusted_has_signed_stays_out_until_it_may_come(desk: Desk) -> None:
    desk.trust.unsigned.add("agent/crons/digest.md")
    async with desk.sync() as sync:
        await sync.look()
        desk.write("agent/crons/digest.md", "kind: cron\n")
        desk.write("log.md", "a line\n")
        await sync.look({"agent/crons/digest.md", "log.md"})
        assert await committed(sync, "agent/crons/digest.md") is None
        assert await committed(sync, "log.md") == "a line\n"
        assert "nobody trusted has signed it: agent/crons/digest.md" in (sync.attention or "")
        await sync.look(set())
        assert "agent/crons/digest.md" in (sync.attention or "")
        desk.trust.unsigned.clear()
        # Nothing was touched in the folder: who is trusted is written elsewhere.
        await sync.look(set())
        assert await committed(sync, "agent/crons/digest.md") == "kind: cron\n"
        assert not sync.attention


@asynchronous
async def test_a_merge_in_the_folders_own_git_that_left_a_declaration_as_before_both_holds_it(
    tmp_path: Path,
) -> None:
    desk, cron = Desk(tmp_path, own_git=True), "agent/crons/digest.md"
    human = VaultClone(desk.watched)
    base = human.save(cron, "kind: cron\n")
    human.git("switch", "-q", "-c", "there")
    human.save(cron, "kind: cron # there\n")
    human.git("switch", "-q", "main")
    async with desk.sync() as sync:
        await sync.look()
        human.save(cron, "kind: cron # here\n")
        human.git("merge", "-q", "-s", "ours", "--no-commit", "there")
        human.git("checkout", base, "--", cron)
        human.git("commit", "-q", "-m", "Other work")
        await sync.look()
        assert f"{cron} was changed in two ways at once" in (sync.attention or "")
        human.save(cron, "kind: cron # decided\n")
        await sync.look()
        assert not sync.attention


@asynchronous
async def test_conflict_markers_that_were_saved_in_a_note_go_and_both_texts_stay(desk: Desk) -> None:
    marked = "begin\n<<<<<<< HEAD\nmine\n=======\ntheirs\n>>>>>>> origin/main\nend\n"
    async with desk.sync() as sync:
        await sync.look()
        desk.write("note.md", marked)
        await sync.look({"note.md"})
        lying = (desk.watched / "note.md").read_text()
        assert await committed(sync, "note.md") == lying
        assert all(line in lying for line in ("begin\n", "mine\n", "theirs\n", "end\n"))
        assert "<<<<<<<" not in lying
        head = await sync.git(lambda: sync.repository.head)
        assert head is not None
        mend = await sync.git(sync.repository.read_commit, head)
        assert mend.subject == "Take conflict markers out of note.md"
        assert await sync.git(text_at, sync.repository, mend.parents[0], "note.md") == marked
        assert await sync.look() == head
