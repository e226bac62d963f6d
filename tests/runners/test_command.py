import os
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from support.cells import fence
from support.run import asynchronous
from vaultloop.model.cell import Cell, Result, Task
from vaultloop.model.errors import Stalled
from vaultloop.model.gateway import Door
from vaultloop.model.policy import Audience, Policy
from vaultloop.runners.command import CommandRunner, arguments
from vaultloop.sandbox.direct import DirectLauncher

TASK = Task(session="s", prompt="note: buy milk", instructions="Be kind.")


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    for name in ("view", "home", "tmp"):
        (tmp_path / name).mkdir()
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    policy = Policy("owner", Audience.OWNER)
    return Cell(tmp_path / "view", tmp_path / "home", tmp_path / "tmp", environment, policy)


async def ended(command: str, cell: Cell) -> Result:
    async with CommandRunner(DirectLauncher(), command).spawn(TASK, cell) as run:
        assert [use async for use in run.events()] == []
        return await run.result()


def python(program: str) -> str:
    return shlex.join([sys.executable, "-c", program])


@asynchronous
async def test_the_prompt_goes_in_and_the_reply_comes_out(cell: Cell) -> None:
    result = await ended(python("import sys; print(sys.stdin.read().upper())"), cell)
    assert result == Result(ok=True, text="NOTE: BUY MILK")


@asynchronous
async def test_another_exit_status_is_a_failure_told_with_the_end_of_the_complaint(cell: Cell) -> None:
    result = await ended(python('import sys; print("ha" "lf"); sys.exit("no disk")'), cell)
    assert not result.ok
    assert result.text.endswith("ended with status 1. no disk")
    assert "half" not in result.text


@asynchronous
async def test_instructions_lie_in_a_file_for_programs_that_want_them(cell: Cell) -> None:
    program = "import os, pathlib; print(pathlib.Path(os.environ['VAULTLOOP_INSTRUCTIONS']).read_text())"
    assert (await ended(python(program), cell)).text == "Be kind."


@asynchronous
async def test_a_scope_with_hosts_shows_the_program_the_way_and_any_other_shows_none(cell: Cell) -> None:
    program = python(
        "import os; print(sorted((k, v) for k, v in os.environ.items() if 'proxy' in k.lower()))"
    )
    door = Door("127.0.0.1", 40123, "token")
    assert (await ended(program, replace(cell, door=door))).text == "[]"
    named = replace(cell, policy=replace(cell.policy, hosts=("example.org",)))
    assert (await ended(program, named)).text == "[]"
    way, here = "http://session:token@127.0.0.1:40123", "127.0.0.1,localhost"
    large = [("HTTPS_PROXY", way), ("NODE_USE_ENV_PROXY", "1"), ("NO_PROXY", here)]
    told = [*large, ("https_proxy", way), ("no_proxy", here)]
    assert (await ended(program, replace(named, door=door))).text == str(told)


@asynchronous
async def test_a_program_that_does_not_read_its_prompt_is_no_failure(cell: Cell) -> None:
    task = Task(session="s", prompt="x" * 10_000_000, instructions="")
    async with CommandRunner(DirectLauncher(), "true").spawn(task, cell) as run:
        assert [use async for use in run.events()] == []
        assert (await run.result()).ok


@asynchronous
async def test_vaultloop_as_a_command_is_this_very_program(cell: Cell) -> None:
    result = await ended("vaultloop practice", cell)
    assert result.text == "Added to [[Inbox]]."
    assert (cell.view / "Inbox.md").exists()


def test_a_command_line_is_split_like_a_shell_would() -> None:
    assert arguments("my-agent --note 'two words'") == ["my-agent", "--note", "two words"]
    assert arguments("vaultloop practice") == [sys.executable, "-P", "-m", "vaultloop", "practice"]


@pytest.mark.parametrize("command", ["", "agent 'unclosed"])
def test_a_command_that_is_none_is_answered_with_a_cure(command: str) -> None:
    with pytest.raises(Stalled, match="defaults note"):
        arguments(command)


@pytest.mark.parametrize("command", ["agent \ud83d", "agent \0"])
def test_a_command_with_characters_that_none_can_have_is_answered_with_a_cure(command: str) -> None:
    with pytest.raises(Stalled, match="characters that no command can have") as caught:
        arguments(command)
    assert "\0" not in str(caught.value).encode().decode()


@asynchronous
async def test_bytes_that_are_no_text_are_replaced_in_the_reply_and_the_complaint(cell: Cell) -> None:
    program = (
        r"import os, sys; os.write(int(sys.argv[1]), b'a\xed\xa0\xbd\0b'); sys.exit(int(sys.argv[1]) - 1)"
    )
    reply = await ended(f"{python(program)} 1", cell)
    complaint = await ended(f"{python(program)} 2", cell)
    for text in (reply.text, complaint.text):
        assert re.search("a\ufffd+b", text)
        assert "\0" not in text.encode().decode()


ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
OUT_OF_REACH = "No session can read `{}`, which `command` needs. Write `programs = [{}]` in vaultloop.toml."


@asynchronous
async def test_a_script_out_of_reach_is_told_before_a_run_and_with_its_failure(
    cell: Cell, tmp_path: Path
) -> None:
    script = tmp_path / "tools" / "agent.sh"
    script.parent.mkdir()
    script.write_text("echo hello\n")
    told = OUT_OF_REACH.format(script, f'"{script.parent}"')
    async with fence() as launcher:
        runner = CommandRunner(launcher, f"sh {script}")
        assert await runner.shortcomings(ENVIRONMENT) == [told]
        async with runner.spawn(TASK, cell) as run:
            assert [use async for use in run.events()] == []
            assert (await run.result()).text.endswith(told)


@asynchronous
async def test_a_script_in_a_folder_of_programs_runs_and_lacks_nothing(cell: Cell, tmp_path: Path) -> None:
    script = tmp_path / "tools" / "agent.sh"
    script.parent.mkdir()
    script.write_text("echo hello\n")
    async with fence(programs=[script.parent]) as launcher:
        runner = CommandRunner(launcher, f"sh {script}")
        assert await runner.shortcomings(ENVIRONMENT) == []
        async with runner.spawn(TASK, cell) as run:
            assert [use async for use in run.events()] == []
            assert await run.result() == Result(ok=True, text="hello")


@asynchronous
async def test_without_a_fence_everything_is_within_reach(tmp_path: Path) -> None:
    (tmp_path / "agent.sh").write_text("echo hello\n")
    assert await CommandRunner(DirectLauncher(), f"sh {tmp_path}/agent.sh").shortcomings(ENVIRONMENT) == []
    async with fence() as launcher:
        assert await CommandRunner(launcher, "vaultloop practice").shortcomings(ENVIRONMENT) == []


@asynchronous
async def test_what_lies_in_the_view_never_takes_the_place_of_the_practice_agent(cell: Cell) -> None:
    for name in ("vaultloop.py", "sitecustomize.py", "json.py", "click.py"):
        (cell.view / name).write_text("print('planted')\nraise SystemExit\n")
    runner = CommandRunner(DirectLauncher(), "vaultloop practice")
    task = replace(TASK, prompt="what is open?")
    async with runner.spawn(task, cell) as run:
        assert [use async for use in run.events()] == []
        result = await run.result()
    assert (result.ok, "planted" in result.text) == (True, False)
