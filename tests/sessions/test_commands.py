from datetime import UTC, datetime

import pytest

from vaultloop.model.conversation import Message
from vaultloop.model.policy import Audience, Policy
from vaultloop.sessions.commands import ON_PROPOSALS, Answers, answer, available, command_in

OWNER = Policy("owner", Audience.OWNER)
GROUP = Policy("family", Audience.GROUP, commands=("/status", "help"))
ANSWERS = Answers(
    status=lambda message, policy: f"all well for {policy.scope}",
    crons=lambda: "digest at 7",
    cancel=lambda message, policy: f"cancelled for {policy.scope}",
    retry=lambda message, policy: f"again for {policy.scope}",
)


def said(text: str, policy: Policy = OWNER) -> str:
    name = command_in(text)
    assert name is not None
    message = Message("console", "owner", "1", "owner", text, datetime(2026, 11, 22, tzinfo=UTC))
    return answer(name, message, policy, ANSWERS)


@pytest.mark.parametrize(
    ("text", "name"),
    [("/status", "status"), ("  /Crons please", "crons"), ("/help@vaultloop_bot", "help"), ("/nope", "nope")],
)
def test_a_slash_and_a_word_is_a_command(text: str, name: str) -> None:
    assert command_in(text) == name


@pytest.mark.parametrize("text", ["status", "/etc/hosts is full", "/ status", "see /status", "/", "1/2"])
def test_anything_else_is_ordinary_text(text: str) -> None:
    assert command_in(text) is None


def test_the_owner_has_every_command() -> None:
    assert said("/status") == "all well for owner"
    assert said("/crons") == "digest at 7"
    assert said("/cancel") == "cancelled for owner"
    assert said("/retry") == "again for owner"
    assert said("/help").startswith("/status: ")


def test_another_chat_has_the_commands_that_its_scope_lists() -> None:
    assert available(GROUP) == ["status", "help"]
    assert said("/status", GROUP) == "all well for family"
    assert said("/cancel", GROUP) == said("/help", GROUP)
    assert "/cancel" not in said("/help", GROUP)


def test_an_unknown_command_is_answered_with_the_known_ones() -> None:
    assert said("/configure x") == said("/help")


def test_a_chat_without_commands_is_told_so() -> None:
    assert said("/status", Policy("p", Audience.PUBLIC)).startswith("There are no commands in this chat.")


def test_only_the_owner_has_the_commands_on_proposals() -> None:
    listed = Policy("family", Audience.GROUP, commands=(*ON_PROPOSALS, "status"))
    assert available(listed) == ["status"]
    assert set(available(OWNER)) > ON_PROPOSALS
