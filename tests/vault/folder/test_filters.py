"""Vaults with git-crypt, LFS and submodules: what a program stands before stays as it is, byte for byte."""

import hashlib
from pathlib import Path

import pytest

from support.commits import NOON, commit
from support.git_server import bare_repository
from support.run import asynchronous
from support.vault_clone import VaultClone, git
from vaultloop.aio.clock import VirtualClock
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.sync.sync import Sync

# A filter as git-crypt is one: what lies in git is not what people see, and always the same for one text.
CRYPT = "tr 'A-Za-z' 'N-ZA-Mn-za-m'"

PICTURE = b"\x89PNG\r\n" + bytes(range(256))


def pointer(content: bytes) -> str:
    """What LFS keeps in git in the place of a file."""
    told = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{told}\nsize {len(content)}\n"


class Vault:
    """A vault at a remote with an encrypted note, a pointer and a submodule; its human has the filter."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.origin = bare_repository(place / "origin.git")
        self.human = self.clone("human")
        self.human.write(".gitattributes", "keys/** filter=crypt diff=crypt\n*.png filter=lfs -text\n")
        self.human.write("keys/bank.md", "Secret\n")
        self.human.write("note.md", "one\n")
        self.human.git("add", ".gitattributes", "keys/bank.md", "note.md")
        # Not through the filter: the program of LFS is not needed to have a pointer in git.
        self.stage("pic.png", pointer(PICTURE))
        self.human.git("update-index", "--add", "--cacheinfo", f"160000,{'a' * 40},module")
        self.human.git("commit", "-q", "-m", "Start")
        self.human.push()
        self.kept = ("keys/bank.md", "pic.png", "module", ".gitattributes")

    def clone(self, name: str) -> VaultClone:
        human = VaultClone.of(self.origin, self.place / name)
        human.git("config", "filter.crypt.clean", CRYPT)
        human.git("config", "filter.crypt.smudge", CRYPT)
        if git(self.origin, "for-each-ref"):
            human.git("reset", "-q", "--hard")
        return human

    def stage(self, path: str, raw: str) -> None:
        file = self.place / "raw"
        file.write_text(raw)
        blob = self.human.git("hash-object", "-w", "--no-filters", str(file))
        self.human.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        (self.human.path / path).write_text(raw)

    def entries(self, revision: str = "main") -> list[str]:
        return git(self.origin, "ls-tree", "-r", revision, "--", *self.kept).splitlines()


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


async def answered(sync: Sync, files: dict[str, str | None], base: str | None = None) -> None:
    head = base or await sync.git(lambda: sync.repository.head)
    await sync.integrate(await sync.git(commit, sync.repository, head, files))


@asynchronous
async def test_sessions_and_merges_beside_them_leave_them_as_they_are_without_a_checkout(
    vault: Vault,
) -> None:
    before = vault.entries()
    async with Sync(vault.place / "state", VirtualClock(NOON), remote=str(vault.origin)) as sync:
        base = await sync.look()
        await answered(sync, {"answer.md": "42"})
        vault.human.save("note.md", "two\n")
        vault.human.push()
        await sync.look()
        await answered(sync, {"note.md": "one\nagent's\n"}, base)
        assert (await sync.push()).state == "pushed"
    assert vault.entries() == before
    vault.human.pull()
    assert vault.human.read("keys/bank.md") == "Secret\n"
    assert vault.human.git("status", "--porcelain", "--ignore-submodules") == ""


@asynchronous
async def test_of_two_versions_of_an_encrypted_note_both_stay_byte_for_byte(vault: Vault) -> None:
    async with Sync(vault.place / "state", VirtualClock(NOON), remote=str(vault.origin)) as sync:
        await sync.look()
        first = await sync.git(lambda: sync.repository.head)
        other = vault.clone("other")
        other.save("keys/bank.md", "Other\n")
        theirs = other.head
        vault.human.save("keys/bank.md", "Mine\n")
        vault.human.push()
        await sync.look()
        other.git("push", "-q", "origin", "HEAD:refs/heads/side")
        await sync.git(git, sync.repository.path, "fetch", "-q", str(vault.origin), "side")
        joined = await sync.git(sync._branch.unite, theirs, "Join\n")
        assert joined == ()
        assert first is not None
        assert (await sync.push()).state == "pushed"
    paths = git(vault.origin, "ls-tree", "-r", "--name-only", "main", "--", "keys").splitlines()
    blobs = {git(vault.origin, "rev-parse", f"main:{path}") for path in paths}
    assert blobs == {
        git(vault.origin, "rev-parse", f"{each}:keys/bank.md") for each in (theirs, vault.human.head)
    }
    again = vault.clone("again")
    assert {again.read(path) for path in paths} == {"Other\n", "Mine\n"}


@pytest.mark.parametrize("own_git", [True, False], ids=["own-git", "plain"])
@asynchronous
async def test_edits_and_answers_in_a_folder_leave_them_as_they_are(vault: Vault, own_git: bool) -> None:
    before = vault.entries()
    desk = vault.clone("desk") if own_git else VaultClone(vault.place / "desk")
    desk.path.mkdir(exist_ok=True)
    clock = VirtualClock(NOON)
    async with Sync(vault.place / "state", clock, folder=desk.path, remote=str(vault.origin)) as sync:
        await sync.look()
        lying = {path: desk.read(path) for path in ("keys/bank.md", "pic.png")}
        desk.write("note.md", "edited\n")
        await answered(sync, {"answer.md": "42"})
        (desk.path / "pic.png").write_bytes(PICTURE)
        desk.write("keys/bank.md", "In plain text\n")
        await sync.look(None)
        await clock.advance(60)
        await sync.look(None)
        assert (await sync.push()).state == "pushed"
    assert vault.entries() == before
    assert git(vault.origin, "show", "main:note.md") == "edited"
    assert desk.read("keys/bank.md") == "In plain text\n"
    assert (desk.path / "pic.png").read_bytes() == PICTURE
    assert lying["pic.png"] == pointer(PICTURE)
    assert lying["keys/bank.md"] == ("Secret\n" if own_git else "Frperg\n")


@pytest.mark.parametrize("own_git", [True, False], ids=["own-git", "plain"])
@asynchronous
async def test_a_pushed_pointer_is_written_where_a_pointer_lies(vault: Vault, own_git: bool) -> None:
    desk = vault.clone("desk") if own_git else VaultClone(vault.place / "desk")
    desk.path.mkdir(exist_ok=True)
    async with Sync(
        vault.place / "state", VirtualClock(NOON), folder=desk.path, remote=str(vault.origin)
    ) as sync:
        await sync.look()
        vault.stage("pic.png", pointer(b"another"))
        vault.stage("new.png", pointer(b"new"))
        vault.human.git("commit", "-q", "-m", "Another picture")
        vault.human.push()
        assert await sync.look() == vault.human.head
        assert sync.paused is None
    assert desk.read("pic.png") == pointer(b"another")
    assert desk.read("new.png") == pointer(b"new")
    if own_git:
        assert desk.git("status", "--porcelain", "--ignore-submodules") == ""


@asynchronous
async def test_what_only_the_humans_filter_can_write_is_said_with_its_cure_and_taken_by_their_pull(
    vault: Vault,
) -> None:
    desk = vault.clone("desk")
    async with Sync(
        vault.place / "state", VirtualClock(NOON), folder=desk.path, remote=str(vault.origin)
    ) as sync:
        await sync.look()
        vault.human.save("keys/bank.md", "Changed\n")
        vault.human.push()
        await sync.look()
        assert "keys/bank.md" in (sync.paused or "")
        assert "run git pull in the folder" in (sync.paused or "")
        assert desk.read("keys/bank.md") == "Secret\n"
        desk.pull()
        assert await sync.look() == vault.human.head
        assert sync.paused is None
    assert desk.read("keys/bank.md") == "Changed\n"
    assert desk.git("status", "--porcelain", "--ignore-submodules") == ""


@asynchronous
async def test_the_engine_runs_no_program_that_a_folders_git_names(vault: Vault) -> None:
    desk = vault.clone("desk")
    trace = vault.place / "ran"
    for step in ("clean", "smudge", "process"):
        desk.git("config", f"filter.crypt.{step}", f"touch {trace}; cat")
    async with Sync(
        vault.place / "state", VirtualClock(NOON), folder=desk.path, remote=str(vault.origin)
    ) as sync:
        await sync.look()
        desk.write("keys/bank.md", "typed")
        await sync.look(None)
        await answered(sync, {"answer.md": "42"})
    assert not trace.exists()
    assert Repository.in_folder(desk.path).head
