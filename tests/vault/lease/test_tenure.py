"""A tenure over a real remote: what it costs, and that two who write at once do not both believe it."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from simulation.wire import MemoryRemote, OwnReferences, Wire
from support.commits import NOON, commit
from support.git_server import bare_repository, git_server
from support.run import asynchronous
from support.vault_clone import VaultClone
from vaultloop.aio.clock import SystemClock, VirtualClock
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.lease.lease import REFERENCE, Bearer
from vaultloop.vault.lease.tenure import Tenure
from vaultloop.vault.sync.sync import Sync
from vaultloop.vault.transport.remote import RefusedError

PERIOD = timedelta(seconds=5)


def bearer(name: str) -> Bearer:
    return Bearer(name, "here")


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    remote = bare_repository(tmp_path / "vault.git")
    human = VaultClone.of(remote, tmp_path / "human")
    human.save("Home.md", "# Home\n")
    human.push()
    return remote


@asynchronous
async def test_an_unchanged_lease_costs_a_poll_nothing(tmp_path: Path, remote: Path) -> None:
    with git_server(remote.parent) as server:
        url, clock = server.url("vault.git"), VirtualClock(NOON)
        async with Sync(tmp_path / "state", clock, remote=url) as sync:
            tenure = Tenure(sync, bearer("anna"), remote=url, period=PERIOD, clock=clock)
            await tenure.taken()
            async with tenure.kept():
                before = len(server.requests)
                for _ in range(5):
                    await sync.poll()
                    await clock.advance(5)
                assert tenure.acting
        asked = server.requests[before:]
        assert [(method, "info/refs" in path) for method, path in asked] == [("GET", True)] * 5


@asynchronous
async def test_of_those_who_write_at_once_one_is_first_also_at_a_path(tmp_path: Path, remote: Path) -> None:
    clock = SystemClock()
    async with (
        Sync(tmp_path / "a", clock, remote=str(remote)) as one,
        Sync(tmp_path / "b", clock, remote=str(remote)) as other,
    ):
        tenures = [
            Tenure(sync, bearer(name), remote=str(remote), period=timedelta(seconds=0.3), clock=clock)
            for sync, name in ((one, "anna"), (other, "bert"))
        ]
        taking = [asyncio.ensure_future(tenure.taken()) for tenure in tenures]
        await asyncio.wait(taking, return_when=asyncio.FIRST_COMPLETED)
        [first] = [tenure for tenure in tenures if tenure.acting]
        async with first.kept():
            while not first.lost.is_set():
                await one.poll()
                await other.poll()
        assert not first.acting
        for task in taking:
            task.cancel()


@pytest.mark.parametrize("what", ["a file", "a folder", "a tag", "a commit of somebody's"])
@asynchronous
async def test_what_is_no_lease_at_its_place_ends_no_engine(tmp_path: Path, remote: Path, what: str) -> None:
    human = VaultClone.of(remote, tmp_path / "other")
    human.git("tag", "-a", "-m", "Release", "v1")
    human.git("push", "-q", "origin", f"{_FOREIGN[what]}:{REFERENCE}")
    clock, period = SystemClock(), timedelta(seconds=0.1)
    async with Sync(tmp_path / "state", clock, remote=str(remote)) as sync:
        tenure = Tenure(sync, bearer("anna"), remote=str(remote), period=period, clock=clock)
        taking = asyncio.ensure_future(tenure.taken())
        await asyncio.wait({taking, asyncio.ensure_future(tenure.waits.wait())}, timeout=10)
        if what.startswith("a commit"):
            await taking
            assert tenure.acting
        else:
            assert tenure.waits.is_set()
            assert "could not be claimed" in tenure.tenancy.why
            human.git("push", "-q", "origin", f":{REFERENCE}")
            await taking
            assert tenure.acting


_FOREIGN = {
    "a file": "HEAD:Home.md",
    "a folder": "HEAD^{tree}",
    "a tag": "v1",
    "a commit of somebody's": "HEAD",
}


# Both kinds of a way to the remote keep one contract.

Way = Callable[[Path], AbstractAsyncContextManager[tuple[Sync, list[str]]]]


@asynccontextmanager
async def real(root: Path) -> AsyncIterator[tuple[Sync, list[str]]]:
    remote = bare_repository(root / "contract.git")
    async with Sync(root / "state", VirtualClock(NOON), remote=str(remote)) as sync:
        made = [await sync.git(commit, sync.repository, None, {"n": str(number)}) for number in range(2)]
        yield sync, made


@asynccontextmanager
async def in_memory(root: Path) -> AsyncIterator[tuple[Sync, list[str]]]:
    repository = Repository.bare(root / "objects.git")
    wire = Wire(MemoryRemote(), OwnReferences(repository), VirtualClock(NOON), random.Random(1))
    wire.delay = 0.0
    made = [commit(repository, None, {"n": str(number)}) for number in range(2)]
    yield cast("Sync", wire), made


@pytest.mark.parametrize("way", [real, in_memory])
def test_a_reference_is_set_only_from_where_it_is(tmp_path: Path, way: Way) -> None:
    asyncio.run(_contract(way, tmp_path))


async def _contract(way: Way, root: Path) -> None:
    async with way(root) as (sync, (first, second)):
        told: list[Mapping[str, str]] = []
        sync.on_heads = told.append
        await sync.poll()
        assert REFERENCE not in told[-1]
        await sync.set_reference(REFERENCE, first, None)
        with pytest.raises(RefusedError):
            await sync.set_reference(REFERENCE, second, None)
        with pytest.raises(RefusedError):
            await sync.set_reference(REFERENCE, second, second)
        await sync.poll()
        assert told[-1][REFERENCE] == first
        assert await sync.fetch_reference(REFERENCE) == first
        assert (sync.remote_trouble, sync.asked) == (None, NOON)
        sync.repository.keep("lease/x", first)
        assert sync.repository.kept("lease/x") == first
        assert sync.repository.kept("lease/y") is None
