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
