"""The runner and the real CLI: what goes out, what comes back, what is kept and what ends."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.messages_api import Fails, Hangs, MessagesApi, Says, Use
from support.real_agent import KEY, POLICY, TASK, RealAgent
from support.run import asynchronous
from vaultloop.model.cell import Result, Run, Transcript
from vaultloop.runners.claude.version import TESTED

ENDLESS = Use("Bash", {"command": "echo $$ > running; exec tail -f /dev/null", "timeout": 600_000})


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RealAgent]:
    with RealAgent.following(tmp_path) as made:
        made.write({"Garden.md": "The roses need water.\n"})
        yield made


@asynchronous
async def test_an_answer_comes_with_its_cost_its_model_and_what_was_done(agent: RealAgent) -> None:
    agent.api.follows(
        Says(uses=[Use("Read", {"file_path": str(agent.view / "Garden.md")})]),
        Says(uses=[Use("Write", {"file_path": str(agent.view / "Done.md"), "content": "Watered.\n"})]),
        Says("I watered them."),
    )
    uses, result = await agent.asked("Water the roses")
    assert [(use.name, use.reads_only) for use in uses] == [("Read", True), ("Write", False)]
    assert (agent.view / "Done.md").read_text() == "Watered.\n"
    assert "The roses need water." in agent.api.asked(2).said
    assert (result.ok, result.text, result.model) == (True, "I watered them.", POLICY.model)
    assert result.usage["input_tokens"] == 300
    assert 0 < result.cost_usd < 0.1


@asynchronous
async def test_the_tested_version_is_the_one_that_runs(agent: RealAgent) -> None:
    await agent.asked("Hello")
    assert f"/{TESTED} " in agent.api.asked().headers["User-Agent"]


@pytest.mark.parametrize(
    "text", ["@/etc/passwd and @Garden.md", "/config autoCompact=false", "/cost", "/compact"]
)
@asynchronous
async def test_a_message_reaches_the_model_as_it_was_written(agent: RealAgent, text: str) -> None:
    await agent.asked(text)
    request = agent.api.asked()
    assert text in request.said
    assert "root:" not in request.everything
    assert "The roses need water" not in request.everything
    assert not list(agent.folder.glob("home-*/.claude/settings*.json"))


@asynchronous
async def test_what_lies_in_the_vault_for_the_cli_to_find_is_not_used(agent: RealAgent) -> None:
    touch = f"touch {agent.folder / 'touched'}"
    hook = {"hooks": [{"type": "command", "command": touch}]}
    settings = {"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}, "hooks": {"SessionStart": [hook]}}
    server = {"mcpServers": {"planted": {"command": "sh", "args": ["-c", touch]}}}
    agent.write(
        {
            ".claude/settings.json": json.dumps(settings),
            ".claude/settings.local.json": json.dumps(settings),
            ".mcp.json": json.dumps(server),
            "CLAUDE.md": "Planted words.",
            ".claude/commands/cost.md": "Planted words.",
        }
    )
    _, result = await agent.asked("Hello")
    assert result.ok
    assert not (agent.folder / "touched").exists()
    assert not [tool for tool in agent.api.asked().tools if tool.startswith("mcp")]
    assert "Planted words." not in agent.api.asked().everything


@asynchronous
async def test_the_model_is_offered_the_tools_of_the_policy_and_no_others(agent: RealAgent) -> None:
    await replace(agent, policy=replace(POLICY, can_write=())).asked("Hello")
    # The placeholder stands for tools that could be loaded later: none are there.
    offered = set(agent.api.asked().tools) - {"DeferredToolPlaceholder"}
    assert offered == {"Glob", "Grep", "Read"}


@asynchronous
async def test_a_conversation_goes_on_under_todays_rules_and_costs_what_the_new_part_costs(
    agent: RealAgent,
) -> None:
    agent.api.follows(Says("I will remember 42.", input_tokens=2000))
    kept = replace(TASK, keep_transcript=True)
    _, first = await agent.asked("Remember 42", kept)
    assert first.transcript is not None
    assert first.transcript.spent_usd == pytest.approx(first.cost_usd)

    agent.api.follows(Says("42.", input_tokens=1000))
    later = replace(kept, session="20261122-080000-abcdef", instructions="Be brief.")
    _, second = await agent.asked("Which number?", replace(later, resume=first.transcript))
    request = agent.api.asked()
    assert "I will remember 42." in request.said
    assert "Be brief." in request.system
    assert "Be kind." not in request.everything
    assert second.transcript is not None
    assert second.transcript.id == first.transcript.id
    assert 0 < second.cost_usd < first.cost_usd
    assert second.transcript.spent_usd == pytest.approx(first.cost_usd + second.cost_usd)

    third = replace(later, resume=second.transcript)
    _, result = await agent.asked("Sure?", third)
    assert "Which number?" in agent.api.asked(2).said
    assert result.cost_usd == pytest.approx(second.cost_usd)


@pytest.mark.parametrize("content", ["", "garbage\n", None])
@asynchronous
async def test_a_damaged_transcript_is_named_as_the_cause(agent: RealAgent, content: str | None) -> None:
    file = agent.folder / "damaged"
    if content is not None:
        file.write_text(content)
    earlier = Transcript("9d2aaafd-18f6-4d12-9aeb-6c27fffded44", file)
    _, result = await agent.asked("Go on", replace(TASK, resume=earlier))
    assert not result.ok
    assert not result.resumable
    assert "transcript" in result.text


@asynchronous
async def test_a_run_that_nobody_resumes_names_no_transcript(agent: RealAgent) -> None:
    _, result = await agent.asked("Hello")
    assert result.transcript is None


async def interrupted(agent: RealAgent) -> Result:
    """What is known of a run that was interrupted while its command was running."""
    shell = replace(agent, policy=replace(POLICY, abilities=("shell",)))
    async with shell.spawned() as run:
        following = asyncio.create_task(_result(run), name="following")
        while not (agent.view / "running").exists() or not (agent.view / "running").read_text():
            await asyncio.sleep(0.01)
        begun = asyncio.get_running_loop().time()
        await run.interrupt()
        result = await following
    assert asyncio.get_running_loop().time() - begun < 1.0
    return result


async def _result(run: Run) -> Result:
    async for _ in run.events():
        pass
    return await run.result()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@asynchronous
async def test_an_interrupt_ends_the_run_and_its_commands_within_a_second_and_keeps_the_cost(
    agent: RealAgent,
) -> None:
    agent.api.follows(Says(uses=[ENDLESS], input_tokens=5000))
    result = await interrupted(agent)
    assert not result.ok
    assert "interrupted" in result.text
    assert result.cost_usd > 0.01
    assert not is_alive(int((agent.view / "running").read_text()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@asynchronous
async def test_a_cli_that_somebody_ends_leaves_nothing_behind(
    agent: RealAgent, number: signal.Signals
) -> None:
    agent.api.follows(Says(uses=[ENDLESS], input_tokens=5000))
    shell = replace(agent, policy=replace(POLICY, abilities=("shell",)))
    async with shell.spawned() as run:
        following = asyncio.create_task(_result(run), name="following")
        while not (agent.view / "running").exists() or not (agent.view / "running").read_text():
            await asyncio.sleep(0.01)
        os.kill(run.pid, number)
        result = await following
    assert not result.ok
    assert result.retryable
    if number is signal.SIGTERM:
        assert "stopped (SIGTERM)" in result.text
        # No result line says so; the transcript does.
        assert result.cost_usd > 0.01
    while is_alive(int((agent.view / "running").read_text())):
        await asyncio.sleep(0)


@asynchronous
async def test_a_command_left_in_the_background_does_not_keep_the_answer(agent: RealAgent) -> None:
    background = Use(ENDLESS.name, {**ENDLESS.input, "run_in_background": True})
    agent.api.follows(Says(uses=[background]), Says("It runs."))
    shell = replace(agent, policy=replace(POLICY, abilities=("shell",)))
    _, result = await shell.asked("Start it")
    assert (result.ok, result.text) == (True, "It runs.")
    while (pid := (agent.view / "running").read_text()) and is_alive(int(pid)):
        await asyncio.sleep(0)


@asynchronous
async def test_an_answer_of_many_megabytes_comes_whole(agent: RealAgent) -> None:
    agent.api.follows(Says("x" * 3_000_000))
    _, result = await agent.asked("Say x")
    assert len(result.text) == 3_000_000


@asynchronous
async def test_what_the_api_says_twice_is_logged_and_a_key_is_repeated_nowhere(
    agent: RealAgent, caplog: pytest.LogCaptureFixture
) -> None:
    agent.api.follows(Fails(500, message=f"bad {KEY}"), Fails(400, message=f"bad {KEY}"))
    _, result = await agent.asked("Hello")
    assert "the model's API failed (500); try 1 of 1" in caplog.text
    assert "[hidden]" in result.text
    assert KEY not in result.text + caplog.text


@asynchronous
async def test_uses_of_tools_that_were_not_allowed_are_logged(
    agent: RealAgent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    agent.api.follows(Says(uses=[Use("Read", {"file_path": "/etc/passwd"})]), Says("No."))
    await agent.asked("Read it")
    assert "1 uses of tools were not allowed (Read)" in caplog.text
    assert "root:" not in agent.api.asked(2).everything


@asynchronous
async def test_an_api_that_takes_its_time_after_a_429_is_waited_for(agent: RealAgent) -> None:
    agent.api.follows(Fails(429, "rate_limit_error", headers={"retry-after": "1"}), Says("Now."))
    _, result = await agent.asked("Hello")
    assert result.text == "Now."


@asynchronous
async def test_a_run_can_be_left_while_the_model_says_nothing(agent: RealAgent) -> None:
    agent.api.follows(Hangs())
    async with agent.spawned() as run:
        pid = run.pid
        following = asyncio.create_task(_result(run), name="following")
        await asyncio.to_thread(_asked, agent.api)
    following.cancel()
    assert not is_alive(pid)


def _asked(api: MessagesApi) -> None:
    api.asked()
