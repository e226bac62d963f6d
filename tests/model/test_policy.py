"""Policies and protected paths."""

from dataclasses import replace

import pytest

from vaultloop.model.policy import Audience, Policy, is_protected

FINANCE = Policy(
    scope="finance",
    audience=Audience.GROUP,
    can_read=("personal/finances",),
    can_write=("personal/finances/reports",),
    except_=("personal/finances/private",),
)


def test_every_grant_is_empty_unless_given() -> None:
    nobody = Policy(scope="x", audience=Audience.PUBLIC)
    assert not nobody.reads("Home.md")
    assert not nobody.writes("Home.md")


def test_what_may_be_written_may_be_read_and_exceptions_win_over_both() -> None:
    policy = replace(FINANCE, can_read=(), except_=("personal/finances/reports/old",))
    assert policy.reads("personal/finances/reports/q1.md")
    assert not policy.reads("personal/finances/q1.md")
    assert not policy.writes("personal/finances/reports/old/q1.md")
    assert not policy.reads("personal/finances/reports/old/q1.md")


def test_reading_does_not_grant_writing() -> None:
    assert FINANCE.reads("personal/finances/bank.md")
    assert not FINANCE.writes("personal/finances/bank.md")


def test_equal_policies_have_equal_ids_and_any_difference_another() -> None:
    assert FINANCE.id == replace(FINANCE).id
    assert FINANCE.id != replace(FINANCE, can_read=("personal",)).id
    assert FINANCE.id != replace(FINANCE, instructions="be kind").id


@pytest.mark.parametrize(
    "path",
    [
        "agent/crons/digest.md",
        "Agent/x.md",
        "AGENT/x.md",
        "\uff41gent/x.md",
        "ag\u200bent/x.md",
        "agent ",
        "CLAUDE.md",
        "projects/claude.MD",
        "a/b/AGENTS.md",
        "CLAUDE.local.md",
        ".obsidian/app.json",
        "notes/.hidden/x.md",
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        "ci/Jenkinsfile",
        "Templates/daily.md",
        "templates",
    ],
)
def test_what_governs_the_agent_is_protected(path: str) -> None:
    assert is_protected(path)


@pytest.mark.parametrize(
    "path", ["Inbox.md", "notes/agent/x.md", "agents/x.md", "My Templates/x.md", "a.b/c.md"]
)
def test_ordinary_notes_are_not_protected(path: str) -> None:
    assert not is_protected(path)
