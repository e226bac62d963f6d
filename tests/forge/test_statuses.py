"""What the forge is shown: each new state of a revision once, across restarts too."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.supervise import background
from vaultloop.forge.api import State, Verdict
from vaultloop.forge.statuses import FIRST_PAUSE, MOST_REMEMBERED, Statuses
from vaultloop.model.errors import Retry, Stalled
from vaultloop.state.database import Database

APPLIED = Verdict("a" * 40, State.APPLIED, "Applied.")
HELD = Verdict("a" * 40, State.HELD, "Deletes wait.")
NEXT = Verdict("b" * 40, State.APPLIED, "Applied.")


class Page:
    """A forge that keeps the contract, and fails as it is told to."""

    def __init__(self) -> None:
        self.shown: list[Verdict] = []
        self.fails: list[Retry | Stalled] = []

    async def show(self, verdict: Verdict) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.shown.append(verdict)


class Run:
    """Statuses that run in virtual time."""

    def __init__(self, page: Page, database: Database) -> None:
        self.clock = VirtualClock(datetime(2026, 11, 22, tzinfo=UTC))
        self.pushed = {APPLIED.revision, NEXT.revision}
        self.statuses = Statuses(page, database, self.clock, lambda revision: revision in self.pushed)

    async def show(self, *verdicts: Verdict) -> None:
        for verdict in verdicts:
            self.statuses.show(verdict)
            for _ in range(10):
                await asyncio.sleep(0)


@asynccontextmanager
async def run(page: Page, root: Path) -> AsyncIterator[Run]:
    with Database(root / "engine.db") as database:
        made = Run(page, database)
        async with background("statuses", made.statuses.run()):
            yield made


@asynchronous
async def test_each_state_of_a_revision_is_shown_once_also_after_a_restart(tmp_path: Path) -> None:
    page = Page()
    async with run(page, tmp_path) as engine:
        await engine.show(APPLIED, APPLIED, HELD, HELD, APPLIED, NEXT)
    async with run(page, tmp_path) as engine:
        await engine.show(NEXT, NEXT)
    assert page.shown == [APPLIED, HELD, APPLIED, NEXT]


@asynchronous
async def test_a_revision_is_shown_once_the_forge_has_it(tmp_path: Path) -> None:
    page = Page()
    async with run(page, tmp_path) as engine:
        engine.pushed.clear()
        await engine.show(APPLIED)
        assert page.shown == []
        engine.pushed.add(APPLIED.revision)
        await engine.show(APPLIED)
    assert page.shown == [APPLIED]


@asynchronous
async def test_a_forge_that_cannot_just_now_is_asked_again_and_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page = Page()
    page.fails = [Retry("The forge sleeps."), Retry("The forge sleeps.")]
    caplog.set_level(logging.INFO)
    async with run(page, tmp_path) as engine:
        await engine.show(APPLIED)
        await engine.clock.advance(FIRST_PAUSE)
        await engine.clock.advance(FIRST_PAUSE * 2)
    assert page.shown == [APPLIED]
    messages = [record.message for record in caplog.records]
    assert messages == ["The forge sleeps.", "the forge shows commit statuses again"]


@asynchronous
async def test_a_forge_that_refuses_is_not_asked_again_before_the_next_revision(tmp_path: Path) -> None:
    page = Page()
    page.fails = [Stalled("No.", cure="Ask.")]
    async with run(page, tmp_path) as engine:
        await engine.show(APPLIED, APPLIED)
        await engine.clock.advance(3600)
        assert page.shown == []
        await engine.show(NEXT)
    assert page.shown == [NEXT]


@asynchronous
async def test_what_is_remembered_does_not_grow_for_ever(tmp_path: Path) -> None:
    page = Page()
    async with run(page, tmp_path) as engine:
        for number in range(MOST_REMEMBERED + 5):
            revision = f"{number:040x}"
            engine.pushed.add(revision)
            await engine.show(Verdict(revision, State.APPLIED, ""))
        await engine.show(Verdict(f"{MOST_REMEMBERED + 4:040x}", State.APPLIED, ""))
    assert len(page.shown) == MOST_REMEMBERED + 5
    with Database(tmp_path / "engine.db") as database:
        assert len(database.fact("forge-shown") or "") < MOST_REMEMBERED * 70
