"""`vaultloop chat --once`: what a script says and hears."""

import asyncio
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.installation import COMMAND, environment
from support.notes import note, scope
from support.run import asynchronous
from support.running import BASE, NOON, Place
from vaultloop.aio.clock import VirtualClock

FAMILY = {"agent/scopes/family.md": scope(chat="-42", people="42", commands='"help"')}
SLOW_CONSOLE = {"agent/bridges/console.md": note("bridge", platform="console", coalesce="5s")}


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


async def chat(place: Place, *words: str, typed: str = "") -> Said:
    """Run the command beside the engine of this process; `typed` is its standard input."""

    def run() -> Said:
        done = subprocess.run(
            [*COMMAND, "chat", "--config", str(place.config), *words],
            env=environment(),
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    return await asyncio.to_thread(run)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.with_remote(tmp_path, {**BASE, **FAMILY})


@asynchronous
async def test_the_answer_is_all_that_is_printed(place: Place) -> None:
    async with place.engine():
        said = await chat(place, "--once", "how many notes are there?")
        assert (said.code, said.err) == (0, "")
        assert said.out == "I can see 1 note.\n"


@asynchronous
async def test_scripts_get_an_object_and_in_a_conversation_one_a_line(place: Place) -> None:
    async with place.engine():
        once = await chat(place, "--json", "--once", "how many notes are there?")
        assert json.loads(once.out) == {"text": "I can see 1 note.", "refused": False, "outcome": "done"}
        refused = await chat(place, "--json", "--once", "/help", "--chat", "-42", "--person", "43")
        assert (refused.code, json.loads(refused.out)["refused"]) == (1, True)

        talk = await chat(place, "--json", typed="/help\nhow many notes are there?\n")
        replies = [json.loads(line) for line in talk.out.splitlines()]
        assert [reply["text"].splitlines()[-1] for reply in replies] == [
            "/help: this list",
            "I can see 1 note.",
        ]


@asynchronous
async def test_the_operator_speaks_as_another_in_another_chat(place: Place) -> None:
    async with place.engine():
        assert (await chat(place, "--once", "/help", "--chat", "-42", "--person", "42")).out == (
            "/help: this list\n"
        )
        refused = await chat(place, "--once", "/help", "--chat", "-42", "--person", "43")
        assert refused.code == 1
        assert "not among the people" in refused.out
        assert "no scope" in (await chat(place, "--once", "/help", "--chat", "-43", "--person", "42")).out


@asynchronous
async def test_an_answer_that_takes_too_long_is_shown_in_the_next_chat(tmp_path: Path) -> None:
    place, clock = Place.with_remote(tmp_path, {**BASE, **SLOW_CONSOLE}), VirtualClock(NOON)
    async with place.engine(clock) as running:
        gone = await chat(place, "--once", "how many notes are there?", "--timeout", "0.5")
        assert (gone.code, gone.out) == (1, "")
        assert "next chat" in gone.err

        await clock.advance(5)
        (turn,) = running.sessions()
        await running.engine.dispatcher.ended(turn["session"])
        later = await chat(place, "--once", "/crons")
        assert (later.code, later.out) == (0, "No crons run.\n")
        assert later.err.strip() == "I can see 1 note."


@asynchronous
async def test_a_vault_without_a_console_bridge_is_told_how_to_get_one(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path, {path: text for path, text in BASE.items() if "bridges" not in path})
    async with place.engine():
        said = await chat(place, "--once", "hello")
        assert (said.code, said.out) == (1, "")
        assert "platform: console" in said.err


@asynchronous
async def test_without_an_engine_it_exits_69_and_says_how_to_start_one(place: Place) -> None:
    said = await chat(place, "--once", "hello")
    assert said.code == 69
    assert "vaultloop up" in said.err


@asynchronous
async def test_bytes_that_are_no_text_are_refused_in_words(place: Place) -> None:
    async with place.engine():
        said = await chat(place, "--once", os.fsdecode(b"caf\xe9"))
        assert (said.code, said.out) == (1, "")
        assert "no UTF-8 text" in said.err


@asynchronous
async def test_a_session_that_does_not_end_well_makes_it_exit_1(tmp_path: Path) -> None:
    defaults = note("defaults", runner="command", command="'false'")
    place = Place.with_remote(tmp_path, {**BASE, "agent/defaults.md": defaults})
    async with place.engine():
        said = await chat(place, "--once", "hello")
        assert (said.code, "ended with status 1" in said.out) == (1, True)
        told = json.loads((await chat(place, "--json", "--once", "hello")).out)
        assert (told["outcome"], told["refused"]) == ("failed", False)


@asynchronous
async def test_who_is_not_answered_any_more_learns_so_at_once(tmp_path: Path) -> None:
    seldom = scope(chat="-42", people="42", messages_per_person_per_hour="1")
    place = Place.with_remote(tmp_path, {**BASE, "agent/scopes/family.md": seldom})
    spoken = ("--chat", "-42", "--person", "42")
    async with place.engine():
        assert (await chat(place, "--once", "hello", *spoken)).code == 0
        told = await chat(place, "--once", "hello", *spoken)
        assert (told.code, "Say it again after" in told.out) == (1, True)
        silent = await chat(place, "--once", "hello", *spoken)
        assert (silent.code, silent.out.startswith("Not answered: ")) == (1, True)
        talk = await chat(place, *spoken, typed="hello\n")
        assert "    Not answered: " in talk.out


@asynchronous
async def test_an_agent_does_not_drive_the_terminal(tmp_path: Path) -> None:
    command = r"""'printf "\\033]0;owned\\007\\033[31mred\\ttext"'"""
    defaults = note("defaults", runner="command", command=command)
    place = Place.with_remote(tmp_path, {**BASE, "agent/defaults.md": defaults})
    async with place.engine():
        assert (await chat(place, "--once", "hello")).out == "]0;owned[31mred\ttext\n"
