"""What is generated from the kinds."""

import json
from pathlib import Path
from typing import Any

import pytest

from vaultloop.components import KINDS
from vaultloop.model.resource import Kind
from vaultloop.model.schema import property_types, property_types_file, schema, schema_files
from vaultloop.schemas import write

SCHEMAS = Path(__file__).parents[1] / "schemas"


def test_the_schemas_in_the_repository_are_those_of_the_models() -> None:
    there = {file.name: file.read_text(encoding="utf-8") for file in SCHEMAS.glob("*.json")}
    assert there == schema_files(KINDS), "the schemas are stale: run `make schemas`"


def test_the_template_shows_every_key_in_its_type() -> None:
    there = (SCHEMAS.parent / "vault-template" / ".obsidian" / "types.json").read_text(encoding="utf-8")
    assert there == property_types_file(KINDS), "the property types are stale: run `make schemas`"


def test_obsidian_is_told_what_is_a_list_a_tick_box_a_number_and_text() -> None:
    types = property_types(KINDS)
    told = {
        key: types[key] for key in ("can-read", "paused", "max-sessions", "schedule", "id", "application")
    }
    assert told == {
        "can-read": "multitext",
        "paused": "checkbox",
        "max-sessions": "number",
        "schedule": "text",
        "id": "text",
        "application": "text",
    }


def test_defaults_are_written_as_notes_write_them() -> None:
    scope = schema(next(kind for kind in KINDS if kind.name == "scope"))
    assert scope["properties"]["stop-after"]["default"] == "10m"


def test_writing_replaces_what_is_stale(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("{}")
    (tmp_path / "cron.json").write_text("{}")
    write(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {f"{kind.name}.json" for kind in KINDS}
    assert json.loads((tmp_path / "cron.json").read_text())["title"] == "cron"


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_every_key_has_a_description_and_may_be_empty(kind: Kind[Any]) -> None:
    properties = schema(kind)["properties"]
    assert properties.pop("kind") == {"const": kind.name}
    assert "body" not in properties
    for key, field in properties.items():
        assert field["description"], key
        assert {"type": "null"} in field["anyOf"], key


def test_required_keys_are_named() -> None:
    cron = schema(next(kind for kind in KINDS if kind.name == "cron"))
    assert cron["required"] == ["kind", "schedule", "scope"]


def test_a_list_may_be_written_as_a_single_value() -> None:
    scope = schema(next(kind for kind in KINDS if kind.name == "scope"))
    types = [choice.get("type") for choice in scope["properties"]["can-read"]["anyOf"]]
    assert types == ["array", "string", "null"]
