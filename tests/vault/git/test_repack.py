"""The nightly repack: fewer files, every object still there, whenever it is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from support.commits import NOON, commit
from support.git_server import bare_repository
from support.run import asynchronous
from support.vault_clone import VaultClone, git
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.failpoint import VARIABLE
from vaultloop.vault.git import repack as module
from vaultloop.vault.git.repack import MOST_PACKS, Repacked, is_due, next_night, repack
from vaultloop.vault.git.repository import Repository

COMMAND = (sys.executable, "-m", "vaultloop.vault.git.repack")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository after many fetches and sessions, with commits that no branch has."""
    place = tmp_path_factory.mktemp("used")
    origin = bare_repository(place / "origin.git")
    human = VaultClone.of(origin, place / "human")
    repository = Repository.bare(place / "vault.git")
    remote = repository.handle.remotes.create_anonymous(str(origin))
    for number in range(MOST_PACKS + 2):
        human.save("note.md", f"{number}\n" * 50)
        human.push()
        remote.fetch([f"+refs/heads/main:refs/vaultloop/remote/x/{number}"])
    parked = commit(repository, human.head, {"answer.md": "parked"})
    repository.keep("parked/1", parked)
    commit(repository, human.head, {"answer.md": "no reference names this"})
    repository.handle.create_reference("refs/heads/main", human.head)
    return repository.path


@pytest.fixture
def vault(used: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "vault.git"
    git(tmp_path, "init", "-q", "--bare", "--initial-branch=main", str(copy))
    subprocess.run(["cp", "-a", f"{used}/.", str(copy)], check=True)
    return copy


def every_object(vault: Path) -> set[str]:
    return set(git(vault, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").splitlines())


def packs(vault: Path) -> list[Path]:
    return list((vault / "objects" / "pack").glob("*.pack"))


def test_many_packs_and_loose_objects_become_one_pack_and_nothing_is_pruned(vault: Path) -> None:
    before, many = every_object(vault), len(packs(vault))
    done = repack(vault)
    assert (done.objects, done.packs, done.loose > 0) == (len(before), many, True)
    assert every_object(vault) == before
    assert len(packs(vault)) == 1
    assert not list((vault / "objects").glob("??/*"))
    git(vault, "fsck", "--strict", "--full")


def test_a_second_run_does_nothing_and_no_process_is_started_for_it(vault: Path) -> None:
    assert is_due(vault)
    repack(vault)
    assert repack(vault) == Repacked()
    assert not is_due(vault)


def test_an_open_repository_goes_on_reading_and_writing(vault: Path) -> None:
    repository = Repository.bare(vault)
    head = repository.head
    assert head is not None
    oldest = list(repository.log(head, 100))[-1].id
    repack(vault)
    files = repository.files(oldest)
    entry = files.entry("note.md")
    assert entry is not None
    assert files.read(entry) == b"0\n" * 50
    assert repository.has(commit(repository, head, {"answer.md": "after"}))


def test_a_large_pack_is_left_alone(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PACKS", 2)
    repository = Repository.bare(vault)
    head = repository.head
    sizes = [200_000, 3000, 3000, 3000]
    for number, size in enumerate(sizes):
        head = commit(repository, head, {f"{number}.md": os.urandom(size).hex()})
        repository.keep(f"made/{number}", head)
        git(vault, "repack", "-dq")
    large = max(packs(vault), key=lambda pack: pack.stat().st_size)
    before = every_object(vault)
    assert repack(vault).packs > 3
    assert large in packs(vault)
    assert len(packs(vault)) == 2
    assert every_object(vault) == before


POINTS = ["pack-written", "pack-installed", "pack-removed", "pack-removed:7", "loose-removed"]


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_step_every_object_is_there_and_the_next_night_ends_it(vault: Path, point: str) -> None:
    before = every_object(vault)
    done = subprocess.run([*COMMAND, str(vault)], env=os.environ | {VARIABLE: point}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert every_object(vault) == before
    repack(vault)
    assert every_object(vault) == before
    assert not (vault / "objects" / "vaultloop-pack").exists()
    assert not [each for each in (vault / "objects" / "pack").iterdir() if "removing" in each.name]
    git(vault, "fsck", "--strict", "--full")


def test_a_damaged_object_removes_nothing(vault: Path) -> None:
    loose = next((vault / "objects").glob("??/*"))
    loose.chmod(0o644)
    loose.write_bytes(b"")
    many = len(packs(vault))
    done = subprocess.run([*COMMAND, str(vault)], capture_output=True, check=False)
    assert done.returncode == 1
    assert len(packs(vault)) == many


def test_it_begins_between_three_and_five_by_the_clock_on_the_wall() -> None:
    for hour in range(24):
        now = NOON + timedelta(hours=hour)
        for share in (0.0, 0.99):
            night = next_night(now, share)
            assert 3 <= night.hour < 5
            assert timedelta() < night - now <= timedelta(days=1)


@asynchronous
async def test_at_night_it_waits_until_the_engine_is_idle(vault: Path) -> None:
    clock, busy = VirtualClock(datetime(2026, 11, 22, 12).astimezone()), [True]
    task = asyncio.create_task(module.nightly(vault, clock, lambda: not busy[0], lambda: 0.5), name="nightly")
    many = len(packs(vault))
    await clock.advance(16.5 * 3600)
    assert len(packs(vault)) == many
    busy.clear()
    busy.append(False)
    await clock.advance(module.LOOK_AGAIN)
    while len(packs(vault)) > 1 or (vault / "objects" / "pack" / "vaultloop-removing").exists():
        await asyncio.to_thread(os.sched_yield)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    git(vault, "fsck", "--strict", "--full")
