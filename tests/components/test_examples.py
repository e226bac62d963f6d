"""The example notes: documentation, template and test input at once."""

from pathlib import Path
from typing import Any

import pytest

from support.folders import example, loaded, write
from vaultloop.components import KINDS
from vaultloop.model.resource import Kind, Ref
from vaultloop.model.schema import explanations

every_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
WORLD = {
    f"agent/{kind.folder}/{'owner' if kind.name == 'scope' else kind.name}.md": example(kind)
    for kind in KINDS
}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return write(tmp_path, WORLD)


def test_all_examples_together_are_one_vault_without_a_problem(world: Path) -> None:
    snapshot = loaded(world)
    assert snapshot.problems == ()
    assert {ref.kind for ref in snapshot.resources} == {kind.name for kind in KINDS}


@every_kind
def test_an_example_that_would_not_run_out_of_the_box_is_paused(kind: Kind[Any], world: Path) -> None:
    (resource,) = [found for ref, found in loaded(world).resources.items() if ref.kind == kind.name]
    assert resource.spec.paused is not kind.has_component
    assert resource.spec.description


def test_the_digest_is_due_within_two_minutes_and_its_scope_may_write_it(world: Path) -> None:
    found = loaded(world).resources
    cron = found[Ref("cron", "cron")].spec.fields()
    assert (cron["schedule"], cron["scope"]) == ("*/2 * * * *", "owner")
    assert cron["body"].splitlines()[0] == "Gather open tasks into Digest.md"
    assert found[Ref("scope", "owner")].spec.fields()["can-write"] == ["**"]


@every_kind
def test_every_field_of_every_kind_is_explained(kind: Kind[Any]) -> None:
    assert kind.spec.__doc__
    keys = {info.alias or name for name, info in kind.spec.model_fields.items()}
    assert keys - explanations(kind.spec).keys() == set()


@every_kind
def test_what_is_said_to_come_is_a_field_of_its_kind(kind: Kind[Any]) -> None:
    keys = {info.alias or name for name, info in kind.spec.model_fields.items()}
    assert kind.spec.to_come <= keys


def test_a_key_has_one_type_in_the_whole_vault() -> None:
    shapes: dict[str, set[str]] = {}
    for kind in KINDS:
        for name, info in kind.spec.model_fields.items():
            shapes.setdefault(info.alias or name, set()).add(_shape(info.annotation))
    assert {key: found for key, found in shapes.items() if len(found) > 1} == {}


def _shape(annotation: Any) -> str:
    text = str(annotation)
    for word in ("tuple", "bool", "timedelta", "datetime", "float", "int"):
        if word in text:
            return word
    return "text"
