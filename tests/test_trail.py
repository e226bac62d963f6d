"""The audit trail: what people and scripts see of who changed the vault, and who asked for it."""

import asyncio
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.commits import AGENT, commit
from support.installation import COMMAND, environment
from support.run import asynchronous
from support.running import BASE, NOON, Place, Running
from vaultloop.cli.engine import records
from vaultloop.model.conversation import Outcome, Trigger, Turn
from vaultloop.model.errors import VaultloopError
from vaultloop.model.status import Confinement
from vaultloop.state.database import Database
from vaultloop.state.directory import StateDirectory
from vaultloop.state.slots import SlotStore
from vaultloop.state.turns import Turns
from vaultloop.trail import Query, Trail, in_vault
from vaultloop.vault.git.repository import Repository

INBOX_TEXT = "# Inbox\n\n- call Ada\n"
INBOX = {**BASE, "Inbox.md": INBOX_TEXT}


def log(place: Place, **query: Any) -> list[dict[str, Any]]:
    with records(place.settings) as database:
        return Trail.of(place.settings, database).log(Query(**query))


def lines(place: Place, path: str, **how: Any) -> list[dict[str, Any]]:
    with records(place.settings) as database:
        return Trail.of(place.settings, database).blame(path, **how)


@pytest.mark.parametrize("own_git", [True, False], ids=["with-git", "without-git"])
@asynchronous
async def test_the_log_names_the_session_behind_each_commit_of_the_agent(
    tmp_path: Path, own_git: bool
) -> None:
    place = Place.with_folder(tmp_path, BASE, own_git=own_git)
    clock = place.clock_of_tomorrow()
    async with place.engine(clock) as running:
        assert "Inbox" in await running.say("note: buy milk")
        await running.looks()
        newest, *older = log(place)
        (session,) = running.sessions()
    assert (newest["session"], newest["commit"]) == (session["session"], session["commit"])
    assert (newest["scope"], newest["trigger"], newest["outcome"]) == ("owner", "message console", "done")
    assert (newest["why"], newest["slot"], newest["chats"]) == ("note: buy milk", None, ["owner"])
    assert (newest["policy"], newest["class"]) == (session["policy"], "agent")
    assert [entry["session"] for entry in older] == [None]


def test_before_the_first_start_there_is_no_history(tmp_path: Path) -> None:
    place = Place.with_folder(tmp_path, BASE, own_git=False)
    with pytest.raises(VaultloopError, match="no history"):
        Trail.of(place.settings, None)


def test_without_an_engine_a_folder_with_git_has_its_history(tmp_path: Path) -> None:
    place = Place.with_folder(tmp_path, BASE, own_git=True)
    (first,) = Trail.of(place.settings, None).log(Query())
    assert (first["class"], first["author"], first["session"]) == ("human", "Hana Human", None)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.with_remote(tmp_path, INBOX)


async def busy_day(running: Running) -> dict[str, str]:
    """What was pushed and asked for, by a name for each; commits."""
    made = {}
    await running.say("append milk to Inbox")
    made["milk"] = running.sessions()[0]["commit"]
    await running.engine.sync.push()
    moved = {"Lists/Inbox.md": "# Inbox\n\n- call Ada\nmilk\nrent\n", "Inbox.md": None}
    made["moved"] = await running.push(moved)
    forged = {"Lists/Inbox.md": "# Inbox\n\n- call Ada\nmilk\nrent\nroses\n"}
    running.place.human.pull()
    running.place.write(forged)
    made["forged"] = running.place.human.commit(
        "cron digest: 1 note changed\n\nSession: 20260101-000000-abcdef\nScope: owner"
    )
    running.place.human.push()
    await running.looks()
    await running.say("hello")
    return made


@asynchronous
async def test_the_log_answers_by_path_session_chat_scope_trigger_and_time(place: Place) -> None:
    async with place.engine() as running:
        made = await busy_day(running)
        hello, milk = (session["session"] for session in running.sessions())
        everything = [entry["commit"] for entry in log(place)]
        assert everything[:3] == [made["forged"], made["moved"], made["milk"]]
        # By path, through the rename; and by folder.
        touched = [entry["commit"] for entry in log(place, paths=("Lists/Inbox.md",))]
        assert touched == everything
        assert [entry["commit"] for entry in log(place, paths=("Lists",))] == everything[:2]
        assert [entry["commit"] for entry in log(place, paths=("Inbox.md",))] == everything[1:]
        for wanted in (
            {"session": milk}, {"chat": "owner"}, {"scope": "owner"}, {"trigger": "message"},
            {"trigger": "message/console"},
        ):  # fmt: skip
            assert [entry["commit"] for entry in log(place, **wanted)] == [made["milk"]]
        for other in ({"chat": "-1"}, {"scope": "family"}, {"trigger": "cron/digest"}, {"session": "x"}):
            assert log(place, **other) == []
        assert log(place, since=NOON + timedelta(days=400000)) == []
        assert len(log(place, limit=2)) == 2
        # Of which nothing is in the vault.
        (nothing,) = log(place, session=hello)
        assert (nothing["commit"], nothing["outcome"], nothing["why"]) == (None, "done", "hello")
        assert {entry["session"] for entry in log(place, everything=True)} == {None, hello, milk}


@asynchronous
async def test_a_forged_trailer_is_a_claim_and_names_no_session(place: Place) -> None:
    async with place.engine() as running:
        await busy_day(running)
    forged, *others = log(place)
    assert (forged["claims"], forged["session"], forged["class"]) == ("20260101-000000-abcdef", None, "human")
    assert [entry["claims"] for entry in others] == [None] * len(others)


@asynchronous
async def test_blame_names_who_wrote_each_line_and_which_chat_asked(place: Place) -> None:
    async with place.engine() as running:
        made = await busy_day(running)
        (session,) = [s for s in running.sessions() if s["commit"]]
    found = lines(place, "Lists/Inbox.md")
    assert [line["text"] for line in found] == ["# Inbox", "", "- call Ada", "milk", "rent", "roses"]
    milk, rent, roses = found[3:]
    assert (milk["session"], milk["commit"], milk["why"]) == (
        session["session"], made["milk"], "append milk to Inbox",
    )  # fmt: skip
    assert (milk["chats"], milk["policy"], milk["cost_usd"]) == (["owner"], session["policy"], 0.0)
    assert milk["path"] == "Inbox.md"
    assert (rent["author"], rent["class"], rent["session"]) == ("Hana Human", "human", None)
    assert roses["claims"] == "20260101-000000-abcdef"
    assert [line["line"] for line in lines(place, "Lists/Inbox.md", lines=range(4, 6))] == [4, 5]
    assert len(lines(place, "Inbox.md", at=made["milk"])) == 5
    (new,) = [line for line in lines(place, "Home.md", lying=b"# Home\nsoon\n") if line["commit"] is None]
    assert (new["text"], new["at"]) == ("soon", None)


@pytest.fixture
def digest(tmp_path: Path) -> Place:
    """A folder in which the slot of a cron has added a line to a note, with a join above it."""
    place = Place.with_folder(tmp_path, INBOX, own_git=True)
    place.settings.state.mkdir()
    repository = Repository.in_folder(place.human.path)
    first = repository.head
    assert first
    made = commit(repository, first, {"Inbox.md": f"{INBOX_TEXT}- news\n"}, message="Digest")
    other = commit(repository, first, {"Home.md": "# House\n"}, message="Edit")
    tree = repository.tree_of(commit(repository, made, {"Home.md": "# House\n"}))
    body = "Join two lines of work\n\nInbox.md: both were kept.\n"
    join = repository.commit(str(tree), [made, other], body, author=AGENT, at=NOON)
    repository.move(first, join)
    with Database(StateDirectory(place.settings.state).database) as database:
        turns, turn = Turns(database), digest_turn()
        SlotStore(database).reserve("digest", "2026-11-22T07:00", turn)
        turns.begin(turn.id, Confinement.FENCED, policy="p1", base=first, view="v", now=NOON)
        turns.account(turn.id, model="model-x", cost_usd=0.25)
        turns.record_commit(turn.id, made)
        turns.end(turn.id, Outcome.DONE, NOON)
    return place


def digest_turn() -> Turn:
    return Turn(
        id="20261122-070000-abcdef",
        key="cron/digest/2026-11-22T07:00",
        conversation="cron/digest",
        scope="owner",
        trigger=Trigger("cron", "digest"),
        prompt="Gather the news.",
        recipients=(("telegram", "-5"),),
    )


def test_a_line_says_which_slot_asked_for_it_under_which_policy_and_what_it_cost(digest: Place) -> None:
    line = lines(digest, "Inbox.md")[-1]
    assert (line["text"], line["trigger"], line["slot"]) == ("- news", "cron digest", "2026-11-22T07:00")
    assert line["why"] == "the slot 2026-11-22T07:00 of cron digest"
    assert (line["policy"], line["model"], line["cost_usd"]) == ("p1", "model-x", 0.25)
    assert line["chats"] == ["-5"]
    assert [entry["session"] for entry in log(digest, trigger="cron/digest", chat="-5")] == [line["session"]]


def test_a_join_is_shown_as_one_with_what_it_had_to_say(digest: Place) -> None:
    (join,) = [entry for entry in log(digest) if entry["class"] == "merge"]
    assert (join["subject"], join["notes"]) == ("Join two lines of work", ["Inbox.md: both were kept."])
    assert len(join["parents"]) == 2


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    trail = Trail.of_clone(Place.with_folder(tmp_path, BASE, own_git=True).human.path)
    with pytest.raises(VaultloopError, match=r"no note Nothing\.md"):
        trail.blame("Nothing.md")
    with pytest.raises(VaultloopError, match="no revision 'v9'"):
        trail.blame("Home.md", at="v9")


def test_in_a_clone_without_any_settings_git_alone_answers(tmp_path: Path) -> None:
    clone = Place.with_folder(tmp_path, BASE, own_git=True).human
    inner = clone.path / "agent"
    clone.write("Home.md", "# Home\nsoon\n")

    def printed(*words: str) -> str:
        command = [*COMMAND, *words]
        return subprocess.run(
            command, cwd=inner, env=environment(), capture_output=True, text=True, check=True
        ).stdout

    assert "Hana Human  First notes" in printed("log", "../Home.md")
    assert "not committed yet" in printed("blame", "../Home.md").splitlines()[1]


def test_a_path_may_be_named_from_within_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "Plans"
    inner.mkdir()
    assert in_vault(tmp_path, ("Trip.md", str(tmp_path / "Home.md"), ".."), inner) == (
        "Plans/Trip.md", "Home.md", "",
    )  # fmt: skip
    assert in_vault(tmp_path, ("Plans/Trip.md",), Path("/")) == ("Plans/Trip.md",)


@asynchronous
async def test_the_command_line_shows_both(place: Place) -> None:
    run = place.installation.run
    async with place.engine() as running:
        await busy_day(running)
        shown = await asyncio.to_thread(run, "log", "Lists/Inbox.md")
        blamed = await asyncio.to_thread(run, "blame", "Lists/Inbox.md", "-L", "4,5")
    assert "asked in the chat owner: append milk to Inbox" in shown
    assert "It claims to be of session 20260101-000000-abcdef" in shown
    assert "milk" in blamed
    assert "Hana Human" in blamed
    assert "asked in the chat owner: append milk to Inbox" in blamed
    (newest,) = place.installation.json("log", "-n", "1")["log"]
    assert datetime.fromisoformat(newest["at"]).tzinfo is not None
    assert [line["line"] for line in place.installation.json("blame", "Home.md", "--line", "1")["lines"]] == [
        1
    ]
    assert place.installation.json("log", "--since", "2020-01-01", "--trigger", "cron")["log"] == []
