from typing import Any

import pytest

from vaultloop.components.scope.kind import ScopeSpec
from vaultloop.model.resource import Known, Ref, Resource, Source


def scope(**fields: Any) -> Resource[ScopeSpec]:
    spec = ScopeSpec.model_validate({key.replace("_", "-"): value for key, value in fields.items()})
    return Resource(Ref("scope", "owner"), spec, Source("agent/owner.md", "0"))


def changes(old: Resource[ScopeSpec] | None, new: Resource[ScopeSpec] | None) -> tuple[str, ...]:
    return ScopeSpec.permission_changes(old, new)


def test_a_new_scope_lists_what_it_grants() -> None:
    assert changes(None, scope(chats="owner", can_read=["personal/**", "work"]))[:5] == (
        "owner: is yours alone now",
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
        ({}, {"budget_usd_per_run": "1"}, "- at most 1 USD a session"),
        ({"budget_usd_per_run": "1"}, {"budget_usd_per_run": "2.5"}, "+ at most 2.5 USD a session"),
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
    assert "owner: + reads Notes" in changes(paused, running)


def test_what_changes_no_permission_says_nothing() -> None:
    assert changes(scope(can_read="a"), scope(can_read="a", description="Mine", body="Be kind.")) == ()
    assert changes(None, None) == ()


NOTES = ("a.md", "taxes/1.md", "taxes/2.md", "taxes/old/3.md", "work/b.md")


def counted(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, ...]:
    return ScopeSpec.permission_changes(scope(**old), scope(**new), Known(NOTES))


@pytest.mark.parametrize(
    ("old", "new", "sentences"),
    [
        ({}, {"can_read": "taxes"}, ["+ reads taxes (3 notes)"]),
        ({"can_read": "taxes"}, {}, ["- reads taxes (3 notes)"]),
        ({"can_read": "taxes"}, {"can_read": ["taxes", "**"]}, ["+ reads ** (2 notes)"]),
        ({"can_read": "**"}, {"can_read": ["**", "taxes"]}, ["+ reads taxes (0 notes)"]),
        ({"can_read": "**"}, {"can_read": "**", "except": "work"}, ["- reads and writes work (1 note)"]),
        ({"can_read": "**", "except": "work"}, {"can_read": "**"}, ["+ reads and writes work (1 note)"]),
        ({"can_read": "**"}, {"can_read": "**", "can_write": "a.md"}, ["+ writes a.md (1 note)"]),
    ],
)
def test_a_path_says_for_how_many_notes_it_makes_a_difference(
    old: dict[str, Any], new: dict[str, Any], sentences: list[str]
) -> None:
    assert counted(old, new) == tuple(f"owner: {sentence}" for sentence in sentences)


@pytest.mark.parametrize(
    ("chats", "people", "sentence"),
    [
        ("-1001", "anyone", "is public now"),
        ("-1001", "222", "is a group's now"),
        ([], [], "is for schedules only now"),
    ],
)
def test_another_class_is_said_first(chats: object, people: object, sentence: str) -> None:
    told = changes(scope(chats="owner"), scope(chats=chats, people=people))
    assert told[0] == f"owner: {sentence}"


def test_the_class_is_judged_by_the_owners_ids_where_they_are_known() -> None:
    old, new = scope(chats="owner"), scope(chats="77", people="77")
    assert "owner: is a group's now" in changes(old, new)
    told = ScopeSpec.permission_changes(old, new, Known(owners=("77",)))
    assert not [sentence for sentence in told if " is " in sentence]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ({}, {"attachments": "none"}, "- attachments: none"),
        ({"attachments": "none"}, {"attachments": "on-demand"}, "+ attachments: on-demand"),
        ({}, {"mounts": "photos"}, "+ uses the mount photos"),
        ({}, {"abilities": "shell"}, "+ may use shell"),
        ({"budget_usd_per_month": "9"}, {}, "+ any number of USD a month"),
    ],
)
def test_attachments_mounts_abilities_and_budgets_are_told(
    old: dict[str, Any], new: dict[str, Any], sentence: str
) -> None:
    assert changes(scope(**old), scope(**new)) == (f"owner: {sentence}",)


def test_a_new_scope_says_what_has_no_limit_and_what_it_may_without_saying_so() -> None:
    told = changes(None, scope(chats="-1", people="anyone", self_edit="propose", budget_usd_per_day="5"))
    assert told == (
        "owner: is public now",
        "owner: + covers chat -1",
        "owner: + answers anyone",
        "owner: + attachments: all",
        "owner: + at most 5 USD a day",
        "owner: + any number of USD a session, USD a month, messages a person and hour, steps",
        "owner: + 10m a session",
        "owner: + edits of agent/: propose",
    )


@pytest.mark.parametrize("sides", [(True, False), (False, True)])
def test_what_a_whole_scope_hides_is_no_gain_when_it_goes_and_no_loss_when_it_comes(
    sides: tuple[bool, bool],
) -> None:
    one = scope(can_read="**", **{"except": "x"})
    told = changes(*(one if side else None for side in sides))
    assert not [sentence for sentence in told if "reads and writes" in sentence]


def test_hiding_less_is_no_loss() -> None:
    assert changes(scope(**{"except": "x"}), scope(**{"except": "x/y"})) == ("owner: + reads and writes x",)
    assert changes(scope(**{"except": "x/y"}), scope(**{"except": "x"})) == ("owner: - reads and writes x",)
