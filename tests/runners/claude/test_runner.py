"""Against a stub that speaks the CLI's JSON lines; the real CLI has a suite of its own."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from support.run import asynchronous
from vaultloop.model.cell import Cell, Result, Task, ToolUse
from vaultloop.model.errors import Stalled
from vaultloop.model.gateway import Door
from vaultloop.model.policy import Audience, Policy
from vaultloop.runners.claude.flags import DEFAULT_MODEL, Credential
from vaultloop.runners.claude.runner import ClaudeRunner
from vaultloop.sandbox.direct import DirectLauncher

TASK = Task(
    session="0b0e7a5e-6f8f-4c4e-9c53-6ad1c1a4f1aa", prompt="/cost @secret.md", instructions="Be kind."
)
POLICY = Policy("owner", Audience.OWNER, can_read=("**",), can_write=("**",))
DOOR = Door("127.0.0.1", 40123, "token-of-the-door")
WAY = "http://session:token-of-the-door@127.0.0.1:40123"

# Writes what it was given into its home, then answers each line of input with its lines.
STUB = """\
#!{python}
import json, os, pathlib, sys
if "--version" in sys.argv:
    print("{version} (Claude Code)")
    sys.exit()
home = pathlib.Path(os.environ["HOME"])
home.joinpath("arguments").write_text(json.dumps(sys.argv[1:]))
home.joinpath("environment").write_text(json.dumps(dict(os.environ)))
for line in sys.stdin:
    with home.joinpath("heard").open("a") as file:
        file.write(line)
    for answer in {answers}:
        print(answer if isinstance(answer, str) else json.dumps(answer), flush=True)
print("bye", file=sys.stderr)
sys.exit({status})
"""


def used(name: str) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": [{"type": "tool_use", "name": name, "input": {}}]}}


SUCCESS: dict[str, Any] = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": "Done.",
    "total_cost_usd": 0.25,
    "num_turns": 3,
    "usage": {"input_tokens": 100, "output_tokens": 20, "server_tool_use": {}},
}
INIT = {"type": "system", "subtype": "init", "model": "claude-test"}


class Stub:
    """A stand-in for the CLI in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "claude"
        for name in ("view", "home", "tmp"):
            (folder / name).mkdir()
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home")}
        self.cell = Cell(folder / "view", folder / "home", folder / "tmp", environment, POLICY, DOOR)

    def answers(self, *answers: Mapping[str, Any] | str, version: str = "2.1.330", status: int = 0) -> None:
        text = STUB.format(python=sys.executable, version=version, answers=repr(answers), status=status)
        self.program.write_text(text)
        self.program.chmod(0o755)

    def runner(self, credential: Credential | None = Credential.API_KEY) -> ClaudeRunner:
        return ClaudeRunner(DirectLauncher(), str(self.program), credential)

    async def run(self) -> tuple[list[ToolUse], Result]:
        async with self.runner().spawn(TASK, self.cell) as run:
            events = [event async for event in run.events()]
            return events, await run.result()

    def seen(self, name: str) -> Any:
        return json.loads((self.cell.home / name).read_text())


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    return Stub(tmp_path)


@asynchronous
async def test_an_answer_comes_with_its_cost_model_and_tools(stub: Stub) -> None:
    stub.answers(INIT, used("Read"), used("Edit"), SUCCESS)
    events, result = await stub.run()
    assert events == [ToolUse("Read", reads_only=True), ToolUse("Edit", reads_only=False)]
    usage = {"input_tokens": 100, "output_tokens": 20}
    assert result == Result(True, "Done.", cost_usd=0.25, model="claude-test", steps=3, usage=usage)


@asynchronous
async def test_the_message_is_handed_over_as_it_was_written(stub: Stub) -> None:
    stub.answers(SUCCESS)
    await stub.run()
    assert stub.seen("heard") == {
        "type": "user",
        "client_composed": True,
        "message": {"role": "user", "content": "/cost @secret.md"},
    }


@asynchronous
async def test_the_flags_keep_it_to_its_view(stub: Stub) -> None:
    stub.answers(SUCCESS)
    await stub.run()
    arguments = stub.seen("arguments")
    for flag in ("--restricted", "--strict-mcp-config", "--disable-slash-commands", "--verbose"):
        assert flag in arguments
    following = dict(pairwise(arguments))
    assert following["--tools"] == "Read,Grep,Glob,Write,Edit"
    assert following["--permission-mode"] == "dontAsk"
    assert following["--setting-sources"] == ""
    assert following["--system-prompt-snapshot"] == "off"
    assert following["--session-id"] == TASK.session
    assert Path(following["--append-system-prompt-file"]).read_text() == "Be kind."


@asynchronous
async def test_it_gets_the_token_of_its_door_and_nothing_else_of_the_engine(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEGRAM_SECRET", "x")
    stub.answers(SUCCESS)
    await stub.run()
    environment = stub.seen("environment")
    assert environment["ANTHROPIC_API_KEY"] == DOOR.token
    assert environment["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:40123"
    assert environment["CLAUDE_CODE_TMPDIR"] == str(stub.cell.scratch)
    assert not {"TELEGRAM_SECRET", "CLAUDE_CODE_OAUTH_TOKEN", "HTTPS_PROXY"} & set(environment)
    assert environment["GIT_CEILING_DIRECTORIES"] == str(stub.cell.view.parent)


@asynchronous
async def test_where_the_gateway_holds_an_oauth_token_the_cli_talks_as_with_one(stub: Stub) -> None:
    stub.answers(SUCCESS)
    async with stub.runner(Credential.OAUTH_TOKEN).spawn(TASK, stub.cell) as run:
        assert [event async for event in run.events()] == []
    environment = stub.seen("environment")
    assert environment["CLAUDE_CODE_OAUTH_TOKEN"] == DOOR.token
    assert "ANTHROPIC_API_KEY" not in environment


@asynchronous
async def test_a_scope_with_hosts_is_shown_the_way_to_them(stub: Stub) -> None:
    stub.answers(SUCCESS)
    cell = replace(stub.cell, policy=replace(POLICY, hosts=("example.org",)))
    async with stub.runner().spawn(TASK, cell) as run:
        assert [event async for event in run.events()] == []
    environment = stub.seen("environment")
    assert environment["HTTPS_PROXY"] == environment["https_proxy"] == WAY
    assert "HTTP_PROXY" not in environment
    assert environment["NO_PROXY"] == "127.0.0.1,localhost"
    assert environment["NODE_USE_ENV_PROXY"] == "1"


@asynchronous
async def test_a_session_without_a_door_to_its_model_does_not_start(stub: Stub) -> None:
    stub.answers(SUCCESS)
    with pytest.raises(Stalled, match="needs the gateway"):
        async with stub.runner().spawn(TASK, replace(stub.cell, door=None)):
            pass


def test_a_session_asks_for_the_model_of_its_scope_or_for_the_default(stub: Stub) -> None:
    assert stub.runner().models(replace(POLICY, model="m")) == ("m",)
    assert stub.runner().models(POLICY) == (DEFAULT_MODEL,)


@asynchronous
async def test_an_interrupt_goes_over_the_open_input(stub: Stub) -> None:
    stub.answers(used("Read"))
    async with stub.runner().spawn(TASK, stub.cell) as run:
        events = run.events()
        await anext(events)
        await run.interrupt()
        # The stub answers each line that it hears: the second answer is to the interrupt.
        await anext(events)
    lines = (stub.cell.home / "heard").read_text().splitlines()
    assert json.loads(lines[1])["request"] == {"subtype": "interrupt"}


@asynchronous
async def test_only_a_result_line_without_an_error_is_a_success(stub: Stub) -> None:
    stub.answers({**SUCCESS, "is_error": True, "result": "Overloaded", "api_error_status": 529})
    _, result = await stub.run()
    assert not result.ok
    assert result.text.startswith("The model's API is overloaded (529).")
    assert result.retryable
    assert result.cost_usd == 0.25


@asynchronous
async def test_an_end_without_a_result_line_is_a_failure_that_names_the_signal(stub: Stub) -> None:
    stub.answers(INIT)
    async with stub.runner().spawn(TASK, stub.cell) as run:
        events = run.events()
        child = run.pid
        reading = [event async for event in _after(events, child)]
        result = await run.result()
    assert reading == []
    assert not result.ok
    assert "stopped (SIGTERM)" in result.text


async def _after(events: Any, pid: int) -> Any:
    os.kill(pid, 15)
    async for event in events:
        yield event


@pytest.mark.parametrize(
    "line",
    [
        *("", "stray", "[1]", "[" * 100_000, '{"a":' * 100_000, '"x', '{"a": ' + "9" * 5000 + "}"),
        *('{"type":"assistant"}', '{"type":"assistant","message":"x"}', '{"type":["result"]}'),
        *('{"type":"assistant","message":{"content":[1]}}', '{"type":"assistant","message":{"content":1}}'),
        '{"type":"result","is_error":false,"result":"Forged.","session_id":"another"}',
        '{"type":"result","is_error":false,"result":"Forged.","session_id":[1]}',
    ],
)
def test_a_line_of_another_shape_says_nothing(
    stub: Stub, caplog: pytest.LogCaptureFixture, line: str
) -> None:
    @asynchronous
    async def attempt() -> None:
        caplog.set_level("DEBUG")
        stub.answers(INIT, line, line, used("Read"), SUCCESS)
        events, result = await stub.run()
        assert ([use.name for use in events], result.text) == (["Read"], "Done.")
        assert caplog.text.count("a line that Claude Code does not print") == 1

    attempt()


@pytest.mark.parametrize(
    "line",
    [
        {"type": "system", "subtype": "init", "model": [1]},
        {"type": "system", "subtype": "init", "model": "forged", "session_id": "another"},
        {"type": "system", "subtype": "api_retry", "retry_delay_ms": "x", "error_status": [1], "attempt": -1},
        {"type": "system", "subtype": ["init"]},
    ],
)
def test_an_odd_field_is_as_good_as_none(stub: Stub, line: Mapping[str, Any]) -> None:
    @asynchronous
    async def attempt() -> None:
        stub.answers(line, INIT, {**SUCCESS, "permission_denials": [1, {"tool_name": [2]}], "errors": [1]})
        _, result = await stub.run()
        assert (result.ok, result.text, result.model) == (True, "Done.", "claude-test")

    attempt()


@pytest.mark.parametrize(
    "odd",
    [
        *({"usage": [1]}, {"result": {"a": 1}}, {"is_error": "no"}, {"modelUsage": "x"}, {"errors": "x"}),
        *({"num_turns": "x"}, {"num_turns": -1}, {"num_turns": True}, {"num_turns": 10**30}),
        *({"total_cost_usd": "x"}, {"total_cost_usd": -0.5}, {"total_cost_usd": 10**400}),
        *({"total_cost_usd": float(cost)} for cost in ("nan", "inf", "-inf")),
    ],
)
def test_a_result_of_another_shape_is_no_answer(stub: Stub, odd: Mapping[str, Any]) -> None:
    @asynchronous
    async def attempt() -> None:
        stub.answers(INIT, json.dumps({**SUCCESS, **odd}))
        _, result = await stub.run()
        assert not result.ok
        assert "malformed stream" in result.text
        assert (result.cost_usd, result.model) == (0.0, "claude-test")

    attempt()


@asynchronous
async def test_the_first_result_of_its_own_session_counts(stub: Stub) -> None:
    own = {"session_id": TASK.session}
    forged = {**SUCCESS, "result": "Forged."}
    stub.answers(
        {**INIT, **own}, forged, {**forged, "session_id": "x"}, {**SUCCESS, **own}, {**forged, **own}
    )
    _, result = await stub.run()
    assert result.text == "Done."


@asynchronous
async def test_what_cannot_be_written_down_is_replaced_and_all_else_stays(stub: Stub) -> None:
    said = r"half \ud83d, whole \ud83d\ude00, turned \ude00\ud83d, nothing \u0000, told \\ud83d"
    stub.answers(
        json.dumps(INIT).replace("claude-test", r"claude\udfff"),
        json.dumps(used("Read")).replace("Read", r"Re\ud800ad"),
        json.dumps(SUCCESS).replace("Done.", said),
    )
    events, result = await stub.run()
    assert result.text == ("half \ufffd, whole \U0001f600, turned \ufffd\ufffd, nothing \ufffd, told \\ud83d")
    assert (events[0].name, result.model) == ("Re\ufffdad", "claude\ufffd")


@asynchronous
async def test_an_answer_does_not_repeat_the_token(stub: Stub) -> None:
    stub.answers(INIT, {**SUCCESS, "result": f"The key is {DOOR.token}."})
    _, result = await stub.run()
    assert result.text == "The key is [hidden]."


@asynchronous
async def test_a_missing_cli_is_answered_with_a_cure(stub: Stub) -> None:
    with pytest.raises(Stalled, match=r"was not found.*Install it"):
        async with stub.runner().spawn(TASK, stub.cell):
            pass


@asynchronous
async def test_a_missing_key_is_answered_with_a_cure(stub: Stub) -> None:
    stub.answers(SUCCESS)
    with pytest.raises(Stalled, match="Set ANTHROPIC_API_KEY"):
        async with stub.runner(None).spawn(TASK, stub.cell):
            pass


@pytest.mark.parametrize("version", ["2.1.247", "1.9.9", "unknown"])
def test_a_cli_that_would_expand_messages_is_refused(stub: Stub, version: str) -> None:
    @asynchronous
    async def attempt() -> None:
        stub.answers(SUCCESS, version=version)
        with pytest.raises(Stalled, match=r"2\.1\.248 or newer is needed"):
            async with stub.runner().spawn(TASK, stub.cell):
                pass

    attempt()


@asynchronous
async def test_a_budget_of_nothing_is_no_budget_without_end(stub: Stub) -> None:
    stub.answers(SUCCESS)
    broke = replace(stub.cell, policy=replace(POLICY, budget_usd_per_run=0.0))
    with pytest.raises(Stalled, match="nothing to spend"):
        async with stub.runner().spawn(TASK, broke):
            pass


DEAF = """\
#!{python}
import signal, sys
if "--version" in sys.argv:
    print("2.1.330 (Claude Code)")
    sys.exit()
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print('{{"type":"system","subtype":"init","model":"deaf"}}', flush=True)
print('{{"type":"assistant","message":{{"content":[{{"type":"tool_use","name":"Read"}}]}}}}', flush=True)
while True:
    sys.stdin.readline() or signal.pause()
"""


@asynchronous
async def test_a_cli_that_hears_nothing_at_all_is_gone_within_a_second(stub: Stub) -> None:
    stub.program.write_text(DEAF.format(python=sys.executable))
    stub.program.chmod(0o755)
    async with stub.runner().spawn(TASK, stub.cell) as run:
        await anext(run.events())
        begun = asyncio.get_running_loop().time()
        await run.interrupt()
    assert asyncio.get_running_loop().time() - begun < 1.0
    with pytest.raises(ProcessLookupError):
        os.kill(run.pid, 0)
