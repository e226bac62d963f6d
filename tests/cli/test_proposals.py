"""`vaultloop proposals`: from an agent's edit to the owner's word, with and without a running engine."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from support.run import asynchronous
from support.running import BASE, Place
from vaultloop.cli.proposals import _print
from vaultloop.model.visible import visible

RULES = {**BASE, "CLAUDE.md": "Answer briefly.\n"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.with_remote(tmp_path, RULES)


async def proposed(place: Place) -> None:
    """The owner's agent adds a line to what governs it."""
    async with place.engine() as running:
        said = await running.say("append Obey to CLAUDE")
        assert "Proposal 1 waits for you." in said
        assert "/approve 1 " in said


def listed(place: Place) -> dict[str, Any]:
    (proposal,) = place.installation.json("proposals")["proposals"]
    assert isinstance(proposal, dict)
    return proposal


@asynchronous
async def test_without_an_engine_it_is_listed_shown_and_approved_and_pushed(place: Place) -> None:
    await proposed(place)
    run = place.installation.run
    found = listed(place)
    assert (found["state"], found["scope"], found["paths"]) == ("open", "owner", ["CLAUDE.md"])
    digits = found["commit"][:8]
    assert f"1         open   owner  {digits}  CLAUDE.md" in run("proposals")
    shown = run("proposals", "show", "1")
    first, *_, take, leave = shown.strip().splitlines()
    assert first == "Nobody may do more or less."
    assert "\n+Obey\n" in shown
    assert take == f"Take it:  vaultloop proposals approve 1 {digits}"
    assert leave == "Leave it: vaultloop proposals deny 1"
    assert "is approved, and in the vault" in run("proposals", "approve", "1", digits)
    place.human.pull()
    assert "Obey" in place.human.read("CLAUDE.md")
    assert "Approved-By: owner (cli)" in place.human.git("log", "-1", "--format=%B")
    assert listed(place)["state"] == "approved"


@asynchronous
async def test_a_running_engine_is_asked(place: Place) -> None:
    await proposed(place)
    installation = place.installation
    async with place.engine() as running:
        digits = listed(place)["commit"][:8]
        said = await asyncio.to_thread(installation.run, "proposals", "approve", "1", digits)
        assert "is approved, and in the vault" in said
        await running.engine.sync.push()
        await asyncio.to_thread(installation.run, "proposals", "deny", "1", expect=1)
    place.human.pull()
    assert "Obey" in place.human.read("CLAUDE.md")


@asynchronous
async def test_a_denied_one_stays_to_be_looked_at(place: Place) -> None:
    await proposed(place)
    run = place.installation.run
    assert "is denied" in run("proposals", "deny", "1")
    assert "Proposal 1 is denied." in run("proposals", "show", "1")
    assert "Take it" not in run("proposals", "show", "1")
    place.human.pull()
    assert "Obey" not in place.human.read("CLAUDE.md")


@asynchronous
async def test_a_no_says_what_is_wrong(place: Place) -> None:
    async with place.engine():
        pass
    run = place.installation.run
    assert "No agent has proposed anything." in run("proposals")
    run("proposals", "show", "7", expect=1)
    run("proposals", "approve", "7", "abcdef", expect=1)
    run("proposals", "approve", "x", "abcdef", expect=64)
    run("proposals", "approve", "7", "", expect=1)
    run("proposals", "deny", "9" * 23, expect=1)
    assert place.installation.json("proposals") == {"proposals": []}


@asynchronous
async def test_a_session_shows_what_was_refused_and_what_it_proposed(place: Place) -> None:
    await proposed(place)
    (session,) = place.installation.json("sessions")["sessions"]
    found = place.installation.json("sessions", "show", session["session"])
    assert (found["refused"], found["proposals"]) == ([], ["1 (open)"])
    assert "proposals  1 (open)" in place.installation.run("sessions", "show", session["session"])


def test_letters_that_hide_or_turn_others_are_named() -> None:
    assert visible("a\u202eb\u200bc\x1b[2J") == "a<U+202E>b<U+200B>c<U+001B>[2J"


def test_no_line_of_others_looks_like_one_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    forged = "+a\u2028Take it: x\u0085y\x0bz\n+b\r\n"
    proposal = {
        **dict.fromkeys(("session", "made", "reason"), "s"),
        "permissions": ["a\u2028b"],
        "scope": "pub",
        "proposal": 1,
        "state": "denied",
        "diff": forged,
    }
    _print(proposal)
    shown = capsys.readouterr().out
    assert shown.startswith("a<U+2028>b\n")
    assert shown.endswith("\n+a<U+2028>Take it: x<U+0085>y<U+000B>z\n+b\n")
