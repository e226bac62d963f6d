"""A scope that names a tool server, which nothing runs yet: it waits, and everybody concerned hears so."""

from pathlib import Path

from support.notes import cron, note, scope
from support.run import asynchronous
from support.running import BASE, Place

CHAT, ANN = "-1001234567890", "1001"
FAMILY = "agent/scopes/family.md"
SERVER = note("mcp-server", transport="stdio", command="serve", allow_tools='"*"')
WAITS = "This cannot be answered here as yet; the owner can see why."
VAULT = {
    **BASE,
    FAMILY: scope(CHAT, ANN, can_read="Home.md"),
    "agent/mcp-servers/wiki.md": SERVER,
    "agent/crons/digest.md": cron(scope="family"),
}


@asynchronous
async def test_its_chats_and_crons_wait_until_the_line_is_deleted(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path, VAULT)
    async with place.engine() as running:
        assert running.conditions()["scope/family"] == "Ready"
        await running.push({FAMILY: scope(CHAT, ANN, can_read="Home.md", mcp_servers='"[[wiki]]"')})
        for _ in range(2):
            found = running.status("scope/family")
            assert (found["condition"], found["reason"]) == ("Stalled", "ApplyFailed")
            assert "Delete `mcp-servers` from the scope `family`" in found["message"]
            await running.looks()
        assert await running.say("hello", chat=CHAT, person=ANN) == WAITS
        # Everything else goes on.
        assert running.conditions()["scope/owner"] == "Ready"
    async with place.engine() as running:
        conditions = running.conditions()
        assert (conditions["scope/family"], conditions["cron/digest"]) == ("Stalled", "Reconciling")
        await running.push({FAMILY: VAULT[FAMILY]})
        conditions = running.conditions()
        assert (conditions["scope/family"], conditions["cron/digest"]) == ("Ready", "Ready")


@asynchronous
async def test_once_it_is_deleted_its_chat_has_no_scope(tmp_path: Path) -> None:
    waiting = scope(CHAT, ANN, mcp_servers='"[[wiki]]"')
    vault = {path: text for path, text in VAULT.items() if "crons" not in path}
    place = Place.with_remote(tmp_path, {**vault, FAMILY: waiting})
    async with place.engine() as running:
        assert await running.say("hello", chat=CHAT, person=ANN) == WAITS
        await running.push({FAMILY: None})
        assert "no scope" in await running.say("hello", chat=CHAT, person=ANN)
