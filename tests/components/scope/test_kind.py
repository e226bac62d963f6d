"""What a scope note may say."""

import pytest

from vaultloop.components.scope.kind import ScopeSpec
from vaultloop.model.policy import COMMANDS, Audience
from vaultloop.sessions.commands import DESCRIPTIONS, ON_PROPOSALS


def test_the_commands_that_a_scope_may_name_are_those_that_are_answered() -> None:
    assert set(COMMANDS) == set(DESCRIPTIONS) - set(ON_PROPOSALS)


@pytest.mark.parametrize(
    ("chats", "people", "audience"),
    [
        ((), None, Audience.CRON),
        (("owner",), None, Audience.OWNER),
        (("owner",), ("owner",), Audience.OWNER),
        (("7",), ("7",), Audience.OWNER),
        (("owner",), ("owner", "8"), Audience.GROUP),
        (("-1001234567890",), ("owner",), Audience.GROUP),
        (("owner", "-1001234567890"), ("owner",), Audience.GROUP),
        (("-1001234567890",), ("owner", "anyone"), Audience.PUBLIC),
    ],
)
def test_the_class_of_a_scope_follows_from_its_chats_and_people(
    chats: tuple[str, ...], people: tuple[str, ...] | None, audience: Audience
) -> None:
    assert ScopeSpec(chats=chats, people=people).audience(owners=["7"]) is audience


def test_without_the_owners_ids_a_private_chat_by_number_is_some_persons() -> None:
    assert ScopeSpec(chats=("7",), people=("7",)).audience() is Audience.GROUP
