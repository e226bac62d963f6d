from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.plain_component import PlainComponent
from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.components import KINDS
from vaultloop.components.cron.kind import CronSpec, CrontabSpec
from vaultloop.components.rule.kind import RuleSpec
from vaultloop.components.scope.kind import ScopeSpec
from vaultloop.model.change import Action, AnyChange, Change
from vaultloop.model.errors import Retry, Stalled
from vaultloop.model.resource import AnyResource, Ref, Resource, Source, Spec
from vaultloop.reconcile.applier import LONGEST_PAUSE, Applier, Failed, HeldBack, Waiting, references

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class World:
    def __init__(self) -> None:
        self.clock = VirtualClock(NOON)
        self.component = PlainComponent()
        kinds = [kind.name for kind in KINDS if kind.has_component]
        self.applier = Applier(dict.fromkeys(kinds, self.component), KINDS, self.clock)


def create(kind: str, name: str, spec: Spec) -> AnyChange:
    resource: AnyResource = Resource(Ref(kind, name), spec, Source(f"agent/{name}.md", "b"), name)
    return Change(Action.CREATE, None, resource)


def cron(name: str, scope: str, **fields: Any) -> AnyChange:
    return create(
        "cron", name, CronSpec.model_validate({"schedule": "@daily", "scope": scope, "body": "x", **fields})
    )


def scope(name: str) -> AnyChange:
    return create("scope", name, ScopeSpec(can_read=("a",)))


@asynchronous
async def test_a_failure_of_one_leaves_the_others_alone() -> None:
    world = World()
    world.component.refusals = {"a": [Stalled("It is red.", cure="Paint it.")], "b": [RuntimeError("boom")]}
    done = await world.applier.apply([cron("a", "s"), cron("b", "s"), cron("c", "s")], afresh=True)
    assert done.done == {Ref("cron", "c")}
    assert done.setbacks[Ref("cron", "a")] == Failed("ApplyFailed", "It is red. Paint it.")
    assert done.again is None


@asynchronous
async def test_an_unforeseen_error_is_logged_with_its_traceback_and_shown_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.component.refusals = {"a": [RuntimeError("password=hunter2")]}
    done = await world.applier.apply([cron("a", "s")], afresh=True)
    failed = done.setbacks[Ref("cron", "a")]
    assert isinstance(failed, Failed)
    assert failed.reason == "InternalError"
    assert "RuntimeError" in failed.message
    assert "hunter2" not in failed.message
    assert "Traceback" in caplog.text


@asynchronous
async def test_what_may_work_later_is_tried_again_at_its_time_and_not_before() -> None:
    world = World()
    world.component.refusals = {"a": [Retry("Not yet.", after=10), Retry("Not yet.", after=10)]}
    change = cron("a", "s")
    first = await world.applier.apply([change], afresh=True)
    assert first.setbacks == {change.ref: Waiting("Not yet.", NOON + timedelta(seconds=10), 1)}
    assert first.again == NOON + timedelta(seconds=10)
    assert await world.applier.apply([change], afresh=False) == first
    assert len(world.component.log) == 1
    await world.clock.advance(10)
    second = await world.applier.apply([change], afresh=False)
    assert second.again == NOON + timedelta(seconds=30)  # twice the pause
    await world.clock.advance(20)
    assert (await world.applier.apply([change], afresh=False)).done == {change.ref}


@asynchronous
async def test_pauses_grow_to_a_bound() -> None:
    world = World()
    world.component.refusals = {"a": [Retry("No.", after=60) for _ in range(9)]}
    change = cron("a", "s")
    pause = timedelta(0)
    for _ in range(9):
        done = await world.applier.apply([change], afresh=False)
        assert done.again is not None
        pause = done.again - world.clock.now()
        await world.clock.advance_to(done.again)
    assert pause == LONGEST_PAUSE


@asynchronous
async def test_what_needs_a_human_is_tried_again_only_when_something_was_declared_anew() -> None:
    world = World()
    world.component.refusals = {"a": [Stalled("It is red.", cure="Paint it.")]}
    change = cron("a", "s")
    await world.applier.apply([change], afresh=True)
    await world.applier.apply([change], afresh=False)
    assert len(world.component.log) == 1
    assert (await world.applier.apply([change], afresh=True)).done == {change.ref}


@asynchronous
async def test_what_stood_in_the_way_is_followed_at_once_by_what_it_kept_back() -> None:
    world = World()
    holder = Ref("cron", "b")
    world.component.refusals = {"a": [Stalled("It has what I want.", cure="Take it away.", holder=holder)]}
    done = await world.applier.apply([cron("a", "s"), cron("b", "s"), cron("c", "s")], afresh=True)
    assert (len(done.done), done.setbacks) == (3, {})
    assert world.component.log == ["create cron/a", "create cron/b", "create cron/a", "create cron/c"]


@asynchronous
async def test_what_is_kept_back_by_what_did_not_change_is_not_tried_again() -> None:
    world = World()
    refusals = [Stalled("It has what I want.", cure="", holder=Ref("cron", "b")) for _ in range(2)]
    world.component.refusals = {"a": [*refusals]}
    for afresh in (True, False):
        await world.applier.apply([cron("a", "s"), cron("c", "s")], afresh=afresh)
    assert world.component.log.count("create cron/a") == 1


@asynchronous
async def test_a_new_version_of_what_failed_is_tried_at_once() -> None:
    world = World()
    world.component.refusals = {"a": [Retry("No.", after=60)]}
    await world.applier.apply([cron("a", "s")], afresh=True)
    done = await world.applier.apply([cron("a", "s", catch_up="skip")], afresh=False)
    assert done.done == {Ref("cron", "a")}


@pytest.mark.parametrize("error", [Retry("No."), Stalled("No.", cure="Do."), RuntimeError("x")])
@asynchronous
async def test_a_failed_access_change_holds_back_what_depends_on_it_and_nothing_else(
    error: Exception,
) -> None:
    world = World()
    world.component.refusals = {"family": [error]}
    rule = create("rule", "r", RuleSpec(scopes=("family",)))
    delete = Change(Action.DELETE, cron("gone", "family").new, None)
    changes = [scope("family"), scope("other"), rule, delete, cron("a", "family"), cron("b", "other")]
    done = await world.applier.apply(changes, afresh=True)
    assert done.setbacks[Ref("cron", "a")] == HeldBack(Ref("scope", "family"))
    assert done.setbacks[rule.ref] == HeldBack(Ref("scope", "family"))
    assert done.done == {Ref("scope", "other"), Ref("cron", "b"), Ref("cron", "gone")}


@asynchronous
async def test_what_was_held_back_follows_as_soon_as_access_is_in_force() -> None:
    world = World()
    world.component.refusals = {"family": [Retry("No.", after=5)]}
    changes = [scope("family"), cron("a", "family")]
    await world.applier.apply(changes, afresh=True)
    await world.clock.advance(5)
    done = await world.applier.apply(changes, afresh=False)
    assert done.done == {Ref("scope", "family"), Ref("cron", "a")}


def test_references_are_the_notes_that_a_spec_names() -> None:
    spec = CronSpec.model_validate(
        {"schedule": "@daily", "scope": "[[family]]", "send-to": ["owner", "[[club]]"], "body": "x"}
    )
    assert {Ref("scope", "family"), Ref("scope", "club")} <= references(spec)
    assert Ref("scope", "owner") not in references(spec)


def test_what_a_row_of_a_crontab_names_its_note_names() -> None:
    rows = [
        {"name": scope, "schedule": "@daily", "scope": scope, "body": "x"} for scope in ("family", "club")
    ]
    spec = CrontabSpec.model_validate({"jobs": rows})
    assert references(spec) == {Ref("scope", "family"), Ref("scope", "club")}
