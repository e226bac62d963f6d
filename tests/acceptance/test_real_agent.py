"""The main job with the real Claude Code CLI: a script stands in the place of the model, that is all."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.claude_cli import claude
from support.git_server import git_server
from support.installation import COMMAND, Installation, environment
from support.messages_api import (
    MessagesApi,
    Request,
    Says,
    Use,
    messages_api,
)
from support.notes import cron, note
from support.real_agent import KEY, MODEL
from support.run import asynchronous
from support.running import BASE, Place, Running, until
from support.vault_clone import VaultClone, git

ENGINE_AT = (sys.executable, "-W", "error", str(Path(__file__).parents[1] / "support" / "engine_at.py"))


@pytest.fixture
def api() -> Iterator[MessagesApi]:
    with messages_api() as serving:
        yield serving


# The whole journey


def settings_of(api: MessagesApi) -> Mapping[str, str]:
    """What the operator sets so that the engine reaches the script, in the environment."""
    return {
        "VAULTLOOP_CLAUDE": claude(),
        "VAULTLOOP_ANTHROPIC_BASE_URL": api.url,
        "ANTHROPIC_API_KEY": KEY,
    }


def defaults(**more: str) -> str:
    return note("defaults", runner="claude", model=MODEL, timezone="UTC", **more)


def viewed(name: str, request: Request) -> str:
    """The path of a note as the agent was told of its folder."""
    found = re.search(r"working directory: (\S+)", request.everything.replace("\\n", "\n"))
    assert found, "the agent is told where it works"
    return f"{found[1]}/{name}"


def test_a_pushed_cron_is_run_by_the_real_agent_and_its_signed_commit_is_on_the_remote(
    tmp_path: Path, api: MessagesApi
) -> None:
    words = ["init", str(tmp_path / "first"), "--bare-remote", str(tmp_path / "vault.git")]
    words += ["--state", str(tmp_path / "x")]
    subprocess.run([*COMMAND, *words], env=environment(), check=True, capture_output=True)
    git(tmp_path / "vault.git", "config", "http.receivepack", "true")
    config = tmp_path / "vaultloop.toml"
    with git_server(tmp_path) as http:
        url = http.url("vault.git")
        config.write_text(f'state = "{tmp_path / "state"}"\npoll = "1s"\nremote = "{url}"\n')
        human = VaultClone.of(url, tmp_path / "human")
        human.git("config", "user.name", "Hana Human")
        human.git("config", "user.email", "hana@example.org")
        human.remove("agent/crons/digest.md")
        human.write("agent/defaults.md", defaults())
        human.write("Garden.md", "# Garden\n\nThe roses need water.\n")
        human.commit("Use the real agent")
        human.push()
        api.follows(
            lambda request: Says(uses=[Use("Read", {"file_path": viewed("Garden.md", request)})]),
            lambda request: Says(
                uses=[
                    Use(
                        "Edit",
                        {
                            "file_path": viewed("Garden.md", request),
                            "old_string": "need water",
                            "new_string": "were watered",
                        },
                    )
                ]
            ),
            Says("I watered the roses."),
        )
        installation = Installation(config, settings_of(api))
        with installation.engine(*ENGINE_AT, "2026-11-22T11:59:50+00:00") as engine:
            engine.line(r"ready at \w+")
            human.save("agent/crons/noon.md", cron("Look after the garden", "0 12 * * *"))
            human.push()
            engine.line("started for cron noon")
            published = engine.line(r"published \w+").split()[-1]
            engine.line(f"pushed {published}")
            log = engine.stop()
        human.pull()
    assert "The roses were watered." in human.read("Garden.md")
    trail = human.git("log", "-1", "--format=%(trailers:only,unfold)", "--", "Garden.md")
    trailers = dict(line.split(": ", 1) for line in trail.splitlines())
    assert trailers["Trigger"] == "cron noon"
    assert trailers["Model"] == MODEL
    assert float(trailers["Cost-USD"]) > 0
    public = next((tmp_path / "state").glob("*.pub")).read_text()
    (tmp_path / "signers").write_text(f"* {public}")
    human.git("config", "gpg.ssh.allowedSignersFile", str(tmp_path / "signers"))
    human.git("verify-commit", human.git("log", "-1", "--format=%H", "--", "Garden.md"))
    assert "Look after the garden" in api.asked(1).said
    assert "The roses need water." in api.asked(2).said
    assert KEY not in log


# What it is told


LOOKS = Says(uses=[Use("Glob", {"pattern": "*"})], input_tokens=20_000)
RULES = {
    "CLAUDE.md": "The house stands on a hill.\n\n@House/Rules.md\n",
    "House/Rules.md": "Shoes off.\n",
    "agent/defaults.md": defaults(),
    "agent/rules/tone.md": note("rule", "Speak like a gardener."),
    "agent/scopes/owner.md": note(
        "scope", "Be brief.", chats="owner", can_read='"**"', can_write='"**"', conversation="continue"
    ),
}


@asynccontextmanager
async def engine_with(api: MessagesApi, root: Path) -> AsyncIterator[Running]:
    place = Place.with_remote(root, {**BASE, **RULES})
    with place.config.open("a") as config:
        config.write(f'claude = "{claude()}"\nanthropic-base-url = "{api.url}"\n')
        config.write(f'anthropic-api-key = "{KEY}"\n')
    async with place.engine() as engine:
        yield engine


@asynchronous
async def test_rules_and_claude_files_are_in_every_request_also_after_they_changed(
    tmp_path: Path, api: MessagesApi
) -> None:
    api.follows(LOOKS, Says("I will remember 42."))
    async with engine_with(api, tmp_path) as engine:
        assert await engine.say("Remember 42") == "I will remember 42."
        for request in (api.asked(1), api.asked(2)):
            for told in ("on a hill", "Shoes off.", "Speak like a gardener.", "Be brief."):
                assert told in request.system

        await engine.push(
            {
                "agent/rules/tone.md": note("rule", "Speak like a sailor."),
                "House/Rules.md": "Shoes on.\n",
            }
        )
        api.follows(LOOKS, Says("42."))
        assert await engine.say("Which number?") == "42."
        for request in (api.asked(1), api.asked(2)):
            assert "I will remember 42." in request.said
            for told in ("on a hill", "Shoes on.", "Speak like a sailor.", "Be brief."):
                assert told in request.system
            assert "Speak like a gardener." not in request.system
            assert "Shoes off." not in request.system


# What is known before anybody asks


@asynchronous
async def test_status_names_a_missing_program_and_key_before_the_first_session(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path, {**BASE, "agent/defaults.md": defaults()})
    with place.config.open("a") as config:
        config.write('claude = "no-such-claude"\n')
    async with place.engine() as engine:
        await until(lambda: len(engine.overview()["attention"]) == 2)
        missing, keyless = engine.overview()["attention"]
        assert "looked for `no-such-claude`" in missing
        assert "Set ANTHROPIC_API_KEY" in keyless
        # Nothing waits for it, and it is gone when the note chooses again.
        await engine.push({"agent/defaults.md": note("defaults", timezone="UTC")})
        await until(lambda: engine.overview()["attention"] == [])
