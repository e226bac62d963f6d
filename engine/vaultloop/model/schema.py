"""JSON Schemas of what each kind's frontmatter may say, for editors and other tools."""

import json
from collections.abc import Iterable
from typing import Any

from vaultloop.model.resource import Kind

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: Kind[Any]) -> dict[str, Any]:
    """The schema of one kind's frontmatter, the `kind` key included."""
    model = kind.spec.model_json_schema(by_alias=True)
    fields: dict[str, Any] = {
        key: _field(field) for key, field in model["properties"].items() if key != "body"
    }
    result = {
        "$schema": _DIALECT,
        "title": kind.name,
        "description": model.get("description", ""),
        "type": "object",
        "properties": {"kind": {"const": kind.name}, **fields},
        "required": ["kind", *model.get("required", ())],
    }
    return result | ({"$defs": model["$defs"]} if "$defs" in model else {})


def schema_files(kinds: Iterable[Kind[Any]]) -> dict[str, str]:
    """The text of each schema file, by file name."""
    return {
        f"{kind.name}.json": json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n" for kind in kinds
    }


def _field(field: dict[str, Any]) -> dict[str, Any]:
    """One key: a single value is a list of one, and an empty one is absent."""
    shown = {key: value for key, value in field.items() if key not in {"title", "description", "default"}}
    about = {key: field[key] for key in ("description", "default") if field.get(key) is not None}
    choices = [choice for choice in shown.pop("anyOf", [shown]) if choice and choice != {"type": "null"}]
    if len(choices) == 1 and choices[0].get("type") == "array":
        choices.append(choices[0].get("items", {}))
    return about | {"anyOf": [*choices, {"type": "null"}]}
