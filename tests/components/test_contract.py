"""What holds for every component, whatever it owns. The input is the example note of its kind."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.registry import MAKERS, ground
from support.folders import declared, example
from support.run import asynchronous
from vaultloop.components import KINDS
from vaultloop.model.change import Action, Change
from vaultloop.model.resource import AnyResource, Kind, Ref, Stage

RUNNING = [kind for kind in KINDS if kind.has_component]
every_component = pytest.mark.parametrize("kind", RUNNING, ids=[kind.name for kind in RUNNING])


def test_every_kind_that_runs_has_a_component_here() -> None:
    assert {kind.name for kind in RUNNING} == set(MAKERS)


def resource_of(kind: Kind[Any], folder: Path) -> AnyResource:
    owner = next(example(each) for each in KINDS if each.name == "scope")
    notes = {"agent/owner.md": owner} if kind.stage is Stage.TRIGGER else {}
    found = declared(folder / "vault", {**notes, f"agent/{kind.folder}/it.md": example(kind)})
    return replace(found["it"], uid="u1")


def create(resource: AnyResource) -> Change[Any]:
    return Change(Action.CREATE, None, resource)


def update(old: AnyResource, new: AnyResource) -> Change[Any]:
    return Change(Action.UPDATE, old, new)


@every_component
@asynchronous
async def test_a_component_starts_empty_and_shows_what_was_applied(kind: Kind[Any], tmp_path: Path) -> None:
    resource = resource_of(kind, tmp_path)
    with ground(tmp_path) as given:
        async with MAKERS[kind.name](given) as component:
            assert dict(component.observe()) == {}
            await component.apply(create(resource))
            assert dict(component.observe()) == {resource.ref: resource}


@every_component
@asynchronous
async def test_applying_twice_is_applying_once(kind: Kind[Any], tmp_path: Path) -> None:
    resource = resource_of(kind, tmp_path)
    with ground(tmp_path) as given:
        async with MAKERS[kind.name](given) as component:
            await component.apply(create(resource))
            await component.apply(create(resource))
            assert dict(component.observe()) == {resource.ref: resource}
            for _ in range(2):
                await component.apply(Change(Action.DELETE, resource, None))
                assert dict(component.observe()) == {}


@every_component
@asynchronous
async def test_an_update_replaces_what_was_there(kind: Kind[Any], tmp_path: Path) -> None:
    old = resource_of(kind, tmp_path)
    new = replace(old, spec=old.spec.model_copy(update={"description": "Another."}))
    with ground(tmp_path) as given:
        async with MAKERS[kind.name](given) as component:
            await component.apply(create(old))
            for _ in range(2):
                await component.apply(update(old, new))
                assert dict(component.observe()) == {new.ref: new}


@every_component
@asynchronous
async def test_an_update_may_come_without_its_create(kind: Kind[Any], tmp_path: Path) -> None:
    resource = resource_of(kind, tmp_path)
    with ground(tmp_path) as given:
        async with MAKERS[kind.name](given) as component:
            await component.apply(update(resource, resource))
            assert dict(component.observe()) == {resource.ref: resource}


@every_component
@asynchronous
async def test_a_rename_leaves_nothing_under_the_old_name(kind: Kind[Any], tmp_path: Path) -> None:
    old = resource_of(kind, tmp_path)
    new = replace(old, ref=Ref(kind.name, "renamed"))
    with ground(tmp_path) as given:
        async with MAKERS[kind.name](given) as component:
            await component.apply(create(old))
            await component.apply(update(old, new))
            assert dict(component.observe()) == {new.ref: new}


@every_component
@asynchronous
async def test_a_paused_resource_is_observed_as_paused(kind: Kind[Any], tmp_path: Path) -> None:
    running = resource_of(kind, tmp_path)
    paused = replace(running, spec=running.spec.model_copy(update={"paused": True}))
    with ground(tmp_path) as given:
        async with MAKERS[kind.name](given) as component:
            await component.apply(create(running))
            await component.apply(update(running, paused))
            assert dict(component.observe()) == {paused.ref: paused}
            await component.apply(update(paused, running))
            assert dict(component.observe()) == {running.ref: running}


@every_component
@asynchronous
async def test_leaving_stops_everything_and_entering_again_starts_empty(
    kind: Kind[Any], tmp_path: Path
) -> None:
    resource = resource_of(kind, tmp_path)
    with ground(tmp_path) as given:
        component = MAKERS[kind.name](given)
        for _ in range(2):
            async with component:
                assert dict(component.observe()) == {}
                await component.apply(create(resource))
                assert dict(component.observe()) == {resource.ref: resource}


@every_component
@asynchronous
async def test_the_inputs_of_a_resource_can_be_asked_for(kind: Kind[Any], tmp_path: Path) -> None:
    resource = resource_of(kind, tmp_path)
    with ground(tmp_path) as given:
        async with MAKERS[kind.name](given) as component:
            assert all(isinstance(glob, str) for glob in component.inputs(resource.spec))
