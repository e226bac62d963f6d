from typing import Any

import pytest

from vaultloop.components.scope.kind import ScopeSpec
from vaultloop.model.resource import Ref, Resource, Source


def scope(**fields: Any) -> Resource[ScopeSpec]:
    spec = ScopeSpec.model_validate({key.replace("_", "-"): value for key, value in fields.items()})
    return Resource(Ref("scope", "owner"), spec, Source("agent/owner.md", "0"))


def changes(old: Resource[ScopeSpec] | None, new: Resource[ScopeSpec] | None) -> tuple[str, ...]:
    return ScopeSpec.permission_changes(old, new)


def test_a_new_scope_lists_what_it_grants() -> None:
    assert changes(None, scope(chats="owner", can_read=["personal/**", "work"])) == (
        "owner: + covers chat owner",
        "owner: + answers owner",
        "owner: + reads personal/**",
        "owner: + reads work",
    )


def test_a_scope_that_ends_lists_what_is_lost() -> None:
    assert changes(scope(can_write="Inbox"), None) == ("owner: - writes Inbox",)


def test_losses_stand_before_gains() -> None:
    assert changes(scope(people="111"), scope(people="222")) == (
        "owner: - answers 111",
        "owner: + answers 222",
    )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ({}, {"except": "x"}, "- reads and writes x"),
        ({"except": "x"}, {}, "+ reads and writes x"),
        ({}, {"budget_usd_per_run": "1"}, "- 1 USD a session"),
        ({"budget_usd_per_run": "1"}, {"budget_usd_per_run": "2.5"}, "+ 2.5 USD a session"),
        ({"max_steps": "5"}, {}, "+ any number of steps"),
        ({}, {"stop_after": "20m"}, "+ 20m a session"),
        ({"self_edit": "allow"}, {"self_edit": "deny"}, "- edits of agent/: deny"),
        ({"self_edit": "propose"}, {"self_edit": "allow"}, "+ edits of agent/: allow"),
        ({}, {"hosts": "*.example.org"}, "+ reaches *.example.org"),
    ],
)
def test_a_limit_or_a_fence_is_named_by_what_it_allows(
    old: dict[str, Any], new: dict[str, Any], sentence: str
) -> None:
    assert changes(scope(**old), scope(**new)) == (f"owner: {sentence}",)


def test_pausing_takes_every_grant_away_and_resuming_gives_it_back() -> None:
    running, paused = scope(can_read="Notes"), scope(can_read="Notes", paused="true")
    assert changes(running, paused) == ("owner: - reads Notes",)
    assert changes(paused, running) == ("owner: + reads Notes",)


def test_what_changes_no_permission_says_nothing() -> None:
    assert changes(scope(can_read="a"), scope(can_read="a", description="Mine", body="Be kind.")) == ()
    assert changes(None, None) == ()
