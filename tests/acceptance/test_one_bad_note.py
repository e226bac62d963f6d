"""One bad note never hurts another: in an engine over a real remote, what is wrong stays where it is."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from support.notes import OWNER, cron, note, scope
from support.run import asynchronous
from support.running import BASE, CONSOLE, NOON, Place, until
from vaultloop.aio.clock import VirtualClock

DIGEST, FAMILY, OWNERS = "agent/crons/digest.md", "agent/scopes/family.md", "agent/scopes/owner.md"
WHAT_IS_OPEN = cron("What is open?", "0 13 * * *")
BAD_CRON = cron("What is open?", "0 25 * * *")
FAMILY_CHAT = scope(chat="42", people="42")
BAD_SCOPE = scope(chat="42", people="42", can_reed='"**"')
BAD_OWNER = note("scope", "Be brief.", chats="owner", can_read='"**"', can_write='"**"', self_edit="maybe")
VAULT = {**BASE, DIGEST: WHAT_IS_OPEN, FAMILY: FAMILY_CHAT}

# What a chat without a command of its own answers to /help: somebody is listening.
OPEN = "There are no commands in this chat."


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.with_remote(tmp_path, VAULT)


@asynchronous
async def test_a_bad_cron_beside_a_scope_that_is_revoked_delays_nothing(place: Place) -> None:
    clock = VirtualClock(NOON)
    first = place.human.head
    async with place.engine(clock) as running:
        assert OPEN in await running.say("/help", chat="42")
        second = await running.push({DIGEST: BAD_CRON, FAMILY: None})

        assert "no scope" in await running.say("/help", chat="42")
        assert "scope/family" not in running.conditions()
        digest = running.status("cron/digest")
        assert digest["condition"] == "Outdated"
        assert (digest["attempted"], digest["applied"]) == (second, first)
        assert f"{DIGEST}:3: " in digest["message"]
        assert "hour" in digest["message"]

        await clock.advance_to(NOON + timedelta(hours=1))
        await until(lambda: [past["outcome"] for past in running.crons()["digest"]["past"]] == ["done"])


@asynchronous
async def test_an_invalid_scope_closes_its_chats_and_the_owners_own_scope_stays(place: Place) -> None:
    async with place.engine() as running:
        await running.push({FAMILY: BAD_SCOPE, OWNERS: BAD_OWNER})

        words = ("chat", "--once", "/help", "--chat", "42", "--person", "42")
        assert "paused" in await asyncio.to_thread(place.installation.run, *words, expect=1)
        family = running.status("scope/family")
        assert family["condition"] == "Stalled"
        assert f"{FAMILY}:5: " in family["message"]
        assert "can-read" in family["message"]

        assert "/status" in await running.say("/help")
        assert running.status("scope/owner")["condition"] == "Outdated"
        assert f"{OWNERS}:6: " in running.status("scope/owner")["message"]
        assert running.conditions()["cron/digest"] == "Ready"


@asynchronous
async def test_a_note_that_is_valid_again_is_ready_and_its_chat_open(place: Place) -> None:
    async with place.engine() as running:
        await running.push({FAMILY: BAD_SCOPE, OWNERS: BAD_OWNER, DIGEST: BAD_CRON})
        mended = await running.push({FAMILY: FAMILY_CHAT, OWNERS: OWNER, DIGEST: cron("What is open?")})

        assert set(running.conditions().values()) == {"Ready"}
        assert running.status("cron/digest")["applied"] == mended
        assert OPEN in await running.say("/help", chat="42")
        assert running.overview()["applied"] == mended


@asynchronous
async def test_a_chat_that_two_scopes_claim_is_closed_until_only_one_does(place: Place) -> None:
    async with place.engine() as running:
        await running.push({"agent/scopes/friends.md": scope(chat="42", people="anyone")})
        assert "closed at present" in await running.say("/help", chat="42")
        for name in ("family", "friends"):
            status = running.status(f"scope/{name}")
            assert (status["condition"], status["reason"]) == ("Stalled", "ChatClaimedTwice")

        await running.push({"agent/scopes/friends.md": scope(chat="43", people="anyone")})
        assert OPEN in await running.say("/help", chat="42")
        assert OPEN in await running.say("/help", chat="43")
        assert set(running.conditions().values()) == {"Ready"}


@asynchronous
async def test_the_owners_chat_keeps_the_scope_it_has_also_across_a_restart(place: Place) -> None:
    # By name it comes before the one that has the chat.
    usurper = {"agent/scopes/another.md": note("scope", "", chats="owner", paused="false")}
    async with place.engine() as running:
        await running.push(usurper)
        assert "/status" in await running.say("/help")
        assert running.status("scope/another")["condition"] == "Stalled"
    async with place.engine() as running:
        assert "Gathered 0 open tasks" in await running.say("gather open tasks into Tasks")
        assert running.status("scope/another")["applied"] is None


@asynchronous
async def test_one_push_hands_the_owners_chat_from_one_scope_to_another(tmp_path: Path) -> None:
    first, second = "agent/scopes/a.md", "agent/scopes/b.md"
    narrow = note("scope", "", chats='"42"', people='"42"', can_read='"**"')
    place = Place.with_remote(tmp_path, {"agent/bridges/console.md": CONSOLE, first: narrow, second: OWNER})
    async with place.engine() as running:
        await running.push({first: OWNER, second: narrow})
        assert set(running.conditions().values()) == {"Ready"}
        assert "/status" in await running.say("/help")
        assert OPEN in await running.say("/help", chat="42")


@asynchronous
async def test_last_good_versions_hold_across_a_restart_while_the_notes_are_still_invalid(
    place: Place,
) -> None:
    first = place.human.head
    async with place.engine() as running:
        await running.push({DIGEST: BAD_CRON, FAMILY: BAD_SCOPE, OWNERS: BAD_OWNER})
        before = running.overview()
    clock = VirtualClock(NOON)
    async with place.engine(clock) as running:
        assert running.overview()["resources"] == before["resources"]
        assert running.status("cron/digest")["applied"] == first
        assert "paused" in await running.say("/help", chat="42")
        assert "/status" in await running.say("/help")
        await clock.advance_to(NOON + timedelta(hours=1))
        await until(lambda: [past["outcome"] for past in running.crons()["digest"]["past"]] == ["done"])


@asynchronous
async def test_a_mass_deletion_is_held_until_it_is_confirmed_but_no_revocation(tmp_path: Path) -> None:
    crons = {f"agent/crons/job-{number}.md": cron(f"Note: number {number}.") for number in range(4)}
    place = Place.with_remote(tmp_path, {**BASE, **crons, FAMILY: FAMILY_CHAT})
    async with place.engine() as running:
        emptied = await running.push({**dict.fromkeys(crons, None), FAMILY: None})

        assert "no scope" in await running.say("/help", chat="42")
        jobs = {name: held for name, held in running.conditions().items() if name.startswith("cron/")}
        assert jobs == dict.fromkeys([f"cron/job-{number}" for number in range(4)], "Held")
        status = running.overview()
        assert f"vaultloop confirm {emptied[:12]}" in status["attention"][0]
        assert (status["revision"], status["applied"] == emptied) == (emptied, False)
        assert len(running.crons()) == 4

    # What waits for the owner waits through a restart.
    async with place.engine() as running:
        assert f"vaultloop confirm {emptied[:12]}" in running.overview()["attention"][0]
        refused = await asyncio.to_thread(place.installation.run, "confirm", "0123456789", expect=1)
        assert refused == ""
        await asyncio.to_thread(place.installation.run, "confirm", emptied[:10])
        await until(lambda: running.overview()["applied"] == emptied)
        assert running.crons() == {}
        assert set(running.conditions()) == {"scope/owner", "bridge/console"}
        assert running.overview()["attention"] == []


@asynchronous
async def test_a_renamed_cron_keeps_its_slots_and_fires_none_twice(place: Place) -> None:
    clock, renamed, again = VirtualClock(NOON), "agent/crons/evening.md", "agent/crons/night.md"
    async with place.engine(clock) as running:
        await clock.advance_to(NOON + timedelta(hours=1, minutes=5))
        await until(lambda: [past["outcome"] for past in running.crons()["digest"]["past"]] == ["done"])
        first = running.crons()["digest"]["past"]

        place.push({DIGEST: None, renamed: WHAT_IS_OPEN})
        plan = await asyncio.to_thread(place.installation.json, "plan", expect=2)
        assert [(change["action"], change["name"]) for change in plan["changes"]] == [("update", "evening")]
        await running.looks()
        assert running.conditions()["cron/evening"] == "Ready"
        assert running.crons()["evening"]["past"] == first
        assert "digest" not in running.crons()

    # Renamed once more while nobody looks, and started again at the very minute of the slot that has run.
    place.push({renamed: None, again: WHAT_IS_OPEN})
    clock = VirtualClock(NOON + timedelta(hours=1))
    async with place.engine(clock) as running:
        await clock.advance_to(NOON + timedelta(hours=2))
        assert running.crons()["night"]["past"] == first
        await clock.advance_to(NOON + timedelta(days=1, hours=1))
        await until(lambda: [p["outcome"] for p in running.crons()["night"]["past"]] == ["done", "done"])
        assert [past["slot"] for past in running.crons()["night"]["past"]] == [
            "2026-11-23T13:00",
            "2026-11-22T13:00",
        ]


@asynchronous
async def test_what_has_no_component_yet_is_shown_and_never_planned(place: Place) -> None:
    memory = {"tier": "hot", "path": "Memory.md"}
    deploy = {
        "provider": "coolify",
        "url": "https://coolify.example.org",
        "application": "w8",
        "watch": "Blog",
    }
    async with place.engine() as running:
        await running.push(
            {
                "agent/memory/hot.md": note("memory", **memory),
                "agent/deploys/blog.md": note("deploy", **deploy, paused="true"),
                "agent/deploys/shop.md": note("deploy", **{**deploy, "provider": "heroku"}),
            }
        )
        hot = running.status("memory/hot")
        assert (hot["condition"], hot["reason"], hot["applied"]) == ("Stalled", "NoComponent", None)
        assert "No component yet" in hot["message"]
        assert running.conditions()["deploy/blog"] == "Suspended"
        assert running.status("deploy/shop")["reason"] == "InvalidNote"
        plan = await asyncio.to_thread(place.installation.json, "plan", expect=1)
        assert plan["changes"] == []
        assert running.conditions()["cron/digest"] == "Ready"
