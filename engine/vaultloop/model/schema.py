"""What each kind's frontmatter may say, for other tools: JSON Schemas, and the property types of Obsidian."""

import ast
import inspect
import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from vaultloop.model.resource import Kind, Spec

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: Kind[Any]) -> dict[str, Any]:
    """The schema of one kind's frontmatter, the `kind` key included."""
    model = kind.spec.model_json_schema(by_alias=True)
    # As notes write them: pydantic's own schema would show a duration as `PT10M`.
    defaults = kind.spec.model_construct().model_dump(mode="json", by_alias=True)
    texts = explanations(kind.spec)
    fields: dict[str, Any] = {
        key: _field(field | {"description": texts.get(key), "default": defaults.get(key)})
        for key, field in model["properties"].items()
        if key != "body"
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


def explanations(spec: type[Spec]) -> dict[str, str]:
    """What stands below each field in the source, by the names that notes use.

    Read from the source when it is wanted: pydantic could do it for each class that is made, and that was a
    tenth of every start.
    """
    texts: dict[str, str] = {}
    for owner in reversed(spec.__mro__[: spec.__mro__.index(Spec) + 1]):
        [definition] = ast.parse(inspect.getsource(owner)).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in pairwise(definition.body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(value))):
                    texts[name] = inspect.cleandoc(value)
    return {info.alias or name: texts[name] for name, info in spec.model_fields.items() if name in texts}


def schema_files(kinds: Iterable[Kind[Any]]) -> dict[str, str]:
    """The text of each schema file, by file name."""
    return {
        f"{kind.name}.json": json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n" for kind in kinds
    }


def property_types(kinds: Iterable[Kind[Any]]) -> dict[str, str]:
    """The type in which Obsidian shows each key, of all kinds: a key has one type in a whole vault."""
    fields = {key: field for kind in kinds for key, field in schema(kind)["properties"].items()}
    return {key: _property_type(field) for key, field in sorted(fields.items())}


def property_types_file(kinds: Iterable[Kind[Any]]) -> str:
    """The text of a vault's `.obsidian/types.json`."""
    return json.dumps({"types": property_types(kinds)}, indent=2) + "\n"


def _property_type(field: Mapping[str, Any]) -> str:
    types = [_types(choice) for choice in field.get("anyOf", [field])]
    if {"array"} in types:
        return "multitext"
    if {"boolean"} in types:
        return "checkbox"
    # Text that may look like a number, such as an id, has no bounds.
    counts = any("minimum" in choice for choice in field.get("anyOf", ()))
    return "number" if counts else "text"


def _types(choice: Mapping[str, Any]) -> set[str]:
    named = choice.get("type", ())
    return {named} if isinstance(named, str) else set(named)


def _field(field: dict[str, Any]) -> dict[str, Any]:
    """One key: a single value is a list of one, and an empty one is absent."""
    shown = {key: value for key, value in field.items() if key not in {"title", "description", "default"}}
    about = {key: field[key] for key in ("description", "default") if field.get(key) is not None}
    choices = [choice for choice in shown.pop("anyOf", [shown]) if choice and choice != {"type": "null"}]
    if len(choices) == 1 and choices[0].get("type") == "array":
        choices.append(choices[0].get("items", {}))
    return about | {"anyOf": [*choices, {"type": "null"}]}
