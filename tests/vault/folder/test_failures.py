"""Every failure of disk and repository that we know of, made to happen.

Nothing is lost, it is said in a sentence, and it heals by itself afterwards. The other rows of that table are
elsewhere: lost races and rewritten histories in `test_sync` and `test_lineage`, a kill at each step in
`test_checkout`, what a human has staged in `test_folder`.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.commits import NOON, commit, text_at
from support.git_server import bare_repository
from support.run import asynchronous
from support.vault_clone import VaultClone, git
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.errors import Retry, Stalled
from vaultloop.vault.git.repair import ASIDE
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.ignore import TEMPORARY
from vaultloop.vault.sync.sync import BARE_NAME, Sync

QUIET = 60
LONG_AGO = 2 * 24 * 3600
NAMES = ("note.md", "notes/deep.md", "agent/crons/digest.md")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("prepared") / "folder"
    human = VaultClone.fresh(place)
    for name in NAMES:
        human.write(name, f"{name}: one\n")
    human.commit("Start")
    human.save("note.md", "note.md: two\n")
    return place


@pytest.fixture
def human(prepared: Path, tmp_path: Path) -> VaultClone:
    """A folder with its own git."""
    return _copied(prepared, tmp_path / "folder")


def _copied(prepared: Path, place: Path) -> VaultClone:
    shutil.copytree(prepared, place)
    human = VaultClone(place)
    human.git("update-index", "-q", "--refresh")
    return human


def opened(human: VaultClone, remote: Path | None = None, state: Path | None = None) -> Sync:
    state = state or human.path.parent / "state"
    return Sync(state, VirtualClock(NOON), folder=human.path, remote=str(remote) if remote else None)


async def answered(sync: Sync, files: dict[str, str | None]) -> str:
    """What a session's answer amounts to, brought onto the branch; returns where that is then."""
    head = await sync.git(lambda: sync.repository.head)
    made = await sync.git(commit, sync.repository, head, files)
    return (await sync.integrate(made)).revision


async def taken(sync: Sync) -> str | None:
    """Every edit that lies in the folder, once it has settled."""
    await sync.look(None)
    clock = sync._clock
    assert isinstance(clock, VirtualClock)
    await clock.advance(QUIET)
    return await sync.look(None)


# -- the index ---------------------------------------------------------------------------------------------

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[: len(data) // 2],
    "zeroed": lambda data: bytes(len(data)),
    "empty": lambda data: b"",
    "bit flip": lambda data: data[:50] + bytes([data[50] ^ 4]) + data[51:],
}


@pytest.mark.parametrize("damage", [*DAMAGES, "missing"])
@pytest.mark.parametrize("when", ["before the start", "while it runs"])
@asynchronous
async def test_a_damaged_index_is_made_anew_and_no_file_is_touched(
    human: VaultClone, damage: str, when: str
) -> None:
    index = human.path / ".git" / "index"
    human.write("untracked.md", "kept")

    def hurt() -> None:
        if damage == "missing":
            index.unlink()
        else:
            index.write_bytes(DAMAGES[damage](index.read_bytes()))

    if when == "before the start":
        hurt()
    async with opened(human) as sync:
        if when == "while it runs":
            hurt()
        await answered(sync, {"answer.md": "42"})
        await sync.look([])
        assert ("damaged" in (sync.attention or "")) == (damage != "missing")
    assert human.git("status", "--porcelain") == "?? untracked.md"
    assert human.read("answer.md") == "42"
    assert human.read("note.md") == "note.md: two\n"
    human.git("fsck", "--strict")
    human.save("untracked.md", "kept")
    assert human.git("show", "HEAD:answer.md") == "42"


@pytest.mark.parametrize("damage", DAMAGES)
@asynchronous
async def test_an_edit_is_taken_though_the_index_was_damaged_meanwhile(
    human: VaultClone, damage: str
) -> None:
    index = human.path / ".git" / "index"
    async with opened(human) as sync:
        await taken(sync)
        index.write_bytes(DAMAGES[damage](index.read_bytes()))
        human.write("note.md", "three\n")
        head = await taken(sync)
        assert head is not None
        assert await sync.git(text_at, sync.repository, head, "note.md") == "three\n"
        assert sync.paused is None
        assert "made anew" in (sync.attention or "")
    assert human.git("status", "--porcelain") == ""


# -- locks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["index", "HEAD", "config", "packed-refs", "refs/heads/main"])
@asynchronous
async def test_a_lock_that_a_dead_git_left_is_set_aside_at_the_start(human: VaultClone, name: str) -> None:
    lock = human.path / ".git" / f"{name}.lock"
    lock.write_bytes(b"half")
    os.utime(lock, times=(time.time() - LONG_AGO,) * 2)
    async with opened(human) as sync:
        assert "was left by a git that is dead" in (sync.attention or "")
        await answered(sync, {"answer.md": "42"})
    human.save("note.md", "three")
    kept = list((human.path / ".git" / ASIDE).iterdir())
    assert [file.read_bytes() for file in kept] == [b"half"]


@pytest.mark.parametrize("name", ["index", "refs/heads/main"])
@asynchronous
async def test_a_young_lock_is_somebody_elses_and_is_waited_for(human: VaultClone, name: str) -> None:
    lock = human.path / ".git" / f"{name}.lock"
    lock.touch()
    async with opened(human) as sync:
        before = human.head
        with pytest.raises(Retry, match=r"\.lock"):
            await answered(sync, {"answer.md": "42"})
        assert human.head == before
        assert not (human.path / "answer.md").exists()
        assert lock.exists()
        lock.unlink()
        await answered(sync, {"answer.md": "42"})
    assert human.git("status", "--porcelain") == ""


# -- references and objects --------------------------------------------------------------------------------


@asynchronous
async def test_a_branch_file_that_a_power_cut_left_empty_is_put_right_and_said(human: VaultClone) -> None:
    head = human.head
    (human.path / ".git/refs/heads/main").write_bytes(b"")
    async with opened(human) as sync:
        assert "refs/heads/main was damaged" in (sync.attention or "")
        assert await taken(sync) == head
    assert human.git("status", "--porcelain") == ""


@asynchronous
async def test_the_engines_own_repository_knows_where_an_emptied_branch_was(tmp_path: Path) -> None:
    origin = bare_repository(tmp_path / "origin.git")
    human = VaultClone.of(origin, tmp_path / "human")
    human.save("note.md", "one")
    human.push()
    state = tmp_path / "state"
    async with Sync(state, VirtualClock(NOON), remote=str(origin)) as sync:
        await sync.look()
        head = await answered(sync, {"answer.md": "not pushed yet"})
    (state / BARE_NAME / "refs/heads/main").write_bytes(b"")
    async with Sync(state, VirtualClock(NOON), remote=str(origin)) as sync:
        assert await sync.look() == head
        assert (await sync.push()).state == "pushed"
    assert git(origin, "show", "main:answer.md") == "not pushed yet"


def _loose(git_dir: Path, name: str) -> Path:
    found = git(git_dir, "rev-parse", name)
    return git_dir / "objects" / found[:2] / found[2:]


def _unpack(git_dir: Path, away: Path) -> None:
    """Give each object of its only pack a file of its own."""
    (pack,) = (git_dir / "objects" / "pack").glob("*.pack")
    pack.with_suffix(".idx").unlink()
    with pack.rename(away).open("rb") as content:
        subprocess.run(["git", "-C", str(git_dir), "unpack-objects", "-q"], stdin=content, check=True)


def _empty(file: Path) -> None:
    file.chmod(0o644)
    file.write_bytes(b"")


@asynchronous
async def test_an_empty_object_of_the_folder_comes_again_from_the_folder(human: VaultClone) -> None:
    _empty(_loose(human.path / ".git", "HEAD:note.md"))
    async with opened(human) as sync:
        assert "is there again" in (sync.attention or "")
        await answered(sync, {"answer.md": "42"})
    human.git("fsck", "--strict")
    assert human.git("status", "--porcelain") == ""


@pytest.mark.parametrize("name", ["HEAD:note.md", "HEAD^{tree}", "HEAD", "HEAD~1", "HEAD~1:notes/deep.md"])
@asynchronous
async def test_an_empty_object_comes_again_from_the_remote(
    human: VaultClone, tmp_path: Path, name: str
) -> None:
    origin = bare_repository(tmp_path / "origin.git")
    human.git("remote", "add", "origin", str(origin))
    human.push()
    state = tmp_path / "state"
    async with Sync(state, VirtualClock(NOON), remote=str(origin)) as sync:
        head = await sync.look()
    bare = state / BARE_NAME
    assert git(bare, "count-objects").split()[0] == "0"
    _unpack(bare, tmp_path / "away")
    _empty(_loose(bare, name))
    async with Sync(state, VirtualClock(NOON), remote=str(origin)) as sync:
        assert "is there again" in (sync.attention or "")
        assert await sync.look() == head
        await answered(sync, {"answer.md": "42"})
    git(bare, "fsck", "--strict")


@asynchronous
async def test_an_object_that_is_nowhere_is_said_with_its_cure_which_works(
    human: VaultClone, tmp_path: Path
) -> None:
    copy = _copied(human.path, tmp_path / "copy")
    _empty(_loose(human.path / ".git", "HEAD~1:note.md"))
    with pytest.raises(Stalled, match=r"Copy what is in \.git/objects of another clone"):
        async with opened(human):
            pass
    shutil.copytree(copy.path / ".git" / "objects", human.path / ".git" / "objects", dirs_exist_ok=True)
    async with opened(human) as sync:
        await answered(sync, {"answer.md": "42"})
    human.git("fsck", "--strict")


# -- torn notes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", ["", "note.md: t"], ids=["empty", "half"])
@asynchronous
async def test_a_note_that_an_editor_left_torn_is_the_humans_and_the_old_text_stays_in_the_history(
    human: VaultClone, torn: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(human) as sync:
        before = await taken(sync)
        human.write("note.md", torn)
        head = await taken(sync)
        assert before is not None
        assert head is not None
        assert await sync.git(text_at, sync.repository, head, "note.md") == torn
        assert await sync.git(text_at, sync.repository, before, "note.md") == "note.md: two\n"
    told = [record.getMessage() for record in caplog.records if "is empty now" in record.getMessage()]
    assert len(told) == (torn == "")
    assert all("git show" in sentence for sentence in told)


# -- a full disk -------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("only root can make a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, free: int) -> Path:
    """Leave only so many bytes."""
    ballast = disk / f"{TEMPORARY}ballast"
    ballast.unlink(missing_ok=True)
    info = os.statvfs(disk)
    ballast.write_bytes(bytes(max(0, info.f_bavail * info.f_frsize - free)))
    return ballast


def states(human: VaultClone) -> dict[str, str]:
    files = (file for file in human.path.rglob("*") if file.is_file() and ".git" not in file.parts)
    return {str(file.relative_to(human.path)): file.read_text() for file in files}


@asynchronous
async def test_an_answer_that_does_not_fit_the_disk_changes_nothing_and_is_written_once_there_is_room(
    prepared: Path, small_disk: Path, tmp_path: Path
) -> None:
    human = _copied(prepared, small_disk / "folder")
    files: dict[str, str | None] = {f"{number}.md": "x" * 20_000 for number in range(20)}
    async with opened(human, state=tmp_path / "state") as sync:
        before, lying = await taken(sync), states(human)
        made = await sync.git(commit, sync.repository, before, files)
        ballast = fill(small_disk, 300_000)
        with pytest.raises(Retry, match=r"is full: .* Free some space; then it goes on by itself"):
            await sync.integrate(made)
        assert human.head == before
        assert states(human) == lying
        ballast.unlink()
        assert (await sync.integrate(made)).revision == made
    assert states(human) == {**lying, **files}
    assert human.git("status", "--porcelain") == ""


@asynchronous
async def test_however_full_the_disk_is_an_edit_is_taken_whole_or_not_at_all_and_later_for_sure(
    prepared: Path, small_disk: Path, tmp_path: Path
) -> None:
    human = _copied(prepared, small_disk / "folder")
    refused = 0
    async with opened(human, state=tmp_path / "state") as sync:
        before = await taken(sync)
        for pages in range(12):
            text = f"written with {pages} pages free\n" * 200
            human.write("note.md", text)
            ballast = fill(small_disk, pages * 4096)
            head = await taken(sync)
            refused += head == before
            assert human.read("note.md") == text
            if head == before:
                assert re.search("free space|No space left", sync.paused or "")
            ballast.unlink()
            head = await taken(sync)
            assert sync.paused is None
            assert head is not None
            assert await sync.git(text_at, sync.repository, head, "note.md") == text
            assert human.git("status", "--porcelain") == "", pages
            before = head
    assert refused
    human.git("fsck", "--strict")


@asynchronous
async def test_a_full_disk_under_the_engines_state_refuses_an_answer_and_takes_it_later(
    small_disk: Path, tmp_path: Path
) -> None:
    origin = bare_repository(tmp_path / "origin.git")
    human = VaultClone.of(origin, tmp_path / "human")
    human.save("note.md", "one")
    human.push()
    async with Sync(small_disk / "state", VirtualClock(NOON), remote=str(origin)) as sync:
        head = await sync.look()
        other = human.save("there.md", "meanwhile")
        human.push()
        ballast = fill(small_disk, 0)
        await sync.look()
        assert await sync.git(lambda: sync.repository.head) == head
        assert sync.remote_trouble or sync.paused
        ballast.unlink()
        assert await sync.look() == other
        assert (sync.remote_trouble, sync.paused) == (None, None)
        await answered(sync, {"answer.md": "42"})
    git(small_disk / "state" / BARE_NAME, "fsck", "--strict")
    assert Repository.bare(small_disk / "state" / BARE_NAME).head is not None
