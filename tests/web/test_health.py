"""How the engine is, asked over its socket within a bounded time."""

import asyncio
from pathlib import Path
from typing import Any

from support.run import asynchronous
from support.running import Place
from vaultloop import app
from vaultloop.aio import rpc
from vaultloop.state.directory import StateDirectory
from vaultloop.web.health import Health, Pulse, ask
from vaultloop.web.site import public

READY: dict[str, Any] = {"ready": True, "revision": "0a1b", "applied": "0a1b", "push": "pushed"}


class Answering:
    """A peer that answers `health` as it is told to, and counts."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def health(self, _: rpc.Peer, __: rpc.JsonObject) -> Any:
        self.asked += 1
        await self.may_answer.wait()
        return self.answer


@asynchronous
async def test_an_engine_that_has_applied_a_revision_is_ok_and_names_no_note(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path)
    async with place.engine() as running:
        health = await ask(StateDirectory(place.settings.state).socket)
        revision = running.overview()["revision"]
    assert (health.status, health.reason) == ("ok", "")
    detail = {"ready": True, "revision": revision, "applied": revision, "push": "pushed"}
    assert health.detail == {**detail, "conditions": {"Ready": 2}}


@asynchronous
async def test_an_engine_that_has_not_read_its_vault_yet_is_starting(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path)
    (tmp_path / "vault.git").rename(tmp_path / "elsewhere.git")
    async with app.assembled(place.settings, Place.clock_of_tomorrow()):
        health = await ask(StateDirectory(place.settings.state).socket)
    assert health.status == "starting"
    assert not health.is_ok
    assert "No revision of the vault has been applied" in health.reason


@asynchronous
async def test_an_engine_that_is_stopped_is_unreachable(tmp_path: Path) -> None:
    health = await ask(tmp_path / "engine.sock")
    assert (health.status, health.is_ok) == ("unreachable", False)
    assert health.reason == "No engine answers. It is stopped, or still starting."


@asynchronous
async def test_an_engine_that_hangs_is_unreachable_in_time(tmp_path: Path) -> None:
    hangs = Answering(READY)
    hangs.may_answer.clear()
    async with rpc.serving(tmp_path / "engine.sock", {"health": hangs.health}):
        health = await ask(tmp_path / "engine.sock", patience=0.05)
    assert health.status == "unreachable"
    assert health.reason == "The engine did not answer within 0.05 s."


@asynchronous
async def test_many_who_ask_at_once_cost_the_engine_one_question(tmp_path: Path) -> None:
    engine = Answering(READY)
    engine.may_answer.clear()
    async with rpc.serving(tmp_path / "engine.sock", {"health": engine.health}):
        pulse = Pulse(tmp_path / "engine.sock", fresh=0)
        crowd = [asyncio.create_task(pulse.health()) for _ in range(100)]
        await asyncio.sleep(0)
        crowd[0].cancel()
        engine.may_answer.set()
        assert {(await visitor).status for visitor in crowd[1:]} == {"ok"}
        assert engine.asked == 1
        engine.answer = {"ready": False}
        assert (await pulse.health()).status == "starting"


@asynchronous
async def test_what_was_just_heard_is_told_again(tmp_path: Path) -> None:
    engine = Answering(READY)
    async with rpc.serving(tmp_path / "engine.sock", {"health": engine.health}):
        pulse = Pulse(tmp_path / "engine.sock", fresh=60)
        assert [(await pulse.health()).status for _ in range(5)] == ["ok"] * 5
    assert engine.asked == 1


def test_strangers_learn_no_more_than_status_revision_and_push() -> None:
    detail = {**READY, "conditions": {"Stalled": 1}, "attention": ["agent/scopes/family.md is invalid"]}
    assert set(public(Health("ok", detail=detail))) == {"status", "revision", "applied", "push"}
    assert set(public(Health("starting", "Not yet.", detail))) == {"status", "reason"}
