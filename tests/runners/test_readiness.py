"""What the owner hears of an agent program before anybody asks it something."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.desk import settled
from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.supervise import background
from vaultloop.model.conversation import AgentDefaults
from vaultloop.runners.claude.flags import Credential
from vaultloop.runners.claude.runner import ClaudeRunner
from vaultloop.runners.claude.version import OLDEST, TESTED
from vaultloop.runners.command import CommandRunner
from vaultloop.runners.readiness import PERIOD, Readiness
from vaultloop.sandbox.direct import DirectLauncher

KEY: Credential | None = Credential.API_KEY
CLAUDE = AgentDefaults(runner="claude")


class Sessions:
    """What the defaults note configures."""

    def __init__(self) -> None:
        self.defaults: AgentDefaults | None = None

    def configure(self, defaults: AgentDefaults) -> None:
        self.defaults = defaults


class Place:
    """A machine on which `claude` may be installed."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "claude"
        self.key = KEY
        self.told: list[Sequence[str]] = []
        self.clock = VirtualClock(datetime(2026, 11, 22, tzinfo=UTC))
        self.sessions = Sessions()
        environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
        self.readiness = Readiness(self.sessions, self.runner, environment, self.clock, self.told.append)

    def runner(self, defaults: AgentDefaults) -> ClaudeRunner | CommandRunner:
        if defaults.runner == "claude":
            return ClaudeRunner(DirectLauncher(), "claude", self.key)
        return CommandRunner(DirectLauncher(), defaults.command)

    def install(self, version: object) -> None:
        """Put a program there that says it is this version."""
        new = self.program.with_suffix(".new")
        new.write_text(f"#!/bin/sh\necho '{version} (Claude Code)'\n")
        new.chmod(0o755)
        new.rename(self.program)

    async def says(self, defaults: AgentDefaults) -> Sequence[str]:
        """What is told of the program that these defaults choose."""
        self.readiness.configure(defaults)
        await self.readiness.look()
        return self.told[-1]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@asynchronous
async def test_the_choice_reaches_the_sessions(place: Place) -> None:
    place.readiness.configure(CLAUDE)
    assert place.sessions.defaults == CLAUDE


@asynchronous
async def test_where_all_is_well_there_is_nothing_to_tell(place: Place) -> None:
    place.install(TESTED)
    assert await place.says(CLAUDE) == []
    assert await place.says(AgentDefaults()) == []


@asynchronous
async def test_a_missing_program_and_a_missing_key_are_both_told_with_their_cures(place: Place) -> None:
    place.key = None
    missing, keyless = await place.says(CLAUDE)
    assert "was not found" in missing
    assert f"npm install -g @anthropic-ai/claude-code@{TESTED}" in missing
    assert "Set ANTHROPIC_API_KEY" in keyless


@asynchronous
async def test_another_version_than_the_tested_one_is_named_and_one_that_is_too_old_is_refused(
    place: Place,
) -> None:
    place.install(f"{TESTED.major}.{TESTED.minor}.{TESTED.patch + 10}")
    (sentence,) = await place.says(CLAUDE)
    assert f"is newer than {TESTED}, with which this vaultloop was tested" in sentence
    place.install(f"{OLDEST.major}.{OLDEST.minor}.{OLDEST.patch - 1}")
    await place.readiness.look()
    (sentence,) = place.told[-1]
    assert f"{OLDEST} or newer is needed" in sentence


@asynchronous
async def test_a_command_that_is_not_there_is_told(place: Place) -> None:
    (sentence,) = await place.says(AgentDefaults(command="no-such-program --fast"))
    assert "`no-such-program`" in sentence
    (sentence,) = await place.says(AgentDefaults(command="sh 'unclosed"))
    assert "cannot be read" in sentence
    assert await place.says(AgentDefaults(command="./agent.sh")) == []


@asynchronous
async def test_an_installation_is_noticed_by_itself_and_told_once(place: Place) -> None:
    async with background("readiness", place.readiness.run()):
        await settled(lambda: len(place.told) == 1)
        place.readiness.configure(CLAUDE)
        await settled(lambda: len(place.told) == 2)
        place.install(TESTED)
        await place.clock.advance(PERIOD.total_seconds())
        await settled(lambda: len(place.told) == 3)
        await place.clock.advance(PERIOD.total_seconds())
    assert [bool(sentences) for sentences in place.told] == [False, True, False]
