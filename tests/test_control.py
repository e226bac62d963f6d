"""The engine's socket: what it does for the command line, and how it says no."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.git_server import bare_repository
from support.notes import cron
from support.run import asynchronous
from support.running import BASE, NOON, Place, engine_settings, until
from support.vault_clone import VaultClone
from vaultloop import app
from vaultloop.aio import rpc
from vaultloop.aio.clock import VirtualClock
from vaultloop.cli.engine import ask, engine
from vaultloop.model.errors import VaultloopError
from vaultloop.standby import Face

DIGEST = {
    "agent/crons/digest.md": cron("how many notes are there?"),
    "agent/crons/off.md": cron(paused="true"),
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.with_remote(tmp_path, {**BASE, **DIGEST})


@asynchronous
async def test_a_vault_without_a_commit_has_no_plan_and_says_why(tmp_path: Path) -> None:
    remote = bare_repository(tmp_path / "vault.git")
    place = Place(engine_settings(tmp_path, remote=remote), VaultClone(tmp_path), remote)
    async with app.assembled(place.settings, VirtualClock(NOON)):
        with pytest.raises(VaultloopError, match="The vault has no commit yet"):
            await ask(place.settings, "plan")


@asynchronous
async def test_an_engine_that_stands_by_refuses_in_words_whatever_one_that_acts_can_do(place: Place) -> None:
    face = Face(lambda: None)
    face.stand_by()
    answered = {"health", "metrics", "ring"}
    async with place.engine() as running:
        methods = set(running.engine.handlers)
    assert methods > answered
    assert set(face.handlers) == methods
    socket = place.settings.state / "standby.sock"
    async with rpc.serving(socket, face.handlers), rpc.connected(socket) as peer:
        for method in sorted(methods - answered):
            with pytest.raises(rpc.RpcError, match="Another engine acts on this vault; ask that one"):
                await peer.call(method)


@asynchronous
async def test_a_plan_names_what_was_saved_a_moment_ago_and_does_not_count_yet(tmp_path: Path) -> None:
    place, clock = Place.with_folder(tmp_path, BASE, own_git=True), VirtualClock(datetime.now(UTC))
    async with place.engine(clock) as running:
        assert (await ask(place.settings, "plan"))["unsettled"] == []
        place.write({"agent/crons/digest.md": cron()})
        await until(lambda: running.engine.sync.settling.unsettled() != [])
        found = await ask(place.settings, "plan")
        assert (found["changes"], found["unsettled"]) == ([], ["agent/crons/digest.md"])
        shown = await asyncio.to_thread(place.installation.run, "plan")
        assert "1 saved file is not counted yet" in shown
        await clock.advance(60)
        await until(lambda: running.status("cron/digest")["condition"] == "Ready")
        assert (await ask(place.settings, "plan"))["unsettled"] == []


@asynchronous
async def test_a_cron_that_is_run_by_hand_is_waited_for(place: Place) -> None:
    async with place.engine() as running:
        ran = await ask(place.settings, "run", cron="digest", wait=True)
        assert (ran["outcome"], ran["reply"]) == ("done", "I can see 1 note.")
        (session,) = running.sessions()
        assert (session["session"], session["trigger"]) == (ran["session"], "run digest")
        assert running.crons()["digest"]["past"] == []


@asynchronous
async def test_a_run_that_nobody_waits_for_is_queued_and_named(place: Place) -> None:
    async with place.engine() as running:
        queued = await ask(place.settings, "run", cron="digest", wait=False)
        assert (queued["outcome"], queued["reply"]) == (None, None)
        assert str((await running.engine.dispatcher.ended(queued["session"])).outcome) == "done"


@pytest.mark.parametrize(
    ("method", "params", "sentence"),
    [
        ("run", {"cron": "dijest"}, "No cron named 'dijest' is in force. There are: digest, off."),
        ("run", {"cron": "off"}, "cron/off is paused."),
        ("run", {}, "cron is missing, or not a text"),
        ("confirm", {"revision": "0123456789"}, "Nothing is held"),
        ("confirm", {"revision": 7}, "revision is missing, or not a text"),
        ("restore", {"session": "20261122-000000-abcdef"}, "20261122-000000-abcdef"),
        ("approve", {"proposal": 7, "commit": "abcdef"}, "There is no proposal 7."),
        ("approve", {"proposal": "7", "commit": "abcdef"}, "proposal is missing, or not a number"),
        ("deny", {"proposal": True}, "proposal is missing, or not a number"),
        ("say", {"chat": "owner", "person": "owner"}, "text is missing"),
        ("dance", {}, "no such method: dance"),
    ],
)
@asynchronous
async def test_a_no_says_what_is_wrong(
    place: Place, method: str, params: dict[str, object], sentence: str
) -> None:
    async with place.engine():
        with pytest.raises(VaultloopError) as refused:
            await ask(place.settings, method, **params)
        assert sentence in str(refused.value)


@asynchronous
async def test_a_message_that_is_handed_over_twice_is_answered_once(place: Place) -> None:
    replies: asyncio.Queue[rpc.JsonObject] = asyncio.Queue()

    async def reply(_: rpc.Peer, said: rpc.JsonObject) -> bool:
        replies.put_nowait(said)
        return True

    async with place.engine(), engine(place.settings, {"reply": reply}) as peer:
        await peer.call("listen", chat="owner")
        for _ in range(2):
            await peer.call("say", chat="owner", person="owner", message="17", text="/crons")
        await peer.call("say", chat="owner", person="owner", message="18", text="/help")
        first, second = await replies.get(), await replies.get()
        assert (first["answers"], second["answers"]) == (["17"], ["18"])
        assert "digest: next" in first["text"]


@asynchronous
async def test_every_terminal_of_a_chat_is_shown_its_replies_and_no_other_is(place: Place) -> None:
    shown: list[str] = []
    all_shown = asyncio.Event()

    def at(terminal: str) -> rpc.Handler:
        async def reply(_: rpc.Peer, said: rpc.JsonObject) -> bool:
            shown.append(f"{terminal}: {said['text'].splitlines()[0]}")
            if len(shown) == 2:
                all_shown.set()
            return True

        return reply

    async with (
        place.engine(),
        engine(place.settings, {"reply": at("desk")}) as desk,
        engine(place.settings, {"reply": at("sofa")}) as sofa,
        engine(place.settings, {"reply": at("guest")}) as guest,
    ):
        await desk.call("listen", chat="owner")
        await sofa.call("listen", chat="owner")
        await guest.call("listen", chat="42")
        await desk.call("say", chat="owner", person="owner", text="/help")
        await all_shown.wait()
        help_ = "/status: what runs, and what needs you"
        assert sorted(shown) == [f"desk: {help_}", f"sofa: {help_}"]


@asynchronous
async def test_a_terminal_that_went_away_keeps_nothing_from_the_others(place: Place) -> None:
    async with place.engine() as running:
        async with engine(place.settings) as gone:
            await gone.call("listen", chat="owner")
        assert "/status" in await running.say("/help")
