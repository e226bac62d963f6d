import pytest

from support.run import asynchronous
from vaultloop.components.defaults.component import DefaultsComponent
from vaultloop.components.defaults.kind import DefaultsSpec
from vaultloop.model.change import Action, Change
from vaultloop.model.conversation import AgentDefaults
from vaultloop.model.resource import Ref, Resource, Source


class Sessions:
    """Remembers how it was configured."""

    def __init__(self) -> None:
        self.defaults: AgentDefaults | None = None

    def configure(self, defaults: AgentDefaults) -> None:
        self.defaults = defaults


def note(**fields: object) -> Resource[DefaultsSpec]:
    spec = DefaultsSpec.model_validate(fields)
    return Resource(Ref("defaults", "defaults"), spec, Source("agent/defaults.md", "0"))


@asynchronous
async def test_the_sessions_are_told_what_the_note_says() -> None:
    sessions = Sessions()
    async with DefaultsComponent(sessions) as defaults:
        await defaults.apply(Change(Action.CREATE, None, note(runner="claude", **{"max-sessions": "5"})))
        assert sessions.defaults == AgentDefaults(runner="claude", max_sessions=5)


@asynchronous
async def test_without_the_note_what_is_built_in_holds_again() -> None:
    sessions = Sessions()
    async with DefaultsComponent(sessions) as defaults:
        await defaults.apply(Change(Action.CREATE, None, note(command="my-agent")))
        await defaults.apply(Change(Action.DELETE, note(command="my-agent"), None))
        assert sessions.defaults == AgentDefaults()


@asynchronous
async def test_a_paused_note_leaves_what_is_built_in() -> None:
    sessions = Sessions()
    async with DefaultsComponent(sessions) as defaults:
        await defaults.apply(Change(Action.CREATE, None, note(runner="claude", paused="true")))
        assert sessions.defaults == AgentDefaults()


def test_model_and_budget_are_named_as_not_enforced_where_the_program_is_no_claude() -> None:
    limits: dict[str, object] = {"model": "claude-opus-5-5", "budget-usd-per-run": "0.50"}
    assert note(runner="command", **limits).spec.not_enforced() == ["model", "budget-usd-per-run"]
    assert note(runner="claude", **limits).spec.not_enforced() == []


@asynchronous
async def test_the_sessions_are_told_what_all_of_them_may_spend_and_where_a_day_begins() -> None:
    sessions = Sessions()
    limits: dict[str, object] = {"budget-usd-per-day": "5", "budget-usd-per-month": "50"}
    async with DefaultsComponent(sessions) as defaults:
        await defaults.apply(Change(Action.CREATE, None, note(timezone="Europe/Berlin", **limits)))
    assert sessions.defaults is not None
    assert (sessions.defaults.budget_usd_per_day, sessions.defaults.budget_usd_per_month) == (5.0, 50.0)
    assert sessions.defaults.timezone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("5", "7", "all sessions: + at most 7 USD a day"),
        ("5", "2.5", "all sessions: - at most 2.5 USD a day"),
        ("5", None, "all sessions: + any number of USD a day"),
        (None, "5", "all sessions: - at most 5 USD a day"),
    ],
)
def test_a_plan_says_what_all_sessions_together_may_spend_more_or_less(
    old: str | None, new: str | None, sentence: str
) -> None:
    before, after = (note(**({"budget-usd-per-day": usd} if usd else {})) for usd in (old, new))
    assert DefaultsSpec.permission_changes(before, after) == (sentence,)
    assert DefaultsSpec.permission_changes(before, before) == ()
