"""What following a vault of 10,000 notes costs, in counts: what follows the change, never the vault."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pygit2
import pytest

from support.large_vault import large_vault, ordinary
from support.notes import cron
from support.run import asynchronous
from support.running import BASE, Notes, Place, Running, engine_settings, until
from support.vault_clone import VaultClone
from support.witness import Witness
from vaultloop.aio.clock import VirtualClock
from vaultloop.vault.git.effort import Effort

NOTES = 10_000
JOBS = {f"agent/crons/job-{number:02}.md": cron(schedule=f"{number} 1 * * *") for number in range(50)}
DECLARED = {**{path: text for path, text in BASE.items() if path.startswith("agent/")}, **JOBS}
A_JOB = "agent/crons/job-07.md"

# From the root to one note, before and after, twice: for the declarations' name and for their content.
FEW_TREES = 20
# The same path once: what changed in a note is looked through for conflict markers.
ON_THE_WAY = 2 * 3


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large_vault(tmp_path_factory.mktemp("large") / "vault.git", NOTES, DECLARED)


@pytest.fixture(scope="module")
def pushed_to(bare: Path) -> Place:
    """The remote, with one engine's state for all tests."""
    human = VaultClone.of(bare, bare.parent / "human")
    return Place(engine_settings(bare.parent, remote=bare), human, bare)


@pytest.fixture(scope="module", params=["with-git", "without-git"])
def watched(request: pytest.FixtureRequest, bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder, with one engine's state for all tests."""
    root = tmp_path_factory.mktemp("watched")
    human = VaultClone.of(bare, root / "vault")
    if request.param == "without-git":
        shutil.rmtree(human.path / ".git")
    return Place(engine_settings(root, folder=human.path), human)


@pytest.fixture
def witness() -> Iterator[Witness]:
    made = Witness()
    with made.around():
        yield made


@dataclass(frozen=True)
class Following:
    """An engine with its vault behind it, which counts from now on."""

    running: Running
    clock: VirtualClock
    before: Effort

    def spent(self) -> Effort:
        """The effort since the engine was ready."""
        now, before = self.running.engine.effort, self.before
        return Effort(
            parsed=now.parsed - before.parsed,
            trees=now.trees - before.trees,
            stats=now.stats - before.stats,
            walks=now.walks - before.walks,
            polls=now.polls - before.polls,
        )

    async def edited(self, notes: Notes) -> None:
        """A human saves `notes` in the folder; they settle, and the engine follows."""
        before = self.running.overview()["revision"]
        self.running.place.write(notes)
        await until(lambda: self.running.engine.sync.settling.due() is not None)
        while self.running.overview()["revision"] == before:
            await self.clock.advance(1)
            # In the time of a whole test this passes fewer seconds than lie between two walks.
            await asyncio.sleep(0.05)


@asynccontextmanager
async def following(place: Place) -> AsyncIterator[Following]:
    clock = Place.clock_of_tomorrow()
    async with place.engine(clock) as running:
        yield Following(running, clock, replace(running.engine.effort))


@asynchronous
async def test_a_start_parses_every_declaration_once_and_no_other_note(pushed_to: Place) -> None:
    async with following(pushed_to) as engine:
        assert engine.before.parsed == len(DECLARED)


@asynchronous
async def test_a_pushed_change_of_one_declaration_parses_exactly_that_note(pushed_to: Place) -> None:
    async with following(pushed_to) as engine:
        changed = await engine.running.push({A_JOB: cron(schedule="8 2 * * *")})
        assert engine.running.status("cron/job-07")["applied"] == changed
        assert engine.spent().parsed == 1
        assert engine.spent().trees < FEW_TREES


@asynchronous
async def test_a_pushed_change_of_an_ordinary_note_parses_none(pushed_to: Place) -> None:
    async with following(pushed_to) as engine:
        pushed = await engine.running.push({ordinary(4321): "# Changed\n"})
        assert engine.running.overview()["applied"] == pushed
        assert engine.spent().parsed == 0
        assert engine.spent().trees == 1 + ON_THE_WAY


@asynchronous
async def test_a_bell_without_a_change_asks_the_remote_and_touches_nothing(
    pushed_to: Place, witness: Witness
) -> None:
    async with following(pushed_to) as engine:
        with witness.watching() as seen:
            await engine.running.looks()
        assert engine.spent() == Effort(polls=1)
        assert seen == []


@asynchronous
async def test_an_edited_declaration_in_the_folder_costs_one_parse_and_no_walk(watched: Place) -> None:
    async with following(watched) as engine:
        await engine.edited({A_JOB: cron(schedule="9 3 * * *")})
        await until(lambda: engine.running.crons()["job-07"]["next"][0].endswith("03:09+00:00"))
        spent = engine.spent()
        assert (spent.parsed, spent.walks) == (1, 0)
        # Before and after it was read.
        assert spent.stats == 2


@asynchronous
async def test_an_edited_ordinary_note_in_the_folder_costs_no_parse_and_no_walk(watched: Place) -> None:
    async with following(watched) as engine:
        await engine.edited({ordinary(1234): "# Changed\n"})
        spent = engine.spent()
        assert (spent.parsed, spent.walks, spent.stats) == (0, 0, 2)


@asynchronous
async def test_a_bell_without_a_change_stats_nothing_in_the_folder(watched: Place, witness: Witness) -> None:
    async with following(watched) as engine:
        with witness.watching() as seen:
            await engine.running.looks()
        assert engine.spent() == Effort()
        assert seen == []


@asynchronous
async def test_the_witness_would_see_a_status_an_index_and_a_walk(watched: Place, witness: Witness) -> None:
    async with following(watched) as engine:
        sync = engine.running.engine.sync
        with witness.watching() as seen:
            await sync.look(None)
            with suppress(pygit2.GitError):  # a bare repository has no status to tell
                await sync.git(sync.repository.handle.status)
            await sync.git(lambda: sync.repository.handle.index)
        assert {"scandir", "status", "index"} <= set(seen)
        assert engine.spent().walks == 1
