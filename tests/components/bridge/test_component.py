"""Bridges: a note turns a channel on."""

from typing import Any

import pytest

from support.run import asynchronous
from vaultloop.components.bridge.component import BridgeComponent
from vaultloop.components.bridge.console import ConsoleChannel
from vaultloop.components.bridge.kind import BridgeSpec
from vaultloop.model.change import Action, Change
from vaultloop.model.errors import Stalled
from vaultloop.model.resource import Ref, Resource, Source


def bridge(name: str = "console", **fields: Any) -> Resource[BridgeSpec]:
    spec = BridgeSpec.model_validate({"platform": "console", **fields})
    return Resource(Ref("bridge", name), spec, Source(f"agent/bridges/{name}.md", "0" * 40), uid=name)


def create(resource: Resource[BridgeSpec]) -> Change[BridgeSpec]:
    return Change(Action.CREATE, None, resource)


@asynchronous
async def test_a_note_turns_the_console_on_and_its_end_turns_it_off() -> None:
    console = ConsoleChannel()
    async with BridgeComponent([console]) as component:
        await component.apply(create(bridge(coalesce="3s")))
        assert (console.is_on, console.coalesce) == (True, 3)
        await component.apply(Change(Action.DELETE, bridge(), None))
        assert (console.is_on, console.coalesce) == (False, 3)
        assert component.observe() == {}


@asynchronous
async def test_a_paused_note_leaves_the_console_off() -> None:
    console = ConsoleChannel()
    async with BridgeComponent([console]) as component:
        await component.apply(create(bridge(paused=True)))
        assert not console.is_on
        assert Ref("bridge", "console") in component.observe()


@asynchronous
async def test_a_second_note_for_one_platform_is_stalled_and_the_first_goes_on() -> None:
    console = ConsoleChannel()
    async with BridgeComponent([console]) as component:
        await component.apply(create(bridge()))
        with pytest.raises(Stalled, match=r"agent/bridges/console\.md is the bridge to console already"):
            await component.apply(create(bridge("second")))
        assert console.is_on
        assert list(component.observe()) == [Ref("bridge", "console")]


@asynchronous
async def test_a_paused_second_note_is_in_nobodys_way() -> None:
    console = ConsoleChannel()
    async with BridgeComponent([console]) as component:
        await component.apply(create(bridge()))
        await component.apply(create(bridge("second", paused=True)))
        assert set(component.observe()) == {Ref("bridge", "console"), Ref("bridge", "second")}
        await component.apply(Change(Action.DELETE, bridge("second", paused=True), None))
        assert console.is_on


@asynchronous
async def test_a_platform_that_nothing_carries_is_stalled_with_a_cure_that_helps() -> None:
    telegram = bridge("telegram", platform="telegram")
    async with BridgeComponent([ConsoleChannel()]) as component:
        with pytest.raises(Stalled, match="No component carries telegram yet") as stalled:
            await component.apply(create(telegram))
        assert component.observe() == {}
        assert "paused: true" in stalled.value.cure
        await component.apply(create(bridge("telegram", platform="telegram", paused=True)))
        assert set(component.observe()) == {telegram.ref}


@asynchronous
async def test_a_console_that_somebody_turned_off_is_seen_as_drift() -> None:
    console = ConsoleChannel()
    async with BridgeComponent([console]) as component:
        await component.apply(create(bridge()))
        console.turn_off()
        assert component.observe() == {}
        await component.apply(create(bridge()))
        assert console.is_on


@asynchronous
async def test_leaving_turns_the_channel_off() -> None:
    console = ConsoleChannel()
    async with BridgeComponent([console]) as component:
        await component.apply(create(bridge()))
    assert not console.is_on
