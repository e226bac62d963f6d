"""`explain` answers as the fences act, and names the line."""

import asyncio
import random
from pathlib import Path

import pytest

from support.memory_vault import MemoryFiles
from support.notes import note
from support.policies import SCOPE, random_path, random_vault
from support.run import asynchronous
from vaultloop.explanation import (
    READING_TOOLS,
    TOOLS_BY_ABILITY,
    WRITING_TOOLS,
    Answer,
    Explanation,
    Question,
    What,
)
from vaultloop.model.cell import Task
from vaultloop.model.policy import Policy
from vaultloop.runners.claude.flags import flags
from vaultloop.vault.notes.protected import protected_in
from vaultloop.vault.views.publish import select
from vaultloop.vault.views.view import Changes
from vaultloop.vault.views.views import Views

OWNER_ID, ANN = "100", "200"
CHAT = "-1001234567890"

FINANCE = """---
kind: scope
chats: "-1001234567890 Finances"
people:
  - "200 Ann"
can-read:
  - work
  - personal/finances/**
can-write: personal/finances
except: personal/finances/secret
abilities: [shell]
hosts: "*.example.org"
---
Be exact.
"""
MINE = note("scope", chats="owner", can_read='"**"', can_write='"**"')
VAULT = {"agent/scopes/finance.md": FINANCE, "agent/scopes/mine.md": MINE}


def asked(question: Question, notes: dict[str, str] | None = None) -> Answer:
    files = MemoryFiles("r1", VAULT if notes is None else notes)
    return asyncio.run(Explanation(files, (OWNER_ID,)).answer(question))


def grounds(answer: Answer) -> list[str]:
    return [str(ground) for ground in answer.grounds]


@pytest.mark.parametrize(
    ("what", "name", "allowed", "ground"),
    [
        (What.READ, "personal/finances/2025.md", True, "8 can-read: personal/finances/**"),
        (What.READ, "personal/finances/secret/x.md", False, "10 except: personal/finances/secret"),
        (What.READ, "diary.md", False, "6 can-read: work, personal/finances/**"),
        (What.WRITE, "personal/finances/new.md", True, "9 can-write: personal/finances"),
        (What.WRITE, "personal/finances/secret/x.md", False, "10 except: personal/finances/secret"),
        (What.WRITE, "work/a.md", False, "9 can-write: personal/finances"),
        (What.TOOL, "Bash", True, "11 abilities: shell"),
        (What.TOOL, "web-search", False, "11 abilities: shell"),
        (What.TOOL, "WebFetch", False, "11 abilities: shell"),
        (What.TOOL, "Edit", True, "9 can-write: personal/finances"),
        (What.HOST, "api.example.org", True, "12 hosts: *.example.org"),
        (What.HOST, "api.example.org:443", True, "12 hosts: *.example.org"),
        (What.HOST, "example.com", False, "12 hosts: *.example.org"),
    ],
)
def test_each_grant_and_each_denial_names_its_line(
    what: What, name: str, ground: str, *, allowed: bool
) -> None:
    answer = asked(Question(scope="finance", what=what, name=name))
    assert answer.allowed is allowed
    assert f"agent/scopes/finance.md:{ground}" in grounds(answer)


def test_pages_are_fetched_from_listed_hosts_alone() -> None:
    scope = note("scope", chats="owner", abilities="web-fetch")
    question = Question(chat="owner", what=What.TOOL, name="web-fetch")
    assert not asked(question, {SCOPE: scope}).allowed
    listed = note("scope", chats="owner", abilities="web-fetch", hosts="example.org")
    assert grounds(asked(question, {SCOPE: listed})) == [
        f"{SCOPE}:4 abilities: web-fetch",
        f"{SCOPE}:5 hosts: example.org",
    ]
    assert asked(question, {SCOPE: listed}).allowed


def test_what_is_not_said_grants_nothing_and_that_is_said() -> None:
    answer = asked(Question(chat="owner", what=What.HOST, name="example.org"))
    assert not answer.allowed
    assert grounds(answer) == ["agent/scopes/mine.md:2 no `hosts`, so it reaches none"]


@pytest.mark.parametrize("host", ["127.0.0.1", "api.example.org:80", "[::1]:443", "example.org."])
def test_what_is_no_name_of_a_host_is_denied_with_the_reason(host: str) -> None:
    answer = asked(Question(scope="finance", what=What.HOST, name=host))
    assert not answer.allowed
    assert answer.why


@pytest.mark.parametrize(
    ("mode", "allowed", "said"),
    [
        ("deny", False, "governs the agent"),
        ("propose", False, "a proposal"),
        ("allow", True, "else a proposal"),
    ],
)
def test_what_governs_the_agent_follows_self_edit(mode: str, said: str, *, allowed: bool) -> None:
    scope = note("scope", chats="owner", can_write='"**"', self_edit=mode)
    answer = asked(Question(chat="owner", what=What.WRITE, name="agent/rules/x.md"), {SCOPE: scope})
    assert answer.allowed is allowed
    assert said in answer.why
    assert f"{SCOPE}:5 self-edit: {mode}" in grounds(answer)


def test_a_person_who_may_not_speak_is_denied_by_the_line_with_the_people() -> None:
    answer = asked(Question(chat=CHAT, person="300", what=What.READ, name="work/a.md"))
    assert not answer.allowed
    assert "not among the people" in answer.why
    assert grounds(answer) == ["agent/scopes/finance.md:4 people: 200 Ann"]
    assert asked(Question(chat=CHAT, person=ANN, what=What.READ, name="work/a.md")).allowed


def test_the_owner_is_known_by_every_id() -> None:
    assert asked(Question(chat=OWNER_ID, person=OWNER_ID, what=What.READ, name="x.md")).allowed


def test_a_chat_without_a_scope_is_denied() -> None:
    answer = asked(Question(chat="-5", what=What.READ, name="work/a.md"))
    assert not answer.allowed
    assert "no scope" in answer.why


def test_a_chat_without_a_scope_is_not_denied_by_the_broken_note_of_another_chat() -> None:
    broken = note("scope", chats='"-5 Team"', people="owner", can_reed="x")
    notes = {**VAULT, "agent/scopes/team.md": broken}
    assert grounds(asked(Question(chat="-100777777", what=What.READ, name="a.md"), notes)) == []
    (ground,) = asked(Question(chat="-5", what=What.READ, name="a.md"), notes).grounds
    assert ground.file == "agent/scopes/team.md"


@pytest.mark.parametrize(
    ("path", "twin"), [("Guest/G.md", "Guest/g.md"), ("guest/new.md", "Guest"), ("Guest/g.md", "")]
)
def test_a_name_that_publishing_cannot_tell_from_another_is_denied(path: str, twin: str) -> None:
    answer = asked(Question(chat="owner", what=What.WRITE, name=path), {**VAULT, "Guest/g.md": "hello"})
    assert answer.allowed is not bool(twin)
    assert not twin or f"its name cannot be told from `{twin}`" in answer.why


def test_who_explains_reads_which_scopes_close_a_chat_and_why() -> None:
    waiting = note("scope", chats='"-7"', people='"200"', mcp_servers='"[[wiki]]"')
    server = note("mcp-server", transport="stdio", command="serve", allow_tools='"*"')
    notes = {**VAULT, "agent/scopes/team.md": waiting, "agent/mcp-servers/wiki.md": server}
    answer = asked(Question(chat="-7", what=What.READ, name="a.md"), notes)
    assert answer.why.startswith("The scope `team` cannot be used as yet. No component yet runs tool servers")


def test_a_chat_of_two_scopes_is_denied_by_both_lines() -> None:
    twin = note("scope", chats=f'"{CHAT}"', people="anyone")
    answer = asked(Question(chat=CHAT), {**VAULT, "agent/scopes/twin.md": twin})
    assert not answer.allowed
    assert sorted(grounds(answer)) == [
        "agent/scopes/finance.md:3 chats: -1001234567890 Finances",
        "agent/scopes/twin.md:3 chats: -1001234567890",
    ]


def test_a_paused_scope_and_one_with_an_error_are_denied_by_that_line() -> None:
    paused = note("scope", chats="owner", paused="true")
    assert grounds(asked(Question(chat="owner"), {SCOPE: paused})) == [f"{SCOPE}:4 paused: true"]
    wrong = note("scope", chats="owner", max_steps="many")
    answer = asked(Question(scope="it"), {SCOPE: wrong})
    assert not answer.allowed
    assert grounds(answer)[0].startswith(f"{SCOPE}:4 ")


def test_a_scope_that_waits_for_its_tools_says_so() -> None:
    server = note("mcp-server", transport="stdio", command="serve", allow_tools='"*"')
    scope = note("scope", chats=f'"{CHAT}"', people="anyone", mcp_servers="wiki")
    answer = asked(Question(scope="it"), {SCOPE: scope, "agent/mcp-servers/wiki.md": server})
    assert not answer.allowed
    assert "No component yet runs tool servers (`wiki`)" in answer.why
    assert grounds(answer) == [f"{SCOPE}:5 mcp-servers: wiki"]


def test_without_a_question_the_whole_policy_is_told_with_what_it_inherits() -> None:
    defaults = note("defaults", stop_after="5m", budget_usd_per_run="2")
    answer = asked(Question(scope="finance"), {**VAULT, "agent/defaults.md": defaults})
    assert answer.allowed
    assert "agent/scopes/finance.md:9 can-write: personal/finances" in grounds(answer)
    assert "agent/defaults.md:4 budget-usd-per-run: 2" in grounds(answer)
    assert answer.policy is not None
    assert answer.as_json()["policy"] == answer.policy.id


def test_the_tools_are_those_that_the_agent_program_is_started_with(tmp_path: Path) -> None:
    policy = asked(Question(chat="owner")).policy
    assert policy is not None
    abilities = tuple(TOOLS_BY_ABILITY)
    everything = Policy(
        policy.scope, policy.audience, can_write=("**",), abilities=abilities, hosts=("example.org",)
    )
    given = flags(Task("s", "", ""), everything, tmp_path / "rules")
    tools = given[given.index("--tools") + 1].split(",")
    assert set(tools) == {*READING_TOOLS, *WRITING_TOOLS, *TOOLS_BY_ABILITY.values()}


@pytest.mark.parametrize("seed", range(10))
def test_it_agrees_with_the_view_and_with_what_is_published(tmp_path: Path, seed: int) -> None:
    """Fifty policies for each seed, five hundred in all, with several questions each."""
    chance, views = random.Random(seed), Views(tmp_path)
    answers = set()

    @asynchronous
    async def agrees() -> None:
        for _ in range(50):
            files = random_vault(chance)
            explanation = Explanation(files, ())
            policy = (await explanation.answer(Question(scope="it"))).policy
            assert policy is not None
            view = views.lease(files, policy)
            seen = {
                path.relative_to(view.folder).as_posix() for path in view.folder.rglob("*") if path.is_file()
            }
            for path in {random_path(chance, files) for _ in range(4)}:
                if path in files.notes:
                    read = await explanation.answer(Question(scope="it", what=What.READ, name=path))
                    assert read.allowed is (path in seen), (files.notes[SCOPE], path, read)
                write = await explanation.answer(Question(scope="it", what=What.WRITE, name=path))
                selection = select(Changes(written=(path,)), policy, protected_in(files))
                waits = path in selection.held_written and policy.self_edit == "allow"
                arrives = path in selection.written or waits
                unfit = any(part.startswith(".") for part in path.split("/"))
                assert write.allowed is (arrives and not unfit), (files.notes[SCOPE], path, write)
                assert write.allowed or write.why or write.grounds
                answers.add(write.allowed)
            views.discard(view)

    agrees()
    assert answers == {True, False}
