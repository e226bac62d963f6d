"""What the models found wrong, in words for the vault's owner."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic.json_schema import WithJsonSchema

from vaultloop.model.finding import Finding
from vaultloop.model.resource import Kind, Reference
from vaultloop.model.words import near_miss, unmistakable


def findings(error: ValidationError, kind: Kind[Any]) -> Iterator[Finding]:
    """One finding for each error of a spec of `kind`."""
    fields = {info.alias or name: info for name, info in kind.spec.model_fields.items()}
    for detail in error.errors(include_url=False):
        key = str(detail["loc"][0]) if detail["loc"] else "kind"
        item = next((part for part in detail["loc"][1:] if isinstance(part, int)), None)
        yield _finding(key, item, dict(detail), kind, fields.get(key))


def _finding(
    key: str, item: int | None, detail: dict[str, Any], kind: Kind[Any], info: FieldInfo | None
) -> Finding:
    context = detail.get("ctx", {})
    kind_of_error = detail["type"]
    if "write" in context:
        cure, write, safe = context["cure"], context["write"], context["safe"]
        return Finding(key, kind_of_error, context["message"], cure, write=write, item=item, safe=safe)
    if kind_of_error == "missing":
        message = f"A `{kind.name}` note needs `{key}`."
        return Finding(key, "missing-field", message, add=f"{key}: {_example(info)}")
    if kind_of_error == "literal_error":
        return _not_one_of(key, item, detail["input"], _choices(info.annotation if info else None))
    if kind_of_error in {"bool_parsing", "bool_type"}:
        message = f"`{detail['input']}` is neither true nor false."
        return Finding(key, "bad-flag", message, f"Write `{key}: true` or `{key}: false`.", item=item)
    return Finding(
        key, "wrong-type", f"`{key}` cannot be `{detail['input']}`: {detail['msg']}.", "Change it.", item=item
    )


def _not_one_of(key: str, item: int | None, typed: Any, choices: tuple[str, ...]) -> Finding:
    one_of = ", ".join(f"`{choice}`" for choice in choices)
    meant = near_miss(typed, choices) if isinstance(typed, str) else None
    message = f"`{typed}` is none of {one_of}." if len(choices) > 1 else f"`{typed}` is not {one_of}."
    safe = isinstance(typed, str) and unmistakable(typed, choices) is not None
    return Finding(key, "bad-choice", message, f"Write one of {one_of}.", write=meant, item=item, safe=safe)


def _choices(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return tuple(str(choice) for choice in get_args(annotation))
    return tuple(choice for part in get_args(annotation) for choice in _choices(part))


def _example(info: FieldInfo | None) -> str:
    """A value that would be valid, as it is typed in a note."""
    if info is None:
        return "..."
    if info.examples:
        return str(info.examples[0])
    for mark in info.metadata:
        if isinstance(mark, Reference):
            return f'"[[{mark.kind}]]"'
        if isinstance(mark, WithJsonSchema) and mark.json_schema and "examples" in mark.json_schema:
            return f'"{mark.json_schema["examples"][0]}"'
    choices = _choices(info.annotation)
    return choices[0] if choices else "..."
